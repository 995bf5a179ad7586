"""A file is told by its first bytes; pipes; line ends, blanks, quotes and Excel's first line in text."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import subprocess
import threading
import zipfile

import polars as pl
import pytest
from data_samples import GOOD, HEADER, ROWS

from sif.datasets import ColumnNames, read
from sif.errors import DataError


def says(source, **options):
    with pytest.raises(DataError) as error:
        read(source, **options)
    return str(error.value)


def zst(content):
    return pytest.importorskip("pyarrow").compress(content, codec="zstd", asbytes=True)


PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zst}


def parquet():
    packed = io.BytesIO()
    pl.DataFrame(ROWS, schema=["user_id", "item_id", "rating", "timestamp"], orient="row").write_parquet(packed)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.csv.gz", "export", "ratings.zst"])
@pytest.mark.parametrize("kind", [*PACKED, "plain", "parquet"])
def test_the_name_does_not_matter(write, kind, name):
    expected = read(write(GOOD, "good.csv")).fingerprint()
    content = {"plain": GOOD.encode, "parquet": parquet}.get(kind, lambda: PACKED[kind](GOOD.encode()))()
    assert read(write(content, name)).fingerprint() == expected


@pytest.mark.parametrize("kind", PACKED)
def test_compressed_files_that_are_cut_or_bad(write, kind):
    packed = PACKED[kind](GOOD.encode() * 500)
    assert says(write(packed[: len(packed) // 2], "cut.csv")).startswith("cut.csv cannot be read: ")
    bad = write(PACKED[kind]((GOOD + "\n\nu1,i9,x,1\n").encode()), "bad.csv")
    assert says(bad).startswith('bad.csv has 1 problem\n  line 24  u1,i9,x,1\n           rating "x" is not a number')


@pytest.mark.parametrize("content", [GOOD.encode(), gzip.compress(GOOD.encode()), parquet()])
def test_a_pipe_is_read_once(tmp_path, content):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    assert len(read(pipe)) == 20
    writer.join()
    writer = threading.Thread(target=pipe.write_bytes, args=(b"",))
    writer.start()
    assert "is empty (a pipe can be read once)" in says(pipe)
    writer.join()


def archive(name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr(name, "x")
    return packed.getvalue()


OTHERS = {
    "a zip archive": archive("ratings.csv"),
    "an Excel workbook": archive("xl/workbook.xml"),
    "a pickle, and opening one can run any code": pickle.dumps(ROWS),
    "an old Excel workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9),
    "an SQLite database": b"SQLite format 3\0" + bytes(9),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n",
    "a web page, not a table": b"\n<!DOCTYPE html>\n<html>",
    "XML, not a table": b'\xef\xbb\xbf<?xml version="1.0"?><a/>',
    "markup, not a table": b"<table border=1>\n",
    "a tar archive": b"ratings.csv".ljust(257, b"\0") + b"ustar\x0000",
    "a PDF": b"%PDF-1.4",
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_of_other_kinds_say_what_they_are(write, what, pack):
    said = says(write(pack(OTHERS[what]), "ratings.csv"))
    assert said.startswith(f"ratings.csv is {what}\n  ")
    assert len(said) < 300


def test_a_feather_file_reads_as_the_message_says(write):
    name = write("", "r.feather")
    pl.read_csv(GOOD.encode()).write_ipc(name)
    import sif

    call = says(name).partition("In Python: ")[2].removesuffix(".")
    assert len(eval(call, {"sif": sif, "polars": pl})) == 20


def test_a_sparse_matrix_without_its_suffix(write):
    import numpy as np
    from scipy import sparse

    packed = io.BytesIO()
    sparse.save_npz(packed, sparse.csr_matrix(np.arange(20.0).reshape(4, 5)))
    data = read(write(packed.getvalue(), "matrix"))
    assert (len(data), data.source) == (19, "matrix")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_said_and_the_command_works(write, encoding):
    said = says(write(GOOD.encode(encoding), "my ratings.csv"))
    assert said.startswith("my ratings.csv is not UTF-8 text but UTF-16")
    subprocess.run(said.partition("Save it as UTF-8: ")[2], shell=True, check=True)
    assert len(read("utf8.csv")) == 20


@pytest.mark.parametrize("tail", ["", "\n"])
def test_lines_of_an_old_mac(write, tail):
    plain = read(write(GOOD, "good.csv")).fingerprint()
    assert read(write(GOOD.replace("\n", "\r") + tail)).fingerprint() == plain
    assert read(write(GOOD.replace("\n", "\r\r\n"))).fingerprint() == plain
    quoted = GOOD.replace("user_id,item_id", '"user_id","item_id"').replace("\n", "\r")
    assert read(write(quoted)).fingerprint() == plain
    assert "line 22  u1,i9,x,1" in says(write((GOOD + "u1,i9,x,1\n").replace("\n", "\r")))
    cell = read(write('user,item,note\n1,2,"a\rb"\n' + "".join(f"{i % 3},{i},c\n" for i in range(12))))
    assert len(cell) == 13


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", "^"])
@pytest.mark.parametrize("begin", ["sep={}\n", "\ufeffsep={}\r\n", '"sep={}"\n', "\nSEP={}\n\n"])
def test_the_line_that_excel_writes(write, mark, begin):
    data = read(write(begin.format(mark) + GOOD.replace(",", mark)))
    assert (len(data), data.notes) == (20, ())


def test_the_line_that_excel_writes_counts(write):
    assert "line 23  u1;i9;x;1" in says(write("sep=;\n" + (GOOD + "u1,i9,x,1\n").replace(",", ";")))
    assert says(write("sep=;\n")).startswith("ratings.csv is empty")
    assert len(read(write("sep=;\n" + "".join(f"{i % 3};{i};4\n" for i in range(12))))) == 12


def test_several_blanks_between_columns(write):
    table = "".join(f"{user:>8}{item:>8}{rating:8}{time:12}   \n" for user, item, rating, time in ROWS)
    header = " user_id   item_id   rating  timestamp\n"
    assert read(write(header + table)).fingerprint() == read(write(GOOD, "b.csv")).fingerprint()
    assert len(read(write("".join(f"  {i % 4}     {i}   4\r\n" for i in range(12))))) == 12
    said = says(write(header + table + "  u1    i9\n u1  i9   x   5\n"))
    assert "line 22    u1    i9\n           2 fields, the header has 4." in said
    assert 'line 23   u1  i9   x   5\n           rating "x" is not a number' in said


def test_blanks_inside_of_fields_are_no_columns(write):
    text = "".join(f"u{i % 4},The Lord of {'the ' * (i % 3)}Rings {i},4\n" for i in range(12))
    data = read(write(text), columns=ColumnNames(user="1", item="2", rating="3"))
    assert (data.n_users, data.n_items) == (4, 12)


VINYL = "user,item,rating\n" + "".join(f'{i % 4},{i} 7" vinyl,4\n' for i in range(300))


def test_quotes_that_are_text(write):
    data = read(write(VINYL))
    assert (len(data), data.items.to_list()[0]) == (300, '0 7" vinyl')
    assert data.notes == ("no field is enclosed in quotes: they are read as they stand",)
    assert "line 302  9,9\n" in says(write(VINYL + "9,9\n"))


@pytest.mark.parametrize("field", ['9 7" vinyl', '"Weird Al" Yankovic', '""x"" y'])
def test_quotes_that_are_both_are_named_and_mended(write, field):
    good = "user,item,rating\n" + '"1","2,3",4\n' + "".join(f"{i % 4},{i},{i % 5}\n" for i in range(12))
    said = says(write(f"{good}1,{field},5\n"))
    head, fix = said.split("Double it, and enclose the field: ")
    assert head == (f"ratings.csv has 1 problem\n  line 15  1,{field},5\n           a quote stands inside a field. ")
    data = read(write(f"{good}1,{fix},5\n"))
    assert field in data.items.to_list()


def test_a_quote_that_closes_on_another_line(write):
    assert 'line 22  u1,"i9,3,1\n           a quote opens here and never closes.' in says(
        write(GOOD + 'u1,"i9,3,1\nu2,"i2",3,1\n')
    )


def test_blanks_around_quotes(write):
    text = HEADER + "".join(f'"{user}" , "{item}",{rating},{time}\n' for user, item, rating, time in ROWS)
    assert read(write(text)).fingerprint() == read(write(GOOD, "b.csv")).fingerprint()


@pytest.mark.parametrize("text", ["user,item\n", '{"user": 1, "item": "a"}\n', "1 2 3\n2 5\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zst])
def test_no_byte_is_replaced_in_silence(write, text, pack):
    bad = (text * 3).replace("a", "é").replace("2", "é").replace("item", "it\xe9m").encode("latin-1")
    said = says(write(pack(bad)))
    assert "is not UTF-8" in said or "invalid utf" in said.lower()


def test_a_recipe_reads_what_the_command_line_reads(write):
    from sif.problems.data import prepare
    from sif.recipes import load_recipe

    write(GOOD.replace("user_id,item_id", "reader,2"), "part-1.csv")
    recipe = load_recipe("ratings-operations", ["columns.user=reader", "columns.item='2'", "columns.header='yes'"])
    found = prepare(recipe.model_copy(update={"dataset": "part-*.csv"}), device="cpu").interactions
    assert (found.n_users, found.n_items, found.notes) == (4, 5, ("1 part files read",))
