"""SPOS: uniform single paths, then evolution on the supernet.  Guo et al., ECCV 2020, arXiv:1904.00420."""

from nasp_core.parts import Logits, NoGradient, Uniform
from nasp_core.strategy import Paper, Strategy
from nasp_core.trials.on_supernet import evolve

__all__ = ["PAPER", "spos"]

PAPER = Paper(
    title="Single Path One-Shot Neural Architecture Search with Uniform Sampling",
    authors="Zichao Guo, Xiangyu Zhang, Haoyuan Mu, Wen Heng, Zechun Liu, Yichen Wei, Jian Sun",
    venue="European Conference on Computer Vision",
    year=2020,
    arxiv="1904.00420",
)


def spos(*, n_supernet_evals: int = 200, population: int = 50, sample: int = 10) -> Strategy:
    """Train a uniformly drawn point in each step; evolve points by the supernet's metric (sections 3.2, 3.4).

    Parts: domain=Logits (unused), relax=Uniform, gradient=NoGradient, select=Explore(Evolution).
    Shapes: alpha `[choices, candidates]` float32, as it started; loss scalar, mean per batch.
    Departs from the paper: ageing evolution of `n_supernet_evals` points (there 20 generations of 50); batch norms keep
    their running statistics (there they are measured anew for each point).
    Fails when: candidates that share weights spoil them for each other, so that the supernet ranks at random.
    """
    select = evolve(n_supernet_evals, population, sample)
    return Strategy(Logits(), Uniform(), NoGradient(), select, name="spos", papers=(PAPER,))
