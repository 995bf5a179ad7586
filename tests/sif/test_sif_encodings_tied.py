"""Encodings that read id tables equal dense LightGCN, and FISM with one table; they fold, serve and train."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from nasp_core import rowwise
from nasp_core.errors import SpaceError
from nasp_core.types import Mixture
from sif.encodings import base, propagated
from sif.encodings.histories import Histories
from sif.serve.folding import Folded
from sif.serve.new_users import solve_users
from sif.spaces.saved import model_tree, network_of
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import class_of_choices, named, wide_formula, wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, Scale
from sif.tasks.queries import Queries

SIZES = USERS, ITEMS = 7, 9
HAS = np.random.default_rng(0).random(SIZES) < 0.5
HAS[3], HAS[:, 4] = False, False  # a user and an item without any pair
PAIRS = torch.from_numpy(np.stack(np.nonzero(HAS)))
SEEN = torch.from_numpy(HAS).float()
KNOWN = Histories.of(*PAIRS, SIZES)
ALL = Queries.catalogue(torch.arange(USERS), ITEMS)


def choices_of(user: str, item: str, predictor: str = "sum") -> dict[str, tuple[str, ...]]:
    choices: dict[str, tuple[str, ...]] = {"encoding": (user, item), "elementwise": ("identity",)}
    return choices | {"operation": ("multiply",), "predictor": (predictor,), "biases": ("off",)}


def network(user: str, item: str, **settings: Any) -> WideNetwork:
    held = WideSettings(encodings=tuple(dict.fromkeys((user, item))), embedding_dim=3, init_std=0.7, **settings)
    made = WideNetwork(SIZES, wide_genotype(choices_of(user, item), held), KNOWN)
    made.reset(torch.Generator().manual_seed(0))
    return made


def layers(users: Tensor, items: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """LightGCN as published: the mean of E, LE, ..., L^K E, L the normalised adjacency of all nodes."""
    size = USERS + ITEMS
    adjacency = torch.zeros(size, size)
    adjacency[:USERS, USERS:] = SEEN
    adjacency[USERS:, :USERS] = SEEN.T
    scale = torch.diag(adjacency.sum(1).clamp_min(1) ** -0.5)
    powers = [torch.linalg.matrix_power(scale @ adjacency @ scale, k) for k in range(steps + 1)]
    mean = sum(powers, torch.zeros(size, size)) / (steps + 1) @ torch.cat([users, items])
    return mean[:USERS], mean[USERS:]


def ids(made: WideNetwork) -> tuple[Tensor, Tensor]:
    state = made.state_dict()
    return state["encoders.0.id"], state["encoders.1.id"]


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_named_point_is_lightgcn(steps: int, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_FEW", -1 if few else 1 << 16)  # sums of the rows that are asked about alone
    made = WideNetwork(SIZES, named("lightgcn", WideSettings(embedding_dim=3, propagation_steps=steps)), KNOWN)
    made.reset(torch.Generator().manual_seed(0))
    users, items = layers(*ids(made), steps)
    for got, wanted in ((made.encoded("user"), users), (made.encoded("item"), items)):
        torch.testing.assert_close(got[0], wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(made(ALL), users @ items.T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(made(PAIRS[:, ::5]), (users @ items.T)[*PAIRS[:, ::5]], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(Folded(made).scores(torch.arange(USERS)), users @ items.T, rtol=1e-5, atol=1e-5)


def test_a_side_is_propagated_beside_any_other() -> None:
    for user, item in (("propagated", "id"), ("id", "propagated"), ("id+propagated", "history")):
        made = network(user, item, history_power=0.5)
        users, items = layers(*ids(made), 2)
        p, q = ids(made)
        left = {"propagated": users, "id": p, "id+propagated": p + users}[user]
        state = made.state_dict()
        right = {"propagated": items, "id": q}.get(item)
        if right is None:
            right = SEEN.T @ state["encoders.1.history"] / SEEN.sum(0).clamp_min(1).sqrt().unsqueeze(1)
        torch.testing.assert_close(made(ALL), left @ right.T, rtol=1e-5, atol=1e-5)


def test_layers_are_made_once_for_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 K sums of pairs: K - 1 layers a side, and the last of each."""
    calls = []
    for module in (propagated, base):
        sums = module.sums_of
        monkeypatch.setattr(module, "sums_of", lambda *given, sums=sums: calls.append(1) or sums(*given))
    network("propagated", "propagated", propagation_steps=3)(ALL)
    assert len(calls) == 6


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_tied_history_is_that_of_the_items_own_table(power: float) -> None:
    """A row's items, the predicted one left out of sum and count, times what they are as items."""
    made = network("tied-history", "id", history_power=power)
    assert list(made.state_dict()) == ["encoders.1.id"]
    items = made.state_dict()["encoders.1.id"]
    whole = SEEN / SEEN.sum(1, keepdim=True).clamp_min(1) ** power @ items @ items.T
    torch.testing.assert_close(made(ALL), whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(Folded(made).scores(torch.arange(USERS)), whole, rtol=1e-5, atol=1e-5)
    others = SEEN[PAIRS[0]].clone()
    others[torch.arange(PAIRS.shape[1]), PAIRS[1]] = 0.0
    left = others / others.sum(1, keepdim=True).clamp_min(1) ** power @ items
    torch.testing.assert_close(made(PAIRS), (left * items[PAIRS[1]]).sum(1), rtol=1e-5, atol=1e-5)


def test_a_branch_holds_the_id_tables_that_it_reads_alone() -> None:
    both = ["encoders.0.id", "encoders.1.id"]
    assert list(network("propagated", "id").state_dict()) == both
    assert list(network("tied-history", "tied-history").state_dict()) == both
    assert list(network("history", "tied-history").state_dict()) == ["encoders.0.id", "encoders.0.history"]


@pytest.mark.parametrize(
    ("user", "item"),
    [("propagated", "propagated"), ("propagated", "tied-history"), ("tied-history", "id"), ("id+propagated", "id")],
)
def test_gradients_are_those_of_finite_differences(user: str, item: str) -> None:
    made = network(user, item, l2=0.3).double()
    parameters = dict(made.named_parameters())

    def output(*values: Tensor) -> tuple[Tensor, Tensor]:
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(Penalised(made), {f"made.{name}": each for name, each in given.items()}, ())

    assert torch.autograd.gradcheck(output, tuple(parameters.values()))


class Penalised(torch.nn.Module):
    def __init__(self, made: WideNetwork) -> None:
        super().__init__()
        self.made = made

    def forward(self) -> tuple[Tensor, Tensor]:
        scores, penalty = self.made.penalised(PAIRS[:, ::6])
        assert penalty is not None
        return scores, penalty


def test_the_penalty_is_that_of_the_tables_that_are_read() -> None:
    """Rows of its own by pair, as `id`; the other side's table whole, as of a history."""
    users, items = PAIRS[:, ::4]

    def mean(table: Tensor) -> Tensor:
        return table.square().sum(1).mean()

    made = network("propagated", "history", l2=0.5)
    p, q = ids(made)
    wanted = mean(p[users]) + mean(q) + mean(made.state_dict()["encoders.1.history"])
    torch.testing.assert_close(made.penalised(PAIRS[:, ::4])[1], 0.5 * wanted)
    made = network("tied-history", "id", l2=0.5)
    q = made.state_dict()["encoders.1.id"]
    torch.testing.assert_close(made.penalised(PAIRS[:, ::4])[1], 0.5 * (mean(q) + mean(q[items])))


def test_known_users_are_encoded_anew() -> None:
    """A tied history by the items alone; a propagated user by what is solved for, and by all layers but their own."""
    rows = sparse.csr_array(SEEN.numpy())
    made = network("tied-history", "id", history_power=0.5)
    side = solve_users(made, rows, Scale(0.0, 1.0, 0.0, 1.0))
    torch.testing.assert_close(Folded(made).scores_of(side), made(ALL).detach(), rtol=1e-4, atol=1e-5)
    made = network("propagated", "propagated", l2=1e4)
    p, q = ids(made)
    (held,) = made.tables("user")
    around = (SEEN * SEEN.sum(1, keepdim=True).clamp_min(1) ** -0.5) @ held.tables["propagated"]
    torch.testing.assert_close(around + held.share * p, layers(p, q, 2)[0])
    side = solve_users(made, rows, RankingSettings())  # a penalty that leaves nothing of their own
    known = SEEN.sum(1) > 0
    wanted = (layers(p, q, 2)[0] - p / 3) @ layers(p, q, 2)[1].T
    torch.testing.assert_close(Folded(made).scores_of(side)[known], wanted[known], rtol=0.02, atol=0.02)
    empty = (p.mean(0) / 3) @ layers(p, q, 2)[1].T
    torch.testing.assert_close(Folded(made).scores_of(side)[3], empty, rtol=1e-4, atol=1e-5)


def test_a_supernet_mixes_them() -> None:
    offered = ("id", "propagated", "tied-history", "id+history")
    settings = WideSettings(encodings=offered, operations=("multiply",), predictors=("sum",), elementwise=("identity",))
    space = WideSpace(SIZES, replace(settings, embedding_dim=3, init_std=0.7, biases=("off",)), KNOWN)
    space.reset(torch.Generator().manual_seed(0))

    def point(user: int) -> dict[str, tuple[int, ...]]:
        return {"encoding": (user, 1)} | dict.fromkeys(("elementwise", "operation", "predictor", "biases"), (0,))

    alone = torch.stack([space(ALL, Mixture(active=point(user))) for user in range(4)])
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    mixed = space(
        ALL,
        Mixture(
            weights={"encoding": torch.stack([weights, torch.tensor([0.0, 1.0, 0.0, 0.0])])}
            | dict.fromkeys(("elementwise", "operation", "predictor", "biases"), torch.ones(1, 1))
        ),
    )
    torch.testing.assert_close(mixed, torch.einsum("c,cui->ui", weights, alone), rtol=1e-4, atol=1e-5)
    built = space.build(space.genotype(point(1)))
    built.load_state_dict({name: space.state_dict()[name] for name in built.state_dict()})
    torch.testing.assert_close(built(ALL), alone[1])


def test_one_table_for_both_sides_cannot_be_mapped_on_one() -> None:
    """Weights of a product go into a table that is free: not into one that the other side reads too."""

    def alike(user: str, item: str) -> bool:
        pair = [class_of_choices(choices_of(user, item, predictor)) for predictor in ("linear", "sum")]
        return pair[0] == pair[1]

    free = (("id", "id"), ("propagated", "history"), ("tied-history", "history"), ("history", "tied-history"))
    tied = (("propagated", "id"), ("propagated", "propagated"), ("tied-history", "id"), ("id", "tied-history"))
    assert all(alike(*pair) for pair in free)
    assert not any(alike(*pair) for pair in tied)


def test_tied_ids_are_trained_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch reads more of them than the rows that it asks about, so none waits for its turn."""
    for name in ("LEAST_ROWS", "LEAST_SHRUNK", "SHARE"):
        monkeypatch.setattr(rowwise, name, 0)
    stream: Any = SimpleNamespace(batch=lambda step: SimpleNamespace(inputs=PAIRS))

    def by_rows(user: str, item: str) -> list[str]:
        made = network(user, item)
        names = {id(weight): name for name, weight in made.named_parameters()}
        return [names[id(table.weight)] for table in made.row_tables(stream)]

    assert by_rows("id", "history") == ["encoders.0.id", "encoders.1.history"]
    assert by_rows("propagated", "history") == ["encoders.1.history"]
    assert by_rows("tied-history", "id") == by_rows("propagated", "propagated") == []


def test_settings_and_words() -> None:
    assert "propagation_steps" not in named("mf").settings
    point = named("lightgcn", WideSettings(propagation_steps=3))
    assert (point.settings["propagation_steps"], wide_formula(point)) == (3, "sum(n(user) * n(item))")
    assert wide_formula(wide_genotype(choices_of("tied-history", "id"), WideSettings())) == "sum(t(user) * v)"
    with pytest.raises(SpaceError, match=r"propagation_steps = 0; give 1 or more \(without steps, propagated is id\)"):
        WideSettings(propagation_steps=0).check()


def test_it_trains_and_is_saved() -> None:
    made = network("propagated", "propagated")
    adam, losses = torch.optim.Adam(made.parameters(), lr=0.05), []
    for _ in range(30):
        loss = functional.cross_entropy(made(ALL)[PAIRS[0]], PAIRS[1])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]
    genotype = wide_genotype(made.choices, made.settings)
    again = network_of(model_tree(made, genotype, RankingSettings(), None))
    torch.testing.assert_close(again(ALL), made(ALL))
