"""What a run of cells found, for people: the cell as text and picture, the table of rows, the page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasp_core.genotype import Genotype
from sif.report.html import page

__all__ = ["cell_edges", "cell_report", "cell_rows", "cell_text", "cell_verdicts"]

Edge = tuple[int, int, str]


def cell_edges(genotype: Genotype) -> dict[str, list[Edge]]:
    """Return the edges (from, to, operation) of each cell; inputs come first (0, or 0 and 1), then its nodes."""
    inputs = _inputs(genotype)
    return {group: list(_edges(names, inputs)) for group, names in genotype.choices.items()}


def _inputs(genotype: Genotype) -> int:
    return 2 if genotype.space == "conv-cell" else 1


def _edges(names: Sequence[str | None], inputs: int) -> Iterator[Edge]:
    source, node = 0, inputs
    for name in names:
        if name is not None:
            yield source, node, name
        source += 1
        if source == node:
            source, node = 0, node + 1


def cell_text(genotype: Genotype) -> str:
    """Return the cell in one line: of NAS-Bench-201 in the benchmark's own notation, else node by node."""
    cells = cell_edges(genotype)
    if genotype.space == "nas-bench-201":
        nodes: dict[int, list[str]] = {}
        for source, node, name in cells["edge"]:
            nodes.setdefault(node, []).append(f"{name}~{source}")
        return "+".join("|" + "|".join(parts) + "|" for parts in nodes.values())
    texts = []
    for group, edges in cells.items():
        sums: dict[int, list[str]] = {}
        for source, node, name in edges:
            sums.setdefault(node, []).append(f"{name}({source})")
        cell = ", ".join(f"{node} = {' + '.join(parts)}" for node, parts in sums.items())
        texts.append(cell if len(cells) == 1 else f"{group}: {cell}")
    return "; ".join(texts)


def _figure(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if metric == "top1" else f"{value:.2f}"


def cell_rows(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns and the rows of the comparison as text: cells, and where there is a table their truth."""
    metric, truths = result["metric"], result["best"] is not None
    names = list(result["best"]["accuracy"]) if truths else []
    judged = [f"{part} {metric}" for part in ("search", "valid", "test")]
    cost_columns = ("parameters", "multiply-adds", "seconds")
    columns = ["cell", *judged, *cost_columns, *(f"true {name} %" for name in names)]
    rows = []
    for name, row in result["rows"].items():
        trials = f" ({row['trials']} cells)" if row["trials"] else ""
        figures = (row["searched"], (row["valid"] or {}).get(metric), (row["test"] or {}).get(metric))
        cost = (f"{row['parameters']:,}", f"{row['multiply_adds']:,}", f"{row['seconds']:.1f}")
        truth = [f"{row['truth']['accuracy'][data]:.2f}" for data in names]
        rows.append((name + trials, *(_figure(value, metric) for value in figures), *cost, *truth))
    for key in ("mean", "best"):
        if truths:
            accuracy = result[key]["accuracy"]
            rows.append((result[key]["cell"], *["-"] * 6, *(f"{accuracy[data]:.2f}" for data in names)))
    kept = [place for place in range(len(columns)) if any(row[place] != "-" for row in rows)]
    return tuple(columns[place] for place in kept), [tuple(row[place] for place in kept) for row in rows]


def cell_verdicts(result: Mapping[str, Any]) -> list[str]:
    """Return what a reader should not miss."""
    found, drawn = result["rows"]["found"], result["rows"].get("random search")
    metric, sentences = result["metric"], []
    if drawn is not None:
        for part in ("valid", "test"):
            drawn_figure, figure = ((row[part] or {}).get(metric) for row in (drawn, found))
            if drawn_figure is None or figure is None or drawn_figure == figure:
                continue
            if (drawn_figure > figure) == result["maximise"]:
                sentences.append(f"random search does better than the find on the {part} part")
    if result["epochs"] is None:
        sentences.append("the cell was found, its network is not trained yet")
    elif result["retrained"] is None and result["budget"] != "full":
        sentences.append(f"the final training had {result['epochs']['most']} epochs: sif train gives the full schedule")
    if result["retrained"] is not None:
        facts, figures = result["retrained"], []
        for part in ("valid", "test"):
            value = (result["metrics"][part] or {}).get(metric)
            figures += [] if value is None else [f"{part} {metric} {_figure(value, metric)}"]
        told = ", ".join(figures) or "not evaluated yet"
        sentences.append(
            f"the find has since been trained for {facts['epochs']} epochs (budget {facts['budget']}): {told}"
        )
    return sentences


def cell_report(result: Mapping[str, Any], trace: Sequence[Mapping[str, Any]]) -> str:
    """Return the page for a result and its trace; it needs no network and no script."""
    columns, rows = cell_rows(result)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        f'<tr class="{"find" if row[0] == "found" else ""}">'
        + "".join(f"<td>{html.escape(text)}</td>" for text in row)
        + "</tr>"
        for row in rows
    )
    genotype = Genotype(**result["genotype"])
    pictures = "".join(
        f"<h2>{html.escape(group)}</h2>{_drawing(edges, _inputs(genotype))}"
        for group, edges in cell_edges(genotype).items()
    )
    remarks = "".join(f"<p><strong>{html.escape(sentence)}</strong></p>" for sentence in cell_verdicts(result))
    seconds, dataset = result["seconds"], result["dataset"]
    return page(
        f"sif: {dataset['name']}",
        f"""
<h1>{html.escape(dataset["name"])}: {html.escape(genotype.space)}</h1>
<p>Strategy <code>{html.escape(result["strategy"]["name"])}</code>, budget {html.escape(result["budget"])}, seed
{result["seed"]}. Search {seconds["search"]:.1f} s, training {seconds["train"]:.1f} s, peak memory
{result["peak_memory_mb"]:.0f} MiB.</p>
{remarks}
<table><tr>{head}</tr>{body}</table>
<p>Cells were chosen on validation; the test part was read once for each trained network.</p>
{pictures}
<p><code>{html.escape(result["cell"])}</code></p>
{_course(trace, result["metric"])}""",
    )


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


def _course(trace: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Return a table of the epochs of the final training that were validated."""
    rows = "".join(
        f"<tr><td>{html.escape(str(r['phase'])[:40])}</td><td>{r['epoch']}</td><td>{r['loss']:.4f}</td>"
        f"<td>{_figure(r['valid'].get(metric), metric)}</td></tr>"
        for r in trace
        if "valid" in r and "epoch" in r
    )
    return (
        f"<table><tr><th>phase</th><th>epoch</th><th>loss</th><th>valid {metric}</th></tr>{rows}</table>"
        if rows
        else ""
    )
