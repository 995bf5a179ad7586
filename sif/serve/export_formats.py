"""Folded tables as files: npz and safetensors, which are read back here, and the npz that implicit loads."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sif.checkpoint import unshared
from sif.errors import RunError
from sif.serve.folding import Folded
from sif.serve.forms import FORMS, Served, form_of

__all__ = [
    "implicit_file",
    "npz_file",
    "read_npz",
    "read_safetensors",
    "safetensors_file",
]

_BEFORE = "sif-folded-1"

Meta = dict[str, Any]


def npz_file(served: Served, meta: Meta) -> bytes:
    """Return an npz without pickled objects: the tables, `user_ids`, `item_ids`, `titles`, and `meta` as JSON."""
    arrays: dict[str, Any] = {name: table.numpy() for name, table in served.arrays().items()}
    arrays |= _ids(meta)
    rest = {key: value for key, value in meta.items() if key not in ("users", "items", "titles")}
    arrays["meta"] = np.array(json.dumps(rest | served.facts()))
    return _npz(arrays)


def read_npz(path: Path) -> tuple[Served, Meta]:
    """Return what `npz_file` made; raises `RunError` for anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        meta: Meta = json.loads(str(found.pop("meta")))
        ids = {side: found.pop(f"{side[:-1]}_ids").tolist() for side in ("users", "items")}
        titles = found.pop("titles").tolist()
        return _read(path, {name: torch.from_numpy(array) for name, array in found.items()}, meta | ids, titles)
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None


def safetensors_file(served: Served, meta: Meta) -> bytes:
    """Return the tables as safetensors, with `meta` (ids and titles in it) as JSON in the header."""
    return bytes(save(unshared(served.arrays()), metadata={"meta": json.dumps(meta | served.facts())}))


def read_safetensors(path: Path) -> tuple[Served, Meta]:
    """Return what `safetensors_file` made; raises `RunError` for anything else."""
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            meta: Meta = json.loads((file.metadata() or {})["meta"])
        return _read(path, arrays, meta, meta["titles"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _unreadable(path, error) from None


def implicit_file(served: Served, meta: Meta) -> bytes:
    """Return the npz that implicit's `AlternatingLeastSquares.load` reads, and `sif.integrations.implicit`.

    `user_ids` and `item_ids` stand beside the factors; the first `vectors` columns are those that are no biases.
    Raises `RunError` where the function is no inner product.
    """
    factors = served.inner_product() if isinstance(served, Folded) else None
    if factors is None or not isinstance(served, Folded):
        raise RunError(
            f"{meta['formula']} is no inner product, which is all that implicit can rank by; export it to npz, "
            "safetensors or onnx"
        )
    users, items = (table.cpu().numpy() for table in factors)
    arrays: dict[str, Any] = {"user_factors": users, "item_factors": items, "factors": np.array(users.shape[1])}
    arrays |= {"vectors": np.array(served.tables.items.product.shape[1]), "dtype": np.array("float32")}
    ids = _ids(meta)
    return _npz(arrays | {"user_ids": ids["user_ids"], "item_ids": ids["item_ids"]})


def _read(path: Path, arrays: dict[str, Tensor], meta: Meta, titles: Any) -> tuple[Served, Meta]:
    if meta.get("format") == _BEFORE:
        now = {"apart": "l1_plus", "near": "l1_minus", "deep": "mlp"}
        arrays = {re.sub("apart|near|deep", lambda old: now[old[0]], name): array for name, array in arrays.items()}
        meta |= {"format": Folded.format, "mlps": meta.pop("deep")}
    if meta.get("format") not in FORMS:
        raise RunError(f"{path} has format {meta.get('format')!r}; this sif reads {', '.join(FORMS)}")
    served = form_of(meta["format"], arrays, meta)
    return served, meta | {"titles": titles}


def _unreadable(path: Path, error: Exception) -> RunError:
    why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return RunError(f"{path} is not a model that `sif export` wrote as npz or safetensors: {why}")


def _ids(meta: Meta) -> dict[str, NDArray[Any]]:
    """Return `user_ids`, `item_ids` (int64 or text) and `titles` (text, empty where an item has none)."""
    titles = meta["titles"] or [""] * len(meta["items"])
    return {
        "user_ids": _array(meta["users"]),
        "item_ids": _array(meta["items"]),
        "titles": np.array(titles, dtype=np.str_),
    }


def _array(ids: list[Any]) -> NDArray[Any]:
    return np.array(ids, dtype=np.int64 if isinstance(ids[0], int) else np.str_)


def _npz(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
