"""A strategy is a composition: domain × relax × gradient × select, with schedules and hooks.

Each part is a frozen value that declares what it gives and what it needs; `Strategy` checks once that the
parts fit. What evolves during a search lives in the state that a part's `init` returned.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasp_core.errors import NaspError, SearchError, StrategyError
from nasp_core.network import Network, Space, StepLoss
from nasp_core.optimise import Optimiser, Training
from nasp_core.types import Active, Alpha, Batch, Mixture, Phase, RelaxState, State, Task, group_names

__all__ = [
    "Attached",
    "Domain",
    "Gradient",
    "Hook",
    "Paper",
    "Part",
    "Relax",
    "Schedule",
    "SearchView",
    "Select",
    "SelectContext",
    "StepContext",
    "Strategy",
    "below_least",
    "frozen",
    "qualified",
]


def qualified(kind: type, text: str) -> str:
    """Return a description with the module of its class before it, where that is not of this package.

    Args:
        kind: The class that is described.
        text: Its description.
    """
    return text if kind.__module__.startswith("nasp_core.") else f"{kind.__module__}:{text}"


def below_least(made: object, least: Mapping[str, float]) -> str:
    """Return in words which settings are below the least value that they may have; empty where none is.

    Args:
        made: What has the settings as attributes.
        least: Setting -> its least value.
    """
    wrong = (name for name, bound in least.items() if getattr(made, name) < bound)
    return ", ".join(f"{name} must be {least[name]:g} or more" for name in wrong)


class Part:
    """Base of all parts: a frozen dataclass with declarations.

    - `gives`: the properties it brings to a strategy, such as `gradient`.
    - `needs`: property -> why this part cannot do without it, and what to use instead; `a|b` needs either.
    - `least`: setting -> the least value that it may have; `refuses` is raised for less.
    """

    gives: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[Mapping[str, str]] = {}
    least: ClassVar[Mapping[str, float]] = {}
    refuses: ClassVar[type[NaspError]] = StrategyError

    def __post_init__(self) -> None:
        """Check the settings."""
        if wrong := below_least(self, self.least):
            raise self.refuses(f"{self.describe()}: {wrong}")

    def describe(self) -> str:
        """Return the part as the text that makes it: `box(low=0.0, high=1.0)`."""
        settings = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({settings})"

    def identify(self) -> str:
        """Return the text that makes the part, with its import path where it is not of this package.

        That is what a saved state and a result name it by: `Box(low=0.0, ...)`, `my_package.parts:Mine(...)`.
        """
        return qualified(type(self), self.describe())


class Domain(Part):
    """Where alpha lives: how it starts, and how a step is brought back."""

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return the first alpha.

        Args:
            space: The space; its groups give the shapes.
            generator: Draws what is random in the start.
            device: Where alpha is to be.

        Returns:
            Per group one float32 tensor `[choices, candidates]`, and what the domain adds as `group/what`.
        """
        raise NotImplementedError

    def retract(self, alpha: Alpha) -> None:
        """Bring alpha back into the domain after a step, in place; nothing by default."""

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return how strong each candidate is, for the final selection; alpha itself by default.

        Args:
            alpha: Alpha, with what this domain added to the groups (`group/what`).
            space: The space.

        Returns:
            Of the groups alone, `[choices, candidates]` each; larger is stronger.
        """
        return {name: alpha[name] for name in group_names(alpha)}


class Relax(Part):
    """How alpha becomes a mixture."""

    def init(self) -> RelaxState:
        """Return the state of this part; one that carries nothing of its own by default."""
        return RelaxState()

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the mixture that the network sees in `phase`; in `arch`, its weights carry alpha's gradient.

        Args:
            alpha: Per group `[choices, candidates]`.
            space: The space, whose constraints the mixture meets.
            phase: `arch`, `weight` or `valid`: what the mixture is for.
            state: What `init` returned; it may change.
            generator: The search's own source of random numbers.
        """
        raise NotImplementedError

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return the mixtures whose mean loss a step follows; one by default. A validation sees `mixture` alone.

        Args:
            alpha: As in `mixture`, and so are the others.
            space: The space.
            phase: `arch` or `weight`.
            state: What `init` returned.
            generator: The search's own source of random numbers.
        """
        return (self.mixture(alpha, space, phase, state, generator),)

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return what each candidate weighs on average; of a part that gives `shares`.

        Args:
            alpha: Per group `[choices, candidates]`.
            space: The space.
            state: What `init` returned.

        Returns:
            Per group `[choices, candidates]`; each choice sums to 1 where it is a distribution.
        """
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
    hidden: dict[str, Tensor] = field(default_factory=dict)
    """The hidden state that was carried to this step, per stream (`train`, `valid`); empty at the start of a pass."""
    hidden_out: Tensor | None = None
    """The hidden state after the validation batch, for the next step."""
    penalty: Callable[[Mixture], Tensor | None] = lambda mixture: None
    """What the schedules add to the validation loss of a mixture."""
    paths: Callable[[], Sequence[Mixture]] | None = None
    """Makes all mixtures of the architecture step (`Relax.paths`); None where there is but one."""
    relax_state: RelaxState = field(default_factory=RelaxState)
    """The state of the relaxation, which a gradient may leave something in."""
    step: int = 0
    """Number of the step, from the start of the search."""
    progress: float = 0.0
    """How far the search is, in [0, 1)."""
    generator: torch.Generator = field(default_factory=torch.Generator)
    """The search's own source of random numbers."""

    def drawn(self) -> Sequence[Mixture]:
        """Return the mixtures of the architecture step, made anew from the present alpha."""
        return (self.mixture(),) if self.paths is None else self.paths()

    def validation_loss(self, mixture: Mixture | None = None) -> Tensor:
        """Return the loss of the validation batch under the present alpha and weights, with the schedules' penalty.

        Under the given mixture, or the mean over those of the architecture step.
        """
        return _mean([self._validation_loss(each) for each in (self.drawn() if mixture is None else (mixture,))])

    def _validation_loss(self, mixture: Mixture) -> Tensor:
        output, self.hidden_out = self.space.step(self.valid.inputs, mixture, self.hidden.get("valid"))
        loss = self.task.loss(output, self.valid.target)
        penalty = self.penalty(mixture)
        return loss if penalty is None else loss + penalty

    def training_loss(self, mixture: Mixture | None = None) -> Tensor:
        """Return the loss of the training batch, with the weights' penalty; mixtures as in `validation_loss`."""
        return _mean([self._training_loss(each) for each in (self.drawn() if mixture is None else (mixture,))])

    def _training_loss(self, mixture: Mixture) -> Tensor:
        loss, penalty, _ = self.train_step(mixture)
        return loss if penalty is None else loss + penalty

    def train_step(self, mixture: Mixture) -> StepLoss:
        """Return what the training batch gives under a mixture: the loss, and the weights' penalty by itself."""
        return self.space.training_loss(self.train, mixture, self.task.loss, self.hidden.get("train"))


