"""`sif search`: from a table to a found function, a comparison and a run directory."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from nasp_core.errors import did_you_mean
from sif.cli.app import began, data_root, emit, guarded, note
from sif.cli.progress import TerminalProgress
from sif.cli.show import print_result
from sif.cli.words import data_names, note_two_meanings
from sif.datasets import is_path
from sif.errors import RecipeError, RunError
from sif.problems import open_recipe
from sif.problems.suited import open_suited
from sif.protocols import ProtocolData, ask
from sif.protocols import protocol as protocol_named
from sif.recipes import load_recipe, recipe_names
from sif.recipes.changes import Change
from sif.recipes.limit import NONE
from sif.results import refit_done
from sif.run_directory import RunDirectory
from sif.runs.after import on_its_data
from sif.studies import Limit, conduct, goes_on, refuse_spent, schedule_of

__all__ = ["search"]


@guarded
def search(
    target: Annotated[
        str, typer.Argument(metavar="TASK|FILE", help="A recipe (sif recipes ls), a data set, or a file of ratings.")
    ] = "",
    data: Annotated[str, typer.Option(help="Data to use instead of the recipe's: a file, folder or data set.")] = "",
    valid: Annotated[str, typer.Option(help="A file with the validation part; --data is then the training part.")] = "",
    test: Annotated[str, typer.Option(help="A file with the test part; --data is then the training part.")] = "",
    titles: Annotated[str, typer.Option(help="A table of item ids and titles, for what is recommended.")] = "",
    protocol: Annotated[
        str, typer.Option(help="A published protocol (sif protocols ls); --data says where its files are.")
    ] = "",
    recipe: Annotated[str, typer.Option(help="A recipe file, or the name of one.")] = "",
    strategy: Annotated[str, typer.Option(help="Search strategy, by name.")] = "",
    feedback: Annotated[
        str, typer.Option(help="What the values are: ratings, counts, clicks, impressions, signed.")
    ] = "",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe value.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory to make (default: runs/NAME-N).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and of everything drawn.")] = None,
    budget: Annotated[str, typer.Option(help="2m, 40trials or auto: a study. Cells: smoke, quick, full.")] = "",
    goal: Annotated[str, typer.Option(help="Of a study of ratings: both, rating or ranking (lists).")] = "",
    refit: Annotated[
        bool | None,
        typer.Option("--refit/--no-refit", help="Of a study: train what it chose on training and validation part."),
    ] = None,
    table: Annotated[str, typer.Option(help="NAS-Bench-201: a file of the true accuracies of all cells.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        Path | None, typer.Option(help="Go on with an interrupted run, or with any study under a larger --budget.")
    ] = None,
    repeat: Annotated[
        Path | None, typer.Option(help="Train again what a study trained, in its order, and compare the values.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json in one line instead of tables.")] = False,
) -> None:
    """Find the interaction function that fits a table of ratings, or the cell of a network, beside honest baselines."""
    since = began()
    opening: dict[str, Any] = {"device": device, "root": data_root()}
    words = (target, data, valid, test, titles, protocol, recipe, strategy, feedback, goal, table)
    own = any((*words, changes, seed is not None, refit is not None))
    directory, repeats = None, None
    if repeat is not None:
        instance, repeats = _repeated(repeat, own or bool(budget) or resume is not None, opening)
    elif resume is not None:
        directory, instance = _reopened(resume, own or out is not None, budget, opening)
    else:
        overrides: list[str | Change] = list(changes or [])
        parts = {"valid": valid, "test": test}
        if protocol:
            asked = _under(protocol, target, data, recipe, parts.values())
            target, data = target if _is_recipe(target) else "", asked.dataset
            recipe = recipe or ("" if target else asked.protocol.recipe)
            overrides[:0] = asked.changes(f"--protocol {protocol}")
            if not as_json:
                note(f"protocol {protocol}: {', '.join(filter(None, (data, asked.values.get('test'))))}")
        if strategy:
            overrides.append(f"strategy.name={json.dumps(strategy, ensure_ascii=False)}")
        if seed is not None:
            overrides.append(f"seed={seed}")
        if refit is not None:
            overrides.append(f"study.refit={json.dumps(refit)}")
        if feedback:
            overrides.append(f"feedback={json.dumps(feedback, ensure_ascii=False)}")
        if titles:
            overrides.append(f"titles={json.dumps(titles, ensure_ascii=False)}")
        if goal:
            overrides.append(f"study.goal={json.dumps(goal, ensure_ascii=False)}")
        if table:
            overrides.append(f"table={json.dumps(table, ensure_ascii=False)}")
        if not as_json:
            note_two_meanings(data or target)

        def make(base: str) -> Any:
            return _resolve(target, data, base, parts, overrides, budget)

        base = _base(target, data, recipe)
        if base:
            instance = open_recipe(make(base), **opening)
        else:
            keys = [each.partition("=")[0].strip() for each in overrides if isinstance(each, str)]
            instance = open_suited(make, keys, **opening)
    made = directory or RunDirectory.create(out, instance.name)
    for each in () if as_json else instance.notes:
        note(each)
    if goes_on(made, instance.recipe):
        with TerminalProgress(f"go on with: sif search --resume {made.path}") as progress:
            conduct(instance, made, progress=progress, repeats=repeats, since=since)
    made.clear()
    result = made.result()
    if as_json:
        emit(result | {"run": str(made.path)})
    else:
        print_result(result, made.path)
    if ((result.get("study") or {}).get("repeats") or {}).get("differs"):
        raise typer.Exit(1)


def _reopened(resume: Path, more: bool, budget: str, opening: dict[str, Any]) -> tuple[RunDirectory, Any]:
    """Return an interrupted run, or a study whose budget is raised, with its recipe on its data."""
    if more:
        raise RunError(
            f"--resume {resume} goes on with that run's own recipe; besides, give --device and --json, and of a study "
            "a larger --budget, alone"
        )
    directory = RunDirectory.open(resume)
    recipe = load_recipe(directory.path / "recipe.toml")
    study: Any = getattr(recipe, "study", None)
    if budget and (study is None or study.budget == NONE):
        raise RunError(
            f"run {resume} is no study, and has no budget to raise; go on with: sif search --resume {resume}"
        )
    if not budget or budget == study.budget:
        return directory, open_recipe(recipe, **opening)
    instance: Any = open_recipe(load_recipe(directory.path / "recipe.toml", budget=budget), **opening)
    refuse_spent(directory, Limit.parse(budget, len(instance.data.interactions)))
    return directory, instance


def _repeated(repeat: Path, more: bool, opening: dict[str, Any]) -> tuple[Any, RunDirectory]:
    """Return a finished study's recipe on its data, and where it lies."""
    if more:
        raise RunError(
            f"--repeat {repeat} takes that run's own recipe and data; besides, give --out, --device and --json alone"
        )
    directory = RunDirectory.open(repeat, needs="result.json")
    schedule_of(directory)  # refuses what cannot be repeated before anything is made
    if directory.lists() is not directory:
        schedule_of(directory.lists())
    recipe = load_recipe(directory.file("recipe.toml"), refit_done(directory.result()))
    return on_its_data(directory, recipe, lambda: open_recipe(recipe, **opening)), directory


