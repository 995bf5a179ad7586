"""Domains, relaxations, selections: each alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nasp_core.errors import SearchError
from nasp_core.methods.nasp_ranked import Ranking, finalists
from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts import Argmax, Box, FairTurns, Logits, OneHot, Pinned, Softmax
from nasp_core.strategy import SelectContext
from nasp_core.testing import QuadraticSettings, QuadraticSpace
from nasp_core.types import Active, ChoiceGroup, Phase, RelaxState
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.testing.cases import CASES
from sif.testing.planted import PlantedTask

FLOATS = st.floats(-50, 50, width=32)
ROWS = st.lists(st.lists(FLOATS, min_size=4, max_size=4), min_size=1, max_size=3)


class TwoGroups(Space):
    """Two groups of choices, no constraint; nothing to compute."""

    name, version = "two", 1
    groups = (ChoiceGroup("a", 3, ("x", "y", "z", "w")), ChoiceGroup("b", 1, ("p", "q")))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def space(**changes: object) -> InteractionSpace:
    built = InteractionSpace((5, 4), InteractionSettings(**{"embedding_dim": 2, "hidden": 0, **changes}))  # type: ignore
    built.reset(generator())
    return built


@settings(deadline=None)
@given(ROWS, ROWS)
def test_box_is_idempotent_and_non_expansive(first: list[list[float]], second: list[list[float]]) -> None:
    size = min(len(first), len(second))
    raw = [torch.tensor(rows[:size]) for rows in (first, second)]
    clipped = []
    for tensor in raw:
        alpha = {"g": tensor.clone()}
        Box(-1.0, 2.0).retract(alpha)
        once = alpha["g"].clone()
        assert float(once.min()) >= -1.0
        assert float(once.max()) <= 2.0
        Box(-1.0, 2.0).retract(alpha)
        assert torch.equal(alpha["g"], once)
        inside = (tensor >= -1) & (tensor <= 2)
        assert torch.equal(once[inside], tensor[inside])
        clipped.append(once)
    assert float((clipped[0] - clipped[1]).norm()) <= float((raw[0] - raw[1]).norm()) * (1 + 1e-6) + 1e-6


@settings(deadline=None)
@given(ROWS, st.floats(0.1, 10))
def test_softmax_sums_to_one_and_keeps_the_order(rows: list[list[float]], temperature: float) -> None:
    alpha = {"g": torch.tensor(rows, requires_grad=True)}
    weights = Softmax(temperature).mixture(alpha, TwoGroups(), "arch", RelaxState(), generator()).weights
    assert weights is not None
    torch.testing.assert_close(weights["g"].sum(-1), torch.ones(len(rows)), rtol=1e-5, atol=1e-5)
    assert (weights["g"] >= 0).all()
    best = torch.tensor(rows).argmax(-1, keepdim=True)
    assert torch.equal(weights["g"].gather(-1, best), weights["g"].amax(-1, keepdim=True))


def test_softmax_temperature_is_in_the_exponent() -> None:
    alpha = {"g": torch.tensor([[0.0, 1.0]])}
    weights = Softmax(0.5).mixture(alpha, TwoGroups(), "valid", RelaxState(), generator()).weights
    assert weights is not None
    torch.testing.assert_close(weights["g"][0, 1], torch.sigmoid(torch.tensor(2.0)))


@settings(deadline=None)
@given(ROWS)
def test_one_hot_is_the_nearest_corner(rows: list[list[float]]) -> None:
    scores = torch.tensor(rows)
    corners = torch.eye(4)
    (active,) = TwoGroups().constrain({"g": scores}).values()
    for row, index in zip(scores, active, strict=True):
        distance = (row - corners).norm(dim=-1)
        assert float(distance[index]) <= float(distance.min()) + 1e-4
    again = {"g": torch.stack([corners[index] for index in active])}
    assert TwoGroups().constrain(again) == {"g": active}


def test_one_hot_lets_alphas_gradient_through_unchanged() -> None:
    alpha = {"a": torch.rand(3, 4).requires_grad_(), "b": torch.rand(1, 2).requires_grad_()}
    mixture = OneHot().mixture(alpha, TwoGroups(), "arch", OneHot().init(), generator())
    assert mixture.weights is not None
    assert mixture.active is not None
    gradient = torch.randn(3, 4)
    (grad,) = torch.autograd.grad((mixture.weights["a"] * gradient).sum(), alpha["a"])
    assert torch.equal(grad, gradient)
    for row, index in enumerate(mixture.active["a"]):
        assert mixture.weights["a"][row].tolist() == [float(i == index) for i in range(4)]
    for phase in ("weight", "valid"):
        assert OneHot().mixture(alpha, TwoGroups(), phase, OneHot().init(), generator()).weights is None


@pytest.mark.parametrize("domain", [Box(0.0, 1.0, 0.5, 0.01), Logits(0.01)])
def test_domains_start_with_noise_that_the_seed_decides(domain: Box | Logits) -> None:
    first, again, other = (domain.init(TwoGroups(), generator(s), torch.device("cpu")) for s in (0, 0, 1))
    assert {name: tuple(t.shape) for name, t in first.items()} == {"a": (3, 4), "b": (1, 2)}
    assert torch.equal(first["a"], again["a"])
    assert not torch.equal(first["a"], other["a"])
    centre = domain.start if isinstance(domain, Box) else 0.0
    spread = (first["a"].detach() - centre).abs()
    assert 0.0 < float(spread.mean()) < 0.02


def test_box_without_noise_starts_at_its_start_within_the_box() -> None:
    alpha = Box(0.0, 1.0, start=0.25, noise=0.0).init(TwoGroups(), generator(), torch.device("cpu"))
    assert (alpha["a"] == 0.25).all()
    beyond = Box(0.0, 1.0, start=3.0, noise=0.0).init(TwoGroups(), generator(), torch.device("cpu"))
    assert (beyond["a"] == 1.0).all()


def test_fair_turns_gives_every_candidate_one_turn_a_round() -> None:
    built = TwoGroups()
    alpha = {"a": torch.zeros(3, 4), "b": torch.zeros(1, 2)}
    state, gen = FairTurns().init(), generator(3)
    rounds = []
    for _ in range(6):
        turns = []
        for _ in range(4):
            active = FairTurns().mixture(alpha, built, "weight", state, gen).active
            assert active is not None
            turns.append(active["a"])
        for choice in range(3):
            assert sorted(turn[choice] for turn in turns) == [0, 1, 2, 3]
        rounds.append(tuple(turns))
    assert len(set(rounds)) == 6, "the order never changed"


def test_fair_turns_leaves_its_round_alone_in_other_phases() -> None:
    alpha = {"a": torch.rand(3, 4), "b": torch.rand(1, 2)}
    state, gen = FairTurns().init(), generator()
    phases: tuple[Phase, ...] = ("arch", "valid")
    expected = TwoGroups().constrain(alpha)
    for phase in phases:
        assert FairTurns().mixture(alpha, TwoGroups(), phase, state, gen).active == expected
    assert state == FairTurns().init()


def test_pinned_is_its_point_whatever_alpha_says() -> None:
    mixture = Pinned((("operation", (3,)),)).mixture(
        {"operation": torch.rand(1, 5)}, space(), "arch", RelaxState(), generator()
    )
    assert mixture.active == {"operation": (3,)}
    assert mixture.weights is None


def context(
    built: Space, alpha: dict[str, Tensor], metrics: dict[int, float], asked: list[tuple[int, Training]]
) -> SelectContext:
    def trained(active: Active, training: Training) -> float:
        index = next(iter(active.values()))[0]
        asked.append((index, training))
        return metrics[index]

    final = Training(epochs=12, optimiser=Optimiser(learning_rate=0.1))
    return SelectContext(built, PlantedTask("plus", (5, 4)), alpha, lambda active: 0.0, trained, final)


def test_argmax_takes_the_largest_alpha_and_ties_go_to_the_lowest_index() -> None:
    scores = {"operation": torch.tensor([[0.1, 0.7, 0.7, 0.0, 0.2]])}
    assert Argmax().select(context(space(), scores, {}, [])) == {"operation": (1,)}


def test_finalists_are_one_of_each_family_best_first() -> None:
    scores = {"operation": torch.tensor([[0.4, 0.3, 0.1, 0.6, 0.5]])}  # plus multiply max min concat
    names = [space().genotype(active).key() for active in finalists(space(), scores, 8)]
    assert names == ["operation=min", "operation=concat", "operation=multiply"]
    with_networks = space(hidden=4)
    names = [with_networks.genotype(active).key() for active in finalists(with_networks, scores, 4)]
    assert names == ["operation=min", "operation=concat", "operation=plus", "operation=multiply"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=5, max_size=5), st.integers(1, 6))
def test_finalists_start_with_the_projection_and_never_repeat(scores: list[float], count: int) -> None:
    built, alpha = space(hidden=4), {"operation": torch.tensor([scores])}
    found = finalists(built, alpha, count)
    assert found[0] == built.constrain(alpha)
    assert len({built.equivalence_class(active) for active in found}) == len(found) == min(count, 5)
    values = [scores[active["operation"][0]] for active in found]
    assert values == sorted(values, reverse=True)


def test_finalists_of_a_cell_keep_other_edges_too() -> None:
    built = CASES["conv-cell"].space()
    alpha = Box().init(built, torch.Generator().manual_seed(0), torch.device("cpu"))
    found = finalists(built, alpha, 100)

    def kept(active: Active) -> tuple[tuple[bool, ...], ...]:
        return tuple(tuple(pick >= 0 for pick in picks) for picks in active.values())

    assert found[0] == built.constrain({name: tensor.detach() for name, tensor in alpha.items()})
    assert len({kept(active) for active in found}) > 1

    def worth(active: Active) -> float:
        pairs = [(name, row, pick) for name, picks in active.items() for row, pick in enumerate(picks) if pick >= 0]
        return sum(float(alpha[name].detach()[row, pick]) for name, row, pick in pairs)

    values = [worth(active) for active in found]
    assert values == sorted(values, reverse=True)


def test_darts_reads_edges_off_the_mixtures_weights() -> None:
    """Two rows, one with a strong `none`: its best operation has the larger logit, but the smaller weight."""
    alpha = {"edge": torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.9, 0.0]])}
    space = CASES["interaction"].space()
    scores = Logits().scores(alpha, space)
    torch.testing.assert_close(scores["edge"], torch.softmax(alpha["edge"], dim=-1))
    assert float(alpha["edge"][0, 1]) > float(alpha["edge"][1, 1])
    assert float(scores["edge"][0, 1]) < float(scores["edge"][1, 1])
    assert Box().scores(alpha | {"edge/more": torch.zeros(1)}, space) == alpha


def test_fair_turns_give_every_candidate_that_can_be_heard_its_turn() -> None:
    built = CASES["conv-cell"].space()
    part, generator = FairTurns(), torch.Generator().manual_seed(0)
    alpha = Box().init(built, generator, torch.device("cpu"))
    group, state = built.groups[0], part.init()
    seen = torch.zeros(len(group.candidates))
    for _ in range(300):
        active = part.mixture(alpha, built, "weight", state, generator).active
        assert active is not None
        for pick in active[group.name]:
            if pick >= 0:
                seen[pick] += 1
    receiving = [index for index, name in enumerate(group.candidates) if name not in built.zero_operations]
    assert float(seen.sum() - seen[receiving].sum()) == 0
    assert float(seen[receiving].max() / seen[receiving].min()) < 1.3


def test_finalists_of_large_logits() -> None:
    built, alpha = space(hidden=4), {"operation": torch.tensor([[100.0, 40.0, 0.0, -20.0, -80.0]])}
    found = [active["operation"][0] for active in finalists(built, alpha, 8)]
    assert found[:2] == [0, 1]
    reverse = {"operation": alpha["operation"].flip(1)}
    assert [active["operation"][0] for active in finalists(built, reverse, 8)] == [4, 3, 2, 1, 0]


def test_ranking_trains_the_finalists_on_a_shortened_schedule_and_takes_the_best() -> None:
    asked: list[tuple[int, Training]] = []
    scores = {"operation": torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5]])}
    metrics = {0: 0.5, 1: 0.3, 2: 0.3, 3: 0.9, 4: 0.1}
    chosen = Ranking(count=4, epoch_divisor=3.0).select(context(space(hidden=4), scores, metrics, asked))
    assert chosen == {"operation": (1,)}, "a tie goes to the larger alpha; the fifth is no finalist"
    assert [index for index, _ in asked] == [0, 1, 2, 3]
    short = asked[0][1]
    assert short.epochs == 4
    assert short.optimiser.learning_rate == pytest.approx(0.3)


def test_ranking_of_one_family_trains_nothing() -> None:
    asked: list[tuple[int, Training]] = []
    built = space(operations=("plus", "concat"))
    chosen = Ranking().select(context(built, {"operation": torch.tensor([[0.1, 0.2]])}, {}, asked))
    assert (chosen, asked) == ({"operation": (1,)}, [])


@pytest.mark.parametrize("wrong", [{"count": 0}, {"epoch_divisor": 0.5}])
def test_ranking_refuses_an_empty_final(wrong: dict[str, float]) -> None:
    with pytest.raises(SearchError) as error:
        Ranking(**wrong)  # type: ignore[arg-type]
    settings_ = {"count": 8, "epoch_divisor": 4.0} | wrong
    made = f"Ranking(count={settings_['count']}, epoch_divisor={settings_['epoch_divisor']})"
    assert str(error.value) == f"{made}: {next(iter(wrong))} must be 1 or more"


def test_points_are_all_combinations_in_order() -> None:
    points = list(TwoGroups().points())
    assert len(points) == len({str(p) for p in points}) == 4**3 * 2
    assert points[0] == {"a": (0, 0, 0), "b": (0,)}
    assert points[1] == {"a": (0, 0, 0), "b": (1,)}
    assert points[-1] == {"a": (3, 3, 3), "b": (1,)}


def test_quadratic_space_scores_its_columns() -> None:
    built = QuadraticSpace(QuadraticSettings(size=2, continuous=1, columns=(0, 1)))
    inputs = torch.tensor([[0.0, 0.0, 0.0, 5.0, 7.0]])
    mixture = OneHot().mixture({"column": torch.tensor([[0.0, 1.0]])}, built, "weight", OneHot().init(), generator())
    assert built(inputs, mixture).tolist() == [7.0]
