"""Times in the forms that databases, languages and frames write; and times that cannot be right."""

import datetime as dt
import importlib.util
import time
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from sif.datasets import read, split
from sif.datasets.timestamps import to_seconds
from sif.errors import DataError

NOON = 1600001541  # 2020-09-13 12:52:21 UTC


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2020-09-13 12:52:21+00", NOON), ("2020-09-13 18:22:21.25+05:30", NOON + 0.25),
        ("2020-09-13 04:52:21-08", NOON), ("2020-09-13 12:52:21 UTC", NOON), ("2020-09-13 12:52:21.5 UTC", NOON + 0.5),
        ("2020-09-13t12:52:21z", NOON),
        ("20200913T125221Z", NOON), ("20200913T125221", NOON), ("20200913T182221+0530", NOON),
        ("20200913T125221.25Z", NOON + 0.25), ("20200913T1252", NOON - 21), ("2020-09-13T12:52:21.0000000Z", NOON),
        ("2020-09-13 18:22:21.0000000 +05:30", NOON), ("2020-09-13T12:52Z", NOON - 21), ("2020/09/13 12:52:21", NOON),
        ("13-SEP-2020 12:52:21", NOON), ("Sun, 13 Sep 2020 12:52:21 GMT", NOON),
        ("Sun, 13 Sep 2020 14:52:21 +0200", NOON),
        ("September 13, 2020", NOON - 46341), ("13 Sep 2020", NOON - 46341), ("2020-09-13 12:52:21,5", NOON + 0.5),
        ("20200913125221", NOON), ("202009131252", NOON - 21), ("2020091312", NOON - 3141), ("20200913", NOON - 46341),
        ("20200913125221500", NOON + 0.5), ("1.600001541E9", NOON), ("1600001541000", NOON),
    ],
)  # fmt: skip
def test_forms_of_text(text, seconds):
    found, _ = to_seconds(pl.Series([text, text]))
    assert found.to_list() == [seconds, seconds]


def test_forms_that_stand_in_one_column():
    found, notes = to_seconds(pl.Series(["2020-09-13 12:52:21", "20200913T125221Z", "2020-09-13 12:52:21+00"]))
    assert found.to_list() == [NOON] * 3
    assert notes == ["dates are read as UTC"]
    assert to_seconds(pl.Series(["2020-09-13 12:52:21 UTC"]))[1] == []


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["1600000000", "1600000001"]).cast(pl.Decimal(38, 0)),
        pl.Series(["1600000000", "1600000001"]).cast(pl.Decimal(18, 4)),
        pl.Series([1600000000.0, 1600000001.0]),
        pl.Series([b"1600000000", b"1600000001"]),
        pl.Series(["1600000000", "1600000001"], dtype=pl.Categorical),
        pl.Series([Decimal(1600000000), 1600000001.0], dtype=pl.Object),
        pl.Series([dt.datetime(2020, 9, 13, 12, 26, 40, tzinfo=dt.UTC), "2020-09-13 12:26:41"], dtype=pl.Object),
        pl.Series([1600000000, 1600000001]).cast(pl.Datetime("ms", "Europe/Berlin")).dt.epoch("ms"),
    ],
)  # fmt: skip
def test_types_of_columns(column):
    assert to_seconds(column)[0].to_list() == [1600000000, 1600000001]


@pytest.mark.parametrize(
    "column",
    [pl.Series([[1600000000]] * 12), pl.Series([dt.timedelta(1)] * 12), pl.Series([dt.time(1)] * 12),
     pl.Series([True] * 12), pl.Series([{"a": 1}] * 12), pl.Series(["0000-00-00"] * 12),
     pl.Series(["01/02/2020"] * 12)],
)  # fmt: skip
def test_what_is_no_time_is_refused_and_the_fix_works(column):
    frame = pl.DataFrame({"user": [k % 3 for k in range(12)], "item": list(range(12)), "time": column})
    with pytest.raises(DataError, match=r"row 0  timestamp .* or do not use the column: --set columns.timestamp="):
        read(frame)
    assert len(read(frame.drop("time"))) == 12


