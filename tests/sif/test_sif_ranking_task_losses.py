"""The ranking losses against independent references, and sampled softmax against the softmax it stands for."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sif.tasks import RankingSettings
from sif.tasks.ranking_losses import LOSSES, Marked, degree_shares

Loss = Callable[[Tensor, Tensor], Tensor]


def bce(output: Tensor, target: Tensor) -> Tensor:
    pairs = [(s, t) for row, marks in zip(output, target, strict=True) for s, t in zip(row, marks, strict=True)]
    terms = [-torch.log(torch.sigmoid(s) if t == 1 else 1 - torch.sigmoid(s)) for s, t in pairs if t >= 0]
    return sum(terms, torch.zeros(())) / max(1, len(terms))


def bpr(output: Tensor, target: Tensor) -> Tensor:
    rows = zip(output, target, strict=True)
    terms = [-torch.log(torch.sigmoid(row[0] - row[j])) for row, t in rows for j in range(1, len(row)) if t[j] == 0]
    return sum(terms, torch.zeros(())) / max(1, len(terms))


def sampled(output: Tensor, target: Tensor) -> Tensor:
    total = torch.zeros(())
    for row, correction in zip(output, target, strict=True):
        kept = [j for j in range(len(row)) if correction[j] > -math.inf]
        weights = [row[j].exp() * float(correction[j].exp()) for j in kept]
        total = total - torch.log(weights[0] / sum(weights))
    return total / len(output)


def softmax(output: Tensor, target: Tensor) -> Tensor:
    terms = []
    for row, marks in zip(output, target, strict=True):
        norm = sum((row[j].exp() for j in range(len(row)) if marks[j] >= 0), torch.zeros(()))
        terms += [-torch.log(row[j].exp() / norm) for j in range(len(row)) if marks[j] == 1]
    return sum(terms, torch.zeros(())) / max(1, len(terms))


def ccl(output: Tensor, target: Tensor, margin: float = 0.4, weight: float = 10.0) -> Tensor:
    """Mao et al. (SimpleX): (1 - y_ui) + w / |N| * sum over j of max(0, y_uj - m); here 1 - y_ui is 0 from y_ui = 1."""
    total = torch.zeros(())
    for row, marks in zip(output, target, strict=True):
        negatives = [row[j] for j in range(1, len(row)) if marks[j] == 0]
        above = [score - margin for score in negatives if score > margin]
        total = total + (1 - row[0] if row[0] < 1 else 0.0 * row[0])
        total = total + weight / max(1, len(negatives)) * sum(above, torch.zeros(()))
    return total / len(output)


def degree(output: Tensor, target: Tensor) -> Tensor:
    """Weights by place, as a batch has them: of a positive, of a negative with its sign turned, 0 left out."""
    pairs = [(s, t) for row, marks in zip(output, target, strict=True) for s, t in zip(row, marks, strict=True)]
    terms = [-abs(t) * torch.log(torch.sigmoid(s) if t > 0 else 1 - torch.sigmoid(s)) for s, t in pairs if t != 0]
    return sum(terms, torch.zeros(())) / max(1, len(terms))


REFERENCES: dict[str, Loss] = {
    "bce": bce,
    "bpr": bpr,
    "ccl": ccl,
    "degree-bce": degree,
    "sampled-softmax": sampled,
    "softmax": softmax,
}


MARKED = ("sampled-softmax", "softmax")


def marked(target: Tensor) -> Marked:
    """The marks of a dense target: -1 left out, 1 wanted; or -inf left out, the first column wanted, else a shift."""
    if target.dtype == torch.int8:
        row, column = target.nonzero(as_tuple=True)
        return Marked(row, column, target[row, column] > 0)
    row, column = target.isneginf().nonzero(as_tuple=True)
    every = torch.arange(len(target))
    shift = target.masked_fill(target.isneginf(), 0).sum(0) / (~target.isneginf()).sum(0).clamp(min=1)
    wanted = torch.arange(len(every) + len(row)) < len(every)
    return Marked(torch.cat([every, row]), torch.cat([0 * every, column]), wanted, shift)


def loss_of(loss: str, output: Tensor, target: Tensor) -> Tensor:
    return LOSSES[loss](output, marked(target) if loss in MARKED else target)  # type: ignore[index]


def draw(loss: str, seed: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(rows, columns, generator=generator, dtype=torch.float64) * 2
    target = torch.randint(-1, 2, (rows, columns), generator=generator).to(torch.int8)
    if loss == "bpr":
        target.clamp_(max=0)
    if loss == "ccl":
        output.div_(2)
        target[:, 1:].clamp_(max=0)
    if loss == "degree-bce":
        return output, target * (0.5 + torch.rand(rows, columns, generator=generator, dtype=torch.float64))
    if loss == "sampled-softmax":
        target = torch.where(target < 0, -math.inf, torch.randn(columns, generator=generator).double())
    if loss != "softmax":
        target[:, 0] = 0 if loss == "sampled-softmax" else 1
    return output, target


@pytest.mark.parametrize("loss", REFERENCES)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 6))
def test_losses_and_gradients_are_those_of_a_reference(loss: str, seed: int, rows: int, columns: int):
    """In double precision, by autograd of the reference; rows without a target, and whole rows left out, are there."""
    output, target = draw(loss, seed, rows, columns)
    mine, theirs = output.clone().requires_grad_(), output.clone().requires_grad_()
    one, two = loss_of(loss, mine, target), REFERENCES[loss](theirs, target)
    assert one.item() == pytest.approx(two.item(), rel=1e-10, abs=1e-12)
    if not two.requires_grad:  # nothing to learn from: no term at all
        assert one.item() == 0.0
        assert not torch.autograd.grad(one, mine)[0].any()
        return
    expected = torch.autograd.grad(two, theirs)[0]
    assert torch.allclose(torch.autograd.grad(3 * one, mine)[0], 3 * expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("margin", "weight"), [(0.0, 1.0), (0.9, 150.0), (-0.5, 2.5)])
def test_the_cosine_contrastive_loss_has_its_settings(margin: float, weight: float):
    settings = RankingSettings(loss="ccl", margin=margin, negative_weight=weight)
    output, target = draw("ccl", 5, 6, 9)
    expected = float(ccl(output, target, margin, weight))
    assert float(settings.loss_function()(output, target)) == pytest.approx(expected, rel=1e-10)
    assert expected != pytest.approx(float(ccl(output, target)), rel=1e-3)


def test_the_shares_of_degrees_are_those_of_the_paper():
    users, items = torch.tensor([[4], [1], [0]]), torch.tensor([[8, 0], [2, 15], [3, 3]])
    pairs = zip((4, 1), items[:2].tolist(), strict=True)
    wanted = [[math.sqrt((d + 1) / (e + 1)) / d for e in row] for d, row in pairs]
    found = degree_shares(users, items)
    assert found[:2].tolist() == [pytest.approx(row, rel=1e-6) for row in wanted]
    assert found[2].tolist() == pytest.approx([math.sqrt(2 / 4)] * 2)  # a user of no pairs, as of one


def plain(loss: str, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The sum of (confidence of a positive) * (its term), over the number of terms; `weight` `[n, m]`."""
    terms: list[tuple[Tensor, Tensor | float]] = []
    for row, marks, each in zip(output, target, weight, strict=True):
        if loss == "bce":
            pairs = [(s, t, w) for s, t, w in zip(row, marks, each, strict=True) if t >= 0]
            terms += [(-torch.log(torch.sigmoid(s if t == 1 else -s)), w if t == 1 else 1.0) for s, t, w in pairs]
        elif loss == "ccl":
            live = [j for j in range(1, len(row)) if marks[j] == 0]
            repel = sum((torch.relu(row[j] - 0.4) for j in live), torch.zeros(())) * 10 / max(1, len(live))
            terms += [(each[0] * torch.relu(1 - row[0]) + repel, 1.0)]
        elif loss == "bpr":
            live = [j for j in range(1, len(row)) if marks[j] == 0]
            terms += [(-torch.log(torch.sigmoid(row[0] - row[j])), each[0]) for j in live]
        else:
            shown = row[marks >= 0]
            wins = [j for j in range(len(row)) if marks[j] == 1]
            terms += [(shown.logsumexp(0) - row[j], each[j]) for j in wins]
    return sum((term * each for term, each in terms), torch.zeros(())) / max(1, len(terms))


