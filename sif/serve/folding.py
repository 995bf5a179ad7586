"""Scores of all items for a block of users, with everything that can be done once done once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import torch
from scipy import sparse
from torch import Tensor

from sif.encodings.side import SIDES
from sif.encodings.side import Side as Of
from sif.errors import RunError
from sif.operations import additive, operation
from sif.operations.hinge import HINGE
from sif.operations.tables import FoldedSide, MlpFactor, Tables, score_tables
from sif.serve.encoded_rows import EncodedRows
from sif.serve.forms import Served, no_new_users
from sif.serve.rows import AlsRows
from sif.spaces.known import FunctionNetwork

__all__ = ["Folded", "as_folded", "fold", "fold_side"]

_BLOCK = 1 << 20  # entries of the largest temporary of an MLP: 4 MiB of float32
_JOINED = {"relu": "sums", "multiply": "products", "max": "maxima", "min": "minima"}
_READ = ("a squared norm", "a weighted sum")


class Folded(Served):
    """An interaction function as tables for inner products and distances: encodings and networks are applied once.

    `multiply` (with `sum`, `linear` or `distance`) and the `distance` of `plus` and `minus` become an inner product;
    `plus`, `minus` and `concat` a bias a side; `max`, `min` and an MLP of one hidden layer on `plus`, `minus` or
    `concat` L1 distances. Other MLPs, and operations without a rule, keep a blocked pass; nothing holds users x items x
    dim. Factors of other models, and scores that are biases alone, are such tables too.
    """

    format = "sif-folded-2"

    def __init__(self, source: Any, *, by_rows: AlsRows | EncodedRows | None = None) -> None:
        """Fold a network of users and items, or take the `Tables` of a fold.

        Args:
            source: The network or the tables.
            by_rows: How a row makes the factors of a new user, of factors that ALS or an auto-encoder made.
        """
        self.tables, self.by_rows = source if isinstance(source, Tables) else fold(source), by_rows
        self.n_users, self.n_items = len(self.tables.users), len(self.tables.items)

    @property
    def additive(self) -> bool:
        """Whether the score is f(user) + g(item), which ranks the items alike for every user."""
        side = self.tables.items
        reads = [
            (factor.join, ("distance", "linear", "mlp")[min(2, len(factor.layers))]) for factor in self.tables.mlps
        ]
        sums = all(join != HINGE.name and additive(join, read) for join, read in reads)
        return sums and not any(t.shape[1] for t in (side.product, side.l1_plus, side.l1_minus))

    def describe(self) -> str:
        """Return in words what the function folded to: `an inner product of 64 dimensions, biases`."""
        side = self.tables.items
        parts = [f"an inner product of {side.product.shape[1]} dimensions"] if side.product.shape[1] else []
        distance = side.l1_plus.shape[1] + side.l1_minus.shape[1]
        parts += [f"L1 distances in {distance} dimensions"] if distance else []
        for factor, table in zip(self.tables.mlps, side.mlps, strict=True):
            read = _READ[len(factor.layers)] if len(factor.layers) < 2 else "an MLP"
            parts.append(f"{read} on {_JOINED.get(factor.join, factor.join)} of {table.shape[1]} dimensions")
        parts += ["biases"] if side.bias.any() or self.tables.users.bias.any() else []
        return ", ".join(parts) or "zero"

    def inner_product(self) -> tuple[Tensor, Tensor] | None:
        """Return user and item factors float32 `[users, d]`, `[items, d]` whose inner products are the scores.

        Biases are dimensions of their own, one a side where any is not 0. None where the function is no inner product.
        """
        users, items = self.tables.users, self.tables.items
        if self.tables.mlps or users.l1_plus.shape[1] or users.l1_minus.shape[1]:
            return None
        left, right = [users.product], [items.product]
        for bias, own, other in ((users.bias, left, right), (items.bias, right, left)):
            if bias.any():
                own.append(bias.unsqueeze(1))
                other.append(bias.new_ones(self.n_items if own is left else self.n_users, 1))
        return torch.cat(left, 1), torch.cat(right, 1)

    def users(self, numbers: Tensor) -> FoldedSide:
        """Return the tables of known users.

        Args:
            numbers: Int64 `[n]`.
        """
        return self.tables.users.rows(numbers.to(self.tables.users.bias.device))

    def new_users(self, rows: sparse.csr_array) -> FoldedSide:
        """Return the tables of users of whom only a row is known: as they are made, or the mean's where biases are all.

        Args:
            rows: CSR `[n, items]`.

        Raises:
            DataError: the users' vectors were trained, and no row makes them.
        """
        users, n = self.tables.users, rows.shape[0]
        if self.by_rows is not None:
            return FoldedSide.of(users.bias.new_zeros(n), product=self.by_rows.factors(self.tables.items.product, rows))
        if self.additive and not self.tables.mlps:
            return FoldedSide.of(users.bias.mean().repeat(n))
        raise no_new_users(self)

    def scorer(self, items: Tensor | None = None) -> Callable[[FoldedSide], Tensor]:
        """Return what makes scores of all items, or of those given."""
        return partial(self._scores, items=self.tables.items if items is None else self.tables.items.rows(items))

    def vectors(self, side: Of) -> Tensor:
        """Return the factors of an inner product."""
        own = self.tables.users if side == "user" else self.tables.items
        return own.product if own.product.shape[1] and self.inner_product() is not None else super().vectors(side)

    def arrays(self) -> dict[str, Tensor]:
        """Return the tables by name: `users.bias`, `items.product`, ..., and `mlp0.weight0` of the first MLP's."""
        arrays: dict[str, Tensor] = {}
        for name, side in (("users", self.tables.users), ("items", self.tables.items)):
            parts = {"bias": side.bias, "product": side.product, "l1_plus": side.l1_plus, "l1_minus": side.l1_minus}
            parts |= {f"mlp{number}": table for number, table in enumerate(side.mlps)}
            arrays |= {f"{name}.{part}": table.cpu().contiguous() for part, table in parts.items()}
        for number, factor in enumerate(self.tables.mlps):
            for layer, (weight, bias) in enumerate(factor.layers):
                arrays |= {f"mlp{number}.weight{layer}": weight.cpu(), f"mlp{number}.bias{layer}": bias.cpu()}
        return arrays | (self.by_rows.arrays() if isinstance(self.by_rows, EncodedRows) else {})

    def facts(self) -> dict[str, Any]:
        """Return the joins of the MLPs, and how a row makes a user where it does."""
        made: dict[str, Any] = {"mlps": [factor.join for factor in self.tables.mlps]}
        if isinstance(self.by_rows, AlsRows):
            return made | {"als": self.by_rows.plain()}
        return made | ({} if self.by_rows is None else {"encoder": [layer.tanh for layer in self.by_rows.layers]})

    @classmethod
    def of_arrays(cls, arrays: dict[str, Tensor], facts: dict[str, Any]) -> Self:
        """Return what `arrays` and `facts` were of."""
        joins, als, encoder = facts.pop("mlps"), facts.pop("als", None), facts.pop("encoder", None)
        mlps = []
        for number, join in enumerate(joins):
            count = sum(name.startswith(f"mlp{number}.weight") for name in arrays)
            layers = [(arrays[f"mlp{number}.weight{i}"], arrays[f"mlp{number}.bias{i}"]) for i in range(count)]
            mlps.append(MlpFactor(join, tuple(layers)))
        users, items = (
            FoldedSide.of(
                arrays[f"{side}.bias"],
                product=arrays[f"{side}.product"],
                l1_plus=arrays[f"{side}.l1_plus"],
                l1_minus=arrays[f"{side}.l1_minus"],
                mlps=tuple(arrays[f"{side}.mlp{number}"] for number in range(len(joins))),
            )
            for side in ("users", "items")
        )
        by_rows = None if encoder is None else EncodedRows.of_arrays(arrays, encoder)
        return cls(Tables(users, items, tuple(mlps)), by_rows=by_rows if als is None else AlsRows.of_plain(als))

    def _scores(self, users: FoldedSide, items: FoldedSide) -> Tensor:
        out = score_tables(users, items)
        for factor, left, right in zip(self.tables.mlps, users.mlps, items.mlps, strict=True):
            _add(out, factor, left, right)
        return out


