"""Which point a search ends with: the largest alpha's, or the best of drawn ones by a training-free proxy."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from nasp_core.errors import SearchError
from nasp_core.proxies.points import proxy_score
from nasp_core.proxies.protocol import Proxy
from nasp_core.proxies.synflow import Synflow
from nasp_core.proxies.table import make_proxy
from nasp_core.strategy import Select, SelectContext
from nasp_core.types import Active, derive_seed

__all__ = ["Argmax", "ByProxy"]


@dataclass(frozen=True)
class Argmax(Select):
    """Take the one-hot point nearest to the scores, by the space's own projection (NASP's and DARTS' rule)."""

    def select(self, context: SelectContext) -> Active:
        """Return the projection of the final scores."""
        return context.space.constrain(context.scores)


_TRIES = 20


@dataclass(frozen=True)
class ByProxy(Select):
    """Draw points and take the one whose untrained network scores best on one batch (BaLeNAS-TF, Zhang et al. 2022).

    - `proxy`: the training-free proxy, or its name; larger is better. The default has a value on every space.
    - `pool`: how many points of different equivalence classes are drawn; fewer where the space is small.
    - `draw`: `scores` adds Gumbel noise to the search's scores, so that under independent choices candidates are drawn
      with the softmax's frequencies, and has the scores' own point among them; `uniform` ignores the search.
    - `batch_size`: samples of the batch, of the training part.

    Every network starts from weights of the same seed. A tie goes to the point drawn first.
    Departs from the paper: it draws alpha from its posterior; here a point is drawn from the scores that remain of it.
    Fails when: the proxy says little about the space; raises `ProxyError` where it has no meaning for its networks.
    """

    proxy: Proxy | str = field(default_factory=Synflow)
    pool: int = 16
    draw: Literal["scores", "uniform"] = "scores"
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Check the settings; raises `SearchError` for an empty pool and an unknown draw, `ProxyError` for no proxy."""
        make_proxy(self.proxy)
        if self.pool < 1 or self.batch_size < 1:
            raise SearchError(f"ByProxy(pool={self.pool}, batch_size={self.batch_size}): both must be 1 or more")
        if self.draw not in ("scores", "uniform"):
            raise SearchError(f"ByProxy(draw={self.draw!r}); there are scores, uniform")

    def select(self, context: SelectContext) -> Active:
        """Return the point of the best score."""
        batch_seed, weight_seed = (derive_seed(context.seed, "by-score", what) for what in ("batch", "weights"))
        batch = context.task.stream("train", self.batch_size, batch_seed).batch(0)
        proxy, best, best_score = make_proxy(self.proxy), None, 0.0
        for active in self._pool(context):
            scored = proxy_score(proxy, context.space, active, batch, context.task.loss, seed=weight_seed)
            if best is None or scored > best_score:
                best, best_score = active, scored
        assert best is not None
        return best

    def _pool(self, context: SelectContext) -> list[Active]:
        """Return the points to score, no equivalence class twice."""
        space = context.space
        generator = torch.Generator().manual_seed(derive_seed(context.seed, "by-score", "points"))
        points: dict[str, Active] = {}
        if self.draw == "scores":
            first = space.constrain({name: score.clone() for name, score in context.scores.items()})
            points[space.equivalence_class(first)] = first
        for _ in range(_TRIES * self.pool):
            if len(points) >= self.pool:
                break
            if self.draw == "uniform":
                point = space.random_point(generator)
            else:
                noise = {name: torch.rand(s.shape, generator=generator) for name, s in context.scores.items()}
                logs = {name: score.clamp_min(1e-30).log() for name, score in context.scores.items()}
                noisy = {name: s - (-noise[name].clamp_min(1e-20).log()).log() for name, s in logs.items()}
                point = space.constrain(noisy)
            points.setdefault(space.equivalence_class(point), point)
        return list(points.values())
