import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sif.datasets import Vocabulary
from sif.errors import DataError

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)


@given(st.one_of(st.lists(INT64), st.lists(TEXT)), st.randoms())
def test_round_trip_and_independence_of_order(ids, random):
    vocabulary = Vocabulary(ids)
    assert len(vocabulary) == len(set(ids))
    codes = vocabulary.encode(ids)
    assert codes.dtype == np.int64
    assert vocabulary.decode(codes) == ids
    assert vocabulary.to_list() == sorted(set(ids))
    assert Vocabulary.from_list(json.loads(json.dumps(vocabulary.to_list()))) == vocabulary
    shuffled = list(ids)
    random.shuffle(shuffled)
    assert Vocabulary(shuffled) == vocabulary


@given(st.lists(st.one_of(INT64, TEXT), min_size=1))
def test_mixed_ids_become_text(ids):
    vocabulary = Vocabulary(ids)
    expected = ids if all(isinstance(i, int) for i in ids) else [str(i) for i in ids]
    assert vocabulary.decode(vocabulary.encode(ids)) == expected


def test_unknown_ids_encode_to_minus_one():
    assert Vocabulary([10, -3, 5]).encode([5, 4, 11, -4, -3]).tolist() == [1, -1, -1, -1, 0]
    assert Vocabulary(["b", "a"]).encode(["a", "zz", "b"]).tolist() == [0, -1, 1]
    assert Vocabulary([]).encode([1]).tolist() == [-1]


def test_integers_and_their_text_find_each_other():
    assert Vocabulary([7, 42]).encode(["42", "042", "x"]).tolist() == [1, -1, -1]
    assert Vocabulary(["7", "a"]).encode([7]).tolist() == [0]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (np.array([3.0, 1.0]), [1, 3]),
        (np.array([1.5, 1.0]), ["1.0", "1.5"]),
        (pl.Series([3, 1], dtype=pl.UInt8), [1, 3]),
        ([2**63, 5], ["5", str(2**63)]),
        (np.array([2**63, 5], dtype=np.uint64), ["5", str(2**63)]),
        (np.array(["b", "a"]), ["a", "b"]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["a", "b"]),
        (np.array([1, "a"], dtype=object), ["1", "a"]),
    ],
)
def test_types_of_ids(ids, expected):
    assert Vocabulary(ids).to_list() == expected


def test_find():
    assert Vocabulary([7, 42]).find(" 42 ") == 1
    assert Vocabulary(["ann", "bob"]).find("bob") == 1


@pytest.mark.parametrize(
    ("ids", "text", "message"),
    [
        ([1, 5, 9], "6", 'user "6" is unknown\n  The 3 users have integer ids from 1 to 9. Nearest: 5, 9.'),
        ([1, 5, 9], "ann", 'user "ann" is unknown\n  The 3 users have integer ids from 1 to 9; give one of them.'),
        (["anna", "bob"], "ana", 'user "ana" is unknown\n  Did you mean anna?'),
        (["a", "b"], "zzz", 'user "zzz" is unknown\n  The 2 users have ids such as a, b; give one of them.'),
        ([], "1", 'user "1" is unknown: there are no users'),
    ],
)
def test_find_unknown(ids, text, message):
    with pytest.raises(DataError) as error:
        Vocabulary(ids).find(text, "user")
    assert str(error.value) == message


def test_decode_outside():
    with pytest.raises(DataError, match="no raw id has the number -1: this vocabulary holds 0 to 1"):
        Vocabulary([7, 42]).decode([0, -1])


def test_not_a_saved_vocabulary():
    with pytest.raises(DataError, match="these ids are not a saved vocabulary"):
        Vocabulary.from_list([2, 1])


def test_missing_ids_are_refused():
    with pytest.raises(DataError, match="cannot hold missing ids \\(1 of 2 are null\\)"):
        Vocabulary(["a", None])
