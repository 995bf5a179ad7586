"""The losses of the ranking task: scores of a batch and its target to a mean, a scalar."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = [
    "LOSSES",
    "POINTWISE",
    "Marked",
    "RankingLoss",
    "bce",
    "bpr",
    "ccl",
    "degree_bce",
    "degree_shares",
    "sampled_softmax",
    "softmax",
]

RankingLoss = Literal["softmax", "sampled-softmax", "bpr", "bce", "ccl", "degree-bce"]


def bce(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of positives and sampled negatives (He et al., WWW 2017, eq. 7).

    Shapes: output float `[n, m]`, target `[n, m]`: 1 positive, 0 negative, -1 left out, as int8; as float a positive
    has its confidence, which its term is multiplied by (negatives have 1: Hu et al., ICDM 2008, eq. 3).
    """
    live = (target >= 0).to(output.dtype)
    each = torch.where(target > 0, target, live) if target.is_floating_point() else live
    total = functional.binary_cross_entropy_with_logits(output, (target > 0).to(output.dtype), each, reduction="sum")
    return total / live.sum().clamp(min=1.0)


def bpr(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean of -log sigmoid(positive - negative) (Rendle et al., UAI 2009, section 4), nats a negative.

    Shapes: output float `[n, 1 + m]`, the positive first; target `[n, 1 + m]`, -1 for a negative left out, as int8; as
    float the positive has its confidence, which its terms are multiplied by.
    """
    live = (target[:, 1:] == 0).to(output.dtype)
    margins = functional.softplus(output[:, 1:] - output[:, :1])
    margins = margins * target[:, :1] if target.is_floating_point() else margins
    return (margins * live).sum() / live.sum().clamp(min=1.0)


def ccl(output: Tensor, target: Tensor, margin: float = 0.4, negative_weight: float = 10.0) -> Tensor:
    """Return the mean cosine contrastive loss of the positives (Mao et al., SimpleX, CIKM 2021).

    Of a positive: max(0, 1 - score) + negative_weight * mean of max(0, score - margin) over its negatives. Of a cosine
    the first is 1 - score, as the paper has it; other scores could fall without end, and stop at 1.

    Args:
        output: Float `[n, 1 + m]`, the positive first.
        target: As of `bce`; a positive's confidence multiplies its own term.
        margin: The score up to which a negative costs nothing.
        negative_weight: What all negatives of a positive weigh together.
    """
    live = (target[:, 1:] == 0).to(output.dtype)
    attract = functional.relu(1.0 - output[:, 0])
    attract = attract * target[:, 0] if target.is_floating_point() else attract
    repel = (functional.relu(output[:, 1:] - margin) * live).sum(1) / live.sum(1).clamp(min=1.0)
    return (attract + negative_weight * repel).mean()


def degree_shares(users: Tensor, items: Tensor) -> Tensor:
    """Return beta = sqrt((d_u + 1) / (d_i + 1)) / d_u (Mao et al., UltraGCN, CIKM 2021), float32, broadcast.

    It is large where user and item have few pairs. A user without any counts as one of one pair.

    Args:
        users: Training pairs of users.
        items: Training pairs of items.
    """
    of_users, of_items = users.float().clamp(min=1.0), items.float()
    return ((of_users + 1.0) / (of_items + 1.0)).sqrt() / of_users


def degree_bce(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy, each term times its weight (UltraGCN's L_O + lambda L_C, over the terms).

    Shapes: output float `[n, m]`, target float `[n, m]`: a positive's weight, minus that of a negative, 0 left out; the
    weights are 1 + lambda * `degree_shares`, a positive's times its confidence.
    """
    terms = functional.softplus(-output * target.sign()) * target.abs()
    return terms.sum() / (target != 0).sum().clamp(min=1)


class Marked(NamedTuple):
    """Which of the scores `[n, c]` of a batch are to win (`wanted`), and which are left out; no place twice.

    Shapes: `row`, `column` int64 `[h]`, `wanted` bool `[h]`, False where a score is left out; `shift` float32 `[c]` is
    added to every row of scores, but not to those wanted, which a row has for certain; `weight` float32 `[h]`: the
    confidence that the term of a wanted score is multiplied by (None: 1), whatever where a score is left out.
    """

    row: Tensor
    column: Tensor
    wanted: Tensor
    shift: Tensor | None = None
    weight: Tensor | None = None


def sampled_softmax(output: Tensor, target: Marked) -> Tensor:
    """Return the mean of -log softmax(output + log-Q correction) of the first column, nats a row.

    Shapes: output float `[n, 1 + m]`, the positive first, then m items drawn from q. The correction, `target.shift`, is
    -log(expected number of times the item is in a row): 0 for the positive, in it for certain, and -log(m q) for a
    drawn item. A drawn item that is the row's positive (an accidental hit) is left out.

    exp(score of the positive) + sum of exp(score) / (m q) over the other drawn items is then an unbiased estimate of
    the sum over the catalogue, and loss and gradient tend to those of the full softmax as m grows (importance
    sampling: Bengio and Senecal, IEEE TNN 19(4), 2008; Jean et al., ACL 2015, section 3). With the positive corrected
    by its own q, as if it had been drawn, they would not (Khrylchenko et al., RecSys 2025, arXiv:2507.09331).
    """
    return softmax(output, target)


def softmax(output: Tensor, target: Marked) -> Tensor:
    """Return the mean of -log softmax over all items but those left out, nats a wanted item (0 where there is none).

    With `target.shift` the log of one over the probability that a batch has the item, it is an estimate of that sum
    from the items of a batch: its own of all rows, and drawn ones (see `AskedItems`).

    Shapes: output float `[n, items]`. The multinomial likelihood of Liang et al. (WWW 2018, eq. 2), which is a sum
    over the items of a user; here each wanted item weighs the same.
    """
    loss: Tensor = _Softmax.apply(output, *target)  # type: ignore[no-untyped-call]
    return loss


class _Softmax(torch.autograd.Function):
    """The sum over rows of (weight wanted) * logsumexp - weighted scores wanted, over the number wanted in all.

    Written out because the places are few: dense masks of the scores would cost six times as much.
    """

    @staticmethod
    def forward(
        ctx: Any, output: Tensor, row: Tensor, column: Tensor, wanted: Tensor, shift: Any, weight: Any
    ) -> Tensor:
        shown = output.clone(memory_format=torch.contiguous_format) if shift is None else output + shift.to(output)
        place, flat = row * output.shape[1] + column, shown.view(-1)
        scores, wins = output.reshape(-1)[place], wanted.to(output.dtype)
        number = wins.sum().clamp(min=1.0)
        wins = wins if weight is None else torch.where(wanted, weight.to(output.dtype), 0.0)
        flat[place] = torch.where(wanted, scores, -torch.inf)
        counts = wins.new_zeros(len(output)).index_add_(0, row, wins)
        peak = shown.amax(1)
        peak = peak.masked_fill_(peak.isneginf(), 0.0)  # a row that is left out whole
        powers = shown.sub_(peak.unsqueeze(1)).exp_()
        sums = powers.sum(1)
        sums = sums.masked_fill_(sums == 0, 1.0)
        ctx.save_for_backward(powers, counts / sums / number, place, wins / number)
        won = torch.where(wanted, scores if weight is None else scores * wins, 0.0)
        return (torch.dot(counts, sums.log() + peak) - won.sum()) / number

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        powers, factor, place, wins = ctx.saved_tensors
        gradient = powers * (factor * grads[0]).unsqueeze(1)
        gradient.view(-1).index_add_(0, place, wins * -grads[0])
        return gradient, None, None, None, None, None


LOSSES: Mapping[RankingLoss, Callable[[Tensor, Any], Tensor]] = {
    "softmax": softmax,
    "sampled-softmax": sampled_softmax,
    "bpr": bpr,
    "bce": bce,
    "ccl": ccl,
    "degree-bce": degree_bce,
}
POINTWISE: tuple[RankingLoss, ...] = ("bce", "ccl", "degree-bce")
"""The losses that judge each score by itself: what is added to all scores of a user is not lost on them."""
