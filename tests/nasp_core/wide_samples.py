"""A small wide space, and its scores by the definition: one pair at a time, in plain loops."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sif.encodings.histories import Histories
from sif.operations import PREDICTORS
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks.queries import Queries

USERS, ITEMS = 9, 7
SIZES = (USERS, ITEMS)
KNOWN = torch.nonzero(torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(3)) < 0.45).T
PAIRS = {(int(user), int(item)) for user, item in KNOWN.T}
HISTORIES = Histories.of(KNOWN[0], KNOWN[1], SIZES)
SETTINGS = WideSettings(
    elementwise=("identity", "network"),
    predictors=tuple(PREDICTORS),
    embedding_dim=3,
    hidden=3,
    mlp=(4, 3),
    history_power=0.7,
    init_std=0.5,
    l2=0.0,
)
PLAIN: Mapping[str, tuple[str, ...]] = {
    "encoding": ("id", "id"),
    "elementwise": ("identity",),
    "operation": ("multiply",),
    "predictor": ("linear",),
    "biases": ("off",),
}


def network(seed: int = 1, settings: WideSettings = SETTINGS, **choices: tuple[str, ...]) -> WideNetwork:
    """Return the network of `PLAIN` with some choices changed; every weight random, biases too."""
    named = {**PLAIN, **choices}
    settings = replace(settings, branches=len(named["operation"]))
    made = WideNetwork(SIZES, wide_genotype(named, settings), HISTORIES)
    return randomised(made, seed)


def randomised(made: Any, seed: int = 1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    made.reset(generator)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "encoders" not in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def space(seed: int = 1, **changes: Any) -> WideSpace:
    """Return a space with every weight random."""
    made: WideSpace = randomised(WideSpace(SIZES, replace(SETTINGS, **changes), HISTORIES), seed)
    return made


def vector(net: WideNetwork, branch: int, side: int, row: int, members: Iterable[int]) -> Tensor:
    """Return one encoded and transformed vector `[dim]` of a row that knows `members`."""
    encoder: Any = net.encoders[2 * branch + side]
    name, members = net.choices["encoding"][2 * branch + side], sorted(members)
    x = torch.zeros(net.settings.embedding_dim)
    if name in ("id", "id+history"):
        x = x + encoder.id[row]
    if name != "id" and members:
        x = x + sum(encoder.history[member] for member in members) / len(members) ** net.settings.history_power
    if net.choices["elementwise"][branch] == "network":
        part: Any = net.elementwise[f"{branch}-{('user', 'item')[side]}"]
        inner, outer = part.inner[0], part.outer[0, 0]
        x = torch.stack([outer[:-1] @ torch.tanh(inner[:, 0] * entry + inner[:, 1]) + outer[-1] for entry in x])
    return x


@torch.no_grad()
def score(
    net: WideNetwork, user: int, item: int, not_items: Iterable[int] = (), not_users: Iterable[int] = ()
) -> Tensor:
    """Return the score of one pair; the user's history lacks `not_items`, the item's lacks `not_users`."""
    of_user = {j for a, j in PAIRS if a == user} - set(not_items)
    of_item = {a for a, j in PAIRS if j == item} - set(not_users)
    total = torch.zeros(())
    for branch, head in enumerate(net.branches):
        u, v = vector(net, branch, 0, user, of_user), vector(net, branch, 1, item, of_item)
        if head.predictor == "cosine":
            u, v = u / u.norm().clamp_min(1e-6), v / v.norm().clamp_min(1e-6)
        x = {
            "plus": u + v,
            "minus": u - v,
            "multiply": u * v,
            "max": torch.maximum(u, v),
            "min": torch.minimum(u, v),
            "concat": torch.cat([u, v]),
        }[head.operation]
        if head.predictor == "mlp":
            *layers, last = head.layers
            for layer in layers:
                x = torch.relu(layer.weight @ x + layer.bias)  # type: ignore[operator]
            total = total + (last.weight @ x).sum()  # type: ignore[operator]
        elif head.predictor == "distance":
            total = total - (x * x).sum()
        elif head.predictor == "cosine":
            total = total + x.sum() / torch.exp(head.weight[0])  # type: ignore[index]
        else:
            total = total + (x.sum() if head.weight is None else head.weight @ x)
    if net.bias is not None and net.offset is not None:
        total = total + net.bias[user, 0] + net.bias[USERS + item, 0] + net.offset
    return total


def everything(net: WideNetwork) -> Tensor:
    """Return the scores `[users, items]` with whole histories."""
    return torch.stack([torch.stack([score(net, user, item) for item in range(ITEMS)]) for user in range(USERS)])


def all_pairs() -> Tensor:
    return torch.cartesian_prod(torch.arange(USERS), torch.arange(ITEMS)).T


def triples(seed: int = 0, negatives: int = 2, shared: tuple[int, ...] = (1, 3)) -> Queries:
    """Return every training pair with random negatives, the pair left out."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(ITEMS, (KNOWN.shape[1], negatives), generator=generator)
    return Queries(
        KNOWN[0], torch.cat([KNOWN[1].unsqueeze(1), drawn], 1), torch.tensor(shared, dtype=torch.int64), True
    )


def hiding(shared: tuple[int, ...] = tuple(range(ITEMS))) -> Queries:
    """Return a batch of three users with about half of their pairs hidden."""
    users = torch.tensor([4, 0, 8])
    hidden = [
        (row, item)
        for row, user in enumerate(users.tolist())
        for item in range(ITEMS)
        if (user, item) in PAIRS and (row + item) % 2
    ]
    return Queries(users, users.new_empty(3, 0), torch.tensor(shared), False, torch.tensor(hidden).T)
