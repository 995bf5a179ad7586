"""What a rival is: another recommender, trained by a run's own loop, by a function in a comparison, or by both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from torch import Tensor

from nasp_core.network import Network
from sif.encodings.histories import Histories
from sif.encodings.sides import SidedNetwork, SideSettings
from sif.rivals.method import Method
from sif.spaces.interaction import InteractionSettings
from sif.spaces.wide import WideSpace
from sif.spaces.wide_points import named
from sif.spaces.wide_settings import WideSettings, settings_of

__all__ = ["Baseline", "Kind", "Rival", "fixed", "point", "with_context"]

Kind = Literal["pairs", "wide", "triples", "lists"]
"""What a network is asked: pairs of ids, the same in the wide space, pairs with a context, users with lists."""
Maker = Callable[[tuple[int, ...], InteractionSettings, Tensor | None], Network]
Settings = InteractionSettings | WideSettings


@dataclass(frozen=True)
class Baseline:
    """How a run makes the network of a rival; the flags say what there is to train and to tune.

    Attributes:
        make: from the sizes of the modes, the settings of the space (embedding size, penalties, start), the training
            pairs of each user and item int64 `[users + items]`, and the histories, to the network.
        trained: whether it has weights to train.
        embeds: whether these include embeddings, so that L2 matters.
        tuned: whether its embedding size is tuned too.
        power_of_two: whether it exists at embedding sizes that are powers of two alone.
    """

    make: Callable[[tuple[int, ...], Settings, Tensor | None, Histories | None], Network]
    trained: bool = True
    embeds: bool = True
    tuned: bool = False
    power_of_two: bool = False

    def build(
        self, sizes: tuple[int, ...], settings: Settings, counts: Tensor | None, histories: Histories | None = None
    ) -> Network:
        """Return the network under the given settings.

        Args:
            sizes: How many users and items there are (and contexts).
            settings: Of the space: embedding size, penalties, start.
            counts: Training pairs of each user and item, int64 `[users + items]`.
            histories: What each side knows of the other, of a network that reads them.
        """
        return self.make(sizes, settings, counts, histories)

    def fits(self, settings: Settings) -> bool:
        """Return whether the model exists at this embedding size (ConvNCF wants a power of two)."""
        dim = settings.embedding_dim
        return not self.power_of_two or dim & (dim - 1) == 0


@dataclass(frozen=True, eq=False)
class Rival:
    """Another recommender beside the best architecture. It has one side, or both.

    Attributes:
        name: as recipes (`baselines.names`) and `sif compare --with` write it.
        source: the publication.
        networks: how a run trains it by its own loop, by what it is asked; `pairs` serves the wide space too.
        method: how a comparison trains and tunes it.
        aliases: other names of the same model.
    """

    name: str
    source: str
    networks: Mapping[Kind, Baseline] = field(default_factory=dict)
    method: Method | None = None
    aliases: tuple[str, ...] = ()

    def baseline(self, kind: Kind) -> Baseline | None:
        """Return how a run makes its network for what it is asked; None where it has none."""
        return self.networks.get(kind, self.networks.get("pairs") if kind == "wide" else None)


def fixed(make: Maker, *, biases: bool | None = None, **flags: bool) -> Baseline:
    """Return how a run makes a network that takes settings of the small space, such as a `SidedNetwork`.

    Args:
        make: from sizes, settings and counts to the network.
        biases: instead of the settings', where it is defined with or without them.
        flags: those of `Baseline`.
    """

    def build(
        sizes: tuple[int, ...], settings: Settings, counts: Tensor | None, histories: Histories | None
    ) -> Network:
        plain = _plain(settings)
        if biases is not None:
            plain = replace(plain, biases=biases, bias_l2=plain.bias_l2 if biases else 0.0)
        if not flags.get("embeds", True):
            plain = replace(plain, embedding_dim=0)
        return make(sizes, plain, counts)

    return Baseline(build, **flags)


def _plain(settings: Settings) -> InteractionSettings:
    """Return settings of the small space: of a wide one's what both have, biases on, the predictor at unit norm."""
    if isinstance(settings, InteractionSettings):
        return settings
    shared = {field.name: getattr(settings, field.name) for field in fields(SideSettings)}
    return InteractionSettings(**shared | {"biases": True}, hidden=0, predictor_start="unit")


def point(name: str) -> Baseline:
    """Return how a run makes a named point of the wide space, with the settings of the recipe."""

    def build(
        sizes: tuple[int, ...], settings: Settings, counts: Tensor | None, histories: Histories | None
    ) -> Network:
        assert isinstance(settings, WideSettings)
        genotype = named(name, settings)
        users, items = sizes
        known = Histories.empty((users, items)) if histories is None else histories
        return WideSpace((users, items), settings_of(genotype), known, counts).build(genotype)

    return Baseline(build, tuned=True)


def with_context(network: type[SidedNetwork]) -> type[SidedNetwork]:
    """Return the network for tables with a context, as a class."""
    return type(f"Tensor{network.__name__}", (network,), {"modes": ("user", "item", "context")})
