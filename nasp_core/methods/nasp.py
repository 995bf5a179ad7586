"""NASP: one operation alive at a time, chosen by a proximal step.  Yao et al., AAAI 2020, arXiv:1905.13577."""

from nasp_core.parts import Argmax, Box, Complexity, FirstOrder, OneHot
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "nasp"]

PAPER = Paper(
    title="Efficient Neural Architecture Search via Proximal Iterations",
    authors="Quanming Yao, Ju Xu, Wei-Wei Tu, Zhanxing Zhu",
    venue="AAAI Conference on Artificial Intelligence",
    year=2020,
    arxiv="1905.13577",
)


def nasp(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    noise: float = 1e-3,
    eta: float = 0.0,
) -> Strategy:
    """Search with hard choices while the parameters under them stay continuous (algorithm 2).

    Each step projects alpha to one-hot (C1), takes the validation gradient there, moves the continuous alpha by Adam,
    clips it to the box C2 = [0, 1], and trains the weights under the new choice.

    Parts: domain=Box(0, 1), relax=OneHot, gradient=FirstOrder, select=Argmax; with `eta` schedule=Complexity.
    Shapes: alpha `[choices, candidates]` float32 in [0, 1]; loss scalar, mean per batch.
    Departs from the paper: alpha starts with noise, since a start at a tie is the same architecture for
    every seed; a tie goes to the lowest index (the paper does not say).
    Fails when: only the winner's own weights train, so losers are judged by random weights and the first
    winners stay: on the five operations of an interaction function a seed lottery. Use `nasp-ranked` there.

    Args:
        alpha_lr: Learning rate of alpha.
        betas: Adam's, for alpha.
        weight_decay: Of alpha.
        noise: Standard deviation of alpha's start.
        eta: Price of the size of the architecture (the paper's complexity regulariser); 0: size is free.
    """
    return Strategy(
        domain=Box(0.0, 1.0, start=0.5, noise=noise),
        relax=OneHot(),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(Complexity(eta),) if eta else (),
        name="nasp",
        papers=(PAPER,),
    )
