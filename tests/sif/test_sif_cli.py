"""The command line as people and machines meet it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sif_samples import HEADER, TINY, lines_of, planted_rows, sets, text_of, write_ratings
from typer.testing import CliRunner

import sif
from sif.cli import app
from sif.recipes import recipe_names, recipe_text
from sif.results import SCHEMA_VERSION

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


@pytest.mark.slow
def test_a_headered_file_works_with_no_flag(ratings: str):
    """String ids, half stars and a timestamp; the run directory is numbered under runs/."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sif", "search", ratings, *sets(TINY)]
    for number in (1, 2):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        assert result.stderr == "note: feedback: ratings (rating: 0.5 to 5); how much each was liked, on a scale\n"
        assert "24 users, 18 items, 300 ratings" in result.stdout
        assert f"run     runs/mine-{number}\n" in result.stdout
        assert f"sif recommend runs/mine-{number} --user ID -k 10" in result.stdout
        assert "\x1b" not in result.stdout
    files = sorted(path.name for path in Path("runs/mine-1").iterdir())
    expected = "genotype.json ids.json model.safetensors recipe.toml report.html result.json seen.npz trace.jsonl"
    assert files == expected.split()


def test_search_prints_one_line_of_json(ratings: str):
    line = done("search", ratings, *sets(TINY), "--out", "run", "--json", "--seed", 3)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    result = json.loads(line)
    assert result.pop("run") == "run"
    assert result == json.loads(Path("run/result.json").read_text())
    assert (result["schema_version"], result["seed"], result["task"]) == (SCHEMA_VERSION, 3, "rating")


def test_every_option_of_search_is_read(ratings: str):
    recipe = Path("own.toml")
    recipe.write_text(recipe_text("ratings").replace("seed = 0", "seed = 7", 1))
    options = ["--strategy", "darts", *sets(TINY), "--device", "cpu", "--out", "a/b", "--json"]
    result = json.loads(done("search", "--recipe", recipe, "--data", ratings, *options))
    assert (result["seed"], result["strategy"]["name"], result["run"]) == (7, "darts", "a/b")
    assert result["hardware"]["device"] == "cpu"


def test_parts_in_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rows = planted_rows()
    for name, part in {"train": rows[:200], "valid": rows[200:250], "test": rows[250:]}.items():
        Path(f"{name}.csv").write_text(text_of(part))
    parts = ["--valid", "valid.csv", "--test", "test.csv"]
    result = json.loads(done("search", "train.csv", *parts, *sets(TINY), "--out", "run", "--json"))
    assert result["split"]["kind"] == "files"
    assert result["split"]["sizes"] == {"train": 200, "valid": 50, "test": 50}
    assert json.loads(done("evaluate", "run", "--json"))["test"] == pytest.approx(result["metrics"]["test"])


