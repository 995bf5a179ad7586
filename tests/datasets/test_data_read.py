"""What reads, and by which stated rules."""

import bz2
import gzip
import lzma

import numpy as np
import polars as pl
import pytest
from data_samples import GOOD, HEADER, ROWS
from scipy import sparse

from sif.datasets import ColumnNames, Interactions, read


def lines(pattern, count=20, header=HEADER):
    return header + "".join(pattern.format(i=i, u=i % 4, v=i % 5) + "\n" for i in range(count))


@pytest.mark.parametrize("stamp", ["{seconds}", "2020-01-{day:02d}", "2020-01-{day:02d}T10:00:00Z"])
def test_the_plain_case_needs_no_flag(write, stamp):
    text = HEADER + "".join(
        f"reader-{i % 4},volume-{i % 5},{i % 10 / 2 + 0.5},{stamp.format(seconds=1577836800 + 86400 * i, day=i + 1)}\n"
        for i in range(20)
    )
    data = read(write(text))
    assert data.users.to_list() == [f"reader-{i}" for i in range(4)]
    assert data.rating.tolist() == [i % 10 / 2 + 0.5 for i in range(20)]
    assert np.diff(data.timestamp).tolist() == [86400] * 19
    assert data.timestamp.dtype == np.int64
    assert (data.name, data.source) == ("ratings", "ratings.csv")


@pytest.mark.parametrize(
    "header",
    [
        "user,item,rating,timestamp",
        "userId,movieId,rating,timestamp",
        "User-ID,ISBN,Book-Rating,Date",
        "uid,iid,score,ts",
        "reviewerID,asin,overall,unixReviewTime",
        "user_id,product,stars,date",
        "user_id:token,item_id:token,rating:float,timestamp:float",
        '"user_id","item_id","rating","timestamp"',
        " user_id , item_id , rating , timestamp ",
        "\ufeffuser_id,item_id,rating,timestamp",
        "\n\nuser_id,item_id,rating,timestamp\n",
    ],
)
def test_headers(write, header):
    data = read(write(GOOD.replace(HEADER, header + "\n")))
    assert (len(data), data.n_users, data.n_items, data.timestamp[0]) == (20, 4, 5, 978300760)
    assert data.notes == ()


@pytest.mark.parametrize("delimiter", ["\t", ";", "|", "::", " "])
def test_delimiters(write, delimiter):
    assert read(write(GOOD.replace(",", delimiter))).fingerprint() == read(write(GOOD, "b.csv")).fingerprint()


def test_line_ends_blank_lines_and_blanks_around_values(write):
    plain = read(write(GOOD)).fingerprint()
    assert read(write(GOOD.replace("\n", "\r\n"))).fingerprint() == plain
    assert read(write(GOOD.replace("\n", "\n\n") + "\n\n")).fingerprint() == plain
    assert read(write(GOOD.replace(",", ", "))).fingerprint() == plain


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed(write, suffix, pack):
    data = read(write(pack(GOOD.encode()), f"ratings.csv.{suffix}"))
    assert (len(data), data.name) == (20, "ratings")


def test_quoted_fields_and_columns_that_do_not_matter(write):
    text = "title,user_id,item_id,rating\n" + "".join(f'"a, ""b""\nc",u{i % 4},"i,{i}",{i}\n' for i in range(12))
    data = read(write(text))
    assert data.items.to_list()[:2] == ["i,0", "i,1"]


def test_headerless_files(write):
    data = read(write(lines("{u}\t{v}\t3\t88125094{v}", header="")))
    assert data.notes == ("no header: columns read as user, item, rating, timestamp",)
    assert data.users.to_list() == [0, 1, 2, 3]
    data = read(write(lines("{u}::{v}::3.5", header="")))
    assert data.notes == ("no header: columns read as user, item, rating",)


def test_columns_by_position(write):
    name = write(lines("A{u},B{v},5.0,13696992{i:02d}", header=""))
    data = read(name, columns=ColumnNames(user="1", item="2", rating="3", timestamp="4"))
    assert (len(data), data.timestamp[0]) == (20, 1369699200)
    assert data.notes == ("columns are named by position: the file has no header",)


def test_columns_by_name_and_not_used(write):
    name = write(GOOD.replace(HEADER, "reader,volume,grade,moment\n"))
    data = read(name, columns=ColumnNames(user="reader", item="volume", rating="grade"))
    assert data.rating is not None
    assert data.timestamp is None
    data = read(write(GOOD), columns=ColumnNames(rating="", timestamp=""))
    assert data.rating is None
    assert data.timestamp is None
    assert data.notes == ()
    assert str(data.feedback) == "feedback: clicks (no column of values); who met what, ranked"


def test_of_two_spellings_the_first_is_taken_and_noted(write):
    data = read(write(GOOD.replace("\n", ",x\n").replace("timestamp,x", "timestamp,date")))
    assert data.notes == ('"timestamp" was taken as timestamp, not "date"',)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["1", "-2", "10"], [-2, 1, 10]),
        (["007", "7", "8"], ["007", "7", "8"]),
        (["1.0", "2.0", "10.0"], [1, 2, 10]),
        (["1.0", "2", "10.0"], [1, 2, 10]),
        (["1.0", "2", "v10.0"], ["1.0", "2", "v10.0"]),
        (["9223372036854775807", "1", "2"], [1, 2, 2**63 - 1]),
        (["9223372036854775808", "1", "2"], ["1", "2", "9223372036854775808"]),
        (["été", "日本", "z"], ["z", "été", "日本"]),
    ],
)
def test_raw_ids(write, ids, expected):
    data = read(write("user,item\n" + "".join(f"{ids[i % 3]},{i}\n" for i in range(12))))
    assert data.users.to_list() == expected


