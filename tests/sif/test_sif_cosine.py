"""The cosine with a temperature against its formula, alone and under the cosine contrastive loss of SimpleX."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from sif.datasets import Interactions, Split
from sif.encodings.histories import Histories
from sif.operations import PREDICTORS
from sif.serve.folding import Folded
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask
from sif.tasks.queries import Queries

SIZES = (6, 9)
PAIRS = (torch.rand(SIZES, generator=torch.Generator().manual_seed(1)) < 0.4).nonzero().T


def network(encoding: str = "id", operation: str = "multiply", pairs: Tensor = PAIRS, **settings: Any) -> WideNetwork:
    made = WideSettings(predictors=("sum", "cosine"), embedding_dim=5, init_std=0.3, **settings)
    choices = {
        "encoding": (encoding, "id"),
        "elementwise": ("identity",),
        "operation": (operation,),
        "predictor": ("cosine",),
        "biases": ("off",),
    }
    net = WideNetwork(SIZES, wide_genotype(choices, made), Histories.of(*pairs, SIZES))
    net.reset(torch.Generator().manual_seed(2))
    return net


def hot(net: WideNetwork, temperature: float) -> WideNetwork:
    weight = net.branches[0].weight
    assert weight is not None
    with torch.no_grad():
        weight.fill_(math.log(temperature))
    return net


def cosine(u: Tensor, v: Tensor) -> float:
    return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))


def catalogue(net: WideNetwork) -> Tensor:
    scores: Tensor = net(Queries.catalogue(torch.arange(SIZES[0]), SIZES[1])).detach()
    return scores


@pytest.mark.parametrize("temperature", [0.07, 1.0, 3.0])
def test_a_product_is_the_cosine_over_the_temperature(temperature: float):
    net = hot(network("id+history", history_power=0.5), temperature)
    (users,), (items,) = net.encoded("user"), net.encoded("item")
    wanted = torch.tensor([[cosine(u, v) / temperature for v in items] for u in users])
    assert torch.allclose(catalogue(net), wanted, atol=1e-5 / temperature)
    folded = Folded(net)
    assert torch.allclose(folded.scores(torch.arange(SIZES[0])), wanted, atol=1e-5 / temperature)
    assert folded.describe() == "an inner product of 5 dimensions"


def test_it_starts_at_the_cosine_itself_and_lengths_do_not_matter():
    net = network()
    before = catalogue(net)
    assert float(before.abs().max()) <= 1.0
    with torch.no_grad():
        for encoder, scale in zip(net.encoders, (3.0, 0.01), strict=True):
            encoder.id.mul_(scale)
    assert torch.allclose(catalogue(net), before, atol=1e-6)


def test_the_temperature_is_learnt_and_stays_positive():
    """The gradient of log t is minus the score, by d(c / t) / d(log t) = -c / t."""
    net = hot(network(), 0.5)
    scores = net(PAIRS)
    (grad,) = torch.autograd.grad(scores.sum(), [net.branches[0].weight])
    assert float(grad) == pytest.approx(-float(scores.detach().sum()), rel=1e-4)


@pytest.mark.parametrize("operation", ["max", "min"])
def test_other_operations_join_unit_vectors(operation: str):
    net = hot(network(operation=operation), 0.4)
    (users,), (items,) = net.encoded("user"), net.encoded("item")
    units = [rows / rows.norm(dim=1, keepdim=True) for rows in (users, items)]
    joined = getattr(torch, f"{operation}imum")(units[0].unsqueeze(1), units[1])
    assert torch.allclose(catalogue(net), joined.sum(-1) / 0.4, atol=1e-5)


def test_a_history_of_the_predicted_pair_alone_is_nothing():
    """No direction, no score and no gradient; what rounding might leave of it is not blown up either."""
    left = torch.full((5,), 1e-9, requires_grad=True)
    unit = PREDICTORS["cosine"].vectors(left)
    assert float(unit.detach().norm()) < 1e-2
    pairs = torch.tensor([[0, 1, 1], [3, 4, 5]])
    net = network("history", pairs=pairs)
    scores = net(pairs[:, :1])
    assert abs(float(scores.detach())) < 1e-2
    grads = torch.autograd.grad(scores.sum(), [net.encoders[0].history, net.encoders[1].id])
    assert all(bool(grad.isfinite().all()) and float(grad.abs().max()) < 1e-2 for grad in grads)
    assert float(catalogue(net)[5].abs().max()) == 0.0  # somebody without a history


def test_simplex_on_a_batch():
    """Mao et al., SimpleX: (1 - cos(u, i)) + w / |N| * sum over j of max(0, cos(u, j) - m), mean over the pairs."""
    matrix = np.zeros(SIZES, np.float32)
    matrix[tuple(PAIRS.numpy())] = 1
    data = Interactions.from_csr(sparse.csr_array(matrix))
    rows = np.arange(len(data))
    settings = RankingSettings(loss="ccl", negatives=4, margin=0.2, negative_weight=3.0)
    task = RankingTask(data, Split(rows, rows[:0], rows[:0], "files", 0, None, ""), settings)
    net = network()
    batch = task.stream("train", 8, 0).batch(0)
    found = net.training_loss(batch, None, task.loss)
    (users,), (items,) = net.encoded("user"), net.encoded("item")
    total = 0.0
    for user, (positive, *drawn) in zip(batch.inputs.users.tolist(), batch.inputs.own.tolist(), strict=True):
        assert matrix[user, positive]
        assert not matrix[user, drawn].any()
        above = [max(0.0, cosine(users[user], items[j]) - 0.2) for j in drawn]
        total += 1 - cosine(users[user], items[positive]) + 3.0 / len(drawn) * sum(above)
    assert float(found.loss.detach()) == pytest.approx(total / 8, rel=1e-5)


def test_recipes_and_spaces_of_before_offer_what_they_did():
    assert WideSettings().predictors == ("sum", "linear", "mlp", "distance")
