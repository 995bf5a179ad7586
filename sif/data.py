"""From a recipe to the data of a run: what is read, how it is cut, and on which device it lies."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sif.datasets import (
    ColumnNames,
    Interactions,
    Split,
    check_rating_task,
    find_entry,
    item_titles,
    read,
    read_parts,
    split,
)
from sif.datasets.vocabulary import RawId
from sif.errors import DataError
from sif.models.fits import check_tables
from sif.recipes import RankingRecipe, Recipe
from sif.tasks import RankingTask, RatingTask

__all__ = ["Prepared", "make_task", "prepare", "resolve_device"]


@dataclass
class Prepared:
    """The data of a run, checked and cut, with the task made of them."""

    interactions: Interactions
    split: Split
    task: RatingTask | RankingTask
    titles: dict[RawId, str] | None

    @property
    def scale(self) -> dict[str, float] | None:
        """Mean, deviation and range of the training ratings; None where nothing is rated."""
        return asdict(self.task.scale) if isinstance(self.task, RatingTask) else None


def resolve_device(name: str) -> torch.device:
    """Return the device for `auto` (CUDA when there is one), `cpu` or `cuda`; raises `DataError` without CUDA."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DataError(
            f"device = {name}, but torch sees no CUDA device; use --device cpu (or auto), "
            "or see `sif doctor` for the installed torch build"
        )
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise DataError(f"device = {name} is unknown; use auto, cpu or cuda")
    return torch.device(name)


def prepare(recipe: Recipe, *, source: Any = None, device: str = "auto", root: Path | None = None) -> Prepared:
    """Read, check and cut the data a recipe names; `source` (a frame, matrix or Interactions) stands in for them."""
    where = resolve_device(device)
    if source is None and not recipe.dataset:
        raise DataError(f"{recipe.origin} names no data; give a file of ratings: sif search FILE, or --data FILE")
    columns = ColumnNames(**recipe.columns)
    dataset = recipe.dataset if source is None else source
    seed = recipe.seed if recipe.split.seed is None else recipe.split.seed
    if recipe.valid or recipe.test:
        interactions, cut = read_parts(dataset, recipe.valid or None, recipe.test or None, columns, seed)
    else:
        interactions, cut = read(dataset, columns=columns, root=root), None
    if recipe.context == "month":
        interactions = interactions.with_month_context()
    elif recipe.context == "column" and interactions.context is None:
        raise DataError(
            f'{interactions.source} has no context column, and the recipe says context = "column"; '
            "name it with --set columns.context=NAME, or use --set context=month"
        )
    if not isinstance(recipe, RankingRecipe):
        check_rating_task(interactions)
    if cut is None:
        cut = split(interactions, recipe.split.kind, recipe.split.fractions, seed)
    check_tables(recipe, (interactions.n_users, interactions.n_items), where)
    return Prepared(interactions, cut, make_task(recipe, interactions, cut, where), _titles(dataset, root))


def make_task(recipe: Recipe, interactions: Interactions, cut: Split, device: torch.device) -> RatingTask | RankingTask:
    """Return the task of a recipe on data that are cut, on `device`."""
    if isinstance(recipe, RankingRecipe):
        return RankingTask(interactions, cut, recipe.ranking_settings(), device=device)
    return RatingTask(interactions, cut, device=device, context=recipe.context != "none")


def _titles(dataset: Any, root: Path | None) -> dict[RawId, str] | None:
    if not isinstance(dataset, str | Path):
        return None
    if Path(dataset).exists():
        return item_titles(dataset, root)
    return item_titles(find_entry(str(dataset)), root)
