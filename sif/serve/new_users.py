"""Users the model was not trained on: encoded by their history, and solved for with everything else fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy import sparse
from torch import Tensor

from sif.encodings.side import SideEncoder, bag
from sif.host import shielded
from sif.serve.fold_rules import encoded, fold_side
from sif.serve.row_losses import Asks, Ranking, Rows
from sif.serve.tables import Side
from sif.spaces.interaction import InteractionNetwork
from sif.spaces.wide import WideNetwork
from sif.tasks import RankingSettings, Scale

__all__ = ["solve_users"]

_BLOCK = 1 << 22  # scores of a step: 16 MiB of float32
_FOLDS = 8
_STEPS, _LEARNING_RATE = 100, 0.05

AnyNetwork = InteractionNetwork | WideNetwork


@shielded()
def solve_users(network: AnyNetwork, rows: sparse.csr_array, goal: Scale | RankingSettings) -> Side:
    """Return the tables (for `Folded.scores_of`) of the users of `rows`, CSR `[users, items]`, none trained on.

    What a user's encoding takes from their history is computed from the row. An embedding of their own, where the
    encoding has one, starts at the mean user's and is solved for by Adam on the row, with training's penalty on the
    embedding of a user with as many entries:

    - for ratings (`goal` says how they are standardised), by their mean squared error, the bias too; each is predicted
      from the history without it, as in training;
    - for a ranking, by the mean over the row's items (its values are not read) of training's loss, over the whole
      catalogue instead of drawn items. Where a history is encoded beside the embedding, a part of the row at a time
      is predicted from the rest: as much as training hid of it, an eighth where it hid one item.

    A user with an empty row is the mean user. Users do not depend on each other; deterministic.
    """
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    branches = _branches(network)
    step = max(1, _BLOCK // (_FOLDS * network.sizes[1]))
    blocks = [slice(start, start + step) for start in range(0, rows.shape[0], step)] or [slice(0, 0)]
    solved = [_solve(network, branches, Rows.of(rows[block]), goal) for block in blocks]
    vectors = [torch.cat(parts) for parts in zip(*(vectors for vectors, _ in solved), strict=True)]
    return fold_side(network, "user", vectors, torch.cat([bias for _, bias in solved]))


class _Branch(NamedTuple):
    """How one branch makes a user's vector and scores it.

    `start` `[dim]`: the mean row of the users' embeddings; `encoder`: of histories; None where the encoding lacks the
    part. `lift`: the element-wise network; `join`, `grid`: scores of pairs and of all with all; `items` `[items, dim]`.
    """

    start: Tensor | None
    encoder: SideEncoder | None
    lift: Callable[[Tensor], Tensor]
    join: Callable[[Tensor, Tensor], Tensor]
    grid: Callable[[Tensor, Tensor], Tensor] | None
    items: Tensor


def _branches(network: AnyNetwork) -> list[_Branch]:
    items = encoded(network, "item")
    if isinstance(network, InteractionNetwork):
        plain, mean = network, network.embedding.detach()[: network.sizes[0]].mean(0)

        def lift(values: Tensor) -> Tensor:
            return plain.lift(values.expand(2, *values.shape))[0]

        return [_Branch(mean, None, lift, network.predictor, None, items[0])]
    made = []
    for number, branch in enumerate(network.branches):
        encoder = network.encoders[2 * number]
        assert isinstance(encoder, SideEncoder)
        start = None if encoder.id is None else encoder.id.detach().mean(0)
        known = None if encoder.history is None else encoder
        made.append(_Branch(start, known, _lift_of(network, number), branch.join, branch.grid, items[number]))
    return made


def _lift_of(network: WideNetwork, number: int) -> Callable[[Tensor], Tensor]:
    return lambda values: network.lift("user", number, values)


def _asks(branches: list[_Branch], rows: Rows, folds: int | None) -> Asks:
    """Return one ask an entry, or `folds` a user; one a user with its whole row where no branch reads a history."""
    n = len(rows.starts) - 1
    if all(branch.encoder is None for branch in branches):
        return Asks(torch.arange(n), rows.user, [None] * len(branches))
    if folds is None:
        user, of = rows.user, torch.arange(len(rows.item))
    else:
        place = torch.arange(len(rows.item)) - rows.starts[rows.user]
        user, of = torch.arange(n).repeat_interleave(folds), rows.user * folds + place % folds
    order = torch.argsort(of, stable=True)
    sizes = torch.bincount(of, minlength=len(user))
    cuts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    left = rows.counts[user] - sizes
    history: list[Tensor | None] = []
    for branch in branches:
        if branch.encoder is None or branch.encoder.history is None:
            history.append(None)
            continue
        table = branch.encoder.history.detach()
        rest = bag(table, rows.starts, rows.item)[user] - bag(table, cuts, rows.item[order])
        history.append(rest * branch.encoder.scale(left).unsqueeze(1))
    return Asks(user, of, history)


def _solve(
    network: AnyNetwork, branches: list[_Branch], rows: Rows, goal: Scale | RankingSettings
) -> tuple[list[Tensor], Tensor]:
    """Return the vectors `[n, dim]` of each branch and the biases `[n]`, the global one in them."""
    n, n_users = len(rows.starts) - 1, network.sizes[0]
    zeros = branches[0].items.new_zeros(sum(network.sizes))
    biases = zeros if network.bias is None else network.bias.detach().squeeze(-1)
    offset = zeros[0] if network.offset is None else network.offset.detach()
    own = [None if b.start is None else b.start.repeat(n, 1).requires_grad_() for b in branches]
    bias = biases[:n_users].mean().repeat(n)
    learn = [vectors for vectors in own if vectors is not None]
    if network.bias is not None and (isinstance(goal, Scale) or goal.loss == "bce"):  # others do not see it
        learn.append(bias.requires_grad_())
    if learn:
        _descend(learn, _objective(network, branches, rows, goal, own, bias))
    with torch.no_grad():
        whole = [
            None if b.encoder is None else b.encoder.of_members("history", rows.item, rows.starts) for b in branches
        ]
        final = [_vectors(b, o, None, h) for b, o, h in zip(branches, own, whole, strict=True)]
    return final, bias.detach() + offset


def _descend(learn: list[Tensor], objective: Callable[[int], Tensor]) -> None:
    adam = torch.optim.Adam(learn, lr=_LEARNING_RATE)
    for step in range(_STEPS):
        for tensor, grad in zip(learn, torch.autograd.grad(objective(step), learn), strict=True):
            tensor.grad = grad
        adam.step()


def _objective(
    network: AnyNetwork,
    branches: list[_Branch],
    rows: Rows,
    goal: Scale | RankingSettings,
    own: list[Tensor | None],
    bias: Tensor,
) -> Callable[[int], Tensor]:
    """Return the sum over users of their loss and penalty, as a function of the step."""
    l2, bias_l2 = _penalties(network, rows.counts)
    asks = _asks(branches, rows, None if isinstance(goal, Scale) else _folds(goal))
    known = bias.new_zeros(network.sizes[1]) if network.bias is None else network.bias.detach()[network.sizes[0] :, 0]
    offset = 0.0 if network.offset is None else network.offset.detach()

    def vectors() -> list[Tensor]:
        return [_vectors(b, o, asks.user, h) for b, o, h in zip(branches, own, asks.history, strict=True)]

    def penalty() -> Tensor:
        parts = [(l2 * each.square().sum(1)).sum() for each in own if each is not None]
        return torch.stack([*parts, (bias_l2 * bias.square()).sum()]).sum()

    if isinstance(goal, Scale):
        wanted = goal.standardise(rows.value) - known[rows.item] - offset

        def squared(step: int) -> Tensor:
            score = bias[rows.user]
            for branch, made in zip(branches, vectors(), strict=True):
                score = score + branch.join(made[asks.of], branch.items[rows.item])
            return ((score - wanted).square() * rows.share).sum() + penalty()

        return squared
    ranking = Ranking(goal, rows, asks, _drawn(network, goal))

    def ranked(step: int) -> Tensor:
        scores = bias[asks.user].unsqueeze(1) + known + offset
        for branch, made in zip(branches, vectors(), strict=True):
            assert branch.grid is not None, "an interaction function is one of ratings"
            scores = scores + branch.grid(made, branch.items)
        return ranking.loss(scores, step) + penalty()

    return ranked


def _vectors(branch: _Branch, own: Tensor | None, user: Tensor | None, history: Tensor | None) -> Tensor:
    """Return what the branch joins: of an own part, picked by user where that is given, and of a history's part."""
    if own is None:
        assert history is not None
        return branch.lift(history)
    picked = own if user is None else own[user]
    return branch.lift(picked if history is None else picked + history)


