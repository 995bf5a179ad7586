"""Theory: hypergradients against closed forms, on a bilevel problem with quadratic losses."""

import pytest
import torch
from torch import Tensor

from nasp_core.methods.darts_2nd import Unrolled
from nasp_core.optimise import Optimiser
from nasp_core.parts import FirstOrder, Softmax
from nasp_core.parts.gradients import architecture_tensors
from nasp_core.parts.mixtures import straight_through
from nasp_core.strategy import StepContext
from nasp_core.testing import QuadraticSettings, QuadraticSpace, QuadraticTask
from nasp_core.types import Mixture, RelaxState

SETTINGS = QuadraticSettings(size=5, continuous=3, columns=(0, 1, 2, 3))


class Problem:
    """A quadratic bilevel problem at a random point, with the closed form of its hypergradient in alpha."""

    def __init__(self, seed: int, optimiser: Optimiser) -> None:
        self.task = QuadraticTask(SETTINGS, seed=seed)
        self.space = QuadraticSpace(SETTINGS)
        self.space.reset(torch.Generator().manual_seed(seed))
        self.alpha = {"column": torch.randn(1, 4, generator=torch.Generator().manual_seed(seed)).requires_grad_()}
        self.weight_state = optimiser.create(self.space.weights())
        self.context = StepContext(
            self.space,
            self.task,
            self.alpha,
            self.mixture,
            self.task.stream("train", 16, 0).batch(0),
            self.task.stream("valid", 16, 0).batch(0),
            optimiser,
            self.weight_state,
            optimiser.learning_rate,
            self.space.weights(),
        )

    def mixture(self) -> Mixture:
        return Softmax().mixture(self.alpha, self.space, "arch", RelaxState(), torch.Generator())

    def closed_form(self, rate: float, drift: Tensor | None = None) -> list[Tensor]:
        m = torch.softmax(self.alpha["column"].detach().double(), -1)[0]
        in_mixture, in_shift = self.task.hypergradient(self.space, m, rate, drift)
        return [(m * (in_mixture - (m * in_mixture).sum())).unsqueeze(0), in_shift]

    def unrolled(self, part: Unrolled) -> list[Tensor]:
        grads = part.hypergradient(self.context, architecture_tensors(self.alpha, self.space))
        assert all(grad is not None for grad in grads)
        return [grad.double() for grad in grads if grad is not None]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_unrolled_gradient_is_the_closed_form(seed: int, rate: float) -> None:
    problem = Problem(seed, Optimiser("adagrad", rate))
    expected, first = problem.closed_form(rate), problem.closed_form(0.0)
    for fast, exact, plain in zip(problem.unrolled(Unrolled(radius=1.0)), expected, first, strict=True):
        scale = float(exact.abs().max())
        assert float((fast - exact).abs().max()) < 2e-5 * scale
        assert float((plain - exact).abs().max()) > 1e-3 * scale, "the second order makes no difference here"


@pytest.mark.parametrize("seed", range(3))
def test_virtual_rate_stands_in_for_the_learning_rate(seed: int) -> None:
    problem = Problem(seed, Optimiser("adagrad", 0.05))
    for fast, exact in zip(
        problem.unrolled(Unrolled(virtual_lr=0.3, radius=1.0)), problem.closed_form(0.3), strict=True
    ):
        torch.testing.assert_close(fast, exact, rtol=2e-4, atol=2e-5)


def test_momentum_and_weight_decay_are_part_of_the_virtual_step() -> None:
    optimiser = Optimiser("sgd", 0.2, momentum=0.9, weight_decay=0.1)
    problem = Problem(0, optimiser)
    buffer = torch.randn(5, generator=torch.Generator().manual_seed(8))
    problem.weight_state.state[problem.space.weight]["momentum_buffer"] = buffer
    drift = 0.9 * buffer + 0.1 * problem.space.weight.detach()
    with_drift, without = problem.closed_form(0.2, drift), problem.closed_form(0.2)
    for fast, exact, other in zip(problem.unrolled(Unrolled(radius=1.0)), with_drift, without, strict=True):
        torch.testing.assert_close(fast, exact, rtol=2e-4, atol=2e-5)
        assert not torch.allclose(fast, other, rtol=1e-2)


