"""`sif recipes` and `sif datasets`: what ships, and where data come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sif.cli.app import JsonOption, console, data_root, emit, guarded
from sif.cli.tables import print_table
from sif.errors import DataError, RecipeError
from sif.recipes import recipe_names, recipe_text
from sif.sheet import Line, Table

__all__ = ["datasets", "recipes"]

recipes = typer.Typer(help="List, print, copy and check recipes.", no_args_is_help=True)
datasets = typer.Typer(help="List, fetch and describe data sets.", no_args_is_help=True)


@recipes.command("ls")
@guarded
def list_recipes(as_json: JsonOption = False) -> None:
    """List the recipes that ship, each with its first comment line."""
    about = {name: recipe_text(name).partition("\n")[0].lstrip("# ") for name in recipe_names()}
    if as_json:
        emit(about)
        return
    print_table(Table(("recipe", "about"), tuple(map(Line, about.items())), text=(0, 1)))


@recipes.command("cat")
@guarded
def print_recipe(name: str) -> None:
    """Print a recipe."""
    console.out(recipe_text(name), end="", highlight=False)


@recipes.command("cp")
@guarded
def copy_recipe(name: str, destination: Path) -> None:
    """Copy a recipe to a file of your own."""
    text = recipe_text(name)
    if destination.is_dir():
        destination = destination / f"{name}.toml"
    if destination.exists():
        raise RecipeError(f"{destination} exists; give another name, or remove it")
    if not destination.parent.is_dir():
        raise RecipeError(f"no folder {destination.parent}; make it first")
    destination.write_text(text, encoding="utf-8")
    console.print(f"{destination}\nnext    sif search --recipe {destination}")


@recipes.command("validate")
@guarded
def validate_recipe(file: str) -> None:
    """Check a recipe file (or a shipped recipe) and report all of its problems."""
    from sif.problems import check_recipe
    from sif.recipes import load_recipe

    recipe = load_recipe(file)
    for budget in getattr(recipe, "budgets", None) or [""]:
        chosen = load_recipe(file, budget=budget)
        check_recipe(chosen)
    console.print(f"{file}: fits")


@datasets.command("ls")
@guarded
def list_datasets(as_json: JsonOption = False) -> None:
    """List the known data sets and whether a copy is on this machine."""
    from sif.datasets import catalogue, locate

    rows = {
        entry.name: {
            "title": entry.title,
            "aliases": list(entry.aliases),
            "here": str(found) if (found := locate(entry, data_root())) else None,
        }
        for entry in catalogue().values()
    }
    if as_json:
        emit(rows)
        return
    lines = (
        Line((name, str(row["title"]), ", ".join(row["aliases"] or ()), "yes" if row["here"] else "no"))
        for name, row in rows.items()
    )
    print_table(Table(("data set", "title", "also called", "here"), tuple(lines), text=(0, 1, 2, 3)))


@datasets.command("fetch")
@guarded
def fetch_dataset(name: str) -> None:
    """Find or download a data set, checked, and say where it is."""
    from sif.datasets import fetch, find_entry

    console.print(str(fetch(find_entry(name), data_root())))


@datasets.command("describe")
@guarded
def describe_dataset(
    source: str,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Name a column, columns.user=reader, or say feedback=counts."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a data set, or a file of ratings of your own: sizes, scales, and the rules that reading applied."""
    from sif.cli.words import note_two_meanings
    from sif.datasets import (
        ColumnNames,
        CorpusEntry,
        PicturesEntry,
        find_entry,
        is_path,
        read,
        read_corpus,
        read_pictures,
    )

    if not as_json:
        note_two_meanings(source)
    reader: Callable[..., Any] = read
    named: dict[str, Any] = dict(map(_column, changes or []))
    if not is_path(source):
        entry = find_entry(source)
        reader = read_pictures if isinstance(entry, PicturesEntry) else reader
        reader = read_corpus if isinstance(entry, CorpusEntry) else reader
    data = reader(source, root=data_root(), **({"columns": ColumnNames(**named)} if reader is read else {}))
    facts = data.describe() | {"fingerprint": data.fingerprint()}
    if as_json:
        emit(facts)
        return
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict) and "told" in value:
            value = value["told"].removeprefix(f"{key}: ")
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "\n".join(map(str, value))
        lines.append(Line((key, str(value))))
    print_table(Table(("", ""), tuple(lines), text=(0, 1)))


def _column(change: str) -> tuple[str, str]:
    """The role and the name that `--set columns.ROLE=NAME` gives."""
    from sif.datasets.columns import ROLES

    key, sign, name = change.partition("=")
    table, _, role = key.strip().partition(".")
    if (key.strip(), sign) == ("feedback", "="):
        return "feedback", name.strip().strip("\"'")
    roles = (*ROLES, "header")
    if not sign or table != "columns" or role not in roles:
        raise DataError(f"--set {change} names no column\n  Give columns.ROLE=NAME; roles are {', '.join(roles)}.")
    name = name.strip()
    return role, name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'" else name