def _folds(goal: RankingSettings) -> int:
    """Return in how many parts a row is predicted, each from the others."""
    return min(_FOLDS, max(2, round(1 / goal.hidden_share))) if goal.loss == "softmax" else _FOLDS


def _drawn(network: AnyNetwork, goal: RankingSettings) -> Tensor:
    """Return with which probability training drew each item, float32 `[items]`."""
    n_users, n_items = network.sizes
    if not goal.negative_power or not isinstance(network, WideNetwork):
        return torch.full((n_items,), 1.0 / n_items)
    weights = network.histories.counts()[n_users:].double() ** goal.negative_power
    return (weights / weights.sum()).float()


def _penalties(network: AnyNetwork, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights `[n]` of squared norms and squared biases of users with that many entries, 0 without any."""
    settings = network.settings
    weigh = (counts > 0).float() * (settings.penalty == "squared")  # nothing pulls at a user with an empty row
    if isinstance(network, WideNetwork) and settings.l2_frequency:
        known = network.histories.counts()[: network.sizes[0]].clamp_min(1).float()
        constant = (network.by_pair[: network.sizes[0]] * known**settings.l2_frequency).mean()
        weigh = weigh * constant * counts.clamp_min(1).float() ** -settings.l2_frequency
    return weigh * settings.l2, weigh * settings.bias_l2
