"""`sif strategies`: rows generated from the parts' declarations, and steps counted instead of timed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.strategy import Strategy
from nasp_core.testing import unsupported_reason
from sif.cli import app
from sif.strategies import described, step_cost
from sif.strategy_rows import describe_strategy, parts_in_short, strategy_rows
from sif.strategy_store import kept_rows, sources, table_text
from sif.testing.cases import CASES


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["strategies", *arguments])


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def test_ls_has_a_row_for_every_strategy():
    shown = done("ls")
    rows = {match[1]: match[0] for match in re.finditer(r"(?m)^│ ([\w-]+) .*", shown)}
    assert list(rows) == list(STRATEGIES)
    assert "Box, OneHot, FirstOrder, Argmax" in rows["nasp"]
    assert "Yao et al. 2020" in rows["nasp"]
    assert rows["nasp"].rstrip(" │").endswith("1.00")


def test_ls_prints_one_line_of_json():
    line = done("ls", "--json")
    assert line.count("\n") == 1
    assert [row["name"] for row in json.loads(line)] == list(STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
def test_show_says_what_the_strategy_is_made_of(name: str):
    shown, strategy = done("show", name), make_strategy(name)
    row = json.loads(done("show", name, "--json"))
    flat = " ".join(shown.split())
    assert row["parts"] == strategy.describe()
    for part in strategy.describe().values():
        assert part.partition("(")[0] in flat
    for key in row["settings"]:
        assert f"{key} = " in shown
    for paper in strategy.papers:
        assert paper.title in flat
        assert paper.title in row["bibtex"]
    assert row["notes"] == [note for note in row["notes"] if note.startswith(("Departs from", "Fails when"))]
    assert row["about"]
    if isinstance(strategy, Strategy):
        assert row["bibtex"] == strategy.cite()
        assert any(note.startswith("Fails when") for note in row["notes"]), "its docstring says nothing of failures"


@pytest.mark.parametrize("name", STRATEGIES)
def test_spaces_are_those_on_which_it_begins(name: str):
    row, strategy = describe_strategy(name), make_strategy(name)
    begins: dict[str, bool] = {}
    for case in CASES.values():
        space = case.space().name
        begins[space] = begins.get(space, False) or unsupported_reason(strategy, case) is None
    begins.pop("quadratic")
    assert row["spaces"] == begins
    assert set(row["refused"]) == {space for space, fits in begins.items() if not fits}
    assert all(reasons and all(reasons) for reasons in row["refused"].values())


def test_an_unknown_name_gives_the_nearest():
    result = run("show", "dart")
    assert result.exit_code == 2
    assert "did you mean 'darts'?" in result.stderr


def test_a_step_costs_what_a_count_by_hand_says():
    """Three choices of K maps, in products of a map: a forward pass, a gradient in its input, and in its weights.

    NASP, architecture step: 3 live forward, 2 gradients (the first choice's input has none), 3 (K-1) dead forward;
    weight step: 3 forward, 3 in weights, 2 in inputs. DARTS runs all K in each.
    """
    for candidates in (4, 8):
        nasp = (3 + 2 + 3 * (candidates - 1)) + (3 + 3 + 2)
        darts = (3 + 2) * candidates + (3 + 3 + 2) * candidates
        counted = [step_cost(make_strategy(name), candidates) for name in ("nasp", "darts")]
        assert counted == [1.0, darts / nasp]


def test_steps_are_counted_alike_each_time():
    for name in ("darts-2nd", "nasp-ranked"):
        assert step_cost(make_strategy(name)) == step_cost(make_strategy(name)) == describe_strategy(name)["step_cost"]


def test_trials_have_no_step():
    assert step_cost(make_strategy("random")) is None
    assert step_cost(make_strategy("enumerate")) is None


def test_every_one_shot_strategy_is_counted():
    rows = {row["name"]: row for row in strategy_rows() if row["kind"] == "one-shot"}
    assert [name for name, row in rows.items() if row["step_cost"] is None or row["step_cost"] <= 0] == []


def test_parts_are_named_in_short():
    parts = {"domain": "Box(low=0.0)", "schedules": "Complexity(eta=(1, 2)), Prune(part=Inner(a=1))"}
    assert parts_in_short({"kind": "one-shot", "parts": parts}) == "Box, Complexity, Prune"
    assert parts_in_short({"kind": "multi-trial", "parts": {"trials": "Random(trials=2)"}}) == "Random"


def test_the_kept_rows_say_what_the_strategies_say_now():
    """Where this fails: python benchmarks/strategy_rows.py."""
    now = [described(name) for name in STRATEGIES]
    assert json.loads(json.dumps(now)) == list(kept_rows().values())
    assert json.loads(table_text(now)) == {"sources": sources(), "rows": now}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nasp", "darts-2nd", "dots", "enumerate", "spos"])
def test_the_kept_rows_are_what_is_counted(name: str):
    assert described(name, recount=True) == kept_rows()[name]


def test_a_changed_strategy_is_counted_anew(monkeypatch: pytest.MonkeyPatch):
    """What is kept is for the parts that it was counted with."""
    row = {**kept_rows()["darts"], "parts": {}, "step_cost": 0.0}
    monkeypatch.setattr("sif.strategies.kept_rows", lambda: {"darts": row})
    assert described("darts")["step_cost"] == kept_rows()["darts"]["step_cost"] > 0


def test_the_page_has_the_table_that_ls_prints():
    """Where this fails: sif strategies ls --markdown, between the two comments of docs/strategies.md."""
    page = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- table of strategies -->\n(.*)<!-- end of the table -->", page, re.S)
    assert table is not None
    assert table[1] == done("ls", "--markdown")
