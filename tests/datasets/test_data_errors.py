"""The exact text of what a user sees for data that cannot be used."""

import gzip

import numpy as np
import polars as pl
import pytest
from data_samples import GOOD, HEADER, ROWS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from sif.datasets import ColumnNames, Interactions, read
from sif.errors import DataError

KNOWN = "movielens-100k, movielens-1m, movielens-10m, movielens-20m, movielens-25m"
KNOWN += ", movielens-latest-small, movielens-latest"


def says(source, **options):
    with pytest.raises(DataError) as error:
        read(source, **options)
    return str(error.value)


BAD_ROWS = {
    'u1,i9,"3,5",1\n': 'line 22  u1,i9,"3,5",1\n           rating "3,5" has a decimal comma. Write 3.5',
    "u1,i9,good,1\n": (
        "line 22  u1,i9,good,1\n"
        '           rating "good" is not a number. Write a number, or do not use the column: --set columns.rating=""'
    ),
    "u1,i9,inf,1\n": (
        'line 22  u1,i9,inf,1\n           rating "inf" is not a finite number of single precision. '
        "Write a number between -3e38 and 3e38."
    ),
    "u1,i9,,1\n": "line 22  u1,i9,,1\n           rating is missing. Fill it in, or delete the line.",
    ",i9,3,1\n": "line 22  ,i9,3,1\n           user is missing. Fill it in, or delete the line.",
    "u1,NaN,3,1\n": "line 22  u1,NaN,3,1\n           item is missing. Fill it in, or delete the line.",
    "u1,i9,3,31/01/2020\n": (
        'line 22  u1,i9,3,31/01/2020\n           timestamp "31/01/2020" is neither epoch seconds nor an ISO date. '
        'Write it as 2020-01-31 12:00:00, or do not use the column: --set columns.timestamp=""'
    ),
    "u1,i9,3,\n": (
        "line 22  u1,i9,3,\n           timestamp is missing. Fill it in, "
        'or do not use the column: --set columns.timestamp=""'
    ),
    "u1,i9,3\n": (
        "line 22  u1,i9,3\n           3 fields, the header has 4. Fill in the missing fields, or delete the line."
    ),
    "u1,i9,3,1,5\n": (
        "line 22  u1,i9,3,1,5\n"
        "           5 fields, the header has 4. Quote a field that holds the delimiter, or delete the line."
    ),
    'u1,"i9,3,1\nu2,i2,3,1\n': (
        'line 22  u1,"i9,3,1\n           a quote opens here and never closes. Close it, or double it inside a field.'
    ),
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_one_bad_row(write, row):
    assert says(write(GOOD + row)) == f"ratings.csv has 1 problem\n  {BAD_ROWS[row]}"


def test_bytes_that_are_not_utf8(write):
    assert says(write(GOOD.encode() + b"u\xff,i1,3,1\n")) == (
        "ratings.csv has 1 problem\n  line 22  u\ufffd,i1,3,1\n           is not UTF-8. Save the file as UTF-8."
    )


def test_lines_are_counted_over_blank_lines_and_quoted_line_ends(write):
    text = (
        '\n\nuser,item,rating,note\n\n1,2,3,"a\nb"\n\n' + "1,2,x,c\n" + "".join(f"{i % 3},{i},1,c\n" for i in range(12))
    )
    assert says(write(text)).startswith('ratings.csv has 1 problem\n  line 8  1,2,x,c\n          rating "x" is not')


def test_a_bad_first_row(write):
    assert "line 2  u1,i1\n          2 fields, the header has 4." in says(
        write(HEADER + "u1,i1\n" + GOOD.split("\n", 1)[1])
    )


def test_five_problems_are_listed_and_the_rest_counted(write):
    text = says(write(GOOD + "u1,i9,x,1\n" * 7))
    assert text.startswith("ratings.csv has 7 problems\n  line 22  ")
    assert text.count("is not a number") == 5
    assert text.endswith("\n  and 2 more")


def test_a_long_line_is_cut(write):
    text = says(write(GOOD.replace("timestamp", "note") + "u1,i9,x," + "n" * 500 + "\n"))
    assert max(map(len, text.splitlines())) < 130


@pytest.mark.parametrize("content", ["", "\n  \n"])
def test_empty_file(write, content):
    assert says(write(content)) == (
        "ratings.csv is empty\n  Give a file with a header (user_id,item_id,rating,timestamp) and rows below it."
    )


def test_too_little(write):
    assert says(write(HEADER)) == "ratings.csv has no interactions\n  Give at least 10 rows of user and item."
    assert says(write(HEADER + "u1,i1,3,1\n")) == (
        "ratings.csv has 1 interaction, too few to split and learn from\n  Give at least 10."
    )
    assert says(write(HEADER + "".join(f"u1,i{i},{i},{i}\n" for i in range(12)))) == (
        'ratings.csv has one user, "u1", in all 12 rows: there is nothing to tell apart\n'
        "  Check which column is the user, or give data with at least two users."
    )
    assert says(write(HEADER + "".join(f"u{i},i1,{i},{i}\n" for i in range(12)))).startswith(
        'ratings.csv has one item, "i1", in all 12 rows'
    )


def test_headers_that_say_too_little(write):
    assert says(write("reader,volume,raitng\na,b,3\n")) == (
        "ratings.csv, line 1: the columns are reader, volume, raitng\n"
        "  no user column. Name it, or call it user_id.\n"
        "  no item column. Name it, or call it item_id.\n"
        '  is "raitng" the rating? Name it, or say that there is none: rating = "".\n'
        "  Name columns so: --set columns.rating=raitng --set columns.user=reader --set columns.item=volume\n"
        "  In Python: sif.read(data, columns=sif.datasets.ColumnNames(rating='raitng', user='reader', item='volume')) "
        "or sif.search(data, settings={'columns.rating': 'raitng', 'columns.user': 'reader', 'columns.item': 'volume'})"
    )
    assert says(write("\nusr_id,item\na,b\n")) == (
        "ratings.csv, line 2: the columns are usr_id, item\n"
        '  no user column. Is it "usr_id"? Name it, or call it user_id.\n'
        "  Name columns so: --set columns.user=usr_id\n"
        "  In Python: sif.read(data, columns=sif.datasets.ColumnNames(user='usr_id')) or "
        "sif.search(data, settings={'columns.user': 'usr_id'})"
    )
    assert says(write("user_id,userid,item\na,b,c\n")) == (
        "ratings.csv, line 1: the columns are user_id, userid, item\n"
        '  "user_id" and "userid" could both be the user: name one.\n'
        "  Name columns so: --set columns.user=user_id\n"
        "  In Python: sif.read(data, columns=sif.datasets.ColumnNames(user='user_id')) or "
        "sif.search(data, settings={'columns.user': 'user_id'})"
    )


def test_no_header(write):
    assert says(write("1,2\n3,4\n")) == (
        "ratings.csv, line 1: 1,2\n"
        "  2 numbers and no header. Without a header a file is read only when it has 3 or 4 columns: "
        "user, item, rating[, timestamp].\n"
        "  Put a header line such as user_id,item_id on top, or name columns by position.\n"
        "  Name columns so: --set columns.user=1 --set columns.item=2\n"
        "  In Python: sif.read(data, columns=sif.datasets.ColumnNames(user='1', item='2')) or "
        "sif.search(data, settings={'columns.user': '1', 'columns.item': '2'})"
    )
    assert "\n  Name columns so: --set columns.user=1 --set columns.item=2 --set columns.rating=3\n" in says(
        write("A1,B1,5.0,1369699200\n")
    )


def test_named_columns_that_are_wrong(write):
    columns = ColumnNames(user="user_idd", rating="score", context="item_id")
    assert says(write(GOOD), columns=columns) == (
        "ratings.csv, line 1: the columns are user_id, item_id, rating, timestamp\n"
        '  user = "user_idd" is not a column. Did you mean "user_id"?\n'
        '  rating = "score" is not a column. Give one of the columns above.\n'
        '  "item_id" is taken as item and as context: name another column for one of them.\n'
        "  Name columns so: --set columns.user=user_id\n"
        "  In Python: sif.read(data, columns=sif.datasets.ColumnNames(user='user_id')) or "
        "sif.search(data, settings={'columns.user': 'user_id'})"
    )
    assert 'user = "a" names 2 columns; name one by its position, or rename.' in says(
        write("a,a,item\n"), columns=ColumnNames(user="a")
    )


def test_files_of_another_kind(write):
    assert says(write(GOOD.encode("utf-16"))) == (
        "ratings.csv is not UTF-8 text but UTF-16\n  Save it as UTF-8: iconv -f UTF-16 -t UTF-8 ratings.csv > utf8.csv"
    )
    assert says(write(GOOD + "\0")) == (
        "ratings.csv is not UTF-8 text (it holds zero bytes)\n  Save it as UTF-8 CSV, or as Parquet (.parquet)."
    )
    assert says(write("x", "r.parquet")).startswith("r.parquet is not a readable Parquet file: ")
    assert says(write("x", "r.npz")) == (
        "r.npz is not a saved sparse matrix: it holds something else\n"
        "  Write it with scipy.sparse.save_npz(path, user_items)."
    )
    assert says(write(b"PK\3\4x", "r.zip")).startswith("r.zip is a damaged zip archive: ")
    assert says(".") == (
        ". is a folder, and not one of a data set that is known here\n"
        "  Give the file of ratings in it, or a glob of the part files of one table."
    )


def test_a_pickle_in_an_npz_is_not_opened(write):
    write("", "p.npz")
    np.savez("p.npz", data=np.array([{"a": 1}], dtype=object), format=np.array(b"csr"))
    assert says("p.npz").startswith("p.npz is not a saved sparse matrix")


def test_a_gzip_that_was_cut_short(write):
    packed = gzip.compress(GOOD.encode() * 2000)
    assert "r.csv.gz cannot be read: Compressed file ended" in says(write(packed[: len(packed) // 2], "r.csv.gz"))


def test_no_such_source(write):
    write("")
    assert says("nope.csv") == (
        f"nope.csv cannot be read: there is no such file\n  Give the path of a file, or one of {KNOWN}."
    )
    assert says("no/where.csv").startswith("no/where.csv cannot be read: there is no folder no\n")
    assert says("movilens") == (f'no data set is called "movilens"\n  Did you mean movielens? Known: {KNOWN}.')
    assert says(3) == (
        "cannot read interactions from a builtins.int\n"
        "  Give a path, a pandas or polars DataFrame, a scipy sparse matrix, or the name of a data set."
    )


def test_frames_name_the_row():
    frame = pl.DataFrame(ROWS, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")
    bad = frame.with_columns(rating=pl.when(pl.col("timestamp") == 978300763).then(None).otherwise("rating"))
    assert says(bad) == ("polars frame has 1 problem\n  row 3  rating is missing. Fill it in, or delete the row.")
    assert says(frame.drop("user_id")).startswith("polars frame: the columns are item_id, rating, timestamp\n  no user")
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    table.loc[5, "item_id"] = None
    table.loc[6, "rating"] = float("nan")
    assert says(table) == (
        "pandas frame has 2 problems\n  row 5  item is missing. Fill it in, or delete the row.\n"
        "  row 6  rating is missing. Fill it in, or delete the row."
    )
    table = pandas.DataFrame({"user": list("ab") * 6, "item": range(12), "rating": ["4"] * 11 + ["x"]})
    assert says(table).startswith('pandas frame has 1 problem\n  row 11  rating "x" is not a number.')


def test_matrices():
    assert says(sparse.csr_matrix((5, 5))) == "matrix has no interactions\n  Give at least 10 rows of user and item."
    assert 'matrix has one user, "0", in all 12 rows' in says(sparse.csr_matrix(np.ones((1, 12))))


CELL = st.sampled_from(
    ["1", "2", "u1", "3.5", "", '"', '"a,b"', "NaN", "2020-01-01", "1e400", "-7", " ", "x\ty", "\0", "é"]
)
LINE = st.lists(CELL, max_size=5).map(",".join)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["", HEADER, "user,item\n", '"user\n",item,ts\n']),
    st.lists(LINE, max_size=25),
    st.binary(max_size=3),
)
def test_whatever_the_file_holds_it_reads_or_says_why(write, header, lines, tail):
    name = write((header + "\n".join(lines)).encode() + tail)
    try:
        outcome = read(name)
    except DataError as error:
        outcome = error
    assert isinstance(outcome, Interactions) or "ratings.csv" in str(outcome)