@pytest.mark.parametrize("loss", ["bce", "bpr", "ccl", "softmax"])
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 6))
def test_weighted_losses_and_gradients_are_those_of_the_plain_form(loss: str, seed: int, rows: int, columns: int):
    output, target = draw(loss, seed, rows, columns)
    weight = 0.1 + 3 * torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)).double()
    given: Tensor | Marked = torch.where(target > 0, weight, target.double())
    if loss == "bpr":
        given = torch.cat([weight[:, :1], target[:, 1:].double()], dim=1)
    if loss == "softmax":
        given = marked(target)
        given = given._replace(weight=weight[given.row, given.column])
    mine, theirs = output.clone().requires_grad_(), output.clone().requires_grad_()
    one, two = LOSSES[loss](mine, given), plain(loss, theirs, target, weight)  # type: ignore[index]
    assert one.item() == pytest.approx(two.item(), rel=1e-10, abs=1e-12)
    if two.requires_grad:
        expected = torch.autograd.grad(two, theirs)[0]
        assert torch.allclose(torch.autograd.grad(3 * one, mine)[0], 3 * expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", REFERENCES)
def test_losses_of_large_scores_are_finite(loss: str):
    output, target = draw(loss, 0, 4, 6)
    output = (output * 1e4).float().requires_grad_()
    value = loss_of(loss, output, target)
    assert math.isfinite(value.item())
    assert value.item() > 100
    assert torch.autograd.grad(value, output)[0].isfinite().all()


def mean_gradient(scores: Tensor, positive: int, m: int, log_q: Tensor, repeats: int, own: float = 0.0) -> Tensor:
    """The mean over draws of the gradient with respect to the catalogue's scores, by its closed form.

    `own` is the correction of the positive.
    """
    generator = torch.Generator().manual_seed(m)
    items = torch.multinomial(log_q.exp(), repeats * m, replacement=True, generator=generator).view(repeats, m)
    weights = torch.zeros(repeats, len(scores), dtype=torch.float64)
    correction = -(log_q + math.log(m))
    weights.scatter_add_(1, items, (scores + correction).exp()[items])
    weights[:, positive] = (scores[positive] + own).exp()
    gradient = weights / weights.sum(1, keepdim=True)
    gradient[:, positive] -= 1
    return gradient.mean(0)


def test_sampled_softmax_tends_to_the_softmax():
    """The bias of the mean gradient falls about as 1/m; its standard error is below .001."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(12, generator=generator, dtype=torch.float64)
    log_q = torch.log_softmax(torch.randn(12, generator=generator, dtype=torch.float64) / 2, 0)
    full = torch.softmax(scores, 0)
    full[3] -= 1

    def bias(m: int, own: float = 0.0) -> float:
        return float((mean_gradient(scores, 3, m, log_q, 2_000_000 // m, own) - full).abs().max())

    biases = {m: bias(m) for m in (8, 64, 512)}
    assert biases[8] > 0.02  # a few draws are not enough
    assert biases[64] < 0.25 * biases[8]
    assert biases[512] < min(0.25 * biases[64], 0.005)
    # Corrected by its own q, as if it had been drawn, the positive would lose its place in the sum.
    assert bias(512, own=-float(log_q[3]) - math.log(512)) > 0.02


def test_the_closed_form_is_the_loss():
    """One draw through the loss itself: its gradient, gathered by item, is what `mean_gradient` averages."""
    scores, positive, m = torch.tensor([0.3, -1.0, 2.0, 0.5, 0.1], dtype=torch.float64), 1, 6
    log_q = torch.log(torch.tensor([0.4, 0.1, 0.2, 0.2, 0.1], dtype=torch.float64))
    generator = torch.Generator().manual_seed(m)
    items = torch.multinomial(log_q.exp(), m, replacement=True, generator=generator)
    assert positive in items.tolist()  # an accidental hit is there
    row = torch.cat([torch.tensor([positive]), items])
    output = scores[row].unsqueeze(0).requires_grad_()
    target = torch.cat([torch.zeros(1).double(), -(log_q[items] + math.log(m))]).unsqueeze(0)
    target[0, 1:][items == positive] = -math.inf
    gradient = torch.autograd.grad(loss_of("sampled-softmax", output, target), output)[0][0]
    by_item = torch.zeros(5, dtype=torch.float64).index_add_(0, row, gradient)
    assert torch.allclose(by_item, mean_gradient(scores, positive, m, log_q, 1), atol=1e-12)
