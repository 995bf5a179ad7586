"""Rank correlation of training-free scores with the true accuracies of NAS-Bench-201, and seconds per cell.

    python benchmarks/score_correlation.py --table nas-bench-201.csv.xz \\
        --scores naswot,synflow,grad-norm,jacob-cov,linear-regions,freedarts
    python benchmarks/score_correlation.py --table nas-bench-201.csv.xz \\
        --scores snip,grasp,fisher,ntk --batch 16 --cells 200

The same random cells for every score, one CIFAR-10 batch, the benchmark's own network (16 channels, 5 cells a stage).
CIFAR-10 is read where `sif datasets ls` finds it. Beside the scores stands the number of weights, for what size tells.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from scipy import stats

from common import arguments, finish
from nasp_core.proxies import PROXIES, SupernetProxy, make_proxy, saliency, summed
from nasp_core.types import Active, Batch
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space
from sif.cells.convolution.task import Augment, ImageTask
from sif.cells.cost import parameters
from sif.cells.truth import TrueAccuracies
from sif.cli.app import data_root
from sif.datasets import read_pictures
from sif.scoring import correlations

_SIZE = "parameters"


def cells(space: NasBench201Space, count: int, seed: int) -> list[Active]:
    """Return that many different random cells."""
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, Active] = {}
    while len(drawn) < count:
        active = space.random_point(generator)
        drawn.setdefault(space.arch_string(active), active)
    return list(drawn.values())


def interval(scores: list[float], truth: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of Spearman's rho over 1,000 draws of the cells with replacement."""
    one, two = stats.rankdata(scores), np.asarray(truth)
    rows = np.random.default_rng(0).integers(0, len(one), (1000, len(one)))
    low, high = np.nanquantile([stats.spearmanr(one[r], two[r]).statistic for r in rows], [0.025, 0.975])
    return float(low), float(high)


def scored(
    space: NasBench201Space, drawn: list[Active], names: list[str], batch: Batch, task: ImageTask, seed: int
) -> dict[str, tuple[list[float], float]]:
    """Return per score its values in the order of the cells, and the seconds per cell."""
    wanted = {name: make_proxy(name) for name in names}
    values: dict[str, list[float]] = {name: [] for name in (*names, _SIZE)}
    seconds = dict.fromkeys(values, 0.0)
    salient = None
    for active in drawn:
        network = space.build(space.genotype(active))
        network.reset(torch.Generator().manual_seed(seed))
        for name, score in wanted.items():
            began = time.perf_counter()
            if isinstance(score, SupernetProxy):
                if salient is None:  # of the supernet: one for all cells
                    space.reset(torch.Generator().manual_seed(seed))
                    salient = saliency(space, batch)
                values[name].append(summed(salient, active))
            else:
                values[name].append(score.score(network, batch, task.loss))
            seconds[name] += time.perf_counter() - began
        values[_SIZE].append(float(parameters(network)))
    return {name: (of_cells, seconds[name] / len(drawn)) for name, of_cells in values.items()}


def main() -> None:
    parser = arguments(__doc__.partition("\n")[0], seeds=1)
    parser.add_argument("--table", required=True, help="a CSV file of NAS-Bench-201 (docs/cells.md)")
    parser.add_argument("--cells", type=int, default=500, help="how many random cells (default 500)")
    parser.add_argument("--batch", type=int, default=64, help="pictures of the batch (default 64)")
    parser.add_argument("--channels", type=int, default=16, help="first channels (default 16, the benchmark's)")
    parser.add_argument("--depth", type=int, default=5, help="cells per stage (default 5, the benchmark's)")
    parser.add_argument("--scores", default=",".join(PROXIES), help="which scores, by name (default: all)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    truth = TrueAccuracies.read(options.table)
    pictures = read_pictures("cifar10", data_root())
    task = ImageTask(pictures, train=range(len(pictures.train)), augment=Augment(crop=0, flip=False))
    space = NasBench201Space(NasBench201Settings(channels=options.channels, cells_per_stage=options.depth))
    rows: list[tuple[Any, ...]] = []
    figures: dict[str, Any] = {"cells": options.cells, "batch": options.batch, "seeds": {}}
    for seed in range(options.seeds):
        drawn = cells(space, options.cells, seed)
        accuracy = [truth.of(space.arch_string(active))["cifar10"] for active in drawn]
        batch = task.stream("train", options.batch, seed).batch(0)
        of_seed = {}
        for name, (values, seconds) in scored(space, drawn, options.scores.split(","), batch, task, seed).items():
            found = correlations(values, accuracy)
            low, high = interval(values, accuracy)
            of_seed[name] = found | {"interval": [low, high], "seconds": seconds}
            shown = f"{low:.3f} to {high:.3f}"
            rows.append((seed, name, found["spearman"], shown, found["kendall"], seconds))
        figures["seeds"][str(seed)] = of_seed
    columns = ("seed", "score", "Spearman", "95 % interval", "Kendall", "seconds per cell")
    finish("score_correlation", columns, rows, figures)


if __name__ == "__main__":
    main()
