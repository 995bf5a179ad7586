"""Ask for configurations, tell their results: proposals from outside first, then those of Optuna's engine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from nasp_core.trials.from_optuna import new_study
from nasp_core.types import derive_seed
from sif.errors import RunError
from sif.studies.settings import ConfigurationSpace, PlainConfiguration

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["ConfigurationSampler"]

_DRAWS = 20  # of an engine that proposes what is known, before a random one is taken


class ConfigurationSampler:
    """Propose configurations of a space, each once.

    What it proposes follows from the space, the seed, what was enqueued and the results told, in order: a sampler that
    is made again and told the same goes on as if nothing had been.

        sampler = ConfigurationSampler(space, seed=0)
        sampler.enqueue(portfolio_entry, priority=1)
        while (configuration := sampler.ask()) is not None:
            sampler.tell(configuration, validated(configuration))

    Args:
        space: The configurations.
        seed: Of all that is random.
        startup: Results before the default engine's first model.
        engine: Seed to a sampler of Optuna, made anew for each proposal; None: `SurrogateSampler`. In a space of
            conditions (`ConfigurationSpace.canonical`) its draws are turned into what is trained.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        seed: int = 0,
        *,
        startup: int = 10,
        engine: Callable[[int], BaseSampler] | None = None,
    ) -> None:
        self.space, self.seed = space, seed
        import optuna  # here, for it takes half a second

        from sif.studies import optuna_trials
        from sif.studies.surrogate_sampler import SurrogateSampler

        self._trials, self._study = optuna_trials, new_study(optuna)
        self._engine, self._own = engine, SurrogateSampler(space, seed, startup)
        self._queue: list[tuple[float, PlainConfiguration]] = []
        self._numbers: dict[str, int] = {}  # of the trials that wait for their result
        self._told: set[str] = set()
        self._results = 0

    def enqueue(self, configuration: Any, *, priority: float = 0.0) -> None:
        """Let a configuration be proposed before the engine is asked; one that is known by then is passed over.

        Args:
            configuration: Plain data (`PlainConfiguration`).
            priority: The larger are first; equals in the order they came.

        Raises:
            RecipeError: It does not belong to the space; all that is wrong is listed.
        """
        self._queue.append((priority, self.space.check(configuration, "an enqueued configuration")))
        self._queue.sort(key=lambda each: -each[0])

    def ask(self) -> PlainConfiguration | None:
        """Return the next configuration to try, None when the space has no other; what was asked need not be told."""
        configuration = self._enqueued() or self._proposed()
        if configuration is not None:
            number = self._trials.record(self._study, self.space, configuration, None, 1.0)
            self._numbers[self.space.key(configuration)] = number
        return configuration

    def tell(self, configuration: Any, value: float, fidelity: float = 1.0) -> None:
        """Learn the result of a configuration, whoever proposed it; it may be told at several fidelities.

        Args:
            configuration: Plain data (`PlainConfiguration`).
            value: The larger the better; what is not finite is a training that failed.
            fidelity: The share of the full schedule that it was trained on, in (0, 1].

        Raises:
            RecipeError: It does not belong to the space.
            RunError: The fidelity is not in (0, 1].
        """
        if not 0 < fidelity <= 1:
            raise RunError(f"fidelity = {fidelity!r}; give the share of the full schedule: above 0, up to 1")
        known = self.space.check(configuration, "a told configuration")
        key, value = self.space.key(known), float(value) if math.isfinite(value) else -math.inf
        if key in self._numbers:
            self._trials.give_up(self._study, self._numbers.pop(key))
        self._trials.record(self._study, self.space, known, value, fidelity)
        self._told.add(key)
        self._results += 1

    def _enqueued(self) -> PlainConfiguration | None:
        while self._queue:
            _, configuration = self._queue.pop(0)
            if not self._known(configuration):
                return configuration
        return None

    def _proposed(self) -> PlainConfiguration | None:
        grid = self.space.grid
        if grid is not None and len(self._told | self._numbers.keys()) >= len(grid):
            return None
        results = self._results + len(self._numbers)
        for engine in itertools.chain(self._engines(results), [self._own]):
            configuration = self._trials.draw(self._study, engine, self.space)
            if not self._known(configuration):
                return configuration
        return None

    def _engines(self, results: int) -> Iterator[BaseSampler]:
        for draw in range(_DRAWS if self._engine else 0):
            assert self._engine is not None
            yield self._engine(derive_seed(self.seed, "engine", results, draw) % 2**32)

    def _known(self, configuration: PlainConfiguration) -> bool:
        return self.space.key(configuration) in self._told | self._numbers.keys()
