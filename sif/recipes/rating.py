"""The recipe of a rating task: interaction functions on a table of ratings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nasp_core.spaces import InteractionSettings
from sif.recipes.base import BaseRecipe
from sif.recipes.closed import Closed, Count, Size, model_of

__all__ = ["Recipe"]

_SettingsModel = model_of(InteractionSettings)


class SplitRecipe(Closed):
    """How the data are cut; `seed` None takes the run's seed."""

    kind: Literal["random", "user", "leave-last-out", "temporal"] = "random"
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)
    seed: Annotated[int, Field(ge=0)] | None = None


class SpaceRecipe(_SettingsModel):  # type: ignore[misc, valid-type]
    """Which space is searched, with its settings."""

    name: Literal["interaction", "tensor-interaction"] = "interaction"


class BaselineRecipe(Closed):
    """Which baselines stand beside the find: fixed models by name, all points (`enumerate`), random search."""

    names: tuple[str, ...] = ()
    enumerate: bool = True
    random: bool = True


class TuneRecipe(Closed):
    """The grid on which the find and the baselines choose by validation; the recipe's own values are always in it.

    `l2` holds for all that have embeddings; `embedding_dim` for the find and the tuned baseline (biased-mf).
    """

    l2: tuple[Size, ...] = ()
    embedding_dim: tuple[Count, ...] = ()


class Recipe(BaseRecipe):
    """Every value of a run: data, split, space, strategy, the two trainings, the baselines."""

    task: Literal["rating"] = "rating"
    valid: str = ""
    test: str = ""
    columns: dict[Literal["user", "item", "rating", "timestamp", "context"], str] = Field(default_factory=dict)
    context: Literal["none", "month", "column"] = "none"
    split: SplitRecipe = SplitRecipe()
    space: SpaceRecipe = SpaceRecipe()
    tune: TuneRecipe = TuneRecipe()
    baselines: BaselineRecipe = BaselineRecipe()

    def settings(self) -> InteractionSettings:
        """Return the settings of the space."""
        return InteractionSettings(**{k: v for k, v in self.space.model_dump().items() if k != "name"})
