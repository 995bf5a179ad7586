"""How well the model of a run ranks the catalogue, beside popularity."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sif.errors import DataError, RunError
from sif.host import shielded
from sif.metrics import rank_metrics
from sif.problems import problem_of
from sif.problems.data import Prepared
from sif.problems.recipes import Recipe
from sif.problems.tables import TableInstance
from sif.recipes import load_recipe
from sif.rivals.method import ScoresOf
from sif.run_directory import RunDirectory
from sif.runs.after import as_trained, judged

__all__ = ["rank_run"]


@shielded(draws=True)
def rank_run(
    run: str | Path,
    *,
    k: tuple[int, ...] = (),
    threshold: float | None = None,
    device: str = "auto",
    root: Path | None = None,
) -> dict[str, Any]:
    """Return how a run's model ranks the full catalogue for each user, on validation and test.

    Where a study of ratings searched what orders lists too, that is the model.

    Training pairs are not ranked, and for the test part those of validation neither. Popularity ranks the items by
    their number of training pairs (of a ranking run: positives).

    Args:
        run: The run directory.
        k: Lengths of the rankings; empty: the run's own, or 10.
        threshold: A part's pairs rated so or more are relevant; None: what the run's own ranking task says, else all.
        device: `auto`, `cpu` or `cuda`.
        root: Folder of data sets.

    Returns:
        `task`, `k`, `threshold`, `items`, `additive` (whether the model ranks the items alike for all), and `parts`:
        for `valid` and `test` the number of `users` with a relevant pair, and `rank_metrics` of `model` and of
        `popularity`; None for a part without pairs, and for the validation part where a refit learnt from it.

    Raises:
        RunError: The run is of cells, has a context mode, or was trained on all data.
        DataError: k is below 1, or no rating of a part reaches the threshold.
    """
    directory = RunDirectory.open(run, needs="result.json").lists()
    recipe = load_recipe(directory.file("recipe.toml"))
    if not isinstance(recipe, Recipe):
        raise RunError(f"run {run} is of cells, and rankings are of ratings; evaluate it without them")
    if recipe.context != "none":
        raise RunError(f"run {run} has a context mode, and rankings are of two modes; evaluate it without them")
    own_k, own_threshold = problem_of(recipe).places(recipe)
    k, threshold = k or (own_k,), own_threshold if threshold is None else threshold
    if min(k) < 1:
        raise DataError(f"k = {min(k)}; ask for 1 item or more")
    if threshold is not None and not np.isfinite(threshold):
        raise DataError(f"threshold = {threshold}; give a rating, such as 4")
    instance = as_trained(judged(directory, device, root), directory.result())
    assert isinstance(instance, TableInstance)
    data, served = instance.data, instance.served(directory)
    counts = data.task.counts()[served.n_users :].float()
    rankings: dict[str, ScoresOf] = {
        "model": served,
        "popularity": lambda users: counts.expand(len(users), -1),
    }
    parts: dict[str, Any] = {}
    before = data.split.train
    for part in ("valid", "test"):
        rows = getattr(data.split, part)
        parts[part] = None
        if len(rows):
            seen, relevant = _pairs(data, before), _pairs(data, _relevant(data, part, threshold))
            parts[part] = {"users": int(np.count_nonzero(np.diff(relevant.indptr)))} | {
                name: rank_metrics(scores_of, seen, relevant, k=k) for name, scores_of in rankings.items()
            }
        before = np.concatenate([before, rows])
    facts = {
        "task": recipe.task,
        "k": list(k),
        "threshold": threshold,
        "items": served.n_items,
        "additive": served.additive,
    }
    return facts | {"parts": parts}


def _relevant(data: Prepared, part: str, threshold: float | None) -> NDArray[np.int64]:
    """Return the rows of a part that count, int64."""
    rows: NDArray[np.int64] = getattr(data.split, part)
    rating = data.interactions.rating
    if threshold is None:
        return rows
    if rating is None:
        raise DataError(f"threshold = {threshold:g}, but {data.interactions.name} has no ratings; leave it out")
    kept = rows[rating[rows] >= np.float32(threshold)]
    if not len(kept):
        most = float(rating[rows].max())
        raise DataError(f"no rating of the {part} part is {threshold:g} or more; the highest is {most:g}")
    return kept


def _pairs(data: Prepared, rows: NDArray[np.int64]) -> sparse.csr_array:
    """Return CSR bool `[users, items]` with an entry for each pair of the rows."""
    known = data.interactions
    entries = (np.ones(len(rows), bool), (known.user[rows], known.item[rows]))
    return sparse.csr_array(entries, shape=(known.n_users, known.n_items))
