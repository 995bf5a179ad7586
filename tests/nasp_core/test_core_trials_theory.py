"""What the papers of multi-trial strategies promise, held to closed forms and to brute force."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from trial_samples import PlantedTable, bench_space

from nasp_core.methods import STRATEGIES
from nasp_core.network import Space
from nasp_core.state import pack
from nasp_core.trials import Proposal, SearchContext, explore
from nasp_core.trials.anasod import histograms
from nasp_core.trials.budgeted import normal_scores
from nasp_core.trials.evolution import Evolution, alive
from nasp_core.trials.gaussian_process import expected_improvement, log_marginal, posterior
from nasp_core.trials.graphs import Graph, cell_graph, graph_of, kernel, star_graph, wl_features
from nasp_core.trials.nao import AutoEncoder
from nasp_core.trials.neighbours import changes, mutated, neighbours
from nasp_core.trials.points import key_of, point_of, tokens_of, vocabulary
from nasp_core.trials.reinforce import Controller, policy_loss
from nasp_core.types import Active
from sif.cells.convolution.space import ConvCellSpace, ConvSettings
from sif.cells.recurrent.settings import RecurrentSettings
from sif.cells.recurrent.space import RecurrentCellSpace
from sif.testing.cases import CASES

REWARDS = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)


def analytic(logits: Tensor) -> Tensor:
    """The gradient of E[reward] in the logits: p_k (r_k - E[r])."""
    p = logits.softmax(dim=0)
    return p * (REWARDS - (p * REWARDS).sum())


@pytest.mark.parametrize("baseline", [0.0, 0.7, -3.0])
def test_reinforce_is_unbiased_by_enumeration(baseline: float) -> None:
    """The expectation over all arms of the estimate is the gradient of the expected reward, for any baseline."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    expected = torch.zeros(3, dtype=torch.float64)
    for arm, p in enumerate(logits.softmax(dim=0).tolist()):
        loss = policy_loss(logits.log_softmax(dim=0)[arm][None], REWARDS[arm][None], baseline)
        (grad,) = torch.autograd.grad(loss, logits)
        expected -= p * grad
    assert torch.allclose(expected, analytic(logits.detach()), atol=1e-12)


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_reinforce_is_unbiased_by_drawing(baseline: float) -> None:
    """The mean over 200,000 draws is within four standard errors of the gradient of the expected reward."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    p = logits.detach().softmax(dim=0)
    arms = torch.multinomial(p, 200_000, replacement=True, generator=torch.Generator().manual_seed(0))
    (grad,) = torch.autograd.grad(policy_loss(logits.log_softmax(dim=0)[arms], REWARDS[arms], baseline), logits)
    each = (REWARDS[arms] - baseline)[:, None] * (torch.nn.functional.one_hot(arms, 3) - p)
    error = each.std(dim=0) / math.sqrt(len(arms))
    assert torch.allclose(-grad, each.mean(dim=0), atol=1e-12)
    assert bool(((-grad - analytic(logits.detach())).abs() <= 4 * error).all())


def test_the_controllers_probabilities_are_a_distribution_over_sequences() -> None:
    torch.manual_seed(0)
    controller = Controller([2, 3, 2], hidden=4)
    sequences = [list(tokens) for tokens in itertools.product(range(2), range(3), range(2))]
    with torch.no_grad():
        logs = torch.stack([controller(tokens)[1] for tokens in sequences])
        assert logs.exp().sum() == pytest.approx(1.0, abs=1e-5)
        generator = torch.Generator().manual_seed(1)
        drawn = [controller(None, generator) for _ in range(2000)]
    for tokens, log, _ in drawn[:20]:
        assert float(log) == pytest.approx(float(logs[sequences.index(tokens)]), abs=1e-5)
    counts = torch.tensor([sum(tokens == sequence for tokens, _, _ in drawn) for sequence in sequences]) / 2000
    assert float((counts - logs.exp()).abs().max()) < 0.04  # five standard errors of a share of 1/12
    entropy = drawn[0][2]
    assert 0 < float(entropy) <= math.log(2) + math.log(3) + math.log(2) + 1e-5


def test_ageing_drops_the_oldest_even_if_it_is_the_best() -> None:
    """The first point is the best of all; once it is too old, no child is a change of it any more."""
    assert [list(alive(born, 3)) for born in (0, 2, 3, 4, 7)] == [[], [0, 1], [0, 1, 2], [1, 2, 3], [4, 5, 6]]
    space, strategy = bench_space(), Evolution(trials=30, population=4, sample=40)  # so many, that the best is in
    context = SearchContext(space)
    state = strategy.init(context, torch.Generator().manual_seed(0))
    asked: list[Active] = []
    while (proposal := strategy.ask(context, state)) is not None:
        strategy.tell(context, state, proposal, -float(len(asked)))  # each is worse than all before
        asked.append(proposal.active)
    for born in range(4, 30):
        oldest = asked[born - 4]  # the best of the four that live, though worse than all that died
        assert key_of(asked[born]) in {key_of(near) for near in neighbours(space, oldest)}, born


def test_evolution_changes_one_choice_of_the_winner() -> None:
    space = bench_space()
    generator = torch.Generator().manual_seed(0)
    point = space.random_point(generator)
    children = [mutated(space, point, generator) for _ in range(2000)]
    differing = [[edge for edge in range(6) if child["edge"][edge] != point["edge"][edge]] for child in children]
    assert {len(edges) for edges in differing} == {1}
    counts = [sum(edges == [edge] for edges in differing) for edge in range(6)]
    assert min(counts) > 2000 / 6 - 5 * math.sqrt(2000 * 5 / 36)  # uniform over choices, within five deviations
    assert len({key_of(child) for child in children}) == 24 == len(neighbours(space, point))


@pytest.mark.parametrize("name", ["conv-cell", "recurrent-cell"])
def test_neighbours_reach_the_whole_space(name: str) -> None:
    """From any point single changes lead to every other: no edge is ever stuck, where a space keeps but some."""
    space: Space = RecurrentCellSpace(RecurrentSettings(vocabulary=3, steps=2, embedding_dim=2, hidden=2))
    if name == "conv-cell":
        settings = ConvSettings(
            channels=2,
            layers=3,
            nodes=2,
            stem_multiplier=1,
            operations=("none", "skip_connect"),
            reduce_operations=("none", "skip_connect"),
        )
        space = ConvCellSpace(settings)
    everything = {key_of(point) for point in space.points()}
    start = space.random_point(torch.Generator().manual_seed(0))
    reached, frontier = {key_of(start)}, [start]
    while frontier:
        for near in neighbours(space, frontier.pop()):
            if key_of(near) not in reached:
                reached.add(key_of(near))
                frontier.append(near)
    assert reached == everything


def test_changes_take_the_other_candidates_of_one_choice() -> None:
    space = bench_space()
    point: Active = {"edge": (0, 1, 2, 3, 4, 0)}
    found = changes(space, point, space.groups[0], 2)
    assert [near["edge"] for near in found] == [(0, 1, pick, 3, 4, 0) for pick in (0, 1, 3, 4)]


def test_local_search_ends_a_climb_at_a_top_and_no_neighbour_beats_it() -> None:
    table, space = PlantedTable(3), bench_space()
    strategy = STRATEGIES["local-search"](trials=400, starts=1, whole=True)
    results = explore(SearchContext(space), strategy, table.judge, seed=0)
    scores = {key_of(p.active): score for p, score in results}
    tops = [
        p.active
        for p, score in results
        if all(scores.get(key_of(n), math.inf) <= score for n in neighbours(space, p.active))
    ]
    assert tops, "400 evaluations of 24 neighbours reach no top"
    first = next(i for i, (p, _) in enumerate(results) if p.active == tops[0])
    assert first + 1 < len(results), "the search ended at its first top"


@pytest.mark.parametrize("case", CASES)
def test_the_kernel_is_symmetric_and_positive_with_ones_on_the_diagonal(case: str) -> None:
    space, generator = CASES[case].space(), torch.Generator().manual_seed(0)
    features = [wl_features(graph_of(space, space.random_point(generator)), 3) for _ in range(25)]
    for iterations in range(4):
        gram = kernel(features, iterations)
        assert torch.equal(gram, gram.T)
        assert torch.allclose(gram.diagonal(), torch.ones(25, dtype=torch.float64))
        assert float(torch.linalg.eigvalsh(gram).min()) > -1e-10


def _relabelled(graph: Graph, order: list[int]) -> Graph:
    labels, edges = graph
    place = {old: new for new, old in enumerate(order)}
    return [labels[old] for old in order], [(place[s], place[t]) for s, t in edges]


@pytest.mark.parametrize("case", ["nas-bench-201", "conv-cell", "recurrent-cell", "interaction-wide-pair"])
def test_isomorphic_graphs_have_equal_features(case: str) -> None:
    space, generator = CASES[case].space(), torch.Generator().manual_seed(1)
    for _ in range(10):
        graph = graph_of(space, space.random_point(generator))
        order = torch.randperm(len(graph[0]), generator=generator).tolist()
        assert wl_features(_relabelled(graph, order), 3) == wl_features(graph, 3)


def test_cells_that_are_one_function_have_one_graph_and_others_do_not() -> None:
    """NAS-Bench-201: nodes 1 and 2 swapped, and edges that lead nowhere, change nothing; an operation does."""
    space = bench_space()
    none, skip, one, three, pool = range(5)
    # edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    cell: Active = {"edge": (one, three, none, none, skip, pool)}
    swapped: Active = {"edge": (three, one, none, none, pool, skip)}
    dead: Active = {"edge": (one, three, none, none, skip, none)}
    dead_too: Active = {"edge": (one, pool, none, none, skip, none)}
    other: Active = {"edge": (one, three, none, none, pool, skip)}
    features = {key_of(p): wl_features(graph_of(space, p), 4) for p in (cell, swapped, dead, dead_too, other)}
    assert features[key_of(cell)] == features[key_of(swapped)]
    assert features[key_of(dead)] == features[key_of(dead_too)]
    assert features[key_of(cell)] != features[key_of(other)] != features[key_of(dead)]
    empty = wl_features(graph_of(space, {"edge": (none,) * 6}), 1)
    assert sum(empty[0].values()) == 1
    assert cell_graph(space, cell, 1, False) == graph_of(space, cell)


def test_without_iterations_the_star_counts_equal_choices() -> None:
    space, generator = CASES["interaction-wide-pair"].space(), torch.Generator().manual_seed(0)
    points = [space.random_point(generator) for _ in range(12)]
    gram = kernel([wl_features(star_graph(space, point), 0) for point in points], 0)
    choices, groups = sum(g.choices for g in space.groups), len(space.groups)
    for one, two in itertools.product(range(12), repeat=2):
        equal = sum(a == b for name in points[one] for a, b in zip(points[one][name], points[two][name], strict=True))
        assert float(gram[one, two]) == pytest.approx((equal + groups) / (choices + groups))


def test_the_posterior_is_the_closed_form() -> None:
    """Against the textbook's inverse, and against conditioning on two points by hand."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    new = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    y, noise = torch.randn(7, generator=generator, dtype=torch.float64), 0.3

    def k(a: Tensor, b: Tensor) -> Tensor:
        return (-0.5 * torch.cdist(a, b).square()).exp()

    mean, variance = posterior(k(x, x), k(x, new), torch.ones(4, dtype=torch.float64), y, noise)
    inverse = torch.linalg.inv(k(x, x) + noise * torch.eye(7, dtype=torch.float64))
    assert torch.allclose(mean, k(new, x) @ inverse @ y)
    assert torch.allclose(variance, (k(new, new) - k(new, x) @ inverse @ k(x, new)).diagonal())
    normal = torch.distributions.MultivariateNormal(torch.zeros(7, dtype=torch.float64), k(x, x) + noise * torch.eye(7))
    assert log_marginal(k(x, x), y, noise) == pytest.approx(float(normal.log_prob(y)))
    one = torch.ones(1, dtype=torch.float64)
    mean, variance = posterior(one[None], 0.5 * one[None], one, 2 * one, 0.25)
    assert float(mean) == pytest.approx(0.5 / 1.25 * 2)
    assert float(variance) == pytest.approx(1 - 0.25 / 1.25)


