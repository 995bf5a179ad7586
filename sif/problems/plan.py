"""How the points of an interaction table are trained: one schedule a task, the same for every point."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from nasp_core.genotype import Genotype
from nasp_core.optimise import Optimiser, Training
from sif.datasets import Interactions, Split
from sif.errors import DataError
from sif.spaces.wide_settings import NAME, OFFERS, VERSION, WideSettings, settings_of
from sif.tasks import TableTask

__all__ = ["TablePlan"]


@dataclass(frozen=True, kw_only=True)
class TablePlan(ABC):
    """What all points of a table share on one task; a task that has tables has a subclass of it.

    - `metric`: what judges a point; a name of the task's metrics.
    - `maximise`: whether more of it is better.
    - `fractions`: of training, validation and test part, cut at random with seed 0 whatever the seed of a training is.
    - `settings`: the offers of the space and how weights are held.
    - `training`: the schedule; the weights of the best validation are kept.
    - `ranking`: the task's own settings, None where it has none; every table has them under this name.
    """

    metric: str
    maximise: bool
    fractions: tuple[float, float, float]
    settings: WideSettings
    training: Training
    ranking: Any = None

    @abstractmethod
    def task(self, data: Interactions, cut: Split) -> TableTask:
        """Return the task on data that are cut.

        Args:
            data: All rows.
            cut: Their parts.

        Raises:
            DataError: The task cannot use the data.
        """

    def without(self, names: Collection[str]) -> Self:
        """Return this plan in a smaller space, which does not offer the candidates `names`.

        Raises `DataError` for a name that is no candidate, `SpaceError` where a choice has none left.
        """
        offers = {setting: getattr(self.settings, setting) for setting in OFFERS}
        unknown = sorted(set(names) - {each for offered in offers.values() for each in offered})
        if unknown:
            known = ", ".join(each for offered in offers.values() for each in offered)
            raise DataError(f"no candidate {', '.join(unknown)} to leave out; there are {known}")
        left: dict[str, Any] = {
            setting: tuple(each for each in offered if each not in names) for setting, offered in offers.items()
        }
        settings = replace(self.settings, **left)
        settings.check()
        return replace(self, settings=settings)

    def describe(self) -> dict[str, Any]:
        """Return all values as plain data, ready for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return the plan that `describe` told, once it was JSON."""
        training = _tuples(told["training"])
        return cls(
            **_tuples(told)
            | {
                "settings": settings_of(Genotype(NAME, VERSION, {}, told["settings"])),
                "training": Training(**training | {"optimiser": Optimiser(**_tuples(training["optimiser"]))}),
            }
        )


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values read from JSON with lists as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
