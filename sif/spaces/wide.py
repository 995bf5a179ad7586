"""The wide space: how each side is encoded, which operation joins the two, and what makes a score of the result."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import GenotypeError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.types import Active, Mixture
from sif import operations
from sif.encodings import ID, encoding, parts_of, reads_history
from sif.encodings.base import Lookup
from sif.encodings.histories import Histories
from sif.encodings.side import SIDES, Side, SideTables
from sif.spaces.branch import WideBranch
from sif.spaces.wide_base import WideBase
from sif.spaces.wide_points import (
    additive_reason,
    class_of_choices,
    is_additive_point,
    plain_branch,
    wide_formula,
    wide_genotype,
)
from sif.spaces.wide_settings import NAME, VERSION, WideSettings, groups_of, settings_of

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
        self.additive = is_additive_point(genotype)
        self._only = Mixture(active={group: (0,) * len(names) for group, names in offers.items()})

    def _mixture(self, mixture: Mixture | None) -> Mixture:
        return self._only

    @property
    def branches(self) -> tuple[WideBranch, ...]:
        """The functions that are added, each an operation with its predictor."""
        return tuple(head for heads in self.heads for head in heads.values())  # type: ignore[operator]

    def lift(self, side: Side, branch: int, values: Tensor) -> Tensor:
        """Return vectors `[..., dim]` of one side after the element-wise function of a branch."""
        place, name = SIDES.index(side), self.offers["elementwise"][branch][0]
        known = reads_history(self.offers["encoding"][2 * branch + place][0])
        return self._lift(name, branch, place, known, values)

    @torch.no_grad()
    def encoded(self, side: Side, ids: Tensor | None = None) -> list[Tensor]:
        """Return per branch what it joins: vectors `[n, dim]` of a side, with whole histories.

        `ids` int64 `[n]`; None: all of that side.
        """
        place = SIDES.index(side)
        wanted = torch.arange(self.sizes[place], device=self.user_starts.device) if ids is None else ids
        lookup = Lookup(wanted)
        return [
            self._side(branch, place, self._passes(branch)[place], lookup, self._only).full()
            for branch in range(self.settings.branches)
        ]

    def tables(self, side: Side) -> list[SideTables]:
        """Return per branch what the vectors of a side are made of."""
        place, steps = SIDES.index(side), self.settings.propagation_steps
        made = []
        for branch in range(self.settings.branches):
            made_of = self._passes(branch)[place]
            of, known = made_of.tables, made_of.known
            parts = parts_of(self.offers["encoding"][2 * branch + place][0])
            tables = {name: encoding(name).read(table, known) for name, table in of.items() if name in parts}
            share = sum(encoding(name).share(steps) for name in parts)
            tables |= {ID.name: of[ID.name]} if share else {}
            made.append(SideTables(tables, known.power, known.half_life, share))
        return made

    @torch.no_grad()
    def frequency_scale(self, counts: Tensor) -> Tensor:
        """Return what scales the penalty of users `[n]` with that many training pairs (`l2_frequency`)."""
        power, n_users = self.settings.l2_frequency, self.sizes[0]
        if not power:
            return torch.ones_like(counts, dtype=torch.float32)
        known = self.histories.counts()[:n_users].clamp_min(1).float()
        constant = (self.by_pair[:n_users] * known**power).mean()
        return constant * counts.clamp_min(1).float() ** -power


class WideSpace(WideBase, Space):
    """Search encodings, element-wise functions, operations, predictors and biases of one or two added functions.

    Choices: `encoding` of user, item (of a second branch: again), `elementwise`, `operation`, `predictor` of each
    branch, and `biases`. In a branch, candidates share the embeddings; each pair of operation and predictor has its own
    predictor. Element-wise networks are weights here, trained on the training part.

    Without `additive`, points whose score is f(user) + g(item) are left out: `constrain` goes to the nearest other
    point, and `selection` refuses them.
    """

    name: ClassVar[str] = NAME
    modes: ClassVar[tuple[str, ...]] = SIDES
    reads_histories: ClassVar[bool] = True
    version: ClassVar[int] = VERSION
    zero_operations: ClassVar[frozenset[str]] = frozenset({"off"})

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
            self.zero_operations = frozenset()  # type: ignore[misc]

    @classmethod
    def make(
        cls, sizes: tuple[int, ...], settings: WideSettings, histories: Histories | None, counts: Tensor | None
    ) -> "WideSpace":
        """Return the space; without histories nothing is known of anybody."""
        users, items = sizes
        return cls((users, items), settings, histories or Histories.empty((users, items)), counts)

    @classmethod
    def network(
        cls, sizes: tuple[int, ...], genotype: Genotype, histories: Histories | None, counts: Tensor | None
    ) -> WideNetwork:
        """Return the plain network of a genotype, to be served."""
        users, items = sizes
        return WideNetwork((users, items), genotype, histories or Histories.empty((users, items)), counts)

    settings_of = staticmethod(settings_of)
    additive = staticmethod(is_additive_point)
    formula = staticmethod(wide_formula)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights; biases start small but not zero, or no gradient would reach their choice."""
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
        return operations.additive(self.settings.operations[operation], self.settings.predictors[predictor])

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

    def equivalence_class(self, active: Active) -> str:
        """Return one name for all points that are the same set of functions (see `wide_points.equivalence_class`)."""
        return class_of_choices(self._choices(active))

    def canonical(self, active: Active) -> Active:
        """Return the same point of plainer parts: what weights and blocks can move into the embeddings is not there.

        So it is of a product with a side that no element-wise function bends: w . (u * v) is the sum of u * v under
        other embeddings, and trains slower by the weights that it does not need. A fixed function of sides of ids
        alone is the identity.
        """
        chosen, offered = self._choices(active), {group.name: group.candidates for group in self.groups}
        moved = {name: list(active[name]) for name in ("elementwise", "operation", "predictor")}
        for branch in range(self.settings.branches):
            operation, predictor, elementwise = plain_branch(chosen, branch)
            now = {"elementwise": elementwise}
            if operations.operation(str(chosen["operation"][branch])).product:
                now |= {"operation": operation, "predictor": predictor}
            if all(name in offered[group] for group, name in now.items()):
                for group, name in now.items():
                    moved[group][branch] = offered[group].index(name)
        return {**active, **{name: tuple(picks) for name, picks in moved.items()}}

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
