"""BaLeNAS: alpha as a Gaussian, learned by the Bayesian learning rule.  Zhang et al., CVPR 2022, arXiv:2111.13204."""

from nasp_core.domain import Gaussian
from nasp_core.gradient import Bayesian
from nasp_core.relax import GaussianSoftmax
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "balenas"]

PAPER = Paper(
    title="BaLeNAS: Differentiable Architecture Search via the Bayesian Learning Rule",
    authors="Miao Zhang, Shirui Pan, Xiaojun Chang, Steven Su, Jilin Hu, Gholamreza Haffari, Bin Yang",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2022,
    arxiv="2111.13204",
)


def balenas(
    *, alpha_lr: float = 3e-3, betas: tuple[float, float] = (0.5, 0.999), precision: float = 100.0, data: float = 1e4
) -> Strategy:
    """Search over the mean and precision of a Gaussian on alpha; each step sees a draw (equations 6 to 10).

    `precision` is the prior's, `data` the number of examples that a loss stands for: together they set the noise.

    Parts: domain=Gaussian, relax=GaussianSoftmax, gradient=Bayesian, select=Argmax of the mean.
    Shapes: alpha `[choices, candidates]` float32 and a precision of the same shape; loss scalar, mean per batch.
    Departs from the paper: Adam's form of the rule (Khan et al. 2018), with momentum; the choice among samples by a
    training-free score is the part `ByScore`, not used here.
    Fails when: the precision stays at the prior's: the noise then hides small slopes.
    """
    return Strategy(
        domain=Gaussian(precision=precision),
        relax=GaussianSoftmax(),
        gradient=Bayesian(lr=alpha_lr, betas=betas, data=data),
        select=Argmax(),
        name="balenas",
        papers=(PAPER,),
    )
