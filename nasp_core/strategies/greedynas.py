"""GreedyNAS: train the paths that look good, then evolution.  You et al., CVPR 2020, arXiv:2003.11236."""

from nasp_core.domain import Logits
from nasp_core.gradient import GreedyFilter
from nasp_core.relax import Pooled
from nasp_core.select.explore import evolve
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "greedynas"]

PAPER = Paper(
    title="GreedyNAS: Towards Fast One-Shot NAS with Greedy Supernet",
    authors="Shan You, Tao Huang, Mingmin Yang, Fei Wang, Chen Qian, Changshui Zhang",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2020,
    arxiv="2003.11236",
)


def greedynas(
    *,
    draws: int = 10,
    keep: int = 5,
    pool: int = 1000,
    greed: float = 0.8,
    looks: int = 200,
    population: int = 50,
    sample: int = 10,
) -> Strategy:
    """Train the `keep` of `draws` points with the least validation loss in each step; evolve points on the supernet.

    Points are drawn from a pool of the best so far with a probability that grows to `greed` (algorithms 1 and 2).

    Parts: domain=Logits (unused), relax=Pooled, gradient=GreedyFilter, select=Explore(Evolution).
    Shapes: alpha `[choices, candidates]` float32, as it started; loss scalar, mean per batch and path.
    Departs from the paper: the batch that filters is one validation batch (there 1,000 pictures held out for it); the
    search does not stop early when the pool stops changing.
    Fails when: what looks good early is what learns fast: the others are then trained too little to be judged.
    """
    filtered = GreedyFilter(draws=draws, keep=keep, pool=pool, greed=greed)
    select = evolve(looks, population, sample)
    return Strategy(Logits(), Pooled(), filtered, select, name="greedynas", papers=(PAPER,))
