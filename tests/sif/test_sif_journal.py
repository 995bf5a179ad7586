"""The one journal of finished work: stopped at every point, damaged, stale, foreign, met by another process."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sif.errors import DataError, RaceError, RunError
from sif.journal import TERMS, Journal
from sif.lock import alone

NAMES = ("search", "train l2=0.1", "train l2=0.2")


class _StoppedError(BaseException):
    """A kill."""


def work(folder: Path, done: list[str]) -> list[Any]:
    """Three pieces of four steps, each saved; `done` hears of every step."""
    outcomes = []
    journal = Journal(folder)
    journal.check({"data": "a"})
    for name in NAMES:

        def compute(save: Callable[[Any], None], resume: Any, name: str = name) -> Any:
            state = resume or {"step": 0, "sum": torch.zeros(2)}
            while state["step"] < 4:
                done.append(f"{name} {state['step']}")
                state = {"step": state["step"] + 1, "sum": state["sum"] * 3 + len(name)}
                save(state)
            return {"sum": state["sum"], "name": name}

        outcomes.append(journal.run(name, compute))
    return [(one["name"], one["sum"].tolist()) for one in outcomes]


def stop_at(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Raise at the call of that number of a function of `os`, before it does anything."""
    whole, left = getattr(os, call), [number]

    def stopping(*given: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise _StoppedError
        return whole(*given)

    monkeypatch.setattr(os, call, stopping)


@pytest.mark.parametrize("call", ["fsync", "replace", "unlink"])
def test_stopped_at_every_point_it_ends_as_if_it_had_not_been(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps = list[str]()
    whole = work(tmp_path / "whole", steps)
    files = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert len(files) == 4
    stops = 0
    for number in range(40):
        folder, done = tmp_path / str(number), list[str]()
        with monkeypatch.context() as patch:
            stop_at(patch, call, number)
            try:
                work(folder, done)
            except _StoppedError:
                stops += 1
        assert work(folder, done) == whole
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
        assert set(done) == set(steps)
        assert len(done) - len(steps) <= 1, "more than the step at work was done again"
    assert stops >= (3 if call == "unlink" else 16)


@pytest.mark.parametrize("kept", ["search-*.partial.safetensors", "search-*[0-9a-f].safetensors"])
def test_a_file_that_is_cut_off_counts_as_none(kept: str, tmp_path: Path):
    journal = Journal(tmp_path / "cut")
    with pytest.raises(_StoppedError):
        journal.run("search", lambda save, resume: save({"step": 3, "sum": torch.ones(2)}) or stopped())
    (partial,) = journal.folder.glob("*")
    content = partial.read_bytes()
    path = journal.folder / partial.name.replace(".partial" if "partial" not in kept else "", "")
    for size in (0, 1, 7, 8, 20, len(content) // 2, len(content) - 1):
        partial.unlink(missing_ok=True)
        path.write_bytes(content[:size])
        outcome = journal.run("search", lambda save, resume: {"resumed": resume is not None})
        assert outcome == {"resumed": False}, size
        for left in journal.folder.glob("search-*"):
            left.unlink()


def stopped() -> None:
    raise _StoppedError


def test_a_folder_on_other_terms_is_refused_with_what_differs(tmp_path: Path):
    def opened(terms: dict[str, Any]) -> None:
        with Journal(tmp_path / "race", "race", "give another --out", RaceError).opened(terms, "racing"):
            pass

    terms = {"data": {"name": "m", "rows": 3}, "budget": 1.0, "long": ["x"] * 100, "none": None}
    opened(terms)
    opened(json.loads(json.dumps(terms)))
    others = {"data": {"name": "m", "rows": 4}, "long": ["y"] * 100, "more": True, "none": None}
    with pytest.raises(RaceError) as caught:
        opened(others)
    assert str(caught.value) == (
        f"{tmp_path}/race holds another race: data.rows is 4, was 3; long differs; more is true, was null; "
        "budget is null, was 1.0; give another --out"
    )


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path):
    (tmp_path / "letter.txt").write_text("dear")
    journal = Journal(tmp_path, "table", "give another --out", DataError)
    with (
        pytest.raises(DataError, match=r"exists and holds no table of this version of sif; give another --out"),
        journal.opened({}, "x"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(DataError, match=r"letter\.txt is a file, and no folder of a table"):
        Journal(tmp_path / "letter.txt", "table", error=DataError)
    with pytest.raises(DataError, match=r"cannot make the folder .*: Not a directory; give another folder"):
        Journal(tmp_path / "letter.txt" / "in", "table", error=DataError)


def test_what_a_kill_left_before_anything_was_written_is_nothing(tmp_path: Path):
    (tmp_path / f".{TERMS}.x1y2").write_text('{"da')
    (tmp_path / ".lock").write_text("1")
    with Journal(tmp_path).opened({"data": 1}, "working"):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", TERMS]


def test_a_second_process_is_told_of_the_first(tmp_path: Path):
    opened = Journal(tmp_path).opened({}, "racing")
    with alone(tmp_path, "racing"), pytest.raises(RunError, match=r"another process .* is at work in"), opened:
        pass


def test_pieces_are_told_apart_by_names_and_by_what_they_depend_on(tmp_path: Path):
    journal, made = Journal(tmp_path), list[Any]()
    pieces = [("a:b", None), ("a-b", None), ("a b", None), ("x" * 500, None), ("x" * 500 + "y", None), ("é" * 90, None)]
    pieces += [
        ("../out", None),
        (".hidden", None),
        ("a", {"l2": 0.1}),
        ("a", {"l2": 0.10000001}),
        ("a", None),
        ("", None),
    ]
    for _ in range(2):
        for place, (name, depends) in enumerate(pieces):
            assert journal.once(name, lambda place=place: made.append(place) or {"place": place}, depends) == {  # type: ignore[misc]
                "place": place
            }
    assert made == list(range(len(pieces)))
    journal.sweep()
    assert len(list(tmp_path.iterdir())) == len(pieces)


def test_an_outcome_is_the_same_whether_it_was_made_or_read(tmp_path: Path):
    journal = Journal(tmp_path)
    given = {"pair": (1, 2.5), "none": None, "tensor": torch.arange(3), "infinite": float("inf")}
    first, second = (journal.once("piece", lambda: given) for _ in range(2))
    assert first["pair"] == second["pair"] == [1, 2.5]
    assert torch.equal(first["tensor"], second["tensor"])
    assert first["infinite"] == second["infinite"] == float("inf")
