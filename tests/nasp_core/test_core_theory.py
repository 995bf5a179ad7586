"""Each method's own theory: distributions, path-wise and score-function gradients, hypergradients, Shapley values."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from nasp_core.errors import StrategyError
from nasp_core.methods.amended_darts import Amended, Implicit
from nasp_core.methods.asng import CategoricalShares, Natural, natural_gradient
from nasp_core.methods.balenas import Bayesian, Gaussian, GaussianSoftmax
from nasp_core.methods.drnas import Dirichlet, concentration, dirichlet_sample
from nasp_core.methods.gaea import Exponentiated
from nasp_core.methods.rarts import Twin
from nasp_core.methods.shapley import shapley_exact, shapley_sampled
from nasp_core.methods.snas import GumbelSoftmax
from nasp_core.methods.tnd_nas import ScoreFunction, score_gradient
from nasp_core.network import Space
from nasp_core.optimise import Optimiser
from nasp_core.parts import Argmax, Categorical, GumbelHard, Logits, Simplex, Softmax, Weights
from nasp_core.parts.curvature import along
from nasp_core.parts.gradients import architecture_tensors
from nasp_core.parts.mixtures import on_host
from nasp_core.strategy import StepContext, Strategy
from nasp_core.testing import QuadraticSettings, QuadraticSpace, QuadraticTask
from nasp_core.types import Alpha, Mixture, RelaxState
from sif.testing.cases import CASES

ARMS = QuadraticSettings(size=3, continuous=0, columns=(0, 1, 2))


def space() -> QuadraticSpace:
    made = QuadraticSpace(ARMS)
    made.reset(torch.Generator().manual_seed(0))
    return made


def alpha(*values: float) -> Alpha:
    return {"column": torch.tensor([values]).requires_grad_()}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


DRAWS = 4000


@pytest.mark.parametrize(
    "relax",
    [
        GumbelHard(),
        pytest.param(GumbelHard(temperature=0.1), marks=pytest.mark.slow),
        pytest.param(Categorical(), marks=pytest.mark.slow),
    ],
)
def test_gumbel_draws_have_the_frequencies_of_the_softmax(relax: Categorical | GumbelHard) -> None:
    logits, state, source = alpha(1.0, -0.5, 0.3), relax.init(), generator(3)
    picks = [relax.mixture(logits, space(), "weight", state, source).active for _ in range(DRAWS)]
    counts = torch.bincount(torch.tensor([active["column"][0] for active in picks if active]), minlength=3)
    expected = torch.softmax(logits["column"].detach(), -1)[0] * DRAWS
    assert float(((counts - expected) ** 2 / expected).sum()) < 13.8, "chi-squared of two degrees, one in a thousand"


@pytest.mark.slow
def test_soft_gumbel_weights_become_those_draws_as_the_temperature_falls() -> None:
    logits, cold = alpha(1.0, -0.5, 0.3), GumbelSoftmax(temperature=0.01)
    source, total, sharp = generator(4), torch.zeros(3), 0
    for _ in range(DRAWS):
        weights = cold.mixture(logits, space(), "arch", cold.init(), source).weights
        assert weights is not None
        total += weights["column"].detach()[0]
        sharp += int(float(weights["column"].detach().max()) > 0.99)
    torch.testing.assert_close(total / DRAWS, torch.softmax(logits["column"].detach(), -1)[0], rtol=0, atol=0.03)
    assert sharp > 0.9 * DRAWS


def test_dropping_edges_by_their_noise_does_not_depend_on_alpha() -> None:
    """Which edges of a node stay is even, whatever alpha says of their candidates."""
    made = CASES["conv-cell"].space()
    strong = {g.name: torch.zeros(g.shape) for g in made.groups}
    strong["normal"][2, 2] = 8.0  # node 1 has the edges 2, 3, 4
    source, stays = generator(5), torch.zeros(3)
    for _ in range(1500):
        active = Categorical().mixture(strong, made, "weight", RelaxState(), source).active
        assert active is not None
        stays += torch.tensor([float(active["normal"][edge] >= 0) for edge in (2, 3, 4)])
    torch.testing.assert_close(stays / 1500, torch.full((3,), 2 / 3), rtol=0, atol=0.05)


def test_dirichlet_path_wise_gradients_are_those_of_the_expectation() -> None:
    """E[c . theta] = c . conc / sum(conc): its gradient against the mean of path-wise ones, and finite differences."""
    conc, costs, source = torch.tensor([[0.7, 1.5, 2.0]]), torch.tensor([1.0, -2.0, 0.5]), generator(6)
    total = torch.zeros(3)
    for _ in range(8):
        leaf = conc.expand(4000, 3).clone().requires_grad_()
        (dirichlet_sample(leaf, source) @ costs).sum().backward()
        assert leaf.grad is not None
        total += leaf.grad.sum(0)

    def expected(row: Tensor) -> float:
        return float((row @ costs) / row.sum())

    for index in range(3):
        step = torch.zeros(3)
        step[index] = 1e-3
        gradient = (expected(conc[0] + step) - expected(conc[0] - step)) / 2e-3
        assert float(total[index]) / 32000 == pytest.approx(gradient, abs=0.015)


def test_dirichlet_weights_have_the_mean_that_a_validation_sees() -> None:
    logits, source = alpha(0.5, -1.0, 2.0), generator(7)
    mean = torch.zeros(3)
    for _ in range(DRAWS):
        weights = Dirichlet().mixture(logits, space(), "weight", RelaxState(), source).weights
        assert weights is not None
        mean += weights["column"][0]
    valid = Dirichlet().mixture(logits, space(), "valid", RelaxState(), source).weights
    conc = concentration(logits["column"].detach())[0]
    assert valid is not None
    torch.testing.assert_close(valid["column"].detach()[0], conc / conc.sum())
    torch.testing.assert_close(mean / DRAWS, conc / conc.sum(), rtol=0, atol=0.02)


def test_gaussian_path_wise_gradients_are_those_of_the_expectation() -> None:
    """Common random numbers: the mean of the gradients is the gradient of the mean of the same draws."""
    made, values = space(), Gaussian(precision=4.0).init(space(), generator(8), torch.device("cpu"))

    def cost(shift: float, seed: int) -> Tensor:
        moved = {"column": values["column"].detach() + torch.tensor([[shift, 0.0, 0.0]])}
        moved |= {"column/precision": values["column/precision"]}
        moved["column"].requires_grad_()
        weights = GaussianSoftmax().mixture(moved, made, "arch", RelaxState(), generator(seed)).weights
        assert weights is not None
        loss = (weights["column"] @ torch.tensor([1.0, -2.0, 0.5])).sum()
        (gradient,) = torch.autograd.grad(loss, moved["column"])
        return torch.stack([loss.detach(), gradient[0, 0]])

    middle = torch.stack([cost(0.0, seed) for seed in range(200)]).double().mean(0)
    ends = [torch.stack([cost(shift, seed) for seed in range(200)]).double().mean(0)[0] for shift in (0.02, -0.02)]
    assert float(middle[1]) == pytest.approx(float((ends[0] - ends[1]) / 0.04), rel=2e-3)


def test_gaussian_draws_have_the_deviation_of_their_precision() -> None:
    values = Gaussian(noise=0.0, precision=25.0).init(space(), generator(), torch.device("cpu"))
    source, logits = generator(9), []
    for _ in range(DRAWS):
        weights = GaussianSoftmax().mixture(values, space(), "weight", RelaxState(), source).weights
        assert weights is not None
        row = weights["column"][0].log()
        logits.append(row[0] - row[1])
    assert float(torch.stack(logits).std()) == pytest.approx(math.sqrt(2.0) * 0.2, rel=0.04)


class Bandit:
    """Three arms of known cost in place of a task's loss: a context whose validation loss is the drawn arm's."""

    costs = (1.0, 3.0, 0.5)

    def __init__(self, values: Alpha, relax: Categorical) -> None:
        self.space, self.alpha, self.source, self.relax = space(), values, generator(10), relax
        batch = QuadraticTask(ARMS).stream("valid", 4, 0).batch(0)
        optimiser = Optimiser("sgd", 0.1)
        self.context = StepContext(
            self.space,
            QuadraticTask(ARMS),
            values,
            self.draw,
            batch,
            batch,
            optimiser,
            optimiser.create(self.space.weights()),
            0.1,
            self.space.weights(),
        )
        self.context.validation_loss = self.loss  # type: ignore[method-assign]

    def draw(self) -> Mixture:
        return self.relax.mixture(self.alpha, self.space, "arch", RelaxState(), self.source)

    def loss(self, mixture: Mixture | None = None) -> Tensor:
        assert mixture is not None
        assert mixture.active is not None
        return torch.tensor(self.costs[mixture.active["column"][0]])


def exact_gradient(values: Alpha) -> Tensor:
    """Return d/dalpha of sum_k softmax(alpha)_k cost_k: p (cost - mean cost)."""
    p = torch.softmax(values["column"].detach(), -1)[0]
    costs = torch.tensor(Bandit.costs)
    return p * (costs - (p * costs).sum())


@pytest.mark.parametrize("baseline", [0.0, 1.7, -40.0])
def test_reinforce_is_unbiased_on_a_three_arm_bandit(baseline: float) -> None:
    """The sum over arms of probability times estimate is the exact gradient, whatever the baseline."""
    values = alpha(0.4, -0.3, 0.1)
    logs = torch.log_softmax(values["column"], -1)[0]
    total = torch.zeros(3)
    for arm in range(3):
        (gradient,) = score_gradient([torch.tensor(Bandit.costs[arm])], [logs[arm]], [values["column"]], baseline)
        assert gradient is not None
        total += float(logs[arm].exp()) * gradient[0]
        logs = torch.log_softmax(values["column"], -1)[0]
    torch.testing.assert_close(total, exact_gradient(values), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_reinforce_learns_the_best_arm_and_its_draws_average_to_the_gradient() -> None:
    values = alpha(0.4, -0.3, 0.1)
    bandit, total = Bandit(values, Categorical()), torch.zeros(3)
    for _ in range(DRAWS):
        mixture = bandit.draw()
        assert mixture.log_prob is not None
        (gradient,) = score_gradient([bandit.loss(mixture)], [mixture.log_prob], [values["column"]], 1.5)
        assert gradient is not None
        total += gradient[0] / DRAWS
    torch.testing.assert_close(total, exact_gradient(values), rtol=0, atol=0.03)
    part = ScoreFunction(lr=0.05)
    state = part.init(values, bandit.space)
    for _ in range(300):
        part.step(bandit.context, state)
    assert int(values["column"].argmax()) == 2


def test_natural_gradients_are_unbiased_on_a_three_arm_bandit() -> None:
    """sum_k p_k u_k (c_k - p) = p (u - mean u), the Fisher matrix's inverse times the plain gradient."""
    theta = {"column": torch.tensor([[0.5, 0.2, 0.3]])}
    total = torch.zeros(3)
    for arm in range(3):
        step = natural_gradient([{"column": (arm,)}], [Bandit.costs[arm]], theta)["column"][0]
        total += float(theta["column"][0, arm]) * step
    p, costs = theta["column"][0], torch.tensor(Bandit.costs)
    torch.testing.assert_close(total, p * (costs - (p * costs).sum()))
    dropped = natural_gradient([{"column": (-1,)}], [2.0], theta)["column"]
    assert float(dropped.abs().sum()) == 0.0, "a dropped choice says nothing"


