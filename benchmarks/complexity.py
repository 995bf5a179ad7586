"""The size of what NASP finds as the price of size (eta) grows, on CIFAR-10 with NASP's own operations.

    python benchmarks/complexity.py            (CIFAR-10 where `sif datasets fetch cifar10` or SIF_DATA has it)

Each row: the mean over seeds of the parameters of the found cell in the paper's final network (36 channels, 20 layers),
of the share of kept edges that have parameters, and of the supernet's validation accuracy restricted to it.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import mean

import torch

from common import Timed, arguments, finish
from nasp_core.search import search
from sif.cells.cost import parameters
from sif.cells.data import prepare_cells
from sif.cells.networks import build_cells, make_supernet
from sif.cells.recipes import CellRecipe
from sif.recipes import load_recipe

FREE = ("skip_connect", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7")


def main() -> None:
    parser = arguments(__doc__.partition("\n")[0], seeds=3)
    parser.add_argument("--etas", type=float, nargs="+", default=[0.0, 0.1, 1.0, 10.0])
    parser.add_argument("--pictures", type=int, default=3200, help="training pictures used (default 3200)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    root = Path(os.environ["SIF_DATA"]) if "SIF_DATA" in os.environ else None
    rows = []
    for eta in options.etas:
        sizes, shares, scores, seconds = [], [], [], []
        for seed in range(options.seeds):
            changes = [f"seed={seed}", f"pictures.limit={options.pictures}", f"strategy.settings.eta={eta}"]
            recipe = load_recipe("cifar10-nasp", [*changes, "search.epochs=2"], budget="smoke")
            assert isinstance(recipe, CellRecipe)
            data = prepare_cells(recipe, device="cpu", root=root)
            full = load_recipe("cifar10-nasp", budget="full")
            with Timed() as timed:
                space = make_supernet(recipe, data.facts)
                found = search(space, data.search, recipe.make_strategy(), recipe.training("search"), seed=seed)
            network = build_cells(found.genotype, full.network_settings(), data.facts)
            kept = [name for names in found.genotype.choices.values() for name in names if name is not None]
            sizes.append(parameters(network) / 1e6)
            shares.append(mean(name not in FREE for name in kept))
            scores.append(found.metric)
            seconds.append(timed.seconds)
        rows.append((eta, mean(sizes), min(sizes), max(sizes), mean(shares), mean(scores), mean(seconds)))
    columns = ("eta", "million parameters", "least", "most", "edges with parameters", "supernet top1", "s a search")
    finish("complexity", columns, rows, {"columns": columns, "rows": rows, "seeds": options.seeds})


if __name__ == "__main__":
    main()
