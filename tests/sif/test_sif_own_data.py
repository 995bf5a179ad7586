"""Cells on small data of one's own: values of the recipe that do not fit give way, and printed fixes work."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from sif_cell_samples import CONV, RECURRENT
from typer.testing import CliRunner, Result

from sif.cells.convolution.task import Augment, ImageTask
from sif.cells.data import prepare_cells
from sif.cells.recipes import CellRecipe
from sif.cli.app import app
from sif.datasets import Pictures
from sif.errors import RecipeError
from sif.recipes import load_recipe
from sif.recipes.changes import changes_of

FAST = {"retrain": False, "compare.random_epochs": "none"}


def recipe(name: str, settings: dict[str, object], budget: str = "smoke") -> CellRecipe:
    made = load_recipe(name, changes_of(settings, None, None), budget)
    assert isinstance(made, CellRecipe)
    return made


def own(count: int) -> Pictures:
    x = np.random.default_rng(0).integers(0, 256, (count, 3, 8, 8)).astype(np.uint8)
    return Pictures.from_arrays(x, np.arange(count) % 2, x[:2] + 1, np.arange(2) % 3)


def sif(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_holdout_of_the_recipe_gives_way_to_few_pictures():
    data = prepare_cells(recipe("cifar10", {}), source=own(180), device="cpu")
    assert data.description["holdout"] == 30
    assert data.description["notes"] == [
        "30 of 180 training pictures are held out, and not 200: --set pictures.holdout=N"
    ]
    assert prepare_cells(recipe("cifar10", {}), source=own(450), device="cpu").description["holdout"] == 200


def test_a_holdout_of_the_callers_is_refused_with_one_that_fits():
    with pytest.raises(RecipeError) as error:
        prepare_cells(recipe("cifar10", {"pictures.holdout": 200}), source=own(180), device="cpu")
    assert "pictures.holdout = 200: arrays has 180 training pictures to use, and 2 must remain" in str(error.value)
    fix = re.search(r"--set (\S+)=(\d+) fits", str(error.value))
    assert fix is not None
    data = prepare_cells(recipe("cifar10", {fix[1]: int(fix[2])}), source=own(180), device="cpu")
    assert (data.description["holdout"], data.description["notes"]) == (30, [])
    with pytest.raises(RecipeError, match="more pictures are needed"):
        prepare_cells(recipe("cifar10", {"pictures.holdout": 200}), source=own(2), device="cpu")


def test_batches_too_large_for_a_text_are_all_told_with_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("a rose is a rose is a rose\n" * 6)
    command = ["search", "ptb", "--data", "book.txt", "--budget", "smoke", "--out", "run"]
    for key, value in (RECURRENT | FAST | {"search.batch_size": 20, "train.batch_size": 30}).items():
        command += ["--set", f"{key}={value!r}".replace("False", "false").replace("'", '"')]
    result = sif(*command)
    assert result.exit_code == 2
    assert "search.batch_size = 20" in result.stderr
    assert "train.batch_size = 30" in result.stderr
    fixes = re.findall(r"--set \S+ fits", result.stderr)
    assert len(fixes) == 2
    result = sif(*command, *(word for fix in fixes for word in fix.split()[:2]))
    assert result.exit_code == 0, result.output
    assert "note: one text: " in result.stderr
    assert "evaluate" not in result.stderr


def test_the_command_that_an_error_of_ratings_names_reads_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(60, 12))
    np.savez("my series.npz", x=x, y=np.arange(60) % 2)
    Path("book.txt").write_text("a rose is a rose is a rose\n" * 100)
    for name in ("my series.npz", "book.txt"):
        result = sif("search", name)
        assert result.exit_code == 2
        command = next(line for line in result.stderr.splitlines() if line.startswith("  sif search "))
        words = shlex.split(command)[1:]
        settings = (CONV if "cifar10" in words else RECURRENT) | FAST | {"search.epochs": 1}
        settings.pop("pictures.holdout", None)
        more = [f"--set={k}={v!r}".replace("False", "false").replace("'", '"') for k, v in settings.items()]
        result = sif(*words, "--budget", "smoke", "--out", f"run-{words[1]}", *more)
        assert result.exit_code == 0, result.output


def test_series_are_standardised_shifted_in_time_and_not_mirrored():
    x = np.random.default_rng(0).normal(50, 3, (40, 2, 30))
    series = Pictures.from_arrays(x, np.arange(40) % 2, x[:4], [0, 1] * 2)
    made = recipe("cifar10", {"pictures.cutout": 0})
    data = prepare_cells(made, source=series, device="cpu")
    assert data.description["notes"][-1] == "series are not mirrored; --set pictures.flip=true does"
    assert "pictures.flip" not in str(
        prepare_cells(recipe("cifar10", {"pictures.flip": True}), source=series, device="cpu").description
    )
    task = ImageTask(series, train=range(40), augment=Augment(crop=4, flip=False))
    assert task.mean == pytest.approx(torch.from_numpy(x.mean((0, 2))).float(), rel=1e-6)
    assert task.std == pytest.approx(torch.from_numpy(x.std((0, 2))).float(), rel=1e-5)
    batch = task.stream("train", 40, 0).batch(0).inputs
    assert batch.shape == (40, 2, 1, 30)
    assert (batch == 0).any(), "what comes in is the mean"
    assert batch.abs().max() < 6
    assert (batch != 0).any((1, 2, 3)).all(), "no series is moved out of its row"
    flat = Pictures.from_arrays(np.full((4, 6), 3.5), [0, 1] * 2, np.full((2, 6), 3.5), [0, 1])
    assert ImageTask(flat, train=range(4)).normalise(flat.train).abs().max() < 1e-5
