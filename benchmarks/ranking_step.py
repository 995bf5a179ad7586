"""BPR triples a second of the loop's own step, by function, beside implicit's BPR in the same run.

    python benchmarks/ranking_step.py PAIRS.csv                (64 dimensions, one thread, batches of 32768)

PAIRS is any file of users and items that `sif.datasets.read` takes. A triple is a user, an item and a drawn item that
the user does not know. A step is all of it: shuffled pairs, drawn items, scores, loss, gradient and optimiser.
Functions and implicit take turns; a figure is the median over rounds. implicit draws, checks and learns in one compiled
loop, without batches.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy import sparse

from common import arguments, finish
from nasp_core.loop import Loop
from nasp_core.optimise import Optimiser, Training
from sif.datasets import Split, read
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import named, wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask

# Operation and predictor of functions of two ids, and published models with histories.
FUNCTIONS = (
    *(("multiply", predictor) for predictor in ("sum", "linear", "mlp")),
    *((operation, "linear") for operation in ("plus", "minus", "max", "min", "concat")),
    *((operation, "mlp") for operation in ("plus", "minus", "max", "min", "concat")),
    *((operation, "distance") for operation in ("minus", "max")),
)
MODELS = ("neumf", "fism", "svd++", "dmf")


class Steps:
    """The training of one function, a few steps at a time."""

    def __init__(self, name: str, task: RankingTask, dim: int, batch: int, optimiser: Optimiser) -> None:
        settings = WideSettings(embedding_dim=dim, init_std=0.1, l2=0.0, mlp=(32,))
        if name in MODELS:
            genotype = named(name, settings)
        else:
            operation, predictor = name.split()
            choices = {"encoding": ("id", "id"), "elementwise": ("identity",), "biases": ("off",)}
            genotype = wide_genotype(choices | {"operation": (operation,), "predictor": (predictor,)}, settings)
        network = WideNetwork(task.sizes, genotype, task.histories(), task.counts())
        training = Training(epochs=1_000_000, batch_size=batch, optimiser=optimiser, evaluate_every=0)
        self.loop = Loop(network, task, training, seed=0)
        network.train()
        torch.set_flush_denormal(True)  # as the loop's `run` does
        self.step, self.batch = 0, batch

    def run(self, steps: int) -> float:
        """Return triples a second over some steps."""
        began = time.perf_counter()
        for _ in range(steps):
            self.loop._step(self.step)
            self.step += 1
        return steps * self.batch / (time.perf_counter() - began)


class Implicit:
    """implicit's BPR on the same pairs, an epoch at a time."""

    def __init__(self, task: RankingTask, dim: int, threads: int) -> None:
        from implicit.bpr import BayesianPersonalizedRanking

        self.matrix = sparse.csr_matrix(task.positives("train"), dtype=np.float32)
        self.model = BayesianPersonalizedRanking(factors=dim, iterations=1, num_threads=threads, use_gpu=False)
        self.seconds: list[float] = []

    def run(self) -> float:
        """Return triples a second of one epoch, without what precedes the first."""
        self.model.fit(
            self.matrix, show_progress=False, callback=lambda _, seconds, *rest: self.seconds.append(seconds)
        )
        return float(self.matrix.nnz / self.seconds[-1])


def main() -> None:
    """Take turns, print medians."""
    parser = arguments(__doc__ or "", seeds=1)
    parser.add_argument("pairs", type=Path, help="file of users and items")
    parser.add_argument("--dim", type=int, default=64, help="embedding dimensions (default 64)")
    parser.add_argument("--batch", type=int, default=32768, help="positives a batch (default 32768)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default 7)")
    parser.add_argument("--steps", type=int, default=5, help="steps a turn (default 5)")
    parser.add_argument("--optimiser", default="adagrad", help="adagrad, adam or sgd (default adagrad)")
    parser.add_argument("--only", nargs="+", default=[], help='functions, such as "multiply sum" neumf')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = read(options.pairs)
    rows = np.arange(len(data))
    task = RankingTask(data, Split(rows, rows[:0], rows[:0], "all", 0, None, ""), RankingSettings(loss="bpr"))
    names = options.only or [*(" ".join(pair) for pair in FUNCTIONS), *MODELS]
    optimiser = Optimiser(options.optimiser, 0.05)
    steps = {name: Steps(name, task, options.dim, options.batch, optimiser) for name in names}
    other = Implicit(task, options.dim, options.threads)
    rates: dict[str, list[float]] = {name: [] for name in (*steps, "implicit")}
    for number in range(options.rounds + 1):
        for name in steps:
            rate = steps[name].run(options.steps)
            if number:
                rates[name].append(rate)
        rate = other.run()
        if number:
            rates["implicit"].append(rate)
    medians = {name: median(values) for name, values in rates.items()}
    table = [(name, round(rate), rate / medians["implicit"]) for name, rate in medians.items()]
    setting = {key: getattr(options, key) for key in ("dim", "batch", "threads", "optimiser")}
    setting |= {"users": task.sizes[0], "items": task.sizes[1], "pairs": len(data)}
    finish("ranking_step", ("function", "triples/s", "of implicit's"), table, {"setting": setting, "triples": medians})


if __name__ == "__main__":
    main()
