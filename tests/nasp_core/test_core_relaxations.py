"""Relaxations, schedules and selections of the literature: what runs, what is left, what is chosen."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nasp_core.errors import SearchError, StrategyError
from nasp_core.loop import Loop
from nasp_core.methods import make_strategy
from nasp_core.methods.asng import CategoricalShares, Natural
from nasp_core.methods.balenas import Gaussian
from nasp_core.methods.bayesnas import Relevance
from nasp_core.methods.darts_pt import Perturbation
from nasp_core.methods.dots import BestOfEach, Grouped, PairLogits, with_parameters
from nasp_core.methods.drnas import Dirichlet, DirichletPrior
from nasp_core.methods.fairnas import FairRounds
from nasp_core.methods.freedarts import Saliency, Untrained
from nasp_core.methods.gold_nas import GatePrice, Gates
from nasp_core.methods.greedynas import GreedyFilter, Pooled
from nasp_core.methods.na_nas import Neighbourhood
from nasp_core.methods.pc_darts import WeightedEdges
from nasp_core.methods.rarts import Twin
from nasp_core.methods.rf_darts import NormOnly
from nasp_core.methods.shapley import Shapley
from nasp_core.methods.tnd_nas import ScoreFunction
from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts import (
    Argmax,
    Categorical,
    Complexity,
    EdgeLogits,
    FirstOrder,
    GumbelHard,
    Logits,
    NoGradient,
    Prune,
    Shrink,
    Simplex,
    Softmax,
    StartAt,
    Switches,
    Temperature,
    Uniform,
    Weights,
)
from nasp_core.parts.domains import edge_weights, subsets
from nasp_core.parts.schedules import prune
from nasp_core.search import search
from nasp_core.strategy import Relax, Schedule, SearchView, SelectContext, Strategy
from nasp_core.testing.step_checks import drawn_alpha, step_context, step_supernet
from nasp_core.trials.evolution import Evolution
from nasp_core.trials.on_supernet import Explore
from nasp_core.trials.random import Random
from nasp_core.types import Active, Alpha, Mixture, RelaxState, State
from sif.testing.cases import CASES

TRAINING = Training(epochs=3, batch_size=24, optimiser=Optimiser(learning_rate=0.05), evaluate_every=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(case: str) -> Space:
    space = CASES[case].space()
    space.reset(generator())
    return space


def logits(space: Space, seed: int = 1) -> Alpha:
    return Logits(noise=1.0).init(space, generator(seed), torch.device("cpu"))


def calls(space: Space, mixture: Mixture) -> int:
    """Return how many times candidates of an interaction space run in one forward pass."""
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1

    handles = [p.register_forward_hook(counted) for p in space.predictors]  # type: ignore[union-attr]
    space(CASES["interaction"].task().stream("valid", 8, 0).batch(0).inputs, mixture)
    for handle in handles:
        handle.remove()
    return count


def test_gdas_runs_the_drawn_candidate_alone_and_its_gradient_reaches_all() -> None:
    """dL/dalpha = <dL/dout, op_k(x)> times row k of the softmax's Jacobian at the perturbed logits."""
    space, relax = drawn("interaction"), GumbelHard(temperature=2.0)
    alpha = logits(space)
    mixture = relax.mixture(alpha, space, "arch", relax.init(), generator(3))
    assert mixture.kept is not None
    ((pick,),) = mixture.kept["operation"]
    assert calls(space, mixture) == 1
    assert calls(space, relax.mixture(alpha, space, "weight", relax.init(), generator(3))) == 1
    batch, task = CASES["interaction"].task().stream("valid", 8, 0).batch(0), CASES["interaction"].task()
    loss = task.loss(space(batch.inputs, mixture), batch.target)
    (gradient,) = torch.autograd.grad(loss, alpha["operation"])
    weights = torch.zeros(1, 5).scatter_(1, torch.tensor([[pick]]), 1.0).requires_grad_()
    kept = {"operation": ((pick,),)}
    dense = task.loss(space(batch.inputs, Mixture(weights={"operation": weights}, kept=kept)), batch.target)
    (wanted,) = torch.autograd.grad(dense, weights)
    uniform = torch.rand(1, 5, generator=generator(3)).clamp_(1e-20, 1.0 - 1e-7)
    perturbed = torch.log_softmax(alpha["operation"].detach(), -1) - (-uniform.log()).log()
    soft = torch.softmax(perturbed / 2.0, -1)[0]
    jacobian = soft[pick] * (torch.eye(5)[pick] - soft) / 2.0
    torch.testing.assert_close(gradient[0], float(wanted[0, pick]) * jacobian, rtol=1e-4, atol=1e-6)


