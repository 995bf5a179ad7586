"""Networks from genotypes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nasp_core.genotype import Genotype
from nasp_core.network import Network
from nasp_core.spaces import InteractionNetwork, InteractionSettings, InteractionSpace, TensorInteractionSpace
from sif.errors import RunError
from sif.tasks import RatingTask

__all__ = ["SPACES", "build_network", "genotype_settings", "parameters_of"]

SPACES: dict[str, type[InteractionSpace]] = {
    "interaction": InteractionSpace,
    "tensor-interaction": TensorInteractionSpace,
}


def genotype_settings(genotype: Genotype) -> InteractionSettings:
    """Return the settings that a genotype carries."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in genotype.settings.items()}
    return InteractionSettings(**values)


def build_network(
    genotype: Genotype, task: RatingTask | None, *, sizes: tuple[int, ...] | None = None
) -> InteractionNetwork:
    """Return the plain network of a genotype: on a task's device to train it, or of given `sizes` to serve it."""
    if genotype.space not in SPACES:
        raise RunError(f"genotype of unknown space {genotype.space!r}; this version knows {', '.join(SPACES)}")
    settings = genotype_settings(genotype)
    if task is None:
        if sizes is None:
            raise ValueError("give a task or sizes")
        # The frequency penalty needs the training part, which serving does not have.
        genotype = replace(genotype, settings=dict(genotype.settings) | {"l2_frequency": 0.0})
        return SPACES[genotype.space](sizes, replace(settings, l2_frequency=0.0)).build(genotype)
    space = SPACES[genotype.space](task.sizes, settings, task.counts())
    return space.to(task.device).build(genotype)


def parameters_of(network: Network) -> int:
    """Return the number of parameters of a network, element-wise networks included."""
    return sum(parameter.numel() for parameter in network.parameters())
