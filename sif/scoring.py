"""Points of a recipe's space, or what a run found, ranked by training-free scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from nasp_core.errors import GenotypeError, ProxyError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.proxies import Proxy, SupernetProxy, make_proxy, proxy_name, proxy_score
from nasp_core.types import Batch, derive_seed
from sif.cells.networks import CELL_TABLES
from sif.cells.truth import TrueAccuracies
from sif.errors import DataError, RunError
from sif.host import shielded
from sif.problems import problem_of
from sif.problems.base import Instance
from sif.recipes import load_recipe
from sif.run_directory import RunDirectory

__all__ = ["PointScores", "correlations", "score_points"]

_TRIES = 20


@dataclass
class PointScores:
    """Points of one space with their scores, best first.

    - `points`: per point its `name`, its `scores` (None where a score has no meaning for it) and, with a table, the
      `accuracy` in percent on CIFAR-10. They are ordered by the first score that has a meaning for any of them.
    - `reasons`: of each score that lacks a meaning for some point, why.
    - `correlations`: with a table, of each score `spearman` and `kendall` with the accuracy.
    """

    space: str
    dataset: str
    seed: int
    batch_size: int
    points: list[dict[str, Any]]
    reasons: dict[str, str] = field(default_factory=dict)
    correlations: dict[str, dict[str, float]] = field(default_factory=dict)


def correlations(scores: Sequence[float], truth: Sequence[float]) -> dict[str, float]:
    """Return Spearman's rho and Kendall's tau-b of scores with the truth; NaN where one is flat.

    Args:
        scores: One of each architecture; -inf is lowest.
        truth: The true figures, in the same order.
    """
    ranks = stats.rankdata(scores)
    if len(set(ranks)) < 2 or len(set(truth)) < 2:
        return {"spearman": math.nan, "kendall": math.nan}
    return {
        "spearman": float(stats.spearmanr(ranks, truth).statistic),
        "kendall": float(stats.kendalltau(ranks, truth).statistic),
    }


@shielded(draws=True)
def score_points(
    source: str | Path,
    *,
    scores: Sequence[str | Proxy] = (),
    points: int = 10,
    genotypes: Sequence[str | Path] = (),
    data: str = "",
    changes: Sequence[str] = (),
    budget: str = "",
    seed: int | None = None,
    batch_size: int = 64,
    table: str = "",
    device: str = "auto",
    root: Path | None = None,
) -> PointScores:
    """Score points of a space by one training batch, without training.

    Cells are scored in the recipe's final network.

    Args:
        source: A run, whose best architecture is scored, or a recipe (a name or a file).
        scores: Proxies or their names (of `nasp_core.proxies.PROXIES`, an entry point of `sif.proxies`,
            `package.module:object`); by default naswot, synflow and grad-norm of pictures, else synflow and grad-norm.
        points: How many random points of the recipe's space.
        genotypes: Files of points to score instead.
        data: Instead of the recipe's.
        changes: `key=value` each, of the recipe.
        budget: One of the recipe's budgets.
        seed: Draws the points, the weights and the batch; None: the recipe's.
        batch_size: Samples of the batch.
        table: A file of the true accuracies of NAS-Bench-201, to compare with.
        device: `auto`, `cpu` or `cuda`.
        root: Folder of data sets.

    Raises:
        ProxyError: A score is unknown, or none has a meaning for any point.
    """
    if points < 1 or batch_size < 2:
        raise DataError(f"points = {points}, batch_size = {batch_size}; give 1 point and 2 samples, or more")
    wanted = {proxy_name(given): make_proxy(given) for given in scores}
    if len(wanted) < len(scores):
        raise ProxyError(f"two scores are called alike among {', '.join(map(proxy_name, scores))}; name each once")
    run = Path(source).is_dir()
    if run and (data or changes):
        raise RunError(f"{source} is a run, which has its own data and settings; leave out --data and --set")
    opened = RunDirectory.open(source, needs="result.json") if run else None
    recipe = load_recipe(source if opened is None else opened.file("recipe.toml"), changes, budget)
    if data:
        recipe = recipe.model_copy(update={"dataset": data})
    found = [_read(Path(path)) for path in genotypes]
    if opened is not None and not found:
        found = [opened.genotype()]
    truth = _truth(recipe, table)
    instance = _opened(recipe, device, root)
    space = instance.space()
    if not wanted:
        more = ["naswot"] if recipe.task == "image" else []
        wanted = {name: make_proxy(name) for name in (*more, "synflow", "grad-norm")}
    seed = recipe.seed if seed is None else seed
    space.reset(torch.Generator().manual_seed(derive_seed(seed, "score", "space")))
    chosen = found or _drawn(space, points, seed)
    batch = instance.search_task.stream("train", batch_size, derive_seed(seed, "score", "batch")).batch(0)
    result = PointScores(space.name, instance.name, seed, batch_size, [])
    for genotype in chosen:
        values = _score(instance, space, wanted, genotype, batch, derive_seed(seed, "score", "weights"), result.reasons)
        entry: dict[str, Any] = {"name": instance.formula(genotype), "scores": values}
        if truth is not None:
            entry["accuracy"] = truth.of(entry["name"])[truth.names[0]]
        result.points.append(entry)
    return _ranked(result, list(wanted))


def _read(path: Path) -> Genotype:
    """Return the genotype of a file."""
    if not path.is_file():
        raise DataError(f"no genotype {path}; a run has one: RUN/genotype.json")
    try:
        return Genotype.from_json(path.read_text(encoding="utf-8"))
    except (GenotypeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from None


def _truth(recipe: Any, table: str) -> TrueAccuracies | None:
    named = table or getattr(recipe, "table", "")
    if not named:
        return None
    if recipe.space.name not in CELL_TABLES:
        known = " or ".join(table.benchmark for table in CELL_TABLES.values())
        raise DataError(f"--table is of cells of {known}, and {recipe.origin} is of another space; leave it out")
    return CELL_TABLES[recipe.space.name].read(named)


def _opened(recipe: Any, device: str, root: Path | None) -> Instance:
    """Read the data of a recipe, and return what its points are scored on."""
    problem = problem_of(recipe)
    problem.check(recipe)
    opened: Instance = problem.reopen(recipe, device=device, root=root)
    return opened


def _drawn(space: Space, count: int, seed: int) -> list[Genotype]:
    """Return random points of different equivalence classes; fewer where the space has not as many."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "score", "points"))
    found: dict[str, Genotype] = {}
    for _ in range(_TRIES * count):
        active = space.random_point(generator)
        found.setdefault(space.equivalence_class(active), space.genotype(active))
        if len(found) == count:
            break
    return list(found.values())


