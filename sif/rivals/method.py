"""How a comparison learns a rival: the function, which settings are tried, and what it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sif.errors import DataError
from sif.rivals.pair_table import PairTable
from sif.serve.forms import Served
from sif.serve.items import ItemItem

__all__ = ["Fit", "Fitted", "Method", "ScoresOf", "Settings", "by_products", "grid_of"]

Settings = Mapping[str, Any]
"""The values of one point of a method's grid, by name: plain numbers, strings and lists."""

ScoresOf = Callable[[Tensor], Tensor]
"""From users int64 `[B]` to their scores of all items, float `[B, items]`."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A method that has learnt: its scores, and how many numbers it learnt (None where it does not say).

    Scores that are a served form (`Folded`, `ItemItem`) can be saved and handed over by a run; a plain function cannot,
    unless `form` orders items as it does. `seconds` stands for the time of the training where `fit` only read back what
    was trained before; `known` is the time of that part of it which was at hand from another point. `epoch` is the one
    that the validation part chose, of a method whose setting `epochs` says how long it trains: where there is no
    validation part, that setting is what it trains.
    """

    scores_of: ScoresOf
    parameters: int | None
    seconds: float | None = None
    epoch: int | None = None
    form: Served | None = None
    known: float = 0.0

    @property
    def served(self) -> Served | None:
        """The form that serves it; None of a method that is scores alone."""
        return self.scores_of if self.form is None and isinstance(self.scores_of, Served) else self.form


Fit = Callable[[PairTable, Settings, int], Fitted]
"""`fit(table, settings, seed)`: learn from `table.train`. `table.valid` may stop it; the test part is not there."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a comparison learns a rival.

    Attributes:
        fit: learns from a table.
        grid: settings in the order in which they are tried; the first ones are all that a small budget reaches.
        by: the implementation, where it is not sif's own.
        deterministic: whether the seed changes nothing; such a method is trained once.
        package: what must be importable; `install` is the command that brings it.
        refuse: returns why the method cannot run on a table (too large, such as), or an empty string.
        searched: seconds that choosing took before the comparison (the search of the best architecture).
        note: what a reader of its row must know.
        key: changes whenever something that is learnt from, beside table and settings, does (the model of a run).
        cost: returns roughly how many seconds of a processor a training takes on a table, before any was timed.
        weighted: whether `fit` makes use of `table.confidence`, the weights of implicit feedback.
    """

    fit: Fit
    grid: tuple[Settings, ...] = ({},)
    by: str = ""
    deterministic: bool = False
    package: str = ""
    install: str = ""
    refuse: Callable[[PairTable], str] = lambda table: ""
    searched: float = 0.0
    note: str = ""
    key: str = ""
    weighted: bool = False
    cost: Callable[[PairTable], float] = lambda table: 0.0

    def __post_init__(self) -> None:
        """Raise `DataError` where there is nothing to try."""
        if not self.grid:
            raise DataError("a method has an empty grid; give it one point or more, if only {}")


def grid_of(centre: Settings, **axes: tuple[Any, ...]) -> tuple[Settings, ...]:
    """Return all combinations of the axes, nearest to `centre` first, ties in the order of the axes.

    Far is a point by the number of steps along all axes, whose values are given in their natural order: what a budget
    cuts off are the corners.

    Args:
        centre: The settings that are tried first.
        **axes: The values of each setting.
    """
    points: list[tuple[int, dict[str, Any]]] = [(0, {})]
    for name, values in axes.items():
        middle = values.index(centre[name])
        points = [
            (far + abs(place - middle), point | {name: value})
            for far, point in points
            for place, value in enumerate(values)
        ]
    return tuple(point for _, point in sorted(points, key=lambda pair: pair[0]))


def by_products(table: PairTable, weights: Any, *, confident: bool = False) -> ItemItem:
    """Return scores that are sums of rows of weights of what a user has, in the form that serves them.

    Args:
        table: The training pairs.
        weights: An array or CSR `[items, items]`.
        confident: Whether each pair counts by its confidence, where there are some.
    """
    histories = table.weights(weights.dtype.type, confident=confident)
    return ItemItem(histories, weights, table.weighing if confident else None)
