"""Who proposes configurations before anything is known of a table: the portfolio and the supernet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nasp_core.methods.nasp_shortlist import Shortlist, nasp_shortlist
from nasp_core.strategy import SelectContext, Strategy
from nasp_core.types import Active
from sif.problems.tables import TableInstance
from sif.spaces.build import small_space
from sif.spaces.wide_points import NAMED, named
from sif.spaces.wide_settings import BRANCH_KEY
from sif.studies.configuration import Configuration
from sif.studies.portfolio import entries_of

__all__ = ["point_entry", "portfolio", "ranking_strategy", "rival_points", "tried_first"]


def tried_first(instance: TableInstance, drawn: Callable[[], Configuration]) -> list[Configuration]:
    """Return what a study tries first: the portfolio, or a draw where there is none for the space, or is to be none.

    Args:
        instance: The table.
        drawn: Draws a configuration.
    """
    without = instance.recipe.study.without
    entries = () if "portfolio" in without else entries_of(instance.recipe.task)
    held = portfolio(instance, entries) or [drawn()]
    if "settings" not in without:
        return held
    bare = [replace(each, settings={k: v for k, v in each.settings.items() if k == BRANCH_KEY}) for each in held]
    return [*{each.key: each for each in bare}.values()]


def portfolio(instance: TableInstance, entries: Sequence[Mapping[str, Any]]) -> list[Configuration]:
    """Return the entries that the recipe's space holds, each once; what is pinned there has the recipe's own value.

    Args:
        instance: The table.
        entries: `choices` and `settings` of each, best first.
    """
    held, pinned = dict[str, Configuration](), instance.recipe.pinned
    for entry in entries:
        choices = {group: tuple(names) for group, names in entry["choices"].items()}
        settings = _with_branches(instance, choices, entry.get("settings", {}))
        settings = {key: value for key, value in settings.items() if key not in pinned}
        small = small_space(instance.recipe.space.name, instance.recipe.changed(settings).settings())
        offered = {group.name: (group.choices, set(group.candidates)) for group in small.groups}
        fits = choices.keys() == offered.keys() and all(
            len(names) == offered[group][0] and set(names) <= offered[group][1] for group, names in choices.items()
        )
        if fits:
            made = Configuration(choices, settings, "portfolio")
            held.setdefault(made.key, made)
    return [*held.values()]


def _with_branches(
    instance: TableInstance, choices: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return settings with the number of added functions that choices have, where the recipe has another."""
    branches = len(choices.get("operation", ()))
    own = getattr(instance.recipe.space, "branches", branches)
    return dict(settings) | ({} if branches in (0, own) else {BRANCH_KEY: branches})


def point_entry(name: str) -> dict[str, Any]:
    """Return a named point of the wide space as an entry of a portfolio, with the settings that it brings."""
    point, genotype = NAMED[name], named(name)
    power = {} if point.history_power is None else {"space.history_power": point.history_power}
    return {"choices": {group: list(map(str, names)) for group, names in genotype.choices.items()}, "settings": power}


def rival_points(instance: TableInstance) -> dict[str, Configuration]:
    """Return the rivals of the recipe that are points of its space, by name, as what they are.

    A rival with a setting that is pinned to another value is none.

    Args:
        instance: The table.
    """
    recipe, found = instance.recipe, dict[str, Configuration]()
    for name in recipe.baselines.names:
        entry = point_entry(name) if name in NAMED else {"choices": {}, "settings": {}}
        if all(recipe.value(key) == value for key, value in entry["settings"].items() if key in recipe.pinned):
            for each in portfolio(instance, [entry]):
                found[name] = replace(each, by=f"rival {name}")
    return found


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
