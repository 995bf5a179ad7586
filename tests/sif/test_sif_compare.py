"""A comparison from a run to its table: fair, resumable, and honest about what did not run."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sif_cell_samples import CONV, write_pictures
from sif_samples import TINY
from test_sif_compare_methods import dense, groups
from test_sif_ranking_run import SMALL, clicks
from typer.testing import CliRunner

import sif
from nasp_core.loop import Observer
from sif.api import rank_run, retrain
from sif.cli import app
from sif.compare import METHODS, ComparisonConfig, Fitted, Method, PairTable, compare_run, paired, run_method
from sif.compare import run as running
from sif.compare.isolate import NotRun, isolated
from sif.compare.results import Comparison
from sif.compare.source import best_of, open_run
from sif.compare.tuning import Judge
from sif.errors import DataError, RunError
from sif.lock import alone
from sif.metrics import rank_metrics

QUICK = ["popularity", "ease"]
KNOWN = f"{', '.join(METHODS)}; one of your own is named package.module:object"


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    """A ranking run. Not to be changed."""
    folder = tmp_path_factory.mktemp("ranking")
    return sif.search(clicks(folder / "clicks.csv"), recipe="clicks", settings=SMALL, out=folder / "run", device="cpu")


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


class Heard(Observer):
    """How many trainings were announced and shown."""

    steps = done = 0

    def started(self, what: str, steps: int, done: int) -> None:
        self.steps = steps

    def stepped(self) -> None:
        self.done += 1


def planned(values: dict[int, float], clock: list[float] | None = None, **changes: Any) -> Method:
    """A method whose points rank well with a chance, and whose trainings take a second each."""

    def fit(table: PairTable, settings: Any, seed: int) -> Fitted:
        assert table.test.nnz == 0
        if clock is not None:
            clock[0] += settings.get("seconds", 1.0)
        generator = torch.Generator().manual_seed(seed)
        wanted = torch.from_numpy(dense(table.valid)).float()
        noise = torch.rand(wanted.shape, generator=generator)
        scores = torch.where(torch.rand(wanted.shape, generator=generator) < values[settings["point"]], wanted, noise)
        return Fitted(lambda users: scores[users], 7)

    grid = changes.pop("grid", tuple({"point": point} for point in values))
    return Method(fit, grid, **changes)


def test_the_best_point_on_validation_is_trained_with_every_seed_and_judged_once():
    table, config = groups(), ComparisonConfig(k=5, seeds=(3, 4, 5))
    heard = Heard()
    state = run_method(planned({0: 0.1, 1: 0.9, 2: 0.4}), table, config, heard)
    assert state["settings"] == {"point": 1}
    assert [trial["settings"]["point"] for trial in state["trials"]] == [0, 1, 2]
    assert state["valid"]["ndcg@5"] == max(trial["metric"] for trial in state["trials"])
    assert (state["seeds"], state["test_reads"], state["values"].shape[0], state["parameters"]) == ([3, 4, 5], 3, 3, 7)
    for test, values in zip(state["test"], state["values"], strict=True):
        assert test["ndcg@5"] == pytest.approx(float(values.mean()))
        assert set(test) == {
            f"{name}@5" for name in ("ndcg", "recall", "precision", "hit_rate", "map", "mrr", "coverage")
        }
    assert len({test["ndcg@5"] for test in state["test"]}) == 3
    assert (heard.steps, heard.done) == (5, 5)
    assert np.array_equal(state["users"], np.flatnonzero(dense(table.test).any(1)))


def test_a_deterministic_method_is_trained_once():
    state = run_method(METHODS["popularity"], groups(), ComparisonConfig(seeds=(0, 1, 2)))
    assert (state["seeds"], state["test_reads"], len(state["fit_seconds"])) == ([0], 1, 1)


def test_the_test_part_is_read_after_the_choice_and_once_a_final_model(monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []
    for part in ("valid", "test"):
        judged = getattr(Judge, part)

        def spy(self: Judge, scores_of: Any, judged: Any = judged, part: str = part) -> Any:
            order.append(part)
            return judged(self, scores_of)

        monkeypatch.setattr(Judge, part, spy)
    run_method(planned({0: 0.5, 1: 0.6}), groups(), ComparisonConfig(seeds=(0, 1)))
    assert order == ["valid", "valid", "test", "test"]


@pytest.mark.parametrize(("budget", "tried"), [(0.0, 1), (1.9, 1), (2.0, 2), (3.5, 3), (100.0, 5)])
def test_a_point_is_begun_only_when_it_fits_the_budget(budget: float, tried: int, monkeypatch: pytest.MonkeyPatch):
    """Trainings of a second each on a clock of their own."""
    clock = [0.0]
    monkeypatch.setattr("sif.compare.tuning.time.perf_counter", lambda: clock[0])
    method = planned(dict.fromkeys(range(5), 0.5), clock)
    state = run_method(method, groups(), ComparisonConfig(budget=budget, seeds=(0,)))
    assert (len(state["trials"]), state["tuning_seconds"]) == (tried, tried)


def test_the_longest_point_so_far_is_what_must_fit(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr("sif.compare.tuning.time.perf_counter", lambda: clock[0])
    grid = tuple({"point": point, "seconds": seconds} for point, seconds in enumerate((1.0, 4.0, 1.0, 1.0)))
    method = planned(dict.fromkeys(range(4), 0.5), clock, grid=grid)
    assert len(run_method(method, groups(), ComparisonConfig(budget=8.9, seeds=(0,)))["trials"]) == 2
    clock[0] = 0.0
    assert len(run_method(method, groups(), ComparisonConfig(budget=9.0, seeds=(0,)))["trials"]) == 3


def test_terms_say_all_that_is_wrong():
    problems = ComparisonConfig("coverage", 0, float("nan"), ()).problems()
    assert len(problems) == 4
    assert "metric = 'coverage'" in problems[0]
    assert ComparisonConfig(seeds=(-1,)).problems() == ["seed = -1; give 0 or a positive whole number"]


def test_a_table_comes_back_from_its_file_and_its_fingerprint_sees_a_pair(tmp_path: Path):
    table = groups()
    table.save(tmp_path / "table.npz")
    back = PairTable.load(tmp_path / "table.npz")
    for name in ("train", "valid", "test", "seen_valid", "seen_test"):
        assert np.array_equal(dense(getattr(back, name)), dense(getattr(table, name)))
        assert getattr(back, name).dtype == bool
    assert back.fingerprint() == table.fingerprint()
    assert len({groups(seed=seed).fingerprint() for seed in range(3)} | {table.without_test().fingerprint()}) == 4


@pytest.mark.parametrize("threshold", [None, 3.5])
def test_a_run_of_ratings_is_compared_as_it_is_ranked(run_copy: Path, in_process: list[str], threshold: float | None):
    """The rows are those of `rank_run`; without a threshold also that of popularity, which else counts likes."""
    outcome = compare_run(run_copy, QUICK, k=5, threshold=threshold, budget=1.0, seeds=2)
    alone = rank_run(run_copy, k=(5,), threshold=threshold, device="cpu")["parts"]
    rows = {row["name"]: row for row in outcome["rows"]}
    for name, its in (("found", "model"), ("popularity", "popularity"))[: 1 if threshold else 2]:
        assert rows[name]["valid"] == pytest.approx(alone["valid"][its])
        assert {key: one["mean"] for key, one in rows[name]["test"].items()} == pytest.approx(alone["test"][its])
    result = json.loads((run_copy / "result.json").read_text())
    assert rows["found"]["seconds"] == {
        key: result["seconds"][its] for key, its in (("search", "search"), ("fit", "train"))
    } | {"tuning": 0.0}
    assert (rows["found"]["peak_memory_mb"], rows["found"]["seeds"]) == (None, [0])
    assert rows["found"]["note"].startswith("the model of the run as it stands, of one seed")
    assert (outcome["metric"], outcome["threshold"], outcome["items"], outcome["seeds"]) == (
        "ndcg@5",
        threshold,
        18,
        [0, 1],
    )
    assert outcome["users"]["test"] == alone["test"]["users"]


def test_a_ranking_run_is_trained_with_each_seed_and_the_first_is_its_own(
    ranked: sif.Run, in_process: list[str], tmp_path: Path
):
    run = ranked.save(tmp_path / "run")
    result = compare_run(run, QUICK, budget=1.0, seeds=3)
    found = result["rows"][0]
    assert found["test_by_seed"][0] == pytest.approx(ranked.result["metrics"]["test"], abs=1e-6)
    assert found["valid"] == pytest.approx(ranked.result["metrics"]["valid"], abs=1e-6)
    assert (found["seeds"], found["test_reads"]) == ([0, 1, 2], 3)
    ndcg = [test["ndcg@10"] for test in found["test_by_seed"]]
    assert found["test"]["ndcg@10"] == pytest.approx({"mean": np.mean(ndcg), "std": np.std(ndcg, ddof=1)})
    spent = ranked.result["seconds"]
    assert found["seconds"]["search"] == pytest.approx(spent["search"] + spent["train"])
    baseline = ranked.result["rows"]["popularity"]["test"]
    assert result["rows"][1]["test_by_seed"][0] == pytest.approx(baseline)


def test_the_tests_are_of_users_means_over_seeds(ranked: sif.Run, in_process: list[str], tmp_path: Path):
    run = ranked.save(tmp_path / "run")
    result = compare_run(run, QUICK, budget=1.0, seeds=2)
    table, config = open_run(run).table, ComparisonConfig(budget=1.0, seeds=(0, 1))
    values = [
        run_method(method, table, config)["values"].mean(0).numpy()
        for method in (best_of(run), *map(METHODS.get, QUICK))
    ]
    wanted = paired(values[0], np.stack(values[1:]))
    for row, one in zip(result["rows"][1:], wanted, strict=True):
        assert (row["versus"]["difference"], row["versus"]["p"]) == pytest.approx((one.difference, one.p))
        difference = result["rows"][0]["test"]["ndcg@10"]["mean"] - row["test"]["ndcg@10"]["mean"]
        assert row["versus"]["difference"] == pytest.approx(difference)
        assert row["versus"]["p"] <= row["versus"]["p_holm"] <= 2 * row["versus"]["p"] + 1e-12
    assert result["rows"][0]["versus"] is None


def test_the_result_is_a_closed_model_on_disk(run_copy: Path, in_process: list[str]):
    result = compare_run(run_copy, QUICK, budget=1.0, seeds=1)
    assert json.loads((run_copy / "compare.json").read_text()) == result
    assert Comparison(**result).model_dump() == result
    with pytest.raises(ValueError, match="extra"):
        Comparison(**result, extra=1)


def test_finished_methods_are_read_back_and_other_terms_are_not(run_copy: Path, in_process: list[str]):
    first = compare_run(run_copy, QUICK, budget=1.0, seeds=2)
    assert in_process == ["found", *QUICK]
    again = compare_run(run_copy, QUICK, budget=1.0, seeds=2)
    assert in_process == ["found", *QUICK]
    assert again == first
    compare_run(run_copy, [*QUICK, "slim"], budget=1.0, seeds=2)
    assert in_process == ["found", *QUICK, "slim"]
    for config in (
        {"budget": 2.0, "seeds": 2},
        {"budget": 1.0, "seeds": 3},
        {"budget": 1.0, "seeds": 2, "k": 5},
        {"budget": 1.0, "seeds": 2, "threshold": 3.0},
    ):
        before = len(in_process)
        compare_run(run_copy, ["popularity"], **config)
        assert len(in_process) == before + 2, config
    retrain(run_copy, seed=9, epochs=2, device="cpu")
    compare_run(run_copy, QUICK, budget=1.0, seeds=2)
    assert in_process[-1:] == ["found"]  # another model; the methods are as they were


def test_a_stop_between_methods_loses_nothing_finished(
    run_copy: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
):
    whole = running.isolated

    def stop(job: dict[str, Any], *rest: Any) -> Any:
        if job.get("rival") == "ease":
            raise KeyboardInterrupt
        return whole(job, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(running, "isolated", stop)
        result = command("compare", run_copy, "--with", "popularity,ease", "--budget", 1)
    assert (result.exit_code, result.stderr) == (130, "the same command goes on where this stopped\nstopped\n")
    assert not (run_copy / "compare.json").exists()
    assert command("compare", run_copy, "--with", "popularity,ease", "--budget", 1).exit_code == 0
    assert in_process == ["found", "popularity", "ease"]


def test_a_comparison_has_its_run_alone(run_copy: Path, in_process: list[str]):
    with alone(run_copy, "training"), pytest.raises(RunError, match=r"another process .* comparing now would mix"):
        compare_run(run_copy, QUICK, budget=0.0, seeds=1)
    (run_copy / ".compare.json.x1y2").write_text("half of it")
    compare_run(run_copy, ["popularity"], budget=0.0, seeds=1)
    assert not [path.name for path in run_copy.iterdir() if path.name.startswith(".")]


def test_a_method_without_its_package_has_a_row_that_says_so(
    run_copy: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "implicit" else find_spec(name, *rest)
    )
    result = command("compare", run_copy, "--with", "als,popularity", "--budget", 1)
    assert result.exit_code == 0, result.output
    row = json.loads((run_copy / "compare.json").read_text())["rows"][1]
    assert (row["name"], row["status"]) == ("als", "not run")
    assert row["reason"] == "implicit is not installed: pip install 'sif-nas[implicit]'"
    assert (row["trials"], row["test"], row["versus"], row["peak_memory_mb"]) == ([], {}, None, None)
    assert "als did not run: implicit is not installed: pip install 'sif-nas[implicit]'" in result.stdout
    assert in_process == ["found", "popularity"]
    monkeypatch.undo()  # installed now: its row is made


def test_a_method_that_refuses_or_fails_has_a_row_that_says_why(
    run_copy: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
):
    whole = running.isolated

    def fail(job: dict[str, Any], *rest: Any) -> Any:
        if job.get("rival") == "slim":
            raise NotRun("its process was killed by SIGKILL: out of memory, most likely")
        return whole(job, *rest)

    monkeypatch.setattr(running, "isolated", fail)
    monkeypatch.setattr("sif.rivals.sparse_items.available", lambda device: 1)
    result = compare_run(run_copy, ["ease", "popularity"], budget=1.0, seeds=1)
    assert result["rows"][1]["reason"].startswith("it needs about 0 GiB for matrices of items x items")
    monkeypatch.setattr("sif.rivals.sparse_items.available", lambda device: None)
    result = compare_run(run_copy, ["slim", "popularity"], budget=1.0, seeds=1)
    assert result["rows"][1]["reason"] == "its process was killed by SIGKILL: out of memory, most likely"
    assert result["rows"][2]["status"] == "done"


def test_the_command_line_prints_a_table_or_json(run_copy: Path, in_process: list[str]):
    line = command(
        "compare",
        run_copy,
        "--with",
        "popularity, slim",
        "--budget",
        0,
        "--seeds",
        2,
        "-k",
        5,
        "--threshold",
        3.5,
        "--json",
    )
    assert line.exit_code == 0, line.output
    assert line.stdout.count("\n") == 1
    result = json.loads(line.stdout)
    assert result == json.loads((run_copy / "compare.json").read_text())
    table = command(
        "compare", run_copy, "--with", "popularity,slim", "--budget", 0, "--seeds", 2, "-k", 5, "--threshold", 3.5
    )
    assert table.exit_code == 0, table.output
    for row in result["rows"]:
        (shown,) = [text for text in table.stdout.splitlines() if text.startswith(f"│ {row['name']} ")]
        assert f"{row['valid']['ndcg@5']:.4f}" in shown
        assert f"{row['test']['ndcg@5']['mean']:.4f}" in shown
        assert f"{len(row['trials'])}/{row['points']}" in shown
        if row["versus"] is not None:
            assert f"{row['versus']['difference']:+.4f}" in shown
            assert f"{row['versus']['p_holm']:.4f}" in shown
    assert "24 users" in table.stdout
    assert "18 items, all ranked" in table.stdout
    assert "note: 0 s did not reach the whole grid of slim; --budget sets more seconds" in table.stdout
    assert "note: found: the model of the run as it stands, of one seed, trained to predict ratings" in table.stdout
    assert "note: the seed changes nothing for found, popularity, slim: trained once" in table.stdout
    assert f"written {run_copy}/compare.json" in table.stdout


def test_the_best_method_is_named_where_it_beats_the_architecture(
    capsys: pytest.CaptureFixture[str], run_copy: Path, in_process: list[str]
):
    from sif.cli.compare import print_comparison

    result = compare_run(run_copy, QUICK, budget=1.0, seeds=1)
    for row, mean, p in zip(result["rows"], (0.3, 0.2, 0.4), (None, 0.01, 0.01), strict=True):
        row["test"]["ndcg@10"]["mean"] = mean
        if p is not None:
            row["versus"] |= {"difference": 0.3 - mean, "p_holm": p}
    print_comparison(result, run_copy)
    assert "note: ease does better than what was found, by 0.1000 on test\n" in capsys.readouterr().out
    result["rows"][2]["versus"]["p_holm"] = 0.31
    print_comparison(result, run_copy)
    assert "by 0.1000 on test, which may be chance (p = 0.31)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--with", "easse,poplarity,plus,ease,ease", "--budget", -1, "--seeds", 0, "-k", 0],
            "RunError: the comparison has 7 problem(s)\n"
            f"  unknown rival 'easse'; did you mean 'ease'? There are: {KNOWN}\n"
            f"  unknown rival 'poplarity'; did you mean 'popularity'? There are: {KNOWN}\n"
            '  rival plus has no method, and stands in runs alone: search with baselines.names = ["plus"]; '
            f"a comparison has {', '.join(METHODS)}\n"
            "  rival ease is given 2 times; name it once\n"
            "  seeds = 0; train each method once or more\n"
            "  k = 0; judge 1 place or more\n"
            "  budget = -1; give seconds: 0 (one point for each method) or more\n",
        ),
        (
            ["--with", " , "],
            f"RunError: the comparison has 1 problem(s)\n  no rival to compare with; there are {', '.join(METHODS)}\n",
        ),
        (["--threshold", 9], "DataError: planted: no rating of the train part is 9 or more"),
    ],
)
def test_all_problems_are_told_before_anything_runs(
    run_copy: Path, words: list[object], message: str, in_process: list[str]
):
    before = sorted(run_copy.rglob("*"))
    result = command("compare", run_copy, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message.replace("planted: ", "mine: "))
    assert in_process == []
    assert sorted(run_copy.rglob("*")) == before


def test_runs_that_cannot_be_compared_say_why(ratings: str, tmp_path: Path, run_copy: Path, ranked: sif.Run):
    write_pictures(tmp_path / "pictures")
    sif.search_cells("cifar10", data="pictures", budget="full", settings=CONV, out="cells", device="cpu")
    months = {"context": "month", "space.name": "tensor-interaction", "space.operations": ["plus_plus", "max_max"]}
    sif.search(ratings, recipe="ratings-operations", settings=TINY | months, out="months", device="cpu")
    sif.search(ratings, settings=TINY | {"split.fractions": [0.8, 0.2, 0.0]}, out="two", device="cpu")
    retrain(run_copy, all_data=True, epochs=1, device="cpu")
    for run, words in {
        "cells": "run cells is of cells, and comparisons are of recommenders",
        "months": "run months has a context mode, and comparisons are of two",
        "two": "the test part has no pairs",
        "gone": "no run directory gone",
        run_copy: "was trained on every rating; nothing is left to evaluate it on",
    }.items():
        result = command("compare", run)
        assert result.exit_code == 2
        assert words in result.stderr
    result = command("compare", ranked.path, "-k", 5, "--threshold", 3)
    assert result.exit_code == 2
    assert "is compared on its own ndcg@10 and threshold; leave out k, threshold" in result.stderr


def test_a_find_without_an_outcome_is_an_error(run_copy: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: Any) -> Any:
        raise NotRun("it failed: ValueError: no")

    monkeypatch.setattr(running, "isolated", fail)
    with pytest.raises(
        RunError, match=r"the best architecture of run .* could not be compared: it failed: ValueError: no"
    ):
        compare_run(run_copy, QUICK)


def test_a_process_of_its_own_gives_the_same_outcome_with_its_memory(tmp_path: Path):
    """Same figures as here, to the last bit; the memory is that of three matrices of items x items and some."""
    table, config = groups(items=1200), ComparisonConfig(budget=0.0, seeds=(0,))
    table.save(tmp_path / "table.npz")
    heard = Heard()
    state = isolated({"rival": "ease"}, config, tmp_path / "table.npz", heard)
    here = run_method(METHODS["ease"], table, config)
    assert torch.equal(state["values"], here["values"])
    assert state["valid"] == here["valid"]
    points = len(METHODS["ease"].grid)
    assert (heard.steps, heard.done) == (points, points)
    matrix = 1200**2 * 8 / 2**20
    assert 2 * matrix < state["peak_memory_mb"] < 6 * matrix + 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.npz"]


@pytest.mark.slow
def test_what_stops_a_process_is_its_reason(tmp_path: Path):
    groups().save(tmp_path / "table.npz")
    for job, reason in (
        ({"run": "gone", "root": ""}, "RunError: no run directory gone"),
        ({"rival": "unheard-of"}, "SifError: unknown rival 'unheard-of'"),
    ):
        with pytest.raises(NotRun, match=reason):
            isolated(job, ComparisonConfig(), tmp_path / "table.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.npz"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux tells of each process")
def test_a_process_does_not_count_the_memory_of_its_parent():
    """getrusage does: what it gives a new process begins with the memory of the one that started it."""
    script = (
        "import subprocess, sys\n"
        "held = bytearray(b'x') * (400 << 20)\n"
        "code = 'import sys; sys.path.append(sys.argv[1]); from sif.compare.worker import peak_mb; print(peak_mb())'\n"
        "print(subprocess.run([sys.executable, '-c', code, sys.argv[1]], capture_output=True, text=True).stdout)"
    )
    root = str(Path(__file__).parents[2])
    alone = "import sys; sys.path.append(sys.argv[1]); from sif.compare.worker import peak_mb; print(peak_mb())"
    child, own = (
        float(subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True).stdout)
        for code in (script, alone)
    )
    assert child == pytest.approx(own, rel=0.2)


def test_seconds_and_memory_of_an_allocation_are_seen():
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from sif.compare.worker import peak_mb, resident_mb\n"
        "before = resident_mb(); held = bytearray(b'x') * (200 << 20); del held; print(peak_mb() - before)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parents[2])], capture_output=True, text=True
    )
    assert 195 < float(result.stdout) < 260


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("implicit") is None, reason="implicit is not installed")
def test_methods_reach_their_figures_on_movielens(movielens: str):
    """Random 80/10/10, seed 0, the centre of each grid: validation bands around what was measured."""
    from sif.problems.data import prepare
    from sif.problems.recipes import load_rating_recipe
    from sif.tasks import RankingTask

    recipe = load_rating_recipe("movielens-ranking", [])
    task = prepare(recipe, device="cpu").task
    assert isinstance(task, RankingTask)
    table = PairTable.of(task)
    bands = {
        "popularity": (0.10, 0.15),
        "itemknn": (0.20, 0.27),
        "als": (0.23, 0.29),
        "ease": (0.23, 0.29),
        "slim": (0.23, 0.29),
    }
    for name, (low, high) in bands.items():
        fitted = METHODS[name].fit(table, METHODS[name].grid[0], 0)
        assert low < rank_metrics(fitted.scores_of, table.seen_valid, table.valid)["ndcg@10"] < high, name


def test_an_empty_grid_is_refused():
    with pytest.raises(DataError, match="a method has an empty grid"):
        run_method(planned({}), groups(), ComparisonConfig())
