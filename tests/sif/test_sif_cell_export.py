"""Exported cells: the ONNX graph answers as the network does, state and all, and the weights carry their settings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sif_cell_samples import BENCH, CONV, RECURRENT, write_pictures, write_text
from typer.testing import CliRunner

import sif
from sif.cells.export import CELL_FORMATS, export_cells
from sif.cli.app import app
from sif.errors import RunError

FAST = {"search.epochs": 1, "train.epochs": 1, "compare.random_epochs": "none"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("cells")
    pictures, text = write_pictures(root / "mine"), write_text(root / "words")
    batch_norm = {"space.batch_norm": True, "network.batch_norm": True}
    made = {
        "cifar10": (pictures, CONV),
        "cifar10-nb201": (pictures, BENCH),
        "ptb": (text, RECURRENT | batch_norm),
    }
    for name, (data, settings) in made.items():
        sif.search_cells(name, data, budget="full", settings=settings | FAST, out=root / name, device="cpu")
    return {name: root / name for name in made}


def session(path: Path) -> Any:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", ["cifar10", "cifar10-nb201"])
@pytest.mark.parametrize("batch", [1, 5])
def test_a_graph_of_pictures_answers_as_the_network(name: str, batch: int, runs: dict[str, Path], tmp_path: Path):
    pytest.importorskip("onnx")
    path, meta = export_cells(runs[name], "onnx", tmp_path / "cell.onnx")
    inputs = torch.randn(batch, *json.loads((runs[name] / "result.json").read_text())["dataset"]["shape"])
    with torch.no_grad():
        wanted = sif.load_cells(runs[name]).network()(inputs).numpy()
    (found,) = session(path).run(["logits"], {"pictures": inputs.numpy()})
    assert np.abs(found - wanted).max() < 1e-4
    assert meta["preparation"]["classes"] == ["0", "1", "2"]


def test_a_graph_of_text_carries_its_state(runs: dict[str, Path], tmp_path: Path):
    onnx = pytest.importorskip("onnx")
    path, meta = export_cells(runs["ptb"], "onnx", tmp_path / "cell.onnx")
    words = torch.randint(0, len(meta["preparation"]["words"]), (7, 3))
    with torch.no_grad():
        wanted = sif.load_cells(runs["ptb"]).network()(words)[0].numpy()
    graph, state, found = session(path), np.zeros((3, meta["network"]["hidden"]), np.float32), []
    for row in words.numpy():
        logits, state = graph.run(["logits", "next_state"], {"words": row[None], "state": state})
        found.append(logits)
    assert np.abs(np.concatenate(found) - wanted).max() < 1e-4
    (kept,) = (json.loads(each.value) for each in onnx.load(path).metadata_props if each.key == "sif")
    assert kept == json.loads(json.dumps(meta))


@pytest.mark.parametrize("name", ["cifar10", "ptb"])
def test_weights_carry_genotype_and_settings(name: str, runs: dict[str, Path], tmp_path: Path):
    path, _ = export_cells(runs[name], "safetensors", tmp_path / "cell.safetensors")
    run = sif.load_cells(runs[name])
    with safe_open(path, framework="pt") as file:
        meta = json.loads(file.metadata()["sif"])
        assert {*file.keys()} == {*run.network().state_dict()}
        assert all(torch.equal(file.get_tensor(key), value) for key, value in run.network().state_dict().items())
    assert meta["genotype"] == run.result["genotype"]
    assert meta["cell"] == run.cell
    assert {"network", "facts", "preparation", "inputs", "format"} < set(meta)


def test_the_command_and_what_it_refuses(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run = str(runs["cifar10"])

    def export(*words: str) -> Any:
        return CliRunner().invoke(app, ["export", run, *words])

    result = export()
    assert result.exit_code == 2
    assert f"which export to onnx and safetensors, not 'npz'\n  sif export {run} --to onnx" in result.stderr
    result = export("--to", "onnx")
    assert result.exit_code == 0, result.output
    assert "cifar10.onnx: onnx, " in result.stdout
    assert "normal: " in result.stdout
    assert "exists; give another --out, or --force" in export("--to", "onnx").stderr
    result = export("--to", "safetensors", "--json")
    assert json.loads(result.stdout)["bytes"] == Path("cifar10.safetensors").stat().st_size
    assert set(CELL_FORMATS) == {"onnx", "safetensors"}


def test_an_untrained_cell_is_told_how_to_train_it(runs: dict[str, Path], tmp_path: Path):
    settings = CONV | FAST | {"retrain": False}
    sif.search_cells("cifar10", runs["cifar10"].parent / "mine", budget="full", settings=settings, out=tmp_path / "run")
    with pytest.raises(RunError, match="no trained network yet: sif train"):
        export_cells(tmp_path / "run", "onnx", tmp_path / "cell.onnx")
