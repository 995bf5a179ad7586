"""From what the feedback is to the recipe, its refusals with their fixes, and popularity beside every ranking."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from sif_samples import TINY, sets, write_ratings
from typer.testing import CliRunner

import sif
from sif.cli import app
from sif.cli.show import print_result
from sif.errors import DataError, RecipeError
from sif.problems import problem
from sif.problems.recipes import load_rating_recipe
from sif.recipes import changes_of

SMALL = {key: value for key, value in TINY.items() if not key.startswith("tune")}
RATED = load_rating_recipe("ratings", changes_of(TINY))


def values_of(kind: str) -> np.ndarray:
    draw = np.random.default_rng(0)
    return {
        "counts": np.ceil(np.exp(draw.normal(2, 1.5, 300))),
        "impressions": draw.integers(0, 2, 300),
        "signed": draw.choice([-1, 1], 300),
        "clicks": np.ones(300),
        "ratings": draw.integers(1, 6, 300),
    }[kind].astype(float)


def table(kind: str, column: str = "rating") -> pl.DataFrame:
    cells = np.random.default_rng(1).permutation(24 * 30)[:300]
    return pl.DataFrame({"user": cells // 30, "item": cells % 30, column: values_of(kind)})


def matrix(kind: str) -> Any:
    frame = table(kind)
    return sparse.csr_array((frame["rating"].to_numpy(), (frame["user"].to_numpy(), frame["item"].to_numpy())))


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("kind", ["counts", "impressions", "signed", "clicks", "ratings"])
def test_without_a_recipe_the_feedback_decides(kind: str, tmp_path: Path):
    table(kind).write_csv(tmp_path / "mine.csv")
    task = "rating" if kind == "ratings" else "ranking"
    result = command("search", tmp_path / "mine.csv", *sets(SMALL), "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(f"note: feedback: {kind} (rating: ")
    run = sif.load(tmp_path / "run")
    assert (run.result["task"], run.result["dataset"]["feedback"]["kind"]) == (task, kind)
    assert ("popularity" in run.result["rows"]) == (task == "ranking"), "baselines.names is empty"
    assert run.notes[0] in (tmp_path / "run" / "report.html").read_text()
    assert run.notes[0] == result.stderr.splitlines()[0].removeprefix("note: ")


def test_the_library_and_the_recommender_decide_alike():
    run = sif.search(table("counts", "plays"), settings=SMALL, device="cpu")
    assert (run.result["task"], run.notes[0][:24]) == ("ranking", "feedback: counts (plays:")
    model = sif.Recommender(RATED, device="cpu", feedback="ratings").fit(matrix("counts"))
    assert any(note.startswith("feedback: ratings (1 to ") for note in model.notes)
    with pytest.raises(DataError, match=r"user_items has counts \(1 to [\d,]+\), not ratings"):
        sif.Recommender(RATED, device="cpu").fit(matrix("counts"))
    assert sif.Recommender(RATED, device="cpu").fit(matrix("ratings")).recipe.task == "rating"


@pytest.mark.slow
def test_play_counts_are_ranked_by_a_recommender():
    model = sif.Recommender(device="cpu").fit(matrix("counts"))
    assert model.recipe.task == "ranking"
    assert any(note.startswith("feedback: counts (1 to ") for note in model.notes)


def test_counts_are_refused_by_a_recipe_of_ratings_and_the_fixes_work(tmp_path: Path):
    file = tmp_path / "mine.csv"
    for column in ("rating", "plays"):
        table("counts", column).write_csv(file)
        refused = command("search", file, "--recipe", "ratings", *sets(SMALL))
        assert refused.exit_code == 2
        fixes = [shlex.split(found) for found in re.findall(r"--(?:recipe|set) [\w=]+", refused.stderr)]
        assert fixes == [["--recipe", "clicks"], ["--set", "feedback=ratings"]]
        for place, fix in enumerate(fixes):
            recipe = ["--recipe", "ratings"] if "--recipe" not in fix else []
            out = tmp_path / f"{column}-{place}"
            done = command("search", file, *recipe, *fix, *sets(SMALL), "--out", out)
            assert done.exit_code == 0, done.output
            assert sif.load(out).result["task"] == ("ranking", "rating")[place]
    with pytest.raises(DataError, match='feedback="ratings"'):
        sif.search(table("counts"), recipe="ratings", settings=SMALL, device="cpu")
    run = sif.search(table("counts"), recipe="ratings", settings=SMALL, feedback="ratings", device="cpu")
    assert run.result["dataset"]["feedback"]["kind"] == "ratings"


@pytest.mark.parametrize("kind", ["ratings", "impressions"])
def test_a_finished_run_of_ratings_is_opened_as_it_was_made(kind: str, tmp_path: Path):
    table(kind).write_csv(tmp_path / "mine.csv")
    run = tmp_path / "run"
    assert command("search", tmp_path / "mine.csv", "--recipe", "ratings", *sets(SMALL), "--out", run).exit_code == 0
    assert command("evaluate", run).exit_code == 0
    assert command("train", run).exit_code == 0


def test_settings_go_to_the_recipe_that_the_feedback_asks_for(tmp_path: Path):
    file = tmp_path / "mine.csv"
    table("counts", "plays").write_csv(file)
    words = [
        *sets({"strategy.settings.n_supernet_evals": 8, "ranking.weight": "confidence", "columns.weight": "plays"})
    ]
    assert command("search", file, *words, *sets(SMALL), "--out", tmp_path / "a").exit_code == 0
    write_ratings(file)
    for given in (["--feedback", "clicks"], ["--feedback", "counts"]):
        out = tmp_path / given[1]
        done = command("search", file, *given, *sets(SMALL), "--out", out)
        assert done.exit_code == 0, done.output
        assert sif.load(out).result["task"] == "ranking"
    assert "recipe ratings has 1 problem" in command("search", file, "--set", "space.history_powers=0.5").stderr
    bad = command("search", file, "--feedback", "rating")
    assert (bad.exit_code, "feedback = 'rating': input should be 'ratings'" in bad.stderr) == (2, True)


def test_a_setting_of_ratings_alone_says_why_it_has_no_use():
    with pytest.raises(RecipeError, match=r"study.goal(.|\n)*clicks is the recipe because: .*counts"):
        sif.search(table("counts"), settings=SMALL | {"study.goal": "rating"}, device="cpu")


def test_counts_called_ratings_serve_as_confidence():
    settings = SMALL | {"ranking.weight": "confidence"}
    run = sif.search(table("counts"), recipe="clicks", settings=settings, device="cpu")
    assert run.result["dataset"]["weight"]["max"] == values_of("counts").max()
    plain = sif.search(table("counts"), recipe="clicks", settings=SMALL, device="cpu")
    assert any("--set ranking.weight=confidence" in note for note in plain.notes)


def test_datasets_describe_says_what_the_feedback_is(tmp_path: Path):
    table("counts", "plays").write_csv(tmp_path / "mine.csv")
    told = json.loads(command("datasets", "describe", tmp_path / "mine.csv", "--json").stdout)["feedback"]
    assert (told["kind"], told["column"], told["min"], told["sure"]) == ("counts", "plays", 1.0, True)
    shown = command("datasets", "describe", tmp_path / "mine.csv").stdout
    assert told["told"].removeprefix("feedback: ") in shown
    file = tmp_path / "mine.csv"
    said = json.loads(command("datasets", "describe", file, "--set", "feedback=ratings", "--json").stdout)
    assert (said["feedback"]["kind"], said["rating"]["min"]) == ("ratings", 1.0)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    folder = tmp_path_factory.mktemp("ranked")
    table("clicks").write_csv(folder / "mine.csv")
    return sif.search(folder / "mine.csv", settings=SMALL, out=folder / "run", device="cpu")


@pytest.mark.parametrize("rival", ["popularity", "mf"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_the_first_line_says_what_does_better(rival: str, part: str, ranked: sif.Run):
    result = json.loads(json.dumps(ranked.result))
    rows, metric = result["rows"], result["metric"]
    rows |= {rival: json.loads(json.dumps(rows["popularity"]))}
    for name in rows:
        for each in ("valid", "test"):
            rows[name][each][metric] = 0.5 if name == "found" else 0.4
    assert problem("ranking").sheet(result).warning == ""
    rows[rival][part][metric] = 0.75
    where = {"valid": "validation", "test": "test"}[part]
    told = problem("ranking").sheet(result).warning
    chosen = rival == "popularity" or part == "valid"  # a rival is chosen by validation, popularity is always told
    assert told == (f"{rival} does better than what was found, by 0.2500 on {where}" if chosen else "")


def test_every_way_to_show_a_ranking_has_popularity(ranked: sif.Run, capsys: pytest.CaptureFixture[str]):
    path = ranked.path
    result = ranked.result
    for name in ("valid", "test"):
        result["rows"]["popularity"][name][result["metric"]] = 1.0
    (path / "result.json").write_text(json.dumps(result))
    print_result(result, path)
    assert capsys.readouterr().out.startswith("note: popularity does better than what was found, by ")
    assert "popularity" in command("evaluate", path).stdout
    assert "popularity" in command("evaluate", path, "--ranking").stdout
