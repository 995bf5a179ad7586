import numpy as np
import polars as pl
import pytest
from data_samples import HEADER

from sif.datasets import ColumnNames, read, read_parts
from sif.errors import DataError


@pytest.fixture
def parts(write):
    grid = [(u, i) for u in range(6) for i in range(10)]

    def rows(start, stop, header=HEADER):
        return header + "".join(f"u{u},i{i},{i % 5 + 1},{100 + i}\n" for u, i in grid[start:stop])

    return {
        "train": write(rows(0, 40), "tr.csv"),
        "valid": write(rows(40, 50), "va.csv"),
        "test": write(rows(50, 60), "te.csv"),
    }


def test_all_three(parts):
    data, made = read_parts(**parts)
    assert [len(made.train), len(made.valid), len(made.test)] == [40, 10, 10]
    assert (data.n_users, data.n_items, made.kind, made.fractions) == (6, 10, "files", None)
    assert data.users.decode(data.user[made.test]) == ["u5"] * 10
    assert made.notes == (
        "1 users of the validation part do not occur in train",
        "1 users of the test part do not occur in train",
    )
    assert data.source == "tr.csv + va.csv + te.csv"
    assert read_parts(**parts)[1].fingerprint == made.fingerprint


def test_a_part_that_is_not_given_is_cut_from_train(parts):
    _, made = read_parts(parts["train"], test=parts["test"], seed=3)
    assert [len(made.train), len(made.valid), len(made.test)] == [32, 8, 10]
    assert "no validation part given: 8 rows of train drawn for it (seed 3)" in made.notes
    other = read_parts(parts["train"], test=parts["test"], seed=4)[1]
    assert other.fingerprint != made.fingerprint
    assert other.test.tolist() == made.test.tolist()
    _, made = read_parts(parts["train"], valid=parts["valid"], fraction=0.1)
    assert [len(made.train), len(made.valid), len(made.test)] == [36, 10, 4]


def test_duplicates_within_a_part_are_dropped_and_across_parts_refused(parts, write):
    twice = write(HEADER + "u0,i0,1,1\nu0,i0,2,2\n" + "u9,i1,3,3\n", "two.csv")
    with pytest.raises(DataError) as error:
        read_parts(parts["train"], test=twice)
    assert str(error.value) == (
        "tr.csv + two.csv: 1 (user, item) pairs are in more than one part, "
        'first user "u0" and item "i0" in train and test\n'
        "  Remove them from one part: what was seen in training tells nothing in a test."
    )
    data, made = read_parts(parts["train"], test=write(HEADER + "u9,i0,1,1\nu9,i0,2,2\nu9,i1,3,3\n", "two.csv"))
    assert len(made.test) == 2
    assert data.notes == ("1 duplicate (user, item) pairs dropped: kept the latest of each",)


def test_ids_of_two_types_become_text(parts, write):
    numbers = write("user_id,item_id,rating,timestamp\n7,1,3,5\n8,2,3,5\n", "n.csv")
    data, made = read_parts(parts["train"], test=numbers)
    assert data.users.decode(data.user[made.test]) == ["7", "8"]


def test_columns_must_agree(parts, write):
    bare = write("user,item\nu9,i1\nu9,i2\n", "bare.csv")
    with pytest.raises(DataError) as error:
        read_parts(parts["train"], test=bare)
    assert str(error.value) == (
        "tr.csv has a rating column, bare.csv has none\n  Add it there, or do not use it anywhere: "
        '--set columns.rating= (in Python rating = "")'
    )
    timeless = write("user,item,rating\nu9,i1,3\nu9,i2,4\n", "timeless.csv")
    data, made = read_parts(parts["train"], test=timeless)
    assert data.timestamp is None
    assert "timestamps not used: timeless.csv has none" in made.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid": None, "test": None}, "no validation and no test part was given\n  Give one, or read the data"),
        ({"valid": None, "fraction": 0.9}, "fraction 0.9 of train cannot be held out\n  Give a number above 0"),
    ],
)
def test_errors(parts, change, message):
    with pytest.raises(DataError, match=message):
        read_parts(**(parts | change))


def test_an_empty_part(parts, write):
    with pytest.raises(DataError) as error:
        read_parts(parts["train"], test=write(HEADER, "e.csv"))
    assert str(error.value) == "e.csv has no interactions\n  Give a test part with rows."


def test_a_bad_line_names_its_own_file(parts, write):
    with pytest.raises(DataError, match=r"bad\.csv has 1 problem\n  line 2  u1,i1,x,1"):
        read_parts(parts["train"], test=write(HEADER + "u1,i1,x,1\n", "bad.csv"))


