"""One id is one id, in whatever form a source writes it; what is no id is named."""

import datetime
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sif.datasets import Vocabulary, read, read_parts
from sif.errors import DataError

BIG = 1152921504606846977
ONE = uuid.UUID(int=1)


def users_of(column, n=12):
    """What a frame whose users take turns in `column` is read as, and the notes that are not of ratings."""
    made = read(pl.DataFrame({"user": _cycle(column, n), "item": [f"i{k}" for k in range(n)]}))
    return made.users.to_list(), [note for note in made.notes if "rating" not in note and "duplicate" not in note]


def _cycle(column, n):
    if isinstance(column, pl.Series):
        return column.gather([k % len(column) for k in range(n)])
    return pl.Series([column[k % len(column)] for k in range(n)], dtype=pl.Object)


BOTH = 'user ids are written with and without ".0", and read as whole numbers'


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1, 2.0, np.int32(3)], [1, 2, 3]),
        ([1.0, "1", 2, "2.0"], ["1", "2"]),
        ([5.0, BIG, BIG + 1], [5, BIG, BIG + 1]),
        ([b"u1", "u2", "u1"], ["u1", "u2"]),
        ([Decimal("7"), Decimal("7.50"), 7], ["7", "7.50"]),
        ([True, False, True], ["False", "True"]),
        ([ONE, str(ONE), "x"], [str(ONE), "x"]),
        ([datetime.date(2020, 1, 2), "2020-01-02", "b"], ["2020-01-02", "b"]),
        ([2**64, 2**64 + 1, 5], ["18446744073709551616", "18446744073709551617", "5"]),
        (pl.Series([2**64 - 1, 5, 6], dtype=pl.UInt64), ["18446744073709551615", "5", "6"]),
        (pl.Series(["7", "8", "9"]).cast(pl.Decimal(38, 0)), [7, 8, 9]),
        (pl.Series([b"u1", b"u2"]), ["u1", "u2"]),
        (pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"])), ["a", "b"]),
        (pl.Series([True, False]), ["False", "True"]),
        (pl.Series([7.0, 8.0]), [7, 8]),
        (pl.Series(["007", "7"]), ["007", "7"]),
    ],
)  # fmt: skip
def test_forms_of_ids_in_frames(column, expected):
    assert users_of(column)[0] == expected


@pytest.mark.parametrize("door", ["polars", "objects", "parquet", "pandas"])
def test_a_short_float_names_fewer_integers(door, tmp_path):
    """From 2**24 on a float of 32 bits stands for several whole numbers."""
    values = np.array([16_777_217, 2, 3] * 4, np.float32)
    items = [f"i{k}" for k in range(12)]
    frame = pl.DataFrame({"user": values, "item": items})
    if door == "parquet":
        frame.write_parquet(tmp_path / "ids.parquet")
    made = {
        "polars": frame,
        "objects": pd.DataFrame({"user": pd.Series(list(values), dtype=object), "item": items}),
        "pandas": pd.DataFrame({"user": values, "item": items}),
        "parquet": tmp_path / "ids.parquet",
    }
    with pytest.raises(DataError, match=r"row 0  user 16777216(\.0)? is a float beyond 2\*\*24, which no longer names"):
        read(made[door])
    assert users_of(pl.Series(np.array([5, 2, 3], np.float32)))[0] == [2, 3, 5]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ([1, 2], "user [1, 2] is a list, and no id. Give each a row of its own, with frame.explode"),
        ({"a": 1}, "user {'a': 1} is a dict, and no id. Write a whole number or text"),
        ((1, 2), "user (1, 2) is a tuple, and no id. Write a whole number or text"),
        ({3}, "user {3} is a set, and no id. Write a whole number or text"),
        (float(BIG), "user 1.152921504606847e+18 is a float beyond 2**53, which no longer names one whole number. "
                     "Read the column as text (dtype=str)"),
        (float("inf"), "user inf is a float beyond 2**53, which no longer names one whole number. "
                       "Read the column as text (dtype=str)"),
        (b"\xff\x00", r"user b'\xff\x00' is bytes that are no text. Write them as text, such as hex"),
        (datetime.timedelta(1), "user datetime.timedelta(days=1) is a timedelta, and no id. "
                                "Write a whole number or text"),
        (float("nan"), "user is missing. Fill it in, or delete the row."),
        (np.datetime64("NaT"), "user is missing. Fill it in, or delete the row."),
        ("  ", "user is missing. Fill it in, or delete the row."),
    ],
)  # fmt: skip
def test_what_is_no_id_is_named_with_its_row(cell, why):
    with pytest.raises(DataError) as error:
        users_of(["a", "b", cell])
    assert str(error.value).splitlines()[1] == f"  row 2  {why}"


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([[1], [2]]), pl.Series([{"a": 1}, {"a": 2}]), pl.Series([[1], [3]], dtype=pl.Array(pl.Int64, 1)),
        pl.Series([datetime.timedelta(1), datetime.timedelta(2)]), pl.Series([datetime.time(1), datetime.time(2)]),
        pl.Series([float(BIG), 1.0]), pl.Series([b"\xff", b"\xfe"]),
    ],
)  # fmt: skip
def test_columns_of_other_types_are_refused(column):
    with pytest.raises(DataError, match=r"^polars frame has \d+ problems\n  row 0  user "):
        users_of(column)


