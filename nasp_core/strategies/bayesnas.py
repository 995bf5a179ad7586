"""BayesNAS: switches whose relevance is learned, and pruned.  Zhou et al., ICML 2019, arXiv:1905.04919."""

from nasp_core.domain import Switches
from nasp_core.gradient import SingleLevel
from nasp_core.relax import Weights
from nasp_core.schedule import Relevance
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "bayesnas"]

PAPER = Paper(
    title="BayesNAS: A Bayesian Approach for Neural Architecture Search",
    authors="Hongpeng Zhou, Minghao Yang, Jun Wang, Wei Pan",
    venue="International Conference on Machine Learning",
    year=2019,
    arxiv="1905.04919",
)


def bayesnas(
    *,
    alpha_lr: float = 3e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    relevance: float = 1e-2,
    threshold: float = 1e-3,
) -> Strategy:
    """Search by one-level training of switches under a re-weighted sparse prior (algorithm 1).

    Parts: domain=Switches, relax=Weights, gradient=SingleLevel, select=Argmax of |alpha|; schedule Relevance.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the curvature is a running mean of squared slopes, not the layer-wise Hessian; the prior's
    dependence of a node on the edges before it is left to the space's own constraint; the last candidate stays.
    Fails when: candidates' outputs differ in scale: a switch then says how much of an output is wanted.
    """
    return Strategy(
        domain=Switches(),
        relax=Weights(),
        gradient=SingleLevel(lr=alpha_lr, betas=betas),
        select=Argmax(),
        schedules=(Relevance(relevance, threshold),),
        name="bayesnas",
        papers=(PAPER,),
    )
