"""The metrics of a network, and which of two is better."""

import math

import torch
from torch import Tensor

from nasp_core.network import Network
from nasp_core.optimise import Precision, autocast
from nasp_core.types import Mixture, Task

__all__ = ["better", "evaluate"]


def evaluate(
    network: Network,
    task: Task,
    mixture: Mixture | None = None,
    split: str = "valid",
    *,
    precision: Precision = "float32",
) -> dict[str, float]:
    """Return the metrics of `network` under `mixture` on a split, by name; the network keeps the mode it was in.

    A network that carries a hidden state takes it from each call of a split to the next, from nothing at the first.

    Args:
        network: A plain network, or a space.
        task: The data, the loss and the metrics.
        mixture: What a space runs; None of a plain network.
        split: `valid`, or another part that the task has.
        precision: What the forward pass computes in (see `Training`).
    """
    training, device = network.training, next(network.parameters()).device
    hidden: Tensor | None = None

    def predict(inputs: Tensor) -> Tensor:
        nonlocal hidden
        with autocast(device, precision):
            output, hidden = network.step(inputs, mixture, hidden)
        return output.float() if output.dtype == torch.bfloat16 else output

    network.eval()
    try:
        with torch.no_grad():
            return task.evaluate(predict, split)
    finally:
        network.train(training)


def better(task: Task, candidate: float, incumbent: float) -> bool:
    """Return whether a metric beats another; NaN never does, and any number beats NaN.

    Args:
        task: Says whether a larger metric is better.
        candidate: The metric that may beat the other.
        incumbent: The metric to beat.
    """
    if math.isnan(incumbent):
        return not math.isnan(candidate)
    return candidate > incumbent if task.maximise else candidate < incumbent