def test_the_default_radius_is_accurate_enough() -> None:
    problem = Problem(1, Optimiser("sgd", 0.1))
    for fast, exact in zip(problem.unrolled(Unrolled()), problem.closed_form(0.1), strict=True):
        assert float((fast - exact).norm() / exact.norm()) < 1e-2


def test_closed_form_equals_autograd_through_the_step() -> None:
    """The closed form itself, checked by differentiating the composed losses in float64."""
    problem = Problem(2, Optimiser())
    a, e, b, y = problem.task._blocks("train")
    va, ve, vb, vy = problem.task._blocks("valid")
    assert problem.space.shift is not None
    w, shift = (p.detach().double().requires_grad_() for p in (problem.space.weight, problem.space.shift))
    alpha = problem.alpha["column"].detach().double().requires_grad_()
    m = torch.softmax(alpha, -1)[0]
    train = 0.5 * (a @ w + e @ shift + b @ m - y).square().mean()
    (gradient,) = torch.autograd.grad(train, w, create_graph=True)
    valid = 0.5 * (va @ (w - 0.3 * gradient) + ve @ shift + vb @ m - vy).square().mean()
    for exact, grad in zip(problem.closed_form(0.3), torch.autograd.grad(valid, [alpha, shift]), strict=True):
        torch.testing.assert_close(exact, grad, rtol=1e-10, atol=1e-10)


def test_weights_are_restored_bit_for_bit() -> None:
    problem = Problem(3, Optimiser("sgd", 0.7))
    before = [w.detach().clone() for w in problem.space.parameters()]
    problem.unrolled(Unrolled())
    assert all(map(torch.equal, before, problem.space.parameters()))


def test_first_order_is_the_closed_form_at_rate_zero_and_adam_steps_along_it() -> None:
    problem = Problem(0, Optimiser())
    expected = problem.closed_form(0.0)
    part = FirstOrder(lr=0.1, betas=(0.5, 0.9), weight_decay=0.2, continuous_lr=0.03)
    start = [t.detach().double().clone() for t in architecture_tensors(problem.alpha, problem.space)]
    state = part.init(problem.alpha, problem.space)
    part.step(problem.context, state)
    decayed = [expected[0] + 0.2 * start[0], expected[1]]
    for tensor, old, grad, rate in zip(
        architecture_tensors(problem.alpha, problem.space), start, decayed, (0.1, 0.03), strict=True
    ):
        # the first Adam step with bias correction: lr * g / (|g| + eps)
        torch.testing.assert_close(
            tensor.detach().double(), old - rate * grad / (grad.abs() + 1e-8), rtol=1e-5, atol=1e-6
        )
    problem_moments = problem.closed_form(0.0)
    before = problem.alpha["column"].detach().double().clone()
    part.step(problem.context, state)
    second = problem_moments[0] + 0.2 * before
    mean = (0.5 * 0.5 * decayed[0] + 0.5 * second) / (1 - 0.5**2)
    square = (0.9 * 0.1 * decayed[0] ** 2 + 0.1 * second**2) / (1 - 0.9**2)
    torch.testing.assert_close(
        problem.alpha["column"].detach().double(), before - 0.1 * mean / (square.sqrt() + 1e-8), rtol=1e-4, atol=1e-5
    )


def test_one_hot_first_order_is_the_closed_form_at_the_corner() -> None:
    problem = Problem(4, Optimiser())
    corner = torch.tensor([0.0, 0.0, 1.0, 0.0])
    problem.context.mixture = lambda: straight_through({"column": (2,)}, problem.alpha)
    grads = torch.autograd.grad(problem.context.validation_loss(), architecture_tensors(problem.alpha, problem.space))
    in_mixture, in_shift = problem.task.hypergradient(problem.space, corner, 0.0)
    torch.testing.assert_close(grads[0][0].double(), in_mixture, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grads[1].double(), in_shift, rtol=1e-4, atol=1e-5)


def test_a_continuous_rate_of_zero_keeps_the_continuous_parameters() -> None:
    problem = Problem(0, Optimiser())
    assert problem.space.shift is not None
    before = problem.space.shift.detach().clone()
    part = FirstOrder(lr=0.1, continuous_lr=0.0)
    part.step(problem.context, part.init(problem.alpha, problem.space))
    assert torch.equal(before, problem.space.shift)