def test_msg_das_draws_disjoint_points() -> None:
    space, relax = drawn("conv-cell"), GumbelHard(samples=3)
    for phase in ("arch", "weight"):
        paths = relax.paths(logits(space), space, phase, relax.init(), generator(4))  # type: ignore[arg-type]
        assert len(paths) == 3
        for group in space.groups:
            for row in range(group.choices):
                picks = [
                    p.active[group.name][row] if p.active is not None else p.kept[group.name][row][0]  # type: ignore[index]
                    for p in paths
                ]
                assert len(set(picks)) == 3


def test_pruned_candidates_do_not_run_in_a_weighted_sum() -> None:
    space, state = drawn("interaction"), RelaxState()
    state.keep({"operation": torch.tensor([[True, False, True, False, False]])})
    for relax in (Softmax(), Dirichlet()):
        mixture = relax.mixture(logits(space), space, "weight", state, generator())
        assert calls(space, mixture) == 2
        weights = (mixture.weights or {})["operation"][0]
        assert float(weights[[1, 3, 4]].sum()) < 1e-6
        assert float(weights.sum()) == pytest.approx(1.0)


def test_a_fair_round_has_every_candidate_once() -> None:
    space, relax = drawn("interaction"), FairRounds()
    state, source = relax.init(), generator(5)
    orders = []
    for _ in range(6):
        paths = relax.paths(logits(space), space, "weight", state, source)
        picks = [path.active["operation"][0] for path in paths if path.active is not None]
        assert sorted(picks) == [0, 1, 2, 3, 4]
        orders.append(tuple(picks))
    assert len(set(orders)) > 1, "the order is drawn anew"
    assert len(relax.paths(logits(space), space, "arch", state, source)) == 1


def test_uniform_paths_are_uniform() -> None:
    space, source = drawn("interaction"), generator(6)
    picks = [Uniform().mixture({}, space, "weight", RelaxState(), source).active for _ in range(2000)]
    counts = torch.bincount(torch.tensor([active["operation"][0] for active in picks if active]), minlength=5)
    assert float(((counts - 400.0) ** 2 / 400.0).sum()) < 18.5, "chi-squared of four degrees, one in a thousand"


def context_of(case: str, strategy: Strategy) -> tuple[Any, State]:
    """Return a step context of a case under a strategy, and the gradient's state."""
    space = step_supernet(strategy, CASES[case])
    alpha = drawn_alpha(strategy, space)
    context = step_context(strategy, CASES[case], space, alpha)
    return context, strategy.gradient.init(alpha, space)


def test_the_greedy_filter_leaves_the_best_of_what_it_drew() -> None:
    strategy = Strategy(Logits(), Pooled(), GreedyFilter(draws=6, keep=2, pool=3), Argmax())
    context, state = context_of("interaction-wide", strategy)
    seen: list[float] = []
    plain = context.validation_loss

    def spied(mixture: Mixture | None = None) -> Tensor:
        loss: Tensor = plain(mixture)
        seen.append(float(loss))
        return loss

    context.validation_loss = spied
    strategy.gradient.step(context, state)
    left = context.relax_state.paths
    losses = [float(plain(Mixture(active={k: tuple(v) for k, v in point.items()}))) for point in left]
    assert losses == pytest.approx(sorted(seen[:6])[:2])
    assert [entry["loss"] for entry in state["pool"]] == sorted(entry["loss"] for entry in state["pool"])
    paths = strategy.relax.paths(context.alpha, context.space, "weight", context.relax_state, generator())
    assert [{k: list(v) for k, v in (p.active or {}).items()} for p in paths] == left
    for _ in range(3):
        strategy.gradient.step(context, state)
    assert len(state["pool"]) == 3
    with pytest.raises(StrategyError, match="needs 1 <= keep <= draws"):
        GreedyFilter(draws=2, keep=3)


