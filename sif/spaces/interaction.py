"""The interaction-function space of SIF: which operation joins the embeddings of a user and an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nasp_core.choice import mix
from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.types import Active, ChoiceGroup, Mixture
from sif.encodings.elementwise import Elementwise
from sif.encodings.sides import SidedNetwork, SideSettings
from sif.operations.functions import OPERATIONS, Operation, family

__all__ = ["InteractionNetwork", "InteractionSettings", "InteractionSpace"]


@dataclass(frozen=True, kw_only=True)
class InteractionSettings(SideSettings):
    """What an interaction space offers, and how its weights are held (see also `SideSettings`).

    - `operations`: the candidates, by name.
    - `hidden`: hidden units of the element-wise networks; 0 for none (identity).
    - `residual`: whether an element-wise network adds to its input (starts near the identity).
    - `max_norm`: largest Euclidean norm of a predictor's weights (the paper: 1); None for no bound.
    - `predictor_start`: `uniform` within 1 / sqrt(fan-in), as torch's linear layers, or `unit`: entries of one size
      and norm 1, all positive for a product, else with signs by turns.
    """

    operations: tuple[str, ...] = ("plus", "multiply", "max", "min", "concat")
    hidden: int = 8
    residual: bool = False
    max_norm: float | None = 1.0
    predictor_start: Literal["uniform", "unit"] = "uniform"


def _check_settings(settings: InteractionSettings, known: Mapping[str, Operation]) -> None:
    names = settings.operations
    unknown = [name for name in names if name not in known]
    problems = []
    if not names:
        problems.append(f"no operation to choose from; there are {', '.join(known)}")
    if unknown:
        problems.append(f"unknown operation(s) {', '.join(unknown)}; there are {', '.join(known)}")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        problems.append(f"operation(s) {', '.join(twice)} given twice; name each once")
    if settings.embedding_dim < 1:
        problems.append(f"embedding_dim = {settings.embedding_dim}; an interaction function needs 1 or more")
    if settings.hidden < 0:
        problems.append(f"hidden = {settings.hidden}; it must be 0 (no element-wise networks) or more")
    if settings.residual and not settings.hidden:
        problems.append("residual = true without element-wise networks (hidden = 0); set hidden, or leave it out")
    if settings.max_norm is not None and settings.max_norm <= 0:
        problems.append(f"max_norm = {settings.max_norm}; it must be above 0, or none for no bound")
    if settings.predictor_start not in ("uniform", "unit"):
        problems.append(f"predictor_start = {settings.predictor_start!r}; there are uniform, unit")
    if problems:
        raise SpaceError("; ".join(problems))


class _Predictor(nn.Module):
    """One candidate: an operation and its own linear predictor."""

    def __init__(self, operation: Operation, settings: InteractionSettings) -> None:
        super().__init__()
        self.operation, self.product = operation.function, operation.product
        self.max_norm, self.start = settings.max_norm, settings.predictor_start
        self.weight = nn.Parameter(torch.zeros(operation.width * settings.embedding_dim))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights uniform within 1 / sqrt(fan-in), or set them to unit norm: all alike, signs by turns.

        Of a product the sign is free, so all are positive; a sum, maximum or concatenation needs both.
        """
        size = self.weight.numel()
        if self.start == "uniform":
            self.weight.copy_((torch.rand(size, generator=generator) * 2 - 1) * size**-0.5)
            self.project()
            return
        self.weight.fill_(size**-0.5)
        if not self.product:
            self.weight[1::2].neg_()
        self.project()

    @torch.no_grad()
    def project(self) -> None:
        if self.max_norm is not None:
            self.weight.mul_((self.max_norm / self.weight.norm().clamp_min(1e-12)).clamp_max_(1.0))

    def forward(self, *modes: Tensor) -> Tensor:
        return torch.mv(self.operation(*modes), self.weight)


class _Interaction(SidedNetwork):
    """What the supernet and the plain network share: element-wise networks, operations and their predictors."""

    operations: ClassVar[Mapping[str, Operation]] = OPERATIONS
    settings: InteractionSettings

    def __init__(self, sizes: tuple[int, ...], settings: InteractionSettings, counts: Tensor | None = None) -> None:
        super().__init__(sizes, settings, counts)
        _check_settings(settings, self.operations)
        self.elementwise = (
            Elementwise(len(sizes), settings.hidden, residual=settings.residual) if settings.hidden else None
        )
        self.predictors = nn.ModuleList(_Predictor(self.operations[name], settings) for name in settings.operations)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw embeddings N(0, init_std^2), biases zero, networks and predictors uniform within 1 / sqrt(fan-in)."""
        super().reset(generator)
        if self.elementwise is not None:
            self.elementwise.reset(generator)
        for predictor in self.predictors:
            predictor.reset(generator)  # type: ignore[operator]

    def lift(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the embeddings of each mode `[batch, dim]` after the element-wise networks."""
        return (rows if self.elementwise is None else self.elementwise(rows)).unbind(0)


