"""DARTS-: an auxiliary identity, fading.  Chu et al., ICLR 2021, arXiv:2009.01027."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from nasp_core.methods.darts import darts
from nasp_core.network import Space
from nasp_core.parts.hooks import SKIP, edges_of
from nasp_core.strategy import Attached, Hook, Paper, Strategy

__all__ = ["PAPER", "AuxiliarySkip", "darts_minus"]


class _Auxiliary(Attached):
    """One identity more on each edge, by a factor that falls to zero."""

    name = "auxiliary_skips"

    def __init__(self, space: Space) -> None:
        self.space, self.edges, self.beta = space, edges_of(space), 1.0
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


@dataclass(frozen=True)
class AuxiliarySkip(Hook):
    """Add beta * identity to every edge, beta from 1 to 0 over the search (Chu et al. 2021, DARTS-, eq. 5).

    What helps gradients flow then comes from the auxiliary identity, not from the candidate that competes. At stride 2
    the identity is DARTS' factorised reduction. On a space without such edges, nothing.
    """

    def attach(self, space: Space) -> Attached:
        """Add the identities."""
        return _Auxiliary(space)


PAPER = Paper(
    title="DARTS-: Robustly Stepping out of Performance Collapse Without Indicators",
    authors="Xiangxiang Chu, Xiaoxing Wang, Bo Zhang, Shun Lu, Xiaolin Wei, Junchi Yan",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2009.01027",
)


def darts_minus(
    *, alpha_lr: float = 3e-4, betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 1e-3
) -> Strategy:
    """Search as DARTS does, each edge with one identity more, whose factor falls linearly from 1 to 0 (equation 5).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax; hook AuxiliarySkip.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: nothing on cells of convolutions. On other spaces there is no identity to relieve: it is
    DARTS there.
    Fails when: the search is so short that the factor is still large when alpha has settled.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, hooks=(AuxiliarySkip(),), name="darts-minus", papers=(PAPER,))
