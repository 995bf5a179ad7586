"""Large data are worked on in blocks, by counting and a column at a time: the results are those of plain code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sif.datasets import Interactions, Vocabulary, read, split
from sif.datasets.interactions import canonical_order, last_of_each
from sif.datasets.splits import SPLIT_KINDS, _by_rank, _within_users
from sif.errors import DataError


def made(rows: list[tuple[int, int, int]], context: bool = False) -> Interactions:
    user, item, time = np.array(rows, np.int64).reshape(-1, 3).T
    users, items, contexts = Vocabulary(range(6)), Vocabulary(range(5)), Vocabulary(range(9)) if context else None
    return Interactions(user, item, None, time, time % 9 if context else None, users, items, contexts)


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=40)


@given(ROWS, st.booleans())
def test_the_canonical_order_is_a_stable_sort(rows: list[tuple[int, int, int]], context: bool):
    """Repeated pairs, which cannot be counted, and contexts too."""
    key = [(user, item, time % 9 if context else 0, place) for place, (user, item, time) in enumerate(rows)]
    assert canonical_order(made(rows, context)).tolist() == [place for *_, place in sorted(key)]
    once = list({row[:2]: row for row in rows}.values())
    assert canonical_order(made(once)).tolist() == sorted(range(len(once)), key=lambda place: once[place][:2])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.data())
def test_parts_by_rank_are_those_of_a_stable_sort(values: list[int], data: st.DataObject):
    first = data.draw(st.integers(0, len(values)))
    second = data.draw(st.integers(first, len(values)))
    order = np.argsort(values, kind="stable")
    expected = np.empty(len(values), int)
    expected[order] = [(place >= first) + (place >= second) for place in range(len(values))]
    assert _by_rank(np.array(values), (first, second)).tolist() == expected.tolist()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=8), st.integers(1, 12), st.data())
def test_parts_within_users_are_those_of_each_user(users: list[list[int]], block: int, data: st.DataObject):
    counts = np.array([len(values) for values in users])
    first = np.array([data.draw(st.integers(0, n)) for n in counts])
    second = np.array([data.draw(st.integers(f, n)) for f, n in zip(first, counts, strict=True)])
    values = np.array([value for values in users for value in values], np.int64)
    expected = [_by_rank(np.array(v), ends).tolist() for v, *ends in zip(users, first, second, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sif.datasets.splits._BLOCK", block)
        found = _within_users(values, counts, (first, second))
    assert found.tolist() == [label for labels in expected for label in labels]


@pytest.fixture
def _tiny_blocks(monkeypatch: pytest.MonkeyPatch):
    for place in ("splits._BLOCK", "interactions._BLOCK"):
        monkeypatch.setattr(f"sif.datasets.{place}", 7)
    monkeypatch.setattr("sif.datasets.vocabulary._BLOCK", 5 << 6)


def random_frame(seed: int, text: bool) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    user = draw.integers(0, 400, 1000)
    columns = {"user_id": [f"u{u}" for u in user] if text else user * 1000, "item_id": draw.integers(-30, 30, 1000)}
    times = draw.integers(0, 50, 1000)
    return pl.DataFrame(columns | {"rating": draw.integers(1, 6, 1000) / 2, "timestamp": times})


def facts(data: Interactions) -> list[Any]:
    columns = (data.user, data.item, data.rating, data.timestamp)
    splits = [split(data, kind, seed=3) for kind in SPLIT_KINDS]
    cuts = [(cut.fingerprint, cut.train.tolist(), cut.test.tolist(), cut.notes) for cut in splits]
    return [*(column.tolist() for column in columns if column is not None), data.fingerprint(), data.notes, cuts]


WHOLE = {text: facts(read(random_frame(0, text))) for text in (False, True)}


@pytest.mark.usefixtures("_tiny_blocks")
@pytest.mark.parametrize("text", [False, True])
def test_blocks_change_nothing(text: bool):
    data = read(random_frame(0, text))
    assert len(list(data.users.blocks())) > 70
    assert facts(data) == WHOLE[text]
    keys = np.random.default_rng(0).integers(0, 90, 300)
    assert last_of_each(keys, None).tolist() == sorted({key: place for place, key in enumerate(keys.tolist())}.values())


def test_parquet_is_read_a_column_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    random_frame(0, False).with_columns(other=pl.lit("x")).write_parquet(tmp_path / "a.parquet")
    asked, whole = [], pl.read_parquet

    def read_parquet(path: Path, *, columns: list[str]) -> pl.DataFrame:
        asked.append(columns)
        return whole(path, columns=columns)

    monkeypatch.setattr(pl, "read_parquet", read_parquet)
    assert facts(replace(read(tmp_path / "a.parquet"), name="polars frame")) == WHOLE[False]
    assert sorted(asked) == [["item_id"], ["rating"], ["timestamp"], ["user_id"]]


def test_a_parquet_file_that_is_broken_inside_is_named(tmp_path: Path):
    path = tmp_path / "a.parquet"
    random_frame(0, False).write_parquet(path, compression="uncompressed")
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet is not a readable Parquet file: .*\n  Write it again, or give"):
        read(path)


@pytest.mark.parametrize("repeated", [False, True])
def test_columns_can_be_written_to(repeated: bool):
    """Those of a frame can not, and are not handed on, be there repeated pairs or not."""
    frame = random_frame(0, False).cast({"rating": pl.Float32})
    data = read(frame if repeated else frame.unique(["user_id", "item_id"]))
    assert any("duplicate" in note for note in data.notes) == repeated
    for column in (data.user, data.item, data.rating, data.timestamp):
        column[0] = column[1]
        assert column[0] == column[1]
