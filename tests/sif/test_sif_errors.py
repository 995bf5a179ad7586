"""Bad input: one error that names the file, the line and the fix; exit code 2, no traceback, nothing left behind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sif_samples import HEADER, TINY, planted_rows, sets, text_of
from typer.testing import CliRunner

from sif.cli import app

ROWS = planted_rows()
GOOD = text_of(ROWS)


def with_line(number: int, line: str) -> str:
    lines = GOOD.splitlines()
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "bad.csv"),
    "header alone": (HEADER, "bad.csv"),
    "nan": (with_line(7, "u01,m01,nan,978300000"), "line 7"),
    "infinite": (with_line(7, "u01,m01,inf,978300000"), "line 7"),
    "no rating": (with_line(9, "u01,m01,,978300000"), "line 9"),
    "no user": (with_line(9, ",m01,3,978300000"), "line 9"),
    "not a number": (with_line(12, "u01,m01,five,978300000"), "line 12"),
    "too few cells": (with_line(12, "u01,m01"), "line 12"),
    "too many cells": (with_line(12, "u01,m01,3,978300000,9,9"), "line 12"),
    "one user": (text_of([("u00", item, rating, time) for _, item, rating, time in ROWS[:30]]), "one user"),
    "one item": (text_of([(user, "m00", rating, time) for user, _, rating, time in ROWS[:30]]), "one item"),
    "two rows": (text_of(ROWS[:2]), "too few"),
    "binary": (b"\x00\x01\xff\xfe" * 100, "bad.csv"),
    "unknown columns": ("a,b,c\n" + "".join(f"{n},{n % 7},{n % 5}\n" for n in range(30)), "bad.csv"),
}
FINE = {
    "duplicates": GOOD + "u00,m00,5.0,999999999\n" * 3,
    "negative ids": "".join(f"-{user[1:]},-{item[1:]},{rating},{time}\n" for user, item, rating, time in ROWS),
    "huge ids": "".join(f"9{'0' * 30}{u[1:]},{i[1:]}{'0' * 18},{r},{t}\n" for u, i, r, t in ROWS),
    "windows": "\ufeff" + GOOD.replace("\n", "\r\n"),
    "semicolons": GOOD.replace(",", ";"),
    "no header": "".join(f"{u[1:]},{i[1:]},{r},{t}\n" for u, i, r, t in ROWS),
}


OPERATIONS = ["--recipe", "ratings-operations"]


def fails(arguments: list[str]) -> str:
    before = sorted(Path().rglob("*"))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output + repr(result.exception)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert sorted(Path().rglob("*")) == before, "something was left behind"
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert as_json.exit_code == 2
    error = json.loads(as_json.stdout)
    assert result.stderr == f"{error['error']}: {error['message']}\n"
    return result.stderr


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], str]:
    monkeypatch.chdir(tmp_path)

    def _write(content: str | bytes) -> str:
        Path("bad.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        return "bad.csv"

    return _write


@pytest.mark.parametrize("what", FILES)
def test_a_bad_file(what: str, write: Callable[[str | bytes], str]):
    content, words = FILES[what]
    text = fails(["search", write(content), *sets(TINY)])
    assert text.startswith("DataError: bad.csv")
    assert words in text
    assert text.count("\n") >= 2 or ":" in text  # what, and what to do


NO_RATINGS = {
    "equal": (text_of([(user, item, 4.0, time) for user, item, _, time in ROWS]), "all are 4"),
    "none": ("user_id,movie_id\n" + "".join(f"{user},{item}\n" for user, item, *_ in ROWS), "no rating column"),
    "counts": (
        "user_id,movie_id,plays\n" + "".join(f"{user},{item},{time % 97}\n" for user, item, _, time in ROWS),
        "has counts (plays: 0 to 96), and no ratings",
    ),
}


@pytest.mark.parametrize("what", NO_RATINGS)
def test_what_has_no_ratings_is_refused_by_a_recipe_of_ratings(what: str, write: Callable[[str | bytes], str]):
    content, words = NO_RATINGS[what]
    text = fails(["search", write(content), "--recipe", "ratings-operations", *sets(TINY)])
    assert text.startswith("DataError: bad.csv")
    assert words in text
    assert "--recipe clicks" in text


@pytest.mark.parametrize("what", FINE)
def test_an_odd_but_sound_file(what: str, write: Callable[[str | bytes], str]):
    result = CliRunner().invoke(app, ["search", write(FINE[what]), *sets(TINY), "--json", "--out", "run"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["dataset"]["users"] == 24


def problem(place: str, text: str) -> str:
    return f"RecipeError: recipe ratings-operations has 1 problem\n  {place}  {text}\n"


SETTINGS = {
    "search.epochs=0": "input should be greater than or equal to 1",
    "search.epochs=many": "input should be a valid integer, unable to parse string as an integer",
    "train.optimiser.learning_rate=-1": "input should be greater than 0",
    "train.optimiser.learning_rate=nan": "input should be a finite number",
    "train.patience=0": "input should be greater than or equal to 1",
    "space.hidden=-1": "input should be greater than or equal to 0",
    "space.embedding_dim=0": "input should be greater than or equal to 1",
    "space.max_norm=-1.0": "input should be greater than 0",
    "split.kind=rows": "input should be 'random', 'user', 'leave-last-out' or 'temporal'",
    "split.fractions=[0.5, 0.5]": "too few values",
    "task=rankings": "rating, ranking, image, text; one of your own is named package.module:object",
    "search=4": "this is a table, not a value",
    "seed=-1": "input should be greater than or equal to 0",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_bad_value(setting: str, ratings: str):
    key, _, value = setting.partition("=")
    text = fails(["search", ratings, *OPERATIONS, "--set", setting])
    shown = repr(value) if key in ("task", "split.kind") or value == "many" else value
    assert text == problem(f"--set {setting}", f"{key} = {shown}: {SETTINGS[setting]}")


WHOLE = {
    "split.fractions=[0.5, 0.0, 0.5]": "split.fractions = [0.5, 0.0, 0.5]: the validation part chooses the function, "
    "and cannot be empty; give it a share, such as 0.1",
    'baselines.names=["biased_mf"]': "baselines.names = [\"biased_mf\"]: unknown rival 'biased_mf'; did you "
    "mean 'biased-mf'? There are: global-mean, biases, inner-product, mf, biased-mf, plus, max, min, deep-wide, ncf, "
    "outer, conv-ncf; one of your own is named package.module:object",
    "search.keep_best=true": "search.keep_best = true: belongs to the final training; set train.keep_best",
    "strategy.settings.finalists=2.5": "strategy.settings = {finalists = 2.5}: finalists = 2.5: input should be a "
    "valid integer, got a number with a fractional part",
    "seach.epochs=3": "unknown key seach. Did you mean search?",
    "search.epoch=3": "unknown key search.epoch. Did you mean search.epochs?",
    "columns.usr=a": "unknown key columns.usr. There are: user, item, rating, timestamp, context, weight, part or "
    "header",
    "strategy.settings.x={a = 1}": "strategy.settings.x = {'a': 1}: give a number, a text, true or false, or a list of "
    "numbers",
}


@pytest.mark.parametrize("setting", WHOLE)
def test_what_does_not_fit(setting: str, ratings: str):
    assert fails(["search", ratings, *OPERATIONS, "--set", setting]) == problem(f"--set {setting}", WHOLE[setting])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--strategy", "nsap"], "unknown strategy 'nsap'; did you mean 'nasp'?"),
        (["--strategy", 'a"b'], "unknown strategy 'a\"b'"),
        (["--set", "strategy.settings.alpha_lr=fast"], 'alpha_lr = "fast": input should be a valid number'),
        (["--set", "strategy.settings.gradient=1", "--strategy", "random"], "gradient is no setting"),
        (["--set", "strategy.settings.limit=2", "--strategy", "enumerate"], "has more than 2 points"),
        (["--set", "strategy.settings.finalist=2"], "has no setting 'finalist'. Did you mean 'finalists'?"),
        (["--set", 'space.operations=["add"]'], "unknown operation(s) add; there are plus, minus"),
        (["--set", "space.name=tensor-interaction"], 'does not go with context = "none"'),
        (["--set", "context=month"], 'does not go with context = "month"'),
        (["--set", "epochs"], "--set epochs is not key=value"),
        (["--set", "search.epochs.x=1"], "search.epochs"),
        (["--seed", "-4"], "seed = -4"),
        (["--device", "tpu"], "device = tpu is unknown; use auto, cpu or cuda"),
        (["--recipe", "rating"], 'no recipe "rating". Did you mean ratings?'),
        (["--recipe", "own.toml"], "no recipe file own.toml; `sif recipes ls` lists the recipes that ship"),
        (["--recipe", "mine.csv"], "mine.csv is not TOML"),
        (["--data", "mine.csv"], "two sources of data: mine.csv and --data mine.csv; give one"),
        (["--valid", "gone.csv"], "gone.csv cannot be read"),
        (["--out", "mine.csv"], "mine.csv exists and is not empty"),
        (["--out", "mine.csv/run"], "cannot make the run directory mine.csv/run: Not a directory; give another --out"),
        (["--set", "columns.user=person"], "person"),
    ],
)
def test_a_bad_option(options: list[str], words: str, ratings: str):
    assert words in fails(["search", ratings, *OPERATIONS, *sets(TINY), *options])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "gone.csv"], "no file, recipe or data set 'gone.csv'"),
        (["search", "movielns"], "Did you mean movielens?"),
        (
            ["search", "ratings"],
            "recipe ratings names no data; give a file of ratings: sif search FILE, or --data FILE",
        ),
        (["search"], "nothing to search: give a recipe"),
        (["search", "--valid", "x.csv"], "nothing to search"),
        (["search", "--resume", "gone"], "no run directory gone"),
        (["search", "--resume", "."], ". is not a run directory: it has no recipe.toml"),
        (["evaluate", "gone"], "no run directory gone; `sif search` makes one and prints its path"),
        (["train", "."], ". is not a run directory: it has no result.json"),
        (["recommend", ".", "--user", "a"], ". is not a run directory: it has no result.json"),
        (["datasets", "describe", "moveilens"], "Did you mean movielens?"),
    ],
)
def test_what_is_not_there(arguments: list[str], words: str, ratings: str):
    assert words in fails(arguments)


def test_recipe_verbs(ratings: str):
    for arguments, words in {
        ("recipes", "cat", "movielen"): "Did you mean movielens?",
        ("recipes", "cp", "ratings", "mine.csv"): "mine.csv exists; give another name, or remove it",
        ("recipes", "cp", "ratings", "no/where.toml"): "no folder no; make it first",
        ("recipes", "validate", "mine.csv"): "mine.csv is not TOML",
        ("datasets", "fetch", "movielens-2m"): 'no data set is called "movielens-2m"',
    }.items():
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 2
        assert words in result.stderr


def test_cuda_without_cuda(ratings: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "torch sees no CUDA device; use --device cpu" in fails(["search", ratings, "--device", "cuda"])


def test_a_diverging_training_says_what_to_do(ratings: str):
    settings = TINY | {"train.optimiser.learning_rate": 1e30}
    result = CliRunner().invoke(app, ["search", ratings, *sets(settings), "--out", "run"])
    assert result.exit_code == 2
    assert "stopped being finite" in result.stderr
    assert "lower the learning rate" in result.stderr


def test_an_interrupt_has_its_own_exit_code(ratings: str, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sif.cli.search.conduct", interrupt)
    result = CliRunner().invoke(app, ["search", ratings, "--out", "run"])
    assert result.exit_code == 130
    assert result.stderr.splitlines()[0].startswith("note: feedback: ratings (rating: 0.5 to 5)")
    assert result.stderr.endswith("\ngo on with: sif search --resume run\nstopped\n")
    assert "Traceback" not in result.output
