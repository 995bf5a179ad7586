"""States on disk: one safetensors file each, no pickle, written to a temporary name and renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sif.errors import RunError

__all__ = ["load_tree", "save_tree", "write_atomically"]

_TENSOR = "__tensor__"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a whole file or none: a reader never sees half of it, whatever kills the writer."""
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_tree(path: Path, tree: Any) -> None:
    """Save nested dicts and lists of tensors, numbers, strings and None; tensors in binary, the rest as JSON."""
    tensors: dict[str, torch.Tensor] = {}

    def strip(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            key = str(len(tensors))
            tensors[key] = value.contiguous()
            return {_TENSOR: key}
        if isinstance(value, Mapping):
            return {str(k): strip(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [strip(v) for v in value]
        return value

    plain = json.dumps(strip(tree))
    write_atomically(path, save(tensors, metadata={"tree": plain}))


def load_tree(path: Path) -> Any:
    """Read what `save_tree` wrote; raises `RunError` when the file is something else."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "tree" not in metadata:
                raise RunError(f"{path} is not a saved state of sif: it has no tree in its header")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise RunError(f"cannot read {path}: {error}") from None

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return tensors[value[_TENSOR]] if _TENSOR in value else {k: fill(v) for k, v in value.items()}
        return [fill(v) for v in value] if isinstance(value, list) else value

    try:
        return fill(json.loads(metadata["tree"]))
    except (json.JSONDecodeError, KeyError):
        raise RunError(f"{path} is not a saved state of sif: the tree in its header is damaged") from None
