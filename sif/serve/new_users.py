"""Users the model was not trained on: encoded by their history, and solved for with everything else fixed."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from scipy import sparse
from torch import Tensor

from sif.encodings import encoding
from sif.encodings.base import Known, Lookup
from sif.encodings.side import SideTables
from sif.encodings.sums import lists_of
from sif.host import shielded
from sif.operations.tables import FoldedSide
from sif.serve.folding import fold_side
from sif.serve.row_losses import Asks, RowRanking, UserRows
from sif.spaces.branch import FunctionBranch
from sif.spaces.known import FunctionNetwork
from sif.tasks import RankingSettings, Scale
from sif.tasks.ranking_losses import POINTWISE

__all__ = ["solve_users"]

_BLOCK = 1 << 22  # scores of a step: 16 MiB of float32
_FOLDS = 8
_STEPS, _LEARNING_RATE = 100, 0.05


@shielded()
def solve_users(network: FunctionNetwork, rows: sparse.csr_array, objective: Scale | RankingSettings) -> FoldedSide:
    """Return the tables (for `Folded.scores_of`) of users that were not trained on.

    What a user's encoding takes from their history is computed from the row; of a propagated one all layers but their
    own, which are those of the trained graph, without them. An embedding of their own, where the encoding has one,
    starts at the mean user's and is solved for by Adam on the row, with training's penalty on the embedding of a user
    with as many entries:

    - for ratings, by their mean squared error, the bias too; each is predicted from the history without it, as in
      training;
    - for a ranking, by the mean over the row's items (its values are not read) of training's loss, over the whole
      catalogue instead of drawn items. Where a history is encoded beside the embedding, a part of the row at a time
      is predicted from the rest: as much as training hid of it, an eighth where it hid one item.

    A user with an empty row is the mean user. Users do not depend on each other; deterministic.

    Args:
        network: The trained network.
        rows: CSR `[users, items]`.
        objective: How ratings are standardised, or the settings of the ranking.
    """
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    branches = _branches(network)
    step = max(1, _BLOCK // (_FOLDS * network.sizes[1]))
    blocks = [slice(start, start + step) for start in range(0, rows.shape[0], step)] or [slice(0, 0)]
    scale = objective if isinstance(objective, Scale) else None
    solved = [_solve(network, branches, UserRows.of(rows[block], scale), objective) for block in blocks]
    vectors = [torch.cat(parts) for parts in zip(*(vectors for vectors, _ in solved), strict=True)]
    return fold_side(network, "user", vectors, torch.cat([bias for _, bias in solved]))


class _Branch(NamedTuple):
    """How one branch makes a user's vector and scores it.

    `start` `[dim]`: the mean row of the users' embeddings, None where the encoding lacks them; `known`: the tables of
    what is known of a user, and how much of their own row is in their vector; `lift`: the element-wise network;
    `branch`: the function; `items` `[items, dim]`.
    """

    start: Tensor | None
    known: SideTables
    lift: Callable[[Tensor], Tensor]
    branch: FunctionBranch
    items: Tensor

    def history(self, rows: UserRows, lookup: Lookup) -> Tensor | None:
        """Return what is known of the users of a lookup, None where the encoding reads no history."""
        lists = lists_of(rows.starts, rows.item, len(self.items), rows.rating)
        known = Known(lists, self.known.power, self.known.half_life)
        parts = [encoding(name).rows(table, lookup, known)[0].full() for name, table in self.known.tables.items()]
        return sum(parts[1:], parts[0]) if parts else None


def _branches(network: FunctionNetwork) -> list[_Branch]:
    made = []
    parts = zip(network.branches, network.tables("user"), network.encoded("item"), strict=True)
    for number, (branch, side, items) in enumerate(parts):
        tables = {name: table.detach() for name, table in side.tables.items()}
        own = [tables.pop(name).mean(0) for name in list(tables) if encoding(name).own]
        made.append(
            _Branch(
                sum(own[1:], own[0]) if own else None,
                side._replace(tables=tables),
                partial(network.lift, "user", number),
                branch,
                items,
            )
        )
    return made


def _asks(branches: list[_Branch], rows: UserRows, folds: int | None) -> Asks:
    """Return one ask an entry, or `folds` a user; one a user with its whole row where no branch reads a history."""
    n = len(rows.starts) - 1
    if not any(branch.known.tables for branch in branches):
        return Asks(torch.arange(n), rows.user, [None] * len(branches))
    if folds is None:
        user, of = rows.user, torch.arange(len(rows.item))
    else:
        place = torch.arange(len(rows.item)) - rows.starts[rows.user]
        user, of = torch.arange(n).repeat_interleave(folds), rows.user * folds + place % folds
    order = torch.argsort(of, stable=True)
    sizes = torch.bincount(of, minlength=len(user))
    cuts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    lookup = Lookup(user, rows.item[order], cuts=cuts)
    return Asks(user, of, [branch.history(rows, lookup) for branch in branches])


def _solve(
    network: FunctionNetwork, branches: list[_Branch], rows: UserRows, objective: Scale | RankingSettings
) -> tuple[list[Tensor], Tensor]:
    """Return the vectors `[n, dim]` of each branch and the biases `[n]`, the global one in them."""
    n, n_users = len(rows.starts) - 1, network.sizes[0]
    zeros = branches[0].items.new_zeros(sum(network.sizes))
    biases = zeros if network.bias is None else network.bias.detach().squeeze(-1)
    offset = zeros[0] if network.offset is None else network.offset.detach()
    own = [None if b.start is None else b.start.repeat(n, 1).requires_grad_() for b in branches]
    bias = biases[:n_users].mean().repeat(n)
    learn = [vectors for vectors in own if vectors is not None]
    seen = isinstance(objective, Scale) or objective.loss in POINTWISE  # other losses are blind to a user's bias
    if network.bias is not None and seen:
        learn.append(bias.requires_grad_())
    if learn:
        _descend(learn, _objective(network, branches, rows, objective, own, bias))
    with torch.no_grad():
        whole = [branch.history(rows, Lookup(torch.arange(n))) for branch in branches]
        final = [_vectors(b, o, None, h) for b, o, h in zip(branches, own, whole, strict=True)]
    return final, bias.detach() + offset


def _descend(learn: list[Tensor], objective: Callable[[int], Tensor]) -> None:
    adam = torch.optim.Adam(learn, lr=_LEARNING_RATE)
    for step in range(_STEPS):
        for tensor, grad in zip(learn, torch.autograd.grad(objective(step), learn), strict=True):
            tensor.grad = grad
        adam.step()


def _objective(
    network: FunctionNetwork,
    branches: list[_Branch],
    rows: UserRows,
    objective: Scale | RankingSettings,
    own: list[Tensor | None],
    bias: Tensor,
) -> Callable[[int], Tensor]:
    """Return the sum over users of their loss and penalty, as a function of the step."""
    l2, bias_l2 = _penalties(network, rows.counts)
    asks = _asks(branches, rows, None if isinstance(objective, Scale) else _folds(objective))
    known = bias.new_zeros(network.sizes[1]) if network.bias is None else network.bias.detach()[network.sizes[0] :, 0]
    offset = 0.0 if network.offset is None else network.offset.detach()

    def vectors() -> list[Tensor]:
        return [_vectors(b, o, asks.user, h) for b, o, h in zip(branches, own, asks.history, strict=True)]

    def penalty() -> Tensor:
        parts = [(l2 * each.square().sum(1)).sum() for each in own if each is not None]
        return torch.stack([*parts, (bias_l2 * bias.square()).sum()]).sum()

    if isinstance(objective, Scale):
        wanted = objective.standardise(rows.value) - known[rows.item] - offset

        def squared(step: int) -> Tensor:
            score = bias[rows.user]
            for branch, made in zip(branches, vectors(), strict=True):
                score = score + branch.branch.join(made[asks.of], branch.items[rows.item])
            return ((score - wanted).square() * rows.share).sum() + penalty()

        return squared
    counts = _item_counts(network)
    ranking = RowRanking(objective, rows, asks, _drawn(counts, objective), counts)

    def ranked(step: int) -> Tensor:
        scores = bias[asks.user].unsqueeze(1) + known + offset
        for branch, made in zip(branches, vectors(), strict=True):
            scores = scores + branch.branch.grid(made, branch.items)
        return ranking.loss(scores, step) + penalty()

    return ranked


def _vectors(branch: _Branch, own: Tensor | None, user: Tensor | None, history: Tensor | None) -> Tensor:
    """Return what the branch joins: of an own part, picked by user where that is given, and of a history's part."""
    if own is None:
        assert history is not None
        return branch.lift(history)
    picked = branch.known.share * (own if user is None else own[user])
    return branch.lift(picked if history is None else picked + history)


def _folds(objective: RankingSettings) -> int:
    """Return in how many parts a row is predicted, each from the others."""
    return min(_FOLDS, max(2, round(1 / objective.hidden_share))) if objective.loss == "softmax" else _FOLDS


def _item_counts(network: FunctionNetwork) -> Tensor:
    """Return how many training pairs each item has, int64 `[items]`: one each where the network does not know."""
    n_users, n_items = network.sizes
    if network.histories is None:
        return torch.ones(n_items, dtype=torch.int64)
    return network.histories.counts()[n_users:]


def _drawn(counts: Tensor, objective: RankingSettings) -> Tensor:
    """Return with which probability training drew each item, float32 `[items]`."""
    if not objective.negative_power:
        return torch.full((len(counts),), 1.0 / len(counts))
    weights = counts.double() ** objective.negative_power
    return (weights / weights.sum()).float()


def _penalties(network: FunctionNetwork, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights `[n]` of squared norms and squared biases of users with that many entries, 0 without any."""
    settings = network.settings
    weigh = (counts > 0).float() * (settings.penalty == "squared")  # nothing pulls at a user with an empty row
    weigh = weigh * network.frequency_scale(counts)
    return weigh * settings.l2, weigh * settings.bias_l2
