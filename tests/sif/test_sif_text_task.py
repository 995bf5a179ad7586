"""The text task: columns, windows fixed and random, perplexity."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sif.cells.recurrent.task import TextStream, TextTask
from sif.datasets import Corpus
from sif.errors import DataError


def corpus(train: int = 1000, valid: int = 300, test: int = 200, words: int = 11) -> Corpus:
    """Random words."""
    generator = torch.Generator().manual_seed(0)
    parts = (torch.randint(0, words, (count,), generator=generator) for count in (train, valid, test))
    return Corpus("random", tuple(map(str, range(words))), *parts)


def counted(count: int) -> Corpus:
    """A text in which every word stands once, so that a word is its place."""
    text = torch.arange(count)
    return Corpus("counted", tuple(map(str, range(count))), text, text, text)


def test_columns_are_stretches_of_the_text():
    task = TextTask(counted(23))
    columns = task.columns("train", 4)
    assert columns.shape == (5, 4)
    assert columns.t().tolist() == [list(range(first, first + 5)) for first in (0, 5, 10, 15)]


@given(st.integers(2, 400), st.integers(1, 6), st.integers(1, 60), st.booleans(), st.integers(0, 2**31))
def test_a_pass_covers_all_rows_in_order_and_the_target_is_the_next_word(
    rows: int, size: int, window: int, random_windows: bool, seed: int
):
    task = TextTask(counted(rows * size), window=window, random_windows=random_windows)
    stream = task.stream("train", size, seed)
    for start in (0, len(stream)):
        batches = [stream.batch(step) for step in range(start, start + len(stream))]
        assert torch.equal(torch.cat([batch.inputs for batch in batches]), task.columns("train", size)[:-1])
        for batch in batches:
            assert batch.inputs.shape == batch.target.shape
            assert len(batch.inputs) >= 1
            assert torch.equal(batch.target, batch.inputs + 1)
            assert batch.scale == (len(batch.inputs) / window if random_windows else 1.0)


def test_fixed_windows():
    stream = TextTask(counted(101), window=35).stream("train", 1, 0)
    assert [len(stream.batch(step).inputs) for step in range(6)] == [35, 35, 30] * 2


def test_random_windows_are_drawn_as_published_and_fill_the_pass():
    task = TextTask(counted(80_000), window=35, random_windows=True)
    stream = task.stream("train", 4, 1)
    lengths = torch.tensor([len(stream.batch(step).inputs) for step in range(len(stream))], dtype=torch.float64)
    assert lengths.sum() == 19_999
    assert len(stream) == round(19_999 / (0.975 * 35))
    long = lengths[lengths > 26]
    assert float(long.mean()) == pytest.approx(35, abs=1.0)
    assert float(long.std()) == pytest.approx(5, abs=0.7)
    assert 0.02 < float((lengths <= 26).double().mean()) < 0.11
    assert lengths.min() >= 4
    again = [len(stream.batch(step).inputs) for step in range(len(stream), 2 * len(stream))]
    assert again != lengths.tolist()


def test_a_batch_is_a_function_of_seed_and_number():
    task = TextTask(corpus(), window=7, random_windows=True)
    stream = task.stream("valid", 3, 5)
    forward = [stream.batch(step) for step in range(40)]
    for step in (39, 0, 20, 3):
        fresh = task.stream("valid", 3, 5).batch(step)
        assert torch.equal(fresh.inputs, forward[step].inputs)
        assert fresh.scale == forward[step].scale
    other = [task.stream("valid", 3, 6).batch(step).scale for step in range(10)]
    assert other != [batch.scale for batch in forward[:10]]


def test_the_streams_are_of_their_parts():
    task = TextTask(corpus(), window=10)
    assert torch.equal(task.stream("valid", 1, 0).batch(0).inputs[:, 0], corpus().valid[:10])
    assert torch.equal(task.stream("train", 1, 0).batch(0).inputs[:, 0], corpus().train[:10])
    with pytest.raises(ValueError, match="no batches are made of the test part"):
        task.stream("test", 2, 0)  # type: ignore[arg-type]
    assert task.test_reads == 0


def test_a_limit_shortens_the_training_part_alone():
    task = TextTask(corpus(), limit=100)
    assert task.columns("train", 1).numel() == 100
    assert task.columns("valid", 1).numel() == 300
    assert task.columns("test", 1).numel() == 200


@pytest.mark.parametrize("part", ["train", "valid", "test"])
@pytest.mark.parametrize("window", [1, 7, 35])
def test_the_perplexity_of_an_even_guess_is_the_number_of_words(part: str, window: int):
    task = TextTask(corpus(), window=window)
    found = task.evaluate(lambda inputs: torch.zeros(*inputs.shape, 11, dtype=torch.float64), part)
    assert found["perplexity"] == pytest.approx(11, rel=1e-12)
    assert found["cross_entropy"] == pytest.approx(math.log(11), rel=1e-12)
    assert task.test_reads == int(part == "test")


def test_evaluation_reads_the_windows_in_order_and_weighs_every_word_alike():
    task = TextTask(corpus(), window=8, evaluation_batch=4)
    table = torch.randn(11, 11, generator=torch.Generator().manual_seed(1))
    seen = []

    def predict(inputs: torch.Tensor) -> torch.Tensor:
        seen.append(inputs)
        return table[inputs]

    found = task.evaluate(predict)
    columns = task.columns("valid", 4)
    assert torch.equal(torch.cat(seen), columns[:-1])
    logs = table.double().log_softmax(1)[columns[:-1], columns[1:]]
    assert found["cross_entropy"] == pytest.approx(-float(logs.mean()), rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(-float(logs.mean())), rel=1e-6)
    assert task.metric in found
    assert not task.maximise


def test_a_hopeless_guess_has_a_finite_perplexity():
    found = TextTask(corpus()).evaluate(lambda inputs: -1e30 * torch.nn.functional.one_hot(inputs * 0, 11).float())
    assert math.isfinite(found["perplexity"])


def test_the_loss_is_the_mean_over_words():
    output, target = torch.randn(3, 2, 11), torch.randint(0, 11, (3, 2))
    logs = output.log_softmax(2)
    expected = -sum(float(logs[t, b, target[t, b]]) for t in range(3) for b in range(2)) / 6
    assert float(TextTask(corpus()).loss(output, target)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"window": 0}, "window = 0\n  Give 1 or more."),
        ({"evaluation_batch": 0}, "evaluation_batch = 0\n  Give 1 or more."),
        ({"limit": 1}, "limit = 1: one token to read and one to name are needed\n  Give 2 or more."),
    ],
)
def test_settings_that_cannot_be_are_said(settings: dict[str, int], text: str):
    with pytest.raises(DataError) as error:
        TextTask(corpus(), **settings)  # type: ignore[arg-type]
    assert str(error.value) == text


@pytest.mark.parametrize("size", [0, 151, 1000])
def test_a_batch_that_the_text_cannot_fill(size: int):
    with pytest.raises(DataError) as error:
        TextTask(corpus()).stream("valid", size, 0)
    assert str(error.value) == (
        f"random: the valid part has 300 tokens, too few for {size} columns\n"
        "  Give a batch of 1 to 150: each column needs a token to read and one to name."
    )
    assert len(TextTask(corpus()).stream("valid", 150, 0)) == 1


def test_the_shortest_stream_of_random_windows():
    stream = TextStream(torch.arange(2)[:, None], 35, True, 0)
    assert len(stream) == 1
    assert stream.batch(5).target.tolist() == [[1]]
