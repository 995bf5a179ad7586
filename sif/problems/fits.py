"""Whether the embeddings of a recipe fit into memory, before they are built."""

from __future__ import annotations

from typing import Any

import torch

from sif.device import FLOAT, available, check_fits, trained_bytes
from sif.encodings import encoding, parts_of
from sif.problems.recipes import Recipe
from sif.spaces.build import MODES, parameters_of, small_space

__all__ = ["check_tables"]


def check_tables(recipe: Recipe, sizes: tuple[int, ...], device: torch.device) -> None:
    """Raise `RecipeError` where the embeddings of so many users and items, and their training, cannot fit."""

    def needed(dim: int) -> int:
        space = recipe.space.model_copy(update={"embedding_dim": dim})
        settings = recipe.model_copy(update={"space": space}).settings()
        two, three = (parameters_of(small_space(space.name, settings, count)) for count in (2, 3))
        modes = MODES[space.name]
        count = two + (three - two) * (sum(sizes) - 2 * modes) // modes
        layers = FLOAT * _layers(recipe) * sum(sizes) * dim
        return layers + max(trained_bytes(count, recipe.training(which)) for which in ("search", "train"))

    def refuse(why: str) -> None:
        dim = recipe.space.embedding_dim // 2
        while dim and needed(dim) > (available(device) or 0):
            dim //= 2
        fix = f"--set space.embedding_dim={dim} fits" if dim else "leave out users or items"
        recipe.refuse([recipe.problem("space.embedding_dim", f"{sum(sizes):,} users and items: {why}; {fix}")])

    check_fits(needed(recipe.space.embedding_dim), device, refuse)


def _layers(recipe: Recipe) -> int:
    """Return how many tables of all users and items a forward pass makes besides, and keeps for the backward one."""
    offered = {part for name in getattr(recipe.space, "encodings", ()) for part in parts_of(name)}
    if not any(encoding(part).tied == "both" for part in offered):
        return 0
    settings: Any = recipe.settings()
    return int(2 * settings.propagation_steps * settings.branches)  # of each layer its values and their gradient