def test_expected_improvement_is_that_of_draws() -> None:
    mean, variance = torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64), torch.tensor([1.0, 0.25, 4.0]).double()
    drawn = mean + variance.sqrt() * torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0)).double()
    measured = (drawn - 0.5).clamp_min(0).mean(dim=0)
    assert torch.allclose(expected_improvement(mean, variance, 0.5), measured, atol=5e-3)
    certain = expected_improvement(torch.tensor([2.0, 0.0]).double(), torch.zeros(2).double(), 0.5)
    assert certain.tolist() == pytest.approx([1.5, 0.0])


def test_normal_scores_keep_the_order_and_have_no_unit() -> None:
    scores = [3.0, 1.0, 2.0, 2.0, -50.0]
    normal = normal_scores(scores)
    assert torch.equal(normal, normal_scores([0.1 * score - 7 for score in scores]))
    assert normal.argsort(stable=True).tolist() == [4, 1, 2, 3, 0]
    assert normal[2] == normal[3]
    assert torch.allclose(normal_scores([1.0, 2.0, 3.0]), torch.tensor([-0.9674, 0.0, 0.9674]).double(), atol=1e-4)


def test_histograms_are_shares_by_group_and_do_not_see_places() -> None:
    space = bench_space()
    rows = histograms(space, [{"edge": (0, 0, 1, 2, 2, 2)}, {"edge": (2, 1, 0, 2, 0, 2)}])
    assert rows[0].tolist() == pytest.approx([2 / 6, 1 / 6, 3 / 6, 0, 0])
    assert torch.equal(rows[0], rows[1])
    cell = CASES["conv-cell"].space()
    point = cell.random_point(torch.Generator().manual_seed(0))
    row = histograms(cell, [point])[0]
    assert row[:4].sum() == pytest.approx(1.0)
    assert row[4:].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("case", CASES)
