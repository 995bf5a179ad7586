"""What the benchmarks share: one thread, a table for people, one last line of JSON for machines."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from nasp_core.search import Found, search, train_genotype
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.problems.data import Prepared, prepare
from sif.problems.recipes import Recipe, load_rating_recipe
from sif.results import hardware, versions
from sif.spaces.build import build_network, make_space

__all__ = ["Timed", "arguments", "finish", "load", "run_search", "train_found"]


def arguments(description: str, *, seeds: int) -> argparse.ArgumentParser:
    """Return a parser with the options all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds, help=f"how many seeds, from 0 (default {seeds})")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    return parser


def load(recipe: str, seed: int, *changes: str) -> tuple[Recipe, Prepared]:
    """Return a recipe with its data, on the CPU."""
    resolved = load_rating_recipe(recipe, [f"seed={seed}", *changes])
    return resolved, prepare(resolved, device="cpu")


class Timed:
    """Wall-clock seconds of a block: `with Timed() as t: ...; t.seconds`."""

    def __enter__(self) -> Timed:
        """Start."""
        self._began = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self._began


def run_search(recipe: Recipe, data: Prepared, strategy: Strategy | TrialStrategy | None = None) -> Found:
    """Search with a recipe's settings, by its own strategy unless another is given."""
    space = make_space(recipe.space.name, data.task, recipe.settings())
    return search(
        space,
        data.task,
        strategy or recipe.make_strategy(),
        recipe.training("search"),
        final=recipe.training("train"),
        seed=recipe.seed,
    )


def train_found(recipe: Recipe, data: Prepared, found: Found) -> Any:
    """Train the found genotype from fresh weights on the recipe's final schedule."""
    network = build_network(found.genotype, data.task)
    key = found.genotype.key()
    return train_genotype(network, data.task, recipe.training("train"), key=key, seed=recipe.seed)


def finish(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], figures: dict[str, Any]) -> None:
    """Print the table, then one line of JSON with the figures, the versions and the hardware."""
    table = Table(*columns, title=name)
    for row in rows:
        table.add_row(*(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=140).print(table)
    facts = {"benchmark": name, "versions": versions(), "hardware": hardware(torch.device("cpu"))}
    print(json.dumps(facts | figures))
