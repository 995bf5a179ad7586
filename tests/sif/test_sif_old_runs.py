"""Run directories of sif at commit 1a5986c (schema version 1) answer as they did: see tests/old_runs/make.py."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy import sparse
from sif_cell_samples import write_table
from typer.testing import CliRunner

import sif
from sif.api import rank_run, retrain, score
from sif.cells.export import export_cells
from sif.cli.app import app
from sif.errors import RunError
from sif.serve.export import export_run, load_export

KEPT = Path(__file__).parent.parent / "old_runs"
TABLES, CELLS = ("clicks", "ratings", "tensor", "wide"), ("conv", "nb201", "recurrent")
FOLDED = ("clicks", "ratings", "wide")


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of true accuracies that the run of NAS-Bench-201 was judged by."""
    path = tmp_path_factory.mktemp("table") / "table.csv.xz"
    write_table(path)
    return path


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of a kept run, which finds its data, and what it must answer."""
    folder = tmp_path / "made"
    shutil.copytree(KEPT / request.param, folder)
    for path in [*folder.rglob("*.toml"), *folder.rglob("*.json")]:
        path.write_text(path.read_text().replace("/made", folder.as_posix()))
    if request.param == "nb201":
        shutil.copy(request.getfixturevalue("accuracies"), folder)
    return folder / "run", json.loads((folder / "expected.json").read_text())


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("old", names, indirect=True)


def alike(found: Any, recorded: Any) -> None:
    """What was recorded is there, figures within 1e-6; today's code may say more."""
    if isinstance(recorded, dict):
        assert found.keys() >= recorded.keys()
        for key, value in recorded.items():
            alike(found[key], value)
    elif isinstance(recorded, list):
        assert len(found) == len(recorded)
        for one, other in zip(found, recorded, strict=True):
            alike(one, other)
    else:
        assert found == (pytest.approx(recorded, abs=1e-6) if isinstance(recorded, float) else recorded)


@of(*TABLES)
def test_lists_and_metrics_are_what_they_were(old: tuple[Path, dict[str, Any]]):
    path, expected = old
    run = sif.load(path)
    assert run.formula == expected["formula"]
    alike({user: run.recommend(user, 4) for user in expected["lists"]}, expected["lists"])
    every = run.recommend_all(4, users=list(expected["lists"]))
    assert every["item"].to_list() == [row["item"] for rows in expected["lists"].values() for row in rows]
    alike(score(path, device="cpu"), expected["metrics"])


@of(*CELLS)
def test_networks_and_metrics_are_what_they_were(old: tuple[Path, dict[str, Any]]):
    path, expected = old
    run = sif.load_cells(path)
    assert run.cell == expected["cell"]
    with torch.no_grad():
        made = run.network()(torch.tensor(expected["inputs"]))
    alike((made[0] if isinstance(made, tuple) else made).tolist(), expected["outputs"])
    alike(score(path, device="cpu"), expected["metrics"])


@of(*TABLES, *CELLS)
def test_the_result_is_read_as_one_of_today(old: tuple[Path, dict[str, Any]]):
    path, _ = old
    before, now = json.loads((path / "result.json").read_text()), sif.load(path).result
    assert (before["schema_version"], now["schema_version"]) == (1, 2)
    assert now["rows"]["found"]["valid"] is not None
    alike(now["metrics"], before["metrics"])
    for name, row in before.get("baselines", before.get("rows")).items():
        alike(now["rows"][name]["valid"], row["valid"])
        assert (now["rows"][name]["truth"] is None) == (before.get("best") is None)
    assert now["truth"] == (before.get("best") and {key: before[key]["accuracy"] for key in ("best", "mean")})
    assert now["seconds"]["total"] == before["seconds"]["total"]


@of(*FOLDED)
def test_rankings_and_exports_are_what_they_were(old: tuple[Path, dict[str, Any]], tmp_path: Path):
    path, expected = old
    alike(rank_run(path, k=(3,), device="cpu"), expected["ranking"])
    users = list(expected["lists"])
    for form in ("npz", "safetensors"):
        of_old = load_export(path.parent / f"model.{form}")
        written, _ = export_run(path, form, tmp_path / f"again.{form}")
        for export in (of_old, load_export(written)):
            assert np.abs(export.scores(users).numpy() - np.array(expected["scores"])).max() < 1e-6
            seen = [
                item for item in export.items.to_list() if item not in {x["item"] for x in expected["lists"][users[0]]}
            ]
            alike(
                export.recommend(users[0], 4, seen=seen),
                [{key: row[key] for key in ("item", "score", "title")} for row in expected["lists"][users[0]]],
            )


@of("clicks", "ratings")
def test_new_users_get_the_lists_they_got(old: tuple[Path, dict[str, Any]]):
    path, expected = old
    recommender = sif.load(path).recommender()
    row = sparse.csr_matrix(
        ([4.0, 2.0], ([0, 0], [1, 3])), shape=(1, len(json.loads((path / "ids.json").read_text())["items"]))
    )
    ids, scores = recommender.recommend(0, row, 3, recalculate_user=True)
    alike({"ids": ids.tolist(), "scores": scores.tolist()}, expected["new_user"])


@of("tensor")
def test_a_run_with_a_context_is_still_refused_an_export(old: tuple[Path, dict[str, Any]], tmp_path: Path):
    with pytest.raises(RunError, match="context mode, which does not fold"):
        export_run(old[0], "npz", tmp_path / "model.npz")


@of(*CELLS)
def test_cells_of_old_runs_are_exported(old: tuple[Path, dict[str, Any]], tmp_path: Path):
    written, meta = export_cells(old[0], "safetensors", tmp_path / "cell.safetensors")
    assert meta["genotype"] == json.loads((old[0] / "genotype.json").read_text())
    with safe_open(written, framework="pt") as file:
        assert all(
            torch.equal(file.get_tensor(key), value) for key, value in sif.load(old[0]).network().state_dict().items()
        )


@of(*TABLES, *CELLS)
def test_an_old_run_is_trained_again(old: tuple[Path, dict[str, Any]]):
    """The same training from the same seed gives the model that the old code gave."""
    path, _ = old
    before = json.loads((path / "result.json").read_text())
    seed = (before["retrained"] or {}).get("seed")
    budget = before.get("budget") or ""
    done = retrain(path, budget=budget, seed=seed, device="cpu")
    alike(done["valid"], before["metrics"]["valid"])
    now = json.loads((path / "result.json").read_text())
    assert (now["schema_version"], now["retrained"]["seed"]) == (2, done["seed"])
    assert (path / "report.html").is_file()


@of(*TABLES, *CELLS)
def test_the_commands_take_an_old_run(old: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch):
    path, expected = old
    monkeypatch.chdir(path.parent)
    verbs = [["evaluate", "run"], ["train", "run", "--epochs", "1"]]
    verbs += [["recommend", "run", "--user", next(iter(expected["lists"]))]] if "lists" in expected else []
    for words in verbs:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (words, done.output)
