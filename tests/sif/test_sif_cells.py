"""Runs of cells through the library: what they leave, what it is worth, and that it is what the recipe says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sif_cell_samples import BENCH, CONV, RECURRENT, write_pictures, write_table, write_text
from sif_samples import lines_of

import sif
import sif.cells.cost
import sif.recipes
from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from sif.cells.cost import multiply_adds
from sif.cells.data import prepare_cells
from sif.cells.networks import CELL_TABLES
from sif.cells.notation import cell_text
from sif.errors import DataError, RecipeError, RunError
from sif.recipes import load_recipe
from sif.results import Result
from sif.runs.after import retrain, score


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "mine")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "mine")


def searched(recipe: str, data: Path, settings: dict[str, Any], **more: Any) -> sif.CellRun:
    return sif.search_cells(recipe, data, budget="full", settings=settings, device="cpu", **more)


@pytest.fixture(scope="module")
def conv(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> sif.CellRun:
    """A finished run with random search. Not to be changed."""
    out = tmp_path_factory.mktemp("conv") / "run"
    return searched("cifar10", pictures, CONV | {"compare.random_epochs": 2}, out=out)


@pytest.fixture(scope="module")
def recurrent(text: Path, tmp_path_factory: pytest.TempPathFactory) -> sif.CellRun:
    return searched("ptb", text, RECURRENT, out=tmp_path_factory.mktemp("recurrent") / "run")


def test_a_run_leaves_all_its_files_and_its_result_keeps_the_contract(conv: sif.CellRun):
    names = {path.name for path in conv.path.iterdir()}
    assert names == {"recipe.toml", "genotype.json", "model.safetensors", "result.json", "trace.jsonl", "report.html"}
    result = Result.model_validate(conv.result)
    assert result.rows.keys() == {"found", "random search"}
    assert result.test_reads == 2, "once for each trained network"
    assert result.rows["random search"].trials == 2, "as many as the recipe says"
    assert result.metrics.test == result.rows["found"].test
    assert result.epochs == {"best": 3, "most": 3}
    phases = [record["phase"] for record in lines_of(conv.path / "trace.jsonl")]
    assert phases == ["search"] * 2 + [f"train {conv.genotype.key()}"] * 3
    page = (conv.path / "report.html").read_text()
    assert page.count("<svg") == 3, "two cells and the course of the training"
    assert "sep_conv_3x3" in conv.cell or "max_pool_3x3" in conv.cell or "skip_connect" in conv.cell
    assert conv.cell in page


def test_the_saved_network_scores_what_the_result_says(conv: sif.CellRun, pictures: Path):
    data = prepare_cells(load_recipe(conv.path / "recipe.toml"), source=pictures, device="cpu")
    metrics = evaluate(conv.network(), data.final)
    assert metrics == pytest.approx(conv.result["metrics"]["valid"])
    assert evaluate(conv.network(), data.final, split="test") == pytest.approx(conv.result["metrics"]["test"])
    assert (
        sum(p.numel() for n, p in conv.network().named_parameters() if "auxiliary" not in n)
        == (conv.result["parameters"])
    )


def test_recurrent_cells(recurrent: sif.CellRun):
    valid, test = recurrent.result["metrics"]["valid"], recurrent.result["metrics"]["test"]
    assert 1 < valid["perplexity"] < 6, "five words and the end of a line: uniform is 6"
    assert 1 < test["perplexity"] < 6
    perplexities = [
        r["valid"]["perplexity"] for r in lines_of(recurrent.path / "trace.jsonl") if r["phase"] != "search"
    ]
    assert perplexities[-1] < perplexities[0]
    assert recurrent.cell.startswith("1 = ")


def test_the_same_seed_gives_the_same_run(conv: sif.CellRun, pictures: Path):
    again = searched("cifar10", pictures, CONV)
    assert again.genotype == conv.genotype
    assert again.result["metrics"] == conv.result["metrics"]
    other = searched("cifar10", pictures, CONV, seed=1)
    assert other.result["metrics"] != conv.result["metrics"]


def test_retraining_follows_the_budget_and_replaces_the_model(conv: sif.CellRun, tmp_path: Path):
    path = conv.save(tmp_path / "copy")
    done = retrain(path, epochs=2, seed=5, device="cpu")
    assert (done["budget"], done["epochs"], done["seed"]) == ("full", 2, 5)
    result = json.loads((path / "result.json").read_text())
    assert result["metrics"] == {"valid": done["valid"], "test": None}
    assert result["rows"] == conv.result["rows"], "the comparison stays that of the search"
    assert not (path / "checkpoint").exists()
    scored = score(path, device="cpu")
    assert scored["valid"] == pytest.approx(done["valid"])
    assert json.loads((path / "result.json").read_text())["metrics"]["test"] == scored["test"]
    assert (path / "model.safetensors").read_bytes() != (conv.path / "model.safetensors").read_bytes()
    trace = (path / "trace.jsonl").read_text()
    assert len(trace.splitlines()) == len(lines_of(conv.path / "trace.jsonl")) + 2
    retrain(path, epochs=2, seed=5, device="cpu")
    assert (path / "trace.jsonl").read_text() == trace, "a training done twice is as done once"


def test_a_smaller_budget_can_be_retrained_in_full(pictures: Path, tmp_path: Path):
    full = {key: value for key, value in CONV.items() if not key.startswith("network.channels")}
    run = searched_quick(pictures, full, tmp_path / "run")
    assert run.result["budget"] == "quick"
    retrain(run.path, budget="full", epochs=1, device="cpu")
    assert sif.load_cells(run.path).result["parameters"] > 2 * run.result["parameters"]


def searched_quick(pictures: Path, settings: dict[str, Any], out: Path) -> sif.CellRun:
    text = sif.recipes.recipe_text("cifar10").replace("channels = 36", "channels = 8")
    own = out.parent / "own.toml"
    own.write_text(text.partition("[budgets.smoke]")[0] + "[budgets.quick]\nnetwork = {channels = 4}\n")
    return sif.search_cells(own, pictures, settings=settings, out=out, device="cpu")


def test_without_a_final_training_there_is_a_cell_but_no_network(pictures: Path):
    run = searched("cifar10", pictures, CONV | {"retrain": False})
    assert run.result["metrics"] == {"valid": None, "test": None}
    assert run.result["test_reads"] == 0
    with pytest.raises(RunError, match=r"has a found cell, but no trained network yet: sif train "):
        run.network()


def test_true_accuracies_stand_beside_the_best_cell(pictures: Path, tmp_path: Path):
    table = write_table(tmp_path / "table.csv.xz")
    settings = BENCH | {"table": str(tmp_path / "table.csv.xz"), "retrain": False, "compare.random_epochs": 1}
    run = searched("cifar10-nb201", pictures, settings)
    for row in run.result["rows"].values():
        genotype = Genotype(**row["genotype"])
        assert row["formula"] == cell_text(genotype)
        assert tuple(row["truth"].values()) == table[row["formula"]]
    assert run.result["truth"]["best"]["cifar10"] == max(accuracy[0] for accuracy in table.values())
    assert run.result["truth"]["mean"]["cifar100"] == pytest.approx(sum(a[1] for a in table.values()) / 15_625)
    assert run.result["test_reads"] == 0, "a table answers without a training"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text.replace("ArchitectureString", "Cell"), "has no column ArchitectureString"),
        (lambda text: text[: len(text) // 2].rpartition("\n")[0] + "\n", "cells, NAS-Bench-201 has 15,625"),
        (lambda text: text.replace("\n10.0,", "\n110.0,", 1), "line 2: 110.0, 5.0, 1.0 are not accuracies in percent"),
        (lambda text: text.replace("\n10.0,", "\nten,", 1), "line 2: ten, 5.0, 1.0 are not accuracies in percent"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, spoil: Any, words: str):
    path = tmp_path / "table.csv"
    write_table(path)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(DataError) as caught:
        CELL_TABLES["nas-bench-201"].read(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_a_table_that_is_not_there_or_damaged(tmp_path: Path):
    with pytest.raises(DataError, match=r"^no table .*none\.csv\n  Give the path"):
        CELL_TABLES["nas-bench-201"].read(tmp_path / "none.csv")
    whole = tmp_path / "table.csv.xz"
    write_table(whole)
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(DataError, match="The file is damaged; bring a whole one"):
        CELL_TABLES["nas-bench-201"].read(whole)


def test_multiply_adds_of_a_matrix_product():
    class Product(sif.cells.cost.Network):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = torch.nn.Linear(7, 3, bias=False)

        def forward(self, inputs: torch.Tensor, mixture: Any = None) -> torch.Tensor:
            result: torch.Tensor = self.matrix(inputs)
            return result

    network = Product().train()
    assert multiply_adds(network, torch.zeros(5, 7), per=5) == 21
    assert network.training


def test_one_door_opens_runs_of_all_problems(conv: sif.CellRun, finished: sif.Run):
    assert isinstance(sif.load(conv.path), sif.CellRun)
    assert isinstance(sif.load_cells(finished.path), sif.Run)


def test_problems_of_a_recipe_are_told_at_once(pictures: Path):
    settings = CONV | {"pictures.holdout": 0, "search.keep_best": True, "space.channels": 5, "strategy.name": "nsap"}
    with pytest.raises(RecipeError) as caught:
        searched("cifar10", pictures, settings)
    lines = str(caught.value).splitlines()
    assert lines[0] == "recipe cifar10 has 4 problems"
    assert [line.split()[1] for line in lines[1:]] == [
        "strategy.name",
        "space.channels",
        "search.keep_best",
        "train.evaluate_every",
    ]
