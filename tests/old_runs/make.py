"""Makes the run directories of this folder, and what they must answer, with a sif of the past.

    git worktree add /tmp/old 1a5986c
    PYTHONPATH=/tmp/old OMP_NUM_THREADS=1 python tests/old_runs/make.py

One folder a run: `run/` as the search left it, the data it was made from, exports, and `expected.json`: lists,
metrics and scores, as that code gave them. The folder they were made in is written `/made`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parent.parent / "sif"))

from sif_cell_samples import BENCH, CONV, RECURRENT, write_pictures, write_table, write_text
from sif_samples import planted_rows, text_of

import sif
from sif.api import rank_run, retrain, score
from sif.cells import retrain_cells, score_cells
from sif.datasets import Vocabulary
from sif.serve.export import export_run, load_export

HERE = Path(__file__).parent
MADE = "/made"
SHORT = {"train.epochs": 2, "train.batch_size": 64, "search.epochs": 1, "search.batch_size": 64, "tune.l2": []}
BARE = {"baselines.names": [], "baselines.enumerate": False, "baselines.random": False}
SHORTLIST = {
    f"strategy.settings.{key}": value for key, value in {"looks": 6, "finalists": 2, "trainings": 3, "keep": 1}.items()
}
SMALL = {"space.embedding_dim": 4, "search.min_steps": 0, "train.min_steps": 0} | SHORT
WIDE = (
    SHORT
    | BARE
    | SHORTLIST
    | {
        "space.embedding_dim": 4,
        "space.hidden": 3,
        "space.elementwise": ["network"],
        "space.encodings": ["history", "id+history"],
        "space.operations": ["multiply", "max"],
        "space.predictors": ["mlp", "linear"],
        "tune.learning_rate": [],
    }
)
CLICKS = SHORT | BARE | SHORTLIST | {"space.embedding_dim": 4, "train.epochs": 4, "baselines.names": ["popularity"]}
TENSOR = (
    SHORT
    | BARE
    | {
        "space.embedding_dim": 4,
        "space.operations": ["0_plus_multiply", "1_max_concat", "multiply_multiply"],
        "strategy.settings.finalists": 2,
    }
)
CELL = {"search.epochs": 1, "train.epochs": 1, "compare.random_epochs": 1, "compare.random_trials": 1}


def ratings(folder: Path) -> Path:
    """A table of ratings, and a table of titles beside it that names them, as MovieLens has one."""
    lines = ["movieId,title,genres"] + [f"m{item:02d},Film {item},none" for item in range(18)]
    (folder / "movies.csv").write_text("\n".join(lines) + "\n")
    return numbers(folder)


def numbers(folder: Path) -> Path:
    path = folder / "mine.csv"
    path.write_text(text_of(planted_rows(users=18, items=14, count=160)))
    return path


def clicks(folder: Path) -> Path:
    """Pairs of whole numbers, without ratings."""
    path = folder / "mine.csv"
    pairs = [f"{int(user[1:]) + 100},{int(item[1:])}" for user, item, *_ in planted_rows(18, 14, 160)]
    path.write_text("\n".join(["user,item", *pairs]) + "\n")
    return path


def tables() -> dict[str, tuple[Any, str, dict[str, Any]]]:
    classic = {"baselines.names": ["biases", "inner-product"], "baselines.enumerate": True, "tune.l2": [0.1]}
    return {
        "ratings": (ratings, "ratings", SMALL | classic | {"space.operations": ["plus", "max"]}),
        "wide": (numbers, "movielens-wide", WIDE),
        "clicks": (clicks, "clicks", CLICKS),
        "tensor": (numbers, "movielens-tensor", TENSOR),
    }


def cells() -> dict[str, tuple[Any, str, str, dict[str, Any]]]:
    def pictures(folder: Path) -> Path:
        return write_pictures(folder / "mine", count=40)

    def text(folder: Path) -> Path:
        return write_text(folder / "words")

    small = {
        "space.operations": ["skip_connect", "max_pool_3x3"],
        "space.channels": 2,
        "network.channels": 2,
        "space.layers": 3,
        "network.layers": 3,
        "space.reduce_operations": ["skip_connect", "max_pool_3x3"],
    }
    return {
        "conv": (pictures, "cifar10", "smoke", CONV | CELL | small | {"network.auxiliary": 0.0}),
        "nb201": (pictures, "cifar10-nb201", "full", BENCH | CELL | {"space.channels": 2, "network.channels": 2}),
        "recurrent": (text, "ptb", "full", RECURRENT | CELL | {"space.steps": 2}),
    }


def answers_of_a_table(run: sif.Run, folder: Path) -> dict[str, Any]:
    ids = json.loads((run.path / "ids.json").read_text())
    known = Vocabulary.from_list(ids["users"])
    users = [known.decode(np.array([row]))[0] for row in range(4)]
    expected: dict[str, Any] = {
        "lists": {str(user): run.recommend(str(user), 4) for user in users},
        "metrics": score(run.path, device="cpu"),
        "formula": run.formula,
    }
    if ids.get("contexts"):
        return expected
    expected["ranking"] = rank_run(run.path, k=(3,), device="cpu")
    path, _ = export_run(run.path, "npz", folder / "model.npz")
    export_run(run.path, "safetensors", folder / "model.safetensors")
    if run.path.parent.name != "wide":  # that code recalculated users without the element-wise networks
        row = sparse.csr_matrix(([4.0, 2.0], ([0, 0], [1, 3])), shape=(1, len(ids["items"])))
        ids_found, scores = run.recommender().recommend(0, row, 3, recalculate_user=True)
        expected["new_user"] = {"ids": ids_found.tolist(), "scores": scores.tolist()}
    expected["scores"] = load_export(path).scores(users).tolist()
    return expected


def answers_of_a_cell(run: sif.CellRun) -> dict[str, Any]:
    network = run.network()
    if run.result["task"] == "text":
        inputs = torch.tensor([[0, 1], [2, 3], [1, 1]])
    else:
        inputs = torch.linspace(-1, 1, int(np.prod(run.result["dataset"]["shape"]))).reshape(
            1, *run.result["dataset"]["shape"]
        )
    with torch.no_grad():
        made = network(inputs)
    outputs = made[0] if isinstance(made, tuple) else made
    return {
        "inputs": inputs.tolist(),
        "outputs": outputs.tolist(),
        "metrics": score_cells(run.path, device="cpu"),
        "cell": run.result["cell"],
    }


def keep(name: str, folder: Path, expected: dict[str, Any]) -> None:
    """Put the run where it is kept, without its page, and without the name of the folder it was made in."""
    target = HERE / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("report.html", "table.csv.xz"))
    for path in [*target.rglob("*.toml"), *target.rglob("*.json")]:
        path.write_text(path.read_text().replace(str(folder), MADE))
    (target / "expected.json").write_text(json.dumps(expected) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    wanted = sys.argv[1:]
    for name, (make, recipe, settings) in tables().items():
        if not wanted or name in wanted:
            folder = Path(tempfile.mkdtemp()).resolve() / name
            folder.mkdir()
            run = sif.search(make(folder), recipe=recipe, settings=settings, out=folder / "run", device="cpu")
            if name == "wide":
                retrain(run.path, seed=1, device="cpu")
            keep(name, folder, answers_of_a_table(sif.load(run.path), folder))
    for name, (make, recipe, budget, settings) in cells().items():
        if not wanted or name in wanted:
            folder = Path(tempfile.mkdtemp()).resolve() / name
            folder.mkdir()
            if name == "nb201":  # the table is made anew by the test
                write_table(folder / "table.csv.xz")
                settings = settings | {"table": str(folder / "table.csv.xz")}
            data, out = make(folder), folder / "run"
            made = sif.search_cells(recipe, data, budget=budget, settings=settings, out=out, device="cpu")
            if name == "recurrent":
                retrain_cells(made.path, budget="full", seed=1, device="cpu")
            keep(name, folder, answers_of_a_cell(sif.load_cells(made.path)))


if __name__ == "__main__":
    main()
