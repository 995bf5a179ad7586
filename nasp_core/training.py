"""Training of a plain network to the end."""

from dataclasses import dataclass
from typing import Any

import torch

from nasp_core.errors import SearchError
from nasp_core.evaluation import evaluate
from nasp_core.loop import Loop, Observer
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.types import State, Task

__all__ = ["Trained", "train"]


@dataclass
class Trained:
    """A trained network: its validation metrics, the epoch its weights are of, its trace, and what it cost."""

    network: Network
    metrics: dict[str, float]
    epoch: int
    trace: list[dict[str, Any]]
    seconds: float


def train(
    network: Network,
    task: Task,
    training: Training,
    *,
    seed: int = 0,
    observer: Observer | None = None,
    resume: State | None = None,
    fresh: bool = True,
    label: str = "train",
    stop: int | None = None,
) -> Trained:
    """Train a plain network and return it with its validation metrics (of the best epoch, with `keep_best`).

    Args:
        network: The plain network, on the task's device.
        task: Without validation data there are no metrics, and `training.evaluate_every` is 0.
        training: The schedule, batch size and optimiser.
        seed: Of weights, batches and dropout.
        observer: Shows progress, receives the trace, and saves states.
        resume: A saved state to go on from.
        fresh: Whether the weights are drawn anew.
        label: What the trace calls it; part of every seed.
        stop: After how many of the schedule's epochs to end; None: after all.

    Raises:
        SearchError: The loss stopped being finite, or torch cannot compile here.
        ResumeError: `resume` is of another training.
    """
    if training.compile:
        _check_compiler(network)
        network.compile()
    loop = Loop(network, task, training, seed=seed, observer=observer, fresh=fresh, label=label, stop=stop)
    if resume is not None:
        loop.resume(resume)
    state = loop.run()
    best = state["best"]
    if best is not None and training.keep_best:
        return Trained(network, best["metrics"], best["epoch"], state["trace"], state["seconds"])
    metrics = evaluate(network, task, precision=training.precision) if len(loop.valid) else {}
    return Trained(network, metrics, len(state["trace"]), state["trace"], state["seconds"])


def _check_compiler(network: Network) -> None:
    """Compile one sum where the network lies; raises `SearchError` with the reason where torch cannot compile."""
    probe = torch.ones(2, device=next(network.parameters()).device)
    try:
        torch.compile(lambda x: x + x.sin())(probe)
    except (RuntimeError, OSError) as error:  # dynamo's, inductor's and the compiler's own
        reason = str(error).strip().splitlines()
        raise SearchError(
            f"compile = true, but torch cannot compile here ({reason[0] if reason else type(error).__name__}); "
            "install a C++ compiler (on a GPU: triton), or set compile = false"
        ) from None