def test_tokens_lead_back_to_their_point(case: str) -> None:
    space, generator = CASES[case].space(), torch.Generator().manual_seed(0)
    for _ in range(20):
        point = space.random_point(generator)
        tokens = tokens_of(space, point)
        assert all(0 <= token < size for token, size in zip(tokens, vocabulary(space), strict=True))
        assert point_of(space, tokens, generator) == point


def test_too_many_edges_are_thinned_without_favour() -> None:
    """Where all edges into a node are drawn, each pair that may be kept is kept as often as any other."""
    space = CASES["conv-cell"].space()
    generator = torch.Generator().manual_seed(0)
    tokens = [1] * sum(g.choices for g in space.groups)
    kept = [point_of(space, tokens, generator)["normal"][2:5] for _ in range(1500)]
    counts = [sum(pair[edge] < 0 for pair in kept) for edge in range(3)]
    assert sum(counts) == 1500
    assert max(abs(count - 500) for count in counts) < 5 * math.sqrt(1500 * 2 / 9)


def test_an_autoencoder_learns_to_decode_and_a_step_uphill_raises_the_prediction() -> None:
    torch.manual_seed(0)
    net = AutoEncoder([3, 2, 4], hidden=16)
    tokens = torch.tensor(list(itertools.product(range(3), range(2), range(4))))
    beaten = (tokens.float() @ torch.tensor([2.0, 1.0, 3.0])).argsort().argsort() / 24
    adam = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(200):
        adam.zero_grad()
        net.loss(tokens, beaten).backward()
        adam.step()
    code = net.encode(tokens).detach().requires_grad_()
    assert torch.equal(net.decode(code), tokens)
    predicted = net.predict(code)
    (gradient,) = torch.autograd.grad(predicted.sum(), code)
    assert bool((net.predict(code + 0.05 * gradient / gradient.norm(dim=(1, 2), keepdim=True)) > predicted).all())
    assert torch.allclose(code.norm(dim=-1), torch.ones(24, 3), atol=1e-5)