@pytest.mark.parametrize(
    ("stamp", "first", "note"),
    [
        ("9783007{i:02d}", 978300700, None),
        ("9783007{i:02d}000", 978300700, "timestamps are milliseconds, turned into seconds"),
        ("9783007{i:02d}500", 978300700.5, "timestamps are milliseconds, turned into seconds"),
        ("9783007{i:02d}000000", 978300700, "timestamps are microseconds, turned into seconds"),
        ("9783007{i:02d}000000000", 978300700, "timestamps are nanoseconds, turned into seconds"),
        ("978300{i:02d}.5", 97830000.5, None),
        ("202001{d:02d}", 1577836800, "timestamps are dates written as YYYYMMDD (UTC)"),
        ("2020/01/{d:02d}", 1577836800, "dates are read as UTC"),
        ("2020-01-{d:02d} 00:01", 1577836860, "dates are read as UTC"),
        ("2020-01-{d:02d} 00:00:01.5", 1577836801.5, "dates are read as UTC"),
        ("2020-01-{d:02d}T02:00:00+02:00", 1577836800, None),
        ("2020-01-{d:02d} 02:00:00.25+0200", 1577836800.25, None),
        ("{i}", 0, None),
    ],
)
def test_timestamps(write, stamp, first, note):
    text = "user,item,ts\n" + "".join(f"{i % 3},{i},{stamp.format(i=i, d=i + 1)}\n" for i in range(12))
    data = read(write(text))
    assert data.timestamp[0] == first
    assert (np.diff(data.timestamp) > 0).all()
    assert [said for said in data.notes if "rating" not in said] == ([note] if note else [])


def test_an_empty_timestamp_column_is_not_used(write):
    data = read(write(lines("u{u},i{v},{u},")))
    assert data.timestamp is None
    assert "the timestamp column is empty, and not used" in data.notes


def test_duplicates_keep_the_latest_or_the_last(write):
    extra = "u0,i0,5,900000000\nu1,i1,5,978400000\n"
    data = read(write(GOOD + extra))
    assert data.notes == ("2 duplicate (user, item) pairs dropped: kept the latest of each",)
    assert (len(data), data.rating[0], data.timestamp.max()) == (20, 0.5, 978400000)
    data = read(write(GOOD + extra), columns=ColumnNames(timestamp=""))
    assert data.notes == ("2 duplicate (user, item) pairs dropped: kept the last of each",)
    assert len(data) == 20
    assert data.rating[18:].tolist() == [5, 5]


def test_a_context_makes_another_pair(write):
    text = "user,item,context\n" + "".join(f"{i % 3},{i % 4},{'ab'[i % 24 // 12]}\n" for i in range(30))
    data = read(write(text), columns=ColumnNames(context=True))
    assert len(data) == 24
    assert data.contexts.to_list() == ["a", "b"]
    assert "6 duplicate (user, item, context) rows dropped: kept the last of each" in data.notes


def frame():
    return pl.DataFrame(ROWS, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")


def test_polars_frames_and_parquet(write):
    expected = read(write(GOOD)).fingerprint()
    assert read(frame()).fingerprint() == expected
    assert read(frame().lazy()).fingerprint() == expected
    dated = frame().with_columns(
        pl.from_epoch("timestamp").dt.replace_time_zone("UTC"), pl.col("user_id").cast(pl.Categorical)
    )
    assert read(dated).fingerprint() == expected
    write(b"", "r.parquet")
    frame().write_parquet("r.parquet")
    assert read("r.parquet").fingerprint() == expected


def test_pandas_frames(write):
    pandas = pytest.importorskip("pandas")
    expected = read(write(GOOD)).fingerprint()
    table = pandas.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    assert read(table).fingerprint() == expected
    table["timestamp"] = pandas.to_datetime(table["timestamp"], unit="s", utc=True)
    table["user_id"] = table["user_id"].astype("category")
    assert read(table).fingerprint() == expected
    table["user_id"] = pandas.Series([1.0, 2.0] * 10)
    assert read(table).users.to_list() == [1, 2]
    table["user_id"] = pandas.Series([1, "a"] * 10, dtype=object)
    assert read(table).users.to_list() == ["1", "a"]
    table["rating"] = pandas.Series([4, 5] * 10, dtype="Int64")
    assert read(table).rating[0] == 4


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array, sparse.coo_array])
def test_scipy(kind):
    matrix = kind(np.arange(20.0).reshape(4, 5))
    data = read(matrix)
    assert (len(data), data.n_users, data.n_items, data.rating[-1]) == (19, 4, 5, 19)


def test_npz(write):
    write(b"", "m.npz")
    sparse.save_npz("m.npz", sparse.csr_matrix(np.arange(20.0).reshape(4, 5)))
    data = read("m.npz")
    assert (len(data), data.source) == (19, "m.npz")


def test_interactions_come_back_as_they_are(write):
    data = read(write(GOOD), name="mine")
    assert isinstance(data, Interactions)
    assert data.name == "mine"
    assert read(data) is data


@pytest.mark.slow
def test_a_million_rows_read_in_seconds(write):
    import time

    random = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "user": random.integers(0, 60_000, 1_000_000),
            "item": random.integers(0, 30_000, 1_000_000),
            "rating": random.integers(1, 11, 1_000_000) / 2,
            "timestamp": random.integers(900_000_000, 1_500_000_000, 1_000_000),
        }
    )
    write("", "big.csv")
    table.write_csv("big.csv")
    start = time.perf_counter()
    read("big.csv")
    assert time.perf_counter() - start < 10  # 1 s on two idle cores; the margin is for busy machines