def test_asng_finds_the_best_arm_and_no_probability_falls_below_the_floor() -> None:
    domain = Simplex(floor=None)
    bandit = Bandit({}, CategoricalShares())
    values = domain.init(bandit.space, generator(), torch.device("cpu"))
    bandit.alpha = bandit.context.alpha = values
    part = Natural(samples=2)
    state = part.init(values, bandit.space)
    for _ in range(400):
        part.step(bandit.context, state)
        domain.retract(values)
        assert float(values["column"].detach().min()) >= 1 / 6 - 1e-6, "1 / (1 choice x 2), at most half of even"
        assert float(values["column"].detach().sum()) == pytest.approx(1.0, abs=1e-5)
    assert int(values["column"].argmax()) == 2


@pytest.mark.parametrize("seed", range(3))
def test_exponentiated_steps_stay_on_the_simplex_and_follow_the_rule(seed: int) -> None:
    domain = Simplex(floor=0.0, noise=1.0)
    values = domain.init(space(), generator(seed), torch.device("cpu"))
    before, gradient = values["column"].detach().clone(), torch.tensor([[3.0, -200.0, 0.1]])
    bandit = Bandit(values, CategoricalShares())
    with torch.no_grad():
        Exponentiated(lr=0.05).move(bandit.context, {"column": gradient}, {})
    expected = before.double() * torch.exp(-0.05 * gradient.double())
    torch.testing.assert_close(values["column"].detach().double(), expected / expected.sum(), rtol=1e-5, atol=1e-7)
    with torch.no_grad():
        Exponentiated(lr=1e6).move(bandit.context, {"column": gradient}, {})
    assert bool(values["column"].isfinite().all())
    assert float(values["column"].detach().sum()) == pytest.approx(1.0)


