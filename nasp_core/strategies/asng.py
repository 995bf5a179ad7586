"""ASNG: natural gradients on probabilities, by ranks of drawn points.  Akimoto et al., ICML 2019, arXiv:1905.08537."""

from nasp_core.domain import Simplex
from nasp_core.gradient import Natural
from nasp_core.relax import CategoricalShares
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "asng"]

PAPER = Paper(
    title="Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search",
    authors="Youhei Akimoto, Shinichi Shirakawa, Nozomu Yoshinari, Kento Uchida, Shota Saito, Kouhei Nishida",
    venue="International Conference on Machine Learning",
    year=2019,
    arxiv="1905.08537",
)


def asng(*, rate: float = 1.0, samples: int = 2, trust: float = 1.5) -> Strategy:
    """Search by adaptive stochastic natural gradients on a distribution over points (algorithm 1); no slope is needed.

    Parts: domain=Simplex(floor of ASNG), relax=CategoricalShares, gradient=Natural, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, rows on the simplex; loss scalar, mean per batch, used by rank alone.
    Departs from the paper: points are judged on one validation batch each, weights are trained on one more drawn point.
    Fails when: the loss of a batch is noisier than the difference between points: Delta then grows, and nothing moves.
    """
    return Strategy(
        domain=Simplex(floor=None),
        relax=CategoricalShares(),
        gradient=Natural(rate=rate, samples=samples, trust=trust),
        select=Argmax(),
        name="asng",
        papers=(PAPER,),
    )
