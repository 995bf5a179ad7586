"""The recipes of cell searches: pictures and text."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from sif.cells.kind import CellKind
from sif.cells.networks import CELL_KINDS
from sif.recipes.base import BaseRecipe
from sif.recipes.closed import Count, Share, StrictTable, model_of

__all__ = ["OF_PICTURES", "OF_TEXT", "CellRecipe", "ImageRecipe", "TextCellRecipe"]

_OF_THE_DATA = ("classes", "in_channels", "vocabulary")
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

    def accuracies(self) -> str:
        """Return the file of the true accuracies of all cells; empty where the recipe names none."""
        return str(getattr(self, "table", ""))


class ImageRecipe(CellRecipe):
    """Cells on pictures."""

    task: Literal["image"] = "image"
    pictures: PicturesRecipe = PicturesRecipe()


class TextCellRecipe(CellRecipe):
    """Cells in a language model."""

    task: Literal["text"] = "text"
    text: TextRecipe = TextRecipe()


def _recipe_of(kind: CellKind, base: type[CellRecipe]) -> type[CellRecipe]:
    """Return the class of a space's recipes; those of a space with true accuracies may name the file, as `table`."""
    name = kind.space.__name__
    model: Any = model_of(kind.settings, leave_out=_OF_THE_DATA)
    space = _made(f"{name}Recipe", model, name=(Literal[kind.name], kind.name))
    network = model_of(kind.network_settings, leave_out=(*_OF_THE_DATA, *kind.of_the_cell))
    more: dict[str, Any] = {"table": (str, "")} if kind.table is not None else {}
    made = f"{name.removesuffix('Space')}Recipe"
    found: type[CellRecipe] = _made(made, base, space=(space, space()), network=(network, network()), **more)
    return found


def _made(name: str, base: type[BaseModel], /, **members: Any) -> Any:
    made = create_model(name, __base__=base, __module__=__name__, **members)
    globals()[name] = made  # where pickle looks a class up
    return made


def _of_task(task: str, base: type[CellRecipe]) -> Mapping[str, type[CellRecipe]]:
    return {name: _recipe_of(kind, base) for name, kind in CELL_KINDS.items() if kind.task == task}


OF_PICTURES = _of_task("image", ImageRecipe)
"""Space -> the class of its recipes, on pictures."""
OF_TEXT = _of_task("text", TextCellRecipe)
"""Space -> the class of its recipes, on text."""
