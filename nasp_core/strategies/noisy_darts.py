"""NoisyDARTS: noise behind identities.  Chu and Zhang, BMVC 2021, arXiv:2005.03566."""

from dataclasses import replace

from nasp_core.hook import NoisySkip
from nasp_core.strategies.darts import darts
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "noisy_darts"]

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
