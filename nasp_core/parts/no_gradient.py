"""Alpha does not learn: the selection decides alone."""

from dataclasses import dataclass

from torch import Tensor

from nasp_core.parts.by_rule import ByRule
from nasp_core.strategy import StepContext
from nasp_core.types import State

__all__ = ["NoGradient"]


@dataclass(frozen=True)
class NoGradient(ByRule):
    """Leave alpha as it started; only continuous architecture parameters learn, on validation data.

    Where a space has none, an architecture step costs nothing.
    """

    def step(self, context: StepContext, state: State) -> None:
        """Step the continuous parameters."""
        self.gradients(context, context.validation_loss, [], state)

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Leave alpha as it is."""
