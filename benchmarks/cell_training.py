"""Seconds of one step of the final training of a published cell: as it is, and with each option for speed.

    python benchmarks/cell_training.py                  (16 channels, 5 cells, batch 32, CPU)
    python benchmarks/cell_training.py --device cuda    (36 channels, 20 cells, batch 96)

Options: torch.compile, bfloat16, the memory layout. Steps take turns in one process; a figure is the median.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median

import torch

from common import finish
from nasp_core.loop import Loop
from nasp_core.optimise import Optimiser, Training
from sif.cells.convolution.network import CellNetwork, CellSettings
from sif.cells.convolution.published import PUBLISHED_CELLS
from sif.cells.convolution.task import Augment, ImageTask
from sif.datasets import Pictures

OPTIMISER = Optimiser("sgd", 0.025, momentum=0.9, weight_decay=3e-4, clip=5.0, schedule="cosine")


def steps(options: argparse.Namespace, training: Training, settings: CellSettings) -> Loop:
    """Return a loop whose steps can be timed."""
    device = torch.device(options.device)
    draw = torch.randint(0, 256, (options.batch * 4, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(len(draw)) % 10
    pictures = Pictures("random", tuple("abcdefghij"), draw, labels, draw[:1], labels[:1])
    task = ImageTask(pictures, train=range(len(draw)), device=device, augment=Augment(cutout=16))
    network = CellNetwork(PUBLISHED_CELLS["darts-v2"], settings).to(device)
    if training.compile:
        network.compile()
    loop = Loop(network, task, training, seed=0)
    network.train()
    return loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=None, help="pictures of a batch (default 32; on CUDA 96)")
    parser.add_argument("--channels", type=int, default=None, help="first channels (default 16; on CUDA 36)")
    parser.add_argument("--layers", type=int, default=None, help="cells (default 5; on CUDA 20)")
    parser.add_argument("--rounds", type=int, default=9, help="timed steps of each form")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    options = parser.parse_args()
    cuda = options.device.startswith("cuda")
    for name, small, large in (("batch", 32, 96), ("channels", 16, 36), ("layers", 5, 20)):
        if getattr(options, name) is None:
            setattr(options, name, large if cuda else small)
    torch.set_num_threads(options.threads)
    plain = Training(epochs=10_000, batch_size=options.batch, optimiser=OPTIMISER, evaluate_every=0)
    settings = CellSettings(channels=options.channels, layers=options.layers)
    forms = {
        "as it is": (plain, settings),
        "channels first": (plain, replace(settings, channels_last=False)),
        "bfloat16": (replace(plain, precision="bfloat16"), settings),
        "compiled": (replace(plain, compile=True), settings),
        "compiled, bfloat16": (replace(plain, compile=True, precision="bfloat16"), settings),
    }
    loops = {name: steps(options, *form) for name, form in forms.items()}
    first: dict[str, float] = {}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(options.rounds + 2):
        for name, loop in loops.items():
            began = time.perf_counter()
            loop._step(number)
            if cuda:
                torch.cuda.synchronize()
            taken = time.perf_counter() - began
            first.setdefault(name, taken)
            if number >= 2:
                seconds[name].append(taken)
    medians = {name: median(taken) for name, taken in seconds.items()}
    rows = [(name, medians[name], medians[name] / medians["as it is"], first[name]) for name in forms]
    setting = {key: getattr(options, key) for key in ("device", "batch", "channels", "layers", "threads")}
    columns = ("form", "s a step", "of as it is", "s of the first step")
    finish("cell_training", columns, rows, {"setting": setting, "seconds": medians, "first": first})


if __name__ == "__main__":
    main()
