"""Seconds and memory of one full search step on convolutional cells: NASP, DARTS first and second order.

    python benchmarks/cell_step.py                  (batch 16, 8 channels, 4 cells, one thread)
    python benchmarks/cell_step.py --device cuda    (batch 64, 16 channels, 8 cells, device events)

A step is an architecture step and a weight step of the loop, on batches of random pictures of CIFAR-10's shape. Steps
of the three strategies take turns in one process; a figure is the median. Memory is the peak of a process of its own
(on CUDA of the allocator) above what it held before its first step.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from common import finish
from nasp_core.loop import Loop
from nasp_core.methods import make_strategy
from nasp_core.optimise import Optimiser, Training
from sif.cells.convolution.space import ConvCellSpace, ConvSettings
from sif.cells.convolution.task import ImageTask
from sif.datasets import Pictures

STRATEGIES = ("nasp", "darts", "darts-2nd")
# As the published searches set them.
OPTIMISER = Optimiser(
    "sgd", 0.025, momentum=0.9, weight_decay=3e-4, clip=5.0, schedule="cosine", final_learning_rate=0.001
)


class Steps:
    """The steps of one strategy on a space of its own."""

    def __init__(self, strategy: str, options: argparse.Namespace) -> None:
        device = torch.device(options.device)
        count = options.batch * 4
        generator = torch.Generator().manual_seed(0)
        draw = torch.randint(0, 256, (2 * count + 10, 3, 32, 32), generator=generator, dtype=torch.uint8)
        labels = torch.arange(len(draw)) % 10
        pictures = Pictures("random", tuple("abcdefghij"), draw[:-10], labels[:-10], draw[-10:], labels[-10:])
        task = ImageTask(pictures, train=range(count), valid=range(count, 2 * count), device=device)
        space = ConvCellSpace(ConvSettings(channels=options.channels, layers=options.layers)).to(device)
        training = Training(epochs=10_000, batch_size=options.batch, optimiser=OPTIMISER, precision=options.precision)
        self.loop = Loop(space, task, training, strategy=make_strategy(strategy), seed=0)
        self.loop.network.train()
        self.cuda, self.step = device.type == "cuda", 0

    def run(self) -> float:
        """Take one step and return its seconds: wall clock, or device events on CUDA."""
        if self.cuda:
            events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            events[0].record()
        began = time.perf_counter()
        self.loop._step(self.step)
        self.step += 1
        if not self.cuda:
            return time.perf_counter() - began
        events[1].record()
        torch.cuda.synchronize()
        return events[0].elapsed_time(events[1]) / 1e3


def resident(field: str) -> float:
    """Return a figure of this process in MiB: `VmRSS` now, `VmHWM` at most since it was reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise SystemExit("memory is read from /proc/self/status, which this system lacks")


def peak_above_idle(options: argparse.Namespace) -> float:
    """Return the peak of three steps of `options.memory` above the process before them, in MiB."""
    steps = Steps(options.memory, options)
    if steps.cuda:
        torch.cuda.reset_peak_memory_stats()
        idle = torch.cuda.memory_allocated()
        for _ in range(3):
            steps.run()
        return (torch.cuda.max_memory_allocated() - idle) / 2**20
    idle = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    for _ in range(3):
        steps.run()
    return resident("VmHWM") - idle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=None, help="pictures of a batch (default 16; on CUDA 64)")
    parser.add_argument("--channels", type=int, default=None, help="first channels (default 8; on CUDA 16)")
    parser.add_argument("--layers", type=int, default=None, help="cells (default 4; on CUDA 8)")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "auto"))
    parser.add_argument("--rounds", type=int, default=9, help="timed steps of each strategy")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--memory", choices=STRATEGIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name, small, large in (("batch", 16, 64), ("channels", 8, 16), ("layers", 4, 8)):
        if getattr(options, name) is None:
            setattr(options, name, large if options.device.startswith("cuda") else small)
    torch.set_num_threads(options.threads)
    if options.memory:
        print(json.dumps(peak_above_idle(options)))
        return
    peaks = {}
    for name in STRATEGIES:
        again = [sys.executable, __file__, *sys.argv[1:], "--memory", name]
        peaks[name] = float(json.loads(subprocess.run(again, check=True, capture_output=True, text=True).stdout))
    steps = {name: Steps(name, options) for name in STRATEGIES}
    seconds: dict[str, list[float]] = {name: [] for name in STRATEGIES}
    for number in range(options.rounds + 2):
        for name in STRATEGIES:
            taken = steps[name].run()
            if number >= 2:
                seconds[name].append(taken)
    medians = {name: median(taken) for name, taken in seconds.items()}
    rows = [
        (name, medians[name], medians[name] / medians["nasp"], peaks[name], peaks[name] / peaks["darts"])
        for name in STRATEGIES
    ]
    setting = {key: getattr(options, key) for key in ("device", "batch", "channels", "layers", "precision", "threads")}
    finish(
        "cell_step",
        ("strategy", "s a step", "of nasp's", "peak MiB above idle", "of darts'"),
        rows,
        {"setting": setting, "seconds": medians, "peak_mb": peaks},
    )


if __name__ == "__main__":
    main()
