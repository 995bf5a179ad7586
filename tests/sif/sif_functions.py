"""Functions of two vectors to fold and to export: any branches over drawn vectors, as a built network has them."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from sif.encodings.histories import Histories
from sif.operations import OPERATIONS, PREDICTORS
from sif.spaces.branch import WideBranch
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import OFFERS, WideSettings

SIZES, DIM = (7, 9), 8

MLPS = ((5,), (5, 4))
POINTS: list[tuple[tuple[str, str, tuple[int, ...]], ...]] = [
    ((operation, predictor, mlp),)
    for operation in OPERATIONS
    for predictor in PREDICTORS
    for mlp in (MLPS if predictor == "mlp" else MLPS[:1])
]
POINTS += [(("multiply", "linear", (5,)), ("concat", "mlp", mlp)) for mlp in MLPS]
POINTS += [(("max", "mlp", (5, 4)), ("multiply", "mlp", (3,))), (("min", "distance", (5,)), ("plus", "sum", (5,)))]
"""Every operation with every predictor, shallow and deep, and pairs of branches."""


def name_of(point: tuple[tuple[str, str, tuple[int, ...]], ...]) -> str:
    return " ".join(f"{operation}-{predictor}{len(mlp)}" for operation, predictor, mlp in point)


def wide_network(encoding: tuple[str, str] = ("id+history", "id"), elementwise: str = "identity") -> WideNetwork:
    """A drawn network of two branches with histories and biases; the last user and the last item have no history."""
    generator = torch.Generator().manual_seed(3)
    choices = {
        "encoding": (*encoding, "id", "history"),
        "elementwise": (elementwise, "identity"),
        "operation": ("multiply", "max"),
        "predictor": ("linear", "linear"),
        "biases": ("on",),
    }
    pairs = torch.rand(SIZES, generator=generator) < 0.4
    pairs[-1], pairs[:, -1] = False, False
    functions = (*OFFERS["elementwise"], "network")
    settings = WideSettings(embedding_dim=DIM, branches=2, init_std=0.5, elementwise=functions)
    space = WideSpace(SIZES, settings, Histories.of(*pairs.nonzero(as_tuple=True), SIZES))
    network = space.build(wide_genotype(choices, settings))
    network.reset(generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


def function_of(point: tuple[tuple[str, str, tuple[int, ...]], ...], *, biases: bool = True) -> Any:
    """What `Folded` reads of a network."""
    generator = torch.Generator().manual_seed(3)
    branches = [WideBranch(o, p, WideSettings(embedding_dim=DIM, mlp=mlp)) for o, p, mlp in point]
    vectors: dict[str, list[Tensor]] = {"user": [], "item": []}
    for branch in branches:
        branch.reset(generator)
        with torch.no_grad():
            for parameter in branch.parameters():
                parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
        for side, size in zip(vectors, SIZES, strict=True):
            vectors[side].append(0.7 * torch.randn(size, DIM, generator=generator))
    bias = torch.randn(sum(SIZES), 1, generator=generator) if biases else None
    return SimpleNamespace(
        sizes=SIZES,
        branches=branches,
        bias=bias,
        offset=torch.tensor(0.3) if biases else None,
        encoded=lambda side: vectors[side],
    )


@torch.no_grad()
def scores_of(network: Any) -> Tensor:
    """The scores `[users, items]` by the textbook formula, in float64."""
    total = torch.zeros(SIZES, dtype=torch.float64)
    for index, branch in enumerate(network.branches):
        u, v = (network.encoded(side)[index].double() for side in ("user", "item"))
        total += branch.double().join(u.unsqueeze(1), v)
        branch.float()
    if network.bias is not None:
        left, right = network.bias.double().split(list(SIZES))
        total += left + right.T + network.offset.double()
    return total
