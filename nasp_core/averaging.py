"""The running average of weights over the steps of a training (Polyak and Juditsky 1992), as in AWD-LSTM's NT-ASGD."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["average", "averaged", "put_back"]


@torch.no_grad()
def average(weights: Sequence[nn.Parameter], state: dict[str, Any] | None) -> None:
    """Take the present weights into the average; `state` has its `weights` and their `count` (None: no average)."""
    if state is None:
        return
    state["count"] += 1
    state["weights"] = [kept.to(weight.device) for kept, weight in zip(state["weights"], weights, strict=True)]
    torch._foreach_lerp_(state["weights"], [w.detach() for w in weights], 1.0 / state["count"])


@torch.no_grad()
def averaged(weights: Sequence[nn.Parameter], state: dict[str, Any] | None) -> list[Tensor] | None:
    """Put the average in the place of the weights and return what stood there; None where there is no average."""
    if state is None or not state["count"]:
        return None
    present = [weight.detach().clone() for weight in weights]
    put_back(weights, state["weights"])
    return present


@torch.no_grad()
def put_back(weights: Sequence[nn.Parameter], values: Sequence[Tensor] | None) -> None:
    """Set the weights to `values`; nothing for None."""
    if values is not None:
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)