def test_a_recipe_of_a_run_makes_the_run_again(ratings: str):
    done("search", ratings, *sets(TINY), "--out", "one", "--seed", 5)
    done("search", "--recipe", "one/recipe.toml", "--out", "two")
    for name in ("trace.jsonl", "genotype.json", "model.safetensors"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    body = [Path(name, "recipe.toml").read_text().partition("\n")[2] for name in ("one", "two")]
    assert body[0] == body[1]


def test_resuming_a_finished_run_shows_it(run_copy: Path):
    before = (run_copy / "result.json").read_bytes()
    (run_copy / "checkpoint").mkdir()
    (run_copy / ".result.json.x1y2z3").write_text("half of it")
    table = done("search", "--resume", run_copy)
    assert "found: " in table
    assert (run_copy / "result.json").read_bytes() == before
    assert not [path.name for path in run_copy.iterdir() if path.name.startswith((".", "checkpoint"))]


@pytest.mark.parametrize(
    "options",
    [f"{name} x".split() for name in ("--strategy", "--out", "--valid", "--test", "--data", "--recipe")]
    + [["--seed", "1"], ["--set", "seed=1"]],
)
def test_resume_ignores_no_option(run_copy: Path, options: list[str]):
    result = run("search", "--resume", run_copy, *options)
    assert result.exit_code == 2
    assert "goes on with that run's own recipe" in result.stderr


def test_recommend_leaves_out_what_the_user_has(finished: sif.Run):
    has = {item for user, item, *_ in planted_rows() if user == "u03"}
    result = json.loads(done("recommend", finished.path, "--user", "u03", "-k", 30, "--json"))
    items = [row["item"] for row in result["items"]]
    assert result["user"] == "u03"
    assert set(items) == {f"m{n:02d}" for n in range(18)} - has
    scores = [row["score"] for row in result["items"]]
    assert scores == sorted(scores, reverse=True)
    assert all(row["title"] is None for row in result["items"])
    table = run("recommend", finished.path, "--user", "u03", "-k", 30)
    assert table.exit_code == 0
    assert all(item in table.stdout for item in items)
    assert f"note: only {len(items)} items are left that user u03 does not have" in table.stderr


def test_recommend_scores_are_predicted_ratings(finished: sif.Run):
    """The score is the network's forward, in stars."""
    import torch

    from sif.checkpoint import load_tree
    from sif.spaces.build import build_network

    tree = load_tree(finished.path / "model.safetensors")
    network = build_network(finished.genotype, None, sizes=tuple(tree["sizes"]))
    network.load_state_dict(tree["weights"])
    best = finished.recommend("u03", 1)[0]
    with torch.no_grad():
        standard = float(network(torch.tensor([[3], [int(best["item"][1:])]])))
    mean, std, *_ = tree["scale"]
    assert best["score"] == pytest.approx(standard * std + mean, abs=1e-5)


def test_recommend_says_so_for_an_unknown_user(finished: sif.Run):
    result = run("recommend", finished.path, "--user", "u3")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith('DataError: user "u3" is unknown\n  Did you mean u')


def test_train_and_evaluate(run_copy: Path):
    result = json.loads((run_copy / "result.json").read_text())
    again = json.loads(done("train", run_copy, "--json"))
    assert again["valid"] == result["metrics"]["valid"]  # the same seed: the same model
    outcome = json.loads(done("evaluate", run_copy, "--json"))
    assert outcome["test"] == result["metrics"]["test"]
    other = json.loads(done("train", run_copy, "--seed", 9, "--epochs", 2, "--json"))
    assert (other["seed"], other["epochs"]) == (9, 2)
    assert other["valid"] != again["valid"]
    assert "rmse_standardised" in done("evaluate", run_copy)
    assert "validation rmse_standardised" in done("train", run_copy)


def test_train_on_all_data(run_copy: Path):
    assert json.loads(done("train", run_copy, "--all-data", "--json"))["valid"] is None
    result = json.loads((run_copy / "result.json").read_text())
    assert result["metrics"] == {"valid": None, "test": None}
    ratings = np.array([row[2] for row in planted_rows()])
    assert (result["scale"]["mean"], result["scale"]["std"]) == pytest.approx((ratings.mean(), ratings.std()))
    outcome = run("evaluate", run_copy)
    assert outcome.exit_code == 2
    assert "was trained on every rating; nothing is left to evaluate it on" in outcome.stderr
    assert "found: " in done("search", "--resume", run_copy)
    assert len(json.loads(done("recommend", run_copy, "--user", "u03", "--json"))["items"]) > 0


def test_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert list(json.loads(done("recipes", "ls", "--json"))) == recipe_names()
    for name in recipe_names():
        assert name in done("recipes", "ls")
        assert done("recipes", "cat", name) == recipe_text(name)
        assert done("recipes", "validate", name) == f"{name}: fits\n"
        done("recipes", "cp", name, f"{name}.toml")
        assert Path(f"{name}.toml").read_text(encoding="utf-8") == recipe_text(name)
    assert done("recipes", "validate", "ptb.toml") == "ptb.toml: fits\n"
    Path("folder").mkdir()
    done("recipes", "cp", "ratings", "folder")
    assert Path("folder/ratings.toml").is_file()


def test_datasets(ratings: str):
    names = json.loads(done("datasets", "ls", "--json"))
    assert "movielens" in names["movielens-100k"]["aliases"]
    assert "movielens-1m" in done("datasets", "ls")
    facts = json.loads(done("datasets", "describe", ratings, "--json"))
    assert (facts["users"], facts["items"], facts["interactions"]) == (24, 18, 300)
    assert facts["fingerprint"] in done("datasets", "describe", ratings)


def test_doctor():
    facts = json.loads(done("doctor", "--json"))
    assert facts["facts"]["torch"]
    assert all(set(entry) == {"for", "fix"} for entry in facts["missing"].values())
    assert "torch" in done("doctor")


def test_help_names_every_command():
    text = done("--help")
    for verb in ("search", "train", "evaluate", "recommend", "recipes", "datasets", "doctor"):
        assert verb in text


def test_the_data_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIF_DATA", str(tmp_path))
    assert json.loads(done("doctor", "--json"))["facts"]["data folder"] == str(tmp_path)


def test_progress_counts_every_step(ratings: str, monkeypatch: pytest.MonkeyPatch):
    """What the terminal draws: stages in order, and as many steps as were announced."""
    from nasp_core.loop import Observer

    class Recorder(Observer):
        stages: list[str]
        total = steps_done = 0

        def __init__(self) -> None:
            self.stages = []

        def stage(self, name: str) -> None:
            self.stages.append(name)

        def started(self, what: str, steps: int, done: int) -> None:
            self.total += steps - done

        def stepped(self) -> None:
            self.steps_done += 1

    from sif.api import execute
    from sif.problems import open_recipe
    from sif.recipes import load_recipe
    from sif.run_directory import RunDirectory

    settings: dict[str, Any] = TINY | {"train.patience": 99, "baselines.names": ["biases"]}
    recipe = load_recipe("ratings-operations", [*sets(settings)[1::2], f'dataset="{ratings}"'])
    recorder = Recorder()
    execute(open_recipe(recipe, device="cpu"), RunDirectory.create(Path("run"), "run"), progress=recorder)
    assert recorder.stages[0] == "search"
    assert [stage.split()[0] for stage in recorder.stages] == ["search", "train", "baseline"]
    assert recorder.steps_done == recorder.total > 0


def test_progress_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch, ratings: str):
    """On stderr, with the time left; stdout holds the result alone."""
    import io

    from rich.console import Console

    from sif.cli import progress

    screen = io.StringIO()
    monkeypatch.setattr(progress, "errors", Console(file=screen, force_terminal=True, width=120))
    line = done("search", ratings, *sets(TINY | {"train.epochs": 60, "train.patience": 60}), "--out", "run", "--json")
    json.loads(line)
    assert "search" in screen.getvalue()
    assert "0:00:0" in screen.getvalue()


