"""The wide space: choices, speed rules, constraint, penalty, starts, and what it refuses."""

import itertools
from collections import Counter
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from wide_samples import HISTORIES, ITEMS, KNOWN, PLAIN, SETTINGS, SIZES, USERS, hiding, network, space, triples

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.parts import FairTurns
from nasp_core.parts.mixtures import straight_through
from nasp_core.types import Active, Batch, Mixture
from sif.encodings.history import History
from sif.encodings.id import Id
from sif.spaces.branch import WideBranch
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import is_additive_point, named, wide_genotype
from sif.spaces.wide_settings import WideSettings, settings_of
from sif.tasks.queries import Queries

BATCHES: dict[str, Queries | Tensor] = {
    "pairs": KNOWN,
    "triples": triples(),
    "hidden": hiding(),
    "catalogue": Queries.catalogue(torch.arange(USERS), ITEMS),
}


def some_points(made: WideSpace, every: int = 1) -> list[Active]:
    return list(itertools.islice(made.points(), 0, None, every))


def test_choices() -> None:
    groups = {group.name: (group.choices, len(group.candidates)) for group in space(branches=2).groups}
    assert groups == {
        "encoding": (4, 3),
        "elementwise": (2, 2),
        "operation": (2, 6),
        "predictor": (2, 5),
        "biases": (1, 2),
    }
    assert [group.choices for group in space().groups] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize("batch", BATCHES)
