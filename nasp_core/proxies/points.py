"""The score of a point of a space, of its network freshly drawn or of the supernet; and trials judged by it."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from nasp_core.network import Loss, Space
from nasp_core.proxies.protocol import Proxy
from nasp_core.types import Active, Batch, Task, derive_seed

if TYPE_CHECKING:  # the strategies themselves are not needed to judge what they propose
    from nasp_core.trials import Proposal

__all__ = ["SupernetProxy", "proxy_judge", "proxy_score"]


@runtime_checkable
class SupernetProxy(Protocol):
    """A score that judges a point within its supernet, not its plain network."""

    def score_active(self, space: Space, active: Active, batch: Batch, loss: Loss) -> float:
        """Return the score of a point.

        Args:
            space: The supernet; its weights were just drawn.
            active: The live candidates of the point.
            batch: A training batch, on the supernet's device.
            loss: The task's loss.
        """
        ...


def proxy_score(score: Proxy, space: Space, active: Active, batch: Batch, loss: Loss, *, seed: int) -> float:
    """Return the score of a point with weights drawn from `seed`; the space is left as it was.

    Args:
        score: The proxy.
        space: The space of the point.
        active: The live candidates of the point.
        batch: A training batch, on the space's device.
        loss: The task's loss.
        seed: Of the weights.

    Raises:
        ProxyError: The score has no meaning for the point's network.
    """
    generator = torch.Generator().manual_seed(seed)
    if isinstance(score, SupernetProxy):
        fresh = copy.deepcopy(space)
        fresh.reset(generator)
        return score.score_active(fresh, active, batch, loss)
    network = space.build(space.genotype(active))
    network.reset(generator)
    return score.score(network, batch, loss)


def proxy_judge(
    score: Proxy, space: Space, task: Task, *, batch_size: int = 64, seed: int = 0
) -> "Callable[[Proposal], float]":
    """Return a judge for `nasp_core.trials.explore`: what a multi-trial strategy proposes is scored, not trained.

    All points are judged by one training batch and weights of one seed; a point proposed again is not scored again. The
    fidelity of a proposal does not matter. The judge raises `ProxyError` where the score has no meaning for a point.

    Args:
        score: The proxy.
        space: The space of the points.
        task: The data and the loss.
        batch_size: Samples of the batch.
        seed: Of the weights and the batch.
    """
    batch = task.stream("train", batch_size, derive_seed(seed, "score-judge", "batch")).batch(0)
    weights = derive_seed(seed, "score-judge", "weights")
    known: dict[tuple[tuple[int, ...], ...], float] = {}

    def judge(proposal: "Proposal") -> float:
        key = tuple(proposal.active[group.name] for group in space.groups)
        if key not in known:
            known[key] = proxy_score(score, space, proposal.active, batch, task.loss, seed=weights)
        return known[key]

    return judge