def test_the_trace_is_one_record_a_line(finished: sif.Run):
    records = lines_of(finished.path / "trace.jsonl")
    assert [record["phase"] for record in records[:2]] == ["search", "search"]
    assert records[0]["epoch"] == 1
    assert {record["phase"].split()[0] for record in records} == {"search", "finalist", "train"}


def test_the_sample_is_what_the_readme_shows():
    assert HEADER == "user_id,movie_id,rating,timestamp\n"
    assert {row[2] for row in planted_rows()} <= {step / 2 for step in range(1, 11)}


def test_two_searches_never_share_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from sif.run_directory import RunDirectory

    monkeypatch.chdir(tmp_path)
    made = [RunDirectory.create(None, "a/b c").path for _ in range(3)]
    assert made == [Path(f"runs/a-b-c-{number}") for number in (1, 2, 3)]
    write_ratings(tmp_path / "runs" / "a-b-c-4")
    assert RunDirectory.create(None, "a/b c").path.name == "a-b-c-5"


def test_a_file_here_goes_before_a_recipe_of_its_name_and_a_note_says_so(ratings: str):
    Path("movielens").write_text(Path(ratings).read_text())
    result = run("search", "movielens", *sets(TINY), "--out", "run")
    assert result.exit_code == 0
    told = "note: feedback: ratings (rating: 0.5 to 5); how much each was liked, on a scale\n"
    assert result.stderr == (
        "note: movielens is read as the file of that name here; for the recipe: sif search --recipe movielens\n" + told
    )
    assert "24 users" in result.stdout
    fixed = run("search", "--recipe", "movielens", "--data", ratings, *sets(TINY), "--out", "again")
    assert (fixed.exit_code, fixed.stderr) == (0, told)
    assert 'dataset = "' in Path("again/recipe.toml").read_text()
    Path("ml-1m").mkdir()
    result = run("search", "ml-1m")
    assert "note: ml-1m is read as the folder of that name here; for the data set: " in result.stderr
    assert "note: " in run("datasets", "describe", "movielens").stderr