def test_a_simplex_projects_what_left_it() -> None:
    domain = Simplex(floor=0.05)
    values = {"g": torch.tensor([[0.2, 0.3, 0.5], [-1.0, 0.4, 2.0], [-1.0, -1.0, -1.0]])}
    domain.retract(values)
    torch.testing.assert_close(values["g"].sum(-1), torch.ones(3))
    assert float(values["g"].min()) >= 0.05 - 1e-7
    assert values["g"][0].tolist() == pytest.approx([0.2, 0.3, 0.5])
    assert values["g"][2].tolist() == pytest.approx([1 / 3] * 3)


HYPER = QuadraticSettings(size=4, continuous=2, columns=(0, 1, 2))


class Hyper:
    """The quadratic bilevel problem, whose training loss has the Hessian A'A / n."""

    def __init__(self, seed: int) -> None:
        self.task, self.space = QuadraticTask(HYPER, seed=seed), QuadraticSpace(HYPER)
        self.space.reset(generator(seed))
        self.alpha: Alpha = {"column": torch.randn(1, 3, generator=generator(seed)).requires_grad_()}
        optimiser = Optimiser("sgd", 0.1)
        self.context = StepContext(
            self.space,
            self.task,
            self.alpha,
            lambda: Softmax().mixture(self.alpha, self.space, "arch", RelaxState(), generator()),
            self.task.stream("train", 16, 0).batch(0),
            self.task.stream("valid", 16, 0).batch(0),
            optimiser,
            optimiser.create(self.space.weights()),
            0.1,
            self.space.weights(),
        )
        a, e, b, y = self.task._blocks("train")
        va, ve, vb, vy = self.task._blocks("valid")
        m = torch.softmax(self.alpha["column"].detach().double(), -1)[0]
        w, c = self.space.weight.detach().double(), self.space.shift.detach().double()  # type: ignore[union-attr]
        residual = (va @ w + ve @ c + vb @ m - vy) / len(vy)
        self.hessian, self.gradient = a.T @ a / len(y), va.T @ residual
        self.direct = (vb.T @ residual, ve.T @ residual)
        self.mixed = (b.T @ a / len(y), e.T @ a / len(y))
        self.m = m

    def closed_form(self, solved: Tensor) -> list[Tensor]:
        """Return direct - mixed . solved in alpha and in the shift; `solved` stands for H^-1 dL_val/dw."""
        in_m, in_c = (d - x @ solved for d, x in zip(self.direct, self.mixed, strict=True))
        return [(self.m * (in_m - (self.m * in_m).sum())).unsqueeze(0), in_c]

    def measured(self, part: Implicit) -> list[Tensor]:
        tensors = architecture_tensors(self.alpha, self.space)
        before = [w.detach().clone() for w in self.space.weights()]
        grads = part.gradient(self.context, tensors, {})
        assert all(map(torch.equal, before, self.space.weights())), "the weights end as they began"
        return [grad.double() for grad in grads if grad is not None]


