"""Every score on a network of every space: it has a number or a reason, and leaves no trace."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from nasp_core.errors import ProxyError
from nasp_core.network import Network, Space
from nasp_core.proxies import PROXIES, FreeDarts, make_proxy, proxy_judge, proxy_score, saliency, summed
from nasp_core.proxies.probing import apart
from nasp_core.testing.cases import fresh_space
from nasp_core.trials import Enumerate, SearchContext, explore
from nasp_core.types import Active, Batch, Mixture, Task, derive_seed
from sif.testing.cases import CASES

IDS = "the inputs are ids, and "
NO_RELU = "has no ReLU that sees the samples"
HAND_WRITTEN = "hand-written gradients that cannot be differentiated again"
TABLES = ("interaction", "interaction-full", "tensor-interaction", "interaction-wide", "interaction-wide-pair")
REASONS = (
    {(case, score): IDS for case in (*TABLES, "recurrent-cell") for score in ("fisher", "jacob-cov", "linear-regions")}
    | {(case, "grasp"): HAND_WRITTEN for case in TABLES}
    | {(case, "naswot"): NO_RELU for case in (*TABLES, "recurrent-cell", "quadratic") if case != "interaction-wide"}
    | {("quadratic", "linear-regions"): NO_RELU, ("quadratic", "fisher"): "neither convolutions nor linear layers"}
)
PAIRS = [(case, score) for case in CASES for score in PROXIES]


def prepared(name: str) -> tuple[Space, Active, Task, Batch]:
    case = CASES[name]
    space, task = fresh_space(case), case.task()
    active = space.random_point(torch.Generator().manual_seed(1))
    return space, active, task, task.stream("train", 12, 0).batch(0)


def snapshot(network: Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in (*network.named_parameters(), *network.named_buffers())}


@pytest.mark.parametrize(("case", "score"), PAIRS)
def test_a_score_has_a_number_or_a_reason_and_leaves_no_trace(case: str, score: str):
    space, active, task, batch = prepared(case)
    network = space.build(space.genotype(active))
    network.reset(torch.Generator().manual_seed(0))
    network.eval()
    first = next(network.parameters())
    first.grad = torch.full_like(first, 3.0)
    inputs = copy.deepcopy(batch.inputs)
    before, space_before, state = snapshot(network), snapshot(space), torch.get_rng_state()
    part = make_proxy(score)

    def asked() -> float:
        if score == "freedarts":
            return proxy_score(part, space, active, batch, task.loss, seed=0)
        return part.score(network, batch, task.loss)

    reason = REASONS.get((case, score))
    if reason is not None:
        with pytest.raises(ProxyError, match=reason):
            asked()
    else:
        value = asked()
        assert not math.isnan(value)
        torch.manual_seed(99)  # whatever the global generator holds, the score is the same
        assert asked() == value
        torch.set_rng_state(state)
    assert torch.equal(state, torch.get_rng_state())
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in snapshot(network).items())
    assert all(torch.equal(value, space_before[name]) for name, value in snapshot(space).items())
    assert torch.equal(first.grad, torch.full_like(first, 3.0))
    assert all(p.grad is None for p in network.parameters() if p is not first)
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(one, two) for one, two in zip(inputs, batch.inputs, strict=True))


def test_a_score_of_weights_drawn_otherwise_is_another():
    space, active, task, batch = prepared("nas-bench-201")
    part = make_proxy("grad-norm")
    one, again, two = (proxy_score(part, space, active, batch, task.loss, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one != two


def test_the_generators_are_restored_after_a_failure_too():
    network = prepared("quadratic")[0]
    state = torch.get_rng_state()

    def fails() -> None:
        with apart(network):
            torch.rand(3)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fails()
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("with_loss", [False, True])
@pytest.mark.parametrize("case", ["interaction", "interaction-wide", "conv-cell", "nas-bench-201", "recurrent-cell"])
def test_the_saliency_of_a_supernet_is_alpha_times_a_finite_difference(case: str, with_loss: bool):
    space, _, task, batch = prepared(case)
    for module in space.modules():  # dropout aside, which has draws of its own
        for name in ("dropout", "dropoutx", "dropouti", "dropoute", "dropouth", "weight_dropout"):
            if hasattr(getattr(module, "settings", None), name):
                object.__setattr__(module.settings, name, 0.0)
    space = space.double()
    if isinstance(batch.inputs, Tensor) and batch.inputs.is_floating_point():
        batch = batch._replace(inputs=batch.inputs.double())
    generator = torch.Generator().manual_seed(3)
    alpha = {g.name: torch.rand(g.shape, generator=generator, dtype=torch.float64) + 0.1 for g in space.groups}
    loss = task.loss if with_loss else None
    found = saliency(space, batch, loss, alpha)

    def value(changed: dict[str, Tensor]) -> float:
        twin = copy.deepcopy(space).train(with_loss)
        with torch.no_grad():
            if with_loss:
                return float(twin.training_loss(batch, Mixture(weights=changed), task.loss)[0])
            for parameter in twin.parameters():
                parameter.abs_()
            for norm in [m for m in twin.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]:
                norm.forward = lambda x: x  # type: ignore[method-assign]
            inputs = batch.inputs
            ones = torch.ones_like(inputs[:1]) if inputs.is_floating_point() else inputs
            return float(twin.step(ones, Mixture(weights=changed))[0].sum())

    step = 1e-6
    for group in space.groups:
        for choice, candidate in [(0, 0), (group.choices - 1, len(group.candidates) - 1)]:
            ends = []
            for sign in (1, -1):
                changed = {name: weight.clone() for name, weight in alpha.items()}
                changed[group.name][choice, candidate] += sign * step
                ends.append(value(changed))
            gradient = (ends[0] - ends[1]) / (2 * step)
            expected = abs(float(alpha[group.name][choice, candidate]) * gradient)
            assert float(found[group.name][choice, candidate]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_equal_weights_are_the_default_and_a_candidate_of_weight_zero_has_no_saliency():
    space, _, _, batch = prepared("conv-cell")
    alike = {g.name: torch.full(g.shape, 1 / len(g.candidates)) for g in space.groups}
    default = saliency(space, batch)
    assert all(torch.equal(default[name], value) for name, value in saliency(space, batch, alpha=alike).items())
    alike["normal"][0, 1] = 0.0
    without = saliency(space, batch, alpha=alike)["normal"]
    assert float(without[0, 1]) == 0.0
    assert float(default["normal"][0, 1]) > 0.0
    assert float(default["normal"][0, 0]) == 0.0, "none has no gradient"


def test_freedarts_sums_the_saliency_of_a_points_candidates():
    space, active, task, batch = prepared("conv-cell")
    fresh = copy.deepcopy(space)
    fresh.reset(torch.Generator().manual_seed(5))
    salient = saliency(fresh, batch)
    expected = sum(
        float(salient[name][row, pick]) for name, picks in active.items() for row, pick in enumerate(picks) if pick >= 0
    )
    assert summed(salient, active) == pytest.approx(expected)
    assert proxy_score(FreeDarts(), space, active, batch, task.loss, seed=5) == pytest.approx(expected)
    assert any(pick < 0 for picks in active.values() for pick in picks), "a dropped choice adds nothing"


def test_a_trial_strategy_finds_the_point_that_scores_best():
    case = CASES["interaction"]
    space, task = fresh_space(case), case.task()
    judge = proxy_judge(make_proxy("grad-norm"), space, task, batch_size=12, seed=3)
    result = explore(SearchContext(space), Enumerate(), judge, seed=0)
    assert len(result) == sum(1 for _ in space.points())
    batch = task.stream("train", 12, derive_seed(3, "score-judge", "batch")).batch(0)
    seed = derive_seed(3, "score-judge", "weights")
    for each in result:
        active = each.proposal.active
        assert each.score == proxy_score(make_proxy("grad-norm"), space, active, batch, task.loss, seed=seed)
    assert judge(result[0].proposal) == result[0].score
    with pytest.raises(ProxyError, match=NO_RELU):
        proxy_judge(make_proxy("naswot"), space, task)(result[0].proposal)


def test_freedarts_of_a_plain_network_says_what_to_do():
    space, active, task, batch = prepared("nas-bench-201")
    with pytest.raises(ProxyError, match=r"NasBench201Network has none; use nasp_core\.proxies\.proxy_score"):
        FreeDarts().score(space.build(space.genotype(active)), batch, task.loss)


def test_names_and_settings_are_checked_with_the_nearest():
    with pytest.raises(ProxyError, match="unknown proxy 'synflo'; did you mean 'synflow'"):
        make_proxy("synflo")
    with pytest.raises(ProxyError, match=r"proxy 'ntk' has no setting 'sample'\. Did you mean 'samples'"):
        make_proxy("ntk", sample=3)
    with pytest.raises(ProxyError, match="It has: none"):
        make_proxy("synflow", pictures=3)
    assert make_proxy("ntk", samples=3).samples == 3


@pytest.mark.parametrize("name", PROXIES)
def test_every_score_says_where_it_comes_from_and_when_it_fails(name: str):
    part = make_proxy(name)
    assert part.name == name
    assert part.papers
    assert all(paper.bibtex() for paper in part.papers)
    for words in ("Departs from the paper", "Fails when"):
        assert words in (type(part).__doc__ or "")
