"""A space that is used up: nothing is trained twice, rivals have what is left, and the study ends."""

from pathlib import Path
from typing import Any

import pytest
from sif_samples import TINY, lines_of, sets, write_ratings
from test_sif_ranking_run import SMALL, clicks
from typer.testing import CliRunner

import sif
from sif.cli import app

ONE = {
    "space.branches": 1,
    "space.encodings": ["id"],
    "space.elementwise": ["identity"],
    "space.operations": ["multiply"],
    "space.predictors": ["sum"],
    "space.biases": ["off"],
    "study.without": ["settings", "supernet", "blend"],
    "baselines.names": [],
}


def searched(table: Path, recipe: str, budget: str, settings: dict[str, Any]) -> tuple[list[Any], str]:
    """The lines of trials.jsonl, and what is said."""
    out = table.parent / budget
    words = ["search", str(table), f"--recipe={recipe}", f"--budget={budget}", f"--out={out}", "--device=cpu"]
    said = CliRunner().invoke(app, [*words, *sets(settings)])
    assert said.exit_code == 0, said.output
    assert sif.load(out).result["study"]["budget"] == budget
    return lines_of(out / "trials.jsonl"), " ".join(said.output.split())


def trained(lines: list[Any]) -> list[str]:
    return [str([line["choices"], line["settings"], line["fidelity"]]) for line in lines if "trial" in line]


@pytest.mark.parametrize("budget", ["40trials", "1m"])
def test_each_of_two_functions_is_trained_once_on_each_rung(budget: str, tmp_path: Path):
    table, more = write_ratings(tmp_path / "m.csv"), {"study.goal": "rating", "study.without": ["settings", "supernet"]}
    settings = {**TINY, **more, "space.operations": ["max", "min"], "baselines.names": ["biases", "biased-mf"]}
    lines, said = searched(table, "ratings-operations", budget, settings)
    names = [str(line["choices"]) for line in lines if "trial" in line]
    assert len(trained(lines)) == len({*trained(lines)}) == 4, "two functions, on a third of the schedule and in full"
    assert len({*names}) == 2
    assert {line["rival"] for line in lines if "rival" in line} == {"biases", "biased-mf"}
    assert "the space is used up, all 2 configurations were tried" in said


def test_rivals_have_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sif.studies.classics.CLASSICS", ("popularity", "ease", "als", "itemknn"))
    settings = {**SMALL, **ONE}
    lines, said = searched(clicks(tmp_path / "m.csv"), "clicks", "90trials", settings)
    assert "the space is used up, its one configuration was tried" in said
    assert len(trained(lines)) == len({*trained(lines)}) <= 3
    rivals = [line["rival"] for line in lines if "rival" in line]
    assert len(rivals) > 3 * len(trained(lines)), "no share holds them back"
    assert len(lines) < 90, "and then there is nothing left to do"
