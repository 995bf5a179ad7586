"""The interaction-function space of SIF: which operation joins the embeddings of a user and an item."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nasp_core.choice import mix
from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.types import Active, ChoiceGroup, Mixture
from sif.encodings import ID
from sif.encodings.elementwise import Elementwise
from sif.encodings.histories import Histories
from sif.encodings.lookup import problems_of
from sif.encodings.side import SIDES, Side, SideTables
from sif.encodings.sides import SidedNetwork, SideSettings
from sif.extend import names_of
from sif.operations import (
    OPERATIONS,
    PREDICTORS,
    Operation,
    additive,
    equivalence_class,
    operation,
    operation_names,
    size_problems,
)
from sif.spaces.branch import FunctionBranch

__all__ = ["InteractionNetwork", "InteractionSettings", "InteractionSpace"]


@dataclass(frozen=True, kw_only=True)
class InteractionSettings(SideSettings):
    """What an interaction space offers, and how its weights are held (see also `SideSettings`).

    - `operations`: the candidates, by name; those of your own as objects, or as `package.module:object`.
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

    def __post_init__(self) -> None:
        """Take operations as objects too, and keep their names."""
        object.__setattr__(self, "operations", operation_names(self.operations))


def _check_settings(settings: InteractionSettings, known: Mapping[str, Operation], modes: int) -> None:
    names = settings.operations
    unknown = [name for name in names if name not in known and ":" not in name]
    unknown = [name for name in unknown if name not in names_of("operation", known)]
    problems = problems_of(names, partial(operation, modes=modes))
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
    problems += [] if problems else size_problems(names, settings.embedding_dim, modes)
    if problems:
        raise SpaceError("; ".join(problems))


class _Predictor(FunctionBranch):
    """One candidate: an operation and its own linear predictor."""

    def __init__(self, name: str, joins: Operation, settings: InteractionSettings) -> None:
        super().__init__(name, joins, "linear")
        self.max_norm, self.start = settings.max_norm, settings.predictor_start
        self.weight = nn.Parameter(torch.zeros(joins.width * settings.embedding_dim))

    def values(self) -> list[Tensor]:
        """Return `[weight]`."""
        return [self.weight]

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
        if not self.joins.product:
            self.weight[1::2].neg_()
        self.project()

    @torch.no_grad()
    def project(self) -> None:
        if self.max_norm is not None:
            self.weight.mul_((self.max_norm / self.weight.norm().clamp_min(1e-12)).clamp_max_(1.0))

    def forward(self, *modes: Tensor) -> Tensor:
        return torch.mv(self.joins.forward(*modes), self.weight)


class _Interaction(SidedNetwork):
    """What the supernet and the plain network share: element-wise networks, operations and their predictors."""

    known: ClassVar[Mapping[str, Operation]] = OPERATIONS
    settings: InteractionSettings

    def __init__(self, sizes: tuple[int, ...], settings: InteractionSettings, counts: Tensor | None = None) -> None:
        super().__init__(sizes, settings, counts)
        _check_settings(settings, self.known, len(self.modes))
        self.elementwise = (
            Elementwise(len(sizes), settings.hidden, residual=settings.residual) if settings.hidden else None
        )
        self.predictors = nn.ModuleList(
            _Predictor(name, operation(name, len(self.modes)), settings) for name in settings.operations
        )

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw embeddings N(0, init_std^2), biases zero, networks and predictors uniform within 1 / sqrt(fan-in)."""
        super().reset(generator)
        if self.elementwise is not None:
            self.elementwise.reset(generator)
        for predictor in self.predictors:
            predictor.reset(generator)  # type: ignore[operator]

    def lifted(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the embeddings of each mode `[batch, dim]` after the element-wise networks."""
        return (rows if self.elementwise is None else self.elementwise(rows)).unbind(0)


