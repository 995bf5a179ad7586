"""A case of the conformance suite: a small space with a task; and the one that the core itself brings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from nasp_core.network import Network, Space
from nasp_core.testing.quadratic import QuadraticSettings, QuadraticSpace, QuadraticTask
from nasp_core.types import Active, Task

__all__ = ["QUADRATIC", "Case", "fresh_space", "reordered", "transfer_whole"]


@dataclass(frozen=True)
class Case:
    """A space to be searched, with a task.

    - `space`, `task`: make them anew; always the same ones.
    - `transfer`: copies the weights of a space restricted to a point into the plain network of that point.
    - `permuted`: returns a copy of a space, weights and all, with the candidates of its groups in another order
      (`order[i]` is the old index of the new candidate i); None where the space has no such symmetry.
    """

    name: str
    space: Callable[[], Space]
    task: Callable[[], Task]
    transfer: Callable[[Space, Active, Network], None]
    permuted: Callable[[Space, tuple[int, ...]], Space] | None = None


def reordered(setting: str) -> Callable[[Space, tuple[int, ...]], Space]:
    """Return a `Case.permuted` of spaces whose candidates are one setting, and whose weights do not depend on them."""

    def permute(space: Space, order: tuple[int, ...]) -> Space:
        settings: Any = space.settings
        offered = getattr(settings, setting)
        make: Callable[[Any], Space] = type(space)
        other = make(replace(settings, **{setting: tuple(offered[old] for old in order)}))
        other.load_state_dict(space.state_dict())
        return other

    return permute


def transfer_whole(space: Space, active: Active, network: Network) -> None:
    """Copy all weights: a `Case.transfer` of spaces whose networks have the same ones."""
    network.load_state_dict(space.state_dict())


_QUADRATIC = QuadraticSettings()

QUADRATIC = Case(
    "quadratic",
    lambda: QuadraticSpace(_QUADRATIC),
    lambda: QuadraticTask(_QUADRATIC, rows=96),
    transfer_whole,
    reordered("columns"),
)
"""The quadratic bilevel problem, whose solution has a closed form."""


def fresh_space(case: Case, seed: int = 0) -> Space:
    """Return the case's space with weights drawn from `seed`."""
    space = case.space()
    space.reset(torch.Generator().manual_seed(seed))
    return space
