"""Small planted pictures, text and true accuracies, and budgets under which a whole run of cells takes a second."""

import lzma
import struct
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

_TRAINING = {
    "search.epochs": 2,
    "search.batch_size": 16,
    "search.optimiser.learning_rate": 0.1,
    "train.epochs": 3,
    "train.batch_size": 16,
    "train.evaluate_every": 1,
    "compare.random_epochs": "none",
    "compare.random_trials": 2,
    "retrain": True,
}
CONV: dict[str, Any] = _TRAINING | {
    "pictures.limit": "none",
    "pictures.holdout": 12,
    "pictures.crop": 1,
    "pictures.cutout": 0,
    "space.channels": 4,
    "space.layers": 3,
    "space.nodes": 2,
    "space.operations": ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"],
    "space.reduce_operations": ["none", "skip_connect", "max_pool_3x3"],
    "network.channels": 4,
    "network.layers": 3,
    "network.auxiliary": 0.4,
    "network.drop_path": 0.2,
}
"""Overrides of the recipe `cifar10` for `write_pictures`."""
BENCH: dict[str, Any] = _TRAINING | {
    "pictures.limit": "none",
    "pictures.holdout": 12,
    "pictures.crop": 1,
    "space.channels": 4,
    "space.cells_per_stage": 1,
    "network.channels": 4,
    "network.cells_per_stage": 1,
}
"""Overrides of the recipe `cifar10-nb201`."""
RECURRENT: dict[str, Any] = _TRAINING | {
    "text.limit": "none",
    "text.evaluation_limit": "none",
    "text.window": 6,
    "space.steps": 3,
    "space.embedding_dim": 6,
    "space.hidden": 6,
    "network.embedding_dim": 6,
    "network.hidden": 6,
    **{f"{table}.optimiser.kind": "adam" for table in ("search", "train")},
    **{f"{table}.optimiser.learning_rate": 0.05 for table in ("search", "train")},
    **{f"{table}.{name}": 0.1 for table in ("space", "network") for name in ("dropout", "dropouth")},
    **{f"{table}.{name}": 0.0 for table in ("space", "network") for name in ("dropoutx", "dropouti")},
}
"""Overrides of the recipe `ptb` for `write_text`."""


def write_pictures(folder: Path, count: int = 60, side: int = 8) -> Path:
    """IDX files of grey pictures in three classes, told apart by the row that is bright."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in (("train", count), ("t10k", 24)):
        labels = np.arange(size) % 3
        pictures = generator.integers(0, 60, (size, side, side))
        pictures[np.arange(size), 1 + 2 * labels] += 180
        for kind, content in (("images-idx3", pictures), ("labels-idx1", labels)):
            header = struct.pack(">I", 0x0800 + content.ndim) + struct.pack(f">{content.ndim}I", *content.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(header + content.astype(np.uint8).tobytes())
    return folder


def write_text(folder: Path) -> Path:
    """Text of five words in which each follows from the one before, most of the time."""
    generator, words = np.random.default_rng(0), ["the", "cat", "sat", "on", "mats"]
    folder.mkdir(parents=True, exist_ok=True)
    for part, lines in (("train", 160), ("valid", 40), ("test", 40)):
        text = [
            " ".join(words[(i + int(generator.random() < 0.1)) % 5] for i in range(start, start + 6))
            for start in generator.integers(0, 5, lines)
        ]
        (folder / f"{part}.txt").write_text("\n".join(text) + "\n")
    return folder


def write_table(path: Path) -> dict[str, tuple[float, float, float]]:
    """A table of all 15,625 cells with made-up accuracies; returned by cell."""
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    table = {}
    for number, (a, b, c, d, e, f) in enumerate(product(names, repeat=6)):
        accuracy = (10 + number / 200, 5 + number / 300, 1 + number / 400)
        table[f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"] = accuracy
    header = (
        "CIFAR10TestAccuracy200Epochs,CIFAR100TestAccuracy200Epochs,ImageNetTestAccuracy200Epochs,ArchitectureString\n"
    )
    text = header + "".join(f"{x},{y},{z},{cell}\n" for cell, (x, y, z) in table.items())
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return table
