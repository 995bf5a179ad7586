"""DrNAS: mixture weights drawn from a Dirichlet.  Chen et al., ICLR 2021, arXiv:2006.10355."""

from nasp_core.domain import Logits
from nasp_core.gradient import FirstOrder
from nasp_core.hook import PartialChannels
from nasp_core.relax import Dirichlet
from nasp_core.schedule import DirichletPrior, Shrink
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "drnas"]

PAPER = Paper(
    title="DrNAS: Dirichlet Neural Architecture Search",
    authors="Xiangning Chen, Ruochen Wang, Minhao Cheng, Xiaocheng Tang, Cho-Jui Hsieh",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2006.10355",
)


def drnas(
    *,
    alpha_lr: float = 6e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    prior: float = 1e-3,
    keep: int = 0,
    share: int = 1,
) -> Strategy:
    """Search over the concentrations of a Dirichlet, elu(alpha) + 1, with path-wise gradients (equation 2).

    `prior` weighs the divergence from an even Dirichlet. Progressive learning (section 4) with `keep`: at half of the
    search the `keep` best candidates of each choice stay; and with `share`: they see 1 / share of the channels.

    Parts: domain=Logits, relax=Dirichlet, gradient=FirstOrder, select=Argmax; schedule DirichletPrior, with `keep`
    Shrink; with `share` > 1 hook PartialChannels.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the share of channels stays one through both stages (the paper: 1/6, then 1/4).
    Fails when: concentrations stay near 1 within the budget: draws are then all over the simplex, and the mean is
    nearly even.
    """
    return Strategy(
        domain=Logits(),
        relax=Dirichlet(),
        gradient=FirstOrder(lr=alpha_lr, betas=betas),
        select=Argmax(),
        schedules=(DirichletPrior(prior), *((Shrink((0.5,), (keep,)),) if keep else ())),
        hooks=(PartialChannels(share),) if share > 1 else (),
        name="drnas",
        papers=(PAPER,),
    )
