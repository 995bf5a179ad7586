"""The image task: augmentation against plain indexing, streams, metrics, and what is kept apart."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sif.cells.convolution.task import Augment, ImageTask, cut_training
from sif.datasets import Pictures
from sif.errors import DataError


def pictures(count: int = 40, shape: Sequence[int] = (3, 8, 6), classes: int = 7, seed: int = 0) -> Pictures:
    """Random pictures; every training picture has its own number in its first two pixels."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randint(0, 256, (count + 12, *shape), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count + 12) % classes
    return Pictures("random", tuple(map(str, range(classes))), draw[:count], labels[:count], draw[count:], labels[:12])


PLAIN = Augment(crop=0, flip=False)


def numbered(count: int) -> Pictures:
    """Pictures that are told apart by their one grey level."""
    grey = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, 4, 4).clone()
    labels = torch.zeros(count, dtype=torch.int64)
    return Pictures("numbered", ("a", "b"), grey, labels, torch.full_like(grey[:3], 255), labels[:3])


def restored(task: ImageTask, inputs: torch.Tensor) -> torch.Tensor:
    """Normalised pictures in grey levels again."""
    return (255 * (inputs * task.std[:, None, None] + task.mean[:, None, None])).round()


@given(st.integers(0, 5), st.booleans(), st.integers(0, 1000))
def test_a_crop_is_a_window_of_the_padded_picture(crop: int, flip: bool, seed: int):
    data = pictures(5).train
    augment = Augment(crop, flip)
    draws = augment.draw(5, 8, 6, torch.Generator().manual_seed(seed))
    found = augment.shift(data, draws)
    for place in range(5):
        top, left, mirrored = draws[:3, place].tolist()
        padded = np.zeros((3, 8 + 2 * crop, 6 + 2 * crop), np.uint8)
        padded[:, crop : crop + 8, crop : crop + 6] = data[place]
        window = padded[:, top : top + 8, left : left + 6]
        assert np.array_equal(found[place], window[:, :, ::-1] if mirrored else window)
    assert found.dtype == torch.uint8


@given(st.integers(0, 9), st.integers(0, 1000))
def test_cutout_blanks_exactly_its_square(length: int, seed: int):
    augment = Augment(cutout=length)
    draws = augment.draw(6, 8, 6, torch.Generator().manual_seed(seed))
    values = torch.full((6, 3, 8, 6), 7.0)
    found = augment.blank(values, draws)
    for place in range(6):
        row, column = draws[3:, place].tolist()
        expected = np.full((3, 8, 6), 7.0)
        first_row, first_column = row - length // 2, column - length // 2
        expected[
            :, max(first_row, 0) : max(first_row + length, 0), max(first_column, 0) : max(first_column + length, 0)
        ] = 0
        assert np.array_equal(found[place], expected)


def test_draws_cover_their_range_evenly():
    draws = Augment(crop=4, cutout=3).draw(90_000, 32, 20, torch.Generator().manual_seed(0))
    for row, ends in zip(draws, (9, 9, 2, 32, 20), strict=True):
        share = torch.bincount(row) / 90_000
        assert len(share) == ends
        assert torch.allclose(share, torch.full((ends,), 1 / ends), atol=0.01)
    assert Augment(flip=False).draw(50, 4, 4, torch.Generator())[2].sum() == 0


def test_each_picture_has_its_own_draw():
    same = pictures().train[:1].expand(200, 3, 8, 6)
    augment = Augment(cutout=2)
    draws = augment.draw(200, 8, 6, torch.Generator().manual_seed(0))
    moved = augment.shift(same, draws)
    assert len(torch.unique(moved.flatten(1), dim=0)) > 100


def test_the_stream_makes_its_batches_of_crop_flip_normalisation_and_cutout():
    data = pictures()
    task = ImageTask(data, train=range(40), augment=Augment(crop=2, cutout=4))
    stream = task.stream("train", 8, seed=3)
    batch = stream.batch(7)
    (order, draws), offset = stream._passes.at(7)  # type: ignore[attr-defined]
    assert offset == 2
    order, draws = order[16:24], draws[:, 16:24]
    moved = task.augment.shift(data.train[order], draws).double() / 255
    mean = (data.train.double() / 255).mean((0, 2, 3))
    std = (data.train.double() / 255).std((0, 2, 3), unbiased=False)
    expected = task.augment.blank((moved - mean[:, None, None]) / std[:, None, None], draws)
    assert torch.allclose(batch.inputs.double(), expected, atol=1e-5)
    assert batch.inputs.dtype == torch.float32
    assert torch.equal(batch.target, data.train_labels[order])
    assert (batch.inputs == 0).any()


