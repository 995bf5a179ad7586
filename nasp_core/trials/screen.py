"""Rank random points by a training-free proxy, and train the first of them.  After Abdelfattah et al., ICLR 2021."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.errors import ProxyError, SearchError
from nasp_core.proxies import Proxy, make_proxy, proxy_judge
from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import Budgeted
from nasp_core.trials.points import active_of, fresh_point, key_of, saved_point
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import State

__all__ = ["Screen"]

PAPER = Paper(
    title="Zero-Cost Proxies for Lightweight NAS",
    authors="Mohamed S. Abdelfattah, Abhinav Mehrotra, Łukasz Dudziak, Nicholas D. Lane",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2101.08134",
)


@dataclass(frozen=True, kw_only=True)
class Screen(Budgeted):
    """Score a pool of untrained networks on one batch, and train those that score best, in that order.

    Parts: `pool` different random points; the proxy `proxy` of each (a name of `nasp_core.proxies`, or an object) with
    fresh weights of one seed, on one training batch of `batch_size`; the first `trials` are trained.
    Shapes: one score a point.
    Departs from the paper: of its uses of a proxy, the warm-up pool alone; one proxy, no vote.
    Fails when: the proxy ranks by something else than what training brings out, such as size. Needs a task, whose batch
    is scored: without one (a table of results) the first `ask` raises `SearchError`, as it does where the score has no
    meaning for any point of the pool.
    """

    trials: int = 5
    proxy: str | Proxy = "synflow"
    pool: int = 100
    batch_size: int = 64
    name: str = "screen"
    papers: tuple[Paper, ...] = (PAPER,)

    def __post_init__(self) -> None:
        """Check the settings: counts below their least, and unknown proxies, are errors."""
        super().__post_init__()
        make_proxy(self.proxy)

    least: ClassVar[dict[str, float]] = {"trials": 1, "pool": 1, "batch_size": 2}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the seed of the weights and the batch, and the ranked points: none yet."""
        return {"seed": int(torch.randint(2**31, (), generator=generator)), "ranked": None}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next point of the ranking."""
        if state["ranked"] is None:
            state["ranked"] = self._rank(context, state)
        place = len(state["results"])
        return Proposal(active_of(state["ranked"][place])) if place < len(state["ranked"]) else None

    def _rank(self, context: SearchContext, state: State) -> list[State]:
        if context.task is None:
            raise SearchError(
                f"strategy {self.name!r} scores networks on a batch of the task, and a table of results has none; "
                "take another strategy, or search with a task"
            )
        judge = proxy_judge(
            make_proxy(self.proxy), context.space, context.task, batch_size=self.batch_size, seed=state["seed"]
        )
        scored: list[tuple[float, State]] = []
        known: set[str] = set()
        reason = ""
        while len(known) < self.pool and (point := fresh_point(context.space, known, state["generator"])) is not None:
            known.add(key_of(point))
            try:
                value = judge(Proposal(point))
            except ProxyError as error:
                reason = str(error)
                continue
            scored.append((-math.inf if math.isnan(value) else value, saved_point(point)))
        if not scored:
            raise SearchError(f"strategy {self.name!r}: proxy {self.proxy!r} fits no point of the pool: {reason}")
        return [point for _, point in sorted(scored, key=lambda entry: -entry[0])]
