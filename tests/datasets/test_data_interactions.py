from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from data_samples import GOOD
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sif.datasets import Interactions, Vocabulary, check_rating_task, read, to_frame
from sif.datasets.interactions import last_of_each
from sif.errors import DataError


def small(**changes):
    made = Interactions(
        user=np.array([0, 0, 1]),
        item=np.array([1, 0, 1]),
        rating=np.array([1, 2, 4.5], np.float32),
        timestamp=np.array([0, 86400 * 31, 86400 * 31 + 0.5]),
        context=None,
        users=Vocabulary(["a", "b"]),
        items=Vocabulary([10, 20]),
    )
    return replace(made, **changes)


def test_take_keeps_vocabularies():
    part = small().take(np.array([2]))
    assert (len(part), part.n_users, part.n_items) == (1, 2, 2)
    assert part.rating.tolist() == [4.5]


def test_user_items():
    matrix = small().user_items()
    assert sparse.issparse(matrix)
    assert matrix.format == "csr"
    assert matrix.dtype == np.float32
    assert matrix.toarray().tolist() == [[2, 1], [0, 4.5]]
    assert small(rating=None).user_items().toarray().tolist() == [[1, 1], [0, 1]]


def test_user_items_of_a_pair_in_two_contexts_keeps_the_last():
    data = small(user=np.array([0, 0, 0]), item=np.array([1, 1, 1]))
    data = replace(data, context=np.array([0, 1, 0]), contexts=Vocabulary(["x", "y"]))
    assert data.user_items().toarray().tolist() == [[0, 4.5], [0, 0]]


def test_month_context():
    data = small().with_month_context()
    assert data.contexts.to_list() == ["1970-01", "1970-02"]
    assert data.context.tolist() == [0, 1, 1]
    with pytest.raises(DataError) as error:
        small(timestamp=None).with_month_context()
    assert str(error.value) == (
        "memory has no timestamps, and the month context is derived from them\n"
        "  Add a timestamp column (epoch seconds or ISO dates), or name a context column of your own."
    )


def test_describe():
    facts = small().describe()
    assert facts["rating"] == {"min": 1.0, "max": 4.5, "mean": 2.5, "step": 1.0, "distinct": 3}
    assert facts["dates"] == {"first": "1970-01-01T00:00:00", "last": "1970-02-01T00:00:00"}
    assert (facts["users"], facts["items"], facts["interactions"], facts["density"]) == (2, 2, 3, 0.75)


def test_fingerprint_ignores_row_order_and_sees_everything_else():
    data = small()
    assert len(data.fingerprint()) == 16
    assert data.take(np.array([2, 0, 1])).fingerprint() == data.fingerprint()
    changed = [
        small(rating=None),
        small(rating=np.array([1, 2, 4], np.float32)),
        small(timestamp=None),
        small(timestamp=np.array([0, 1, 2])),
        small(users=Vocabulary(["a", "c"])),
        small(items=Vocabulary([10, 21])),
        small(item=np.array([1, 0, 0])),
        small().with_month_context(),
    ]
    assert len({data.fingerprint(), *(other.fingerprint() for other in changed)}) == len(changed) + 1


def test_fingerprint_does_not_depend_on_how_the_file_was_written(write):
    one = read(write(GOOD))
    two = read(pl.read_csv(write(GOOD)))
    assert one.fingerprint() == two.fingerprint()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rating": np.ones(2, np.float32)}, "interactions: rating has 2 values, user has 3"),
        ({"item": np.array([0, 1, 2])}, r"interactions: item holds numbers outside 0\.\.1"),
        ({"context": np.zeros(3, np.int64)}, "context numbers and the vocabulary of contexts come together"),
    ],
)
def test_invariants(changes, message):
    with pytest.raises(DataError, match=message):
        small(**changes)


def test_from_csr_rules():
    matrix = sparse.coo_matrix(([1.0, 0.0, 3.0, 4.0], ([0, 1, 2, 2], [0, 1, 3, 3])), shape=(4, 5))
    data = Interactions.from_csr(matrix)
    assert (data.n_users, data.n_items, len(data)) == (4, 5, 2)
    assert data.rating.tolist() == [1.0, 4.0]
    assert data.notes == (
        "1 stored zeros dropped: zero means no interaction in a sparse matrix",
        "1 repeated entries: kept the last of each (user, item) pair",
    )
    assert Interactions.from_csr(matrix.astype(bool)).rating is None


def test_from_csr_round_trip():
    matrix = sparse.random(30, 20, 0.3, format="csr", dtype=np.float32, random_state=0)
    assert (Interactions.from_csr(matrix).user_items() != matrix).nnz == 0


def test_from_csr_with_ids_and_errors():
    matrix = sparse.csr_matrix(np.array([[1.0, np.nan]]))
    with pytest.raises(DataError) as error:
        Interactions.from_csr(matrix)
    assert str(error.value) == (
        "matrix: the entry at row 0, column 1 is nan, which no rating can be\n"
        "  Replace it by a finite number, or remove the entry."
    )
    good = sparse.csr_matrix(np.array([[1.0, 2.0]]))
    assert Interactions.from_csr(good, users=Vocabulary(["ann"])).users.to_list() == ["ann"]
    with pytest.raises(DataError, match="the vocabularies have 2 users, 2 items"):
        Interactions.from_csr(good, users=Vocabulary(["ann", "bob"]))


def test_check_rating_task():
    check_rating_task(small())
    with pytest.raises(DataError) as error:
        check_rating_task(small(rating=np.full(3, 5, np.float32)))
    assert str(error.value) == (
        "memory has 3 ratings, and all are 5: that is implicit feedback (who met what), and the rating task has "
        'nothing to learn\n  Name the column of ratings: --set columns.rating="...". For clicks and purchases: '
        "--recipe clicks."
    )
    with pytest.raises(
        DataError, match="memory has no rating column that sif knows: as it stands it is implicit feedback"
    ):
        check_rating_task(small(rating=None))


def test_raw_ids_come_back(write):
    data = read(write(GOOD))
    frame = to_frame(data)
    assert frame.row(3) == ("u3", "i3", 2.0, 978300763)
    assert read(frame).fingerprint() == data.fingerprint()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30), st.booleans())
def test_last_of_each_against_plain_python(rows, timed):
    latest = {}
    for place, (key, time) in enumerate(rows):
        if key not in latest or not timed or time >= rows[latest[key]][1]:
            latest[key] = place
    keys, times = np.array(rows, np.int64).reshape(-1, 2).T
    assert last_of_each(keys, times if timed else None).tolist() == sorted(latest.values())