def test_normalisation_is_measured_on_train_alone():
    data = pictures()
    task = ImageTask(data, train=range(10), valid=range(10, 40), augment=PLAIN)
    values = data.train[:10].double() / 255
    assert torch.allclose(task.mean.double(), values.mean((0, 2, 3)))
    assert torch.allclose(task.std.double(), values.std((0, 2, 3), unbiased=False))
    inputs = torch.cat([task.stream("train", 4, 0).batch(step).inputs for step in range(3)])
    assert torch.allclose(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(inputs.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-5)


def test_a_channel_without_variation_can_be_normalised():
    flat = torch.full((4, 1, 4, 4), 9, dtype=torch.uint8)
    labels = torch.tensor([0, 1, 0, 1])
    task = ImageTask(Pictures("flat", ("a", "b"), flat, labels, flat, labels), train=range(4), augment=PLAIN)
    assert task.stream("train", 4, 0).batch(0).inputs.abs().max() < 1e-5


@given(st.integers(2, 60), st.integers(1, 70), st.integers(0, 2**31))
def test_every_pass_holds_each_picture_once_and_any_batch_can_be_asked_for(count: int, size: int, seed: int):
    task = ImageTask(numbered(count), train=range(count), augment=PLAIN)
    stream = task.stream("train", size, seed)
    passes = []
    for start in (0, len(stream)):
        batches = [stream.batch(step) for step in range(start, start + len(stream))]
        assert all(len(batch.target) == size for batch in batches[:-1])
        passes.append(torch.cat([restored(task, batch.inputs)[:, 0, 0, 0] for batch in batches]).int().tolist())
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(count))
    assert count < 20 or passes[0] != passes[1]


def test_a_batch_is_a_function_of_seed_and_number():
    task = ImageTask(pictures(), train=range(30), augment=Augment(crop=2, cutout=3))
    stream = task.stream("train", 7, 5)
    forward = [stream.batch(step) for step in range(12)]
    for step in (11, 0, 6, 3):
        fresh = task.stream("train", 7, 5).batch(step)
        assert torch.equal(fresh.inputs, forward[step].inputs)
        assert torch.equal(fresh.target, forward[step].target)
    other = task.stream("train", 7, 6).batch(0)
    assert not torch.equal(other.inputs, forward[0].inputs)


def test_drawing_leaves_the_global_generator_alone():
    task = ImageTask(pictures(), train=range(30))
    before = torch.get_rng_state()
    task.stream("train", 7, 5).batch(0)
    cut_training(pictures(), 0)
    assert torch.equal(before, torch.get_rng_state())


def test_no_picture_of_test_or_of_the_other_part_is_in_a_stream():
    data = numbered(50)
    train, valid, _ = cut_training(data, seed=1)
    task = ImageTask(data, train=train, valid=valid, augment=PLAIN)
    for part, rows in (("train", train), ("valid", valid)):
        stream = task.stream(part, 8, 0)
        seen = torch.cat([restored(task, stream.batch(step).inputs)[:, 0, 0, 0] for step in range(2 * len(stream))])
        assert set(seen.int().tolist()) == set(rows.tolist())
    with pytest.raises(ValueError, match="no batches are made of the test part"):
        task.stream("test", 8, 0)  # type: ignore[arg-type]
    assert task.test_reads == 0