def _base(target: str, data: str, recipe: str) -> str:
    """Return the name of the recipe that the arguments name; "" where the data are to decide."""
    if not target and not recipe and not data:
        raise RecipeError(f"nothing to search: give a recipe ({', '.join(recipe_names())}) or a file of ratings")
    if target.endswith(".toml"):
        raise RecipeError(f"{target} is a recipe, not data; give it as --recipe {target}")
    return recipe or (target if _is_recipe(target) else "")


def _under(protocol: str, target: str, data: str, recipe: str, parts: Iterable[str]) -> ProtocolData:
    """Return a protocol on the files that the arguments name."""
    known, named = protocol_named(protocol), _is_recipe(target)
    source = data or ("" if named else target)
    if not source:
        raise RecipeError(
            f"--protocol {protocol} searches files of its own; say where they are: --data FOLDER\n"
            f"  The data: {known.url}"
        )
    if target and data and not named:
        raise RecipeError(f"two sources of data: {target} and --data {data}; give one")
    if any(parts):
        raise RecipeError(f"protocol {protocol} says the parts itself; leave out --valid and --test")
    return ask(protocol, source, recipe or (target if named else ""))


def _is_recipe(target: str) -> bool:
    return target in recipe_names() and not Path(target).exists()


def _resolve(
    target: str, data: str, base: str, parts: dict[str, str], overrides: list[str | Change], budget: str
) -> Any:
    """Return a recipe on the data that the arguments name; TASK is a recipe, a data set or a file."""
    named = _is_recipe(target)
    resolved = load_recipe(base, overrides, budget)
    source = data or ("" if named and base == target else target)
    if target and data and not named:
        raise RecipeError(f"two sources of data: {target} and --data {data}; give one")
    if any(parts.values()) and not (source or resolved.dataset):
        raise RecipeError("--valid and --test go with --data, the training part")
    if any(parts.values()) and not hasattr(resolved, "valid"):
        raise RecipeError("--valid and --test are for ratings; pictures and text come with their parts")
    update: dict[str, Any] = {key: value for key, value in parts.items() if value}
    if source and not (named and source == target):
        update["dataset"] = source
        known = data_names()
        if not is_path(source) and source not in known and not getattr(resolved, "reader", ""):
            names = sorted({*recipe_names(), *known})
            hint = did_you_mean(source, names, "Did you mean {}? ")
            raise RecipeError(f"no file, recipe or data set {source!r}. {hint}There are: {', '.join(names)}")
    return resolved.model_copy(update=update)
