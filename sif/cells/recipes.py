"""The recipes of cell searches: pictures and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from sif.cells.convolution.nas_bench_201 import NasBench201Settings
from sif.cells.convolution.network import CellSettings
from sif.cells.convolution.space import ConvSettings
from sif.cells.recurrent.settings import RecurrentSettings
from sif.recipes.base import BaseRecipe
from sif.recipes.closed import Count, Share, StrictTable, model_of

__all__ = ["OF_PICTURES", "OF_TEXT", "CellRecipe", "ConvCellRecipe", "NasBench201Recipe", "RecurrentCellRecipe"]

_OF_THE_DATA = ("classes", "in_channels", "vocabulary")
_OF_THE_CELL = (*_OF_THE_DATA, "operations", "steps", "activations")  # a final network takes these from the best cell
_ConvModel: Any = model_of(ConvSettings, leave_out=_OF_THE_DATA)
_NetworkModel: Any = model_of(CellSettings, leave_out=_OF_THE_DATA)
_BenchModel: Any = model_of(NasBench201Settings, leave_out=_OF_THE_DATA)
_BenchNetwork: Any = model_of(NasBench201Settings, leave_out=_OF_THE_CELL)
_RecurrentModel: Any = model_of(RecurrentSettings, leave_out=_OF_THE_DATA)
_RecurrentNetwork: Any = model_of(RecurrentSettings, leave_out=_OF_THE_CELL)
_Whole = Annotated[int, Field(ge=0)]


class PicturesRecipe(StrictTable):
    """Which training pictures are used, and how they are changed on the way to the network.

    - `limit`, `test_limit`: training and test pictures used at most (the first of the test part).
    - `holdout`: how many training pictures only judge the final training. The search trains weights on `share` of the
      rest and the architecture on the remainder; the final training uses both.
    - `size`: height and width that picture files are scaled to (none: they are all of one size).
    - `crop`: random shifts of up to so many pixels; `flip`: left and right at random.
    - `cutout`: side of the square that the final training (alone) blanks out; `label_smoothing` is that training's too.
    """

    limit: Count | None = None
    test_limit: Count | None = None
    holdout: _Whole = 0
    size: Count | None = None
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    crop: _Whole = 4
    flip: bool = True
    cutout: _Whole = 0
    label_smoothing: Share = 0.0


class TextRecipe(StrictTable):
    """How text becomes batches: words used at most, and the window of truncated back-propagation in words.

    `limit` is of the training part, `evaluation_limit` of the validation and of the test part (their first words).
    `vocabulary` keeps so many words at most, the most frequent of the training part, and `min_count` those that stand
    there so often; the others become `<unk>`.
    `random_windows` draws window lengths anew in every pass of the final training, as AWD-LSTM does.
    """

    limit: Count | None = None
    evaluation_limit: Count | None = None
    vocabulary: Annotated[int, Field(ge=3)] | None = None
    min_count: Count = 1
    window: Count = 35
    random_windows: bool = False


class CompareRecipe(StrictTable):
    """Random search beside the best cell, under the same budget; both end in the same final training.

    It trains random cells for `random_epochs` each and keeps the best on validation: as many as take the seconds of the
    search, or `random_trials` (which makes two runs alike to the bit). With random_epochs none it is left out.
    """

    random_epochs: Count | None = None
    random_trials: Count | None = None


class CellRecipe(BaseRecipe):
    """What the recipes of cells share: budgets, the final network, the cells to compare with.

    `retrain`: whether the search ends with the final training of the best cell (else `sif train RUN` does it).
    """

    budget: str = "full"
    budgets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    retrain: bool = True
    compare: CompareRecipe = CompareRecipe()
    space: Any
    network: Any

    def space_settings(self) -> dict[str, Any]:
        """Return the settings of the supernet, by name."""
        values: dict[str, Any] = self.space.model_dump()
        values.pop("name")
        return values

    def network_settings(self) -> dict[str, Any]:
        """Return the settings of the final network, by name."""
        values: dict[str, Any] = self.network.model_dump()
        return values


class ConvCellSpaceRecipe(_ConvModel):  # type: ignore[misc]
    """The supernet of convolutional cells."""

    name: Literal["conv-cell"] = "conv-cell"


class ConvCellRecipe(CellRecipe):
    """Convolutional cells on pictures."""

    task: Literal["image"] = "image"
    pictures: PicturesRecipe = PicturesRecipe()
    space: ConvCellSpaceRecipe = ConvCellSpaceRecipe()
    network: _NetworkModel = _NetworkModel()


class NasBench201SpaceRecipe(_BenchModel):  # type: ignore[misc]
    """The supernet of NAS-Bench-201's cells."""

    name: Literal["nas-bench-201"] = "nas-bench-201"


class NasBench201Recipe(CellRecipe):
    """NAS-Bench-201's cells on pictures; `table` is the file of their true accuracies, if there is one."""

    task: Literal["image"] = "image"
    pictures: PicturesRecipe = PicturesRecipe()
    space: NasBench201SpaceRecipe = NasBench201SpaceRecipe()
    network: _BenchNetwork = _BenchNetwork()
    table: str = ""


class RecurrentSpaceRecipe(_RecurrentModel):  # type: ignore[misc]
    """The supernet of recurrent cells."""

    name: Literal["recurrent-cell"] = "recurrent-cell"


class RecurrentCellRecipe(CellRecipe):
    """Recurrent cells in a language model."""

    task: Literal["text"] = "text"
    text: TextRecipe = TextRecipe()
    space: RecurrentSpaceRecipe = RecurrentSpaceRecipe()
    network: _RecurrentNetwork = _RecurrentNetwork()


def _by_space(*recipes: type[CellRecipe]) -> Mapping[str, type[CellRecipe]]:
    return {recipe.model_fields["space"].default.name: recipe for recipe in recipes}


OF_PICTURES = _by_space(ConvCellRecipe, NasBench201Recipe)
"""Space -> the class of its recipes, on pictures."""
OF_TEXT = _by_space(RecurrentCellRecipe)
"""Space -> the class of its recipes, on text."""
