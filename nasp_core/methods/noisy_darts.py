"""NoisyDARTS: noise behind identities.  Chu and Zhang, BMVC 2021, arXiv:2005.03566."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasp_core.methods.darts import darts
from nasp_core.network import Space
from nasp_core.parts.hooks import Handles, skips_of
from nasp_core.strategy import Attached, Hook, Paper, Strategy

__all__ = ["PAPER", "NoisySkip", "noisy_darts"]


@dataclass(frozen=True)
class NoisySkip(Hook):
    """Add Gaussian noise of `factor` times its standard deviation to what an identity passes on (Chu and Zhang 2021).

    In training only. On a space without identities, nothing.
    """

    factor: float = 0.2

    least: ClassVar[dict[str, float]] = {"factor": 0}

    def attach(self, space: Space) -> Attached:
        """Put the noise behind each identity."""

        def noisy(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
            if not module.training:
                return out
            return out + torch.randn_like(out) * (self.factor * out.detach().std())

        return Handles([skip.register_forward_hook(noisy) for skip in skips_of(space)])


PAPER = Paper(
    title="Noisy Differentiable Architecture Search",
    authors="Xiangxiang Chu, Bo Zhang",
    venue="British Machine Vision Conference",
    year=2021,
    arxiv="2005.03566",
)


def noisy_darts(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    factor: float = 0.2,
) -> Strategy:
    """Search as DARTS does, with Gaussian noise behind identities, so that they are no easy way (equation 6).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax; hook NoisySkip.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: nothing on cells of convolutions. On other spaces there is no identity: it is DARTS there.
    Fails when: identities are right: the noise holds against them all the same.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, hooks=(NoisySkip(factor),), name="noisy-darts", papers=(PAPER,))
