"""Which column is what: names against positions, files without header, and advice that works when it is followed."""

import pandas as pd
import polars as pl
import pytest
from advice import described, followed

from sif.datasets import ColumnNames, read
from sif.errors import DataError

ROWS = [(u, i, 1 + u * i % 5, 1_600_000_000 + u) for u in (1, 2, 3, 4) for i in (11, 12, 13, 14)]
USERS, ITEMS = [1, 2, 3, 4], [11, 12, 13, 14]
POSITIONS = {"user": "1", "item": "2", "rating": "3"}


def text(header="", rows=ROWS, sep=","):
    return header + "".join(sep.join(map(str, row)) + "\n" for row in rows)


def says(source, **names):
    with pytest.raises(DataError) as error:
        read(source, columns=ColumnNames(**names))
    return str(error.value)


def sides(source, **names):
    data = read(source, columns=ColumnNames(**names))
    return data.users.to_list(), data.items.to_list(), len(data)


@pytest.mark.parametrize("first", [(2, 1), (2, 1, 3), (2, 1, 3, 4), (1, 2, 3), (3, 2, 1, 5)])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("sep", [",", "\t", " "])
def test_positions_are_positions_whatever_the_first_row_holds(write, first, quote, sep):
    rows = [tuple(f"{quote}{cell}{quote}" for cell in row) for row in (first, *(row[: len(first)] for row in ROWS))]
    name = write(text(rows=rows, sep=sep))
    users, items, count = sides(name, user="1", item="2")
    assert (users, items, count) == (USERS, sorted({first[1], *ITEMS}), 17)
    assert sides(name, user="2", item="1")[:2] == (items, users)


@pytest.mark.parametrize(
    ("header", "names", "rows"),
    [
        ("", POSITIONS, 16),
        ("user,item,rating,timestamp\n", POSITIONS, 16),
        ("reader,volume,grade,when\n", POSITIONS, 16),  # "grade" is no rating: the line is a header
        ("reader,volume,grade,when\n", {"user": "1", "item": "2", "header": "yes"}, 16),
        ("reader,volume,grade,when\n", {"user": "reader", "item": "2"}, 16),
        ("0,1,2,3\n", {"user": "0", "item": "1", "rating": "2", "header": "yes"}, 16),
        ("2,1,3,4\n", {"user": "2", "item": "1", "rating": "3", "header": True}, 16),
        ("user,user,item,rating\n", {"user": "1", "item": "2", "rating": "3"}, 16),
        ("Reader Id , VOLUME,x,y\n", {"user": " Reader Id", "item": "VOLUME"}, 16),
    ],
)
def test_a_header_is_told_once_or_said(write, header, names, rows):
    assert sides(write(text(header)), **names) == (USERS, ITEMS, rows)


def test_a_first_line_that_could_be_either_is_noted(write):
    data = read(write(text("reader,volume,grade,when\n")), columns=ColumnNames(user="1", item="2"))
    doubt = "is read as data; if it names the columns, say so: columns.header = yes"
    assert (len(data), data.notes[1]) == (17, f"line 1 (reader,volume,grade,when) {doubt}")
    assert read(write(text("0,1,2,3\n"))).notes[1] == f"line 1 (0,1,2,3) {doubt}"
    assert describe_notes(write(text("0,1,2,3\n")), "--set", "columns.header=no") == [
        "columns are named by position: the file has no header",
    ]


def describe_notes(name, *options):
    return described(name, "--set", "columns.user=1", "--set", 'columns.item="2"', *options)["notes"]


def test_ids_that_begin_like_a_column_are_ids(write):
    rows = [(f"user:{u}", f"item:{i}") for u, i, *_ in ROWS]
    assert sides(write(text(rows=rows)), user="1", item="2")[2] == 16
    assert len(read(write(text("user_id:token,item_id:token\n", [row[:2] for row in ROWS])))) == 16


FILES = {
    "text ids": text(rows=[(f"A{u}", f"0{i}", float(r), t) for u, i, r, t in ROWS]),
    "two numbers": text(rows=[row[:2] for row in ROWS]),
    "five numbers": text(rows=[(*row, 0) for row in ROWS]),
    "blanks in names": text("Reader Id,The Volume,grade,when\n"),
    "nearly": text("usr_id,itm_id,raitng,tme\n"),
    "one name twice": text("user,user,item_id,rating\n"),
}


@pytest.mark.parametrize("kind", FILES)
def test_advice_for_files_is_typed_and_run(write, kind):
    name = write(FILES[kind])
    made = followed(says(name), name)
    assert (made.n_users, made.n_items if kind != "one name twice" else 4, len(made)) == (4, 4, 16)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (FILES["text ids"], {"user": "1"}),
        (text(), {"user": "0", "item": "1", "rating": "2"}),  # counted from 0
        (text("0,1,2,3\n"), {"header": "yes"}),
        (text("Reader Id,VOLUME,x,y\n"), {"user": "reader id", "item": "volume"}),
        (text("user_id,item_id,rating,timestamp\n"), {"user": "user_idd"}),
        (text("a,a,item,rating\n"), {"user": "a"}),
    ],
)
def test_advice_for_names_that_are_wrong(write, content, names):
    name = write(content)
    made = followed(says(name, **names), name)
    assert (made.users.to_list()[-1], len(made)) == ("A4" if "A4" in content else 4, 16)


