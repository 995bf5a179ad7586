"""Exports: every format scores as the model does, and a file is written whole or not at all."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sif_functions import POINTS, SIZES, function_of, name_of, scores_of
from typer.testing import CliRunner

import sif
from sif.cli import app
from sif.datasets import Vocabulary
from sif.errors import DataError, RunError
from sif.serve import export_onnx
from sif.serve.export import FORMATS, Export, export_run, load_export
from sif.serve.folding import Folded

USERS, ITEMS = [f"u{n}" for n in range(SIZES[0])], list(range(10, 10 + SIZES[1]))
INNER = (("multiply", "linear", (5,)),)


def export_of(point: Any, *, biases: bool = True, titles: bool = True) -> tuple[Export, torch.Tensor]:
    """An export of a drawn function, and the scores by its formula."""
    network = function_of(point, biases=biases)
    names = {"11": "Eleven", "12": "Zwölf ☃"} if titles else {}
    facts = {"formula": name_of(point), "genotype": {"space": "drawn"}, "scale": {"mean": 3.5, "std": 2.0}}
    made = Export(Folded(network), Vocabulary(USERS), Vocabulary(ITEMS), names, facts)
    return made, scores_of(network)


@pytest.mark.parametrize("to", ["npz", "safetensors"])
@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_a_file_scores_as_the_formula(point: Any, to: str, tmp_path: Path):
    made, wanted = export_of(point)
    again = load_export(made.write(tmp_path / f"model{FORMATS[to]}", to))
    assert (again.scores(USERS) - wanted).abs().max() < 1e-5
    assert (again.scores(["u3", "u0"], [18, 10]) - wanted[[3, 0]][:, [8, 0]]).abs().max() < 1e-5
    assert (again.users, again.items, again.facts, again.titles) == (made.users, made.items, made.facts, made.titles)
    assert [path.name for path in tmp_path.iterdir()] == [f"model{FORMATS[to]}"]


@pytest.mark.parametrize("to", ["npz", "safetensors"])
def test_without_titles(to: str, tmp_path: Path):
    made, _ = export_of(INNER, titles=False)
    assert load_export(made.write(tmp_path / f"model{FORMATS[to]}", to)).titles == {}


def test_an_npz_holds_no_objects_and_reads_without_sif(tmp_path: Path):
    made, wanted = export_of(INNER)
    with np.load(made.write(tmp_path / "model.npz", "npz"), allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        scores = file["users.product"] @ file["items.product"].T + file["users.bias"][:, None] + file["items.bias"]
        assert file["user_ids"].tolist() == USERS
        assert file["item_ids"].tolist() == ITEMS
        assert file["titles"].tolist()[:3] == ["", "Eleven", "Zwölf ☃"]
        assert json.loads(str(file["meta"]))["formula"] == made.facts["formula"]
    assert np.abs(scores - wanted.numpy()).max() < 1e-5


@pytest.mark.parametrize("runtime", ["onnx.reference", "onnxruntime"])
@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_an_onnx_graph_scores_as_the_formula(point: Any, runtime: str, tmp_path: Path):
    pytest.importorskip("onnx")
    package = pytest.importorskip(runtime)
    made, wanted = export_of(point)
    path = made.write(tmp_path / "model.onnx", "onnx")
    if runtime == "onnxruntime":
        options = package.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        run = package.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run
    else:
        run = package.ReferenceEvaluator(str(path)).run
    for users in (np.arange(SIZES[0]), np.array([4]), np.array([6, 6, 1])):
        (scores,) = run(["scores"], {"users": users})
        assert scores.dtype == np.float32
        assert np.abs(scores - wanted.numpy()[users]).max() < 1e-5


def test_an_onnx_graph_carries_the_ids(tmp_path: Path):
    onnx = pytest.importorskip("onnx")
    made, _ = export_of(INNER)
    model = onnx.load(made.write(tmp_path / "model.onnx", "onnx"))
    (meta,) = (json.loads(each.value) for each in model.metadata_props if each.key == "sif")
    assert (meta["users"], meta["items"], meta["formula"]) == (USERS, ITEMS, made.facts["formula"])


def test_onnx_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made, _ = export_of(INNER)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(RunError, match="needs the package onnx: pip install onnx"):
        made.write(tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_onnx_refuses_what_one_file_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("onnx")
    monkeypatch.setattr(export_onnx, "_LIMIT", 100)
    with pytest.raises(RunError, match=r"an ONNX file holds 2; export to npz instead"):
        export_of(INNER)[0].write(tmp_path / "model.onnx", "onnx")


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("point", [INNER, (("minus", "distance", (5,)),), (("concat", "linear", (5,)),)], ids=name_of)
def test_implicit_loads_it(point: Any, biases: bool, tmp_path: Path):
    pytest.importorskip("implicit")
    als = importlib.import_module("implicit.cpu.als")
    made, wanted = export_of(point, biases=biases)
    path = made.write(tmp_path / "model-implicit.npz", "implicit")
    model = als.AlternatingLeastSquares.load(str(path))
    ids, scores = model.recommend(np.arange(SIZES[0]), None, N=SIZES[1], filter_already_liked_items=False)
    assert np.abs(scores - np.take_along_axis(wanted.numpy(), ids, 1)).max() < 1e-5
    assert (ids == np.argsort(-wanted.numpy(), axis=1)).all()
    assert model.user_ids.tolist() == USERS
    assert model.item_ids.tolist() == ITEMS
    assert model.similar_items(0)[0][0] == 0
    bridge = importlib.import_module("sif.integrations.implicit").FoldedModel.load(str(path))
    assert (bridge.recommend(0, None, N=3, filter_already_liked_items=False)[0] == ids[0, :3]).all()
    assert bridge.vectors == made.folded.tables.items.product.shape[1]


def test_implicit_says_why_not(tmp_path: Path):
    with pytest.raises(RunError, match="max-linear1 is no inner product, which is all that implicit can rank by"):
        export_of((("max", "linear", (5,)),))[0].write(tmp_path / "model.npz", "implicit")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_unless_forced(tmp_path: Path):
    made, _ = export_of(INNER)
    path = tmp_path / "model.npz"
    path.write_text("mine")
    with pytest.raises(RunError, match="exists; give another --out, or --force to replace it"):
        made.write(path, "npz")
    assert path.read_text() == "mine"
    assert load_export(made.write(path, "npz", force=True)).facts == made.facts


@pytest.mark.parametrize(
    ("name", "to", "words"),
    [
        ("folder", "npz", "is a folder; give the name of a file"),
        ("gone/model.npz", "npz", "cannot write .*: No such file or directory; give another --out"),
        ("model", "tar", "unknown format 'tar'; there are npz, safetensors, onnx, implicit"),
    ],
)
def test_where_nothing_can_be_written(name: str, to: str, words: str, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match=words):
        export_of(INNER)[0].write(tmp_path / name, to)


@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_a_file_of_before(point: Any, tmp_path: Path):
    """Formats of before name some tables otherwise."""
    before = {"l1_plus": "apart", "l1_minus": "near", "mlp": "deep"}
    made, wanted = export_of(point)
    with np.load(made.write(tmp_path / "model.npz", "npz")) as file:
        arrays = {re.sub("|".join(before), lambda new: before[new[0]], name): file[name] for name in file.files}
    meta = json.loads(str(arrays["meta"]))
    meta |= {"format": "sif-folded-1", "deep": meta.pop("mlps")}
    np.savez(tmp_path / "before.npz", **arrays | {"meta": np.array(json.dumps(meta))})
    assert (load_export(tmp_path / "before.npz").scores(USERS) - wanted).abs().max() < 1e-5


def other_npz(path: Path) -> None:
    np.savez(path, a=np.zeros(3))


def later_npz(path: Path) -> None:
    export_of(INNER)[0].write(path, "npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"meta": np.array(json.dumps({"format": "sif-folded-9", "mlps": []}))})


def half_npz(path: Path) -> None:
    export_of(INNER)[0].write(path, "npz")
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("suffix", "make", "words"),
    [
        (".npz", lambda path: None, "no file .*; `sif export RUN --to npz` writes one"),
        (".npz", other_npz, "is not a model that `sif export` wrote .*: it lacks 'meta"),
        (".npz", half_npz, "is not a model that `sif export` wrote"),
        (".npz", lambda path: path.write_text("text"), "is not a model that `sif export` wrote"),
        (".npz", later_npz, "has format 'sif-folded-9'; this sif reads sif-folded-2"),
        (".safetensors", lambda path: path.write_text("text"), "is not a model that `sif export` wrote"),
    ],
)
def test_what_is_no_export(suffix: str, make: Any, words: str, tmp_path: Path):
    make(tmp_path / f"model{suffix}")
    with pytest.raises(RunError, match=words):
        load_export(tmp_path / f"model{suffix}")


def test_recommend_ranks_and_names(tmp_path: Path):
    made, wanted = export_of(INNER)
    order = np.argsort(-wanted[2].numpy())
    rows = made.recommend("u2", 3, seen=[ITEMS[order[0]], 99])
    assert [row["item"] for row in rows] == [ITEMS[place] for place in order[1:4]]
    assert [row["score"] for row in rows] == pytest.approx((wanted[2, order[1:4]] * 2.0 + 3.5).tolist(), abs=1e-4)
    assert {row["item"]: row["title"] for row in made.recommend("u2", 9)}[11] == "Eleven"
    with pytest.raises(DataError, match='user "u9" is unknown'):
        made.recommend("u9")
    with pytest.raises(DataError, match="k = 0"):
        made.recommend("u2", 0)
    with pytest.raises(DataError, match='item "77" is unknown'):
        made.scores(["u2"], [77])


def test_an_export_of_a_run_is_its_model(finished: sif.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path, _ = export_run(finished.path, "npz")
    assert path == Path(f"{finished.path.name}.npz")
    made, model = load_export(path), finished.recommender()
    everyone = torch.arange(model.folded.n_users)
    assert torch.equal(made.folded.scores(everyone), model.folded.scores(everyone))
    assert made.facts["genotype"] == finished.result["genotype"]
    assert made.facts["formula"] == finished.formula
    mine = finished.recommend("u03", 4)
    by_item = {row["item"]: row["score"] for row in made.recommend("u03", len(made.items))}
    assert [by_item[row["item"]] for row in mine] == pytest.approx([row["score"] for row in mine], abs=1e-5)


def test_the_command(finished: sif.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    called = [app, ["export", str(finished.path), "--to", "safetensors", "--out", "model.safetensors"]]
    done = CliRunner().invoke(*called)
    assert done.exit_code == 0, done.output
    assert "model.safetensors: safetensors," in done.output
    assert finished.formula in done.output
    again = CliRunner().invoke(*called)
    assert again.exit_code == 2
    assert "--force to replace it" in again.output
    result = CliRunner().invoke(app, [*called[1], "--force", "--json"])
    facts = json.loads(result.stdout)
    assert facts["bytes"] == (tmp_path / "model.safetensors").stat().st_size
    assert (facts["users"], facts["items"], facts["format"]) == (24, 18, "safetensors")
    assert not list(tmp_path.glob(".*"))
    unknown = CliRunner().invoke(app, ["export", str(finished.path), "--to", "csv"])
    assert unknown.exit_code == 2
    assert "unknown format 'csv'" in unknown.output


def test_only_recommenders_are_exported(finished: sif.Run, run_copy: Path):
    genotype = json.loads((run_copy / "genotype.json").read_text()) | {"space": "conv-cell"}
    (run_copy / "genotype.json").write_text(json.dumps(genotype))
    with pytest.raises(RunError, match="is of cells; only recommenders can be exported"):
        export_run(run_copy, "npz")