@given(st.integers(2, 60), st.floats(0.01, 1.0), st.integers(0, 99), st.booleans())
def test_parts_are_disjoint_and_shuffled(count: int, share: float, seed: int, limited: bool):
    limit = max(2, count // 2) if limited else None
    train, valid, _ = cut_training(numbered(count), seed, share, limit)
    both = [*train.tolist(), *valid.tolist()]
    assert len(set(both)) == len(both) == (limit or count)
    assert len(train) == min(max(round(share * len(both)), 1), len(both))
    assert torch.equal(train, cut_training(numbered(count), seed, share, limit)[0])
    assert count < 20 or both != cut_training(numbered(count), seed + 1, share, limit)[0].tolist()


def test_pictures_held_out_are_in_neither_part():
    weights, architecture, held_out = cut_training(numbered(20), 3, holdout=6)
    assert (len(weights), len(architecture), len(held_out)) == (7, 7, 6)
    assert len({*weights.tolist(), *architecture.tolist(), *held_out.tolist()}) == 20
    with pytest.raises(DataError, match=r"^holdout = 19 of 20 training pictures\n  Give 0 to 18\.$"):
        cut_training(numbered(20), 3, holdout=19)


def test_a_cut_with_every_picture_for_training():
    train, valid, _ = cut_training(numbered(9), 0, share=1.0)
    assert sorted(train.tolist()) == list(range(9))
    assert len(valid) == 0
    task = ImageTask(numbered(9), train=train, valid=valid)
    with pytest.raises(DataError, match="no pictures were set aside for valid\n  Give a share below 1"):
        task.evaluate(lambda inputs: torch.zeros(len(inputs), 2))
    with pytest.raises(DataError, match="no pictures were set aside for this part\n  Give a share below 1"):
        task.stream("valid", 4, 0).batch(0)


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_metrics(part: str):
    data = pictures(1300)
    task = ImageTask(data, train=range(600), valid=range(600, 1300), augment=Augment(crop=4))
    chosen = {"train": slice(0, 600), "valid": slice(600, 1300)}
    images = data.test if part == "test" else data.train[chosen[part]]
    labels = data.test_labels if part == "test" else data.train_labels[chosen[part]]
    weights = torch.randn(3 * 8 * 6, 7, generator=torch.Generator().manual_seed(0))
    sizes = []

    def predict(inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(len(inputs))
        return inputs.flatten(1) @ weights

    found = task.evaluate(predict, part)
    logits = (task.normalise(images).flatten(1) @ weights).double().numpy()
    order = np.argsort(-logits, 1)
    expected = {
        "top1": np.mean(order[:, 0] == labels.numpy()),
        "top5": np.mean([label in row[:5] for row, label in zip(order, labels.numpy(), strict=True)]),
        "cross_entropy": np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]),
    }
    assert found == pytest.approx(expected, rel=1e-5)
    assert sum(sizes) == len(labels)
    assert max(sizes) <= 512
    assert task.test_reads == int(part == "test")


def test_few_classes_have_no_top5_and_an_even_guess_costs_log_classes():
    task = ImageTask(pictures(classes=5), train=range(20), valid=range(20, 40))
    found = task.evaluate(lambda inputs: torch.zeros(len(inputs), 5))
    assert set(found) == {"top1", "cross_entropy"}
    assert found["cross_entropy"] == pytest.approx(math.log(5), rel=1e-12)
    assert task.metric in found
    assert task.maximise


def test_label_smoothing_is_in_the_loss_and_not_in_the_metrics():
    data = pictures()
    output, target = torch.randn(6, 7), torch.arange(6)
    plain, smooth = (ImageTask(data, train=range(40), label_smoothing=amount) for amount in (0.0, 0.2))
    logs = output.log_softmax(1)
    hard = -logs[torch.arange(6), target].mean()
    assert plain.loss(output, target) == pytest.approx(float(hard), rel=1e-6)
    assert smooth.loss(output, target) == pytest.approx(float(0.8 * hard - 0.2 * logs.mean()), rel=1e-5)
    assert plain.evaluate(lambda x: x.flatten(1)[:, :7], "train") == smooth.evaluate(
        lambda x: x.flatten(1)[:, :7], "train"
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"train": [0, 40]}, "random: train names picture 40, the training part has 0 to 39"),
        ({"train": [3], "valid": [-1]}, "random: valid names picture -1, the training part has 0 to 39"),
        ({"train": [1, 2], "valid": [2]}, "random: a picture is in train and valid, or twice in one\n"),
        ({"train": [1, 1]}, "random: a picture is in train and valid, or twice in one\n"),
        ({"train": []}, "random: no pictures to train on\n"),
        ({"train": [1], "label_smoothing": 1.0}, "label_smoothing = 1.0\n  Give a number from 0 up to, but not, 1."),
    ],
)
def test_what_cannot_be_is_said(settings: dict[str, object], text: str):
    with pytest.raises(DataError) as error:
        ImageTask(pictures(), **settings)  # type: ignore[arg-type]
    assert str(error.value).startswith(text)


def test_settings_that_cannot_be_are_said():
    with pytest.raises(DataError, match=r"augment\.crop = -1 is negative\n  Give 0 for none"):
        Augment(crop=-1)
    with pytest.raises(DataError, match="share = 0 of the training pictures\n  Give a number above 0 and up to 1"):
        cut_training(pictures(), 0, share=0)
    with pytest.raises(DataError, match="limit = 41, and random has 40 training pictures\n  Give 2 to 40"):
        cut_training(pictures(), 0, limit=41)
