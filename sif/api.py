"""The library's face: `search` a table, `load` a run."""

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sif.errors import DataError
from sif.host import TemporaryFolder, shielded
from sif.problems import open_recipe, problem_of
from sif.problems import problem as problem_named
from sif.problems.suited import open_suited
from sif.protocols import ask
from sif.recipes import BaseRecipe, changes_of, load_recipe
from sif.recipes.changes import Change
from sif.run_directory import RunDirectory
from sif.runs.after import retrain, score
from sif.runs.engine import execute
from sif.runs.published import judge_run
from sif.runs.rank import rank_run
from sif.studies import conduct
from sif.studies.bought import ended

__all__ = ["execute", "judge_run", "load", "load_cells", "rank_run", "retrain", "score", "search", "search_cells"]


@shielded(draws=True)
def search(
    data: Any = None,
    strategy: Any = None,
    *,
    protocol: str = "",
    recipe: str | Path | BaseRecipe | None = None,
    budget: str = "",
    refit: bool | None = None,
    settings: Mapping[str, Any] | None = None,
    problem: Any = None,
    operations: Sequence[Any] | None = None,
    encodings: Sequence[Any] | None = None,
    reader: Any = None,
    feedback: str = "",
    goal: str = "",
    titles: str | Path | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    root: Path | None = None,
) -> Any:
    """Search the architecture that fits the data best, and return the finished run.

    An interrupt (Ctrl-C, or a notebook's stop) ends a search with a budget: the run has the best so far, with a warning
    and `result["study"]["interrupted"]`. A second one, or one before there is any model, is a KeyboardInterrupt.

    Args:
        data: a path, frame, sparse matrix, `Interactions`, `Pictures`, `Corpus`, or name of a data set; None takes the
            recipe's own.
        strategy: instead of the recipe's: a name, `package.module:object`, or a strategy of your own (an object, or
            what makes one).
        protocol: a published protocol (docs/protocols.md); `data` says where its files are.
        recipe: a name, a file, or a recipe; None: `ratings` of a table of ratings, else `clicks`.
        budget: of a table what a study may spend: `2m`, `40trials` or `auto` (docs/study.md); of cells `smoke`,
            `quick` or `full`.
        refit: whether what a study chose is trained once more, on training and validation part; None: as the recipe
            says, or where training and test part are given alone (docs/study.md).
        settings: overrides the recipe by dotted key (`{"search.epochs": 5}`) or table (`{"search": {"epochs": 5}}`);
            numbers may be numpy's or torch's.
        problem: instead of the recipe's `task`: a name, `package.module:object`, or a `Problem` of your own.
        operations: instead of the recipe's (of a normal cell, where there are two): names, and operations of your own.
        encodings: of the wide space, instead of the recipe's: names, and encodings of your own.
        reader: what makes a frame of `data`, where nothing here can (`sif.datasets.readers.Reader`, or its name).
        feedback: what the values of a table are, where sif takes them for something else: `ratings`, `counts`,
            `clicks`, `impressions` or `signed`.
        goal: of a study of ratings, what is searched: `both` (what predicts them, and what orders lists), `rating` or
            `ranking` (docs/study.md).
        titles: a table of item ids and titles, for what `recommend` shows.
        seed: instead of the recipe's.
        out: the run directory to make. Without it the run lies in a temporary folder that lives as long as the
            returned object.
        device: `auto`, `cpu` or `cuda`.
        root: folder of data sets.

    Returns:
        A `Run` of tables, a `CellRun` of cells: what the problem's runs are.

    Raises:
        DataError: the data cannot be used; before anything is written.
        RecipeError: the recipe has problems; before anything is written.
    """
    since = time.monotonic()
    named = {"task": problem, "reader": reader, "titles": None if titles is None else str(titles)}
    named |= {"feedback": feedback or None, "study.goal": goal or None, "study.refit": refit}
    named |= {"space.operations": operations, "space.encodings": encodings}
    given = {key: value for key, value in named.items() if value is not None}
    changes = changes_of({**(settings or {}), **given}, strategy, seed)
    if protocol:
        data, recipe, own_values = _under(protocol, data, recipe)
        changes = [*own_values, *changes]
    if isinstance(recipe, BaseRecipe) and (changes or budget):
        raise DataError("give settings with a recipe by name or file; change a Recipe value with model_copy")
    on_disk = isinstance(data, str | Path)
    update = {} if data is None else {"dataset": str(data) if on_disk else ""}

    def make(given: str | Path | BaseRecipe) -> Any:
        loaded = given if isinstance(given, BaseRecipe) else load_recipe(given, changes, budget)
        return loaded.model_copy(update=update)

    opening: dict[str, Any] = {"source": None if on_disk else data, "device": device, "root": root}
    if recipe is None:
        instance = open_suited(make, [change.key for change in changes], **opening)
    else:
        instance = open_recipe(make(recipe), **opening)
    keep = TemporaryFolder() if out is None else None
    directory = RunDirectory.create(keep.path if keep is not None else Path(out or ""), instance.name)
    conduct(instance, directory, since=since)
    run = problem_of(instance.recipe).run(directory, keep)
    if (run.result.get("study") or {}).get("interrupted"):
        warnings.warn(ended(run.result)[0], stacklevel=3)
    return run


def _under(protocol: str, data: Any, recipe: Any) -> tuple[str, Any, list[Change]]:
    """Return the data and the recipe of a protocol, and what it changes."""
    if not isinstance(data, str | Path):
        raise DataError(f"protocol {protocol} reads files of its own; give their folder as data")
    if isinstance(recipe, BaseRecipe):
        raise DataError("give a protocol with a recipe by name or file")
    asked = ask(protocol, data, recipe or "")
    return asked.dataset, recipe or asked.protocol.recipe, asked.changes(f"protocol {protocol}")


def load(path: str | Path) -> Any:
    """Open a finished run directory, of any problem; raises `RunError` saying what is missing."""
    directory = RunDirectory.open(path, needs="result.json")
    return problem_named(directory.result()["task"]).run(directory)


def search_cells(recipe: str | Path, data: Any = None, **more: Any) -> Any:
    """Search the cell that does best on pictures or text; as `search`, with the recipe first.

    Args:
        recipe: A name (`cifar10`, `ptb`), a file, or a recipe.
        data: As in `search`.
        **more: What else `search` takes.
    """
    return search(data, recipe=recipe, **more)


load_cells = load
