"""Points of the wide space: published models by their own formulas, what is additive, one and the same, and as text."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from wide_samples import (
    HISTORIES,
    ITEMS,
    KNOWN,
    PLAIN,
    SETTINGS,
    SIZES,
    USERS,
    network,
    randomised,
    space,
)

from nasp_core.errors import GenotypeError
from sif.encodings.histories import Histories
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import NAMED, class_of_choices, is_additive_point, named, wide_formula, wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks.queries import Queries

SEEN = torch.zeros(USERS, ITEMS).index_put_((KNOWN[0], KNOWN[1]), torch.ones(()))


def classic(name: str, **settings: Any) -> tuple[WideNetwork, dict[str, Tensor]]:
    """Return a named network with random weights, and the weights by name."""
    net: WideNetwork = randomised(WideNetwork(SIZES, named(name, replace(SETTINGS, **settings)), HISTORIES))
    return net, {key: value.detach() for key, value in net.named_parameters()}


def biases(w: dict[str, Tensor]) -> Tensor:
    return w["offset"] + w["bias"][:USERS] + w["bias"][USERS:].T


def mlp(w: dict[str, Tensor], prefix: str, x: Tensor) -> Tensor:
    """Return the last hidden layer of SETTINGS' MLP of two layers."""
    for layer in (0, 1):
        x = torch.relu(x @ w[f"{prefix}.layers.{layer}.weight"].T + w[f"{prefix}.layers.{layer}.bias"])
    return x


def side_by_side(u: Tensor, v: Tensor) -> Tensor:
    return torch.cat([u.unsqueeze(1).expand(-1, ITEMS, -1), v.unsqueeze(0).expand(USERS, -1, -1)], -1)


def neumf(w: dict[str, Tensor]) -> Tensor:
    """He et al. 2017, eq. 12: one linear layer over the GMF product and the MLP's last hidden layer, side by side."""
    product = w["encoders.0.id"].unsqueeze(1) * w["encoders.1.id"]
    hidden = mlp(w, "heads.1.concat-mlp", side_by_side(w["encoders.2.id"], w["encoders.3.id"]))
    last = torch.cat([w["heads.0.multiply-linear.weight"], w["heads.1.concat-mlp.layers.2.weight"][0]])
    return torch.cat([product, hidden], -1) @ last


def svdpp(w: dict[str, Tensor]) -> Tensor:
    """Koren 2008, eq. 15: mu + b_u + b_i + q_i . (p_u + |N(u)|^(-1/2) sum of y_j over N(u))."""
    implicit = SEEN @ w["encoders.0.history"] / SEEN.sum(1, keepdim=True).clamp_min(1).sqrt()
    return biases(w) + (w["encoders.0.id"] + implicit) @ w["encoders.1.id"].T


def lightgcn(p: Tensor, q: Tensor, steps: int) -> Tensor:
    """He et al. 2020, eq. 3, 4 and 9: the product of the means of layers of D^-1/2 A D^-1/2."""
    graph = SEEN / (SEEN.sum(1, keepdim=True).clamp_min(1) * SEEN.sum(0).clamp_min(1)).sqrt()
    users, items = [p], [q]
    for _ in range(steps):
        of_users, of_items = graph @ items[-1], graph.T @ users[-1]
        users.append(of_users)
        items.append(of_items)
    return torch.stack(users).mean(0) @ torch.stack(items).mean(0).T


