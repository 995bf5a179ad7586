"""Which device data and networks lie on, and whether what a recipe asks for fits into its memory."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

from nasp_core.optimise import Training
from sif.errors import DataError, RunError

__all__ = ["FLOAT", "available", "check_fits", "in_words", "resolve_device", "trained_bytes"]


def resolve_device(name: str) -> torch.device:
    """Return the device for `auto` (CUDA when there is one), `cpu` or `cuda`; raises `DataError` without CUDA."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DataError(
            f"device = {name}, but torch sees no CUDA device; use --device cpu (or auto), "
            "or see `sif doctor` for the installed torch build"
        )
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise DataError(f"device = {name} is unknown; use auto, cpu or cuda")
    return torch.device(name)


FLOAT = 4
_FAILED = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory", "CUDA out of memory")


def available(device: torch.device) -> int | None:
    """Return the bytes that a device has for this process: free ones of a GPU, all of the machine's (or container's).

    None where that cannot be told.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) + torch.cuda.memory_reserved(device)
    limits = list[int]()
    with suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as file:
        limits.append(int(file.read()))
    return min(limits, default=None)


def check_fits(needed: int, device: torch.device, refuse: Callable[[str], None]) -> None:
    """Call `refuse` with the sizes in words where `needed` bytes are more than the device has."""
    there = available(device)
    if there is not None and needed > there:
        refuse(f"about {_words(needed)} of memory are needed, and {device} has {_words(there)}")


def trained_bytes(parameters: int, training: Training) -> int:
    """Return the bytes of parameters, their gradient and what the optimiser keeps."""
    states = {"adam": 2, "adagrad": 1}.get(training.optimiser.kind, int(training.optimiser.momentum > 0))
    return FLOAT * parameters * (2 + states)


def _words(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**28 else f"{size / 2**20:,.1f} MiB"


@contextmanager
def in_words(stage: str) -> Iterator[None]:
    """Raise `RunError` in place of an allocator's own error."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out and not any(sign in str(error) for sign in _FAILED):
            raise
        raise RunError(
            f"{stage}: memory ran out ({' '.join(str(error).split())[:160]})\n"
            "  Lower search.batch_size and train.batch_size, or what sizes the network (space.embedding_dim, "
            "space.channels, space.hidden); a finished stage is kept."
        ) from error
