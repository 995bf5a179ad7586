"""Arms that train what is drawn: random search of configurations, and a network of a rival under drawn settings."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count, islice

from nasp_core.evaluation import better
from nasp_core.loop import Observer, Passing
from nasp_core.network import Network
from nasp_core.search import train_genotype
from sif.errors import RaceError
from sif.problems.tables import TableInstance, baseline_of
from sif.recipes.limit import Limit
from sif.spaces.wide_settings import BRANCH_KEY
from sif.studies.proposer import Proposer
from sif.studies.trials import OutOfTime, at_fidelity

__all__ = ["BestDrawn", "RandomConfigurations", "TunedNetwork", "spend"]

_SETTINGS = 30  # of a rival that is a network at most, as a grid ends
_SHORT, _MORE = 1 / 9, 5  # of a schedule, where not one training came to its end; and how often that is tried


@dataclass(frozen=True)
class _Drawn:
    """A network to train, on the table under its settings; `told`: what it is, in words."""

    instance: TableInstance
    network: Network
    key: str
    told: str


class RandomConfigurations:
    """Configurations drawn at random from the study's own space."""

    most: int | None = None

    def __init__(self, instance: TableInstance) -> None:
        """Take the space of a recipe on its table."""
        self.instance, self.space = instance, Proposer(instance, instance.problem.settings_space)

    def __call__(self, number: int) -> _Drawn:
        """Return the network of a configuration."""
        configuration = self.space.drawn(number)
        changed = self.instance.changed(configuration.settings)
        genotype = changed.genotype(configuration.choices)
        told = f"{changed.formula(genotype)} {dict(configuration.settings)}"
        return _Drawn(changed, changed.build(genotype), genotype.key(), told)


class TunedNetwork:
    """A rival that the run's own loop trains, under the recipe's settings, then under drawn ones."""

    most = _SETTINGS

    def __init__(self, instance: TableInstance, name: str) -> None:
        """Take the rival; raises `RecipeError` where it has no network for the task."""
        self.instance, self.name, self._draws = instance, name, RandomConfigurations(instance).space
        baseline_of(instance.recipe, name)

    def __call__(self, number: int) -> _Drawn:
        """Return the network under the settings of a number."""
        settings = {**self._draws.drawn(number).settings} if number else {}
        settings.pop(BRANCH_KEY, None)  # it has its own
        changed = self.instance.changed(settings)
        network = changed.rival(baseline_of(changed.recipe, self.name)).build({})
        return _Drawn(changed, network, f"baseline/{self.name}", f"{self.name} {dict(settings)}")


@dataclass(frozen=True)
class BestDrawn:
    """The best of what was drawn, by validation.

    Attributes:
        network: Trained.
        valid: Its metrics.
        told: What it is, in words.
        trials: How many trainings came to their end.
        seconds: Of all.
    """

    network: Network
    valid: Mapping[str, float]
    told: str
    trials: int
    seconds: float


def spend(limit: Limit, drawn: RandomConfigurations | TunedNetwork) -> BestDrawn:
    """Train what is drawn in full, one after another, until the budget is spent; return the best.

    Where not one training came to its end within the budget, one follows on a ninth of its schedule, whatever it takes:
    the study's first one is such a training too.

    Args:
        limit: The budget.
        drawn: What is trained, by number.

    Raises:
        RaceError: All short trainings diverged.
    """
    began, search = time.monotonic(), _Search(drawn)
    deadline = math.inf if limit.seconds is None else began + limit.seconds
    for number in islice(count(), min(filter(None, (limit.trials, drawn.most)), default=None)):
        if time.monotonic() >= deadline:
            break
        search.train(number, 1.0, deadline)
    for number in range(_MORE):
        if search.best is None:
            search.train(number, _SHORT, math.inf)
    if search.best is None:
        raise RaceError(f"{_MORE} trainings on a ninth of the schedule diverged")
    best = search.best
    return BestDrawn(best.network, search.valid, best.told, search.trials, time.monotonic() - began)


class _Search:
    """Trains what is drawn, and keeps the best on validation."""

    def __init__(self, drawn: RandomConfigurations | TunedNetwork) -> None:
        self._drawn, self._seed = drawn, drawn.instance.recipe.seed
        self.best: _Drawn | None = None
        self.valid: dict[str, float] = {}
        self.trials = 0

    def train(self, number: int, fidelity: float, until: float) -> None:
        """Train a draw on a share of its schedule; what meets the end of the time comes to nothing."""
        one = self._drawn(number)
        task, schedule = one.instance.final_task, at_fidelity(one.instance.training({}), fidelity)
        watched = _Until(Observer(), until)
        try:
            made = train_genotype(one.network, task, schedule, key=one.key, seed=self._seed, observer=watched)
        except OutOfTime:
            return
        self.trials += 1
        value = made.metrics[task.metric]
        if math.isfinite(value) and (self.best is None or better(task, value, self.valid[task.metric])):
            self.best, self.valid = replace(one, network=made.network), made.metrics


class _Until(Passing):
    """Ends a training when the time is up."""

    def __init__(self, outer: Observer, deadline: float) -> None:
        super().__init__(outer)
        self._deadline = deadline

    def stepped(self) -> None:
        if time.monotonic() > self._deadline:
            raise OutOfTime