FORMULAS: dict[str, Callable[[dict[str, Tensor]], Tensor]] = {
    "mf": lambda w: w["encoders.0.id"] @ w["encoders.1.id"].T,
    "biased-mf": lambda w: biases(w) + w["encoders.0.id"] @ w["encoders.1.id"].T,
    "gmf": lambda w: torch.einsum(
        "ud,id,d->ui", w["encoders.0.id"], w["encoders.1.id"], w["heads.0.multiply-linear.weight"]
    ),
    "ncf-mlp": lambda w: (
        mlp(w, "heads.0.concat-mlp", side_by_side(w["encoders.0.id"], w["encoders.1.id"]))
        @ w["heads.0.concat-mlp.layers.2.weight"][0]
    ),
    "neumf": neumf,
    "svd++": svdpp,
    "cml": lambda w: -torch.cdist(w["encoders.0.id"], w["encoders.1.id"]).square(),
    "dmf": lambda w: (SEEN @ w["encoders.0.history"]) @ (SEEN.T @ w["encoders.1.history"]).T,
    "lightgcn": lambda w: lightgcn(w["encoders.0.id"], w["encoders.1.id"], 2),
    "fism": lambda w: (
        biases(w)
        + (SEEN @ w["encoders.0.history"] / SEEN.sum(1, keepdim=True).clamp_min(1) ** 0.7) @ w["encoders.1.id"].T
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_named_point_is_its_textbook_formula(name: str) -> None:
    net, weights = classic(name)
    scores = net(Queries.catalogue(torch.arange(USERS), ITEMS))
    torch.testing.assert_close(scores, FORMULAS[name](weights), rtol=1e-5, atol=1e-5)


def test_fism_leaves_its_target_out_of_both_the_sum_and_the_count() -> None:
    """Kabbur et al. 2013, eq. 6: b_u + b_i + (|R_u+| - 1)^-alpha sum of p_j over R_u+ without i, times q_i."""
    net, w = classic("fism", history_power=0.4)
    users, items = KNOWN
    others = SEEN[users].clone()
    others[torch.arange(len(items)), items] = 0.0
    left = others.sum(1, keepdim=True)
    scale = torch.where(left > 0, left.clamp_min(1.0) ** -0.4, 0.0)
    expected = ((others @ w["encoders.0.history"]) * scale * w["encoders.1.id"][items]).sum(1)
    torch.testing.assert_close(net(KNOWN), expected + biases(w)[users, items])
    assert bool((left > 0).any())


def test_names_of_the_points() -> None:
    assert set(FORMULAS) == set(NAMED)
    genotype = named("neumf", replace(SETTINGS, operations=("max",), biases=("on",), branches=1, embedding_dim=5))
    assert genotype.settings["operations"] == ["multiply", "max", "concat"]
    assert genotype.settings["biases"] == ["off", "on"]
    assert (genotype.settings["branches"], genotype.settings["embedding_dim"]) == (2, 5)
    assert named("svd++").settings["history_power"] == 0.5
    assert named("fism", SETTINGS).settings["history_power"] == 0.7
    with pytest.raises(GenotypeError) as error:
        named("svdpp")
    assert str(error.value) == (
        "unknown model 'svdpp'; did you mean 'svd++'? "
        "There are: mf, biased-mf, gmf, ncf-mlp, neumf, fism, svd++, cml, dmf, lightgcn"
    )


def centred(scores: Tensor) -> float:
    """Return what is left of a score matrix without row and column means: zero exactly where it is f(u) + g(i)."""
    scores = scores.double()
    left = scores - scores.mean(1, keepdim=True) - scores.mean(0, keepdim=True) + scores.mean()
    return float(left.abs().max())


@pytest.mark.parametrize("branches", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_point_is_additive_exactly_where_its_scores_are_a_sum(branches: int) -> None:
    fewer: dict[str, Any] = {"biases": ("off",)}
    if branches == 2:
        fewer |= {"encodings": ("id+history",), "elementwise": ("network",)}
    spaces = [space(seed, branches=branches, init_std=2.0, **fewer) for seed in (1, 2, 3)]
    everyone = Queries.catalogue(torch.arange(USERS), ITEMS)
    seen = set()
    for active in spaces[0].points():
        genotype = spaces[0].genotype(active)
        net = spaces[0].build(genotype)
        left = []  # of three random functions of the point: one may be a sum by chance
        for made in spaces:
            state = made.state_dict()
            net.load_state_dict({name: state[name] for name in net.state_dict()})
            with torch.no_grad():
                scores = net(everyone)
            left.append(centred(scores) / max(1.0, float(scores.abs().max())))
        assert net.additive == is_additive_point(genotype)
        assert (max(left) < 1e-5) == is_additive_point(genotype), f"{genotype.key()}: {left}"
        seen.add(is_additive_point(genotype))
    assert seen == {True, False}


def negate(net: WideNetwork, *sides: int) -> None:
    """Turn the sign of what encodes some sides of the first branch."""
    with torch.no_grad():
        for side in sides:
            if net.choices["elementwise"][0] == "network":
                part: Any = net.elementwise[f"0-{('user', 'item')[side]}"]
                part.outer.neg_()
            else:
                for parameter in net.encoders[side].parameters():
                    parameter.neg_()


def absorb(net: WideNetwork, *weights: Tensor) -> None:
    """Put one weight vector a side into the tables of the first branch."""
    with torch.no_grad():
        for side, weight in enumerate(weights):
            for parameter in net.encoders[side].parameters():
                parameter.mul_(weight)


Change = Callable[[WideNetwork, WideNetwork], None]


def _minus(of: WideNetwork, to: WideNetwork) -> None:
    negate(to, 1)


def _mirror(of: WideNetwork, to: WideNetwork) -> None:
    negate(to, 0, 1)
    head = to.branches[0]
    with torch.no_grad():
        if head.weight is not None:
            head.weight.neg_()
        elif head.predictor == "mlp":
            first: Any = head.layers[0]
            first.weight.neg_()


def _weights(of: WideNetwork, to: WideNetwork) -> None:
    weight = of.branches[0].weight
    assert weight is not None
    ones = torch.ones_like(weight)
    if of.branches[0].operation == "multiply":
        absorb(to, weight, ones)
    else:
        absorb(to, *(weight.chunk(2) if of.branches[0].operation == "concat" else (weight, weight)))


MERGES: list[tuple[str, str, str, str, tuple[str, ...], Change]] = [
    *(("minus", p, "plus", p, ("identity", "network"), _minus) for p in ("sum", "linear", "mlp", "distance", "cosine")),
    *(("min", p, "max", p, ("identity", "network"), _mirror) for p in ("linear", "mlp", "distance")),
    *(("concat", p, "plus", p, ("identity", "network"), lambda of, to: None) for p in ("sum", "cosine")),
    ("plus", "linear", "plus", "sum", ("identity",), _weights),
    ("concat", "linear", "plus", "sum", ("identity",), _weights),
    ("multiply", "linear", "multiply", "sum", ("identity",), _weights),
]


@pytest.mark.parametrize("merge", MERGES, ids=lambda merge: "-".join(merge[:4]))
@pytest.mark.parametrize("encoding", [("id", "id"), ("id+history", "history")])
def test_points_of_one_family_are_the_same_functions(
    merge: tuple[str, str, str, str, tuple[str, ...], Change], encoding: tuple[str, str]
) -> None:
    """A network of one point, its weights changed as the rule says, gives the scores of the other."""
    operation, predictor, other, reader, elementwise, change = merge
    for name in elementwise:
        of = network(encoding=encoding, elementwise=(name,), operation=(operation,), predictor=(predictor,))
        to = network(encoding=encoding, elementwise=(name,), operation=(other,), predictor=(reader,))
        state = {key.replace(f"{operation}-{predictor}", f"{other}-{reader}"): v for key, v in of.state_dict().items()}
        to.load_state_dict({key: state[key] for key in to.state_dict()})
        change(of, to)
        everyone = Queries.catalogue(torch.arange(USERS), ITEMS)
        torch.testing.assert_close(to(everyone), of(everyone), rtol=1e-4, atol=1e-5)
        assert class_of_choices(of.choices) == class_of_choices(to.choices)


def test_families_do_not_join_what_differs() -> None:
    """All other pairs of operation and predictor stay apart, and so do encodings and biases."""
    for elementwise in ("identity", "network"):
        joined = {(m[0], m[1]): (m[2], m[3]) for m in MERGES if elementwise in m[4]}
        names: dict[str, set[tuple[str, str]]] = {}
        for pair in itertools.product(SETTINGS.operations, SETTINGS.predictors):
            choices = {**PLAIN, "elementwise": (elementwise,), "operation": (pair[0],), "predictor": (pair[1],)}
            root = pair
            while root in joined:
                root = joined[root]
            names.setdefault(class_of_choices(choices), set()).add(root)
        assert all(len(roots) == 1 for roots in names.values()), names
        assert len(names) == len({root for roots in names.values() for root in roots})
    others = [{}, {"biases": ("on",)}, {"encoding": ("history", "id")}, {"encoding": ("id", "history")}]
    assert len({class_of_choices({**PLAIN, **other}) for other in others}) == 4


def test_the_order_of_branches_does_not_matter() -> None:
    first = {"encoding": ("id", "id", "history", "id"), "operation": ("multiply", "max")}
    second = {"encoding": ("history", "id", "id", "id"), "operation": ("max", "multiply")}
    twice = {**PLAIN, "elementwise": ("identity",) * 2, "predictor": ("linear",) * 2}
    assert class_of_choices({**twice, **first}) == class_of_choices({**twice, **second})
    assert class_of_choices({**twice, **first}) != class_of_choices({**twice, **second, "encoding": first["encoding"]})


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({}, "w . (u * v)"),
        ({"predictor": ("sum",)}, "sum(u * v)"),
        ({"operation": ("minus",), "predictor": ("distance",)}, "-||u - v||^2"),
        ({"encoding": ("id", "id+history"), "predictor": ("cosine",)}, "cos(u, v + h(item)) / t"),
        ({"operation": ("max",), "predictor": ("cosine",)}, "sum(max(unit(u), unit(v))) / t"),
        ({"operation": ("max",), "biases": ("on",)}, "b + b_user + b_item + w . max(u, v)"),
        ({"encoding": ("history", "id+history"), "elementwise": ("network",)}, "w . (p(h(user)) * q(v + h(item)))"),
        (
            {
                "encoding": ("id+history", "id", "id", "history"),
                "elementwise": ("network", "identity"),
                "operation": ("multiply", "concat"),
                "predictor": ("linear", "mlp"),
                "biases": ("on",),
            },
            "b + b_user + b_item + w . (p(u + h(user)) * q(v)) + mlp2[u2; h2(item)]",
        ),
        (
            {
                "encoding": ("id",) * 4,
                "elementwise": ("identity",) * 2,
                "operation": ("plus", "concat"),
                "predictor": ("distance",) * 2,
            },
            "-||u + v||^2 - ||[u2; v2]||^2",
        ),
    ],
)
def test_formulas(choices: dict[str, tuple[str, ...]], text: str) -> None:
    assert wide_formula(wide_genotype({**PLAIN, **choices}, SETTINGS)) == text


def test_vectors_to_serve() -> None:
    net = network(
        encoding=("id+history", "history", "history", "id"),
        elementwise=("network", "identity"),
        operation=("max", "concat"),
        predictor=("linear", "mlp"),
    )
    users, items = net.encoded("user"), net.encoded("item")
    assert [len(rows) for rows in (*users, *items)] == [USERS, USERS, ITEMS, ITEMS]
    everyone = net(Queries.catalogue(torch.arange(USERS), ITEMS)).detach()
    branches = list(zip(net.branches, users, items, strict=True))
    torch.testing.assert_close(sum(branch.grid(u, v) for branch, u, v in branches).detach(), everyone)  # type: ignore[union-attr]
    joined = sum(branch.join(u.unsqueeze(1), v) for branch, u, v in branches)
    assert isinstance(joined, Tensor)
    torch.testing.assert_close(joined.detach(), everyone)
    some = torch.tensor([3, 3, 0])
    assert all(torch.equal(part, whole[some]) for part, whole in zip(net.encoded("user", some), users, strict=True))


def test_a_representative_is_of_the_same_family_and_plain() -> None:
    """For a product with a linear predictor stands the product with a sum; all else stands for itself."""
    space = WideSpace((3, 3), WideSettings(embedding_dim=2, branches=1), Histories.empty((3, 3)))
    changed = 0
    for point in space.points():
        stands = space.canonical(point)
        assert space.equivalence_class(stands) == space.equivalence_class(point)
        names, now = space.genotype(point).choices, space.genotype(stands).choices
        bent = [names["elementwise"] != ("identity",) and side != "id" for side in names["encoding"]]
        plain = {**names, "elementwise": names["elementwise"] if any(bent) else ("identity",)}
        if names["operation"] == ("multiply",) and names["predictor"] == ("linear",) and not all(bent):
            plain["predictor"] = ("sum",)
        assert dict(now) == plain
        changed += plain != dict(names)
    assert changed
