"""Who proposes configurations: the portfolio, the supernet, and changes of what did best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nasp_core.methods.nasp_shortlist import Shortlist, nasp_shortlist
from nasp_core.strategy import SelectContext, Strategy
from nasp_core.types import Active, derive_seed
from sif.problems.tables import TableInstance
from sif.settings_space import SettingsSpace
from sif.spaces.build import small_space
from sif.spaces.wide_points import NAMED, named
from sif.studies.configuration import Configuration
from sif.studies.trials import StudyTrial

__all__ = ["BRANCHES", "Neighbours", "point_entry", "portfolio", "ranking_strategy"]

_PARENTS = 5
_DRAWN = 0.2
BRANCHES = "space.branches"
"""The setting that says how many functions are added."""


def portfolio(instance: TableInstance, entries: Sequence[Mapping[str, Any]]) -> list[Configuration]:
    """Return the entries that the recipe's space holds, with the settings that the recipe knows.

    Args:
        instance: The table.
        entries: `choices` and `settings` of each, best first.
    """
    held = []
    for entry in entries:
        choices = {group: tuple(names) for group, names in entry["choices"].items()}
        settings = _with_branches(instance, choices, entry.get("settings", {}))
        small = small_space(instance.recipe.space.name, instance.recipe.changed(settings).settings())
        offered = {group.name: (group.choices, set(group.candidates)) for group in small.groups}
        fits = choices.keys() == offered.keys() and all(
            len(names) == offered[group][0] and set(names) <= offered[group][1] for group, names in choices.items()
        )
        if fits:
            held.append(Configuration(choices, settings, "portfolio"))
    return held


def _with_branches(
    instance: TableInstance, choices: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return settings with the number of added functions that choices have, where the recipe has another."""
    branches = len(choices.get("operation", ()))
    own = getattr(instance.recipe.space, "branches", branches)
    return dict(settings) | ({} if branches in (0, own) else {BRANCHES: branches})


def point_entry(name: str) -> dict[str, Any]:
    """Return a named point of the wide space as an entry of a portfolio, with the settings that it brings."""
    point, genotype = NAMED[name], named(name)
    power = {} if point.history_power is None else {"space.history_power": point.history_power}
    return {"choices": {group: list(map(str, names)) for group, names in genotype.choices.items()}, "settings": power}


@dataclass(frozen=True)
class _Ranking(Shortlist):
    """Ask the supernet, and write down whom it ranks first; nothing is trained alone."""

    ranked: list[Active] = field(default_factory=list, compare=False, repr=False)

    def select(self, context: SelectContext) -> Active:
        """Return the first."""
        self.ranked[:] = self._ranked(context)
        return self.ranked[0]


def ranking_strategy(evaluations: int, count: int) -> tuple[Strategy, list[Active]]:
    """Return NASP's search whose supernet ranks points, and the list that it fills.

    Args:
        evaluations: Of points by the supernet.
        count: How many are written down.
    """
    select = _Ranking(n_supernet_evals=evaluations, count=count, trainings=count, keep=1)
    return replace(nasp_shortlist(), select=select, name="nasp-ranking"), select.ranked


class Neighbours:
    """Configurations drawn at random, or near those that did best: one choice, or some settings, of one of them."""

    def __init__(self, instance: TableInstance, settings: SettingsSpace) -> None:
        """Take the space of a recipe.

        Args:
            instance: The table.
            settings: Ranges of settings, by dotted key of the recipe.
        """
        recipe = instance.recipe
        self._recipe, self._spaces = recipe, dict[int, Any]()
        self._settings, self._seed = settings, recipe.seed
        self._own = {key: recipe.value(key) for key in settings}

    def ask(self, number: int, trials: Sequence[StudyTrial], maximise: bool, known: set[str]) -> Configuration:
        """Return a configuration that is not known yet, where some draws find one.

        Args:
            number: Of the proposal: the draw depends on it, on the seed and on the trials alone.
            trials: What was trained.
            maximise: Whether more is better.
            known: Keys of configurations not to propose again.
        """
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "proposal", str(number)))
        parents = self._parents(trials, maximise)
        for _ in range(50):
            made = self._drawn(generator)
            if parents and float(torch.rand((), generator=generator)) >= _DRAWN:
                made = self._near(parents[int(torch.randint(len(parents), (), generator=generator))], generator)
            if made.key not in known:
                return made
        return made

    def _parents(self, trials: Sequence[StudyTrial], maximise: bool) -> list[Configuration]:
        """Return the best few: of each configuration its highest fidelity, judged among its like."""
        best: dict[str, StudyTrial] = {}
        for trial in trials:
            if trial.value is not None:
                best[trial.configuration.key] = trial
        sign = -1.0 if maximise else 1.0
        order = sorted(best.values(), key=lambda trial: (-trial.fidelity, sign * (trial.value or 0.0)))
        return [trial.configuration for trial in order[:_PARENTS]]

    def _small(self, settings: Mapping[str, Any]) -> Any:
        """Return a space of two users and two items with as many added functions as settings say."""
        branches = settings.get(BRANCHES, 0)
        if branches not in self._spaces:
            recipe = self._recipe.changed({BRANCHES: branches} if branches else {})
            self._spaces[branches] = small_space(recipe.space.name, recipe.settings())
        return self._spaces[branches]

    @staticmethod
    def _choices(small: Any, active: Active) -> dict[str, tuple[str, ...]]:
        genotype = small.genotype(small.canonical(active))
        return {group: tuple(map(str, names)) for group, names in genotype.choices.items()}

    def _drawn(self, generator: torch.Generator) -> Configuration:
        settings = {key: ranges.draw(generator) for key, ranges in self._settings.items()}
        small = self._small({})
        return Configuration(self._choices(small, small.random_point(generator)), settings, "drawn")

    def _near(self, parent: Configuration, generator: torch.Generator) -> Configuration:
        choices, settings, small = dict(parent.choices), dict(parent.settings), self._small(parent.settings)
        if float(torch.rand((), generator=generator)) < 0.5:
            groups = [group for group in small.groups if len(group.candidates) > 1]
            group = groups[int(torch.randint(len(groups), (), generator=generator))]
            place = int(torch.randint(group.choices, (), generator=generator))
            pick = group.candidates[int(torch.randint(len(group.candidates), (), generator=generator))]
            names = list(choices[group.name])
            names[place] = pick
            choices[group.name] = tuple(names)
            active = {one.name: tuple(one.candidates.index(name) for name in choices[one.name]) for one in small.groups}
            scores = {
                one.name: torch.nn.functional.one_hot(torch.tensor(active[one.name]), len(one.candidates)).float()
                for one in small.groups
            }
            choices = self._choices(small, small.constrain(scores))
        else:
            keys = list(self._settings)
            for key in keys:
                if float(torch.rand((), generator=generator)) < 2 / len(keys):
                    settings[key] = self._settings[key].near(settings.get(key, self._own[key]), generator)
        return Configuration(choices, settings, "near the best")
