"""A large table in a small budget: a training of less than an epoch, and validation on a sample of the users."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_sif_ranking_run import SMALL, clicks

import sif
from sif.problems import open_recipe
from sif.recipes import changes_of, load_recipe
from sif.rivals.pair_table import PairTable
from sif.studies import judging, part_of_epoch
from sif.studies.judging import judging_some


@pytest.fixture
def instance(tmp_path: Path) -> Any:
    settings = {**SMALL, "dataset": str(clicks(tmp_path / "m.csv"))}
    return open_recipe(load_recipe("clicks", changes_of(settings)), device="cpu")


def test_a_share_of_an_epoch_is_its_first_batches(instance: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(part_of_epoch, "LEAST", 2)
    instance = instance.changed({"train.epochs": 4, "train.batch_size": 2})
    task = instance.final_task
    whole = task.stream("train", 2, 0)
    begun = part_of_epoch.shortened(task, instance, 1 / 16)
    some = begun.stream("train", 2, 0)
    assert len(some) == round(len(whole) / 4) > 2
    assert torch.equal(some.batch(1).inputs.users, whole.batch(1).inputs.users)
    assert len(begun.stream("valid", 2, 0)) == len(task.stream("valid", 2, 0))
    assert begun.metric == task.metric
    assert len(part_of_epoch.shortened(task, instance, 1e-9).stream("train", 2, 0)) == 2
    assert part_of_epoch.shortened(task, instance, 1 / 9) is task, "a rung is an epoch at least"


def test_very_many_users_are_judged_by_a_sample_rivals_too(instance: Any, monkeypatch: pytest.MonkeyPatch):
    assert judging_some(instance) is instance, "few users are all judged"
    monkeypatch.setattr(judging, "_JUDGED", 7)
    some = judging_some(instance)
    whole = instance.final_task.positives("valid")
    judged = np.flatnonzero(np.diff(some.final_task.judged("valid").indptr))
    assert len(judged) == 7 < np.count_nonzero(np.diff(whole.indptr))
    table = PairTable.of(some.final_task)
    assert np.array_equal(np.flatnonzero(np.diff(table.valid.indptr)), judged)
    assert table.test.nnz == instance.final_task.positives("test").nnz
    assert (table.seen_test != instance.final_task.seen("test")).nnz == 0
    changed = some.changed({"ranking.hidden_share": 0.5})
    assert np.array_equal(np.flatnonzero(np.diff(changed.final_task.judged("valid").indptr)), judged)


def test_popularity_stands_beside_a_ranking_whatever_the_budget(tmp_path: Path):
    run = sif.search(
        clicks(tmp_path / "m.csv"),
        recipe="clicks",
        settings=SMALL,
        budget="1trials",
        out=tmp_path / "run",
        device="cpu",
    )
    assert "popularity" in run.result["rows"]
    assert run.result["rows"]["found"]["valid"] is not None
