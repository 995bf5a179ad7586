"""PC-DARTS: a share of the channels, and edges weighed too.  Xu et al., ICLR 2020, arXiv:1907.05737."""

from nasp_core.domain import EdgeLogits
from nasp_core.gradient import FirstOrder
from nasp_core.hook import PartialChannels
from nasp_core.relax import WeightedEdges
from nasp_core.schedule import StartAt
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "pc_darts"]

PAPER = Paper(
    title="PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search",
    authors="Yuhui Xu, Lingxi Xie, Xiaopeng Zhang, Xin Chen, Guo-Jun Qi, Qi Tian, Hongkai Xiong",
    venue="International Conference on Learning Representations",
    year=2020,
    arxiv="1907.05737",
)


def pc_darts(
    *,
    alpha_lr: float = 6e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    share: int = 4,
    warmup: float = 0.3,
) -> Strategy:
    """Search as DARTS does with candidates on 1 / `share` of the channels, and a softmax over the edges into each node.

    The weights train alone for the first `warmup` of the search (section 3).

    Parts: domain=EdgeLogits, relax=WeightedEdges, gradient=FirstOrder, select=Argmax; schedule StartAt, hook
    PartialChannels.
    Shapes: alpha `[choices, candidates]` float32 and one logit an edge, unbounded; loss scalar, mean per batch.
    Departs from the paper: nothing on cells of convolutions. On spaces without edges that enter nodes it is DARTS with
    a warm-up.
    Fails when: a cell has few channels: its share is then too narrow to judge a candidate by.
    """
    return Strategy(
        domain=EdgeLogits(),
        relax=WeightedEdges(),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(StartAt(warmup),),
        hooks=(PartialChannels(share),),
        name="pc-darts",
        papers=(PAPER,),
    )
