"""What a sampled training step costs as tables grow: by the rows that a batch touches, and of the whole tables.

    python benchmarks/rowwise_step.py                     (10 thousand, 100 thousand, a million users and items)

As many users as items, each user with `--pairs` pairs of power-law popularity; 64 dimensions, Adam. Steps are the
loop's own (batch, forward, backward, optimiser): `softmax` asks batches of users about what they hide and some drawn
items, `bpr` asks about one drawn item a pair. For each function both ways train in one process and take turns; a figure
is the median over turns of processor time. Every table is trained by rows here; how many of them are without being
told, by their size and what a batch touches of them (`nasp_core.rowwise.few_rows`), stands beside.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy import sparse

from common import arguments, finish
from nasp_core import rowwise
from nasp_core.loop import Loop
from nasp_core.optimise import Optimiser, Training
from sif.datasets import Split, read
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask

ENCODINGS = ("id", "id+history")


def made(size: int, pairs: int, loss: str, drawn: int) -> RankingTask:
    """Return a task of `size` users and items."""
    draw = np.random.default_rng(0)
    users = np.repeat(np.arange(size), pairs)
    items = (size * draw.random(len(users)) ** 2.0).astype(np.int64)  # ids near 0 are the popular ones
    matrix = sparse.coo_array((np.ones(len(users), np.float32), (users, items)), (size, size)).tocsr()
    data = read(matrix)
    rows = np.arange(len(data))
    chosen: dict[str, Any] = {"drawn": drawn} if loss == "softmax" else {}
    cut = Split(rows, rows[:0], rows[:0], "all", 0, None, "")
    return RankingTask(data, cut, RankingSettings(loss=loss, **chosen))  # type: ignore[arg-type]


class Steps:
    """The training of one function, some steps at a time, with tables trained by rows or whole."""

    def __init__(self, task: RankingTask, encoding: str, options: argparse.Namespace, *, by_rows: bool) -> None:
        settings = WideSettings(embedding_dim=options.dim, init_std=0.1, l2=1e-3)
        choices = {"encoding": (encoding,) * 2, "elementwise": ("identity",), "biases": ("on",)}
        genotype = wide_genotype(choices | {"operation": ("multiply",), "predictor": ("sum",)}, settings)
        network = WideNetwork(task.sizes, genotype, task.histories(), task.counts())
        optimiser = Optimiser("adam", 0.01)
        training = Training(epochs=100, batch_size=options.batch, optimiser=optimiser, evaluate_every=0)
        rule = rowwise.LEAST_ROWS, rowwise.LEAST_SHRUNK, rowwise.SHARE
        rowwise.LEAST_ROWS, rowwise.LEAST_SHRUNK, rowwise.SHARE = (0, 0, 0) if by_rows else (1 << 62, 1 << 62, 1)
        self.loop = Loop(network, task, training, seed=0)
        self.tables = len(self.loop.rows.tables)
        rowwise.LEAST_ROWS, rowwise.LEAST_SHRUNK, rowwise.SHARE = rule
        self.chosen = len(network.row_tables(self.loop.stream))
        network.train()
        torch.set_flush_denormal(True)  # as the loop's `run` does
        self.step = 0

    def run(self, steps: int) -> float:
        """Return milliseconds of the processor a step."""
        began = time.process_time()
        for _ in range(steps):
            self.loop._step(self.step)
            self.step += 1
        return (time.process_time() - began) * 1e3 / steps


def main() -> None:
    """Take turns, print medians."""
    parser = arguments(__doc__ or "", seeds=1)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e4, 1e5, 1e6], help="users, and items")
    parser.add_argument("--pairs", type=int, default=10, help="of each user (default 10)")
    parser.add_argument("--dim", type=int, default=64, help="embedding dimensions (default 64)")
    parser.add_argument("--batch", type=int, default=512, help="users or pairs a batch (default 512)")
    parser.add_argument("--drawn", type=int, default=500, help="items that softmax draws (default 500)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default 7)")
    parser.add_argument("--steps", type=int, default=4, help="steps a turn (default 4)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows, figures = [], []
    for size in map(int, options.sizes):
        for loss in ("softmax", "bpr"):
            task = made(size, options.pairs, loss, options.drawn)
            for encoding in ENCODINGS:
                ways = {name: Steps(task, encoding, options, by_rows=name == "rows") for name in ("rows", "whole")}
                tables = f"{ways['rows'].chosen} of {ways['rows'].tables}"
                times: dict[str, list[float]] = {name: [] for name in ways}
                for number in range(options.rounds + 1):
                    for name, way in ways.items():
                        each = way.run(options.steps)
                        times[name] += [each] if number else []
                done = {name: median(values) for name, values in times.items()}
                written = ways["rows"].loop.rows.written / ways["rows"].step
                rows.append(
                    (f"{size:,}", loss, encoding, tables, round(written), *(f"{each:.2f}" for each in done.values()))
                )
                rows[-1] += (f"{done['whole'] / done['rows']:.2f}",)
                figures.append({"size": size, "loss": loss, "encoding": encoding, "written": written, **done})
                print(*rows[-1], flush=True)
    columns = (
        "users, items",
        "loss",
        "encodings",
        "chosen tables",
        "rows written",
        "by rows, ms",
        "whole, ms",
        "ratio",
    )
    setting = {key: getattr(options, key) for key in ("pairs", "dim", "batch", "drawn", "threads")}
    finish("rowwise_step", columns, rows, {"setting": setting, "steps": figures})


if __name__ == "__main__":
    main()