def test_halving_spends_shares_and_lets_the_best_third_go_on() -> None:
    space, table = bench_space(), PlantedTable()
    results = explore(SearchContext(space), STRATEGIES["asha"](trials=40), table.judge, seed=0)
    shares = sorted({round(p.fidelity, 6) for p, _ in results})
    assert shares == [round(1 / 9, 6), round(1 / 3, 6), 1.0]
    counts = [sum(round(p.fidelity, 6) == share for p, _ in results) for share in shares]
    assert counts[0] > 2 * counts[1] > 2 * counts[2] > 0
    assert 38 < sum(p.fidelity for p, _ in results) <= 40 + 1e-9
    rungs: dict[float, list[float]] = {share: [] for share in shares}
    for (p, score), after in zip(results, [*results[1:], None], strict=True):
        seen = rungs[round(p.fidelity, 6)]
        seen.append(score)
        went_on = after is not None and after.proposal.active == p.active
        if after is not None and p.fidelity < 1:
            best = score >= sorted(seen, reverse=True)[max(1, len(seen) // 3) - 1]
            assert went_on == best, f"{score} among {len(seen)}"
    failed = explore(SearchContext(space), STRATEGIES["asha"](trials=1), lambda _: -math.inf, seed=0)
    assert {p.fidelity for p, _ in failed} == {1 / 9}


def test_tpe_without_its_memory_draws_the_same() -> None:
    """What Optuna remembers is made from the history: thrown away between two asks, it changes nothing."""
    context, table = SearchContext(bench_space()), PlantedTable()
    strategy = STRATEGIES["tpe"](trials=16, startup=6)
    kept, forgetful = (strategy.init(context, torch.Generator().manual_seed(0)) for _ in range(2))
    for _ in range(16):
        forgetful["study"].value = None
        first, second = strategy.ask(context, kept), strategy.ask(context, forgetful)
        assert isinstance(first, Proposal)
        assert first == second
        for state in (kept, forgetful):
            strategy.tell(context, state, first, table.judge(first))
    assert pack(kept)["results"] == pack(forgetful)["results"]
    assert pack(kept)["study"] == {}