def test_a_neighbourhood_is_followed_in_the_architecture_step_alone() -> None:
    space, relax = drawn("interaction"), Neighbourhood(radius=0.3, samples=400)
    alpha = logits(space)
    paths = relax.paths(alpha, space, "arch", relax.init(), generator(7))
    assert len(paths) == 401
    around = torch.stack([(p.weights or {})["operation"].detach()[0].log() for p in paths[1:]])
    centre = torch.log_softmax(alpha["operation"].detach(), -1)[0]
    noise = (around - centre) - (around - centre).mean(1, keepdim=True)
    assert float(noise.std()) == pytest.approx(0.3 * math.sqrt(0.8), rel=0.05), "of five, less their mean"
    assert len(relax.paths(alpha, space, "weight", relax.init(), generator(7))) == 1


def test_edge_weights_sum_to_the_size_of_the_sets_in_each_node() -> None:
    nodes = ((0, 1), (2, 3, 4))
    assert subsets(nodes, 2) == [[(0, 1)], [(2, 3), (2, 4), (3, 4)]]
    weights = edge_weights(torch.tensor([[0.3], [1.0], [0.0], [-1.0]]), nodes, 2, 1.0, 5)
    assert weights[:2].tolist() == pytest.approx([1.0, 1.0])
    p = torch.softmax(torch.tensor([1.0, 0.0, -1.0]), 0).tolist()
    assert weights[2:].tolist() == pytest.approx([p[0] + p[1], p[0] + p[2], p[1] + p[2]])
    cold = edge_weights(torch.tensor([[0.3], [1.0], [0.0], [-1.0]]), nodes, 2, 0.01, 5)
    assert cold[2:].tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_edge_normalisation_weighs_edges_and_decides_which_stay() -> None:
    space, domain = drawn("conv-cell"), EdgeLogits(noise=0.0)
    alpha = domain.init(space, generator(), torch.device("cpu"))
    with torch.no_grad():
        alpha["normal/inputs"][2:5, 0] = torch.tensor([0.0, 3.0, 2.0])  # node 1 has the edges 2, 3, 4
    weights = WeightedEdges().mixture(alpha, space, "weight", RelaxState(), generator()).weights
    assert weights is not None
    rows = weights["normal"].sum(-1)
    torch.testing.assert_close(rows[2:5], torch.softmax(torch.tensor([0.0, 3.0, 2.0]), 0))
    active = space.constrain(domain.scores(alpha, space))
    assert [edge for edge in (2, 3, 4) if active["normal"][edge] >= 0] == [3, 4]
    assert set(domain.init(drawn("interaction"), generator(), torch.device("cpu"))) == {"operation"}


def view(space: Space, alpha: Alpha, relax: Relax, step: int, progress: float, state: RelaxState) -> SearchView:
    return SearchView(space, alpha, state, step, progress, relax, epoch_steps=4)


