"""The wide space: how each side is encoded, which operation joins the two, and what makes a score of the result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nasp_core.errors import GenotypeError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.types import Active, Mixture
from sif.encodings.histories import Histories
from sif.encodings.side import Ask, SideEncoder
from sif.spaces.branch import WideBranch
from sif.spaces.wide_base import WideBase
from sif.spaces.wide_points import additive, additive_reason, family_of, wide_genotype
from sif.spaces.wide_settings import ADDITIVE_PAIRS, NAME, VERSION, WideSettings, groups_of, settings_of

__all__ = ["WideNetwork", "WideSpace"]

_BIAS_START = 0.01


class WideNetwork(WideBase):
    """The plain network of one point of the wide space; all its parameters are weights.

    `branches` are the functions that are added, `encoded` the vectors that they join, `bias` float
    `[users + items, 1]` and `offset` what is added to that, or None.
    """

    def __init__(
        self, sizes: tuple[int, int], genotype: Genotype, histories: Histories, counts: Tensor | None = None
    ) -> None:
        """Make the network of a genotype, with its own settings; raises `GenotypeError` where they do not fit."""
        settings = settings_of(genotype)
        if (genotype.space, genotype.version) != (NAME, VERSION):
            raise GenotypeError(f"genotype of space {genotype.space!r} given to a network of space {NAME!r}")
        offers: dict[str, tuple[tuple[str, ...], ...]] = {}
        for group in groups_of(settings):
            names = genotype.choices.get(group.name, ())
            if len(names) != group.choices or any(name not in group.candidates for name in names):
                raise GenotypeError(
                    f"genotype choice {group.name} = {list(names)} does not fit its settings: they have "
                    f"{group.choices} choice(s) among {', '.join(group.candidates)}"
                )
            offers[group.name] = tuple((str(name),) for name in names)
        super().__init__(sizes, settings, offers, histories, counts)
        self.choices = {group: genotype.choices[group] for group in offers}
        self.additive = additive(genotype)
        self._only = Mixture(active={group: (0,) * len(names) for group, names in offers.items()})

    def _mixture(self, mixture: Mixture | None) -> Mixture:
        return self._only

    @property
    def branches(self) -> tuple[WideBranch, ...]:
        """The functions that are added, each an operation with its predictor."""
        return tuple(head for heads in self.heads for head in heads.values())  # type: ignore[operator]

    def lift(self, side: Literal["user", "item"], branch: int, values: Tensor) -> Tensor:
        """Return vectors `[..., dim]` of one side after the element-wise network of a branch, where it has one."""
        return self._lift(self.offers["elementwise"][branch][0], branch, ("user", "item").index(side), values)

    @torch.no_grad()
    def encoded(self, side: Literal["user", "item"], ids: Tensor | None = None) -> list[Tensor]:
        """Return per branch what it joins: vectors `[n, dim]` of a side, with whole histories.

        `ids` int64 `[n]`; None: all of that side.
        """
        place = ("user", "item").index(side)
        wanted = torch.arange(self.sizes[place], device=self.user_starts.device) if ids is None else ids
        ask = Ask(wanted)
        return [
            self._side(branch, place, self._encoding(branch, place), ask, self._only).full()
            for branch in range(self.settings.branches)
        ]

    @torch.no_grad()
    def encode_history(self, items: Tensor, starts: Tensor) -> list[Tensor]:
        """Return per branch the vectors `[n, dim]` of users of whom only their history is known.

        User r has `items[starts[r]:starts[r + 1]]`, int64 `[total]` and `[n + 1]`, none twice. Where the encoding has
        an id part, it is the mean row of all users.
        """
        vectors = []
        for branch in range(self.settings.branches):
            encoder = self.encoders[2 * branch]
            assert isinstance(encoder, SideEncoder)
            values = encoder.of_members(self.offers["encoding"][2 * branch][0], items, starts)
            vectors.append(self.lift("user", branch, values))
        return vectors


class WideSpace(WideBase, Space):
    """Search encodings, element-wise networks, operations, predictors and biases of one or two added functions.

    Choices: `encoding` of user, item (of a second branch: again), `elementwise`, `operation`, `predictor` of each
    branch, and `biases`. In a branch, candidates share the embeddings; each pair of operation and predictor has its own
    predictor. Element-wise networks are weights here, trained on the training part.

    Without `additive`, points whose score is f(user) + g(item) (`additive`) are left out: `constrain` goes to the
    nearest other point, and `selection` refuses them.
    """

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    silent: ClassVar[frozenset[str]] = frozenset({"off"})

    def __init__(
        self,
        sizes: tuple[int, int],
        settings: WideSettings,
        histories: Histories,
        counts: Tensor | None = None,
    ) -> None:
        """Make the supernet of all that `settings` offer; raises `SpaceError` with all that is wrong with them."""
        settings.check()
        groups = groups_of(settings)
        super().__init__(
            sizes, settings, {group.name: (group.candidates,) * group.choices for group in groups}, histories, counts
        )
        self.groups = groups
        if settings.biases == ("off",):  # alone it has its turn, as every candidate without a rival
            self.silent = frozenset()  # type: ignore[misc]

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights; biases start small but not zero, or no slope would reach their choice."""
        super().reset(generator)
        if self.bias is not None and self.offset is not None:
            for parameter in (self.bias, self.offset):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * _BIAS_START)

    def constrain(self, scores: dict[str, Tensor]) -> Active:
        """Return the point with the largest sum of scores among those that may be found; ties go to the lowest index.

        Where the best point is additive and may not be, the branch changes whose best other pair of operation and
        predictor costs least.
        """
        best = {name: tuple(score.argmax(dim=-1).tolist()) for name, score in scores.items()}
        if self.settings.additive or not self._additive(best):
            return best
        offered = [(o, p) for o in range(len(self.settings.operations)) for p in range(len(self.settings.predictors))]
        allowed = [pair for pair in offered if not self._adds(*pair)]
        operation, predictor = scores["operation"].tolist(), scores["predictor"].tolist()
        options = []
        for branch in range(self.settings.branches):
            o, p = max(allowed, key=lambda pair: operation[branch][pair[0]] + predictor[branch][pair[1]])
            now = operation[branch][best["operation"][branch]] + predictor[branch][best["predictor"][branch]]
            options.append((now - operation[branch][o] - predictor[branch][p], branch, o, p))
        _, branch, o, p = min(options)
        changed = {"operation": o, "predictor": p}
        return best | {name: (*best[name][:branch], pick, *best[name][branch + 1 :]) for name, pick in changed.items()}

    def _adds(self, operation: int, predictor: int) -> bool:
        return (self.settings.operations[operation], self.settings.predictors[predictor]) in ADDITIVE_PAIRS

    def _additive(self, active: Active) -> bool:
        return all(map(self._adds, active["operation"], active["predictor"]))

    def random_point(self, generator: torch.Generator) -> Active:
        """Return a uniformly drawn selection that may be found."""
        while True:
            active = {
                group.name: tuple(torch.randint(len(group.candidates), (group.choices,), generator=generator).tolist())
                for group in self.groups
            }
            if self.settings.additive or not self._additive(active):
                return active

    def points(self) -> Iterator[Active]:
        """Yield every selection that may be found, in a fixed order."""
        return (active for active in super().points() if self.settings.additive or not self._additive(active))

    def _choices(self, active: Active) -> dict[str, tuple[str | None, ...]]:
        return {group.name: tuple(group.candidates[index] for index in active[group.name]) for group in self.groups}

    def genotype(self, active: Active) -> Genotype:
        """Return the choices by name, and the settings."""
        return wide_genotype(self._choices(active), self.settings)

    def family(self, active: Active) -> str:
        """Return one name for all points that are the same set of functions (see `wide_points.family_of`)."""
        return family_of(self._choices(active), self.settings)

    def representative(self, active: Active) -> Active:
        """Return the same point with `sum` in place of `linear` where the weights can move into the embeddings.

        So it is of a product with identity element-wise networks: w . (u * v) is the sum of u * v under other
        embeddings, and trains slower by the weights that it does not need.
        """
        if "sum" not in self.settings.predictors or "linear" not in self.settings.predictors:
            return active
        plain = self.settings.predictors.index("sum")
        chosen = self._choices(active)
        parts = zip(chosen["operation"], chosen["elementwise"], chosen["predictor"], active["predictor"], strict=True)
        picks = tuple(
            plain if (operation, network, predictor) == ("multiply", "identity", "linear") else pick
            for operation, network, predictor, pick in parts
        )
        return {**active, "predictor": picks}

    def selection(self, genotype: Genotype) -> Active:
        """Return the live candidates that a genotype names; refuses an additive one where the settings do."""
        active = super().selection(genotype)
        if not self.settings.additive and self._additive(active):
            raise GenotypeError(additive_reason(genotype))
        return active

    def build(self, genotype: Genotype) -> WideNetwork:
        """Return the plain network of a genotype, on this space's device, with this space's histories and counts."""
        self.selection(genotype)
        sizes = self.sizes[0], self.sizes[1]
        return WideNetwork(sizes, genotype, self.histories, self.counts).to(self.user_starts.device)
