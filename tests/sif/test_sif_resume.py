"""Kill any work wherever it writes and go on: the end is that of one never killed. The same seed gives the same run.

What is killed are processes, by SIGKILL, as each of their files takes its place, or just before (`sif_kill.py`): what
lies on disk is then all that there ever is between two writes. The journal itself is tested in test_sif_journal.py.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sif_cell_samples import CONV, RECURRENT, write_pictures, write_text
from sif_samples import TINY, sets, write_ratings
from test_sif_ranking_run import SMALL, clicks

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SEARCH: dict[str, Any] = TINY | {
    "space.operations": ["multiply", "max"],
    "train.epochs": 2,
    "train.batch_size": 256,
}
BESIDE: dict[str, Any] = {
    "tune.l2": [0.1],
    "baselines.names": ["global-mean", "biases", "deep-wide"],
    "baselines.enumerate": True,
    "baselines.random": True,
}
RANDOM: dict[str, Any] = {"strategy.name": "random", "space.hidden": 4, "strategy.settings.trials": 3}
CELLS: dict[str, Any] = {"budget": "full", "search.epochs": 1, "train.epochs": 2, "compare.random_epochs": 1}
DATA: dict[str, Callable[[Path], Path]] = {
    "cifar10": lambda folder: write_pictures(folder / "mine"),
    "ptb": lambda folder: write_text(folder / "mine"),
    "clicks": lambda folder: clicks(folder / "mine.csv"),
    "ratings-operations": lambda folder: write_ratings(folder / "mine.csv"),
    "movielens-wide": lambda folder: write_ratings(folder / "mine.csv"),
}
SEARCHES = {
    "nasp-ranked": ("ratings-operations", SEARCH | BESIDE),
    "random": ("ratings-operations", SEARCH | RANDOM),
    "clicks": (
        "clicks",
        SMALL | {"train.batch_size": 32, "strategy.settings.keep": 2, "baselines.names": ["popularity"]},
    ),
    "study": (
        "clicks",
        SMALL
        | {"train.batch_size": 32, "train.epochs": 9, "baselines.names": ["popularity"]}
        | {"study.budget": "14trials", "study.refit": True, "study.without": []},
    ),
    "both goals": ("movielens-wide", TINY | {"study.budget": "8trials"}),
    "cifar10": ("cifar10", CONV | CELLS),
    "ptb": ("ptb", RECURRENT | CELLS | {"text.window": 18}),
}
QUICK = "random"


@pytest.fixture(scope="module")
def killer() -> Iterator[Callable[..., dict[str, Any]]]:
    """Does a work whole and killed; returns what each left, and where the kills were."""
    words = [sys.executable, str(Path(__file__).with_name("sif_kill.py"))]
    with subprocess.Popen(words, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def kill(
            work: str,
            folder: Path,
            recipe: str = "ratings-operations",
            settings: dict[str, Any] = SEARCH,
            moments: int = 0,
        ) -> dict[str, Any]:
            job: dict[str, Any] = {"work": work, "folder": str(folder), "recipe": recipe, "moments": moments}
            job["data"] = str(DATA[recipe](folder))
            job["changes"] = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            told: dict[str, Any] = json.loads(process.stdout.readline() or '{"failed": "see stderr"}')
            assert "failed" not in told, told
            assert told["killed"] == told["whole"]
            return told

        yield kill
        process.stdin.close()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def _cases(names: Any) -> list[Any]:
    return [pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in names]


@needs_fork
@pytest.mark.parametrize("name", _cases(SEARCHES))
def test_a_search_is_killed_at_every_write(name: str, tmp_path: Path, killer: Callable[..., dict[str, Any]]):
    at = killer("search", tmp_path, *SEARCHES[name])["at"]
    files = {"recipe.toml", "terms.json", "genotype.json", "model.safetensors", "trace.jsonl", "report.html"}
    assert {*files, "result.json"} <= set(at)
    stages = {name.rpartition("-")[0] for name in at if name.endswith(".safetensors")} - {""}
    if name == "both goals":
        assert at.count("recipe.toml") == 2
        assert {"trial-0", "trial-1", "lists"} <= stages
    elif "study.budget" in SEARCHES[name][1]:
        assert {"supernet", "trial-0", "trial-1"} <= stages
        for rival in ("popularity", "als", "ease"):
            assert any(stage.startswith(f"{rival}-") for stage in stages), rival
        assert any(stage.startswith("refit-trial-") for stage in stages)
        assert {"trials.jsonl", "steps.jsonl", "incumbent-0.safetensors"} <= set(at)
    else:
        assert "search" in stages
    assert {name.rpartition("-")[0] for name in at if name.endswith(".partial.safetensors")} <= stages | {"supernet"}


@needs_fork
@pytest.mark.slow
def test_a_study_is_killed_at_ten_random_moments(tmp_path: Path, killer: Callable[..., dict[str, Any]]):
    assert len(killer("search", tmp_path, *SEARCHES["study"], 10)["at"]) >= 5


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "cifar10", "ptb"])
def test_the_training_of_a_find_is_killed_at_every_write(
    name: str, tmp_path: Path, killer: Callable[..., dict[str, Any]]
):
    at = killer("train", tmp_path, *SEARCHES[name])["at"]
    assert sum(name.endswith(".partial.safetensors") for name in at) >= 2
    assert {"model.safetensors", "trace.jsonl", "report.html", "result.json"} <= set(at)


@needs_fork
@pytest.mark.slow
def test_a_comparison_is_killed_at_every_write(tmp_path: Path, killer: Callable[..., dict[str, Any]]):
    at = killer("compare", tmp_path)["at"]
    done = [name.rpartition("-")[0] for name in at if name.endswith(".safetensors")]
    assert list(dict.fromkeys(done)) == ["found", "popularity", "ease"]
    assert any(name.startswith("table-") for name in at)
    assert at[-1] == "compare.json"


@needs_fork
@pytest.mark.slow
def test_a_race_is_killed_at_every_write(tmp_path: Path, killer: Callable[..., dict[str, Any]]):
    at = killer("race", tmp_path)["at"]
    done = [name.rpartition("-")[0] for name in at if name.endswith(".safetensors")]
    runs = [f"{name}-{what}" for name in ("nasp", "random") for what in ("plan", "seed-0", "seed-1")]
    assert list(dict.fromkeys(done)) == runs
    assert at[-1] == "results.json"


@needs_fork
@pytest.mark.slow
def test_a_suite_is_killed_at_every_write(tmp_path: Path, killer: Callable[..., dict[str, Any]]):
    columns = 'columns = { user = "user_id", item = "movie_id" }'
    lines = ("[[tables]]", 'name = "rated"', 'task = "rating"', 'file = "mine.csv"', columns, "cut = { users = 20 }")
    (tmp_path / "suite.toml").write_text("\n".join(lines))
    at = killer("suite", tmp_path)["at"]
    done = [name.rpartition("-")[0] for name in at if name.endswith(".safetensors")]
    runs = [f"rated-rating-{arm}-2trials-seed-{seed}" for seed in (0, 1) for arm in ("random", "biases")]
    assert list(dict.fromkeys(done)) == runs
    assert "results.json" in at
    assert at[-1] == "suite.md"


@needs_fork
@pytest.mark.slow
def test_the_build_of_a_table_is_killed_at_every_write(tmp_path: Path, killer: Callable[..., dict[str, Any]]):
    at = killer("table", tmp_path)["at"]
    assert len({name for name in at if name.endswith(".safetensors")}) == 6
    assert at[-1] == "t.parquet"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_in_two_processes(tmp_path: Path):
    csv = write_ratings(tmp_path / "mine.csv")
    words = [sys.executable, "-m", "sif", "search", str(csv), *sets(TINY), "--seed", "4", "--json"]
    results = list[dict[str, Any]]()
    for name in ("one", "two"):
        done = subprocess.run(
            [*words, "--out", name], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    for name in ("trace.jsonl", "genotype.json", "model.safetensors", "ids.json", "seen.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    for result in results:
        del result["seconds"], result["peak_memory_mb"], result["run"]
        for row in result["rows"].values():
            del row["seconds"]
    assert results[0] == results[1]
    assert results[0]["seed"] == 4
