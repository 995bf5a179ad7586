"""Weight optimisers, learning-rate schedules and training schedules."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from nasp_core.errors import SearchError
from nasp_core.optimise import Optimiser, Training


def step(optimiser: Optimiser, steps: int = 1, gradient: tuple[float, ...] = (3.0, 4.0)) -> torch.Tensor:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    adam = optimiser.create([weight])
    for _ in range(steps):
        optimiser.apply(adam, [weight], (torch.tensor(gradient),))
    return weight.detach()


def test_rates() -> None:
    constant = Optimiser(learning_rate=0.4)
    linear = Optimiser(learning_rate=0.4, final_learning_rate=0.1, schedule="linear")
    cosine = Optimiser(learning_rate=0.4, final_learning_rate=0.1, schedule="cosine")
    for progress in (0.0, 0.25, 0.5, 1.0):
        assert constant.rate(progress) == 0.4
        assert linear.rate(progress) == pytest.approx(0.4 - 0.3 * progress)
        assert cosine.rate(progress) == pytest.approx(0.1 + 0.15 * (1 + math.cos(math.pi * progress)))


def test_sgd_momentum_and_decay() -> None:
    plain = step(Optimiser("sgd", 0.1, momentum=0.5, weight_decay=0.2), steps=2)
    weight, buffer = torch.tensor([1.0, -2.0]), torch.zeros(2)
    for _ in range(2):
        buffer = 0.5 * buffer + torch.tensor([3.0, 4.0]) + 0.2 * weight
        weight = weight - 0.1 * buffer
    torch.testing.assert_close(plain, weight)


def test_adam_reads_its_betas() -> None:
    one, gradient = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0])
    torch.testing.assert_close(step(Optimiser("adam", 0.1)), one - 0.1 * gradient.sign(), rtol=1e-5, atol=1e-5)
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimiser = Optimiser("adam", 0.1, betas=(0.0, 0.0))
    adam = optimiser.create([weight])
    for grads in ((3.0, 4.0), (30.0, -4.0)):
        optimiser.apply(adam, [weight], (torch.tensor(grads),))
    torch.testing.assert_close(weight.detach(), torch.tensor([0.8, -2.0]), rtol=1e-5, atol=1e-5)


def test_adagrad() -> None:
    expected = torch.tensor([1.0, -2.0]) - 0.1 * (1 + 0.5**0.5)
    torch.testing.assert_close(step(Optimiser("adagrad", 0.1), steps=2), expected)


def test_clip_bounds_the_total_norm_and_leaves_small_gradients() -> None:
    torch.testing.assert_close(step(Optimiser("sgd", 1.0, clip=1.0)), torch.tensor([1 - 0.6, -2 - 0.8]))
    torch.testing.assert_close(step(Optimiser("sgd", 1.0, clip=10.0)), torch.tensor([-2.0, -6.0]))


@pytest.mark.parametrize("shape", ["shared", "expanded"])
def test_clipping_takes_gradients_that_share_memory(shape: str) -> None:
    weights = [nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))]
    gradient = torch.tensor([3.0, 0.0, 0.0, 0.0])
    total = ((weights[0] + weights[1]) * gradient).sum() if shape == "shared" else weights[0].sum() + weights[1].sum()
    optimiser = Optimiser("sgd", 1.0, clip=1.0)
    optimiser.apply(optimiser.create(weights), weights, torch.autograd.grad(total, weights))
    assert float(torch.cat([w.detach() for w in weights]).norm()) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("kind", ["adagrad", "adam", "sgd"])
def test_a_weight_without_gradient_is_left_alone(kind: str) -> None:
    momentum = 0.9 if kind == "sgd" else 0.0
    optimiser = Optimiser(kind, 0.1, momentum=momentum, weight_decay=0.5, clip=1.0)  # type: ignore[arg-type]
    weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))]
    made = optimiser.create(weights)
    for _ in range(2):
        optimiser.apply(made, weights, (torch.ones(2), torch.ones(2)))
    still = weights[1].detach().clone()
    state = {k: v.clone() for k, v in made.state[weights[1]].items()}
    moved = weights[0].detach().clone()
    optimiser.apply(made, weights, (torch.ones(2), None))
    assert torch.equal(weights[1], still)
    assert all(torch.equal(made.state[weights[1]][k], v) for k, v in state.items())
    assert not torch.equal(weights[0], moved)


def test_sgd_with_momentum_takes_a_weight_whose_first_gradient_comes_late() -> None:
    optimiser = Optimiser("sgd", 0.1, momentum=0.9)
    weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))]
    made = optimiser.create(weights)
    optimiser.apply(made, weights, (torch.ones(2), None))
    optimiser.apply(made, weights, (torch.ones(2), torch.ones(2)))
    torch.testing.assert_close(weights[1].detach(), torch.full((2,), 0.9))


MOMENTUM = "momentum = 0.9 with {}, which has none; leave it out, or use sgd"
BETAS = "betas = (0.5, 0.9) with {}, which has none; leave them out, or use adam"


@pytest.mark.parametrize(
    ("wrong", "texts"),
    [
        ({"kind": "adamw"}, ["kind = 'adamw'; there are adagrad, adam, sgd"]),
        ({"schedule": "step"}, ["schedule = 'step'; there are constant, cosine, linear"]),
        ({"kind": "adagrad", "momentum": 0.9}, [MOMENTUM.format("adagrad")]),
        ({"kind": "adam", "momentum": 0.9}, [MOMENTUM.format("adam")]),
        ({"kind": "adagrad", "betas": (0.5, 0.9)}, [BETAS.format("adagrad")]),
        ({"kind": "sgd", "betas": (0.5, 0.9)}, [BETAS.format("sgd")]),
        ({"final_learning_rate": 0.01}, ["final_learning_rate = 0.01 with a constant schedule; use cosine"]),
        (
            {"schedule": "step", "momentum": 0.9, "betas": (0.5, 0.9)},
            [
                "schedule = 'step'; there are constant, cosine, linear",
                MOMENTUM.format("adagrad"),
                BETAS.format("adagrad"),
            ],
        ),
    ],
)
def test_unknown_names_and_options_that_would_be_ignored_are_refused(wrong: dict[str, Any], texts: list[str]) -> None:
    with pytest.raises(SearchError) as error:
        Optimiser(**wrong)
    assert str(error.value).split("\n") == [f"optimiser {text}" for text in texts]


def test_training_refuses_what_trains_nothing() -> None:
    with pytest.raises(SearchError) as error:
        Training(epochs=0, batch_size=7)
    assert str(error.value) == "a training of 0 epochs with batches of 7 trains nothing; both must be 1 or more"
    for wrong in ({"keep_best": True}, {"patience": 2}):
        with pytest.raises(SearchError) as error:
            Training(evaluate_every=0, **wrong)
        assert (
            str(error.value)
            == "keep_best, patience and average_after need validations: set evaluate_every to 1 or more"
        )


def test_shortened_keeps_the_distance() -> None:
    rates = Optimiser("sgd", 0.1, final_learning_rate=0.01, schedule="cosine", clip=2.0)
    long = Training(epochs=40, batch_size=16, optimiser=rates, patience=3, keep_best=True)
    short = long.shortened(4.0)
    assert (short.epochs, short.patience, short.keep_best, short.batch_size) == (10, None, True, 16)
    assert short.optimiser.learning_rate == pytest.approx(0.4)
    assert short.optimiser.final_learning_rate == pytest.approx(0.04)
    assert (short.optimiser.clip, short.optimiser.schedule) == (2.0, "cosine")
    assert Training(epochs=3).shortened(100.0).epochs == 1
    assert Training(epochs=3).shortened(100.0).optimiser.learning_rate == pytest.approx(0.15)


def test_a_small_table_stretches_the_training() -> None:
    training = Training(epochs=12, evaluate_every=1, patience=3, min_steps=1200)
    assert training.stretched(100) is training
    stretched = training.stretched(10)
    assert (stretched.epochs, stretched.evaluate_every, stretched.patience) == (120, 10, 3)
    assert stretched.stretched(10) is stretched
    short = training.shortened(4)
    assert (short.epochs, short.min_steps) == (3, 300)
    assert short.stretched(10).epochs == 30
