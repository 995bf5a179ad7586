"""What a budget buys, in words: before a study, when a training has been timed, and at the end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sif.toml import toml_literal

if TYPE_CHECKING:
    from sif.studies.study import Study

__all__ = ["beforehand", "ended", "missing", "pinned", "priced", "used_up"]

_SECONDS = 2e-6
"""Of a processor for one row and epoch, roughly."""
_START = 0.3
"""Seconds of a training whatever the table is: the first steps, and the evaluations."""
_SHARE = 0.25
"""Of a full training that one costs on average: most are short, on the lower rungs."""
_OTHERS = 0.4
"""Of the budget that goes into rivals, the supernet and the end."""


def beforehand(study: "Study") -> str:
    """Return what a study is going to do with its budget."""
    instance, limit = study.instance, study.limit
    if study.steps.closed:
        return f"repeats {len(study.steps.past)} trainings, whatever time they take"
    if study.steps.known:
        return f"budget {limit}: goes on after {study.steps.known} steps"
    asked = instance.recipe.study.budget.strip().lower()
    rows = len(instance.data.interactions)
    auto = f" (auto: {rows:,} rows)" if asked == "auto" else ""
    classics = study.classics.names if study.classics is not None else ()
    points = [name for name in instance.recipe.baselines.names if name not in classics]
    rivals = ", ".join((*classics, *points))
    if limit.seconds is None:
        return f"budget {limit}: trainings, rivals among them{rivals and f' ({rivals})'}"
    full = _START + _SECONDS * rows * instance.training({}).epochs
    return f"budget {limit}{auto}: {_about(limit.seconds * (1 - _OTHERS), full)}{rivals and f', rivals {rivals}'}"


def pinned(recipe: Any) -> tuple[str, ...]:
    """Return what a study of a recipe does not search, in a note; none where it searches all that it may."""
    told = [f"{key} = {toml_literal(recipe.value(key))}" for key in recipe.pinned]
    if not told:
        return ()
    if len(told) == 1:
        return (f"{told[0]} is yours: it is not searched",)
    return (f"{', '.join(told[:-1])} and {told[-1]} are yours: they are not searched",)


def priced(seconds: float, remaining: float | None) -> str:
    """Return what a full training takes, and how many trainings are left.

    Args:
        seconds: Of a full training.
        remaining: Of the budget; None where it is not of seconds.
    """
    if remaining is not None and seconds > remaining:
        return f"a full training takes about {seconds:,.0f} s, more than what is left: shorter ones must do"
    more = "" if remaining is None else f": {_about(max(0.0, remaining) * (1 - _OTHERS), seconds)} more"
    return f"a full training takes {seconds:.2g} s{more}"


def missing(rival: str) -> str:
    """Return why a study cannot go on whose rival does not run here any more.

    Args:
        rival: Its name.
    """
    return (
        f"rival {rival} was trained in this study and cannot run here now: a package is missing, or memory is\n"
        "  Free some memory, install what `sif doctor` names, or search anew."
    )


def used_up(tried: int) -> str:
    """Return that nothing is left to propose.

    Args:
        tried: How many configurations were.
    """
    every = f"all {tried} configurations were" if tried > 1 else "its one configuration was"
    left = "full trainings and rivals have what is left of the budget, as far as they need it"
    return f"the space is used up, {every} tried: {left}"


def _about(seconds: float, full: float) -> str:
    number = max(1, round(seconds / (_SHARE * max(full, 1e-3))))
    return f"about {number:,} training{'s' if number != 1 else ''}"


def ended(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how a study ended, where a reader of its result should know: stopped, or a repetition."""
    told = result.get("study") or {}
    if repeats := told.get("repeats"):
        return (repeats["differs"] or f"equal: all {repeats['trainings']} trainings have the values of that run",)
    if not told.get("interrupted"):
        return ()
    done = f"{told['trials']} trainings and {told['rival_trials']} of rivals"
    return (f"interrupted after {done}, of a budget of {told['budget']}: the best so far; sif search --resume goes on",)
