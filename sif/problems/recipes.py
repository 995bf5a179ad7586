"""The recipes of interaction functions on a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nasp_core.optimise import Training
from sif.datasets.columns import SaidFeedback
from sif.errors import RecipeError
from sif.recipes.base import BaseRecipe
from sif.recipes.changes import Change
from sif.recipes.closed import Count, Size, StrictTable, model_of
from sif.recipes.limit import NONE
from sif.recipes.load import load_recipe
from sif.recipes.problems import problem_of
from sif.rivals.base import Kind
from sif.spaces.interaction import InteractionSettings
from sif.spaces.wide_settings import WideSettings

__all__ = ["Recipe", "WideRecipe", "load_rating_recipe"]

_SettingsModel = model_of(InteractionSettings)
_WideModel: Any = model_of(WideSettings)


class SplitRecipe(StrictTable):
    """How the data are cut; `seed` None takes the run's seed."""

    kind: Literal["random", "user", "leave-last-out", "temporal"] = "random"
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)
    seed: Annotated[int, Field(ge=0)] | None = None


class SpaceRecipe(_SettingsModel):  # type: ignore[misc, valid-type]
    """Which space is searched, with its settings."""

    name: Literal["interaction", "tensor-interaction"] = "interaction"


class BaselineRecipe(StrictTable):
    """Which baselines stand beside the best architecture: models by name, all points (`enumerate`), random search."""

    names: tuple[str, ...] = ()
    enumerate: bool = True
    random: bool = True


StudyPart = Literal["portfolio", "supernet", "rungs", "settings", "rivals", "blend"]


class StudyRecipe(StrictTable):
    """What a study may spend, what it searches, the parts that it goes without, and whether it ends with a refit.

    - `budget`: `auto`, seconds (`2m`) or trainings (`40trials`); with `none` the strategy searches alone.
    - `goal`: of a table of ratings whether what predicts them is searched, what orders lists (`ranking`), or `both`.
    - `pinned`: keys of the recipe that it does not search: all that is trained has the recipe's own value of them.
    - `refit`: what it chose is trained once more on training and validation part, before the test part is read; `auto`:
      where training and test part were given and no validation part.
    """

    budget: str = "none"
    goal: Literal["both", "rating", "ranking"] = "both"
    without: tuple[StudyPart, ...] = ()
    pinned: tuple[str, ...] = ()
    refit: bool | Literal["auto"] = "auto"


class TuneRecipe(StrictTable):
    """The grid on which all models choose by validation; the recipe's own values are always in it.

    `l2` and `learning_rate` (of the final training) hold for all that have embeddings; `embedding_dim` for the best
    architecture and the baselines that are tuned so (biased-mf, named points).
    """

    l2: tuple[Size, ...] = ()
    embedding_dim: tuple[Count, ...] = ()
    learning_rate: tuple[Annotated[float, Field(gt=0)], ...] = ()


Column = Literal["user", "item", "rating", "timestamp", "context", "weight", "part", "header"]


class Recipe(BaseRecipe):
    """Every value of a run: data, split, space, strategy, the two trainings, the baselines.

    `protocol` names the published protocol that the other values follow (`sif.protocols`); empty: none.
    """

    task: str = "rating"
    protocol: str = ""
    reader: str = ""
    feedback: SaidFeedback = ""
    valid: str = ""
    test: str = ""
    titles: str = ""
    columns: dict[Column, str] = Field(default_factory=dict)
    context: Literal["none", "month", "column"] = "none"
    split: SplitRecipe = SplitRecipe()
    space: SpaceRecipe = SpaceRecipe()
    study: StudyRecipe = StudyRecipe()
    tune: TuneRecipe = TuneRecipe()
    baselines: BaselineRecipe = BaselineRecipe()

    @property
    def asks(self) -> Kind:
        """What a network of a rival is asked (`sif.rivals.Rival.networks`)."""
        return "triples" if self.space.name == "tensor-interaction" else "pairs"

    @property
    def pinned(self) -> tuple[str, ...]:
        """The keys of settings that a study leaves as they are: those of `study.pinned`, and what the caller set.

        Who sets `study.pinned` too says with it which of these are pinned.
        """
        own = self.study.pinned
        if self.was_set("study.pinned"):
            return own
        searched = getattr(problem_of(self), "searched", lambda recipe: ())
        return tuple(dict.fromkeys([*own, *(key for key in searched(self) if self.was_set(key))]))

    def resolved(self) -> dict[str, Any]:
        """Return every value as plain data; of a study what is pinned, whoever pinned it."""
        values = super().resolved()
        if self.study.budget != NONE:
            values["study"]["pinned"] = self.pinned
        return values

    def final_training(self, tuned: Mapping[str, Any]) -> Training:
        """Return the final training of an architecture with what tuning chose for it (`result.json`, key `tuned`)."""
        training = self.training("train")
        rate = tuned.get("learning_rate", training.optimiser.learning_rate)
        return replace(training, optimiser=replace(training.optimiser, learning_rate=rate))

    def settings(self) -> InteractionSettings | WideSettings:
        """Return the settings of the space."""
        return InteractionSettings(**self.space.model_dump(exclude={"name"}))


class WideSpaceRecipe(_WideModel):  # type: ignore[misc]
    """The wide space, with its settings."""

    name: Literal["interaction-wide"] = "interaction-wide"


class WideRecipe(Recipe):
    """Ratings, with encodings, element-wise networks, operations, predictors and biases to choose from."""

    context: Literal["none"] = "none"
    space: WideSpaceRecipe = WideSpaceRecipe()

    @property
    def asks(self) -> Kind:
        """What a network of a rival is asked."""
        return "wide"

    def settings(self) -> WideSettings:
        """Return the settings of the space."""
        return WideSettings(**self.space.model_dump(exclude={"name"}))


def load_rating_recipe(source: str | Path, overrides: Sequence[str | Change] = ()) -> Recipe:
    """Return a recipe of ratings (see `load_recipe`); raises `RecipeError` for one of cells."""
    recipe = load_recipe(source, overrides)
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{recipe.origin} is of task {recipe.task}; use sif.search_cells")
    return recipe