def _score(
    instance: Instance,
    space: Space,
    wanted: Mapping[str, Proxy],
    genotype: Genotype,
    batch: Batch,
    seed: int,
    reasons: dict[str, str],
) -> dict[str, float | None]:
    """Return the scores of a point; None, and an entry in `reasons`, where one has no meaning for it."""
    active = space.selection(genotype)
    network = instance.build(genotype)
    network.reset(torch.Generator().manual_seed(seed))
    values: dict[str, float | None] = {}
    for name, score in wanted.items():
        try:
            if isinstance(score, SupernetProxy):
                values[name] = proxy_score(score, space, active, batch, instance.search_task.loss, seed=seed)
            else:
                values[name] = score.score(network, batch, instance.search_task.loss)
        except ProxyError as error:
            values[name] = None
            reasons.setdefault(name, str(error))
    return values


def _ranked(result: PointScores, names: list[str]) -> PointScores:
    """Put the points in order, and compare with the truth where there is one."""
    useful = [name for name in names if any(point["scores"][name] is not None for point in result.points)]
    if not useful:
        raise ProxyError(
            "no score has a meaning here:\n  " + "\n  ".join(f"{n}: {r}" for n, r in result.reasons.items())
        )

    def worth(point: dict[str, Any]) -> tuple[bool, float]:
        value = point["scores"][useful[0]]
        return value is not None, -math.inf if value is None else value

    result.points.sort(key=worth, reverse=True)
    if len(result.points) > 1 and "accuracy" in result.points[0]:
        for name in useful:
            pairs = [(p["scores"][name], p["accuracy"]) for p in result.points if p["scores"][name] is not None]
            result.correlations[name] = correlations(*zip(*pairs, strict=True))
    return result
