"""Spaces and networks on the data of a task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from nasp_core.genotype import Genotype
from nasp_core.network import Network
from sif.encodings.histories import Histories
from sif.errors import RunError
from sif.operations.functions import family
from sif.spaces.interaction import InteractionNetwork, InteractionSettings, InteractionSpace
from sif.spaces.tensor import TensorInteractionSpace
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import additive
from sif.spaces.wide_settings import WideSettings, settings_of
from sif.tasks import RankingTask, RatingTask

__all__ = ["MODES", "build_network", "is_additive", "make_space", "parameters_of", "small_space"]

_SPACES: dict[str, type[InteractionSpace]] = {
    "interaction": InteractionSpace,
    "tensor-interaction": TensorInteractionSpace,
}
_WIDE = "interaction-wide"
MODES = {name: len(space.modes) for name, space in _SPACES.items()} | {_WIDE: 2}
"""How many modes (user, item, context) the data of a space have."""

Settings = InteractionSettings | WideSettings
Built = InteractionNetwork | WideNetwork


def _settings(genotype: Genotype) -> Settings:
    """Return the settings that a genotype carries; raises `RunError` for a space that this version does not know."""
    if genotype.space not in MODES:
        raise RunError(f"genotype of unknown space {genotype.space!r}; this version knows {', '.join(MODES)}")
    if genotype.space == _WIDE:
        return settings_of(genotype)
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in genotype.settings.items()}
    return InteractionSettings(**values)


def make_space(name: str, task: RatingTask | RankingTask, settings: Settings) -> InteractionSpace | WideSpace:
    """Return the space `name` over the users and items of a task, on its device."""
    if isinstance(settings, WideSettings):
        histories = task.histories()
        return WideSpace(histories.sizes, settings, histories, task.counts()).to(task.device)
    return _SPACES[name](task.sizes, settings, task.counts()).to(task.device)


def small_space(name: str, settings: Settings, count: int = 2) -> InteractionSpace | WideSpace:
    """Return the space over `count` users and items: to see whether its settings fit, or how it grows."""
    sizes = (count,) * MODES[name]
    counts = torch.ones(sum(sizes))
    if isinstance(settings, WideSettings):
        return WideSpace((count, count), settings, Histories.empty((count, count)), counts)
    return _SPACES[name](sizes, settings, counts)


def build_network(
    genotype: Genotype,
    task: RatingTask | RankingTask | None,
    *,
    sizes: tuple[int, ...] | None = None,
    histories: Histories | None = None,
) -> Any:
    """Return the plain network of a genotype: on a task's device to train it, or of given `sizes` to serve it.

    `histories` are what a network of the wide space knows of users and items when it is served.
    """
    settings = _settings(genotype)
    if task is not None:
        return make_space(genotype.space, task, settings).build(genotype)
    if sizes is None:
        raise ValueError("give a task or sizes")
    # The frequency penalty needs the training part, which serving does not have.
    settings = replace(settings, l2_frequency=0.0)
    genotype = replace(genotype, settings=dict(genotype.settings) | {"l2_frequency": 0.0})
    if isinstance(settings, WideSettings):
        users, items = sizes
        known = Histories.empty((users, items)) if histories is None else histories
        return WideSpace((users, items), settings, known).build(genotype)
    return _SPACES[genotype.space](sizes, settings).build(genotype)


def is_additive(genotype: Genotype) -> bool:
    """Return whether the function is f(user) + g(item), which ranks the items alike for every user."""
    if genotype.space == _WIDE:
        return additive(genotype)
    (operation,) = genotype.choices["operation"]
    return family(str(operation)) in ("plus", "plus_plus")


def parameters_of(network: Network) -> int:
    """Return the number of parameters of a network, element-wise networks included."""
    return sum(parameter.numel() for parameter in network.parameters())
