"""Is a planted operation found? Ratings made by each operation on 500 x 400 at 20 % density, ten seeds each.

    python benchmarks/planted.py --seeds 10
    python benchmarks/planted.py --seeds 10 --strategies all --epochs 12

The ratings are w . o(u, v) with two entries and noise of a tenth of their deviation: a small clean table, so the
trainings are longer (40 epochs, batches of 128) and less regularised than the recipe `ratings` has for real ratings.

A hit is an architecture of the planted operation's equivalence class. Without element-wise networks some operations
are one set of functions under several names, which no data tell apart: plus, minus and concat (all f(user) + g(item)),
and max and min (each is the other with embeddings and predictor negated); see `sif.operations.equivalence_class`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace
from typing import Any

import torch

from common import Timed, arguments, finish
from nasp_core.errors import NaspError
from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.search import search
from sif.operations import OPERATIONS, equivalence_class
from sif.problems.recipes import Recipe
from sif.recipes import load_recipe
from sif.spaces.interaction import InteractionSpace
from sif.testing.planted import PlantedTask

SETTINGS = (
    "train.epochs=40",
    "train.batch_size=128",
    "train.optimiser.learning_rate=0.02",
    "space.init_std=0.3",
    "space.l2=0.003",
)


def planted_task(operation: str, noise: float, seed: int) -> tuple[PlantedTask, torch.Tensor]:
    """Return ratings made by an operation, and how often each id occurs in their training part."""
    task = PlantedTask(operation, (500, 400), dim=2, density=0.2, noise=noise, seed=seed)
    ids = zip(task.parts["train"][0], task.sizes, strict=True)
    return task, torch.cat([torch.bincount(each, minlength=size) for each, size in ids])


def found_by(name: str, operation: str, recipe: Recipe, options: argparse.Namespace) -> tuple[list[str], list[float]]:
    """Return the operations that a strategy finds where one is planted, and the seconds of each search."""
    found_names: list[str] = []
    seconds: list[float] = []
    training = recipe.training("search")
    if options.epochs:
        training = replace(training, epochs=options.epochs, min_steps=0)
    for seed in range(options.seeds):
        task, counts = planted_task(operation, options.noise, seed)
        space = InteractionSpace(task.sizes, recipe.settings(), counts)
        with Timed() as timed:
            try:
                final = recipe.training("train")
                found = search(space, task, make_strategy(name), training, final=final, seed=seed)
                found_names.append(found.genotype.choices["operation"][0] or "")
            except NaspError as error:
                found_names.append(f"failed: {error}")
        seconds.append(timed.seconds)
    return found_names, seconds


def main() -> None:
    """Plant every operation and search for it."""
    parser = arguments(__doc__ or "", seeds=10)
    parser.add_argument(
        "--strategies", default="nasp-ranked", help="names with commas between, or all but enumerate: all"
    )
    parser.add_argument("--noise", type=float, default=0.1, help="noise, in standard deviations of the ratings")
    parser.add_argument("--epochs", type=int, default=0, help="search epochs (default 0: the recipe's)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe("ratings-operations", SETTINGS)
    assert isinstance(recipe, Recipe)
    every = [name for name in STRATEGIES if name != "enumerate"]
    names = every if options.strategies == "all" else options.strategies.split(",")
    rows, figures = [], {}
    for name in names:
        outcomes = {operation: found_by(name, operation, recipe, options) for operation in OPERATIONS}
        hits = {
            operation: sum(
                best in OPERATIONS and equivalence_class(best) == equivalence_class(operation) for best in found
            )
            for operation, (found, _) in outcomes.items()
        }
        runs = len(OPERATIONS) * options.seeds
        taken = [each for _, seconds in outcomes.values() for each in seconds]
        cells = [f"{hits[operation]}/{options.seeds}" for operation in OPERATIONS]
        rows.append((name, *cells, f"{sum(hits.values())}/{runs}", statistics.median(taken)))
        print(f"{name}: {sum(hits.values())}/{runs}", file=sys.stderr, flush=True)
        figures[name] = {
            "hits": hits,
            "best": {operation: found for operation, (found, _) in outcomes.items()},
            "seconds": statistics.median(taken),
        }
    columns: tuple[Any, ...] = ("strategy", *OPERATIONS, "all", "seconds")
    finish("planted operations found", columns, rows, {"seeds": options.seeds, "strategies": figures})


if __name__ == "__main__":
    main()
