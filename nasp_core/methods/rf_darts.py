"""RF-DARTS: features stay random, batch norms learn.  Zhang et al., CVPR 2023, arXiv:2208.08835."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from nasp_core.methods.darts import darts
from nasp_core.network import Space
from nasp_core.strategy import Attached, Hook, Paper, Strategy

__all__ = ["PAPER", "NormOnly", "rf_darts"]


class _Affine(Attached):
    def __init__(self, norms: list[nn.BatchNorm2d]) -> None:
        self.norms = norms
        for norm in norms:
            device = norm.running_mean.device if norm.running_mean is not None else None
            norm.affine = True
            norm.weight = nn.Parameter(torch.ones(norm.num_features, device=device))
            norm.bias = nn.Parameter(torch.zeros(norm.num_features, device=device))

    def detach(self) -> None:
        for norm in self.norms:
            norm.affine = False
            norm.register_parameter("weight", None)
            norm.register_parameter("bias", None)


@dataclass(frozen=True)
class NormOnly(Hook):
    """Leave convolutions as they were drawn; train batch norms, all with scale and shift, and the classifier.

    So a candidate cannot win by learning faster than others (Zhang et al. 2023, arXiv:2208.08835, section 3.2). On a
    space without batch norm, nothing: all weights are trained.
    """

    def attach(self, space: Space) -> Attached:
        """Give every batch norm scale and shift."""
        norms = [module for module in space.modules() if isinstance(module, nn.BatchNorm2d) and not module.affine]
        return _Affine(norms)

    def trained(self, space: Space, weights: list[nn.Parameter]) -> list[nn.Parameter]:
        """Return the parameters of batch norms and linear layers, or all where there is no batch norm."""
        norms = [m for m in space.modules() if isinstance(m, nn.BatchNorm2d)]
        if not norms:
            return weights
        chosen = [*norms, *(m for m in space.modules() if isinstance(m, nn.Linear))]
        wanted = {id(p) for module in chosen for p in module.parameters()}
        return [w for w in weights if id(w) in wanted]


PAPER = Paper(
    title="Differentiable Architecture Search with Random Features",
    authors="Xuanyang Zhang, Yonggang Li, Xiangyu Zhang, Yongtao Wang, Jian Sun",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2023,
    arxiv="2208.08835",
)


def rf_darts(
    *, alpha_lr: float = 3e-4, betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 1e-3
) -> Strategy:
    """Search as DARTS does on convolutions that stay as they were drawn; norms and classifier learn (section 3.2).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax; hook NormOnly.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the classifier learns too. On spaces without batch norm it is DARTS.
    Fails when: what a candidate can learn is what counts, more than what it does at random weights.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, hooks=(NormOnly(),), name="rf-darts", papers=(PAPER,))
