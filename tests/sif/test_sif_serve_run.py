"""A run that serves: opened once, by any thread or process, for one user or for all."""

import copy
import json
import multiprocessing
import pickle
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sif_samples import TINY, planted_rows
from typer.testing import CliRunner

import sif
from sif.api import retrain
from sif.checkpoint import save_tree
from sif.cli import app
from sif.datasets import Interactions
from sif.errors import DataError, RaceError, RecipeError, RunError, WriteError
from sif.recipes import load_recipe, recipe_names
from sif.serve import opened
from sif.serve.export import export_run


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of models that are read from here on."""
    read: list[Path] = []
    load = opened.load_tree

    def noted(path: Path) -> Any:
        read.append(path)
        return load(path)

    monkeypatch.setattr(opened, "load_tree", noted)
    return read


def test_a_run_is_opened_once(run_copy: Path, reads: list[Path]):
    run = sif.load(run_copy)
    lists = [run.recommend(f"u{user:02d}", 4) for user in range(24)]
    run.recommend_all(3)
    assert len(reads) == 1
    with ThreadPoolExecutor(8) as pool:
        fresh = sif.load(run_copy)
        barrier = threading.Barrier(8)
        found = list(pool.map(lambda user: (barrier.wait(10), fresh.recommend(f"u{user:02d}", 4))[1], range(8)))
    assert found == lists[:8]
    assert len(reads) == 2


def test_a_model_that_was_replaced_is_read(run_copy: Path, reads: list[Path]):
    run = sif.load(run_copy)
    before = run.recommend("u03", 4)
    retrain(run_copy, seed=9, device="cpu")
    after = run.recommend("u03", 4)
    assert len(reads) == 2
    assert [row["score"] for row in before] != [row["score"] for row in after]
    assert after == sif.load(run_copy).recommend("u03", 4)


def test_the_program_may_go_elsewhere(run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(run_copy.parent)
    run = sif.load(run_copy.name)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert run.recommend("u03", 2)
    assert run.recommender().parameters > 0
    assert run.best_epoch > 0
    run.save("saved")
    shutil.rmtree(run_copy)
    with pytest.raises(RunError, match=r"lacks its model\.safetensors"):
        run.recommend("u03")


@pytest.mark.parametrize(("name", "content"), [("ids.json", "{"), ("ids.json", "{}"), ("seen.npz", "PK")])
def test_a_damaged_file(name: str, content: str, run_copy: Path):
    (run_copy / name).write_text(content)
    with pytest.raises(RunError, match=r"ids\.json or seen\.npz of run .* is damaged"):
        sif.load(run_copy).recommend("u03")


def rows_of(frame: pl.DataFrame, user: str) -> list[tuple[Any, ...]]:
    return frame.filter(pl.col("user") == user).select("item", "score", "cold").rows()


@pytest.mark.parametrize("cold_items", [True, False])
def test_all_lists_are_those_of_each(finished: sif.Run, cold_items: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sif.run._BLOCK", 7)
    frame = finished.recommend_all(9, cold_items=cold_items)
    assert frame.schema == {
        "user": pl.String, "rank": pl.Int32, "item": pl.String, "score": pl.Float32, "cold": pl.Boolean
    }  # fmt: skip
    for user in range(24):
        one = finished.recommend(f"u{user:02d}", 9, cold_items=cold_items)
        all_of = rows_of(frame, f"u{user:02d}")
        assert [row["item"] for row in one] == [row[0] for row in all_of]
        assert [row["score"] for row in one] == pytest.approx([row[1] for row in all_of], abs=1e-6)
    assert (frame.group_by("user").agg(pl.col("rank").max() - pl.len())["rank"] == 0).all()


def test_lists_of_some_users(finished: sif.Run):
    frame = finished.recommend_all(2, users=pl.Series(["u05", "u01"]))
    assert frame["user"].to_list() == ["u05", "u05", "u01", "u01"]
    assert finished.recommend_all(2, users=[]).is_empty()
    for users, words in (("u05", r"such as \['u05'\]"), (["u5"], "Did you mean u"), ([True], "holds True or False")):
        with pytest.raises(DataError, match=words):
            finished.recommend_all(2, users=users)


def test_users_by_integers_and_titles(planted: Interactions, tmp_path: Path):
    file = tmp_path / "mine.csv"
    rows = "".join(f"{user[1:]},{item},{rating}\n" for user, item, rating, _ in planted_rows())
    file.write_text("user,item,rating\n" + rows.replace("\n0", "\n").removeprefix("0"))
    run = sif.search(str(file), recipe="ratings-operations", settings=TINY, device="cpu")
    wanted = run.recommend("3", 2)
    for user in (3, np.int64(3), 3.0, np.float32(3), " 3 ", np.str_("3")):
        assert run.recommend(user, 2) == wanted
    for user in (None, True, 3.5, float("nan"), [3], np.array([3, 4])):
        with pytest.raises(DataError, match="give one id, as in the data"):
            run.recommend(user)
    ids = json.loads((run.path / "ids.json").read_text())
    (run.path / "ids.json").write_text(json.dumps(ids | {"titles": {"m04": "A film"}}))
    frame = run.recommend_all(18)
    assert frame["user"].dtype == pl.Int64
    assert set(frame.filter(pl.col("item") == "m04")["title"]) == {"A film"}
    assert frame.filter(pl.col("item") != "m04")["title"].null_count() == len(frame) - (frame["item"] == "m04").sum()
    assert {row["title"] for row in run.recommend(3, 18)} <= {"A film", None}


def test_lists_in_a_context(planted: Interactions):
    space = {"context": "month", "space.name": "tensor-interaction", "space.operations": ["plus_plus"]}
    run = sif.search(planted, recipe="ratings-operations", settings=TINY | space, device="cpu")
    month = json.loads((run.path / "ids.json").read_text())["contexts"][0]
    frame = run.recommend_all(3, context=month)
    assert rows_of(frame, "u03") == [
        (row["item"], pytest.approx(row["score"], abs=1e-6), row["cold"])
        for row in run.recommend("u03", 3, context=month)
    ]
    with pytest.raises(DataError, match='context "1800-01" is unknown'):
        run.recommend_all(3, context="1800-01")


@pytest.mark.parametrize("k", [0, -1, 2.0, True, "3"])
def test_how_many(k: Any, finished: sif.Run):
    for call in (finished.recommend_all, lambda k: finished.recommend("u03", k)):
        with pytest.raises(DataError, match=f"k = {k!r}; ask for"):
            call(k)
    assert finished.recommend("u03", np.int64(2)) == finished.recommend("u03", 2)


def cli(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_lists_as_a_file(suffix: str, finished: sif.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sif.run._BLOCK", 7)
    out = tmp_path / f"lists.{suffix}"
    result = cli("recommend", finished.path, "--all", "-k", 3, "--out", out, "--json")
    assert json.loads(result.stdout) | {"seconds": 0} == {"out": str(out), "users": 24, "rows": 72, "seconds": 0}
    read = {"csv": pl.read_csv, "jsonl": pl.read_ndjson, "parquet": pl.read_parquet}[suffix](out)
    wanted = finished.recommend_all(3)
    assert read.select("user", "rank", "item").rows() == wanted.select("user", "rank", "item").rows()
    assert read["score"].to_list() == pytest.approx(wanted["score"].to_list(), abs=1e-6)
    again = cli("recommend", finished.path, "--all", "--out", out)
    assert "exists; give another --out, or --force to replace it" in again.stderr
    assert cli("recommend", finished.path, "--all", "-k", 17, "--out", out, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give one of --user ID and --all --out FILE"),
        (["--user", "u03", "--all"], "give one of --user ID and --all"),
        (["--all"], "--all needs a file: --out lists.csv, lists.jsonl or lists.parquet"),
        (["--all", "--out", "lists.txt"], "its name must end in .csv, .jsonl, .parquet"),
        (["--all", "--out", "gone/lists.csv"], "; give another --out, or make the folder gone first"),
        (["--user", "u03", "--out", "lists.csv"], "--out goes with --all; leave it out, or --user"),
        (["--user", "u03", "--force"], "--force goes with --all"),
    ],
)
def test_what_recommend_refuses(
    arguments: list[str], words: str, finished: sif.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = cli("recommend", finished.path, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


def answers(run: sif.Run, model: sif.Recommender) -> tuple[Any, ...]:
    """What another process answers."""
    ids, scores = model.similar_items(2, N=3)
    return run.recommend("u03", 2), run.recommend_all(2).rows(), ids.tolist(), scores.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_pool(method: str, finished: sif.Run):
    model = finished.recommender()
    wanted = answers(finished, model)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(answers, finished, model).result(60) == wanted


def test_what_pipelines_pickle(finished: sif.Run, planted: Interactions):
    finished.recommend("u03")
    model = finished.recommender()
    values = [finished, model, sif.Recommender(), sif.Recommender("clicks"), planted, model.folded, finished.genotype]
    for value in [*values, *(load_recipe(name) for name in recipe_names())]:
        for copied in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
            assert type(copied) is type(value)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert answers(finished, again) == answers(copy.deepcopy(finished), model)
        assert (again.recipe, again.device, again.cold_items) == (model.recipe, model.device, model.cold_items)
        assert (again.cold == model.cold).all()
    for name in recipe_names():
        assert pickle.loads(pickle.dumps(load_recipe(name))) == load_recipe(name)
    for kind in (DataError, RecipeError, RunError, RaceError, WriteError):
        assert str(pickle.loads(pickle.dumps(kind("what, where\n  the fix")))) == "what, where\n  the fix"


def test_a_copy_of_a_run_in_a_temporary_folder_keeps_the_folder(planted: Interactions):
    run = sif.search(planted, settings=TINY, device="cpu")
    path, copied, passed = run.path, copy.deepcopy(run), pickle.loads(pickle.dumps(run))
    del run
    assert copied.recommend("u03") == passed.recommend("u03")
    del copied
    assert not path.exists()
    with pytest.raises(RunError, match="lacks its"):
        passed.recommend("u03")


def test_where_a_model_cannot_be_saved_or_read(finished: sif.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    model = finished.recommender()
    Path("file").write_text("")
    Path("folder").mkdir()
    for path, words in {
        "gone/m.safetensors": "No such file or directory; give another file, or make the folder gone first",
        "file/m.safetensors": "cannot write file/m.safetensors: Not a directory",
        "folder": "cannot write folder: it is a folder; give another file",
    }.items():
        with pytest.raises(WriteError, match=words):
            model.save(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    Path("gone").mkdir()
    model.save("gone/m.safetensors")  # the printed fix
    export_run(finished.path, "npz", "m.npz")
    export_run(finished.path, "safetensors", "export.safetensors")
    Path("m.pkl").write_bytes(pickle.dumps(model))
    Path("cut").write_bytes(Path("gone/m.safetensors").read_bytes()[:-60])
    save_tree(Path("torn"), {"format": "sif-recommender-1", "ranking": None})
    for path, words in {
        "nowhere": "cannot read nowhere: No such file",
        "folder": "it is a folder; give a file in it",
        str(finished.path): f"give {finished.path}/model.safetensors, or open the run with sif.load",
        "m.npz": r"an archive, such as an \.npz; sif\.serve\.export\.load_export reads exports",
        "export.safetensors": r"it has no tree in its header \(an export\? sif\.serve\.export\.load_export reads those",
        "m.pkl": "it is a pickle, which sif does not read",
        "file": "cannot read file: it is empty",
        "cut": "it is cut off, or no safetensors file; save or copy it again",
        "torn": "torn is a saved Recommender that does not say what it was trained for; save it again",
    }.items():
        with pytest.raises(RunError, match=words):
            sif.Recommender.load(path)
