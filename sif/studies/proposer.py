"""Configurations proposed by what was trained: the surrogate on a recipe's space and the ranges of its settings."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from nasp_core.types import derive_seed
from sif.problems.tables import TableInstance
from sif.ranges import AnyOf, Dimension, SettingsSpace
from sif.spaces.build import small_space
from sif.spaces.wide_settings import BRANCH_KEY, BRANCHES
from sif.studies.configuration import Configuration
from sif.studies.configuration_space import ConfigurationSpace, PlainConfiguration
from sif.studies.sampler import ConfigurationSampler
from sif.studies.trials import StudyTrial

__all__ = ["Proposer"]

_STARTUP = 10  # results before the first model


class Proposer:
    """Configurations of the largest expected improvement on what was trained, architecture and settings together.

    The number of added functions is a setting as others are; what a smaller function does not have is the first
    candidate. Values of trials beyond the ranges count as the nearest value in them.
    """

    def __init__(self, instance: TableInstance, settings: SettingsSpace) -> None:
        """Take the space of a recipe.

        Args:
            instance: The table.
            settings: Ranges of settings, by dotted key of the recipe; left out are those that its space does not have,
                and those that are pinned there.
        """
        recipe = instance.recipe
        self._seed, self._branches = recipe.seed, getattr(recipe.space, "branches", None)
        pinned, counts = recipe.pinned, [self._branches]
        if self._branches is not None and BRANCH_KEY not in pinned:
            counts = sorted({*BRANCHES, self._branches})
        changed = {count: recipe.changed({} if count is None else {BRANCH_KEY: count}) for count in counts}
        self._spaces = {count: small_space(each.space.name, each.settings()) for count, each in changed.items()}
        free = {key: each for key, each in settings.items() if key not in pinned}
        ranges: dict[str, Dimension] = {key: each for key, each in free.items() if recipe.has(key)}
        if len(counts) > 1:
            ranges[BRANCH_KEY] = AnyOf(tuple(counts), ordered=True)
        self._own = {key: recipe.value(key) for key in ranges}
        self._groups = self._spaces[counts[-1]].groups
        names = {_name(group.name, place): group for group in self._groups for place in range(group.choices)}
        choices = {name: AnyOf(tuple(group.candidates)) for name, group in names.items()}
        self.space = ConfigurationSpace(choices, ranges, self._canonical)
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._told = 0

    def ask(self, trials: Sequence[StudyTrial], maximise: bool, known: set[str]) -> Configuration | None:
        """Return a configuration that is not known yet; None where there is no other.

        Args:
            trials: What was trained, those of the last proposal and more: it depends on them and on the recipe's
                seed alone.
            maximise: Whether more is better.
            known: Keys of configurations not to propose again.
        """
        sign = 1.0 if maximise else -1.0
        for trial in trials[self._told :]:
            if trial.value is not None or trial.epochs:  # without both the budget ended in the middle
                value = float("nan") if trial.value is None else sign * trial.value
                self._sampler.tell(self._plain(trial.configuration), value, trial.fidelity)
        self._told = len(trials)
        while (plain := self._sampler.ask()) is not None and (made := self._configuration(plain)).key in known:
            pass  # what was asked is not asked again
        self._sampler.forget()
        return None if plain is None else made

    def drawn(self, number: int) -> Configuration:
        """Return a configuration drawn evenly from all.

        Args:
            number: Of the draw: it depends on this and on the recipe's seed alone.
        """
        generator = np.random.default_rng(derive_seed(self._seed, "drawn", str(number)))
        return self._configuration(self.space.decode(generator.random(len(self.space.dimensions))), "drawn")

    @cached_property
    def _sampler(self) -> ConfigurationSampler:
        """The sampler, once it is asked: it loads Optuna, which takes half a second."""
        return ConfigurationSampler(self.space, self._seed, startup=_STARTUP)

    def _plain(self, configuration: Configuration) -> PlainConfiguration:
        """Return a configuration of a study as one of the space."""
        names = {
            _name(group.name, place): name
            for group in self._groups
            for place, name in enumerate(configuration.choices[group.name])
        }
        own = self._own | dict(configuration.settings)
        settings = {key: each.nearest(own[key]) for key, each in self.space.settings.items()}
        filler = {name: each.choices[0] for name, each in self.space.architecture.items()}
        return {"architecture": filler | names, "settings": settings}

    def _configuration(self, plain: PlainConfiguration, by: str = "surrogate") -> Configuration:
        """Return a configuration of the space as one of a study."""
        settings, architecture = dict(plain["settings"]), plain["architecture"]
        small = self._spaces[settings.get(BRANCH_KEY, self._branches)]
        if settings.get(BRANCH_KEY) == self._branches:
            settings.pop(BRANCH_KEY, None)
        choices = {
            group.name: tuple(str(architecture[_name(group.name, place)]) for place in range(group.choices))
            for group in small.groups
        }
        return Configuration(choices, settings, by)

    def _canonical(self, plain: PlainConfiguration) -> PlainConfiguration:
        """Return the configuration with the architecture that is trained in its place."""
        count = plain["settings"].get(BRANCH_KEY, self._branches)
        key = count, *plain["architecture"].values()
        if key not in self._known:
            self._known[key] = self._trained(self._spaces[count], plain["architecture"])
        return {"architecture": dict(self._known[key]), "settings": plain["settings"]}

    def _trained(self, small: Any, architecture: Mapping[str, Any]) -> dict[str, Any]:
        scores = {}
        for group in small.groups:
            names = [architecture[_name(group.name, place)] for place in range(group.choices)]
            picks = torch.tensor([group.candidates.index(name) for name in names])
            scores[group.name] = torch.nn.functional.one_hot(picks, len(group.candidates)).float()
        active = small.canonical(small.constrain(scores))
        found = {name: each.choices[0] for name, each in self.space.architecture.items()}
        for group in small.groups:
            for place, pick in enumerate(active[group.name]):
                found[_name(group.name, place)] = group.candidates[pick]
        return found


def _name(group: str, place: int) -> str:
    return f"{group}.{place}"
