"""Operations and encodings of one's own: with `forward` alone, with rules, and such as are wrong."""

import torch
from torch import Tensor

from sif.encodings import Encoding
from sif.operations import Operation
from sif.operations.plus import Plus


class Distance(Operation):
    """|u - v|."""

    formula = "|{0} - {1}|"

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        return (u - v).abs()


class Both(Operation):
    """[u * v; u + v], of twice the size, with an ONNX form."""

    formula, width = "[{0} * {1}; {0} + {1}]", 2

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        return torch.cat([u * v, u + v], -1)

    def onnx(self, node, user, item):
        return node("Concat", node("Mul", user, item), node("Add", user, item), axis=1)


class Third(Operation):
    """u / 3 + v: additive, which it does not say."""

    formula = "({0} / 3 + {1})"

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        return u / 3 + v


class WrongFold(Plus):
    """Folds as a sum what is none."""

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        return u * v + u


class WrongGradient(Distance):
    """Gives a gradient that is not that of its function."""

    def gradient(self, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return grad.expand_as(u + v), grad.expand_as(u + v)


class NoForward(Operation):
    formula = "({0} ? {1})"


class Narrow(Operation):
    formula, width = "[{0}; {1}]", 1

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        return torch.cat([u + 0 * v, v + 0 * u], -1)


class Last(Encoding):
    """The last of the list."""

    formula = "last{mark}({side})"

    def encode(self, table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
        some = starts.diff() > 0
        last = members[(starts[1:] - 1).clamp_min(0)] if len(members) else starts[1:] * 0
        return table[last] * some.unsqueeze(-1)


class Borrowed(Last):
    """The last of the list by its id on the other side, predicted or not."""

    formula, tied, whole = "b{mark}({side})", "other", True


class Misread(Last):
    tied = "mine"


class Infinite(Encoding):
    """The mean, of nothing too."""

    formula = "m({side})"

    def encode(self, table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
        sums = torch.zeros(len(starts) - 1, table.shape[1])
        rows = torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())
        return sums.index_add(0, rows, table[members]) / starts.diff().unsqueeze(-1)


DISTANCE, LAST = Distance(), Last()