class InteractionNetwork(_Interaction):
    """The plain network of one interaction function: score = w . o(p(u), q(v)), plus biases if the settings say so.

    The element-wise networks belong to the architecture: `load_architecture` sets them, and training leaves
    them as they are.
    """

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return w . o(p(u), q(v))."""
        score: Tensor = self.predictor(*self.lifted(rows))
        return score

    @property
    def predictor(self) -> _Predictor:
        """The operation with its linear predictor."""
        (only,) = self.predictors
        assert isinstance(only, _Predictor)
        return only

    @property
    def branches(self) -> tuple[FunctionBranch, ...]:
        """The one function."""
        return (self.predictor,)

    @property
    def histories(self) -> None:
        """Nothing is read of the training pairs."""

    def tables(self, side: Side) -> list[SideTables]:
        """Return the embeddings of a side."""
        return [SideTables({ID.name: torch.split(self.embedding.detach(), list(self.sizes))[SIDES.index(side)]})]

    def lift(self, side: Side, branch: int, values: Tensor) -> Tensor:
        """Return vectors `[n, dim]` of a side after its element-wise network, where it has one."""
        return self.lifted(values.expand(len(self.sizes), *values.shape))[SIDES.index(side)]

    @torch.no_grad()
    def encoded(self, side: Side) -> list[Tensor]:
        """Return the vectors `[n, dim]` that the operation joins, of all of a side."""
        return [self.lift(side, 0, *self.tables(side)[0].tables.values())]

    def frequency_scale(self, counts: Tensor) -> Tensor:
        """Return ones: what is served is not weighed by frequency."""
        return torch.ones_like(counts, dtype=torch.float32)

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
    reads_histories: ClassVar[bool] = False
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
        return mix(list(self.predictors), active, weights, *self.lifted(rows), present=mixture.present("operation", 0))

    @torch.no_grad()
    def project_weights(self, mixture: Mixture | None) -> None:
        """Bring the predictors that `mixture` trained back to their norm bound."""
        active = None if mixture is None else mixture.row("operation", 0)[0]
        for predictor in self.predictors if active is None else [self.predictors[active]]:
            predictor.project()  # type: ignore[operator]

    def genotype(self, active: Active) -> Genotype:
        """Return the operation, the settings and the element-wise networks as they stand."""
        name = self.settings.operations[active["operation"][0]]
        settings = asdict(self.settings) | {"operations": list(self.settings.operations)}
        named = {} if self.elementwise is None else dict(self.elementwise.named_parameters())
        parameters = {name: p.tolist() for name, p in named.items()}
        return Genotype(self.name, self.version, {"operation": (name,)}, settings, parameters)

    def equivalence_class(self, active: Active) -> str:
        """Return the operation; without element-wise networks, its equivalence class."""
        name = self.settings.operations[active["operation"][0]]
        return name if self.settings.hidden else equivalence_class(name)

    @classmethod
    def make(
        cls, sizes: tuple[int, ...], settings: InteractionSettings, histories: Histories | None, counts: Tensor | None
    ) -> "InteractionSpace":
        """Return the space.

        Args:
            sizes: How many users and items there are (and contexts).
            settings: Of the space.
            histories: Not used: the space reads none.
            counts: Not used, of any shape.
        """
        return cls(sizes, settings, counts)

    @classmethod
    def network(
        cls, sizes: tuple[int, ...], genotype: Genotype, histories: Histories | None, counts: Tensor | None
    ) -> InteractionNetwork:
        """Return the plain network of a genotype, to be served.

        Args:
            sizes: How many users and items there are (and contexts).
            genotype: The architecture.
            histories: Not used.
            counts: Not used, of any shape.
        """
        return cls(sizes, cls.settings_of(genotype), counts).build(genotype)

    @classmethod
    def settings_of(cls, genotype: Genotype) -> InteractionSettings:
        """Return the settings that a genotype carries; raises `GenotypeError` where they do not fit."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in genotype.settings.items()}
        try:
            return InteractionSettings(**values)
        except (SpaceError, TypeError, ValueError) as error:
            raise GenotypeError(f"genotype settings do not fit space {cls.name!r}: {error}") from None

    @classmethod
    def additive(cls, genotype: Genotype) -> bool:
        """Return whether the function is f(user) + g(item), which ranks the items alike for every user."""
        (name,) = genotype.choices["operation"]
        return additive(str(name), "linear", len(cls.modes))

    @classmethod
    def formula(cls, genotype: Genotype) -> str:
        """Return the score as a person writes it: `b + b_user + b_item + w . (p(u) * q(v))`."""
        (name,) = genotype.choices["operation"]
        with_networks = genotype.settings.get("hidden")
        pairs = list(zip("uvc", "pqr", strict=True))[: len(cls.modes)]
        vectors = [f"{network}({vector})" if with_networks else vector for vector, network in pairs]
        score = PREDICTORS["linear"].written(operation(str(name), len(cls.modes)), vectors)
        biases = ["b", *(f"b_{mode}" for mode in cls.modes)] if genotype.settings.get("biases") else []
        return " + ".join([*biases, score])

    def build(self, genotype: Genotype) -> InteractionNetwork:
        """Return the plain network of a genotype, on this space's device."""
        self.selection(genotype)
        (name,) = genotype.choices["operation"]
        try:
            settings = InteractionSettings(**dict(genotype.settings) | {"operations": (str(name),)})
        except (TypeError, ValueError) as error:
            raise GenotypeError(f"genotype settings do not fit space {self.name!r}: {error}") from None
        network = self.network_class(self.sizes, settings, self.counts).to(self.embedding.device)
        network.load_architecture(genotype.parameters)
        return network
