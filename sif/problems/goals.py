"""Two questions of one table of ratings: the function that predicts them, and the one that orders lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sif.errors import RecipeError, SifError
from sif.problems.fits import check_tables
from sif.problems.recipes import Recipe, load_rating_recipe
from sif.problems.tables import TableInstance
from sif.recipes.limit import NONE
from sif.recipes.problems import problem_of
from sif.results import FOUND

__all__ = ["BOTH", "RANKING_GOAL", "RATING_GOAL", "asks_both", "goal_problems", "ranking_of", "summary_of"]

BOTH, RATING_GOAL, RANKING_GOAL = "both", "rating", "ranking"
_KEPT = ("dataset", "valid", "test", "titles", "reader", "feedback", "columns", "split", "seed", "study")
"""The keys of a recipe of ratings that its ranking has too; all others are those of the recipe of rankings."""
_ALONE = '--goal rating (in Python goal="rating")'


def goal_problems(recipe: Recipe) -> list[str]:
    """Return why a recipe cannot have the goal that it names, as lines of a message; none where it can."""
    own, goal = problem_of(recipe), recipe.study.goal
    if goal == RATING_GOAL and own.ranks:
        why = f"a recipe of task {recipe.task} orders lists, and predicts no ratings; leave the goal out"
        return [recipe.problem("study.goal", why)]
    if goal != RANKING_GOAL or own.ranks:
        return []
    if not own.rankings:
        return [recipe.problem("study.goal", f"nothing orders the lists of task {recipe.task}; leave the goal out")]
    if recipe.context != NONE:
        why = f'lists are of users and items alone, and context = "{recipe.context}"; leave the goal out'
        return [recipe.problem("study.goal", why)]
    changed = sorted(key for key in recipe.given() if key.partition(".")[0] not in (*_KEPT, "task"))
    if not changed:
        return []
    why = f"lists are searched by the recipe {own.rankings}, and {', '.join(changed)} would change nothing in it"
    return [recipe.problem("study.goal", f"{why}; give --recipe {own.rankings} instead of the goal")]


def asks_both(recipe: Recipe) -> bool:
    """Return whether a study of a recipe of ratings searches what orders lists too."""
    study = recipe.study
    able = problem_of(recipe).rankings and recipe.context == NONE
    return bool(able) and study.budget != NONE and study.goal == BOTH


def ranking_of(instance: TableInstance) -> TableInstance:
    """Return a table of ratings as a ranking: the same rows in the same parts, all of them positive.

    Args:
        instance: The ratings, opened.

    Raises:
        SifError: The ranking does not fit into memory or into a batch; with what to do.
    """
    recipe, data = instance.recipe, instance.data
    made = load_rating_recipe(problem_of(recipe).rankings)
    update = {key: getattr(recipe, key) for key in _KEPT}
    parts = tuple(part for part in recipe.study.without if part != "rivals")  # popularity always stands beside lists
    update["study"] = recipe.study.model_copy(update={"goal": RANKING_GOAL, "without": parts, "pinned": ()})
    rating = data.interactions.rating
    if rating is not None and (low := float(rating.min())) <= 0:  # else they would count as never met
        update["ranking"] = made.ranking.model_copy(update={"threshold": low})  # type: ignore[attr-defined]
    made = made.model_copy(update=update)
    try:
        check_tables(made, data.task.sizes, instance.device)
        task = problem_of(made).make_task(made, data.interactions, data.split, instance.device)
        task.stream("train", made.training("search").batch_size, 0)  # says here whether a batch has too many scores
    except SifError as error:
        raise RecipeError(
            f"{error}\n  These are the lists of the table; to search its ratings alone: {_ALONE}"
        ) from None
    return TableInstance(made, replace(data, task=task))


def summary_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the result of a run of ratings says of its ranking: what orders its lists, beside popularity."""
    handed, rows = result.get("handed"), result["rows"]
    return {
        "row": handed["name"] if handed else FOUND,
        "formula": handed["formula"] if handed else result["formula"],
        "metric": result["metric"],
        **{part: result["metrics"][part] for part in ("valid", "test")},
        "popularity": {part: rows["popularity"][part] for part in ("valid", "test")},
        "seconds": result["study"]["seconds"],
    }
