"""Weight steps of large tables by the rows that a batch touches: what they cost does not depend on the tables' size."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = [
    "LEAST_ROWS",
    "LEAST_SHRUNK",
    "SHARE",
    "RowSteps",
    "RowTable",
    "few_rows",
    "is_by_rows",
    "looked_up",
    "row_gradient",
]

LEAST_ROWS = 1 << 15
"""Of a table that is trained by rows, at least."""
LEAST_SHRUNK = 1 << 17
"""The same where it has a `shrink`, which is then no longer taken in every step: results may differ a little."""
SHARE = 8
"""At most one of so many of its rows is touched by a batch."""

_EPS = {"adam": 1e-8, "adagrad": 1e-10, "sgd": 0.0}  # torch's
_NOTHING = 1e-10  # what momentum moves after so much of it has faded is left out
_BLOCK = 1 << 17  # entries of a table that are moved at once: so many, with their moments, fit the cache
_BLOCK_CUDA = 1 << 26


class RowTable(NamedTuple):
    """A weight whose rows a batch looks up, and the penalty that all of its rows have.

    - `weight`: float `[rows, dim]`.
    - `shrink`: what the gradient of a row has of the row itself in every step, whether a batch touches it or not: a
      penalty of shrink / 2 * ||row||^2, which the loss then leaves out.
    """

    weight: nn.Parameter
    shrink: float = 0.0


def few_rows(touched: int, rows: int, shrink: float = 0.0) -> bool:
    """Return whether a table of so many rows is better trained by those that a batch touches: measured on a CPU."""
    return rows >= (LEAST_SHRUNK if shrink else LEAST_ROWS) and touched * SHARE <= rows


def is_by_rows(weight: Tensor) -> bool:
    """Return whether the gradient of a weight is to be one of the rows looked up (see `RowSteps.reading`)."""
    return hasattr(weight, "by_rows")


def looked_up(weight: Tensor, index: Tensor) -> bool:
    """Return `is_by_rows`; where it is so, the rows of `weight` that are about to be read are first paid what they owe.

    Args:
        weight: A table, float `[rows, dim]`.
        index: The rows, int64 of any shape, with repeats.
    """
    pay = getattr(weight, "by_rows", None)
    if pay is not None:
        pay(index.reshape(-1))
    return pay is not None


def row_gradient(index: Tensor, values: Tensor, shape: torch.Size, sparse: bool) -> Tensor:
    """Return the gradient of a table whose rows were looked up, `[rows, dim]`.

    Args:
        index: Which rows, int64 `[n]`, with repeats.
        values: What is added to the gradient of each, float `[n, dim]`.
        shape: Of the table.
        sparse: Whether to make it of these rows alone.
    """
    if sparse:
        return torch.sparse_coo_tensor(index.unsqueeze(0), values, shape, check_invariants=False)
    return values.new_zeros(shape).index_add_(0, index, values)


class RowSteps:
    """Adam, Adagrad or SGD on the rows of tables that have a gradient; all others wait.

    Adagrad and SGD leave a row without a gradient as it is, so that these steps are those of the whole table. Adam goes
    on to move it by its momentum: here such a row owes these moves until it is looked up again, or `settle` is called,
    and is then paid all of them at once. So every batch reads, and every row that is touched holds, what the whole
    table's steps would have made, but for rounding, and for epsilon, which is here of the time of the last gradient.

    `RowTable.shrink` is taken as many times as there were steps since the row was last touched, so that on average it
    is what it is in every step; this alone departs from the whole table's steps.
    """

    def __init__(self, tables: Sequence[RowTable], kind: str, betas: tuple[float, float], steps: int) -> None:
        """Prepare the state of the steps.

        Args:
            tables: What is trained by rows.
            kind: `adam`, `adagrad` or `sgd` (without momentum).
            betas: Of Adam.
            steps: How many there will be, at most.
        """
        self.tables, self._kind, self._betas = tuple(tables), kind, betas
        self._place = {id(table.weight): str(place) for place, table in enumerate(tables)}
        self.state: dict[str, dict[str, Any]] = {
            self._place[id(table.weight)]: self._first(table, steps) for table in tables
        }
        """Per table all that changes, to be saved: plain tensors and numbers."""
        self.written = 0
        """How many rows steps wrote since this was made."""
        fade = betas[0] / math.sqrt(betas[1]) if tables else 0.0
        window = math.ceil(math.log(_NOTHING) / math.log(fade)) if fade else 1
        self._fading = fade ** torch.arange(min(window, steps + 1), 0, -1, dtype=torch.float64)

    @staticmethod
    def fits(kind: str, betas: tuple[float, float], momentum: float, weight_decay: float) -> bool:
        """Return whether steps of an optimiser can be taken row by row: not where all rows move in every step."""
        fades = kind != "adam" or betas[0] < 0.999 * math.sqrt(betas[1])
        return fades and not momentum and not weight_decay

    def _first(self, table: RowTable, steps: int) -> dict[str, Any]:
        """Return the state of a table: per row `last`, its last step of Adam, and `met`, the last that touched it.

        `owed[t]` is how far Adam moves a row since step t, its last, as a multiple of its moment / root then.
        """
        weight, state = table.weight, dict[str, Any](count=0)
        never = torch.zeros(len(weight), dtype=torch.int32, device=weight.device)
        if self._kind == "adam":
            state["owed"] = torch.zeros(steps + 1, dtype=torch.float64, device=weight.device)
            state |= {"last": never.clone(), "first": torch.zeros_like(weight.detach())}
        if self._kind != "sgd":
            state["second"] = torch.zeros_like(weight.detach())
        if table.shrink:
            state["met"] = never
        return state

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within the block, gradients of the tables are sparse, of rows looked up, and penalties leave out `shrink`."""
        for table in self.tables:
            table.weight.by_rows = partial(self._pay, table.weight)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            for table in self.tables:
                del table.weight.by_rows  # type: ignore[attr-defined]

    @torch.no_grad()
    def _pay(self, weight: Tensor, rows: Tensor) -> None:
        """Bring rows of a table to where they were after all steps so far; repeats are written the same values."""
        if self._kind != "adam":
            return
        state, (beta1, beta2) = self.state[self._place[id(weight)]], self._betas
        late = rows[state["last"].index_select(0, rows) < state["count"]]
        for part in torch.split(late, _block(weight)):
            values, first, second = (each.index_select(0, part) for each in (weight, state["first"], state["second"]))
            last = state["last"].index_select(0, part).unsqueeze(1)
            owed, gap = state["owed"].take(last.long()).to(values.dtype), (state["count"] - last).to(values.dtype)
            root = (1.0 - beta2 ** last.clamp_min(1).to(values.dtype)).sqrt_()  # at step 0 nothing is owed
            values.sub_((first / second.sqrt().add_(root, alpha=_EPS["adam"])).mul_(owed))
            self._put(weight, state, part, values, first.mul_(beta1**gap), second.mul_(beta2**gap))

    def _put(self, weight: Tensor, state: dict[str, Any], rows: Tensor, *made: Tensor) -> None:
        """Write rows and their moments, as they are now."""
        for tensor, values in zip((weight, state["first"], state["second"]), made, strict=True):
            tensor.index_copy_(0, rows, values)
        state["last"].index_fill_(0, rows, state["count"])

    def takes(self, weight: Tensor) -> bool:
        """Return whether a weight is one of the tables."""
        return id(weight) in self._place

    @torch.no_grad()
    def step(self, weight: Tensor, gradient: Tensor, rate: float) -> None:
        """Take one step of a table.

        Args:
            weight: The table, float `[rows, dim]`, changed in place.
            gradient: Of the same shape: sparse and coalesced, of some rows, or dense, of all.
            rate: The learning rate.
        """
        place = self._place[id(weight)]
        state, shrink = self.state[place], self.tables[int(place)].shrink
        if gradient.is_sparse:
            rows, grad = gradient.indices()[0], gradient.values()
        else:
            rows, grad = torch.arange(len(weight), device=weight.device), gradient
        self._pay(weight, rows)
        state["count"] = number = state["count"] + 1
        move, block = self._adam if self._kind == "adam" else self._others, _block(weight)
        for part, of_part in zip(torch.split(rows, block), torch.split(grad, block), strict=True):
            if shrink:
                gaps = (number - state["met"].index_select(0, part)).to(grad.dtype).unsqueeze(1)
                of_part = torch.addcmul(of_part, weight.index_select(0, part), gaps, value=shrink)
                state["met"].index_fill_(0, part, number)
            move(weight, state, part, of_part, rate)
        if self._kind == "adam":
            low = max(0, number - len(self._fading))
            owed = state["owed"][low:number]
            owed += self._size(number, rate) * self._fading[low - number :].to(owed.device)
        self.written += len(rows)

    def _size(self, number: int, rate: float) -> float:
        """Return what a step of Adam multiplies moment / root with: the rate, and both corrections of bias."""
        return rate * math.sqrt(1.0 - self._betas[1] ** number) / (1.0 - self._betas[0] ** number)

    def _others(self, weight: Tensor, state: dict[str, Any], rows: Tensor, grad: Tensor, rate: float) -> None:
        if self._kind == "adagrad":
            second = state["second"].index_select(0, rows).addcmul_(grad, grad)
            state["second"].index_copy_(0, rows, second)
            grad = grad / second.sqrt_().add_(_EPS[self._kind])
        weight.index_add_(0, rows, grad, alpha=-rate)

    def _adam(self, weight: Tensor, state: dict[str, Any], rows: Tensor, grad: Tensor, rate: float) -> None:
        """Take a step of Adam (Kingma and Ba, ICLR 2015, algorithm 1) on rows that are up to date."""
        number, (beta1, beta2) = state["count"], self._betas
        values, first, second = (each.index_select(0, rows) for each in (weight, state["first"], state["second"]))
        epsilon = _EPS["adam"] * math.sqrt(1.0 - beta2**number)
        first.mul_(beta1).add_(grad, alpha=1.0 - beta1)
        second.mul_(beta2).addcmul_(grad, grad, value=1.0 - beta2)
        values.addcdiv_(first, second.sqrt().add_(epsilon), value=-self._size(number, rate))
        self._put(weight, state, rows, values, first, second)

    @torch.no_grad()
    def settle(self) -> None:
        """Pay what all rows owe: before the tables are read as a whole, to be judged or kept."""
        for table in self.tables:
            self._pay(table.weight, torch.arange(len(table.weight), device=table.weight.device))


def _block(weight: Tensor) -> int:
    return max(1, (_BLOCK_CUDA if weight.is_cuda else _BLOCK) // max(1, weight.shape[1]))
