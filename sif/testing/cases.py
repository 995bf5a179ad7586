"""The spaces that the conformance suite runs every strategy on: small, each with a task."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nasp_core.network import Network, Space
from nasp_core.testing.cases import QUADRATIC, Case
from nasp_core.types import Active, Task
from sif.cells.kind import CellKind
from sif.cells.networks import CELL_KINDS
from sif.encodings.histories import Histories
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.tensor import TensorInteractionSpace
from sif.spaces.wide import WideSpace
from sif.spaces.wide_settings import WideSettings
from sif.testing.pictures import PlantedPictures
from sif.testing.planted import PlantedTask
from sif.testing.text import PlantedText

__all__ = ["CASES"]


def _transfer_interaction(space: Space, active: Active, network: Network) -> None:
    live = f"predictors.{active['operation'][0]}."
    state = {
        key.replace(live, "predictors.0."): value
        for key, value in space.state_dict().items()
        if not key.startswith("predictors.") or key.startswith(live)
    }
    network.load_state_dict(state)


def _permute_interaction(space: Space, order: tuple[int, ...]) -> Space:
    assert isinstance(space, InteractionSpace)
    operations = tuple(space.settings.operations[old] for old in order)
    other = type(space)(space.sizes, replace(space.settings, operations=operations), space.counts)
    state = space.state_dict()
    for new, old in enumerate(order):
        state[f"predictors.{new}.weight"] = space.state_dict()[f"predictors.{old}.weight"]
    other.load_state_dict(state)
    return other


def _interaction(settings: InteractionSettings) -> Callable[[], Space]:
    return lambda: InteractionSpace((14, 11), settings)


def _tensor(settings: InteractionSettings) -> Callable[[], Space]:
    return lambda: TensorInteractionSpace((9, 8, 3), settings)


_PLAIN = InteractionSettings(embedding_dim=3, hidden=0)
_FULL = InteractionSettings(
    embedding_dim=2, hidden=4, residual=True, biases=True, penalty="squared", l2=1e-3, bias_l2=1e-3, max_norm=None
)
_TENSOR = InteractionSettings(
    embedding_dim=2, hidden=3, operations=("plus_plus", "0_max_concat", "2_multiply_min", "multiply_multiply")
)
_WIDE = WideSettings(
    embedding_dim=3,
    hidden=3,
    mlp=(4,),
    encodings=("id", "id+history"),
    elementwise=("identity", "network"),
    operations=("multiply", "max"),
    predictors=("mlp",),
    biases=("on",),
    init_std=0.5,
    l2=1e-3,
    bias_l2=1e-3,
)
_PAIR = WideSettings(
    embedding_dim=2,
    branches=2,
    encodings=("id+history",),
    elementwise=("identity",),
    operations=("concat", "min"),
    predictors=("distance", "linear", "cosine"),
    init_std=0.5,
    l2=1e-3,
    l2_frequency=0.5,
    additive=False,
)


def _wide(settings: WideSettings) -> Callable[[], Space]:
    users, items = PlantedTask("max", (14, 11), density=0.8).parts["train"][0]
    return lambda: WideSpace((14, 11), settings, Histories.of(users, items, (14, 11)))


def _transfer_named(space: Space, active: Active, network: Network) -> None:
    """Copy the weights that the network has, under the names that the space has for them too."""
    state = space.state_dict()
    network.load_state_dict({name: state[name] for name in network.state_dict()})


def _permute_wide(space: Space, order: tuple[int, ...]) -> Space:
    assert isinstance(space, WideSpace)
    offers = {}
    for setting in ("encodings", "elementwise", "operations", "predictors", "biases"):
        offered = getattr(space.settings, setting)
        offers[setting] = tuple(offered[old] for old in order if old < len(offered))
    other = WideSpace((14, 11), replace(space.settings, **offers), space.histories)  # type: ignore[arg-type]
    other.load_state_dict(space.state_dict())
    return other


def _of_cells(kind: CellKind) -> Case:
    def task() -> Task:
        return PlantedPictures() if kind.task == "image" else PlantedText(kind.small.vocabulary)

    def transfer(space: Any, active: Active, network: Network) -> None:
        network.load_state_dict(space.restricted_state(space.genotype(active)))

    def permute(space: Any, order: tuple[int, ...]) -> Space:
        offers = zip(kind.offers, space.groups, strict=True)
        moved = {name: tuple(group.candidates[old] for old in order) for name, group in offers}
        return _with_edges_of(space, kind.space(replace(space.settings, **moved)))

    return Case(kind.name, lambda: kind.space(kind.small), task, transfer, permute)


def _with_edges_of(space: Space, other: Space) -> Space:
    """Load into `other` the weights of `space`, whose edges list their candidates otherwise."""
    names, moved = (
        [name for name in each.groups[0].candidates if name not in each.zero_operations] for each in (space, other)
    )
    source = space.state_dict()
    state = {}
    for key in other.state_dict():
        head, found, tail = key.partition(".edges.")
        origin = key
        if found:
            edge, candidate, rest = tail.split(".", 2)
            origin = f"{head}.edges.{edge}.{names.index(moved[int(candidate)])}.{rest}"
        state[key] = source[origin]
    other.load_state_dict(state)
    return other


_ALL = (
    Case(
        "interaction",
        _interaction(_PLAIN),
        lambda: PlantedTask("max", (14, 11), density=0.8),
        _transfer_interaction,
        _permute_interaction,
    ),
    Case(
        "interaction-full",
        _interaction(_FULL),
        lambda: PlantedTask("plus", (14, 11), density=0.8),
        _transfer_interaction,
        _permute_interaction,
    ),
    Case(
        "tensor-interaction",
        _tensor(_TENSOR),
        lambda: PlantedTask("0_max_plus", (9, 8, 3), density=0.6),
        _transfer_interaction,
        _permute_interaction,
    ),
    Case(
        "interaction-wide",
        _wide(_WIDE),
        lambda: PlantedTask("max", (14, 11), density=0.8),
        _transfer_named,
        _permute_wide,
    ),
    Case(
        "interaction-wide-pair",
        _wide(_PAIR),
        lambda: PlantedTask("min", (14, 11), density=0.8),
        _transfer_named,
    ),
    *map(_of_cells, CELL_KINDS.values()),
    QUADRATIC,
)

CASES: Mapping[str, Case] = {case.name: case for case in _ALL}
"""The conformance cases by name."""
