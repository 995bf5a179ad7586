"""Random features: only the scale and shift of batch norms are trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from nasp_core.network import Space
from nasp_core.strategy import Attached, Hook

__all__ = ["NormOnly"]


class _Affine(Attached):
    def __init__(self, norms: list[nn.BatchNorm2d]) -> None:
        self.norms = norms
        for norm in norms:
            device = norm.running_mean.device if norm.running_mean is not None else None
            norm.affine = True
            norm.weight = nn.Parameter(torch.ones(norm.num_features, device=device))
            norm.bias = nn.Parameter(torch.zeros(norm.num_features, device=device))

    def detach(self) -> None:
        for norm in self.norms:
            norm.affine = False
            norm.register_parameter("weight", None)
            norm.register_parameter("bias", None)


@dataclass(frozen=True)
class NormOnly(Hook):
    """Leave convolutions as they were drawn; train batch norms, all with scale and shift, and the classifier.

    So a candidate cannot win by learning faster than others (Zhang et al. 2023, arXiv:2208.08835, section 3.2). On a
    space without batch norm, nothing: all weights are trained.
    """

    def attach(self, space: Space) -> Attached:
        """Give every batch norm scale and shift."""
        norms = [module for module in space.modules() if isinstance(module, nn.BatchNorm2d) and not module.affine]
        return _Affine(norms)

    def trained(self, space: Space, weights: list[nn.Parameter]) -> list[nn.Parameter]:
        """Return the parameters of batch norms and linear layers, or all where there is no batch norm."""
        norms = [m for m in space.modules() if isinstance(m, nn.BatchNorm2d)]
        if not norms:
            return weights
        chosen = [*norms, *(m for m in space.modules() if isinstance(m, nn.Linear))]
        wanted = {id(p) for module in chosen for p in module.parameters()}
        return [w for w in weights if id(w) in wanted]
