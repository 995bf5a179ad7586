"""From a recipe to the data of a run: what is read, how it is cut, and on which device it lies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sif.datasets import (
    ColumnNames,
    Interactions,
    Split,
    find_entry,
    is_path,
    item_titles,
    read,
    read_parts,
    split,
)
from sif.datasets.titles import titles_from
from sif.datasets.vocabulary import RawId
from sif.device import resolve_device
from sif.errors import DataError
from sif.problems.fits import check_tables
from sif.problems.recipes import Recipe
from sif.recipes.problems import problem_of
from sif.tasks import TableTask

__all__ = ["Prepared", "prepare"]


@dataclass
class Prepared:
    """The data of a run, checked and cut, with the task made of them."""

    interactions: Interactions
    split: Split
    task: TableTask
    titles: dict[RawId, str] | None

    @property
    def scale(self) -> dict[str, float] | None:
        """Mean, deviation and range of the training ratings; None where nothing is rated."""
        units = self.task.objective.units
        return None if units is None else asdict(units)


def prepare(recipe: Recipe, *, source: Any = None, device: str = "auto", root: Path | None = None) -> Prepared:
    """Read, check and cut the data a recipe names; `source` (a frame, matrix or Interactions) stands in for them."""
    where = resolve_device(device)
    if source is None and not recipe.dataset:
        raise DataError(f"{recipe.origin} names no data; give a file of ratings: sif search FILE, or --data FILE")
    dataset = recipe.dataset if source is None else source
    own = problem_of(recipe)
    interactions, cut = _interactions(recipe, own, dataset, root)
    interactions = own.taken(recipe, interactions)
    if cut is None:
        seed = recipe.seed if recipe.split.seed is None else recipe.split.seed
        cut = split(interactions, recipe.split.kind, recipe.split.fractions, seed)
    check_tables(recipe, (interactions.n_users, interactions.n_items), where)
    titles, notes = _titles(recipe, dataset, interactions, root)
    interactions = replace(interactions, notes=(*interactions.notes, *notes))
    return Prepared(interactions, cut, own.make_task(recipe, interactions, cut, where), titles)


def _interactions(recipe: Recipe, own: Any, dataset: Any, root: Path | None) -> tuple[Interactions, Split | None]:
    """What the recipe names, with the context that it uses and no other; and the parts, where they are files."""
    notes = list[str]()
    given: dict[str, Any] = {str(role): name for role, name in recipe.columns.items()}
    if recipe.context == "column":
        given.setdefault("context", True)
    elif unused := given.pop("context", None):
        notes.append(f'"{unused}" is not used as context: the recipe says context = "{recipe.context}"')
    if isinstance(dataset, Interactions) and recipe.context != "column":
        dataset = dataset.without_context()
    asked, unused = own.weighing(recipe), given.get("weight")
    if unused and "weight" not in asked:
        given["weight"] = ""
    columns = ColumnNames(**(asked | given), only_met=own.only_met(recipe), feedback=recipe.feedback)
    if recipe.valid or recipe.test or given.get("part"):
        seed = recipe.seed if recipe.split.seed is None else recipe.split.seed
        found: tuple[Interactions, Split | None] = read_parts(
            dataset, recipe.valid or None, recipe.test or None, columns, seed, reader=recipe.reader or None
        )
    else:
        found = read(dataset, columns=columns, root=root, reader=recipe.reader or None), None
    weight = found[0].weight if asked else None
    if not asked and own.ranks and found[0].feedback.kind == "counts" and found[0].rating is not None:
        notes.append("each pair counts once, however large; to rank with confidence: --set ranking.weight=confidence")
    if "weight" not in asked and (unused := unused or (weight is not found[0].weight and "weight")):
        notes.append(f'"{unused}" is not used as weight: {own.unweighed}')
    if weight is not None and len(weight) and weight.min() == weight.max():
        notes.append(f"all weights are {weight[0]:g}: rankings are learnt as without")
    interactions, cut = replace(found[0], weight=weight, notes=(*found[0].notes, *notes)), found[1]
    if recipe.context == "month":
        return interactions.with_month_context(), cut
    if recipe.context == "column" and interactions.context is None:
        raise DataError(
            f'{interactions.source} has no context column, and the recipe says context = "column"; '
            "name it with --set columns.context=NAME, or use --set context=month"
        )
    return interactions, cut


def _titles(
    recipe: Recipe, dataset: Any, data: Interactions, root: Path | None
) -> tuple[dict[RawId, str] | None, list[str]]:
    """The titles that the recipe names, or else those of a data set that is known; and what to say of them."""
    if recipe.titles:
        return titles_from(Path(recipe.titles).expanduser(), data, recipe.columns.get("item"))
    if not isinstance(dataset, str | Path):
        return None, []
    known = dataset if is_path(dataset) else find_entry(str(dataset))
    titles = item_titles(known, root)
    if titles is None:
        return None, []
    ids = list(titles)
    of_data = {ids[place]: titles[ids[place]] for place in np.flatnonzero(data.items.encode(ids) >= 0)}
    return of_data, [f"titles of {len(of_data)} items are those of {data.name}"]
