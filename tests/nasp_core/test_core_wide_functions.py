"""Fixed element-wise functions: AutoRec and CDAE by their formulas, in the supernet, as classes, served."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from wide_samples import HISTORIES, ITEMS, KNOWN, PLAIN, SETTINGS, SIZES, USERS, network, randomised

from nasp_core.errors import GenotypeError
from nasp_core.parts.mixtures import straight_through
from nasp_core.types import Mixture
from sif.serve.folding import Folded
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import class_of_choices, named, wide_formula, wide_genotype
from sif.spaces.wide_settings import WideSettings, settings_of
from sif.tasks.queries import Queries

ALL = replace(SETTINGS, elementwise=("identity", "sigmoid", "tanh", "network"))
SEEN = torch.zeros(USERS, ITEMS).index_put_((KNOWN[0], KNOWN[1]), torch.ones(()))
EVERYONE = Queries.catalogue(torch.arange(USERS), ITEMS)
FUNCTIONS = {"sigmoid": lambda x: 1 / (1 + torch.exp(-x)), "tanh": lambda x: 1 - 2 / (torch.exp(2 * x) + 1)}
AUTOREC = {**PLAIN, "encoding": ("history", "id"), "predictor": ("sum",), "biases": ("on",)}


def built(name: str, choices: dict[str, Any]) -> tuple[WideNetwork, dict[str, Tensor]]:
    net = network(settings=ALL, **{**choices, "elementwise": (name,)})
    return net, {key: value.detach() for key, value in net.named_parameters()}


def history(w: dict[str, Tensor]) -> Tensor:
    return SEEN @ w["encoders.0.history"] / SEEN.sum(1, keepdim=True).clamp_min(1) ** SETTINGS.history_power


@pytest.mark.parametrize("name", FUNCTIONS)
def test_autorec_and_cdae_are_points(name: str) -> None:
    """Sedhain et al. 2015, eq. 2: W g(V r) and biases; Wu et al., WSDM 2016: the user's own vector inside of g."""
    for user, inside in (("history", history), ("id+history", lambda w: history(w) + w["encoders.0.id"])):
        net, w = built(name, {**AUTOREC, "encoding": (user, "id")})
        biases = w["offset"] + w["bias"][:USERS] + w["bias"][USERS:].T
        wanted = biases + FUNCTIONS[name](inside(w)) @ w["encoders.1.id"].T
        torch.testing.assert_close(net(EVERYONE).detach(), wanted)
        torch.testing.assert_close(Folded(net).scores(torch.arange(USERS)), wanted, rtol=0, atol=1e-5)


def test_both_sides_are_bent_where_both_read_histories() -> None:
    net, w = built("sigmoid", {**AUTOREC, "encoding": ("history", "history"), "biases": ("off",)})
    of_items = SEEN.T @ w["encoders.1.history"] / SEEN.sum(0).clamp_min(1).unsqueeze(1) ** SETTINGS.history_power
    torch.testing.assert_close(net(EVERYONE).detach(), torch.sigmoid(history(w)) @ torch.sigmoid(of_items).T)


def test_a_built_network_is_the_supernet_at_its_point_and_so_are_its_gradients() -> None:
    made: WideSpace = randomised(WideSpace(SIZES, ALL, HISTORIES))
    state, generator = made.state_dict(), torch.Generator().manual_seed(0)
    for _ in range(12):
        active = made.random_point(generator)
        net = made.build(made.genotype(active))
        net.load_state_dict({name: state[name] for name in net.state_dict()})
        torch.testing.assert_close(net(EVERYONE), made(EVERYONE, Mixture(active=active)), rtol=0, atol=1e-6)
        alpha = {group.name: torch.zeros(group.shape, requires_grad=True) for group in made.groups}
        loss = made(EVERYONE, straight_through(active, alpha)).square().mean()
        torch.testing.assert_close(loss, net(EVERYONE).square().mean())
        gradients = torch.autograd.grad(loss, list(alpha.values()))
        dense = {name: row.detach() for name, row in (straight_through(active, alpha).weights or {}).items()}
        for row in dense.values():
            row.requires_grad_()
        whole = made(EVERYONE, Mixture(weights=dense)).square().mean()
        for mine, theirs in zip(gradients, torch.autograd.grad(whole, list(dense.values())), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def of(function: str, operation: str, predictor: str, *sides: str) -> str:
    chosen = {"elementwise": (function,), "operation": (operation,), "predictor": (predictor,), "encoding": sides}
    return class_of_choices({**PLAIN, **chosen})


def test_classes_under_a_fixed_function() -> None:
    """A side that is not bent takes weights and signs; a tanh takes a sign, a sigmoid none."""
    both, one = ("history", "history"), ("history", "id")
    assert of("sigmoid", "multiply", "sum", "id", "id") == of("identity", "multiply", "sum", "id", "id")
    assert of("tanh", "multiply", "linear", *one) == of("tanh", "multiply", "sum", *one)
    assert of("tanh", "multiply", "linear", *both) != of("tanh", "multiply", "sum", *both)
    assert of("tanh", "multiply", "sum", *one) != of("sigmoid", "multiply", "sum", *one)
    for predictor in ("sum", "mlp", "distance"):
        assert of("tanh", "minus", predictor, *both) == of("tanh", "plus", predictor, *both)
        assert of("sigmoid", "minus", predictor, *both) != of("sigmoid", "plus", predictor, *both)
        assert of("sigmoid", "minus", predictor, *one) == of("sigmoid", "plus", predictor, *one)
    assert of("tanh", "min", "linear", *both) == of("tanh", "max", "linear", *both)
    assert of("sigmoid", "min", "linear", *both) != of("sigmoid", "max", "linear", *both)


def test_why_a_sigmoid_keeps_plus_and_minus_apart() -> None:
    """Minus the norm of a difference is 0 for like vectors; of a sum of two sigmoids it never is."""
    apart, _ = built("sigmoid", {**PLAIN, "encoding": ("history", "history"), "operation": ("plus",)})
    users, items = apart.encoded("user")[0], apart.encoded("item")[0]
    assert float((users.unsqueeze(1) + items).min()) > 0
    assert float((users.unsqueeze(1) - items).min()) < 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_how_it_is_written(name: str) -> None:
    genotype = wide_genotype({**AUTOREC, "elementwise": (name,)}, ALL)
    assert wide_formula(genotype) == f"b + b_user + b_item + sum({name}(h(user)) * v)"


def test_what_is_offered_and_what_named_a_network_before() -> None:
    assert WideSettings().elementwise == ("identity", "sigmoid", "tanh")
    WideSettings(elementwise=("network",)).check()
    old = named("mf", replace(SETTINGS, elementwise=("identity", "network")))
    choices = {**old.choices, "elementwise": ("network",)}
    for settings in (old.settings, {key: value for key, value in old.settings.items() if key != "elementwise"}):
        genotype = replace(old, choices=choices, settings=settings)
        assert settings_of(genotype).elementwise == ("identity", "network")
        assert WideNetwork(SIZES, genotype, HISTORIES).elementwise
    with pytest.raises(GenotypeError, match="among identity, network"):
        WideNetwork(SIZES, replace(old, choices={**choices, "elementwise": ("tanh",)}), HISTORIES)
