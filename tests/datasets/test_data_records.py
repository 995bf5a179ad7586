"""JSON as a table: lines, lists, what is refused and the way out."""

import gzip
import json
import subprocess
import sys

import pandas as pd
import pytest
from advice import described, followed
from data_samples import GOOD, ROWS

from sif.datasets import ColumnNames, read, read_parts
from sif.errors import DataError

KEYS = ("user_id", "item_id", "rating", "timestamp")
OBJECTS = [dict(zip(KEYS, row, strict=True)) for row in ROWS]


def lines(objects=OBJECTS):
    return "".join(json.dumps(made, ensure_ascii=False) + "\n" for made in objects)


def says(source, **options):
    with pytest.raises(DataError) as error:
        read(source, **options)
    return str(error.value)


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "reviews", "r.csv"])
def test_json_lines_and_lists_read_as_the_table(write, name):
    expected = read(write(GOOD, "good.csv")).fingerprint()
    assert read(write(lines(), name)).fingerprint() == expected
    assert read(write("\ufeff\n" + lines().replace("\n", "\r\n\r\n"), name)).fingerprint() == expected
    assert read(write(json.dumps(OBJECTS, indent=2), name)).fingerprint() == expected
    assert read(write(gzip.compress(lines().encode()), name)).fingerprint() == expected
    assert described(name)["fingerprint"] == expected


def test_ids_are_what_stands_there(write):
    data = read(write(lines([{"user": 2**62 + i % 3, "item": f"0{i}é"} for i in range(12)])))
    assert data.users.to_list() == [2**62, 2**62 + 1, 2**62 + 2]
    assert data.items.to_list()[0] == "00é"


def test_other_keys_may_be_nested_and_keys_may_lack(write):
    odd = [made | {"tags": [1, {"a": 2}]} for made in OBJECTS]
    assert len(read(write(lines(odd)))) == 20
    del odd[3]["rating"]
    assert "line 4  {" in says(write(lines(odd)))
    assert "rating is missing. Fill it in" in says("ratings.csv")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"id": 1}, "user is an object, not one value."),
        ([1], "user is a list, not one value."),
        (True, "user is true, not a number or text."),
        (7, "user 7 is a number here, and text in other lines."),
    ],
)
def test_values_that_are_not_one_id(write, value, text):
    said = says(write(lines([*OBJECTS, {"user_id": value, "item_id": "i1", "rating": 1, "timestamp": 1}])))
    assert said.startswith("ratings.csv has 1 problem\n  line 21  {")
    assert text in said


def test_what_is_not_a_list_of_objects(write):
    frame = pd.DataFrame(OBJECTS)
    for made in (frame.to_json(), json.dumps({"data": OBJECTS}, indent=1)):
        said = says(write(made))
        call = said.partition("Write an object a row: ")[2]
        eval(call, {"frame": frame, "path": "again.jsonl"})
        assert len(read("again.jsonl")) == 20
        assert len(said) < 400
    assert "element 1  [1, 2]\n             is not a JSON object." in says(write("[[1, 2], [3, 4]]"))
    assert "line 21  [1]" in says(write(lines() + "[1]\n"))
    assert says(write(json.dumps(OBJECTS)[:-9])).startswith("ratings.csv is not sound JSON: ")
    assert says(write("[1, 2]\n[1, 3]\n")).endswith('Write an object a row, as {"user": 1, "item": 2}.')
    assert 'line 21  {"user' in says(write(lines() + '{"user_id": 1, "it\n'))


def test_dicts_of_python_convert_as_the_message_says(write):
    said = says(write("".join(f"{made!r}\n" for made in OBJECTS)))
    command = said.partition("Convert it: ")[2].replace("python -c", f"{sys.executable} -c")
    subprocess.run(command, shell=True, check=True)
    assert read("records.jsonl").fingerprint() == read(write(GOOD)).fingerprint()


def test_keys_are_named_as_columns_are(write):
    renamed = [{"reader": made["user_id"], "volume": made["item_id"], "grade": 3} for made in OBJECTS]
    name = write(lines(renamed), "r.jsonl")
    assert followed(says(name), name).n_items == 5
    assert read(name, columns=ColumnNames(user="reader", item="volume", rating="grade")).rating[0] == 3


def test_parts_as_json(write):
    data, made = read_parts(write(lines(OBJECTS[:15]), "tr.jsonl"), test=write(lines(OBJECTS[15:]), "te.jsonl"))
    assert len(made.test) == 5
    assert data.users.to_list() == ["u0", "u1", "u2", "u3"]
