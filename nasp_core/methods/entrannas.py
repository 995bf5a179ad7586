"""EnTranNAS: one cell a kind is a mixture, the others what it stands for.  Yang et al., CVPR 2021, arXiv:2101.11342."""

from dataclasses import dataclass, replace

from nasp_core.methods.darts import darts
from nasp_core.network import Space
from nasp_core.strategy import Attached, Hook, Paper, Strategy

__all__ = ["PAPER", "Transit", "entrannas"]


class _InTransit(Attached):
    def __init__(self, space: Space, cells: frozenset[int]) -> None:
        self.space, space.transit = space, cells

    def detach(self) -> None:
        self.space.transit = frozenset()


@dataclass(frozen=True)
class Transit(Hook):
    """Engine cells and transit cells (Yang et al. 2021, EnTranNAS, arXiv:2101.11342, section 3.2).

    The last cell of each kind is the engine: it runs the mixture, and alpha learns from it. All others are derived from
    it in every step: they run the point nearest to the mixture. On a space without several cells of a kind, nothing.
    """

    def attach(self, space: Space) -> Attached:
        """Set which cells are in transit."""
        kinds = space.cell_kinds()
        engines = {kind: number for number, kind in enumerate(kinds)}
        return _InTransit(space, frozenset(range(len(kinds))) - frozenset(engines.values()))


PAPER = Paper(
    title="Towards Improving the Consistency, Efficiency, and Flexibility of Differentiable Neural Architecture Search",
    authors="Yibo Yang, Shan You, Hongyang Li, Fei Wang, Chen Qian, Zhouchen Lin",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2021,
    arxiv="2101.11342",
)


def entrannas(
    *, alpha_lr: float = 3e-4, betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 1e-3
) -> Strategy:
    """Search as DARTS does in one engine cell of each kind; the others run the network derived so far (section 3.2).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax; hook Transit.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: one engine for all normal cells and one for all reduction cells (there one a stage); no
    feature sharing between the edges of the engine cell, no sparse variant (EnTranNAS-DST). On spaces without several
    cells of a kind it is DARTS.
    Fails when: the first network derived is poor and the other cells train it on.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, hooks=(Transit(),), name="entrannas", papers=(PAPER,))
