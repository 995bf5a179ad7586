"""Runs of cells on the command line: what is printed, what is refused, and that nothing is left half-written."""

import json
from pathlib import Path
from typing import Any

import pytest
from sif_cell_samples import BENCH, CONV, RECURRENT, write_pictures, write_table, write_text
from sif_samples import sets
from typer.testing import CliRunner, Result

from sif.cli.app import app


def sif(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def fails(*words: str) -> str:
    result = sif(*words)
    assert result.exit_code == 2, result.output
    assert not [path for path in Path().iterdir() if path.name in ("run", "runs")], "something was left"
    return result.stderr


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "mine")
    return tmp_path


def search(recipe: str, settings: dict[str, Any], *more: str, data: str = "mine") -> list[str]:
    return ["search", recipe, "--data", data, "--budget", "full", "--out", "run", *more, *sets(settings)]


def test_search_train_and_evaluate(here: Path):
    outcome = sif(*search("cifar10", CONV | {"compare.random_epochs": 1}))
    assert outcome.exit_code == 0, outcome.output
    for words in ("normal: ", "reduce: ", "random search (2 cells)", "valid top1", "next    sif train run"):
        assert words in outcome.stdout
    outcome = sif("train", "run", "--epochs", "2")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.startswith("trained 2 epochs (budget full) in ")
    outcome = sif("evaluate", "run", "--json")
    scored = json.loads(outcome.stdout)
    assert scored["metric"] == "top1"
    assert 0 <= scored["test"]["top1"] <= 1
    result = json.loads(Path("run/result.json").read_text())
    assert (scored["parameters"], scored["multiply_adds"]) == (result["parameters"], result["multiply_adds"])
    assert "since been trained again for 2 epochs" in Path("run/report.html").read_text()
    assert f"{100 * scored['test']['top1']:.2f} %" in Path("run/report.html").read_text()
    assert not Path("run/retraining").exists()
    assert len(Path("run/trace.jsonl").read_text().splitlines()) == 2 + 3 + 2
    table = sif("evaluate", "run").stdout
    assert f"parameters {scored['parameters']:,}" in table


def test_true_accuracies_are_printed(here: Path):
    table = write_table(here / "table.csv.xz")
    settings = BENCH | {"retrain": False, "compare.random_epochs": 1}
    outcome = sif(*search("cifar10-nb201", settings, "--table", "table.csv.xz"))
    assert outcome.exit_code == 0, outcome.output
    result = json.loads(Path("run/result.json").read_text())
    best = [f"{max(column):.2f}" for column in zip(*table.values(), strict=True)]
    for text in (*best, *(f"{value:.2f}" for value in table[result["formula"]]), "the best of each"):
        assert text in outcome.stdout
        assert text in Path("run/report.html").read_text()
    assert "valid top1" not in outcome.stdout, "a column without a figure is left out"


def test_text(here: Path):
    write_text(here / "words")
    result = sif(*search("ptb", RECURRENT, data="words"))
    assert result.exit_code == 0, result.output
    assert "valid perplexity" in result.stdout
    assert sif("evaluate", "run").exit_code == 0


def test_what_is_refused_leaves_nothing(here: Path):
    write_text(here / "words")
    assert "no table none.csv" in fails(*search("cifar10-nb201", BENCH, "--table", "none.csv"))
    assert "unknown key table" in fails(*search("cifar10", CONV, "--table", "none.csv"))
    text = fails(*search("ptb", RECURRENT | {"train.batch_size": 5000}, data="words"))
    assert "train.batch_size = 5000" in text
    text = fails(*search("cifar10", CONV | {"pictures.share": 0.999}))
    assert "pictures.share = 0.999: it leaves the search no pictures" in text
    text = fails(*search("cifar10", CONV | {"pictures.holdout": 59}))
    assert "pictures.holdout = 59: mine has 60 training pictures to use, and 2 must remain" in text
    assert "operations offers none alone" in fails(*search("cifar10-nb201", BENCH | {"space.operations": ["none"]}))
    assert "two budgets, --budget full and --set budget=smoke" in fails(*search("cifar10", CONV | {"budget": "smoke"}))
    assert "'smoke' is no budget of a study; give seconds (--budget 2m)" in fails(
        "search", "movielens", "--budget", "smoke"
    )
    assert "unknown key table" in fails("search", "movielens", "--table", "x.csv")


def test_what_a_run_cannot_do(here: Path):
    assert sif(*search("cifar10", CONV | {"retrain": False})).exit_code == 0
    result = sif("evaluate", "run")
    assert (result.exit_code, result.stderr.count("sif train run")) == (2, 1)
    assert "and --all-data is for ratings; leave it out" in sif("train", "run", "--all-data").stderr
    assert "has no budget 'huge'" in sif("train", "run", "--budget", "huge").stderr
    result = sif("recommend", "run", "--user", "3")
    assert result.exit_code == 2
    assert "is of cells" in result.stderr


def test_describing_and_validating(here: Path):
    assert sif("recipes", "validate", "cifar10").stdout == "cifar10: fits\n"
    names = json.loads(sif("datasets", "ls", "--json").stdout)
    assert {"cifar10", "cifar100", "fashion-mnist", "tiny-imagenet", "ptb", "wikitext-2"} < set(names)
