"""Spaces and networks on the data of a task."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nasp_core.genotype import Genotype
from nasp_core.network import Network
from sif.encodings.histories import Histories
from sif.errors import RunError
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.known import SPACES
from sif.spaces.wide import WideSpace
from sif.spaces.wide_settings import WideSettings
from sif.tasks import TableTask

__all__ = ["MODES", "build_network", "is_additive", "make_space", "parameters_of", "small_space"]

MODES = {name: len(space.modes) for name, space in SPACES.items()}
"""How many modes (user, item, context) the data of a space have."""

Settings = InteractionSettings | WideSettings


def _space_of(genotype: Genotype) -> Any:
    if genotype.space not in SPACES:
        raise RunError(f"genotype of unknown space {genotype.space!r}; this version knows {', '.join(SPACES)}")
    return SPACES[genotype.space]


def make_space(name: str, task: TableTask, settings: Settings) -> InteractionSpace | WideSpace:
    """Return the space `name` over the users and items of a task, on its device."""
    histories = task.histories() if SPACES[name].reads_histories else None
    space: InteractionSpace | WideSpace = SPACES[name].make(task.sizes, settings, histories, task.counts())
    return space.to(task.device)


def small_space(name: str, settings: Settings, count: int = 2) -> InteractionSpace | WideSpace:
    """Return the space over `count` users and items: to see whether its settings fit, or how it grows."""
    sizes = (count,) * MODES[name]
    space: InteractionSpace | WideSpace = SPACES[name].make(sizes, settings, None, torch.ones(sum(sizes)))
    return space


def build_network(
    genotype: Genotype,
    task: TableTask | None,
    *,
    sizes: tuple[int, ...] | None = None,
    histories: Histories | None = None,
    counts: Tensor | None = None,
) -> Any:
    """Return the plain network of a genotype: on a task's device to train it, or of given `sizes` to serve it.

    `histories` are what a network of the wide space knows of users and items when it is served, `counts` int64
    `[users + items]` how often each occurs in training.
    """
    space = _space_of(genotype)
    if task is not None:
        return make_space(genotype.space, task, space.settings_of(genotype)).build(genotype)
    if sizes is None:
        raise ValueError("give a task or sizes")
    if counts is None:  # the frequency penalty needs the training part, which serving does not have
        genotype = replace(genotype, settings=dict(genotype.settings) | {"l2_frequency": 0.0})
    return space.network(sizes, genotype, histories, counts)


def is_additive(genotype: Genotype) -> bool:
    """Return whether the function is f(user) + g(item), which ranks the items alike for every user."""
    return bool(_space_of(genotype).additive(genotype))


def parameters_of(network: Network) -> int:
    """Return the number of parameters of a network, element-wise networks included."""
    return sum(parameter.numel() for parameter in network.parameters())