def test_dots_keeps_the_best_of_each_group_and_then_weighs_pairs() -> None:
    space, domain, relax = drawn("conv-cell"), PairLogits(), Grouped()
    alpha = domain.init(space, generator(), torch.device("cpu"))
    with torch.no_grad():
        alpha["normal"].copy_(torch.randn(alpha["normal"].shape, generator=generator(2)))
    state, schedule = relax.init(), BestOfEach(at=0.5)
    schedule.advance(view(space, alpha, relax, 1, 0.4, state), {})
    assert state.alive is None
    first = relax.shares(alpha, space, state)["normal"]
    big = with_parameters(space)["normal"][0]
    torch.testing.assert_close(first[:, big].sum(-1), torch.full((5,), 0.5))
    torch.testing.assert_close(first[:, ~big].sum(-1), torch.full((5,), 0.5))
    schedule.advance(view(space, alpha, relax, 2, 0.5, state), {})
    alive = state.alive
    assert alive is not None
    assert alive["normal"][:, big].sum(-1).tolist() == [1] * 5
    assert alive["normal"][:, ~big].sum(-1).max() <= 2, "the best without parameters, never the last with a gradient"
    second = relax.shares(alpha, space, state)["normal"]
    living = torch.softmax(alpha["normal"].detach().masked_fill(~alive["normal"], -torch.inf), -1)
    torch.testing.assert_close(second.detach() / second.detach().sum(-1, keepdim=True), living)
    for edges in space.node_inputs()["normal"]:
        assert float(second[list(edges)].detach().sum()) == pytest.approx(2.0)


def test_pruning_never_resurrects_and_never_takes_the_last() -> None:
    space, state = drawn("conv-cell"), RelaxState()
    source, dead = generator(8), {g.name: torch.zeros(g.shape, dtype=torch.bool) for g in space.groups}
    for step in range(12):
        shares = {g.name: torch.rand(g.shape, generator=source) for g in space.groups}
        keep = {g.name: torch.rand(g.shape, generator=source) > 0.4 for g in space.groups}
        prune(view(space, {}, Softmax(), step, 0.0, state), keep, shares)
        alive = state.alive
        assert alive is not None
        for group in space.groups:
            assert not bool((alive[group.name] & dead[group.name]).any()), "a dead candidate lives"
            dead[group.name] |= ~alive[group.name]
            receiving = [i for i, name in enumerate(group.candidates) if name not in space.zero_operations]
            assert bool(alive[group.name][:, receiving].any(-1).all()), "a choice has no gradient left"
    assert {name: tuple(map(len, rows)) for name, rows in (state.kept() or {}).items()} == {
        name: tuple(row) for name, row in ((k, v.sum(-1).tolist()) for k, v in alive.items())
    }


def test_asap_s_threshold_rises_and_leaves_one() -> None:
    space, relax, part = drawn("interaction"), Softmax(), Prune(first=0.4, last=0.9, after=0.1, every=5)
    alpha = {"operation": torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0]])}
    state = relax.init()
    part.advance(view(space, alpha, relax, 3, 0.5, state), {})
    assert state.alive is None, "not a step that it asks in"
    part.advance(view(space, alpha, relax, 5, 0.05, state), {})
    assert state.alive is None, "too early"
    part.advance(view(space, alpha, relax, 5, 0.1, state), {})
    p = torch.softmax(alpha["operation"], -1)[0]
    assert (state.alive or {})["operation"][0].tolist() == (p >= 0.4 / 5).tolist()
    for step in range(10, 200, 5):
        part.advance(view(space, alpha, relax, step, 0.999, state), {})
    assert (state.alive or {})["operation"][0].tolist() == [True, False, False, False, False]
    with pytest.raises(StrategyError, match="needs 0 <= first <= last"):
        Prune(first=0.9, last=0.1)


def test_shrinking_keeps_the_strongest_once_a_stage() -> None:
    space, relax, part = drawn("interaction"), Softmax(), Shrink((0.3, 0.6), (3, 1))
    alpha, state, own = {"operation": torch.tensor([[2.0, 1.0, 0.0, 3.0, -2.0]])}, relax.init(), part.init()
    for progress, left in ((0.2, 5), (0.3, 3), (0.5, 3), (0.7, 1)):
        part.advance(view(space, alpha, relax, 0, progress, state), own)
        alive = state.alive
        assert (5 if alive is None else int(alive["operation"].sum())) == left
    assert (state.alive or {})["operation"][0].tolist() == [False, False, False, True, False]
    with pytest.raises(StrategyError, match="one keep >= 1 for each at"):
        Shrink((0.5,), (3, 2))


