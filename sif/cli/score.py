"""`sif score`: points of a space, or the best architecture of a run, ranked without training."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nasp_core.proxies import PROXIES
from sif.cli.app import JsonOption, console, data_root, emit, guarded, remark
from sif.cli.tables import print_table
from sif.scoring import PointScores, score_points
from sif.sheet import Line, Table

__all__ = ["print_scores", "score"]


@guarded
def score(
    target: Annotated[
        str, typer.Argument(metavar="RECIPE|RUN", help="A recipe, or the run whose best architecture is scored.")
    ],
    scores: Annotated[
        str, typer.Option("--score", metavar="NAME,...", help=f"Scores, the first ranks: {', '.join(PROXIES)}.")
    ] = "",
    points: Annotated[int, typer.Option(help="How many random points of the recipe's space.")] = 10,
    genotype: Annotated[
        list[Path] | None, typer.Option(help="A genotype.json to score instead (may be repeated).")
    ] = None,
    data: Annotated[str, typer.Option(help="Data to use instead of the recipe's: a file, folder or data set.")] = "",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe value.")
    ] = None,
    budget: Annotated[str, typer.Option(help="Recipes of cells: whose network is scored (default: quick).")] = "",
    seed: Annotated[int | None, typer.Option(help="Seed of points, weights and batch (default: the recipe's).")] = None,
    batch_size: Annotated[int, typer.Option(help="Samples of the batch.")] = 64,
    table: Annotated[str, typer.Option(help="NAS-Bench-201: a file of the true accuracies of all cells.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Rank untrained networks by training-free scores on one batch; larger is better."""
    told = score_points(
        target,
        scores=[name.strip() for name in scores.split(",") if name.strip()],
        points=points,
        genotypes=genotype or (),
        data=data,
        changes=changes or (),
        budget=budget,
        seed=seed,
        batch_size=batch_size,
        table=table,
        device=device,
        root=data_root(),
    )
    if as_json:
        emit(_plain(asdict(told)))
    else:
        print_scores(told)


def _plain(value: Any) -> Any:
    """Return the data with numbers that JSON lacks as text: `-inf`, `nan`."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def print_scores(told: PointScores) -> None:
    """Print the ranked points, then how well each score ranks them where the truth is known."""
    names = [name for name in told.points[0]["scores"] if any(p["scores"][name] is not None for p in told.points)]
    judged = "accuracy" in told.points[0]
    console.print(
        f"{told.dataset}: {len(told.points)} of {told.space}, one batch of {told.batch_size}, seed {told.seed}",
    )
    lines = []
    for point in told.points:
        values = ["-" if point["scores"][name] is None else f"{point['scores'][name]:.4g}" for name in names]
        lines.append(Line((point["name"], *values, *([f"{point['accuracy']:.2f}"] if judged else []))))
    for which, label in (("spearman", "Spearman's rho"), ("kendall", "Kendall's tau")):
        if told.correlations:
            lines.append(Line((label, *(f"{told.correlations[name][which]:.3f}" for name in names), ""), best=True))
    print_table(Table(("point", *names, *(["true %"] if judged else [])), tuple(lines)))
    for name, reason in told.reasons.items():
        remark(f"{name}: {reason}")