@pytest.mark.parametrize("seed", range(4))
def test_the_implicit_gradient_is_the_closed_form(seed: int) -> None:
    hyper = Hyper(seed)
    expected = hyper.closed_form(torch.linalg.solve(hyper.hessian, hyper.gradient))
    for fast, exact in zip(hyper.measured(Implicit(iterations=20, radius=1.0)), expected, strict=True):
        torch.testing.assert_close(fast, exact, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_amended_gradient_has_the_hessian_in_place_of_its_inverse(seed: int) -> None:
    hyper = Hyper(seed)
    expected = hyper.closed_form(0.3 * hyper.hessian @ hyper.gradient)
    for fast, exact in zip(hyper.measured(Amended(amendment=0.3, radius=1.0)), expected, strict=True):
        torch.testing.assert_close(fast, exact, rtol=2e-3, atol=1e-4)
    inverse = torch.linalg.solve(hyper.hessian, hyper.gradient)
    amended = hyper.hessian @ hyper.gradient
    assert float(inverse @ amended) > 0, "the two corrections are less than a right angle apart"


def test_products_with_the_hessian_are_exact_on_a_quadratic() -> None:
    hyper = Hyper(1)
    direction = [torch.randn(4, generator=generator(2))]
    (product,) = along(hyper.context, hyper.space.weights(), direction, 1.0)
    assert product is not None
    torch.testing.assert_close(product.double(), hyper.hessian @ direction[0].double(), rtol=1e-4, atol=1e-5)


def test_twin_weights_follow_their_own_data_and_alpha_follows_both() -> None:
    hyper, part = Hyper(2), Twin(coupling=0.5, share=2.0)
    state, weight = part.init(hyper.alpha, hyper.space), hyper.space.weight
    state["twin"] = [weight.detach() + 1.0]
    w, y = weight.detach().clone(), state["twin"][0].clone()
    tensors = architecture_tensors(hyper.alpha, hyper.space)
    grads = part.gradient(hyper.context, tensors, state)
    moved = w - 0.1 * 0.5 * (w - y)
    torch.testing.assert_close(weight.detach(), moved)
    with torch.no_grad():
        weight.copy_(y)
    both = torch.autograd.grad(hyper.context.validation_loss(), [*tensors, weight])
    torch.testing.assert_close(state["twin"][0], y - 0.1 * (both[-1] + 0.5 * (y - moved)))
    with torch.no_grad():
        weight.copy_(moved)
    train = torch.autograd.grad(hyper.context.training_loss(), tensors)
    for grad, valid, other in zip(grads, both, train, strict=False):
        torch.testing.assert_close(grad, valid + 2.0 * other)


def test_the_bayesian_rule_learns_mean_and_precision() -> None:
    values = Gaussian(noise=0.0, precision=50.0).init(space(), generator(), torch.device("cpu"))
    bandit, part = Bandit(values, Categorical()), Bayesian(lr=0.1, betas=(0.0, 0.9), data=100.0)
    state, gradient = part.init(values, bandit.space), torch.tensor([[1.0, -2.0, 0.0]])
    with torch.no_grad():
        part.move(bandit.context, {"column": gradient}, state)
    torch.testing.assert_close(values["column/precision"], 100.0 * 0.1 * gradient.square() + 50.0)
    expected = -0.1 * gradient / (gradient.abs() + 0.5)  # s^ = g^2 after one step, prior / data = 0.5
    torch.testing.assert_close(values["column"].detach(), expected)


def glove(members: frozenset[int]) -> float:
    """One left glove (0), two right ones (1, 2): a pair is worth 1."""
    return float(0 in members and len(members) > 1)


def test_shapley_values_of_a_known_game() -> None:
    assert shapley_exact(3, glove) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


@pytest.mark.parametrize("players", [1, 2, 5])
def test_shapley_values_sum_to_the_total_effect(players: int) -> None:
    table = {
        frozenset(members): float(torch.randn((), generator=generator(hash(members) % 1000)))
        for size in range(players + 1)
        for members in itertools.combinations(range(players), size)
    }
    total = table[frozenset(range(players))] - table[frozenset()]
    assert sum(shapley_exact(players, table.__getitem__)) == pytest.approx(total)
    assert sum(shapley_sampled(players, table.__getitem__, 7, generator(1))) == pytest.approx(total)


def test_sampled_shapley_values_tend_to_the_exact_ones() -> None:
    sampled = shapley_sampled(3, glove, 4000, generator(2))
    assert sampled == pytest.approx([2 / 3, 1 / 6, 1 / 6], abs=0.03)


@pytest.mark.parametrize(
    ("parts", "lacks"),
    [
        ((Logits(), Weights(), Exponentiated()), "simplex"),
        ((Simplex(), Weights(), ScoreFunction()), "log_prob"),
        ((Logits(), GumbelHard(), Implicit()), "smooth"),
        ((Logits(), Categorical(), Natural()), "simplex"),
        ((Logits(), GaussianSoftmax(), Bayesian()), "gaussian"),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_the_reason(parts: tuple[object, ...], lacks: str) -> None:
    with pytest.raises(StrategyError, match=f"lacks '.*{lacks}"):
        Strategy(*parts, Argmax())  # type: ignore[arg-type]


def test_the_log_probability_is_that_of_the_live_candidates() -> None:
    made: Space = CASES["conv-cell"].space()
    values = Logits(noise=1.0).init(made, generator(3), torch.device("cpu"))
    mixture = Categorical().mixture(values, made, "arch", RelaxState(), generator(4))
    assert mixture.active is not None
    assert mixture.log_prob is not None
    plain, expected = on_host(values), 0.0
    for group in made.groups:
        receiving = [i for i, name in enumerate(group.candidates) if name != "none"]
        for row, pick in enumerate(mixture.active[group.name]):
            logs = torch.log_softmax(plain[group.name][row, receiving], -1)
            expected += float(logs[receiving.index(pick)]) if pick >= 0 else 0.0
    assert float(mixture.log_prob.detach()) == pytest.approx(expected, rel=1e-5)
