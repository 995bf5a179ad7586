"""Is a planted operation found? Ratings made by each operation on 500 x 400 at 20 % density, ten seeds each.

    python benchmarks/planted.py --seeds 10

The ratings are w . o(u, v) with two entries and noise of a tenth of their deviation: a small clean table, so the
trainings are longer (40 epochs, batches of 128) and less regularised than the recipe `ratings` has for real ratings.

A hit is a find of the planted operation's family. Without element-wise networks some operations are one set of
functions under several names and cannot be told apart by any data: plus, minus and concat (all f(user) + g(item)), and
max and min (each is the other with embeddings and predictor negated); see `nasp_core.spaces.operations.family`.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch

from common import Timed, arguments, finish
from nasp_core.search import search
from nasp_core.spaces import OPERATIONS, InteractionSpace
from nasp_core.spaces.operations import family
from nasp_core.strategies import make_strategy
from nasp_core.testing import PlantedTask
from sif.recipes import load_recipe

SETTINGS = (
    "train.epochs=40",
    "train.batch_size=128",
    "train.optimiser.learning_rate=0.02",
    "space.init_std=0.3",
    "space.l2=0.003",
)


def main() -> None:
    """Plant every operation and search for it."""
    parser = arguments(__doc__ or "", seeds=10)
    parser.add_argument("--strategy", default="nasp-ranked")
    parser.add_argument("--noise", type=float, default=0.1, help="noise, in standard deviations of the ratings")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe("ratings", SETTINGS)
    rows, figures = [], {}
    for planted in OPERATIONS:
        finds: list[str] = []
        seconds: list[float] = []
        for seed in range(options.seeds):
            task = PlantedTask(planted, (500, 400), dim=2, density=0.2, noise=options.noise, seed=seed)
            counts = torch.cat(
                [torch.bincount(ids, minlength=n) for ids, n in zip(task.parts["train"][0], task.sizes, strict=True)]
            )
            space = InteractionSpace(task.sizes, recipe.settings(), counts)
            with Timed() as timed:
                found = search(
                    space,
                    task,
                    make_strategy(options.strategy),
                    recipe.training("search"),
                    final=recipe.training("train"),
                    seed=seed,
                )
            finds.append(found.genotype.choices["operation"][0] or "")
            seconds.append(timed.seconds)
        hits = sum(family(find) == family(planted) for find in finds)
        rows.append((planted, family(planted), f"{hits}/{len(finds)}", ", ".join(finds), statistics.median(seconds)))
        figures[planted] = {"hits": hits, "finds": finds}
    columns: tuple[Any, ...] = ("planted", "family", "hits", "found", "seconds")
    finish(f"planted {options.strategy}", columns, rows, {"operations": figures})


if __name__ == "__main__":
    main()