def test_what_may_be_day_or_month_says_so():
    frame = pl.DataFrame({"user": [1, 2] * 6, "item": range(12), "date": ["01/02/2020"] * 12})
    with pytest.raises(DataError, match="may be read as day and month or as month and day"):
        read(frame)
    with pytest.raises(DataError, match="is how MySQL writes that there is none"):
        read(frame.with_columns(date=pl.lit("0000-00-00 00:00:00")))


def test_pandas_times_of_every_unit():
    pandas = pytest.importorskip("pandas")
    days = [dt.date(2020, 1, 1 + k) for k in range(12)]
    frame = pandas.DataFrame({"user": [1, 2, 3] * 4, "item": range(12)})
    expected = [1577836800 + 86400 * k for k in range(12)]
    plain = pandas.Series(pandas.to_datetime(days))
    columns = [
        np.array(days, "datetime64[D]"), days, [str(day) for day in days], plain.dt.tz_localize("Asia/Kolkata"),
        *(plain.astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")),
        plain.astype("datetime64[s]").dt.tz_localize("UTC"), plain.astype(object), plain.astype("category"),
    ]  # fmt: skip
    if importlib.util.find_spec("pyarrow"):
        zoned = plain.dt.tz_localize("UTC")
        columns += [plain.astype("timestamp[s][pyarrow]"), zoned.astype("timestamp[us, UTC][pyarrow]")]
    for column in columns:
        frame["date"] = column
        shift = 19800 if "Kolkata" in str(getattr(column, "dtype", "")) else 0
        assert read(frame).timestamp.tolist() == [second - shift for second in expected], frame.date.dtype


def test_times_of_two_units_are_each_read_in_their_own(write):
    rows = [(k, 1_600_000_000 + k * 1000) for k in range(40)]
    made = read(write("user,item,ts\n" + "".join(
        f"{k % 4},{k},{second * (1000 if k % 2 else 1)}\n" for k, second in rows)))  # fmt: skip
    assert made.timestamp.tolist() == [second for _, second in rows]
    assert "timestamps are of several units: 20 are seconds, 20 are milliseconds; each is read in its own" in made.notes
    parts = split(made, "temporal", (0.8, 0.1, 0.1))
    assert made.timestamp[parts.train].max() < made.timestamp[parts.test].min()


@pytest.mark.parametrize(
    ("times", "count"),
    [
        ([1_600_000_000, 5, 1_600_000_001], 1),
        ([1_600_000_000, int(time.time()) + 10 * 86400], 1),
        ([1_600_000_000, 1_600_000_000, 253370764800], 1),  # the year 9999: never
        ([9_783_007_600, 9_783_007_601], 2),
        ([0, 1, 2], 0),  # a counter
        ([-5, 3, 100_000], 0),
        ([1_600_000_000, 1_600_000_001], 0),
    ],
)
def test_times_that_cannot_be_right_are_noted(times, count):
    notes = to_seconds(pl.Series(times))[1]
    said = f"{count} of {len(times)} timestamps lie before 1990 or after today"
    assert [note.split(" (")[0] for note in notes] == ([said] if count else [])


def test_one_time_in_all_rows_is_said_where_times_order():
    frame = pl.DataFrame({"user": [k % 3 for k in range(60)], "item": range(60), "ts": [1_600_000_000] * 60})
    made = read(frame)
    assert split(made, "temporal").notes[0] == (
        "60 interactions have the time at which parts are cut: they are told apart by user and item alone"
    )
    assert split(made, "leave-last-out").notes[0] == (
        "3 users have several interactions at their last time: the item decides which is last"
    )
    assert not any("time" in note for note in split(read(frame.with_columns(ts=pl.col("item"))), "temporal").notes)


def test_users_too_small_to_cut_are_counted():
    frame = pl.DataFrame({"user": [0] * 20 + [1, 2], "item": [*range(20), 0, 1]})
    assert split(read(frame), "user").notes[0] == "2 users have too few interactions to cut, and are in train whole"
