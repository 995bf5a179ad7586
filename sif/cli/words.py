"""Words that can mean two things: what lies in the working directory goes first, then recipes, then data sets."""

from pathlib import Path

from sif.cli.app import note
from sif.datasets import catalogue
from sif.recipes import recipe_names

__all__ = ["data_names", "note_two_meanings"]


def data_names() -> set[str]:
    """Return the names and aliases of all data sets."""
    return {name for entry in catalogue().values() for name in (entry.name, *entry.aliases)}


def note_two_meanings(word: str) -> None:
    """Say which of two things a word was taken for, and how the other is named; nothing for a plain word."""
    if not word or not Path(word).exists():
        return
    what = "folder" if Path(word).is_dir() else "file"
    other = f"the recipe: sif search --recipe {word}" if word in recipe_names() else ""
    other = other or ("the data set: use another working directory, or rename it here" if word in data_names() else "")
    if other:
        note(f"{word} is read as the {what} of that name here; for {other}")