def test_train_takes_settings_of_the_training(run_copy: Path):
    outcome = json.loads(done("train", run_copy, "--set", "train.epochs=2", "--set", "train.batch_size=32", "--json"))
    assert (outcome["epochs"], outcome["settings"]) == (2, {"train.epochs": 2, "train.batch_size": 32})
    result = json.loads((run_copy / "result.json").read_text())
    assert result["retrained"]["settings"] == outcome["settings"]
    assert "train.epochs" not in (run_copy / "recipe.toml").read_text()
    json.loads(done("train", run_copy, "--set", "train={epochs=1}", "--json"))
    whole = json.loads(done("train", run_copy, "--all-data", "--set", "train.epochs=2", "--json"))
    assert (whole["epochs"], whole["valid"]) == (2, None)
    slow = json.loads(done("train", run_copy, "--set", "train.optimiser.learning_rate=1e-6", "--json"))
    fast = json.loads(done("train", run_copy, "--set", "train.optimiser.learning_rate=0.05", "--json"))
    assert slow["valid"] != fast["valid"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "space.l2=1"], "--set space.l2=1  space.l2 does not concern this training; change train.KEY alone"),
        (["--set", "seed=3"], "give --seed 3 instead"),
        (["--set", "train.epoch=3"], "unknown key train.epoch. Did you mean train.epochs?"),
        (["--set", "train.epochs=0"], "train.epochs = 0: input should be greater than or equal to 1"),
        (["--set", "train.epochs=3", "--epochs", "2"], "two numbers of epochs: 2, and train.epochs = 3; give one"),
        (["--set", "train.precision=auto"], "kept in float32"),
        (["--set", "train.patience=3", "--all-data"], "train.patience does not concern this training"),
    ],
)
def test_train_refuses_what_does_not_concern_it(options: list[str], words: str, run_copy: Path):
    before = {path.name: path.read_bytes() for path in run_copy.iterdir()}
    result = run("train", run_copy, *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert {path.name: path.read_bytes() for path in run_copy.iterdir()} == before


def test_two_processes_in_one_run_are_told_of_each_other(run_copy: Path, ratings: str):
    from sif.lock import alone

    with alone(run_copy, "searching"):
        result = run("train", run_copy)
        assert result.exit_code == 2
        assert f"another process (number {os.getpid()}) is at work in {run_copy}, and training now" in result.stderr
    assert not (run_copy / ".lock").exists()
    (run_copy / ".lock").write_text("1")  # of a process that was killed: it holds nobody up
    done("train", run_copy)
    assert not (run_copy / ".lock").exists()


def test_two_searches_into_one_folder_do_not_mix(ratings: str):
    from sif.errors import RunError
    from sif.run_directory import RunDirectory

    first, second = (RunDirectory.create(Path("run"), "run") for _ in range(2))  # both before either has written
    with first.alone("searching"):
        first.write("recipe.toml", "")
        with pytest.raises(RunError, match="another process"), second.alone("searching"):
            pass
    with pytest.raises(RunError, match="another search's by now; give another --out"), second.alone("searching"):
        pass


def test_what_a_search_leaves_that_was_killed_at_once_is_an_empty_folder(tmp_path: Path):
    from sif.run_directory import RunDirectory

    (tmp_path / ".lock").write_text("1")
    assert RunDirectory.create(tmp_path, "run").path == tmp_path


def test_a_lock_ends_with_its_process(tmp_path: Path):
    script = f"import os, pathlib; from sif.lock import alone; a = alone(pathlib.Path({str(tmp_path)!r}), 'x'); "
    script += "a.__enter__(); os._exit(9)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=60).returncode == 9
    assert (tmp_path / ".lock").is_file()
    from sif.lock import alone

    with alone(tmp_path, "x"):
        pass
    assert not (tmp_path / ".lock").exists()
