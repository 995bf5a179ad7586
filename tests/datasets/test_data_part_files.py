"""Folders and globs of part files, and lines of a user and its items."""

import gzip
import json
import shlex
from pathlib import Path

import polars as pl
import pytest
from advice import described, followed
from data_samples import GOOD, HEADER, ROWS

from sif.datasets import ColumnNames, read, read_parts
from sif.errors import DataError

LINES = GOOD.splitlines(keepends=True)[1:]
COLUMNS = ["user_id", "item_id", "rating", "timestamp"]


@pytest.fixture
def folder(write):
    """A folder as Spark writes it; its name."""
    made = Path("ratings")
    made.mkdir() if write("", "x") else None
    (made / "part-00001.csv").write_text(HEADER + "".join(LINES[12:]))
    (made / "part-00000.csv").write_text(HEADER + "".join(LINES[:12]))
    (made / "part-00002.csv").write_text("")
    (made / "_SUCCESS").write_text("")
    (made / ".part-00000.csv.crc").write_bytes(b"crc\0")
    return "ratings"


def says(source, **options):
    with pytest.raises(DataError) as error:
        read(source, **options)
    return str(error.value)


def test_a_folder_and_a_glob_read_as_the_file(folder, write):
    expected = read(write(GOOD, "good.csv")).fingerprint()
    for source in (folder, Path(folder), f"{folder}/part-*.csv", f"{folder}/*", "**/part-*.csv", "rat*"):
        data = read(source)
        assert (data.fingerprint(), data.notes) == (expected, ("2 part files read",))
        assert data.rating.tolist() == [row[2] for row in ROWS]
    assert described(f"{folder}/part-*")["fingerprint"] == expected
    assert read(folder).name == "ratings"


def test_parts_of_json_parquet_and_headerless_text(write):
    write("", "x")
    expected = read(write(GOOD)).fingerprint()
    frame = pl.DataFrame(ROWS, schema=COLUMNS, orient="row")
    for kind in ("jsonl", "parquet", "tsv"):
        Path(kind).mkdir()
        for part, rows in enumerate((frame[:7], frame[7:])):
            name = f"{kind}/{part}.{kind}"
            if kind == "jsonl":
                rows.write_ndjson(name)
            elif kind == "parquet":
                rows.select(reversed(rows.columns) if part else rows.columns).write_parquet(name)
            else:
                rows.write_csv(name, separator="\t", include_header=False)
        names = ColumnNames("1", "2", "3", "4") if kind == "tsv" else None
        assert read(kind, columns=names).fingerprint() == expected


def test_a_line_is_named_with_its_file(folder):
    Path(folder, "part-00003.csv").write_text(HEADER + "\nu1,i9,x,4\n\nu1,i8\n")
    head, first, problem, second, shape = says(folder).split("\n")
    assert (head, first, second) == (
        "ratings has 2 problems",
        "  ratings/part-00003.csv, line 3  u1,i9,x,4",
        "  ratings/part-00003.csv, line 5  u1,i8",
    )
    assert problem.startswith(" " * 34 + 'rating "x" is not a number.')
    assert shape.strip().startswith("2 fields, the header has 4.")


def test_folders_that_are_no_table(folder):
    Path(folder, "part-00003.csv").write_text("user_id,item_id\n1,2\n")
    assert "ratings/part-00003.csv has user_id, item_id\n" in says(folder)
    Path(folder, "part-00003.csv").rename(f"{folder}/notes.md")
    assert says(folder).startswith("ratings is a folder, and not one of a data set that is known here\n")
    assert says("ratings/*.tsv") == "ratings/*.tsv matches no file\n  Check the pattern; quote it on a command line."
    Path("log/date=1").mkdir(parents=True)
    Path(folder).rename("log/date=2")
    (Path("log/date=1/a.csv")).write_text(GOOD)
    assert says("log").startswith("log is a folder, and not one")  # one of its folders is no folder of parts
    assert says("lo*") == "lo* matches log, no folder of part files\n  Give a closer pattern."
    Path("log/date=2").rename(folder)
    Path(folder, "notes.md").unlink()
    Path(folder, "_delta_log").mkdir()
    assert says(folder).startswith("ratings is a Delta Lake table: its log says which files count\n")


def test_training_and_test_parts_are_not_one_table(write):
    write("", "x")
    Path("my set").mkdir()
    Path("my set/train.csv").write_text(HEADER + "".join(LINES[:14]))
    Path("my set/test.csv").write_text(HEADER + "".join(LINES[14:]))
    typed = shlex.split(says("my set").partition("Give them apart: ")[2])
    assert typed == ["--data", "my set/train.csv", "--test", "my set/test.csv"]
    assert len(read_parts(typed[1], test=typed[3])[1].test) == 6


