"""The recipes that ship with the package, as text."""

from nasp_core.errors import did_you_mean
from sif.errors import RecipeError
from sif.resources import resource_dir

__all__ = ["recipe_names", "recipe_text"]


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return sorted(path.stem for path in resource_dir("recipes").glob("*.toml"))


def recipe_text(name: str) -> str:
    """Return the text of a shipped recipe; raises `RecipeError` with the nearest name when there is none."""
    names = recipe_names()
    if name not in names:
        hint = did_you_mean(name, names, "Did you mean {}? ")
        raise RecipeError(f'no recipe "{name}". {hint}There are: {", ".join(names)}')
    return (resource_dir("recipes") / f"{name}.toml").read_text(encoding="utf-8")
