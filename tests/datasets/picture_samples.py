"""Small files in the formats of the picture data sets."""

import gzip
import struct
from pathlib import Path

import numpy as np

CLASSES = ["ant", "bee", "cow"]


def records(count, label_bytes=1, classes=3, seed=0):
    """CIFAR records uint8 [count, label_bytes + 3072], labels going round the classes."""
    content = np.random.default_rng(seed).integers(0, 256, (count, label_bytes + 3072), np.uint8)
    content[:, label_bytes - 1] = np.arange(count) % classes
    return content


def write_cifar10(folder: Path):
    """Five batches of 2 and a test batch of 4; returns the records of all six."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    made = [records(2, seed=number) for number in range(5)] + [records(4, seed=9)]
    for name, content in zip([*names, "test_batch.bin"], made, strict=True):
        (folder / name).write_bytes(content.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return made


def write_cifar100(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    made = records(7, 2), records(3, 2, seed=1)
    for name, content in zip(("train.bin", "test.bin"), made, strict=True):
        content[:, 0] = 19  # the coarse label
        (folder / name).write_bytes(content.tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "coarse_label_names.txt").write_text("animals\n")
    return made


def idx(array):
    """An unsigned-byte array in IDX."""
    header = struct.pack(">I", 0x0800 + array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, packed=True, **changes):
    """Six training and three test pictures of 5 x 4; `changes` replace the bytes of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    made = {
        "train-images-idx3-ubyte": draw.integers(0, 256, (6, 5, 4), np.uint8),
        "train-labels-idx1-ubyte": np.arange(6) % 3,
        "t10k-images-idx3-ubyte": draw.integers(0, 256, (3, 5, 4), np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(3),
    }
    for name, array in made.items():
        content = changes.get(name.split("-idx")[0].replace("-", "_"), idx(array))
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return made


def write_folders(folder: Path, sizes=((6, 8),), annotated=True):
    """Tiny ImageNet's layout, two classes, JPEG; the second picture of the first class is grey."""
    from PIL import Image

    draw = np.random.default_rng(0)

    def picture(path, number=0, grey=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = sizes[number % len(sizes)]
        pixels = draw.integers(0, 256, shape if grey else (*shape, 3), np.uint8)
        Image.fromarray(pixels).save(path, quality=95)

    for label, wnid in enumerate(("n02", "n01")):
        for number in range(2):
            path = folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
            picture(path, number, grey=number == 1 and label == 0)
        if not annotated:
            picture(folder / "test" / wnid / "0.png")
    if annotated:
        for number in range(3):
            picture(folder / "val" / "images" / f"val_{number}.JPEG")
        lines = [f"val_{number}.JPEG\t{'n02' if number else 'n01'}\t0\t0\t1\t1" for number in range(3)]
        (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
        (folder / "words.txt").write_text("n00\tother\nn01\tgoldfish, carp\nn02\tbullfrog\n")
