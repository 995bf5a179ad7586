"""Which device data and networks lie on."""

import re

import torch

from sif.errors import DataError

__all__ = ["resolve_device"]


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