def test_a_built_network_is_the_space_restricted_to_its_point(batch: str) -> None:
    made = space()
    state = made.state_dict()
    for active in some_points(made, 31):
        net = made.build(Genotype.from_json(made.genotype(active).to_json()))
        net.load_state_dict({name: state[name] for name in net.state_dict()})
        torch.testing.assert_close(net(BATCHES[batch]), made(BATCHES[batch], Mixture(active=active)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("branches", [1, 2])
def test_gradients_at_a_point_are_those_of_the_dense_mixture(batch: str, branches: int) -> None:
    made = space(branches=branches)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        active = made.random_point(generator)
        alpha = {group.name: torch.zeros(group.shape, requires_grad=True) for group in made.groups}
        loss = made(BATCHES[batch], straight_through(active, alpha)).square().mean()
        gradients = torch.autograd.grad(loss, list(alpha.values()))
        dense = {name: row.detach() for name, row in (straight_through(active, alpha).weights or {}).items()}
        for row in dense.values():
            row.requires_grad_()
        whole = made(BATCHES[batch], Mixture(weights=dense)).square().mean()
        torch.testing.assert_close(loss, whole)
        for mine, theirs in zip(gradients, torch.autograd.grad(whole, list(dense.values())), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what runs: encodings, element-wise networks and predictors, with a graph (`+`) or without."""
    counted: Counter[str] = Counter()

    def watch(owner: Any, method: str, name: Any) -> None:
        original = getattr(owner, method)

        def called(self: Any, *args: Any, **keywords: Any) -> Any:
            counted[name(self, *args) + ("+" if torch.is_grad_enabled() else "")] += 1
            return original(self, *args, **keywords)

        monkeypatch.setattr(owner, method, called)

    watch(WideBranch, "scores", lambda self, *_: f"{self.operation}-{self.predictor}")
    watch(Id, "rows", lambda *_: "id")
    watch(History, "rows", lambda *_: "history")
    watch(WideSpace, "_lift", lambda self, name, *_: name)
    return counted


POINT = {"encoding": (0, 0), "elementwise": (0,), "operation": (2,), "predictor": (1,), "biases": (0,)}


def test_dead_candidates_are_not_called_in_the_weight_step(calls: Counter[str]) -> None:
    made = space()
    made.training_loss(Batch(KNOWN, torch.zeros(KNOWN.shape[1])), Mixture(active=POINT), torch.nn.functional.mse_loss)
    assert calls == {"id+": 2, "identity+": 2, "multiply-linear+": 1}


def test_dead_candidates_run_once_without_graph_in_the_architecture_step(calls: Counter[str]) -> None:
    made = space()
    alpha = {group.name: torch.zeros(group.shape, requires_grad=True) for group in made.groups}
    loss = made(KNOWN, straight_through(POINT, alpha)).square().mean()
    assert calls == {"id+": 2, "identity+": 2, "multiply-linear+": 1}
    torch.autograd.grad(loss, list(alpha.values()))
    others = {f"{o}-linear": 1 for o in SETTINGS.operations if o != "multiply"}
    others |= {f"multiply-{p}": 1 for p in SETTINGS.predictors if p != "linear"}
    live = {"id+": 2, "identity+": 2, "multiply-linear+": 1}
    assert calls == {**live, **others, "history": 2, "network": 2}


@pytest.mark.parametrize("biases", [("off",), ("on",), ("off", "on")])
def test_every_candidate_that_is_heard_has_its_turn(biases: tuple[str, ...]) -> None:
    made = space(biases=biases)
    alpha = {group.name: torch.zeros(group.shape) for group in made.groups}
    relax, state, generator = FairTurns(), FairTurns().init(), torch.Generator().manual_seed(0)
    seen: dict[str, set[int]] = {name: set() for name in alpha}
    for _ in range(12):
        active = relax.mixture(alpha, made, "weight", state, generator).active
        assert active is not None
        for name, picks in active.items():
            seen[name] |= set(picks)
    receiving = {
        g.name: {i for i, name in enumerate(g.candidates) if name not in made.zero_operations} for g in made.groups
    }
    assert seen == receiving
    assert all(receiving.values())


def test_a_space_has_no_output_of_its_own() -> None:
    with pytest.raises(SpaceError) as error:
        space()(KNOWN)
    assert str(error.value) == "a space has no output of its own: give a mixture, or build a genotype"


def test_the_projection_is_the_nearest_point_that_is_not_additive() -> None:
    for branches in (1, 2):
        made = space(branches=branches, additive=False, encodings=("id",), elementwise=("identity",), biases=("off",))
        points = some_points(made)
        generator = torch.Generator().manual_seed(branches)
        moved = 0
        for _ in range(40):
            scores = {group.name: torch.rand(group.shape, generator=generator) for group in made.groups}
            scores["operation"][:, [0, 1, 5]] += 0.5  # additive points are near

            def total(active: Active, scores: dict[str, Tensor] = scores) -> float:
                return sum(float(scores[name][row, pick]) for name in scores for row, pick in enumerate(active[name]))

            found = made.constrain(scores)
            assert total(found) == pytest.approx(max(map(total, points)), abs=1e-6)
            assert not is_additive_point(made.genotype(found))
            moved += found != {name: tuple(score.argmax(-1).tolist()) for name, score in scores.items()}
        assert moved > 5, "the projection had something to do"


def test_additive_points_are_left_out_unless_they_are_wanted() -> None:
    settings: dict[str, Any] = {"encodings": ("id",), "elementwise": ("identity",), "biases": ("off",)}
    free, strict = space(**settings), space(additive=False, **settings)
    assert [a for a in free.points() if not is_additive_point(free.genotype(a))] == list(strict.points())
    assert len(list(free.points())) - len(list(strict.points())) == 10
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(strict.genotype(strict.random_point(generator)).key() for _ in range(2000))
    assert len(drawn) == 20
    assert min(drawn.values()) > 60, "points are drawn alike"
    genotype = wide_genotype({**PLAIN, "operation": ("plus",)}, strict.settings)
    assert free.selection(genotype)["operation"] == (0,)
    with pytest.raises(GenotypeError) as error:
        strict.build(genotype)
    assert str(error.value) == (
        "plus with linear scores f(user) + g(item): it ranks the items alike for every user, as popularity does; "
        "take an operation such as multiply or max, or the predictor mlp"
    )


def test_starts() -> None:
    made = WideSpace(SIZES, replace(SETTINGS, embedding_dim=40, init_std=0.2), HISTORIES)
    made.reset(torch.Generator().manual_seed(0))
    state = made.state_dict()
    for name in ("encoders.0.id", "encoders.0.history", "encoders.1.id", "encoders.1.history"):
        assert float(state[name].std()) == pytest.approx(0.2, rel=0.15), name
    assert torch.equal(state["heads.0.multiply-linear.weight"], torch.ones(40))
    signs = torch.tensor([1.0, -1.0]).repeat(20) / 40**0.5
    torch.testing.assert_close(state["heads.0.max-linear.weight"], signs)
    assert state["heads.0.concat-linear.weight"].shape == (80,)
    bound = 80**-0.5
    assert bound * 0.9 < float(state["heads.0.concat-mlp.layers.0.weight"].abs().max()) <= bound
    assert 0 < float(state["bias"].abs().max()) < 0.1, "a gradient reaches the choice of biases"
    net = made.build(wide_genotype({**PLAIN, "biases": ("on",)}, made.settings))
    net.reset(torch.Generator().manual_seed(0))
    assert net.bias is not None
    assert not net.bias.detach().any()


def mean_square(rows: Tensor) -> Tensor:
    return rows.detach().square().sum(-1).mean()


def test_the_penalty_of_pairs() -> None:
    settings = replace(SETTINGS, l2=0.1, bias_l2=0.01)
    net = network(settings=settings, encoding=("id+history", "history"), biases=("on",))
    _, penalty = net.penalised(KNOWN)
    queries = Queries(KNOWN[0], KNOWN[1].unsqueeze(1), KNOWN.new_empty(0), True)
    encoders: Any = net.encoders
    users, items = KNOWN
    tables = [encoders[0].history, encoders[1].history]
    expected = 0.1 * (mean_square(encoders[0].id[users]) + sum(map(mean_square, tables)))
    assert net.bias is not None
    expected = expected + 0.01 * (mean_square(net.bias[users]) + mean_square(net.bias[USERS + items]))
    assert penalty is not None
    torch.testing.assert_close(penalty.detach(), expected)
    _, same = net.penalised(queries)
    assert same is not None
    torch.testing.assert_close(same.detach(), expected)
    assert network(encoding=("id+history", "history")).penalised(KNOWN)[1] is None, "there is none without l2"


def test_the_penalty_of_own_items_is_a_mean_over_users_and_one_over_items() -> None:
    net = network(settings=replace(SETTINGS, l2=0.1))
    queries = triples()
    encoders: Any = net.encoders
    _, penalty = net.penalised(queries)
    assert penalty is not None
    expected = 0.1 * (mean_square(encoders[0].id[queries.users]) + mean_square(encoders[1].id[queries.own.reshape(-1)]))
    torch.testing.assert_close(penalty.detach(), expected)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_one_l2_weighs_a_row_alike_however_the_batches_are_made(power: float) -> None:
    """Over all pairs, and over all users with all items shared, every row has one and the same penalty."""
    net = network(settings=replace(SETTINGS, l2=0.1, bias_l2=0.2, l2_frequency=power), biases=("on",))
    gradients = []
    for batch in (KNOWN, Queries.catalogue(torch.arange(USERS), ITEMS)):
        _, penalty = net.penalised(batch)
        assert penalty is not None
        gradients.append(torch.autograd.grad(penalty, [*net.encoders.parameters(), net.bias]))  # type: ignore[list-item]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)
    counts = HISTORIES.counts()[:USERS]
    (table, *_) = net.encoders.parameters()
    share = gradients[0][0][:, 0] / table[:, 0].detach()
    torch.testing.assert_close(share / share[0], (counts / counts[0]) ** (1 - power))


def test_every_setting_is_read() -> None:
    """Each setting changes the groups, the weights, the output or the penalty of one point."""
    base = replace(SETTINGS, l2=0.1, bias_l2=0.1)
    choices = {**PLAIN, "encoding": ("history", "id"), "elementwise": ("network",), "predictor": ("mlp",)}
    choices["biases"] = ("on",)

    def trace(settings: WideSettings) -> list[Any]:
        groups = [(g.name, g.choices, g.candidates) for g in WideSpace(SIZES, settings, HISTORIES).groups]
        net = WideNetwork(SIZES, wide_genotype(choices, replace(settings, branches=1)), HISTORIES)
        net.reset(torch.Generator().manual_seed(0))
        with torch.no_grad():
            output, penalty = net(KNOWN), net.penalised(KNOWN)[1]
        points = len(list(WideSpace(SIZES, replace(settings, branches=1), HISTORIES).points()))
        return [groups, [p.shape for p in net.parameters()], output.tolist(), float(penalty or 0), points]

    changes: dict[str, Any] = {
        "embedding_dim": 2,
        "init_std": 0.1,
        "l2": 0.2,
        "l2_frequency": 0.5,
        "branches": 2,
        "encodings": ("history", "id"),
        "elementwise": ("network",),
        "operations": ("multiply",),
        "predictors": ("mlp",),
        "biases": ("on",),
        "hidden": 2,
        "mlp": (4,),
        "history_power": 0.5,
        "additive": False,
    }
    checked_elsewhere = {"penalty", "bias_l2", "history_half_life", "propagation_steps"}  # test_sif_encodings_*
    assert {field.name for field in fields(WideSettings)} == changes.keys() | checked_elsewhere
    before = trace(base)
    for name, value in changes.items():
        assert trace(replace(base, **{name: value})) != before, name


SPACE_ERRORS: list[tuple[dict[str, Any], str]] = [
    (
        {"encodings": ("id", "ids")},
        "unknown encodings ids; there are id, history, id+history, value-history, decayed-history, propagated, "
        "tied-history",
    ),
    (
        {"operations": ()},
        "operations offers nothing to choose from; there are plus, minus, multiply, max, min, concat, "
        "block-complex, block-analogy, block-simple",
    ),
    ({"predictors": ("sum", "sum")}, "predictors sum given twice; name each once"),
    ({"branches": 3}, "branches = 3; there can be 1 or 2"),
    ({"embedding_dim": 0}, "embedding_dim = 0; an interaction function needs 1 or more"),
    ({"hidden": 0}, "hidden = 0; an element-wise network needs 1 or more, or offer identity alone"),
    ({"mlp": ()}, "mlp = (); an MLP needs at least one layer of 1 or more units"),
    ({"history_power": -1.0}, "history_power = -1.0; it must be 0 (the sum) or more (1: the mean)"),
    (
        {"penalty": "frobenius"},
        "penalty = 'frobenius'; a history is no row that a norm could shrink with the batch's, so there is squared "
        "alone",
    ),
    ({"bias_l2": 0.1, "biases": ("off",)}, "bias_l2 = 0.1 without biases; offer biases on, or leave it out"),
    ({"l2": -1.0}, "init_std, l2 and bias_l2 must be 0 or more"),
    (
        {"additive": False, "operations": ("plus", "concat"), "predictors": ("sum", "linear")},
        "every point is additive in user and item, and additive = false leaves those out; "
        "offer an operation that is not (multiply, max, min), or a predictor (mlp)",
    ),
    (
        {"biases": ("yes",), "branches": 0},
        "unknown biases yes; there are off, on; branches = 0; there can be 1 or 2",
    ),
]


@pytest.mark.parametrize(("changes", "text"), SPACE_ERRORS)
def test_spaces_that_cannot_be_built(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SpaceError) as error:
        WideSpace(SIZES, replace(SETTINGS, **changes), HISTORIES)
    assert str(error.value) == text


def test_genotypes_that_cannot_be_built() -> None:
    good = named("mf")
    with pytest.raises(GenotypeError) as error:
        WideNetwork(SIZES, replace(good, settings={**good.settings, "dim": 3}), HISTORIES)
    assert str(error.value) == "genotype settings dim are not settings of space 'interaction-wide'"
    with pytest.raises(GenotypeError) as error:
        settings_of(replace(good, settings={**good.settings, "branches": 7}))
    assert str(error.value) == (
        "genotype settings do not fit space 'interaction-wide': branches = 7; there can be 1 or 2"
    )
    with pytest.raises(GenotypeError) as error:
        WideNetwork(SIZES, replace(good, choices={**good.choices, "operation": ("power",)}), HISTORIES)
    assert str(error.value) == (
        "genotype choice operation = ['power'] does not fit its settings: they have 1 choice(s) among "
        "plus, minus, multiply, max, min, concat"
    )
    with pytest.raises(GenotypeError) as error:
        WideNetwork(SIZES, replace(good, space="interaction"), HISTORIES)
    assert str(error.value) == "genotype of space 'interaction' given to a network of space 'interaction-wide'"


def test_a_second_derivative_is_refused() -> None:
    net = network(operation=("max",))
    encoder: Any = net.encoders[0]
    (gradient,) = torch.autograd.grad(net(KNOWN).square().sum(), encoder.id, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]
