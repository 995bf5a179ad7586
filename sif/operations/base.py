"""What an operation is: one way to join the vectors of a user and an item, with all that sif knows of it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from sif.encodings.rows import Rows, broadcast
from sif.operations.hinge import HINGE
from sif.operations.kernels import Distance, Tower, Weighted, read_pairs
from sif.operations.tables import FoldedSide

__all__ = ["Node", "Operation"]

Node = Callable[..., str]
"""Adds a node to an ONNX graph: `node(kind, *inputs, **attributes)` returns the name of its output."""


class Operation:
    """One way to join vectors. Subclass it: `formula` and `forward` are needed, all else follows from them.

    What follows is exact, but slower than a rule of the operation's own: gradients by autograd, a block of pairs at a
    time; served by running `forward`; each operation an equivalence class of its own; no export to ONNX. Objects are
    values: they hold no weights, and give the same result for the same vectors.
    """

    name: str = ""
    """Name of a built-in operation; one of your own is named `package.module:object`."""
    formula: str = ""
    """The operation as a person writes it, with {0}, {1}, ... for the vectors: `max({0}, {1})`."""
    width: int = 1
    """Size of the result, in sizes of one vector."""
    modes: int = 2
    """How many vectors are joined; 3 for the space with a context."""
    product: bool = False
    """Whether the result is linear in each mode, so that signs and factors of entries can go into any one of them."""
    negates: tuple[int, ...] = (0, 1)
    """The modes that `canonical` turns the sign of; what cannot be negated (a sigmoid) keeps its own class then."""
    divisor: int = 1
    """What the size of a vector must be a multiple of: the blocks that the operation cuts it into."""
    onnx_kind: str = ""
    """The ONNX operator that it is; an operation of several gives `onnx`."""
    selects: bool = False
    """Whether every entry of the result is that of u or that of v; gradients of weighted sums are made faster then."""

    forward: Callable[..., Tensor]
    """Join float tensors `[..., dim]`, one a mode, broadcast against each other, to `[..., width * dim]`."""

    def gradient(self, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of u and v (or ones that sum to them when broadcast).

        Args:
            grad: Gradient of the result, float `[..., width * dim]`.
            u: What `forward` got, float `[..., dim]`.
            v: The same of the other side, float `[..., dim]`.
        """
        with torch.enable_grad():
            a, b = u.detach().requires_grad_(), v.detach().requires_grad_()
            out = self.forward(a, b)
            first, second = torch.autograd.grad(out, (a, b), grad.expand_as(out), materialize_grads=True)
        return first, second

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str] | None:
        """Return another (operation, predictor) that spans the same set of functions; None where there is none.

        Tables and predictors are free.

        Args:
            predictor: Name of the predictor.
            networks: Whether there are element-wise functions in the way (of a `product`, on both sides): those can be
                negated as a whole, where `negates` says that the rule needs it, but not scaled entry by entry.
        """
        return None

    def halves(self, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return what w . o(u, v) weighs u and v by; None where it is no such sum.

        Args:
            weight: The predictor's weights, float `[..., width * dim]`.
        """
        return None

    def weighted(self, u: Rows, v: Rows, width: int, weight: Tensor | None = None) -> Tensor:
        """Return w . o(u, v) of many pairs.

        Args:
            u: Vectors of n users, `[n, dim]`.
            v: Vectors of items, `[n * width, dim]` or, with width 0, `[m, dim]`.
            width: Items of each user; 0: all m items for all users.
            weight: float `[width * dim]`, by the operation's width; None: the sum of the entries.

        Returns:
            Scores float `[n, width]`, or with width 0 `[n, m]`; so in `distance` and `mlp`.
        """
        weight = self._ones(u.values) if weight is None else weight
        halves = self.halves(weight)
        if halves is None:
            return read_pairs(self, Weighted(), u, v, width, [weight])
        of_items = Rows(v.values @ halves[1], v.index)  # first: the order of a graph is that of its gradients' sums
        return broadcast(Rows(u.values @ halves[0], u.index), of_items, width)

    def distance(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return -||o(u, v)||^2.

        Args:
            u: As in `weighted`.
            v: As in `weighted`.
            width: As in `weighted`.
        """
        return read_pairs(self, Distance(), u, v, width)

    def mlp(self, u: Rows, v: Rows, width: int, parameters: Sequence[Tensor]) -> Tensor:
        """Return an MLP of o(u, v), its first layer applied to each side's table where it splits (see `Tower`).

        Args:
            u: As in `weighted`.
            v: As in `weighted`.
            width: As in `weighted`.
            parameters: Weights `[out, in]` and biases `[out]` of the layers, in turn.
        """
        weight, bias, *rest = parameters
        halves = self.halves(weight)
        if halves is None:
            return read_pairs(self, Tower(), u, v, width, parameters)
        a = Rows(functional.linear(u.values, halves[0]), u.index)
        b = Rows(functional.linear(v.values, halves[1], bias), v.index)
        if len(rest) == 1:
            return HINGE.weighted(a, b, width, rest[0].squeeze(0))
        return read_pairs(HINGE, Tower(), a, b, width, rest)

    def fold_weighted(self, weight: Tensor, mode: int, x: Tensor) -> FoldedSide | None:
        """Return what vectors bring to w . o(u, v); None: no tables give it, and `forward` runs when it is served.

        Args:
            weight: The predictor's weights, float `[width * dim]`.
            mode: 0 for users, 1 for items.
            x: Their vectors, float `[n, dim]`.
        """
        halves = self.halves(weight)
        return None if halves is None else FoldedSide.of(x @ halves[mode])

    def fold_distance(self, mode: int, x: Tensor) -> FoldedSide | None:
        """Return the same for -||o(u, v)||^2.

        Args:
            mode: 0 for users, 1 for items.
            x: Their vectors, float `[n, dim]`.
        """
        return None

    def onnx(self, node: Node, user: str, item: str) -> str | None:
        """Add nodes that join one user with items, and return their output; None: it cannot.

        Args:
            node: Adds a node to the graph.
            user: Name of the user's vector `[dim]`.
            item: Name of the items' vectors `[m, dim]`.
        """
        return node(self.onnx_kind, user, item) if self.onnx_kind else None

    def _ones(self, values: Tensor) -> Tensor:
        return values.new_ones(self.width * values.shape[-1])