@pytest.fixture
def hive(write):
    write("", "x")
    for day, user in ((1, 1), (2, 2), (3, 3)):
        place = Path(f"a=b/log/date=2020-01-0{day}/shop=a%20b")
        place.mkdir(parents=True)
        frame = pl.DataFrame({"user_id": [user] * 4, "item_id": [1, 2, 3, user + 3], "rating": [1.0, 2, 3, 4]})
        frame.write_parquet(place / "p.parquet")
    return "a=b/log"


def test_keys_of_folders_are_columns(hive):
    data = read(hive, columns=ColumnNames(context="shop"))
    assert (len(data), data.users.to_list(), data.contexts.to_list()) == (12, [1, 2, 3], ["a b"])
    assert data.timestamp[[0, 4]].tolist() == [1577836800, 1577923200]
    assert read(hive, columns=ColumnNames(timestamp="")).timestamp is None
    assert read(f"{hive}/date=2020-*/*/*.parquet").fingerprint() == read(hive).fingerprint()


def test_a_column_of_the_file_comes_before_a_key(hive):
    for path in Path(hive).rglob("*.parquet"):
        pl.read_parquet(path).with_columns(timestamp=5).write_parquet(path)
    assert set(read(hive).timestamp) == {5}
    assert read(hive, columns=ColumnNames(timestamp="date")).timestamp[0] == 1577836800


def test_parts_must_have_one_type(hive):
    path = next(Path(hive).rglob("*.parquet"))
    pl.read_parquet(path).with_columns(pl.col("user_id").cast(pl.String)).write_parquet(path)
    assert "user is " in says(hive)
    assert "in different parts\n  Write the parts with one type of this column." in says(hive)


LISTS = "0 1 2 3 4\n1 2 3\n2\n3 1 1 5 \n\n4 9 8 7\n"


@pytest.mark.parametrize("begin", ["", "\ufeff", "7 \n", "5 " + " ".join(map(str, range(30_000))) + "\n"])
def test_lines_of_a_user_and_items(write, begin):
    data = read(write(begin + LISTS))
    pairs = list(zip(data.users.decode(data.user), data.items.decode(data.item), strict=True))
    assert [pair for pair in pairs if pair[0] in (3, 4)] == [(3, 1), (3, 5), (4, 9), (4, 8), (4, 7)]
    assert data.notes[0] == "no header, and lines of different lengths: each is read as a user and its items"
    assert data.notes[1] == f"{2 if '7' in begin[:1] else 1} users without items left out"
    assert "1 duplicate (user, item) pairs dropped: kept the last of each" in data.notes


@pytest.mark.parametrize("mark", [" ", "\t", ","])
def test_lines_that_are_said_to_be_lists(write, mark):
    rows = "".join(f"u{u}{mark}{u + 1}{mark}{u + 2}\n" for u in range(6)) + f"u0{mark}9\n"
    data = read(write(rows), columns=ColumnNames(user="1", item="2..."))
    assert (len(data), data.n_users) == (13, 6)
    name = write("user items\n" + LISTS)
    assert len(read(name, columns=ColumnNames(item="2...", header="yes"))) == 11
    assert "takes the rest of a line for items" in says(name, columns=ColumnNames(user="3", item="2..."))


def test_a_table_with_a_gap_is_no_list(write):
    said = says(write("1 11 4\n1 12 4\n2 12\n2 13 1\n" * 4))
    assert "line 3  2 12\n          2 fields, the first line has 3." in said
    assert read(write("".join(f"{i} {i + 1} 3\n" for i in range(12)))).rating is not None


@pytest.mark.parametrize("header", ["", "user item\n"])
def test_ragged_lines_say_how_to_read_them(write, header):
    name = write(header + LISTS + "0 7 8 9 10 11\n")
    assert len(followed(says(name), name)) == 16


def test_lists_that_begin_with_a_user_alone(write):
    assert len(read(write("7\n" + LISTS), columns=ColumnNames(item="2..."))) == 11


def test_names_as_spark_writes_them(write):
    write("", "x")
    Path("s/_temporary").mkdir(parents=True)
    Path("s/_temporary/part-9.csv").write_text(GOOD + "u9,i9,1,1\n")
    Path("s/part-00000-ab.c000.csv").write_text(HEADER + "".join(LINES[:9]))
    Path("s/part-00000-ab.c001.csv.gz").write_bytes(gzip.compress((HEADER + "".join(LINES[9:])).encode()))
    for source in ("s", "s/**/*", "*/*"):
        assert read(source).fingerprint() == read(write(GOOD)).fingerprint()


def test_lists_as_parts(write):
    data, made = read_parts(write(LISTS, "train.txt"), test=write("0 8\n1 4 5\n2 3\n", "test.txt"))
    assert (len(made.test), data.n_users) == (4, 5)


def test_lists_of_lines_in_a_folder(write):
    write("", "x")
    Path("g").mkdir()
    Path("g/a.txt").write_text(LISTS)
    Path("g/b.txt").write_text("10 1 2\n11 3\n")
    assert len(read("g")) == 14


def test_notes_are_plain_data(folder):
    assert json.dumps(described(folder)["notes"]) == '["2 part files read"]'