def test_the_fix_for_lists_works():
    frame = pl.DataFrame({"user": range(12), "item": [[1, 2], [3], [4, 5]] * 4})
    with pytest.raises(DataError, match=r"item \[1, 2\] is a list, and no id\. Give each .* with frame\.explode"):
        read(frame)
    assert read(frame.explode("item")).items.to_list() == [1, 2, 3, 4, 5]
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": range(12), "item": [[1, 2], [3], [4, 5]] * 4})
    with pytest.raises(DataError, match=r"item \[1, 2\] is a list"):
        read(frame)
    assert read(frame.explode("item")).items.to_list() == [1, 2, 3, 4, 5]


def test_the_fix_for_large_floats_works(write):
    pandas = pytest.importorskip("pandas")
    write("user,item\n" + "".join(f"{BIG + k % 3 if k else ''},{k}\n" for k in range(13)))
    with pytest.raises(DataError, match=r"Read the column as text \(dtype=str\)"):
        read(pandas.read_csv("ratings.csv").dropna())
    frame = pandas.read_csv("ratings.csv", dtype=str).dropna()
    assert read(frame).users.to_list() == [str(BIG + k) for k in range(3)]


@pytest.mark.parametrize(
    ("ids", "expected", "said"),
    [
        (["1", "1.0", "2"], [1, 2], [BOTH]),
        (["1.0", "2.0", "3.0"], [1, 2, 3], []),
        (["1", "1.0", "a"], ["1", "1.0", "a"], ['user both "1.0" and "1" stand there, and are two ids']),
        (["1.15E+18", "2", "3"], ["1.15E+18", "2", "3"],
         ['user ids such as "1.15E+18" are rounded numbers, which may have made one of several']),
        ([f"{2**53 + 2}.0", "2.0", "3.0"], [2, 3, 2**53 + 2],
         ["user large ids are written as floats, which may have made one of several: write them as integers"]),
        (["\u00e9", "e\u0301", "a"], ["a", "e\u0301", "\u00e9"],
         ["user 1 ids are written in two forms of Unicode, and are two ids each: normalise them (NFC)"]),
        (["007", "7", "8"], ["007", "7", "8"], []),
    ],
)  # fmt: skip
def test_forms_of_ids_in_files(write, ids, expected, said):
    made = read(write("user,item\n" + "".join(f"{ids[k % 3]},i{k}\n" for k in range(12))))
    assert made.users.to_list() == expected
    assert [note for note in made.notes if "rating" not in note] == said


def test_blanks_around_ids_of_frames_are_left_out_as_in_files():
    assert users_of(pl.Series([" u1", "u1", "u2 "]))[0] == ["u1", "u2"]


def test_pandas_columns_of_every_kind():
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    numbers = [1, 2, 3] * 4
    kinds = {
        "Int64": numbers, "UInt64": numbers, "float64": numbers, "Float64": numbers, "category": numbers,
        "int64[pyarrow]": numbers, "object": numbers,
    }  # fmt: skip
    for kind, values in kinds.items():
        made = read(pandas.DataFrame({"user": pandas.Series(values, dtype=kind), "item": range(12)}))
        assert made.users.to_list() == [1, 2, 3], kind
    for kind in ("str", "string", "category", pandas.ArrowDtype(arrow.string()), "object"):
        made = read(pandas.DataFrame({"user": pandas.Series(["a", "b", "c"] * 4, dtype=kind), "item": range(12)}))
        assert made.users.to_list() == ["a", "b", "c"], kind
    column = pandas.Series([1, None, 3] * 4, dtype="Int64")
    with pytest.raises(DataError, match="row 1  user is missing"):
        read(pandas.DataFrame({"user": column, "item": range(12)}))


@pytest.mark.parametrize("form", [7, 7.0, "7", "7.0", b"7", Decimal(7), np.int8(7), np.float32(7), np.str_("7")])
@pytest.mark.parametrize("ids", [[7, 8], ["7", "a"], ["7.0", "1.5"]])
def test_an_id_is_found_in_any_form(form, ids):
    vocabulary = Vocabulary(ids)
    place = [str(known).removesuffix(".0") for known in vocabulary.to_list()].index("7")
    assert vocabulary.encode([form]).tolist() == [place]
    assert vocabulary.encode(np.array([form])).tolist() == [place]
    assert vocabulary.find(form.decode() if isinstance(form, bytes) else str(form)) == place


def test_each_of_two_forms_is_found_as_it_stands():
    assert Vocabulary(["7", "7.0", "a"]).encode(["7.0", "7"]).tolist() == [1, 0]
    assert Vocabulary([7, 8]).encode(["07", "7.5", 7.5, " 7"]).tolist() == [-1] * 4
    assert Vocabulary([" a", "b"]).find(" a") == 0
    with pytest.raises(DataError, match="is a list, and no id"):
        Vocabulary([7, 8]).encode([[7]])


def test_forms_in_two_parts(write):
    train = write("user,item\n" + "".join(f"{k % 3},{k}\n" for k in range(30)), "train.csv")
    test = write("user,item\n" + "".join(f"{k % 3}.0,{k + 30}\n" for k in range(9)), "test.csv")
    assert read_parts(train, test=test)[0].users.to_list() == [0, 1, 2]
    test = write("user,item\n1.0,40\nx,41\n", "test.csv")
    made, _ = read_parts(train, test=test)
    assert 'user both "1.0" and "1" stand there, and are two ids' in made.notes