@pytest.mark.parametrize(("kind", "middle"), [("exponential", 1.0), ("linear", 5.05)])
def test_temperatures_fall_as_they_say(kind: Any, middle: float) -> None:
    part, state = Temperature(10.0, 0.1, kind, after=0.2), RelaxState()
    for progress, wanted in ((0.0, 10.0), (0.2, 10.0), (0.6, middle), (1.0, 0.1)):
        part.advance(view(drawn("interaction"), {}, Softmax(), 0, progress, state), {})
        assert state.temperature == pytest.approx(wanted)
    with pytest.raises(StrategyError, match="temperatures must be above 0"):
        Temperature(1.0, 0.0)


def weights_after(strategy: Strategy) -> tuple[list[Tensor], list[Tensor], dict[str, Any]]:
    space = CASES["interaction"].space()
    loop = Loop(space, CASES["interaction"].task(), TRAINING, strategy=strategy)
    before = [p.detach().clone() for p in space.weights()]
    state = loop.run()
    return before, list(space.weights()), state


def test_an_untrained_search_leaves_the_weights_and_stops_learning() -> None:
    strategy = Strategy(Switches(), Weights(), Saliency(), Argmax(), schedules=(Untrained(3),))
    before, after, state = weights_after(strategy)
    assert all(map(torch.equal, before, after))
    assert state["gradient"]["count"] == 3


def test_a_warm_up_leaves_alpha() -> None:
    late = Strategy(Logits(), Softmax(), FirstOrder(), Argmax(), schedules=(StartAt(0.99),))
    before, after, state = weights_after(late)
    start = Logits().init(CASES["interaction"].space(), generator(), torch.device("cpu"))
    assert not all(map(torch.equal, before, after))
    assert float(state["alpha"]["operation"].detach().abs().max()) < 0.02
    assert start["operation"].shape == state["alpha"]["operation"].shape


def test_saliency_is_gradient_times_weight_at_even_weights() -> None:
    strategy = make_strategy("freedarts")
    assert isinstance(strategy, Strategy)
    context, state = context_of("interaction", strategy)
    even = {"operation": torch.full((1, 5), 0.2).requires_grad_()}
    loss = context.validation_loss(Mixture(weights=even))
    (gradient,) = torch.autograd.grad(loss, even["operation"])
    strategy.gradient.step(context, state)
    torch.testing.assert_close(context.alpha["operation"].detach(), (gradient * 0.2).abs())
    small = 1e-3
    for index in range(5):
        moved = [torch.full((1, 5), 0.2), torch.full((1, 5), 0.2)]
        moved[0][0, index] += small
        moved[1][0, index] -= small
        up, down = (float(context.validation_loss(Mixture(weights={"operation": w}))) for w in moved)
        assert float(gradient[0, index]) == pytest.approx((up - down) / (2 * small), rel=0.02, abs=2e-4)


def test_exact_shapley_values_move_alpha_by_the_rate() -> None:
    strategy = Strategy(Logits(noise=0.0), Softmax(), Shapley(rate=0.5, every=2), Argmax())
    context, state = context_of("interaction", strategy)
    strategy.gradient.step(context, state)
    alpha = context.alpha["operation"].detach().clone()
    assert float(alpha.norm()) == pytest.approx(0.5)
    strategy.gradient.step(context, state)
    assert torch.equal(context.alpha["operation"].detach(), alpha), "only every second step"
    whole = -float(context.validation_loss(Mixture(weights={"operation": torch.full((1, 5), 0.2)})))
    nothing = -float(context.validation_loss(Mixture(weights={"operation": torch.zeros(1, 5)})))
    assert float(state["values"]["operation"].sum()) == pytest.approx(0.2 * (whole - nothing), rel=1e-3)


