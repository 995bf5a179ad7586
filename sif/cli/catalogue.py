"""`sif recipes` and `sif datasets`: what ships, and where data come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sif.cli.app import app, console, data_root, emit, guarded
from sif.datasets import (
    Corpus,
    CorpusEntry,
    Interactions,
    Pictures,
    PicturesEntry,
    catalogue,
    fetch,
    find_entry,
    locate,
    read,
    read_corpus,
    read_pictures,
)
from sif.errors import RecipeError
from sif.problems import check_recipe
from sif.recipes import load_recipe, recipe_names, recipe_text

__all__ = ["datasets", "recipes"]

recipes = typer.Typer(help="List, print, copy and check recipes.", no_args_is_help=True)
datasets = typer.Typer(help="List, fetch and describe data sets.", no_args_is_help=True)
app.add_typer(recipes, name="recipes")
app.add_typer(datasets, name="datasets")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


@recipes.command("ls")
@guarded
def list_recipes(as_json: JsonOption = False) -> None:
    """List the recipes that ship, each with its first comment line."""
    about = {name: recipe_text(name).partition("\n")[0].lstrip("# ") for name in recipe_names()}
    if as_json:
        emit(about)
        return
    table = Table("recipe", "about")
    for name, text in about.items():
        table.add_row(name, text)
    console.print(table)


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
    console.print(f"{destination}\nnext    sif search --recipe {destination}", markup=False)


@recipes.command("validate")
@guarded
def validate_recipe(file: str) -> None:
    """Check a recipe file (or a shipped recipe) and report all of its problems."""
    recipe = load_recipe(file)
    for budget in getattr(recipe, "budgets", None) or [""]:
        chosen = load_recipe(file, budget=budget)
        check_recipe(chosen)
    console.print(f"{file}: fits", markup=False)


@datasets.command("ls")
@guarded
def list_datasets(as_json: JsonOption = False) -> None:
    """List the known data sets and whether a copy is on this machine."""
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
    table = Table("data set", "title", "also called", "here")
    for name, row in rows.items():
        table.add_row(name, str(row["title"]), ", ".join(row["aliases"] or ()), "yes" if row["here"] else "no")
    console.print(table)


@datasets.command("fetch")
@guarded
def fetch_dataset(name: str) -> None:
    """Find or download a data set, checked, and say where it is."""
    console.print(str(fetch(find_entry(name), data_root())), markup=False)


@datasets.command("describe")
@guarded
def describe_dataset(source: str, as_json: JsonOption = False) -> None:
    """Describe a data set, or a file of ratings of your own: sizes, scales, and the rules that reading applied."""
    reader: Callable[..., Interactions | Pictures | Corpus] = read
    if not Path(source).exists():
        entry = find_entry(source)
        reader = read_pictures if isinstance(entry, PicturesEntry) else reader
        reader = read_corpus if isinstance(entry, CorpusEntry) else reader
    data = reader(source, root=data_root())
    facts = data.describe() | {"fingerprint": data.fingerprint()}
    if as_json:
        emit(facts)
        return
    table = Table(show_header=False)
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "\n".join(map(str, value))
        table.add_row(key, str(value))
    console.print(table)
