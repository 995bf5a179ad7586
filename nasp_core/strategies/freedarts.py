"""FreeDARTS: read the supernet as it was drawn, untrained.  Zhang et al., 2021, arXiv:2106.11542."""

from nasp_core.domain import Switches
from nasp_core.gradient import Saliency
from nasp_core.relax import Weights
from nasp_core.schedule import Untrained
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "freedarts"]

PAPER = Paper(
    title="Differentiable Architecture Search Meets Network Pruning at Initialization",
    authors="Miao Zhang, Steven Su, Shirui Pan, Xiaojun Chang, Wei Huang, Bin Yang, Gholamreza Haffari",
    venue="arXiv preprint",
    year=2021,
    arxiv="2106.11542",
)


def freedarts(*, rounds: int = 10) -> Strategy:
    """Score each candidate by |dL/dp * p| at even weights p on fresh weights, over `rounds` batches; take the best.

    Parts: domain=Switches, relax=Weights, gradient=Saliency, select=Argmax; schedule Untrained.
    Shapes: alpha `[choices, candidates]` float32, the mean saliency; loss scalar, mean per batch.
    Departs from the paper: the loss is the task's, on validation batches (there also a data-agnostic one); candidates
    are not removed between rounds.
    Fails when: candidates have no weights of their own, as interaction functions: what is largest at random weights
    says little.
    """
    return Strategy(
        domain=Switches(),
        relax=Weights(),
        gradient=Saliency(),
        select=Argmax(),
        schedules=(Untrained(rounds),),
        name="freedarts",
        papers=(PAPER,),
    )
