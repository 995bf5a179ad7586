"""What ranking costs as data grow: synthetic power-law interactions from Parquet, 1, 10 and 100 million of them.

    python benchmarks/ranking_scale.py --folder DIR               (all three; files of 1.3 GB are made in DIR)
    python benchmarks/ranking_scale.py --folder DIR --rows 1e6

Of n interactions, n/100 users and n/200 items (100,000 at most), both with power-law frequencies, ids, ratings and
times. Each size runs in a process of its own, one thread, and prints seconds and peak resident memory of each stage:
read, cut at random (80/10/10), the task, the batches of an epoch alone (shuffled pairs and drawn items), the second
epoch of BPR through the loop (`multiply`, with the batch a fixed share of the data, so that tables and batches grow
alike), and an evaluation of some users on the full catalogue. The last column is of processor time, which others on
the machine disturb least.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from scipy import sparse

from cell_step import resident
from common import arguments, finish
from nasp_core.loop import Loop, Observer
from nasp_core.optimise import Optimiser, Training
from sif.datasets import read, split
from sif.encodings.histories import Histories
from sif.metrics import rank_metrics
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import named
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask
from sif.tasks.queries import Queries

T = TypeVar("T")
STAGES = ("read", "split", "task", "batches", "epoch", "evaluate")
_CHUNK = 4_000_000


def write(path: Path, rows: int) -> None:
    """Write a Parquet file of `rows` interactions, chunk by chunk."""
    import pyarrow as pa
    from pyarrow import parquet

    users, items = max(100, rows // 100), min(100_000, max(100, rows // 200))
    draw = np.random.default_rng(0)
    schema = pa.schema(
        [("user_id", pa.int64()), ("item_id", pa.int64()), ("rating", pa.float32()), ("timestamp", pa.int64())]
    )
    with parquet.ParquetWriter(path, schema) as file:
        for start in range(0, rows, _CHUNK):
            count = min(_CHUNK, rows - start)
            # x ** a of a uniform x has density falling as a power of x: ids near 0 are the popular ones.
            columns = {
                "user_id": (users * draw.random(count) ** 1.5).astype(np.int64),
                "item_id": (items * draw.random(count) ** 2.5).astype(np.int64),
                "rating": draw.integers(1, 6, count).astype(np.float32),
                "timestamp": draw.integers(800_000_000, 1_600_000_000, count),
            }
            file.write_table(pa.table(columns, schema=schema))


class Stages:
    """Seconds (by the clock, and of the processor alone) and peak memory of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Do a stage's work."""
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        began, cpu_began = time.perf_counter(), time.process_time()
        made = work()
        self.seconds[name], self.peak_mb[name] = time.perf_counter() - began, resident("VmHWM")
        self.cpu_seconds[name] = time.process_time() - cpu_began
        return made


class Clock(Observer):
    """Seconds of the last epoch, by the clock and of the processor."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, float]] = []

    def logged(self, record: dict[str, Any]) -> None:
        """Note when an epoch ends."""
        self._ends.append((time.perf_counter(), time.process_time()))

    def of_last(self) -> tuple[float, float]:
        """Return the difference of the last two ends."""
        (first, cpu_first), (second, cpu_second) = self._ends[-2:]
        return second - first, cpu_second - cpu_first


def measure(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one file."""
    stages = Stages()
    data = stages.run("read", lambda: read(path))
    cut = stages.run("split", lambda: split(data, "random", (0.8, 0.1, 0.1), 0))
    task = stages.run("task", lambda: RankingTask(data, cut, RankingSettings(loss="bpr", k=10)))
    batch = max(1024, round(len(cut.train) * options.share))
    training = Training(epochs=2, batch_size=batch, optimiser=Optimiser("adagrad", 0.05), evaluate_every=0)
    # Neither encoding is of histories, so that there need be none.
    settings = WideSettings(embedding_dim=options.dim, init_std=0.1, l2=0.0)
    network = WideNetwork(task.sizes, named("mf", settings), Histories.empty(task.sizes), task.counts())
    stream = task.stream("train", batch, 1)
    stages.run("batches", lambda: [stream.batch(step) and None for step in range(len(stream))])
    clock = Clock()
    state = stages.run("epoch", lambda: Loop(network, task, training, seed=0, observer=clock).run())
    (stages.seconds["epoch"], stages.cpu_seconds["epoch"]) = clock.of_last()  # the first has what is done but once
    relevant = task.positives("valid")
    judged = np.flatnonzero(np.diff(relevant.indptr))[:: max(1, task.sizes[0] // options.users)][: options.users]
    picked = sparse.csr_array((np.ones(len(judged)), (judged, judged)), shape=(task.sizes[0],) * 2) @ relevant

    def scores_of(users: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            scores: torch.Tensor = network(Queries.catalogue(users, task.sizes[1]))
        return scores

    metrics = stages.run("evaluate", lambda: rank_metrics(scores_of, task.seen("valid"), picked, batch=64))
    facts = {"rows": len(data), "users": task.sizes[0], "items": task.sizes[1], "batch": batch, "steps": len(stream)}
    facts |= {"judged_users": len(judged), "ndcg@10": metrics["ndcg@10"], "loss": state["trace"][-1]["loss"]}
    facts |= {"triples": len(task.positives("train").data), "seconds": stages.seconds}
    return facts | {"cpu_seconds": stages.cpu_seconds, "peak_mb": stages.peak_mb}


def main() -> None:
    """Measure each size in a process of its own."""
    parser = arguments(__doc__ or "", seeds=1)
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 1e7, 1e8], help="interactions")
    parser.add_argument("--folder", type=Path, help="where files are made, and found again (default: a temporary one)")
    parser.add_argument("--dim", type=int, default=32, help="embedding dimensions (default 32)")
    parser.add_argument("--share", type=float, default=0.005, help="a batch as a share of the pairs (default 0.005)")
    parser.add_argument("--users", type=int, default=1000, help="users that are judged (default 1000)")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.file:
        print(json.dumps(measure(options.file, options)))
        return
    figures = []
    with tempfile.TemporaryDirectory() as temporary:
        for rows in map(int, options.rows):
            path = (options.folder or Path(temporary)) / f"powerlaw-{rows}.parquet"
            if not path.exists():
                write(path, rows)
            again = [sys.executable, __file__, *sys.argv[1:], "--file", str(path)]
            printed = subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True).stdout
            figures.append(json.loads(printed.splitlines()[-1]))
    table = []
    for one in figures:
        million = one["rows"] / 1e6
        each = [f"{one['seconds'][stage]:.2f} s, {one['peak_mb'][stage] / 1024:.2f} GiB" for stage in STAGES]
        table.append((f"{million:.2f} M", *each, f"{one['cpu_seconds']['epoch'] / one['triples'] * 1e6:.2f}"))
    setting = {key: getattr(options, key) for key in ("dim", "share", "threads", "users")}
    columns = ("interactions", *STAGES, "epoch, µs of CPU a triple")
    finish("ranking_scale", columns, table, {"setting": setting, "sizes": figures})


if __name__ == "__main__":
    main()