def test_prices_are_their_formulas() -> None:
    space = drawn("conv-cell")
    alpha = Logits(noise=0.5).init(space, generator(), torch.device("cpu"))
    seen = view(space, alpha, Dirichlet(), 0, 0.5, RelaxState())
    kl = DirichletPrior(2.0).penalty(Mixture(), seen, {})
    total = 0.0
    for tensor in alpha.values():
        c = (torch.nn.functional.elu(tensor.detach()) + 1.0 + 1e-6).double()
        s, n = c.sum(-1), c.shape[1]
        row = torch.lgamma(s) - math.lgamma(n) - torch.lgamma(c).sum(-1)
        total += float((row + ((c - 1) * (torch.digamma(c) - torch.digamma(s)[:, None])).sum(-1)).sum())
    assert kl is not None
    assert float(kl.detach()) == pytest.approx(2.0 * total, rel=1e-4)
    gates = {name: torch.rand(t.shape, generator=generator(3)) for name, t in alpha.items()}
    price = GatePrice(4.0).penalty(Mixture(weights=gates), seen, {})
    wanted = sum(float((gates[n] * b).sum() / b.shape[0]) for n, b in space.relative_parameters().items())
    assert price is not None
    assert float(price) == pytest.approx(4.0 * 0.5 * wanted, rel=1e-5)


def test_relevance_prunes_what_the_loss_does_not_need() -> None:
    space, part = drawn("interaction"), Relevance(weight=0.1, threshold=0.05)
    alpha = {"operation": torch.tensor([[1.0, 0.001, 0.5, 0.2, 0.3]]).requires_grad_()}
    alpha["operation"].grad = torch.tensor([[1.0, 1.0, 2.0, 0.5, 0.1]])
    state, own = RelaxState(), part.init()
    seen = view(space, alpha, Weights(), 4, 0.2, state)
    part.learned(seen, own)
    part.advance(seen, own)
    bend = alpha["operation"].grad.square() / alpha["operation"].grad.square().mean()
    gamma = alpha["operation"].detach().abs()
    torch.testing.assert_close(own["omega"]["operation"], (bend / (1 + gamma * bend)).sqrt())
    assert (state.alive or {})["operation"][0].tolist() == [True, False, True, True, True]
    price = part.penalty(Mixture(), seen, own)
    living = own["omega"]["operation"] * gamma
    living[0, 1] = 0.0
    assert price is not None
    assert float(price.detach()) == pytest.approx(0.1 * float(living.sum()), rel=1e-5)


def test_the_size_of_a_drawn_point_is_a_cost() -> None:
    space = drawn("conv-cell")
    active = space.random_point(generator(11))
    price = Complexity(3.0).penalty(Mixture(active=active), view(space, {}, Uniform(), 0, 0.0, RelaxState()), {})
    sizes = space.relative_parameters()
    total = sum(
        float(sizes[n][row, pick]) for n, picks in active.items() for row, pick in enumerate(picks) if pick >= 0
    )
    assert price is not None
    assert float(price) == pytest.approx(3.0 * total)
    found = [
        search(drawn("conv-cell"), CASES["conv-cell"].task(), make_strategy("tnd-nas", eta=eta), TRAINING).trace[-1]
        for eta in (0.0, 1000.0)
    ]
    assert found[0]["alpha"] != found[1]["alpha"]


def test_central_differences_draw_the_same_noise_at_both_ends() -> None:
    """On a network with dropout the amended gradient is near the first order's, not a thousand times its spread."""
    amended, plain = (make_strategy(name) for name in ("amended-darts", "darts"))
    assert isinstance(amended, Strategy)
    assert isinstance(plain, Strategy)
    spreads = {}
    for name, strategy in (("amended", amended), ("plain", plain)):
        grads = []
        for seed in range(6):
            context, state = context_of("recurrent-cell", strategy)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                tensors = [context.alpha["node"]]
                grads.append(strategy.gradient.gradient(context, tensors, state)[0])  # type: ignore[attr-defined]
        stack = torch.stack([grad for grad in grads if grad is not None])
        spreads[name] = float((stack - stack.mean(0)).norm(dim=(1, 2)).mean())
    assert spreads["amended"] < 5 * spreads["plain"]


