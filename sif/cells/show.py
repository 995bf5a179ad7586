"""What a run of cells found, for people: the comparison and the cell as a picture."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from nasp_core.genotype import Genotype
from sif.cells.notation import Edge, cell_edges, n_inputs
from sif.results import FOUND
from sif.sheet import Line, Sheet, Table

__all__ = ["cell_figures", "cell_sheet"]


def cell_sheet(result: Mapping[str, Any]) -> Sheet:
    """Return a result as people read it."""
    dataset, seconds = result["dataset"], result["seconds"]
    facts = (
        f"{dataset['name']}: budget {result['budget']}, strategy {result['strategy']['name']}, seed {result['seed']}"
    )
    trained = result["epochs"] is not None and result["retrained"] is not None
    return Sheet(
        title=f"{dataset['name']}: {result['genotype']['space']}",
        facts=facts,
        found=result["formula"].replace("; ", "\n        "),
        table=_table(result),
        explained="Cells were chosen on validation; the test part was read once for each trained network.",
        remarks=tuple(_remarks(result)),
        cost=(
            f"search {seconds['search']:.1f} s, training {seconds['train']:.1f} s, "
            f"random search {seconds['rivals']:.1f} s, peak memory {result['peak_memory_mb']:.0f} MiB"
        ),
        next="sif evaluate {run}" if trained else "sif train {run}",
    )


def _figure(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if metric == "top1" else f"{value:.2f}"


def _table(result: Mapping[str, Any]) -> Table:
    metric, names = result["metric"], list((result["truth"] or {}).get("best", ()))
    judged = [f"{part} {metric}" for part in ("search", "valid", "test")]
    columns = ("cell", *judged, "parameters", "multiply-adds", "seconds", *(f"true {name} %" for name in names))
    rows = []
    for name, row in result["rows"].items():
        trials = f" ({row['trials']} cells)" if row["trials"] else ""
        figures = (row["searched"], (row["valid"] or {}).get(metric), (row["test"] or {}).get(metric))
        cost = (f"{row['parameters']:,}", f"{row['multiply_adds']:,}", f"{row['seconds']:.1f}")
        truth = (f"{row['truth'][data]:.2f}" for data in names)
        shown = (name + trials, *(_figure(value, metric) for value in figures), *cost, *truth)
        rows.append(Line(shown, name == FOUND))
    for key, label in (("mean", "the mean of all cells"), ("best", "the best of each data set")) if names else ():
        accuracy = result["truth"][key]
        rows.append(Line((label, *["-"] * 6, *(f"{accuracy[data]:.2f}" for data in names))))
    return Table(columns, tuple(rows)).trimmed()


def _remarks(result: Mapping[str, Any]) -> list[str]:
    """Return what a reader should not miss."""
    found, drawn = result["rows"][FOUND], result["rows"].get("random search")
    metric, sentences = result["metric"], []
    if drawn is not None:
        for part in ("valid", "test"):
            drawn_figure, figure = ((row[part] or {}).get(metric) for row in (drawn, found))
            if drawn_figure is None or figure is None or drawn_figure == figure:
                continue
            if (drawn_figure > figure) == result["maximise"]:
                sentences.append(f"random search does better than what was found on the {part} part")
    if result["epochs"] is None:
        sentences.append("the cell was found, its network is not trained yet")
    elif result["retrained"] is None and result["budget"] != "full":
        sentences.append(f"the final training had {result['epochs']['most']} epochs: sif train gives the full schedule")
    return sentences


def cell_figures(result: Mapping[str, Any]) -> str:
    """Return the cells as pictures, and their text, as HTML."""
    genotype = Genotype(**result["genotype"])
    pictures = "".join(
        f"<h2>{html.escape(group)}</h2>{_drawing(edges, n_inputs(genotype))}"
        for group, edges in cell_edges(genotype).items()
    )
    return f"{pictures}<p><code>{html.escape(result['formula'])}</code></p>"


def _drawing(edges: Sequence[Edge], inputs: int) -> str:
    """Return an SVG of a cell: nodes on a line, one arc for each operation."""
    last = max((node for _, node, _ in edges), default=0)
    gap = 130
    arcs, labels = [], []
    for number, (source, node, name) in enumerate(edges):
        left, right, up = 40 + source * gap, 40 + node * gap, number % 2 == 0
        middle, lift = (left + right) / 2, 24 + 26 * (node - source)
        top = 200 - lift * 2 if up else 200 + lift * 2
        arcs.append(f'<path d="M{left},200 Q{middle},{top} {right},200" fill="none" stroke="#7a9" stroke-width="1.5"/>')
        labels.append(
            f'<text x="{middle}" y="{(200 + top) / 2 + (-4 if up else 12)}" font-size="11" text-anchor="middle">'
            f"{html.escape(name)}</text>"
        )
    nodes = [
        f'<circle cx="{40 + n * gap}" cy="200" r="13" fill="{"#cde" if n < inputs else "#eee"}" stroke="#456"/>'
        f'<text x="{40 + n * gap}" y="204" font-size="12" text-anchor="middle">{n}</text>'
        for n in range(last + 1)
    ]
    width = 80 + last * gap
    return (
        f'<div style="overflow-x:auto"><svg width="{width}" height="400" role="img" aria-label="the cell">'
        + "".join(arcs + labels + nodes)
        + "</svg></div>"
    )
