"""States on disk: one safetensors file each, no pickle, written to a temporary name and renamed."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sif.errors import RunError, WriteError

__all__ = ["load_tree", "mapped_tree", "save_tree", "unshared", "write_atomically", "writing"]

_TENSOR = "__tensor__"


def write_atomically(path: Path, content: bytes | str, *, fix: str = "give another file") -> None:
    """Write a whole file or none (see `writing`)."""
    with writing(path, fix=fix) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path, *, fix: str = "give another file") -> Iterator[IO[bytes]]:
    """Give a file to write, which takes its place only whole: a reader never sees half, whatever kills the writer.

    Raises `WriteError` with the reason, and `fix` as the way out, where it cannot be written.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error, fix) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error, fix) from None
        raise


def _unwritable(path: Path, error: OSError, fix: str) -> WriteError:
    make = "" if path.parent.is_dir() else f", or make the folder {path.parent} first"
    return WriteError(f"cannot write {path}: {error.strerror or error}; {fix}{make}")


def save_tree(path: Path, tree: Any) -> None:
    """Save nested dicts and lists of tensors, numbers, strings and None; tensors in binary, the rest as JSON.

    A tensor that stands at several places (the members of a blend may read the same lists) is written once.
    """
    tensors: dict[str, torch.Tensor] = {}
    places: dict[tuple[Any, ...], str] = {}

    def strip(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            tensor = value.contiguous()
            place = tensor.data_ptr(), tensor.shape, tensor.dtype, tensor.device
            if place not in places or not tensor.numel():
                places[place] = str(len(tensors))
                tensors[places[place]] = tensor
            return {_TENSOR: places[place]}
        if isinstance(value, Mapping):
            return {str(k): strip(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [strip(v) for v in value]
        return value

    plain = json.dumps(strip(tree))
    write_atomically(path, save(unshared(tensors), metadata={"tree": plain}))


def unshared(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors of which no two share memory, as a file of tensors wants them: copies where some do.

    Args:
        tensors: By name.
    """
    made: dict[str, torch.Tensor] = {}
    memories: set[int] = set()
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        made[name] = tensor.clone() if memory in memories else tensor
        memories.add(memory)
    return made


def mapped_tree(tree: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return nested dicts with every value of the kind changed."""
    if isinstance(tree, Mapping):
        return {key: mapped_tree(value, kind, change) for key, value in tree.items()}
    return change(tree) if isinstance(tree, kind) else tree


def load_tree(path: Path) -> Any:
    """Read what `save_tree` wrote; raises `RunError` when the file is something else."""
    path = Path(path)
    if path.is_dir():
        model = path / "model.safetensors"
        fix = f"give {model}, or open the run with sif.load" if model.is_file() else "give a file in it"
        raise RunError(f"cannot read {path}: it is a folder; {fix}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "tree" not in metadata:
                raise RunError(
                    f"{path} is not a saved state of sif: it has no tree in its header "
                    "(an export? sif.serve.export.load_export reads those)"
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise RunError(f"cannot read {path}: {_other_kind(path)} ({error})") from None

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return tensors[value[_TENSOR]] if _TENSOR in value else {k: fill(v) for k, v in value.items()}
        return [fill(v) for v in value] if isinstance(value, list) else value

    try:
        return fill(json.loads(metadata["tree"]))
    except (json.JSONDecodeError, KeyError):
        raise RunError(f"{path} is not a saved state of sif: the tree in its header is damaged") from None


def _other_kind(path: Path) -> str:
    """Return in words what a file is that is no safetensors file."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        return "it is an archive, such as an .npz; sif.serve.export.load_export reads exports"
    if start[:1] == b"\x80":
        return "it is a pickle, which sif does not read; save the model with its own save"
    return "it is empty; save it again" if not start else "it is cut off, or no safetensors file; save or copy it again"
