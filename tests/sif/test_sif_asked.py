"""What is asked for at the doors of serving: ids and masks in every form, counts, rows of users; else words."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sif_samples import TINY

import sif
from sif.datasets import Interactions
from sif.errors import DataError
from sif.recipes import load_recipe
from sif.serve.asked import asked_rows, count_of, numbers_of

SIZE = 6
MASK = [False, True, False, False, True, False]


def numbered(asked: Any, **options: Any) -> tuple[list[int], bool]:
    numbers, single = numbers_of(asked, SIZE, "item", "items", **options)
    assert numbers.dtype == np.int64
    assert numbers.flags.writeable
    return numbers.tolist(), single


FORMS: dict[str, Any] = {
    "list": [1, 4],
    "tuple": (1, 4),
    "range": range(1, 5, 3),
    "generator": (each for each in (1, 4)),
    "dict keys": {1: "a", 4: "b"}.keys(),
    "numpy scalars": [np.int32(1), np.uint8(4)],
    "int8": np.array([1, 4], np.int8),
    "uint64": np.array([1, 4], np.uint64),
    "other byte order": np.array([1, 4], ">i8"),
    "whole floats": np.array([1.0, 4.0]),
    "objects": np.array([1, 4], object),
    "tensor": torch.tensor([1, 4]),
    "tensors": [torch.tensor(1), torch.tensor(4)],
    "series": pd.Series([1, 4]),
    "nullable series": pd.Series([1, 4], dtype="Int64"),
    "index": pd.Index([1, 4]),
    "polars": pl.Series([1, 4]),
    "mask": np.array(MASK),
    "list mask": MASK,
    "object mask": np.array(MASK, object),
    "tensor mask": torch.tensor(MASK),
    "series mask": pd.Series(MASK),
    "nullable mask": pd.Series(MASK, dtype="boolean"),
    "polars mask": pl.Series(MASK),
}


@pytest.mark.parametrize("form", FORMS)
def test_ids_and_masks_in_every_form(form: str):
    assert numbered(FORMS[form]) == ([1, 4], False)


def test_single_sets_empty_and_repeated():
    for one in (4, np.int64(4), np.array(4), 4.0, torch.tensor(4), np.uint64(4)):
        assert numbered(one) == ([4], True)
    assert sorted(numbered({1, 4})[0]) == sorted(numbered(frozenset({1, 4}))[0]) == [1, 4]
    for nothing in ([], np.array([]), np.array([], str), range(0), set(), pd.Series([], dtype=float), torch.tensor([])):
        assert numbered(nothing) == ([], False)
    assert numbered([False] * SIZE) == ([], False)
    assert numbered([4, 4, 1]) == ([4, 4, 1], False)
    frozen = np.array([1, 4])
    frozen.flags.writeable = False
    assert numbered(frozen) == ([1, 4], False)


REFUSED: dict[str, tuple[Any, str]] = {
    "short mask": ([True, False], "items is a mask of 2, and there are 6 items; give one flag for each"),
    "long mask": (np.ones(7, bool), "a mask of 7"),
    "empty mask": (np.array([], bool), "a mask of 0"),
    "True": (True, "neither a number nor a mask"),
    "numpy False": (np.False_, "neither a number nor a mask"),
    "mixed": ([True, 2], "holds both True or False and numbers"),
    "half": ([1.5], r"holds 1\.5, which is no whole number"),
    "nan": (math.nan, "holds nan, which is no whole number"),
    "inf": ([1, math.inf], "holds inf, which is no whole number"),
    "missing": (pd.Series([1, None], dtype="Int64"), "items holds (nan|<NA>)"),
    "missing flag": (pd.Series([True, None] * 3, dtype="boolean"), "holds"),
    "None": ([1, None], "holds None"),
    "text": ("m04", r"holds 'm04'; give numbers of items, or a boolean mask of all \(a raw id is one for the run"),
    "digits": (["3"], r"holds .*'3'"),
    "bytes": (b"3", "holds b'3'"),
    "complex": ([1j], "holds .*1j"),
    "date": (np.array(["2020-01-01"], "M8[D]"), "holds .*2020"),
    "outside": ([6], "unknown item 6: this model knows items 0 to 5"),
    "huge": (2**70, f"unknown item {2**70}"),
    "huge unsigned": (np.array([2**64 - 1], np.uint64), f"unknown item {2**64 - 1}"),
    "negative": ([-2], "unknown item -2: this model knows items 0 to 5$"),
    "padding": (np.array([4, -1]), r"unknown item -1: .*; -1 fills .*: give ids\[ids >= 0\] as items"),
    "two rows": ([[1, 2], [3, 4]], r"items has shape \(2, 2\); give the items in one row, such as np.unique\(items\)"),
    "ragged": ([[1], [2, 3]], "items holds"),
    "mapping": ({1: 2}, "items holds"),
    "sparse": (sparse.csr_array([[1, 0]]), "items holds a csr_array"),
    "masked": (
        np.ma.array([1, 2], mask=[0, 1]),
        r"masked entries; give those that are meant: items.compressed\(\)",
    ),
    "object": (object(), "items holds"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_id_is_refused(form: str):
    asked, words = REFUSED[form]
    with pytest.raises(DataError, match=words):
        numbered(asked)


def test_a_set_where_the_order_counts():
    with pytest.raises(DataError, match="items is a set, and answers come in the order of the items; give a list"):
        numbered({1, 4}, ordered=True)


@pytest.mark.parametrize("count", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_counts(count: Any):
    assert count_of(count, "N") == 3
    assert type(count_of(count, "N")) is int


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (-1, "N = -1; ask for 1 item or more"),
        (0, "N = 0; ask for 1 item or more"),
        (2.0, r"N = 2\.0; ask for a whole number of items, such as N=2$"),
        (np.float64(2), "such as N=2$"),
        (2.5, r"N = 2\.5; ask for a whole number of items, such as N=10$"),
        (True, "N = True; ask for a whole number"),
        (np.True_, "whole number"),
        ("3", "N = '3'; ask for a whole number"),
        (None, "N = None"),
        (10**12, "ask for 1000000 items at most"),
    ],
)
def test_what_is_no_count(count: Any, words: str):
    with pytest.raises(DataError, match=words):
        count_of(count, "N")


@pytest.fixture(scope="module")
def user_items(planted: Interactions) -> sparse.csr_matrix:
    return planted.user_items()


@pytest.fixture(scope="module")
def model(user_items: sparse.csr_matrix) -> sif.Recommender:
    return sif.Recommender(load_recipe("ratings-operations", [f"{k}={str(v).lower()}" for k, v in TINY.items()])).fit(
        user_items
    )


ITEM_MASK = np.arange(18) < 5
DOORS: dict[str, Callable[[sif.Recommender, sparse.csr_matrix, Any], Any]] = {
    "filter_items": lambda m, x, ids: m.recommend(3, x[3], filter_items=ids),
    "items": lambda m, x, ids: m.recommend(3, x[3], items=ids),
    "itemid": lambda m, x, ids: m.similar_items(ids),
    "similar filter_items": lambda m, x, ids: m.similar_items(4, filter_items=ids),
    "similar items": lambda m, x, ids: m.similar_items(4, items=ids),
}


@pytest.mark.parametrize("door", DOORS)
def test_masks_select_at_every_door_of_items(door: str, model: sif.Recommender, user_items: sparse.csr_matrix):
    by_mask, by_ids = (DOORS[door](model, user_items, asked) for asked in (ITEM_MASK, [0, 1, 2, 3, 4]))
    for mine, yours in zip(by_mask, by_ids, strict=True):
        assert np.array_equal(mine, yours)
    with pytest.raises(DataError, match="is a mask of 17, and there are 18 items"):
        DOORS[door](model, user_items, ITEM_MASK[1:])


def test_masks_select_users(model: sif.Recommender, user_items: sparse.csr_matrix):
    mask = np.arange(24) % 7 == 3
    users = np.flatnonzero(mask)
    for call in (
        lambda asked: model.recommend(asked, user_items[users]),
        lambda asked: model.recommend(asked, user_items[users], recalculate_user=True),
        lambda asked: model.similar_users(asked),
        lambda asked: model.similar_users(2, filter_users=asked),
        lambda asked: model.similar_users(2, users=asked),
    ):
        for mine, yours in zip(call(mask), call(users), strict=True):
            assert np.array_equal(mine, yours)
    with pytest.raises(DataError, match="userid is a set"):
        model.recommend({3, 4}, user_items[[3, 4]])


def test_rows_of_one_user_in_every_form(model: sif.Recommender, user_items: sparse.csr_matrix):
    wanted = model.recommend(3, user_items[3], recalculate_user=True)
    array = sparse.csr_array(user_items)
    shuffled = array[[3]]
    order = np.random.default_rng(0).permutation(len(shuffled.indices))
    shuffled.indices, shuffled.data, shuffled.has_sorted_indices = shuffled.indices[order], shuffled.data[order], False
    forms = [array[3], array[3].tocoo(), array[[3]], shuffled, shuffled.astype(float)]
    forms += [user_items[3].asformat(form) for form in ("csc", "coo", "lil", "dok", "dia", "bsr")]
    forms += [array[[3]].asformat(form) for form in ("csc", "coo", "lil", "dok", "dia", "bsr")]
    for row in forms:
        for mine, yours in zip(model.recommend(3, row, recalculate_user=True), wanted, strict=True):
            assert np.array_equal(mine, yours)


def row_of(values: list[Any], items: list[int], dtype: Any = float) -> sparse.coo_array:
    return sparse.coo_array((np.array(values, dtype), ([0] * len(items), items)), shape=(1, 18))


def test_history_is_read_as_fit_reads_it(model: sif.Recommender):
    """Stored zeros are no interaction, of repeated entries the last counts; to leave out, every stored entry counts."""
    plain = model.recommend(0, row_of([5], [4]), recalculate_user=True)
    for row in (row_of([0, 5], [2, 4]), row_of([3, 5], [4, 4]), sparse.csr_array(row_of([0, 5], [2, 4]))):
        kept = model.recommend(0, row, 18, False, recalculate_user=True)
        assert np.array_equal(kept[1], model.recommend(0, row_of([5], [4]), 18, False, recalculate_user=True)[1])
    hidden = model.recommend(0, row_of([0, 5], [2, 4]), 18, recalculate_user=True)[0]
    assert set(plain[0]) - set(hidden[hidden >= 0]) <= {2}
    assert 2 not in hidden


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (row_of([math.nan, 5], [2, 4]), r"the entry at row 0, column 2 is nan, which no rating can be"),
        (row_of([5, -math.inf], [2, 4]), "column 4 is -inf"),
        (row_of([1e300], [2]), "column 2 is 1e"),
        (row_of([1j], [2], complex), "holds values of type complex128; give numbers"),
        (row_of([True], [2], bool), "user_items is boolean, and this model predicts ratings"),
        (sparse.csr_array(np.ones(17)), "has 17 columns; this model knows 18 items"),
        (sparse.csr_array((2, 18)), r"has 2 rows for 1 requested user"),
        (pd.DataFrame(np.ones((1, 18))), "user_items is a DataFrame; give a scipy sparse matrix"),
        (pd.DataFrame(np.ones((1, 18))).astype(pd.SparseDtype(float)), r"frame\.sparse\.to_coo\(\)"),
        (None, "user_items is a NoneType"),
    ],
)
def test_rows_that_cannot_be_histories(row: Any, words: str, model: sif.Recommender):
    with pytest.raises(DataError, match=words):
        model.recommend(0, row, recalculate_user=True)


def test_what_a_ranking_model_and_a_damaged_matrix_refuse():
    with pytest.raises(DataError, match=r"column 2 is -1\.0, and this model ranks what users took.*\n.*remove"):
        asked_rows(row_of([-1], [2]), 1, 18, rated=False)
    assert asked_rows(row_of([True], [2], bool), 1, 18, rated=False).indices.tolist() == [2]
    damaged = sparse.csr_array(row_of([1.0], [2]))
    damaged.indices[0] = 40
    with pytest.raises(DataError, match="damaged: an entry has column 40 of 18"):
        asked_rows(damaged, 1, 18)


def test_fit_keeps_the_last_of_repeated_entries(user_items: sparse.csr_matrix, model: sif.Recommender):
    """Of every format: a matrix that is turned into CSR on the way would add them up."""
    entries = user_items.tocoo()
    twice = sparse.coo_array(
        (
            np.concatenate([entries.data[:5] + 7, entries.data]),
            (np.concatenate([entries.row[:5], entries.row]), np.concatenate([entries.col[:5], entries.col])),
        ),
        shape=entries.shape,
    )
    again = sif.Recommender(model.recipe).fit(twice)
    assert torch.equal(again.folded.scores(torch.arange(24)), model.folded.scores(torch.arange(24)))


def test_what_recommend_fills_up_with_comes_back_by_the_printed_fix(
    model: sif.Recommender, user_items: sparse.csr_matrix
):
    ids, _ = model.recommend(3, user_items[3], N=18)
    assert -1 in ids
    with pytest.raises(DataError, match=r"give ids\[ids >= 0\] as filter_items"):
        model.recommend(3, user_items[3], filter_items=ids)
    assert (model.recommend(3, user_items[3], filter_items=ids[ids >= 0])[0] == -1).all()


def test_a_callback_that_cannot_be_called(user_items: sparse.csr_matrix):
    with pytest.raises(DataError, match="callback is 3; give a function"):
        sif.Recommender().fit(user_items, callback=3)  # type: ignore[arg-type]
