"""The vocabulary of the core: choices, mixtures, batches, and what a task must offer."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

__all__ = [
    "Active",
    "Alpha",
    "Batch",
    "ChoiceGroup",
    "Mixture",
    "Phase",
    "RelaxState",
    "State",
    "Stream",
    "Task",
    "derive_seed",
    "group_names",
]

Phase = Literal["arch", "weight", "valid"]
"""What a mixture is made for: the architecture step, the weight step, or a validation of the supernet."""

Alpha = dict[str, Tensor]
"""Per choice group one float tensor `[choices, candidates]`, and what a domain adds to a group as `group/what`."""

Active = Mapping[str, tuple[int, ...]]
"""Per choice group the index of the one live candidate of each choice; -1 where a choice is dropped."""

State = dict[str, Any]
"""What evolves during a search: tensors, numbers, and objects with `state_dict`; see `nasp_core.state`."""


@dataclass(frozen=True, slots=True)
class ChoiceGroup:
    """A set of choices that pick from the same candidates."""

    name: str
    choices: int
    candidates: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape `[choices, candidates]` of this group's alpha."""
        return self.choices, len(self.candidates)


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a forward pass sees of the architecture.

    - `active` alone: each choice runs its one live candidate (the weight step of NASP; a built network).
    - `weights` alone: each choice is the weighted sum of all its candidates (DARTS).
    - both: a discrete point at which the gradient of every candidate is wanted (the architecture step of
      NASP); `weights` is one-hot in value and lets gradient through to alpha.

    With weights alone, `kept` names the candidates of each choice that take part: the others weigh nothing, get no
    gradient, and need not run. It is a promise about `weights`, so that a space may ignore it. `log_prob` is the
    log-probability of a drawn point, a scalar with alpha's graph.

    Shapes: `weights[group]` is `[choices, candidates]` float.
    """

    active: Active | None = None
    weights: Mapping[str, Tensor] | None = None
    kept: Mapping[str, tuple[tuple[int, ...], ...]] | None = None
    log_prob: Tensor | None = None

    def row(self, group: str, choice: int) -> tuple[int | None, Tensor | None]:
        """Return the live candidate and the weights `[candidates]` of one choice (either may be None).

        Args:
            group: Name of the group.
            choice: Number of the choice in it.
        """
        active = None if self.active is None else self.active[group][choice]
        weights = None if self.weights is None else self.weights[group][choice]
        return active, weights

    def present(self, group: str, choice: int) -> tuple[int, ...] | None:
        """Return the candidates of one choice that take part in a weighted sum; None for all.

        Args:
            group: Name of the group.
            choice: Number of the choice in it.
        """
        return None if self.kept is None else self.kept[group][choice]


@dataclass
class RelaxState:
    """What a relaxation carries from step to step, and what schedules and gradients leave in it.

    A relaxation that carries more has a dataclass of its own that extends this one. A field is None, a number, a text,
    a tensor, or a list or dict of these (see `nasp_core.state`).
    """

    alive: dict[str, Tensor] | None = None
    """Per group which candidates are still there, bool `[choices, candidates]` on the CPU; None where all are."""
    temperature: float | None = None
    """The temperature that a schedule set; None: the relaxation's own."""

    def kept(self) -> dict[str, tuple[tuple[int, ...], ...]] | None:
        """Return the candidates that are alive as `Mixture.kept`; None where all are."""
        if self.alive is None:
            return None
        return {
            name: tuple(tuple(i for i, there in enumerate(row) if there) for row in table.tolist())
            for name, table in self.alive.items()
        }

    def keep(self, alive: Mapping[str, Tensor]) -> None:
        """Set which candidates are alive from now on."""
        self.alive = dict(alive)


class Batch(NamedTuple):
    """One batch: `inputs` as the network takes them, `target` as the loss takes it; tensors on the device.

    `scale` is a factor of the learning rate in this one step (a shorter window of text weighs less).
    """

    inputs: Any
    target: Any
    scale: float = 1.0


class Stream(Protocol):
    """An endless, seekable sequence of batches: batch `i` is a pure function of the seed and `i`.

    That is what lets a search go on from any step without storing the state of a loader. Where a network carries
    something from batch to batch (`Network.carries`), it starts anew with each pass.
    """

    def __len__(self) -> int:
        """Return the number of batches of one pass over the data."""
        ...

    def batch(self, step: int) -> Batch:
        """Return batch number `step`, counted from the start of the search."""
        ...


class Task(Protocol):
    """Batches, a loss, metrics, and which metric says "better"."""

    metric: str
    """Name of the validation metric that selects, such as `rmse`."""
    maximise: bool
    """Whether a larger `metric` is better."""

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the batches of a split, reshuffled on every pass by `seed`.

        Args:
            split: The part: `train`, or `valid`, which alpha learns from.
            batch_size: Samples of a batch.
            seed: Of the order of the samples.
        """
        ...

    def loss(self, output: Tensor, target: Any) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Args:
            output: What the network returned, `[batch, ...]` as the task has it.
            target: The batch's target.
        """
        ...

    def evaluate(self, predict: Callable[[Any], Tensor], split: str = "valid") -> dict[str, float]:
        """Return the metrics of a network on a part, by name; among them `metric`.

        Args:
            predict: Maps a batch's inputs to outputs; it runs without gradient.
            split: The part.
        """
        ...


def group_names(alpha: Mapping[str, Any]) -> list[str]:
    """Return the names of the choice groups in alpha, without what a domain added to them."""
    return [name for name in alpha if "/" not in name]


def derive_seed(seed: int, *words: str | int) -> int:
    """Return a seed in [0, 2**63) for one named purpose, independent of all others of the same run.

    Args:
        seed: Of the run.
        *words: What the seed is for.
    """
    text = "\x1f".join([str(seed), *map(str, words)])  # a separator that no name holds
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