def as_folded(served: Served) -> Folded:
    """Return a form that is folded tables; raises `RunError` for another."""
    if not isinstance(served, Folded):
        raise RunError(f"the model is {served.describe()}, and not folded tables; ask it as it is served (`served`)")
    return served


def _add(out: Tensor, factor: MlpFactor, users: Tensor, items: Tensor) -> None:
    """Add the scores of joined vectors to `out` `[users, items]`, a block of both at a time."""
    width = max([2 * users.shape[1], *(max(weight.shape) for weight, _ in factor.layers)])
    across = max(1, min(len(items), _BLOCK // width))
    down = max(1, _BLOCK // (width * across))
    for top in range(0, len(users), down):
        for left in range(0, len(items), across):
            block = slice(top, top + down), slice(left, left + across)
            out[block] += _grid(factor, users[block[0]], items[block[1]])


def _grid(factor: MlpFactor, users: Tensor, items: Tensor) -> Tensor:
    """Return scores `[users, items]`; the users of a product go into the first layer's weights."""
    if factor.layers and factor.join == "multiply":
        (weight, bias), *rest = factor.layers
        weights = (users.unsqueeze(1) * weight).flatten(0, 1)  # [users * out, dim]
        hidden = (items @ weights.T).view(len(items), len(users), len(weight)).add_(bias)
        return _after(hidden, rest).T
    joins = HINGE if factor.join == HINGE.name else operation(factor.join)
    joined = joins.forward(users.unsqueeze(1), items)
    if not factor.layers:
        return -joined.square().sum(-1)
    (weight, bias), *rest = factor.layers
    return _after(torch.nn.functional.linear(joined, weight, bias), rest)


def _after(hidden: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return `[...]` from the first layer's output `[..., out]`."""
    for weight, bias in layers:
        hidden = torch.nn.functional.linear(hidden.relu_(), weight, bias)
    return hidden.squeeze(-1)


@torch.no_grad()
def fold(network: Any) -> Tables:
    """Return the tables of a network of users and items; they keep no tie to it.

    A network that is no function of a space says itself what it folds to: `folded()` returns its `Tables`.
    """
    if hasattr(network, "folded"):
        tables: Tables = network.folded()
        return tables
    n_users, n_items = network.sizes
    of_users, of_items = network.encoded("user"), network.encoded("item")
    bias = of_users[0].new_zeros(n_users + n_items)
    if network.bias is not None and network.offset is not None:
        bias = network.bias.detach().squeeze(-1).clone()
        bias[:n_users] += network.offset
    users = fold_side(network, "user", of_users, bias[:n_users])
    items = fold_side(network, "item", of_items, bias[n_users:])
    mlps = tuple(
        branch.mlp_factor(rows.shape[1])
        for branch, rows in zip(network.branches, of_items, strict=True)
        if branch.fold(1, rows[:1].double()).mlps
    )
    return Tables(users, items, mlps)


@torch.no_grad()
def fold_side(network: FunctionNetwork, side: Of, vectors: Sequence[Tensor], bias: Tensor) -> FoldedSide:
    """Return what vectors and biases bring to a score, as users or as items.

    Args:
        network: The trained network.
        side: `user` or `item`.
        vectors: One tensor `[n, dim]` a branch.
        bias: `[n]`.
    """
    mode = SIDES.index(side)
    branches = zip(network.branches, vectors, strict=True)
    return FoldedSide.joined(
        [FoldedSide.of(bias.double()), *(branch.fold(mode, rows.double()) for branch, rows in branches)]
    ).float()
