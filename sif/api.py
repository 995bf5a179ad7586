"""The library's face: `search` a table, `load` a run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from sif.checkpoint import load_tree
from sif.datasets import Vocabulary
from sif.errors import DataError, RunError
from sif.evaluate.run import rank_run
from sif.models.build import build_network, is_additive
from sif.models.saved import goal_of
from sif.problems import open_recipe, problem
from sif.recipes import BaseRecipe, changes_of, load_recipe
from sif.recommender import Recommender
from sif.report.formula import formula
from sif.run_directory import FinishedRun, RunDirectory
from sif.runs.after import retrain, score
from sif.runs.engine import execute
from sif.serve.topk import top_k
from sif.tasks import Scale

__all__ = ["Run", "execute", "load", "load_cells", "rank_run", "retrain", "score", "search", "search_cells"]


class Run(FinishedRun):
    """A finished run: what was found, how good it is, and the model."""

    @property
    def formula(self) -> str:
        """The found function as text."""
        return formula(self.genotype)

    @property
    def additive(self) -> bool:
        """Whether the function is f(user) + g(item), which ranks the items alike for every user."""
        return is_additive(self.genotype)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights the model has."""
        return int(self._model()["epoch"])

    def recommender(self) -> Recommender:
        """Return the model as a `Recommender` over the ids 0..n-1 of this run's vocabularies."""
        if len(self._model()["sizes"]) != 2:
            raise RunError(f"run {self.path} has a context mode; use recommend(..., context=...) of the run")
        return Recommender.load(self.path / "model.safetensors")

    def recommend(
        self, user: Any, k: int = 10, *, context: Any = None, cold_items: bool = True
    ) -> list[dict[str, Any]]:
        """Return the k best items that the user does not have: item (raw id), score, title, and whether it is cold.

        The score is the predicted rating; of a ranking run it is a logit. Cold items, which training never met, are
        ranked by what else their side has (a bias, an untrained embedding); without `cold_items` they are left out.
        Raises `DataError` for an unknown user (or context), naming the nearest known ones, and for k below 1.
        """
        if k < 1:
            raise DataError(f"k = {k}; ask for 1 item or more")
        ids = json.loads(self.directory.file("ids.json").read_text())
        users, items = Vocabulary.from_list(ids["users"]), Vocabulary.from_list(ids["items"])
        row = users.find(str(user), "user")
        seen = sparse.csr_array(sparse.load_npz(self.directory.file("seen.npz")))[[row]]
        tree = self._model()
        if tree.get("counts") is None:
            raise RunError(f"the model of run {self.path} is of an older sif; train it again: sif train {self.path}")
        counts = tree["counts"][tree["sizes"][0] :][: len(items)].numpy()
        excluded = None if cold_items else np.flatnonzero(counts == 0)
        found, scores = top_k(self._scores(row, len(items), ids, context), k, seen=seen, excluded=excluded)
        keep = found[0] >= 0
        raw, cold = items.decode(found[0][keep].astype(np.int64)), counts[found[0][keep]] == 0
        titles: Mapping[str, str] = ids.get("titles") or {}
        goal = goal_of(tree)
        mean, std = (goal.mean, goal.std) if isinstance(goal, Scale) else (0.0, 1.0)
        return [
            {"item": item, "score": float(score) * std + mean, "title": titles.get(str(item)), "cold": bool(unmet)}
            for item, score, unmet in zip(raw, scores[0][keep], cold, strict=True)
        ]

    def _scores(self, row: int, n_items: int, ids: dict[str, Any], context: Any) -> torch.Tensor:
        if not ids.get("contexts"):
            if context is not None:
                raise DataError(f"run {self.path} has no context mode; leave the context out")
            return self.recommender().folded.scores(torch.tensor([row]))
        contexts = Vocabulary.from_list(ids["contexts"])
        mode = len(contexts) - 1 if context is None else contexts.find(str(context), "context")
        tree = self._model()
        network = build_network(self.genotype, None, sizes=tuple(tree["sizes"]))
        network.load_state_dict(tree["weights"])
        items = torch.arange(n_items)
        with torch.no_grad():
            inputs = torch.stack([torch.full_like(items, row), items, torch.full_like(items, mode)])
            scores: torch.Tensor = network(inputs).unsqueeze(0)
        return scores

    def _model(self) -> dict[str, Any]:
        tree: dict[str, Any] = load_tree(self.path / "model.safetensors")
        return tree


def search(
    data: Any = None,
    strategy: str | None = None,
    *,
    recipe: str | Path | BaseRecipe = "ratings",
    budget: str = "",
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    root: Path | None = None,
) -> Any:
    """Search the architecture that fits the data best, and return the finished run.

    Args:
        data: a path, frame, sparse matrix, `Interactions`, `Pictures`, `Corpus`, or name of a data set; None takes the
            recipe's own.
        strategy: instead of the recipe's.
        recipe: a name, a file, or a recipe.
        budget: of recipes that have budgets: `smoke`, `quick` or `full`.
        settings: overrides the recipe by dotted key (`{"search.epochs": 5}`).
        seed: instead of the recipe's.
        out: the run directory to make. Without it the run lies in a temporary folder that lives as long as the
            returned object.
        device: `auto`, `cpu` or `cuda`.
        root: folder of data sets.

    Returns:
        A `Run` of tables, a `CellRun` of cells: what the problem's runs are.

    Raises:
        DataError: the data cannot be used; before anything is written.
        RecipeError: the recipe has problems; before anything is written.
    """
    changes = changes_of(settings, strategy, seed)
    if isinstance(recipe, BaseRecipe):
        if changes or budget:
            raise DataError("give settings with a recipe by name or file; change a Recipe value with model_copy")
        resolved = recipe
    else:
        resolved = load_recipe(recipe, changes, budget)
    if isinstance(data, str | Path):
        resolved, data = resolved.model_copy(update={"dataset": str(data)}), None
    elif data is not None:
        resolved = resolved.model_copy(update={"dataset": ""})
    instance = open_recipe(resolved, source=data, device=device, root=root)
    keep = tempfile.TemporaryDirectory(prefix="sif-") if out is None else None
    directory = RunDirectory.create(Path(keep.name) if keep is not None else Path(out or ""), instance.name)
    execute(instance, directory)
    return problem(resolved.task).run(directory, keep)


def load(path: str | Path) -> Any:
    """Open a finished run directory, of any problem; raises `RunError` saying what is missing."""
    directory = RunDirectory.open(path, needs="result.json")
    return problem(directory.result()["task"]).run(directory)


def search_cells(recipe: str | Path, data: Any = None, **more: Any) -> Any:
    """Search the cell that does best on pictures or text by a recipe (`cifar10`, `ptb`, a file); as `search`."""
    return search(data, recipe=recipe, **more)


load_cells = load
