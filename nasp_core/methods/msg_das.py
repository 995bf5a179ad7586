"""MSG-DAS: disjoint drawn sub-graphs in each step.  Tan et al., 2021, arXiv:2107.04324."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.parts import Argmax, FirstOrder, GumbelHard, Logits, Temperature
from nasp_core.parts.hooks import Handles, skips_of
from nasp_core.strategy import Attached, Hook, Paper, Strategy

__all__ = ["PAPER", "DropBlockSkip", "msg_das"]


@dataclass(frozen=True)
class DropBlockSkip(Hook):
    """Zero square blocks of what an identity passes on (MSG-DAS' Dropblock-Identity, Tan et al. 2021, section 3.3).

    About `rate` of the pixels, in blocks of `size`; what is left is scaled up. In training only.
    """

    rate: float = 0.1
    size: int = 3

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError`."""
        if not 0 <= self.rate < 1 or self.size < 1 or self.size % 2 == 0:
            raise StrategyError(f"{self.describe()}: rate must be in [0, 1), size odd and 1 or more")

    def attach(self, space: Space) -> Attached:
        """Put the dropping behind each identity."""

        def dropped(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
            if not module.training or self.rate == 0:
                return out
            centres = (torch.rand_like(out[:, :1]) < self.rate / self.size**2).to(out.dtype)
            keep = 1.0 - functional.max_pool2d(centres, self.size, 1, self.size // 2)
            return out * keep * (keep.numel() / keep.sum().clamp_min(1.0))

        return Handles([skip.register_forward_hook(dropped) for skip in skips_of(space)])


PAPER = Paper(
    title="Mutually-aware Sub-Graphs Differentiable Architecture Search",
    authors="Haoxian Tan, Sheng Guo, Yujie Zhong, Matthew R. Scott, Weilin Huang",
    venue="arXiv preprint",
    year=2021,
    arxiv="2107.04324",
)


def msg_das(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    samples: int = 2,
    start: float = 10.0,
    end: float = 0.1,
    drop: float = 0.1,
) -> Strategy:
    """Search by the mean loss of `samples` sub-graphs a step, drawn without replacement (equations 3 to 5).

    Parts: domain=Logits, relax=GumbelHard(samples), gradient=FirstOrder, select=Argmax; schedule Temperature, hook
    DropBlockSkip.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the supernet does not teach its sub-graphs (distillation needs a second loss in the weight
    step, which the loop does not have).
    Fails when: as `gdas`; with as many samples as candidates it is a costly sum of all.
    """
    return Strategy(
        domain=Logits(),
        relax=GumbelHard(start, samples),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(Temperature(start, end, "linear"),),
        hooks=(DropBlockSkip(drop),),
        name="msg-das",
        papers=(PAPER,),
    )