def _mean(losses: Sequence[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).mean()


class Gradient(Part):
    """How alpha and the continuous architecture parameters learn."""

    def init(self, alpha: Alpha, space: Space) -> State:
        """Return the state of this part, such as its optimiser.

        Args:
            alpha: The first alpha, which `step` changes in place.
            space: The space, whose continuous parameters are trained too.
        """
        raise NotImplementedError

    def step(self, context: StepContext, state: State) -> None:
        """Change alpha and the continuous parameters once, in place.

        Args:
            context: What a step may use: batches, mixtures, losses.
            state: What `init` returned; it changes in place.
        """
        raise NotImplementedError

    def pinned(self) -> "Gradient":
        """Return how the continuous parameters learn where the architecture is one given point; itself by default."""
        return self


def _absent(*_: object) -> Any:
    raise SearchError("this selection needs a supernet to ask, and there is none")


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
    mixture_metric: Callable[[Mixture], float] = _absent
    """Validation metric of the supernet under any mixture."""
    tune: Callable[[Mixture, int], None] = _absent
    """Trains the supernet's weights on under one mixture, for a number of epochs (`Training.rest`)."""


class Select(Part):
    """How the final selection is read."""

    refuses: ClassVar[type[NaspError]] = SearchError

    def select(self, context: SelectContext) -> Active:
        """Return the live candidates of the found architecture."""
        raise NotImplementedError


@dataclass
class SearchView:
    """What a schedule sees of the search: the supernet, alpha, the relaxation, and how far it is, in [0, 1)."""

    space: Network
    alpha: Alpha
    relax_state: RelaxState
    step: int
    progress: float
    relax: Relax
    epoch_steps: int = 1
    """Steps of one pass over the training data."""


class Schedule(Part):
    """Something that changes as the search goes on, or is penalised in it."""

    def init(self) -> State:
        """Return the state of this part; empty by default."""
        return {}

    def advance(self, view: SearchView, state: State) -> None:
        """Change what is to change before a step, such as the relaxation's temperature; nothing by default.

        Args:
            view: The search as it stands.
            state: What `init` returned; it may change.
        """

    def learned(self, view: SearchView, state: State) -> None:
        """Learn from an architecture step that is done; a path-wise gradient is still in alpha's `grad`.

        Args:
            view: The search as it stands.
            state: What `init` returned; it may change.
        """

    def arch_step_due(self, step: int, progress: float) -> bool:
        """Return whether this step has an architecture step; the first schedule that says no decides.

        Args:
            step: Number of the step, from the start of the search.
            progress: How far the search is, in [0, 1).
        """
        return True

    def weight_step_due(self, step: int, progress: float) -> bool:
        """Return whether this step trains the weights; the first schedule that says no decides.

        Args:
            step: Number of the step, from the start of the search.
            progress: How far the search is, in [0, 1).
        """
        return True

    def penalty(self, mixture: Mixture, view: SearchView, state: State) -> Tensor | None:
        """Return what is added to the validation loss of the architecture step, a scalar; None for nothing.

        Args:
            mixture: What the architecture step runs.
            view: The search as it stands.
            state: What `init` returned.
        """
        return None


class Attached:
    """What a hook added to a supernet; the base does nothing."""

    def advance(self, progress: float) -> None:
        """Change what is to change before a step; `progress` is how far the search is, in [0, 1)."""

    def detach(self) -> None:
        """Take it away again."""


class Hook(Part):
    """What a supernet carries only while it is searched; on a space that it has no meaning for, nothing."""

    def attach(self, space: Space) -> Attached:
        """Add it to a supernet, before its weights are drawn."""
        raise NotImplementedError

    def trained(self, space: Space, weights: list[nn.Parameter]) -> list[nn.Parameter]:
        """Return which of the weights the weight step trains; all by default.

        Args:
            space: The supernet that carries the hook.
            weights: Its weights (`Network.weights`).
        """
        return weights


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
    hooks: tuple[Hook, ...] = ()

    def __post_init__(self) -> None:
        """Check that what each part needs is given by another."""
        parts: dict[str, Part] = {
            "domain": self.domain,
            "relax": self.relax,
            "gradient": self.gradient,
            "select": self.select,
        }
        parts |= {f"schedule {number}": schedule for number, schedule in enumerate(self.schedules)}
        parts |= {f"hook {number}": hook for number, hook in enumerate(self.hooks)}
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

    @property
    def gives(self) -> frozenset[str]:
        """The properties that the parts bring, all together."""
        parts: tuple[Part, ...] = (self.domain, self.relax, self.gradient, self.select, *self.schedules, *self.hooks)
        return frozenset().union(*(part.gives for part in parts))

    def describe(self) -> dict[str, str]:
        """Return role -> part as text; a part from outside with its import path."""
        roles = ("domain", "relax", "gradient", "select")
        described = {role: getattr(self, role).identify() for role in roles}
        several: dict[str, Sequence[Part]] = {"schedules": self.schedules, "hooks": self.hooks}
        described |= {role: ", ".join(part.identify() for part in parts) for role, parts in several.items() if parts}
        return described

    def cite(self) -> str:
        """Return the BibTeX entries of what was composed."""
        return "\n\n".join(paper.bibtex() for paper in self.papers)
