"""A strategy is a composition: domain × relax × gradient × select, with schedules and hooks.

Each part is a frozen value that declares what it gives and what it needs; `Strategy` checks once that the
parts fit. What evolves during a search lives in the state that a part's `init` returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasp_core.errors import StrategyError
from nasp_core.network import Network, Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.types import Active, Alpha, Batch, Mixture, Phase, State, Task

__all__ = [
    "Domain",
    "Gradient",
    "Paper",
    "Part",
    "Relax",
    "Schedule",
    "Select",
    "SelectContext",
    "StepContext",
    "Strategy",
    "frozen",
]


class Part:
    """Base of all parts: a frozen dataclass with two declarations.

    - `gives`: the properties it brings to a strategy, such as `slope`.
    - `needs`: property -> why this part cannot do without it, and what to use instead; `a|b` needs either.
    """

    gives: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[Mapping[str, str]] = {}

    def describe(self) -> str:
        """Return the part as the text that makes it: `box(low=0.0, high=1.0)`."""
        settings = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({settings})"


class Domain(Part):
    """Where alpha lives: how it starts, and how a step is brought back."""

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return the first alpha."""
        raise NotImplementedError

    def retract(self, alpha: Alpha) -> None:
        """Bring alpha back into the domain after a step, in place; nothing by default."""

    def scores(self, alpha: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return how strong each candidate is, for the final selection; alpha itself by default."""
        return alpha


class Relax(Part):
    """How alpha becomes a mixture."""

    def init(self) -> State:
        """Return the state of this part; empty by default."""
        return {}

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        """Return the mixture that the network sees in `phase`; in `arch`, its weights carry alpha's gradient."""
        raise NotImplementedError


@contextmanager
def frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let no gradient reach `parameters` within the block: what only leads to them is then not computed."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@dataclass
class StepContext:
    """What an architecture gradient may use in a step."""

    space: Network
    task: Task
    alpha: Alpha
    mixture: Callable[[], Mixture]
    """Makes the mixture of the architecture step anew from the present alpha."""
    train: Batch
    valid: Batch
    optimiser: Optimiser
    weight_state: torch.optim.Optimizer
    learning_rate: float
    weights: Sequence[nn.Parameter]
    """What the weight step trains: `space.weights()`."""
    memory: dict[str, Tensor] = field(default_factory=dict)
    """What a recurrent network carried to this step, per stream (`train`, `valid`); empty at the start of a pass."""
    left: Tensor | None = None
    """What it leaves on the validation stream for the next step."""
    penalty: Callable[[Mixture], Tensor | None] = lambda mixture: None
    """What the schedules add to the validation loss of a mixture."""

    def validation_loss(self) -> Tensor:
        """Return the loss of the validation batch under the present alpha and weights, with the schedules' penalty."""
        mixture = self.mixture()
        self.space.memory = self.memory.get("valid")
        loss = self.task.loss(self.space(self.valid.inputs, mixture), self.valid.target)
        self.left = self.space.left
        penalty = self.penalty(mixture)
        return loss if penalty is None else loss + penalty

    def training_loss(self) -> Tensor:
        """Return the loss of the training batch, with the weights' penalty."""
        self.space.memory = self.memory.get("train")
        loss, penalty = self.space.training_loss(self.train, self.mixture(), self.task.loss)
        return loss if penalty is None else loss + penalty


class Gradient(Part):
    """How alpha and the continuous architecture parameters learn."""

    def init(self, alpha: Alpha, space: Space) -> State:
        """Return the state of this part, such as its optimiser."""
        raise NotImplementedError

    def step(self, context: StepContext, state: State) -> None:
        """Change alpha and the continuous parameters once, in place."""
        raise NotImplementedError


@dataclass
class SelectContext:
    """What a selection may use: the supernet, its scores, the task, and the training of single points."""

    space: Space
    task: Task
    scores: dict[str, Tensor]
    """How strong each candidate is (`Domain.scores`), on the CPU; `[choices, candidates]` per group."""
    supernet_metric: Callable[[Active], float]
    """Validation metric of the supernet restricted to a point."""
    trained_metric: Callable[[Active, Training], float]
    """Validation metric of a point trained alone from fresh weights on a schedule."""
    final: Training
    """The final training's schedule."""
    seed: int = 0
    """The seed of the search."""


class Select(Part):
    """How the final selection is read."""

    def select(self, context: SelectContext) -> Active:
        """Return the live candidates of the found architecture."""
        raise NotImplementedError


class Schedule(Part):
    """Something that changes as the search goes on, or is penalised in it."""

    def arch_step_due(self, step: int, progress: float) -> bool:
        """Return whether this step has an architecture step; the first schedule that says no decides."""
        return True

    def penalty(self, mixture: Mixture, space: Network, progress: float) -> Tensor | None:
        """Return what is added to the validation loss of the architecture step, a scalar; None for nothing."""
        return None


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    title: str
    authors: str
    venue: str
    year: int
    arxiv: str = ""

    def bibtex(self) -> str:
        """Return a BibTeX entry."""
        key = self.authors.split(",")[0].split()[-1].lower() + str(self.year)
        eprint = f",\n  eprint = {{{self.arxiv}}}, archiveprefix = {{arXiv}}" if self.arxiv else ""
        return (
            f"@inproceedings{{{key},\n  title = {{{self.title}}},\n  author = {{{self.authors}}},\n"
            f"  booktitle = {{{self.venue}}},\n  year = {{{self.year}}}{eprint}\n}}"
        )


@dataclass(frozen=True)
class Strategy:
    """A search strategy; the constructor raises `StrategyError` when its parts do not fit each other."""

    domain: Domain
    relax: Relax
    gradient: Gradient
    select: Select
    schedules: tuple[Schedule, ...] = ()
    name: str = "custom"
    papers: tuple[Paper, ...] = ()

    def __post_init__(self) -> None:
        """Check that what each part needs is given by another."""
        parts: dict[str, Part] = {
            "domain": self.domain,
            "relax": self.relax,
            "gradient": self.gradient,
            "select": self.select,
        }
        parts |= {f"schedule {number}": schedule for number, schedule in enumerate(self.schedules)}
        given = frozenset().union(*(part.gives for part in parts.values()))
        problems = [
            f"{role} = {part.describe()} lacks {need.replace('|', ' or ')!r}: {why}"
            for role, part in parts.items()
            for need, why in part.needs.items()
            if given.isdisjoint(need.split("|"))
        ]
        if problems:
            chosen = ", ".join(f"{role} = {type(part).__name__}" for role, part in parts.items())
            raise StrategyError(f"these parts do not fit ({chosen}):\n  " + "\n  ".join(problems))

    def describe(self) -> dict[str, str]:
        """Return role -> part as text."""
        roles = ("domain", "relax", "gradient", "select")
        described = {role: getattr(self, role).describe() for role in roles}
        if self.schedules:
            described["schedules"] = ", ".join(schedule.describe() for schedule in self.schedules)
        return described

    def cite(self) -> str:
        """Return the BibTeX entries of what was composed."""
        return "\n\n".join(paper.bibtex() for paper in self.papers)
