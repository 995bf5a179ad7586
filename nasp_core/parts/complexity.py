"""A price on the size of the architecture: NASP's complexity regulariser."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.strategy import Schedule, SearchView
from nasp_core.types import Mixture, State

__all__ = ["Complexity"]


@dataclass(frozen=True)
class Complexity(Schedule):
    """Add eta * sum over choices and candidates of size * weight^2 to the validation loss (NASP, section 3.3).

    `Space.relative_parameters` gives every candidate's share of the parameters. At a one-hot point only the live
    candidates have a weight, so only they are pushed down, as in the published code; there the sum is over the normal
    cell alone, here over every group of the space whose candidates differ in size. Of a drawn point, whose mixture has
    no weights, it is the size of the live candidates: a cost for rules that take no gradient of it. Nothing happens
    where size depends on no choice.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for a reward for size."""
        if self.eta < 0:
            raise StrategyError(f"eta = {self.eta}: it must be 0 (size is free) or more")

    def penalty(self, mixture: Mixture, view: SearchView, state: State) -> Tensor | None:
        """Return the price of the mixture, a scalar; None where there is none."""
        sizes = view.space.relative_parameters() if self.eta and isinstance(view.space, Space) else {}
        if not sizes:
            return None
        if mixture.weights is None:  # a drawn point: its size is a cost without gradient
            live = [
                sizes[name][row, pick]
                for name, picks in (mixture.active or {}).items()
                for row, pick in enumerate(picks)
                if name in sizes and pick >= 0
            ]
            return self.eta * torch.stack(live).sum().to(next(view.space.parameters()).device) if live else None
        terms = [
            (mixture.weights[name].square() * share.to(mixture.weights[name].device)).sum()
            for name, share in sizes.items()
        ]
        return self.eta * torch.stack(terms).sum()
