import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sif.datasets import Interactions, Vocabulary, split
from sif.datasets.splits import SPLIT_KINDS
from sif.errors import DataError


def build(pairs, times, ratings=None):
    pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Interactions(
        user=pairs[:, 0],
        item=pairs[:, 1],
        rating=None if ratings is None else np.array(ratings, np.float32),
        timestamp=None if times is None else np.array(times, np.int64),
        context=None,
        users=Vocabulary(np.arange(8)),
        items=Vocabulary(np.arange(12)),
    )


@st.composite
def interactions(draw):
    cells = draw(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 11)), min_size=12, max_size=60, unique=True))
    times = draw(st.lists(st.integers(0, 20), min_size=len(cells), max_size=len(cells)))
    return build(cells, times)


def cut(data, kind, **options):
    """A split, or no example where the data are too few for the kind (users with two rows)."""
    assume(np.bincount(data.user).max() >= {"leave-last-out": 3, "user": 4}.get(kind, 0))
    return split(data, kind, **options)


@settings(deadline=None)
@given(interactions(), st.sampled_from(SPLIT_KINDS), st.integers(0, 3))
def test_disjoint_covering_deterministic(data, kind, seed):
    made = cut(data, kind, seed=seed)
    together = np.concatenate([made.train, made.valid, made.test])
    assert sorted(together.tolist()) == list(range(len(data)))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in (made.train, made.valid, made.test))
    again = split(data, kind, seed=seed)
    assert again.fingerprint == made.fingerprint
    assert again.test.tolist() == made.test.tolist()


@settings(deadline=None)
@given(interactions(), st.sampled_from(SPLIT_KINDS), st.randoms())
def test_the_order_of_rows_changes_nothing(data, kind, random):
    made = cut(data, kind)
    order = np.arange(len(data))
    random.shuffle(order)
    other = split(data.take(order), kind)
    assert other.fingerprint == made.fingerprint
    assert sorted(order[other.test].tolist()) == made.test.tolist()


@settings(deadline=None)
@given(interactions())
def test_temporal_never_trains_on_the_future(data):
    made = split(data, "temporal")
    assert data.timestamp[made.train].max() <= data.timestamp[made.valid].min()
    assert data.timestamp[made.valid].max() <= data.timestamp[made.test].min()


@settings(deadline=None)
@given(interactions())
def test_leave_last_out(data):
    made = cut(data, "leave-last-out")
    for user in range(8):
        times = [data.timestamp[part[data.user[part] == user]] for part in (made.train, made.valid, made.test)]
        if sum(map(len, times)) < 3:
            assert len(times[1]) == len(times[2]) == 0
        else:
            assert len(times[1]) == len(times[2]) == 1
            assert times[0].max() <= times[1].min() <= times[2].min()


@settings(deadline=None)
@given(interactions())
def test_per_user_shares(data):
    made = cut(data, "user")
    for user in np.unique(data.user):
        total, train = (data.user == user).sum(), (data.user[made.train] == user).sum()
        assert train == max(1, int(total * 0.5 + 0.5))


def grid(times=True):
    pairs = [(u, i) for u in range(8) for i in range(12)]
    return build(pairs, range(96) if times else None)


def test_sizes_and_pinned_draws():
    made = split(grid(), "random", seed=0)
    assert [len(made.train), len(made.valid), len(made.test)] == [48, 24, 24]
    # The stream of PCG64 is fixed by numpy: these rows must never change, on any machine.
    assert made.test[:6].tolist() == [4, 5, 9, 10, 12, 16]
    assert made.fingerprint == "5bbecddc7473cbcb"


def test_fingerprint_sees_kind_seed_fractions_and_data():
    data = grid()
    prints = {split(data, kind).fingerprint for kind in SPLIT_KINDS}
    prints.add(split(data, seed=1).fingerprint)
    prints.add(split(data, fractions=(0.6, 0.2, 0.2)).fingerprint)
    prints.add(split(grid(times=False)).fingerprint)
    assert len(prints) == 7


def test_a_fraction_may_be_zero():
    made = split(grid(), fractions=(0.75, 0.0, 0.25))
    assert [len(made.train), len(made.valid), len(made.test)] == [72, 0, 24]
    made = split(grid(), "user", fractions=(0.75, 0.25, 0))
    assert [len(made.train), len(made.valid), len(made.test)] == [72, 24, 0]
    assert len(split(grid(), fractions=(1, 0, 0)).train) == 96


def test_notes():
    pairs = [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4)]
    made = split(build(pairs, range(5)), "leave-last-out")
    assert made.notes == (
        "1 users with fewer than 3 interactions are in train whole",
        "1 items of the validation part do not occur in train",
        "1 items of the test part do not occur in train",
    )
    assert made.fractions is None
    assert made.describe()["sizes"] == {"train": 3, "valid": 1, "test": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "rndom"},
            'split kind "rndom" is unknown\n  Use one of random, user, leave-last-out, temporal.',
        ),
        (
            {"fractions": (0.5, 0.5, 0.5)},
            "split fractions (0.5, 0.5, 0.5) cannot be used\n"
            "  Give three numbers for train, validation and test that sum to 1, the first above 0: (0.5, 0.25, 0.25).",
        ),
        ({"seed": -1}, "split seed -1 is negative\n  Use 0 or a positive whole number."),
        (
            {"kind": "temporal"},
            "memory has no timestamps, and the temporal split orders by them\n"
            '  Add a timestamp column, or use split kind "random" or "user".',
        ),
        (
            {"fractions": (0.999, 0.0005, 0.0005)},
            "memory has 96 interactions, and the random split leaves the valid part empty\n"
            "  Give more data, or another kind or other fractions.",
        ),
    ],
)
def test_errors(options, message):
    with pytest.raises(DataError) as error:
        split(grid(times=False), **options)
    assert str(error.value) == message


@pytest.mark.parametrize("fractions", [(0, 0.5, 0.5), (1.5, -0.5, 0), (float("nan"), 0.5, 0.5), (0.5, 0.5)])
def test_other_fractions_that_cannot_be(fractions):
    with pytest.raises(DataError, match="cannot be used"):
        split(grid(), fractions=fractions)


def test_a_frame_of_text_ids_splits_like_any_other():
    from sif.datasets import read

    frame = pl.DataFrame({"user": [f"u{i % 8}" for i in range(96)], "item": [f"i{i // 8}" for i in range(96)]})
    assert len(split(read(frame), "user").train) == 48