def test_parts_cover(parts):
    data, made = read_parts(**parts)
    assert sorted(np.concatenate([made.train, made.valid, made.test]).tolist()) == list(range(len(data)))


def in_one(write, words, name="all.csv", more=""):
    """A file of 60 rows whose last column says the part: 40, 10 and 10 rows, or as many words as there are."""
    at = {3: (40, 50), 2: (40, 60)}[len(words)]
    grid = [(u, i) for u in range(6) for i in range(10)]
    head, rows = HEADER.strip() + ",split\n", ""
    for row, (u, i) in enumerate(grid):
        rows += f"u{u},i{i},{i % 5 + 1},{100 + i},{words[sum(row >= end for end in at)]}\n"
    return write(head + rows + more, name)


def test_a_column_says_the_parts(parts, write):
    files = read_parts(**parts)[1]
    for words in (("0", "1", "2"), ("train", "valid", "test"), ("Training", "dev", " TEST "), ("0.0", "1.0", "2.0")):
        data, made = read_parts(in_one(write, words), columns=ColumnNames(part="split"))
        assert [made.train.tolist(), made.valid.tolist(), made.test.tolist()] == [
            files.train.tolist(),
            files.valid.tolist(),
            files.test.tolist(),
        ]
        assert (made.kind, made.drawn, data.source) == ("column", (), "all.csv")


@pytest.mark.parametrize("words", [("train", "test"), ("0", "1"), ("0", "2")])
def test_a_column_of_two_parts_says_training_and_test(words, parts, write):
    data, made = read_parts(in_one(write, words), columns=ColumnNames(part="split"), seed=3)
    files = read_parts(parts["train"], test=parts["test"], seed=3)[1]
    assert (made.drawn, files.drawn) == (("valid",), ("valid",))
    assert [len(made.train), len(made.valid), len(made.test)] == [32, 8, 20]
    assert "no validation part given: 8 rows of train drawn for it (seed 3)" in made.notes
    assert ("of the parts 0 and 1, the first was taken as training and the second as test" in data.notes) is (
        words == ("0", "1")
    )


@pytest.mark.parametrize("door", ["text", "frame"])
def test_parts_that_are_not_known_are_refused_with_their_rows(door, write):
    path = in_one(write, ("train", "valid", "test"), more="u9,i1,1,1,tset\nu9,i2,1,1,\n")
    source = path if door == "text" else pl.read_csv(path)
    with pytest.raises(DataError) as error:
        read_parts(source, columns=ColumnNames(part="split"))
    told = str(error.value)
    assert "2 problems" in told
    assert 'part "tset" is not known; give 0, 1, 2 or train, valid, test' in told
    assert ("line 62" if door == "text" else "row 60") in told


def test_a_column_that_cannot_be_one_of_parts_is_refused(parts, write):
    column = ColumnNames(part="split")
    with pytest.raises(DataError, match="all rows are train, and a split has"):
        read_parts(in_one(write, ("train", "train")), columns=column)
    with pytest.raises(DataError, match="as a column and as sources of their own"):
        read_parts(in_one(write, ("0", "1", "2")), test=parts["test"], columns=column)
    with pytest.raises(DataError, match="no column that says the part"):
        read_parts(read(parts["train"]), columns=column)


def test_a_column_of_parts_that_is_not_used_is_said(write):
    path = in_one(write, ("0", "1", "2"))
    assert any('--set columns.part="split"' in note for note in read(path).notes)
    assert any("says parts" in note for note in read(path, columns=ColumnNames(part="split")).notes)


def test_one_value_of_a_column_is_the_test_part(write):
    """`fold=2`: of k folds one is the test part, as u2.base and u2.test are of MovieLens."""
    rows = [(u, i, (u + i) % 3 + 1) for u in range(6) for i in range(6)]
    path = write("user,item,rating,fold\n" + "".join(f"u{u},i{i},{i % 5 + 1},{f}\n" for u, i, f in rows), "folds.csv")
    data, made = read_parts(path, columns=ColumnNames(part="fold=2"))
    pairs = list(zip(data.users.decode(data.user[made.test]), data.items.decode(data.item[made.test]), strict=True))
    assert sorted(pairs) == [(f"u{u}", f"i{i}") for u, i, f in rows if f == 2]
    assert (made.kind, made.drawn, len(made.train) + len(made.valid)) == ("column", ("valid",), 24)
    with pytest.raises(DataError, match=r"the column of parts has 1, 2, 3; the rows of 7 are to be the test part"):
        read_parts(path, columns=ColumnNames(part="fold=7"))