def test_a_pruned_candidate_cannot_win_by_perturbation() -> None:
    space = drawn("interaction")
    asked: list[dict[str, Tensor]] = []

    def metric(weights: dict[str, Tensor]) -> float:
        asked.append(weights)
        return float(weights["operation"][0] @ torch.tensor([1.0, -9.0, 3.0, 0.0, 0.0]))

    context = select_context(space, metric, [])
    context.scores = {"operation": torch.tensor([[0.3, -torch.inf, 0.7, -torch.inf, -torch.inf]])}
    assert Perturbation(0).select(context) == {"operation": (0,)}, "without it the loss is 2.1, without the other .3"
    assert all(bool(w["operation"].isfinite().all()) for w in asked)


def test_twins_have_the_clip_of_the_weights_and_only_what_is_trained() -> None:
    strategy = Strategy(Logits(), Softmax(), Twin(), Argmax(), hooks=(NormOnly(),))
    context, state = context_of("conv-cell", strategy)
    context.optimiser = Optimiser("sgd", 20.0, clip=0.25)
    context.learning_rate = 20.0
    strategy.gradient.step(context, state)
    assert len(state["twin"]) == len(context.weights) < len(context.space.weights())
    moved = torch.cat([(t - w.detach()).flatten() for t, w in zip(state["twin"], context.weights, strict=True)])
    assert 0.0 < float(moved.norm()) <= 20.0 * 0.25 * 1.001


def test_an_epoch_without_weight_steps_has_no_training_loss() -> None:
    strategy = Strategy(Switches(), Weights(), Saliency(), Argmax(), schedules=(Untrained(3),))
    *_, state = weights_after(strategy)
    assert all("loss" not in record for record in state["trace"])


def test_validating_a_uniform_supernet_does_not_change_the_search() -> None:
    outcomes = []
    for every in (0, 1):
        space = CASES["interaction"].space()
        strategy = Strategy(Logits(), Uniform(), NoGradient(), Argmax())
        training = Training(epochs=2, batch_size=24, optimiser=Optimiser(learning_rate=0.05), evaluate_every=every)
        Loop(space, CASES["interaction"].task(), training, strategy=strategy).run()
        outcomes.append([p.detach().clone() for p in space.weights()])
    assert all(map(torch.equal, *outcomes))


@pytest.mark.parametrize(
    ("parts", "lacks"),
    [
        ((EdgeLogits(), Softmax(), FirstOrder()), "weighs edges"),
        ((PairLogits(), WeightedEdges(), FirstOrder()), "edges"),
        ((Logits(), CategoricalShares(), ScoreFunction()), "simplex"),
        ((Simplex(), Categorical(), Natural()), "logits"),
        ((Switches(), Gates(), FirstOrder()), "gated"),
    ],
)
def test_domains_and_relaxations_that_do_not_belong_together_are_refused(parts: Any, lacks: str) -> None:
    with pytest.raises(StrategyError, match=f"lacks '{lacks}'"):
        Strategy(*parts, Argmax())


def test_gates_do_not_compete() -> None:
    space = drawn("interaction")
    weights = Gates().mixture({"operation": torch.zeros(1, 5)}, space, "weight", RelaxState(), generator()).weights
    assert (weights or {})["operation"].tolist() == [[0.5] * 5]


def select_context(space: Space, metric: Callable[[dict[str, Tensor]], float], tuned: list[Any]) -> SelectContext:
    """A context whose supernet's loss is a known function of the weights."""

    def of_mixture(mixture: Mixture) -> float:
        if mixture.weights is not None:
            return metric({name: w.clone() for name, w in mixture.weights.items()})
        points = {}
        for group in space.groups:
            table = torch.zeros(group.shape)
            for row, pick in enumerate((mixture.active or {})[group.name]):
                if pick >= 0:
                    table[row, pick] = 1.0
            points[group.name] = table
        return metric(points)

    def look(active: Active) -> float:
        return of_mixture(Mixture(active=active))

    scores = {g.name: torch.full(g.shape, 1.0 / g.shape[1]) for g in space.groups}
    task = CASES[space.name].task()
    return SelectContext(
        space, task, scores, look, lambda *_: math.nan, TRAINING, 5, of_mixture, lambda m, e: tuned.append(e)
    )


