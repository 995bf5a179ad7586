"""The rating task: metrics, scale and batches against numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sif.datasets import Interactions, split
from sif.errors import DataError
from sif.tasks import RatingTask, Scale
from sif.tasks.rating import TensorStream


def reference(ratings: np.ndarray, train: np.ndarray, rows: np.ndarray, standard: np.ndarray) -> dict[str, float]:
    """The metrics in ten lines: `standard` are predictions in standard units."""
    mean, std = ratings[train].mean(), ratings[train].std()
    error = (standard * std + mean) - ratings[rows]
    rmse = np.sqrt(np.mean(error**2))
    return {"rmse": rmse, "mae": np.mean(np.abs(error)), "rmse_standardised": rmse / std}


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_metrics(part: str, planted: Interactions):
    cut = split(planted)
    task = RatingTask(planted, cut)
    table = np.random.default_rng(0).normal(size=(24, 18))
    found = task.evaluate(lambda inputs: torch.from_numpy(table)[inputs[0], inputs[1]].float(), part)
    rows = getattr(cut, part)
    standard = table[planted.user[rows], planted.item[rows]]
    expected = reference(planted.rating.astype(float), cut.train, rows, standard)
    assert found == pytest.approx(expected, rel=1e-6)


def test_predicting_the_mean_has_rmse_one_on_the_training_part(planted: Interactions):
    task = RatingTask(planted, split(planted))
    assert task.evaluate(lambda inputs: torch.zeros(inputs.shape[1]), "train")["rmse_standardised"] == pytest.approx(
        1.0
    )


def test_only_reads_of_the_test_part_are_counted(planted: Interactions):
    task = RatingTask(planted, split(planted))
    for part in ("train", "valid", "test", "valid", "test"):
        task.evaluate(lambda inputs: torch.zeros(inputs.shape[1]), part)
    assert task.test_reads == 2
    with pytest.raises(ValueError, match="no batches are made of the test part"):
        task.stream("test", 4, 0)  # type: ignore[arg-type]


def test_large_parts_are_predicted_in_blocks_of_one_result(planted: Interactions):
    many = np.resize(np.arange(300), 70_000)
    big = replace(planted.take(many), timestamp=None)
    task = RatingTask(big, split(big))
    sizes: list[int] = []

    def predict(inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(inputs.shape[1])
        return torch.zeros(inputs.shape[1])

    task.evaluate(predict, "train")
    assert sum(sizes) == 35_000
    assert max(sizes) <= 1 << 16


@given(st.lists(st.floats(-1e4, 1e4), min_size=2).filter(lambda values: np.ptp(np.float32(values)) > 1e-2))
def test_scale_brings_ratings_back(values: list[float]):
    ratings = torch.tensor(values)
    scale = Scale.of(ratings)
    standard = scale.standardise(ratings).double()
    assert float(standard.mean()) == pytest.approx(0, abs=1e-4)
    assert float(standard.std(unbiased=False)) == pytest.approx(1, rel=1e-3)
    assert torch.allclose(scale.restore(standard), ratings.double(), atol=1e-5 * max(1.0, float(ratings.abs().max())))
    assert scale.restore(standard * 100).max() <= ratings.max()


def test_equal_ratings_are_refused():
    with pytest.raises(DataError, match="all 3 training ratings equal 4: there is nothing to predict"):
        Scale.of(torch.full((3,), 4.0))


def test_ratings_are_needed(planted: Interactions):
    with pytest.raises(DataError, match="planted has no ratings; the rating task needs a rating column"):
        RatingTask(replace(planted, rating=None), split(planted))


def test_counts_are_of_the_training_part(planted: Interactions):
    cut = split(planted)
    train = planted.take(cut.train)
    expected = np.concatenate([np.bincount(train.user, minlength=24), np.bincount(train.item, minlength=18)])
    assert RatingTask(planted, cut).counts().tolist() == expected.tolist()


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**31))
def test_every_pass_holds_each_row_once_and_any_batch_can_be_asked_for(n: int, size: int, seed: int):
    stream = TensorStream(torch.arange(n).repeat(2, 1), torch.arange(n), size, seed)
    first, second = ([stream.batch(step) for step in range(start, start + len(stream))] for start in (0, len(stream)))
    for batches in (first, second):
        assert sorted(torch.cat([batch.target for batch in batches]).tolist()) == list(range(n))
        assert all(torch.equal(batch.inputs[0], batch.target) for batch in batches)
        assert all(len(batch.target) == size for batch in batches[:-1])
    fresh = TensorStream(torch.arange(n).repeat(2, 1), torch.arange(n), size, seed)
    assert torch.equal(fresh.batch(2 * len(stream) - 1).target, second[-1].target)
