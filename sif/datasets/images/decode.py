"""From the bytes of picture files to arrays of one size: what each mode becomes, and what is wrong with a file."""

import io
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sif.datasets.bundle import Bundle
from sif.errors import DataError

__all__ = ["SUFFIXES", "decode"]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_SHOWN = 5  # files that one error lists
_BAD = (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, OverflowError, struct.error, zlib.error)


def decode(bundle: Bundle, names: Sequence[str], size: int | None = None) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the pictures uint8 [n, 3, H, W] and notes on what was changed to make them so.

    Grey ones and palettes become RGB; what is transparent becomes white; of 16 bits the upper 8 are kept; an animation
    gives its first frame. `size` scales each to that height and width. Raises DataError with up to five files at once
    that cannot be decoded or are of another size than the most, and where Pillow is not installed.
    """
    image = _pillow(bundle)
    pictures, shapes = np.empty((0, 3, 0, 0), np.uint8), list[tuple[int, int]]()
    changes, broken = Counter[str](), list[str]()
    for place, name in enumerate(names):
        content = bundle.read(name)
        try:
            with image.open(io.BytesIO(content)) as opened:
                pixels = _pixels(image, opened, size, changes)
        except (*_BAD, image.DecompressionBombError) as error:
            known = not isinstance(error, image.UnidentifiedImageError)  # whose text is a memory address
            broken.append(f"{bundle.where(name)} cannot be decoded: {error if known else 'it holds no picture'}")
            if len(broken) == _SHOWN:
                break
            continue
        shapes.append(pixels.shape[:2])
        if not len(pictures):
            pictures = np.empty((len(names), 3, *shapes[0]), np.uint8)
        if shapes[-1] == pictures.shape[2:]:
            pictures[place] = pixels.transpose(2, 0, 1)
    if broken:
        raise DataError("\n".join(broken) + "\n  Fetch or write it again, or remove it.")
    if len(set(shapes)) > 1:
        raise DataError(_of_two_sizes(bundle, names, shapes))
    return pictures, [f"{count} picture{'s' if count > 1 else ''} {text}" for text, count in changes.items()]


def _pixels(image: Any, opened: Any, size: int | None, changes: Counter[str]) -> NDArray[np.uint8]:
    """The first frame as uint8 [H, W, 3]; `changes` counts what was done to it beyond the usual."""
    if getattr(opened, "n_frames", 1) > 1:
        changes["of more than one frame: the first is read"] += 1
    if opened.mode == "F":
        raise ValueError("its pixels are floating-point numbers; give such data as arrays (.npz)")
    if opened.mode.startswith("I"):
        values = np.asarray(opened)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels have 32 bits; give such data as arrays (.npz)")
        changes["of 16 bits: the upper 8 are kept"] += 1
        opened = image.fromarray((values >> 8).astype(np.uint8))
    elif opened.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in opened.info:
        layered = opened.convert("RGBA")
        if layered.getchannel("A").getextrema()[0] < 255:
            changes["with transparent pixels: they are laid on white"] += 1
        opened = image.alpha_composite(image.new("RGBA", layered.size, "white"), layered)
    made = opened.convert("RGB")
    if size is not None and made.size != (size, size):
        made = made.resize((size, size), image.Resampling.BILINEAR)
    return np.asarray(made)


def _of_two_sizes(bundle: Bundle, names: Sequence[str], shapes: Sequence[tuple[int, int]]) -> str:
    usual = Counter(shapes).most_common(1)[0][0]
    others = [(name, shape) for name, shape in zip(names, shapes, strict=True) if shape != usual]
    shown = "".join(f"\n  {bundle.where(name)} is {shape[0]} x {shape[1]}" for name, shape in others[:_SHOWN])
    more = f"\n  and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return (
        f"{bundle.path}: {len(others)} of {len(names)} pictures are not {usual[0]} x {usual[1]} as most are{shown}"
        f"{more}\n  Scale all to one size: --set pictures.size={min(32, *usual)} does it as they are read."
    )


def _pillow(bundle: Bundle) -> Any:
    try:
        import PIL.Image as image
    except ImportError as error:
        raise DataError(
            f"{bundle.path} holds JPEG or PNG pictures, and Pillow, which decodes them, is not installed\n"
            "  pip install 'sif-nas[images]'"
        ) from error
    return image
