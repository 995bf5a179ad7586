"""What the loop trains: a network, and a network with choices (a space)."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from nasp_core.errors import GenotypeError
from nasp_core.genotype import Genotype
from nasp_core.rowwise import RowTable
from nasp_core.types import Active, Batch, ChoiceGroup, Mixture, Stream

__all__ = ["Loss", "Network", "Space", "StepLoss"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""From the output and the target of a batch to its mean loss, a scalar."""


class StepLoss(NamedTuple):
    """What a training batch gives: its loss, a penalty of the weight step, and the hidden state after the batch."""

    loss: Tensor
    penalty: Tensor | None = None
    hidden: Tensor | None = None


class Network(nn.Module):
    """A network that the loop can train; without choices unless it is a `Space`.

    `forward(inputs, mixture=None)` maps a batch of inputs to outputs. A network that carries something from one batch
    of a stream to the next says so (`carries`); its `forward(inputs, mixture=None, hidden=None)` starts from a hidden
    state (None: from nothing) and returns the outputs and the next hidden state, without a graph. `step` serves both.
    """

    groups: tuple[ChoiceGroup, ...] = ()
    carries: ClassVar[bool] = False

    def reset(self, generator: torch.Generator) -> None:
        """Draw every weight anew."""
        raise NotImplementedError

    def weights(self) -> list[nn.Parameter]:
        """Return the parameters that the weight step trains."""
        architecture = {id(p) for p in self.continuous()}
        return [p for p in self.parameters() if id(p) not in architecture]

    def continuous(self) -> list[nn.Parameter]:
        """Return the parameters that the architecture step trains on validation data, as it does alpha."""
        return []

    def step(
        self, inputs: Any, mixture: Mixture | None = None, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the outputs of a batch, and the hidden state after it: None of a network that carries nothing.

        Args:
            inputs: A batch's inputs, as `forward` takes them.
            mixture: What a space runs; None of a plain network.
            hidden: The state that the batch before left, of the network's own shape; None at the start of a pass.
        """
        return self(inputs, mixture, hidden) if self.carries else (self(inputs, mixture), None)

    def training_loss(
        self, batch: Batch, mixture: Mixture | None, loss: Loss, hidden: Tensor | None = None
    ) -> StepLoss:
        """Return the loss of a training batch, a scalar; with it a penalty and a hidden state where there are any.

        Args:
            batch: Inputs and target, on the network's device.
            mixture: What a space runs; None of a plain network.
            loss: The task's loss, `loss(output, target)`.
            hidden: What the batch before left, of the network's own shape; None at the start of a pass, and of a
                network that carries nothing.

        Returns:
            A `StepLoss`. A penalty is what is trained on but not reported: of the weights, of the activations, of an
            auxiliary head.
        """
        output, after = self.step(batch.inputs, mixture, hidden)
        return StepLoss(loss(output, batch.target), None, after)

    def row_tables(self, stream: Stream) -> list[RowTable]:
        """Return weights of which a batch touches so few rows that they are better trained by these; none by default.

        Args:
            stream: Of training batches; must give the same answer each time.
        """
        return []

    def set_progress(self, progress: float) -> None:
        """Set how far the training is, in [0, 1): for what changes as it goes on. Nothing by default."""

    @torch.no_grad()
    def project_weights(self, mixture: Mixture | None) -> None:
        """Bring the weights that `mixture` used back into their constraint set; nothing by default."""


class Space(Network):
    """A network with choices; knows its constraints and turns a selection into a genotype, and that into a network."""

    name: ClassVar[str]
    version: ClassVar[int]
    cell_form: ClassVar[tuple[int, bool] | None] = None
    """Of cells with choices on edges: how many inputs a cell has; whether all nodes (or the last) are its output."""
    may_drop: ClassVar[bool] = False
    """Whether a choice may be dropped (None in a genotype, -1 in a selection)."""
    keeps: ClassVar[int | None] = None
    """Of the choices that compete for a node (`node_inputs`), how many are kept; None where all stay."""
    zero_operations: ClassVar[frozenset[str]] = frozenset()
    """Candidates that add nothing, so that no gradient reaches them: `none`."""
    attached: tuple[Any, ...] = ()
    """What the hooks of the present search added (`nasp_core.strategy.Attached`)."""
    transit: frozenset[int] = frozenset()
    """Cells, by number, that run the point nearest to a dense mixture instead of the mixture; set by a hook."""

    def constrain(self, scores: dict[str, Tensor]) -> Active:
        """Return the live candidates of the constrained one-hot point nearest to `scores`.

        Shapes: `scores[group]` `[choices, candidates]`. By default the largest score of each choice wins
        (a tie goes to the lowest index); a space with constraints (two edges a node) overrides this, so that
        search and final selection share one rule.
        """
        return {name: tuple(score.argmax(dim=-1).tolist()) for name, score in scores.items()}

    def genotype(self, active: Active) -> Genotype:
        """Return the genotype of a selection, with the continuous parameters as they stand."""
        raise NotImplementedError

    def node_inputs(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return per group the choices that enter each node of a cell, node by node; empty where there are no nodes."""
        return {}

    def cell_kinds(self) -> tuple[str, ...]:
        """Return what kind each cell of the supernet is, in their order; empty where there are no cells."""
        return ()

    def derived(self, mixture: Mixture) -> Mixture:
        """Return the point nearest to a dense mixture, where there are cells in `transit`; else the mixture itself."""
        if not self.transit or mixture.active is not None or mixture.weights is None:
            return mixture
        return Mixture(active=self.constrain({name: w.detach().cpu() for name, w in mixture.weights.items()}))

    def relative_parameters(self) -> dict[str, Tensor]:
        """Return how much each candidate adds to the size of a network, by group: `[choices, candidates]` float32.

        Parameter counts relative to one another (NASP's complexity measure); empty by default: size does not depend
        on the choice.
        """
        return {}

    def equivalence_class(self, active: Active) -> str:
        """Return a name that points share exactly when they are one and the same set of functions.

        By default every point is its own equivalence class.
        """
        return self.genotype(active).key()

    def canonical(self, active: Active) -> Active:
        """Return the point of the same equivalence class that a search trains in its place: the one that trains best.

        Where one set of functions has two forms, a plain one and one with weights that it does not need, the plain one.
        By default the point itself.
        """
        return active

    def build(self, genotype: Genotype) -> Network:
        """Return the plain network of a genotype, freshly made (call `reset` to draw its weights)."""
        raise NotImplementedError

    def selection(self, genotype: Genotype) -> Active:
        """Return the live candidates that a genotype names; raises `GenotypeError` if it is of another space."""
        if (genotype.space, genotype.version) != (self.name, self.version):
            raise GenotypeError(
                f"genotype of space {genotype.space!r} version {genotype.version} given to space "
                f"{self.name!r} version {self.version}; build it with its own space"
            )
        active: dict[str, tuple[int, ...]] = {}
        for group in self.groups:
            names = genotype.choices.get(group.name, ())
            unknown = [n for n in names if n not in group.candidates and not (n is None and self.may_drop)]
            if unknown or len(names) != group.choices:
                raise GenotypeError(
                    f"genotype choice {group.name} = {list(names)} does not fit: this space has {group.choices} "
                    f"choice(s) among {', '.join(group.candidates)}"
                )
            active[group.name] = tuple(-1 if n is None else group.candidates.index(n) for n in names)
        return active

    def points(self) -> Iterator[Active]:
        """Yield every selection, in a fixed order (all combinations of candidates by default)."""
        places = [(g.name, i) for g in self.groups for i in range(g.choices)]
        sizes = [range(len(g.candidates)) for g in self.groups for _ in range(g.choices)]
        for picks in itertools.product(*sizes):
            active: dict[str, list[int]] = {g.name: [] for g in self.groups}
            for (group, _), pick in zip(places, picks, strict=True):
                active[group].append(pick)
            yield {group: tuple(picked) for group, picked in active.items()}

    def random_point(self, generator: torch.Generator) -> Active:
        """Return a uniformly drawn selection that meets the constraints."""
        scores = {g.name: torch.rand(g.shape, generator=generator) for g in self.groups}
        return self.constrain(scores)