def test_perturbation_keeps_what_is_missed_most_and_trains_in_between() -> None:
    """The loss falls with each candidate's worth; what is worth most is missed most, and weak edges go."""
    space = drawn("conv-cell")
    worth = {g.name: torch.rand(g.shape, generator=generator(9)) for g in space.groups}

    def metric(weights: dict[str, Tensor]) -> float:
        return -sum(float((weights[name] * worth[name]).sum()) for name in worth)

    tuned: list[int] = []
    context = select_context(space, metric, tuned)
    context.task.maximise = False
    active = Perturbation(tune=2).select(context)
    receiving = {g.name: [i for i, n in enumerate(g.candidates) if n != "none"] for g in space.groups}
    best = {
        name: {row: max(receiving[name], key=lambda i: float(t[row, i])) for row in range(len(t))}
        for name, t in worth.items()
    }
    for name, picks in active.items():
        assert all(pick in (-1, best[name][row]) for row, pick in enumerate(picks))
        for edges in space.node_inputs()[name]:
            strongest = sorted(edges, key=lambda e: -float(worth[name][e, best[name][e]]))[:2]
            assert {e for e in edges if picks[e] >= 0} == set(strongest)
    assert tuned == [2] * (sum(g.choices for g in space.groups) - 1)
    with pytest.raises(SearchError, match="tune must be 0 or more"):
        Perturbation(-1)


def test_exploring_finds_the_supernet_s_best_point() -> None:
    space = drawn("interaction-wide")
    worth = {g.name: torch.rand(g.shape, generator=generator(10)) for g in space.groups}

    def metric(weights: dict[str, Tensor]) -> float:
        return -sum(float((weights[name] * worth[name]).sum()) for name in worth)

    context = select_context(space, metric, [])
    asked = Explore(Evolution(trials=400, population=20, sample=5), n_supernet_evals=400).select(context)
    assert asked == {name: tuple(t.argmax(-1).tolist()) for name, t in worth.items()}
    few = Explore(Random(trials=9), n_supernet_evals=3)
    seen: list[Active] = []
    plain = context.supernet_metric
    context.supernet_metric = lambda active: (seen.append(active), plain(active))[1]
    few.select(context)
    assert len(seen) == 3
    with pytest.raises(SearchError, match="n_supernet_evals must be 1 or more"):
        Explore(Random(), n_supernet_evals=0)


def test_darts_pt_trains_the_supernet_on_between_decisions() -> None:
    case = CASES["nas-bench-201"]
    found = []
    for tune in (0, 1):
        space = case.space()
        found.append((search(space, case.task(), make_strategy("darts-pt", tune=tune), TRAINING, seed=1), space))
    (_, still), (_, tuned) = found
    assert not torch.equal(still.classifier.weight, tuned.classifier.weight)  # type: ignore[union-attr, arg-type]


def test_no_gradient_on_a_space_without_continuous_parameters_runs_nothing() -> None:
    strategy = Strategy(Logits(), Uniform(), NoGradient(), Argmax())
    context, state = context_of("nas-bench-201", strategy)
    context.validation_loss = lambda *_: pytest.fail("a forward pass that nobody needs")
    strategy.gradient.step(context, state)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Simplex(floor=0.6),
        lambda: Gaussian(precision=0.0),
        lambda: GumbelHard(samples=0),
        lambda: StartAt(1.0),
        lambda: Untrained(0),
    ],
)
def test_parts_refuse_settings_without_meaning(make: Callable[[], Schedule]) -> None:
    with pytest.raises(StrategyError):
        make()
