"""What is done to identities on the edges of a cell: an auxiliary one, noise after one, blocks dropped from one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.edge import SupernetEdge
from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.strategy import Attached, Hook

__all__ = ["AuxiliarySkip", "DropBlockSkip", "NoisySkip"]

SKIP = "skip_connect"


def _edges(space: Space) -> list[SupernetEdge]:
    return [module for module in space.modules() if isinstance(module, SupernetEdge)]


def _skips(space: Space) -> Iterator[nn.Module]:
    for edge in _edges(space):
        if SKIP in edge.names:
            yield edge[edge.names.index(SKIP)]


class _Auxiliary(Attached):
    """One identity more on each edge, by a factor that falls to zero."""

    name = "auxiliary_skips"

    def __init__(self, space: Space) -> None:
        self.space, self.edges, self.beta = space, _edges(space), 1.0
        if self.edges:
            device = next(space.parameters()).device
            skips = nn.ModuleList(edge.fresh(SKIP) for edge in self.edges).to(device)
            space.add_module(self.name, skips)
            for edge, skip in zip(self.edges, skips, strict=True):
                edge.extra = self._weighted(skip)

    def _weighted(self, skip: nn.Module) -> Any:
        def extra(source: Any) -> Tensor:
            out: Tensor = skip(source)
            return self.beta * out

        return extra

    def advance(self, progress: float) -> None:
        self.beta = 1.0 - progress

    def detach(self) -> None:
        for edge in self.edges:
            edge.extra = None
        if self.edges:
            delattr(self.space, self.name)


class _Handles(Attached):
    """Forward hooks on modules."""

    def __init__(self, handles: list[Any]) -> None:
        self.handles = handles

    def detach(self) -> None:
        for handle in self.handles:
            handle.remove()


@dataclass(frozen=True)
class AuxiliarySkip(Hook):
    """Add beta * identity to every edge, beta from 1 to 0 over the search (Chu et al. 2021, DARTS-, eq. 5).

    What helps gradients flow then comes from the auxiliary identity, not from the candidate that competes. At stride 2
    the identity is DARTS' factorised reduction. On a space without such edges, nothing.
    """

    def attach(self, space: Space) -> Attached:
        """Add the identities."""
        return _Auxiliary(space)


@dataclass(frozen=True)
class NoisySkip(Hook):
    """Add Gaussian noise of `factor` times its standard deviation to what an identity passes on (Chu and Zhang 2021).

    In training only. On a space without identities, nothing.
    """

    factor: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a negative deviation."""
        if self.factor < 0:
            raise StrategyError(f"{self.describe()}: the factor must be 0 or more")

    def attach(self, space: Space) -> Attached:
        """Put the noise behind each identity."""

        def noisy(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
            if not module.training:
                return out
            return out + torch.randn_like(out) * (self.factor * out.detach().std())

        return _Handles([skip.register_forward_hook(noisy) for skip in _skips(space)])


@dataclass(frozen=True)
class DropBlockSkip(Hook):
    """Zero square blocks of what an identity passes on (MSG-DAS' Dropblock-Identity, Tan et al. 2021, section 3.3).

    About `rate` of the pixels, in blocks of `size`; what is left is scaled up. In training only.
    """

    rate: float = 0.1
    size: int = 3

    def __post_init__(self) -> None:
        """Refuse to drop everything."""
        if not 0 <= self.rate < 1 or self.size < 1 or self.size % 2 == 0:
            raise StrategyError(f"{self.describe()}: rate must be in [0, 1), size odd and 1 or more")

    def attach(self, space: Space) -> Attached:
        """Put the dropping behind each identity."""

        def dropped(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
            if not module.training or self.rate == 0:
                return out
            centres = (torch.rand_like(out[:, :1]) < self.rate / self.size**2).to(out.dtype)
            keep = 1.0 - functional.max_pool2d(centres, self.size, 1, self.size // 2)
            return out * keep * (keep.numel() / keep.sum().clamp_min(1.0))

        return _Handles([skip.register_forward_hook(dropped) for skip in _skips(space)])