@pytest.mark.parametrize("parquet", [False, True])
@pytest.mark.parametrize("columns", [(0, 1, 2, 3), (1, 2, 3, 4), (2, 1, 0, 3), (2, 1, 3, 4)])
def test_frames_with_numbers_for_names(tmp_path, monkeypatch, columns, parquet):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(ROWS, columns=list(columns))
    if parquet:
        frame = frame.set_axis(list(map(str, columns)), axis=1)
        frame.to_parquet("r.parquet")
        frame = "r.parquet"
    assert sides(frame, user=str(columns[0]), item=str(columns[1]), header="yes") == (USERS, ITEMS, 16)
    made = followed(says(frame), frame)
    assert (made.users.to_list(), made.items.to_list(), made.rating[0]) == (USERS, ITEMS, 2)
    if columns[:3] == (1, 2, 3):
        assert sides(frame, **POSITIONS) == (USERS, ITEMS, 16)
        return
    if columns[2] == 0:
        return
    said = says(frame, **POSITIONS)
    assert '"1", "2", "3" could be names or positions, and these are not the same columns.' in said
    assert followed(said, frame, "As positions").users.to_list() == USERS
    assert followed(said, frame, "As names").users.to_list() == ITEMS


def test_integers_name_columns_of_frames():
    assert sides(pd.DataFrame(ROWS), user=0, item=1) == (USERS, ITEMS, 16)
    frame = pd.DataFrame([row[:3] for row in ROWS], columns=["user", "user", "rating"])
    assert sides(frame, user="1", item="2") == (USERS, ITEMS, 16)


def test_a_pivot_gets_no_position_but_the_way_to_rows(write):
    name = write("user,1,2,3\n" + "".join(f"{u},{u % 3 + 1},,{u % 4 + 1}\n" for u in range(8)))
    said = says(name)
    assert "position" not in said
    assert "--set" not in said
    call = said.split("in pandas ")[1]
    assert len(read(eval(call, {"frame": pd.read_csv(name)}))) == 16


RATED = pd.DataFrame([row[:3] for row in ROWS], columns=["user", "item", "rating"])
WIDE = pd.DataFrame({item: [1, 2, 3, 4] for item in range(11, 19)}, index=pd.Index(USERS, name="user"))


@pytest.mark.parametrize(
    ("frame", "steps", "read_as"),
    [
        (RATED.set_index(["user", "item"]), 1, (USERS, ITEMS, 16)),
        (WIDE, 2, (USERS, list(WIDE), 32)),
        (WIDE.rename_axis(None), 1, (USERS, list(WIDE), 32)),
        (WIDE.reset_index(drop=True), 1, ([0, 1, 2, 3], list(WIDE), 32)),
    ],
    ids=["index", "pivot", "pivot without a name", "pivot without an index"],
)
def test_what_stands_in_the_index_of_a_frame_is_said(frame, steps, read_as):
    """The advice is followed to the end."""
    for _ in range(steps):
        said = says(frame)
        assert "ColumnNames" not in said
        call = said.rpartition("Give " if "Give frame" in said else "in pandas ")[2].rstrip(".")
        frame = eval(call, {"frame": frame})
    assert sides(frame) == read_as


def test_a_series_is_told_how_it_becomes_a_frame():
    series = RATED.groupby(["user", "item"]).size()
    said = says(series)
    assert said.startswith("a pandas Series is one column")
    assert sides(eval(said.rpartition("Give ")[2].rstrip("."), {"series": series})) == (USERS, ITEMS, 16)
    assert says(pl.Series([1])).startswith("a polars Series is one column")


def test_a_long_name_does_not_make_a_long_message(write):
    assert len(says(write("x" * 100_000 + ",y\n1,2\n"))) < 300_000
    said = says(write("[" * 3 + ",".join(f"c{i}" for i in range(20_000)) + "\n"))
    assert len(said) < 1500


def test_what_header_may_be():
    assert ColumnNames(header="No").header is False
    with pytest.raises(DataError, match='header = "maybe" is neither yes nor no\n  Give yes or no'):
        ColumnNames(header="maybe")


def test_describe_refuses_what_names_no_column(write):
    from typer.testing import CliRunner

    from sif.cli import app

    done = CliRunner().invoke(app, ["datasets", "describe", write(text()), "--set", "column.user=1"])
    assert done.exit_code == 2
    assert "names no column\n  Give columns.ROLE=NAME; roles are user, item, rating" in done.output


def test_arrow_tables_read():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"user": [row[0] for row in ROWS], "item": [row[1] for row in ROWS]})
    assert sides(table) == (USERS, ITEMS, 16)
    assert says(pl.DataFrame(table).rename({"user": "volume"}).to_arrow()).startswith(
        "pyarrow table: the columns are volume, item\n  no user column."
    )
