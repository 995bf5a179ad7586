"""PC-DARTS: a share of the channels, and edges weighed too.  Xu et al., ICLR 2020, arXiv:1907.05737."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts import Argmax, EdgeLogits, FirstOrder, PartialChannels, Softmax, StartAt
from nasp_core.parts.domains import INPUTS, edge_weights
from nasp_core.strategy import Paper, Strategy
from nasp_core.types import Alpha, RelaxState

__all__ = ["PAPER", "WeightedEdges", "pc_darts"]


@dataclass(frozen=True)
class WeightedEdges(Softmax):
    """Softmax weights times the softmax of their edge among those that enter its node (Xu et al. 2020, section 3.3).

    Where a space has no nodes that edges enter, this is a softmax.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "temperature", "shares", "weighs edges"})
    needs: ClassVar[dict[str, str]] = {"edges": "edges need logits of their own; use domain = EdgeLogits"}

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the weights, with alpha's graph; those into a node sum to 1."""
        weights = super().shares(alpha, space, state)
        for name, nodes in space.node_inputs().items():
            table = weights[name]
            edges = edge_weights(alpha[f"{name}/{INPUTS}"], nodes, 1, 1.0, table.shape[0])
            weights[name] = table * edges.unsqueeze(1)
        return weights


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
