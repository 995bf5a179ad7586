"""Kill a run at any moment and go on: the end is that of a run never killed. The same seed gives the same run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sif_cell_samples import CONV, RECURRENT, write_pictures, write_text
from sif_samples import TINY, sets, write_ratings
from test_sif_ranking_run import SMALL, clicks

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = TINY | {
    "space.operations": ["plus", "multiply", "max", "min"],
    "search.epochs": 12,
    "search.batch_size": 32,
    "train.epochs": 8,
    "train.batch_size": 32,
    "tune.l2": [0.1],
    "baselines.names": ["global-mean", "biases", "biased-mf", "deep-wide"],
    "baselines.enumerate": True,
    "baselines.random": True,
}


DATA: dict[str, Callable[[Path], Path]] = {"cifar10": write_pictures, "ptb": write_text, "clicks": clicks}
RANKING: dict[str, Any] = SMALL | {"train.epochs": 10, "search.epochs": 6, "strategy.settings.keep": 2}
CELLS: dict[str, dict[str, Any]] = {
    "cifar10": CONV | {"budget": "full", "compare.random_epochs": 2},
    "ptb": RECURRENT | {"budget": "full", "compare.random_epochs": 2},
}


def python(*arguments: str, cwd: Path) -> str:
    """Run Python in a process of its own, on one thread, and return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill_and_resume(
    folder: Path, kills: int, seed: int, settings: dict[str, Any], recipe: str = "ratings", what: str = "search"
) -> dict[str, Any]:
    write: Callable[[Path], Path] = DATA.get(recipe, write_ratings)
    data = write(folder / ("mine.csv" if recipe in ("ratings", "clicks") else "mine"))
    changes = json.dumps([f"{key}={json.dumps(value)}" for key, value in settings.items()])
    script = str(Path(__file__).with_name("sif_kill.py"))
    arguments = (recipe, str(data), str(folder), str(kills), str(seed), changes, what)
    result: dict[str, Any] = json.loads(python(script, *arguments, cwd=folder))
    return result


def check(result: dict[str, Any]) -> None:
    for run in result["runs"]:
        assert run["left"] == result["whole"], f"killed at {run['moment']:.3f} of the run, with {run['state']}"
    assert any(run["killed"] for run in result["runs"])
    assert any(run["state"] for run in result["runs"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_two_kills(tmp_path: Path):
    check(kill_and_resume(tmp_path, 2, 3, SETTINGS))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_kills_of_a_ranking_search(tmp_path: Path):
    check(kill_and_resume(tmp_path, 4, 2, RANKING, "clicks"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize(
    "settings", [{}, {"space.hidden": 4, "strategy.name": "random"}], ids=["nasp-ranked", "random"]
)
def test_ten_kills(tmp_path: Path, settings: dict[str, Any]):
    result = kill_and_resume(tmp_path, 10, 0, SETTINGS | settings)
    check(result)
    assert len(result["runs"]) == 10


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("recipe", CELLS)
def test_a_kill_of_a_search_of_cells(recipe: str, tmp_path: Path):
    check(kill_and_resume(tmp_path, 2, 1, CELLS[recipe], recipe))


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize(("recipe", "settings"), [*CELLS.items(), ("ratings", SETTINGS)])
def test_a_kill_of_the_training_of_an_architecture(recipe: str, settings: dict[str, Any], tmp_path: Path):
    check(kill_and_resume(tmp_path, 3, 1, settings, recipe, "train"))


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("recipe", CELLS)
def test_ten_kills_of_cells(recipe: str, tmp_path: Path):
    for what in ("search", "train"):
        folder = tmp_path / what
        folder.mkdir()
        check(kill_and_resume(folder, 10, 0, CELLS[recipe], recipe, what))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_in_two_processes(tmp_path: Path):
    csv = write_ratings(tmp_path / "mine.csv")
    arguments = ["-m", "sif", "search", str(csv), *sets(TINY), "--seed", "4", "--json"]
    results = [json.loads(python(*arguments, "--out", name, cwd=tmp_path)) for name in ("one", "two")]
    for name in ("trace.jsonl", "genotype.json", "model.safetensors", "ids.json", "seen.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    for result in results:
        del result["seconds"], result["peak_memory_mb"], result["run"]
        for row in result["rows"].values():
            del row["seconds"]
    assert results[0] == results[1]
    assert results[0]["seed"] == 4
