"""DARTS, second order: the gradient looks one weight step ahead.  Liu et al., ICLR 2019, arXiv:1806.09055."""

from nasp_core.domain import Logits
from nasp_core.gradient import Unrolled
from nasp_core.relax import Softmax
from nasp_core.select import Argmax
from nasp_core.strategies.darts import PAPER
from nasp_core.strategy import Strategy

__all__ = ["darts_2nd"]


def darts_2nd(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    virtual_lr: float | None = None,
) -> Strategy:
    """Search with the unrolled gradient on a softmax mixture (equations 7 and 8).

    Parts: domain=Logits, relax=Softmax, gradient=Unrolled, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the virtual step is plain SGD whatever the weight optimiser (as the published
    interaction search does); momentum is used where the optimiser has it.
    Fails when: as `darts`; and costs four passes a step more.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Unrolled(lr=alpha_lr, betas=betas, weight_decay=weight_decay, virtual_lr=virtual_lr),
        select=Argmax(),
        name="darts-2nd",
        papers=(PAPER,),
    )
