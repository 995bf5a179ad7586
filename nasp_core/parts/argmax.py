"""The largest alpha wins."""

from dataclasses import dataclass

from nasp_core.strategy import Select, SelectContext
from nasp_core.types import Active

__all__ = ["Argmax"]


@dataclass(frozen=True)
class Argmax(Select):
    """Take the one-hot point nearest to the scores, by the space's own projection (NASP's and DARTS' rule)."""

    def select(self, context: SelectContext) -> Active:
        """Return the projection of the final scores."""
        return context.space.constrain(context.scores)
