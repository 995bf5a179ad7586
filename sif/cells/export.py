"""The trained network of a cell as a file for other programs: an ONNX graph, or its weights with all settings."""

import importlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from nasp_core.genotype import Genotype
from nasp_core.network import Network
from sif.cells.notation import cell_text
from sif.cells.saved import load_cell_model
from sif.errors import RunError
from sif.run_directory import RunDirectory
from sif.serve.export import write_export

__all__ = ["CELL_FORMATS", "export_cells"]

CELL_FORMATS: Mapping[str, str] = {"onnx": ".onnx", "safetensors": ".safetensors"}
"""The formats by name, and how their files end by default."""
_FORMAT, _OPSET = "sif-cell-1", 18
_PICTURES = "pictures float32 [batch, {}], each channel (x / 255 - mean) / std (of numbers (x - mean) / std)"
_WORDS = "words int64 [1, batch], state float32 [batch, {}] (zeros at first) -> logits [1, batch, words], next_state"


def export_cells(
    run: str | Path, to: str, out: str | Path | None = None, *, force: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Write the trained network of a run of cells as `to`, one of `CELL_FORMATS`.

    Args:
        run: A run directory with a trained network.
        to: `onnx`, a graph from standardised pictures float32 [batch, C, H, W] to logits [batch, classes], or, one word
            a call, from words int64 [1, batch] and state float32 [batch, hidden] to logits [1, batch, words] and the
            next state; `safetensors`, the weights by their names in the network.
        out: The file; by default it is named after the run, in the working directory.
        force: Whether to replace the file where it exists.

    Returns:
        The path, and what stands as JSON under the key `sif` in the file's metadata: genotype, cell, settings of the
        network, facts of the data, how inputs are prepared.

    Raises:
        RunError: For an unknown format, an untrained network, a file that cannot be written, and without onnx.
    """
    if to not in CELL_FORMATS:
        raise RunError(
            f"run {run} is of cells, which export to {' and '.join(CELL_FORMATS)}, not {to!r}\n"
            f"  sif export {run} --to onnx"
        )
    directory = RunDirectory.open(run, needs="result.json")
    network, tree = load_cell_model(directory)
    result, genotype = directory.result(), Genotype.from_json(tree["genotype"])
    text = result["task"] == "text"
    shape = [tree["network"]["hidden"]] if text else result["dataset"]["shape"]
    inputs = (_WORDS if text else _PICTURES).format(", ".join(map(str, shape)))
    meta = {"format": _FORMAT, "cell": cell_text(genotype), "inputs": inputs, "genotype": json.loads(tree["genotype"])}
    meta |= {key: tree[key] for key in ("network", "facts", "preparation", "budget", "epoch")}
    described = json.dumps(meta)

    def make() -> bytes:
        if to == "safetensors":
            weights = {name: value.contiguous() for name, value in network.state_dict().items()}
            return bytes(save(weights, metadata={"sif": described}))
        return _onnx(network.eval(), shape, text, described)

    path = Path(out or Path(run).resolve().name + CELL_FORMATS[to])
    return write_export(path, make, force), meta


class _Scaled(nn.Module):
    """What a batch norm without weights does once trained; torch's exporter cannot see its width here."""

    factor: Tensor
    offset: Tensor

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.register_buffer("factor", (norm.running_var + norm.eps).rsqrt())
        self.register_buffer("offset", -norm.running_mean * self.factor)

    def forward(self, x: Tensor) -> Tensor:
        """Return x, normalised."""
        return torch.addcmul(self.offset, x, self.factor)


class _Step(nn.Module):
    """A recurrent network with its state as an input and an output."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        if isinstance(norm := getattr(network, "norm", None), nn.BatchNorm1d):
            network.norm = _Scaled(norm)

    def forward(self, words: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits [1, batch, words] and the next state [batch, hidden]."""
        logits, after = self.network(words, None, state)
        return logits, after


def _onnx(network: Network, shape: list[int], text: bool, described: str) -> bytes:
    try:
        onnx = importlib.import_module("onnx")
    except ImportError:
        raise RunError("the format onnx needs the package onnx: pip install onnx") from None
    model: nn.Module
    inputs: tuple[Tensor, ...]
    if text:
        model, inputs = _Step(network), (torch.zeros(1, 2, dtype=torch.int64), torch.zeros(2, *shape))
        names, outputs = ["words", "state"], ["logits", "next_state"]
        axes = {"words": {1: "batch"}, "state": {0: "batch"}, "logits": {1: "batch"}, "next_state": {0: "batch"}}
    else:
        model, inputs = network, (torch.zeros(2, *shape),)
        names, outputs = ["pictures"], ["logits"]
        axes = {"pictures": {0: "batch"}, "logits": {0: "batch"}}
    with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of the exporter: that it is the older one, that shapes are constants
        try:
            torch.onnx.export(
                model,
                inputs,
                Path(folder, "cell.onnx"),
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
        except RuntimeError as error:  # of an operation of one's own
            why = str(error).strip().splitlines()[0]
            raise RunError(f"the cell has no ONNX form: {why}\n  --to safetensors writes its weights") from error
        made = onnx.load(Path(folder, "cell.onnx"))
    onnx.helper.set_model_props(made, {"sif": described})
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())