class InteractionNetwork(_Interaction):
    """The plain network of one interaction function: score = w . o(p(u), q(v)), plus biases if the settings say so.

    The element-wise networks belong to the architecture: `load_architecture` sets them, and training leaves
    them as they are.
    """

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return w . o(p(u), q(v))."""
        score: Tensor = self.predictor(*self.lift(rows))
        return score

    @property
    def predictor(self) -> _Predictor:
        """The operation with its linear predictor."""
        (only,) = self.predictors
        assert isinstance(only, _Predictor)
        return only

    @property
    def operation(self) -> str:
        """Name of the operation."""
        return self.settings.operations[0]

    @torch.no_grad()
    def load_architecture(self, parameters: Mapping[str, Any]) -> None:
        """Set the element-wise networks from a genotype's `parameters` and freeze them.

        Raises `GenotypeError` when they are not those of this network.
        """
        named = {} if self.elementwise is None else dict(self.elementwise.named_parameters())
        try:
            self._architecture = {name: torch.tensor(value) for name, value in parameters.items()}
        except (TypeError, ValueError) as error:
            raise GenotypeError(f"genotype parameters are not tables of numbers: {error}") from None
        shapes = {name: tuple(value.shape) for name, value in self._architecture.items()}
        wanted = {name: tuple(value.shape) for name, value in named.items()}
        if shapes and shapes != wanted:
            raise GenotypeError(f"genotype parameters have shapes {shapes}; these settings need {wanted}")
        self._apply_architecture()

    def _apply_architecture(self) -> None:
        if self.elementwise is not None and self._architecture:
            for name, parameter in self.elementwise.named_parameters():
                parameter.copy_(self._architecture[name])

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew; element-wise networks from a genotype stay."""
        super().reset(generator)
        self._apply_architecture()

    _architecture: Mapping[str, Tensor] = {}

    def continuous(self) -> list[nn.Parameter]:
        """Return the frozen element-wise parameters, so that the weight step leaves them alone."""
        return [] if self.elementwise is None or not self._architecture else list(self.elementwise.parameters())

    @torch.no_grad()
    def project_weights(self, mixture: Mixture | None) -> None:
        """Bring the predictor back to its norm bound."""
        self.predictor.project()


class InteractionSpace(_Interaction, Space):
    """Search which operation joins two embeddings, with element-wise networks learned like alpha.

    score = w_o . o(p(u), q(v)), ||w_o|| <= 1 (Yao et al., WWW 2020, eqs. 4-6): one choice (`operation`); p and q are
    continuous architecture parameters; each candidate has its own predictor, all share the embeddings.
    """

    name: ClassVar[str] = "interaction"
    version: ClassVar[int] = 1
    network_class: ClassVar[type[InteractionNetwork]] = InteractionNetwork

    def __init__(self, sizes: tuple[int, ...], settings: InteractionSettings, counts: Tensor | None = None) -> None:
        super().__init__(sizes, settings, counts)
        self.groups = (ChoiceGroup("operation", 1, settings.operations),)

    def continuous(self) -> list[nn.Parameter]:
        """Return the parameters of the element-wise networks."""
        return [] if self.elementwise is None else list(self.elementwise.parameters())

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the mixture of the candidates' scores."""
        if mixture is None:
            raise SpaceError("a space has no output of its own: give a mixture, or build a genotype")
        active, weights = mixture.row("operation", 0)
        return mix(list(self.predictors), active, weights, *self.lift(rows), present=mixture.present("operation", 0))

    @torch.no_grad()
    def project_weights(self, mixture: Mixture | None) -> None:
        """Bring the predictors that `mixture` trained back to their norm bound."""
        active = None if mixture is None else mixture.row("operation", 0)[0]
        for predictor in self.predictors if active is None else [self.predictors[active]]:
            predictor.project()  # type: ignore[operator]

    def genotype(self, active: Active) -> Genotype:
        """Return the operation, the settings and the element-wise networks as they stand."""
        operation = self.settings.operations[active["operation"][0]]
        settings = asdict(self.settings) | {"operations": list(self.settings.operations)}
        named = {} if self.elementwise is None else dict(self.elementwise.named_parameters())
        parameters = {name: p.tolist() for name, p in named.items()}
        return Genotype(self.name, self.version, {"operation": (operation,)}, settings, parameters)

    def equivalence_class(self, active: Active) -> str:
        """Return the operation; without element-wise networks, its family (see `operations.family`)."""
        operation = self.settings.operations[active["operation"][0]]
        return operation if self.settings.hidden else family(operation)

    def build(self, genotype: Genotype) -> InteractionNetwork:
        """Return the plain network of a genotype, on this space's device."""
        self.selection(genotype)
        (operation,) = genotype.choices["operation"]
        try:
            settings = InteractionSettings(**dict(genotype.settings) | {"operations": (str(operation),)})
        except (TypeError, ValueError) as error:
            raise GenotypeError(f"genotype settings do not fit space {self.name!r}: {error}") from None
        network = self.network_class(self.sizes, settings, self.counts).to(self.embedding.device)
        network.load_architecture(genotype.parameters)
        return network
