"""Published protocols by name: the files they take, what is cut, masked and judged, and the published figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sif_samples import planted_rows
from typer.testing import CliRunner

import sif
from sif.api import judge_run
from sif.cli import app
from sif.errors import DataError, RecipeError, RunError
from sif.problems import check_recipe, open_recipe
from sif.protocols import PROTOCOLS, PublishedFigure, PublishedTable, ask, protocol
from sif.recipes import load_recipe

USERS, ITEMS = 12, 40
NAMES = {user: f"{user}" for user in range(USERS)}


def pairs(seed: int = 0) -> list[tuple[int, int]]:
    """Half of all pairs, users and items as numbers."""
    drawn = np.random.default_rng(seed).permutation(USERS * ITEMS)[: USERS * ITEMS // 2]
    return sorted((int(cell) // ITEMS, int(cell) % ITEMS) for cell in drawn)


def cut(test: int = 5) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The pairs as training and test part."""
    every = pairs()
    return [p for n, p in enumerate(every) if n % test], [p for n, p in enumerate(every) if n % test == 0]


def lines(rows: list[tuple[int, int]]) -> str:
    """One line a user: the user and its items, as LightGCN's files."""
    users = sorted({user for user, _ in rows})
    return "".join(" ".join(map(str, [user, *(i for u, i in rows if u == user)])) + "\n" for user in users)


def opened(name: str, source: Path, **changes: Any) -> Any:
    """The recipe of a protocol on its files."""
    asked = ask(name, source)
    texts = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    recipe = load_recipe(asked.protocol.recipe, [*asked.changes("the protocol"), *texts])
    return open_recipe(recipe.model_copy(update={"dataset": asked.dataset}), device="cpu")


def part(instance: Any, name: str) -> set[tuple[str, str]]:
    """The raw pairs of a part."""
    data, rows = instance.data.interactions, getattr(instance.data.split, name)
    users, items = data.users.decode(data.user[rows]), data.items.decode(data.item[rows])
    return {(str(user), str(item)) for user, item in zip(users, items, strict=True)}


def raw(rows: list[tuple[int, int]]) -> set[tuple[str, str]]:
    return {(str(user), str(item)) for user, item in rows}


def textbook(
    scores: dict[tuple[str, str], float], seen: set[Any], relevant: set[Any], items: list[str], k: int
) -> tuple[float, float]:
    """Recall@k and NDCG@k: the whole catalogue ranked but for what was seen, means over users with a test pair."""
    recalls, gains = [], []
    for user in sorted({user for user, _ in relevant}):
        ranked = sorted((i for i in items if (user, i) not in seen), key=lambda i: -scores[user, i])[:k]
        wanted = {item for who, item in relevant if who == user}
        hits = [item in wanted for item in ranked]
        best = sum(1 / np.log2(p + 2) for p in range(min(k, len(wanted))))
        recalls.append(sum(hits) / len(wanted))
        gains.append(sum(hit / np.log2(p + 2) for p, hit in enumerate(hits)) / best)
    return float(np.mean(recalls)), float(np.mean(gains))


def judged_at_random(instance: Any, seen: set[Any], k: int) -> None:
    """The evaluator of an opened protocol gives the textbook's figures of drawn scores."""
    data = instance.data.interactions
    users, items = [str(u) for u in data.users.to_list()], [str(i) for i in data.items.to_list()]
    table = torch.rand(len(users), len(items), generator=torch.Generator().manual_seed(3))
    found = instance.data.task.evaluate(lambda query: table[query.users], "test")
    scores = {(u, i): float(table[a, b]) for a, u in enumerate(users) for b, i in enumerate(items)}
    recall, ndcg = textbook(scores, seen, part(instance, "test"), items, k)
    assert found[f"recall@{k}"] == pytest.approx(recall)
    assert found[f"ndcg@{k}"] == pytest.approx(ndcg)


@pytest.fixture
def gowalla(tmp_path: Path) -> Path:
    """A folder as LightGCN's."""
    train, test = cut()
    (tmp_path / "train.txt").write_text(lines(train))
    (tmp_path / "test.txt").write_text(lines(test))
    return tmp_path


def test_lightgcn_files_are_lines_of_users(gowalla: Path) -> None:
    train, test = cut()
    instance = opened("lightgcn", gowalla)
    assert part(instance, "test") == raw(test)
    assert part(instance, "train") | part(instance, "valid") == raw(train)
    assert len(part(instance, "valid")) == round(len(train) / 5)
    assert instance.data.split.drawn == ("valid",)
    assert instance.data.task.metric == "recall@20"
    judged_at_random(instance, raw(train), 20)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("source", ["", "amazon-cds", "amazon-cds-train.{ending}"])
def test_ultragcn_takes_a_pair_of_tables_by_folder_name_and_file(tmp_path: Path, ending: str, source: str) -> None:
    for name, rows in zip(("train", "test"), cut(), strict=True):
        frame = pl.DataFrame({"user": [u for u, _ in rows], "item": [i for _, i in rows]})
        path = tmp_path / f"amazon-cds-{name}.{ending}"
        frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
    instance = opened("ultragcn", tmp_path / source.format(ending=ending))
    assert part(instance, "test") == raw(cut()[1])
    assert instance.data.split.drawn == ("valid",)


def test_of_several_pairs_one_is_named(tmp_path: Path) -> None:
    for table in ("a", "b"):
        for name, rows in zip(("train", "test"), cut(), strict=True):
            (tmp_path / f"{table}-{name}.txt").write_text(lines(rows))
    with pytest.raises(DataError, match=r"several pairs of files: b-train, a-train\n  Name one: --data .*/b"):
        ask("lightgcn", tmp_path)
    assert ask("lightgcn", tmp_path / "a").values["test"] == str(tmp_path / "a-test.txt")
    for name, rows in zip(("train", "test"), cut(), strict=True):
        (tmp_path / f"yelp2018-{name}.txt").write_text(lines(rows))
    assert ask("lightgcn", tmp_path).dataset == str(tmp_path / "yelp2018-train.txt")  # it has published figures


def stars() -> pl.DataFrame:
    """Ratings, with the part of each row, and -1 for a row that is left out."""
    every = pairs()
    parts = np.random.default_rng(1).choice([0, 1, 2], len(every), p=[0.6, 0.2, 0.2])
    users, items = [user for user, _ in every], [item for _, item in every]
    return pl.DataFrame({"user": users, "item": items, "rating": [1 + (u + i) % 5 for u, i in every], "split": parts})


def test_infinite_ae_masks_both_parts_and_takes_all_ratings(tmp_path: Path) -> None:
    frame = stars()
    frame.with_columns(timestamp=pl.lit(None, pl.Int64)).write_parquet(tmp_path / "ml-1m.parquet")
    instance = opened("infinite-ae", tmp_path)
    by_part = [frame.filter(pl.col("split") == each).select("user", "item").rows() for each in (0, 1, 2)]
    assert [part(instance, name) for name in ("train", "valid", "test")] == [raw(rows) for rows in by_part]
    assert instance.data.task.metric == "ndcg@10"
    judged_at_random(instance, raw(by_part[0]) | raw(by_part[1]), 10)
    assert instance.data.interactions.rating is None  # low stars are positives as well


def test_infinite_ae_reads_the_published_split_beside_the_ratings(tmp_path: Path) -> None:
    frame = stars()
    rows = frame.rows()
    (tmp_path / "ratings.dat").write_text(
        "".join(f"{u}::{i}::{r}::97830{n:04d}\n" for n, (u, i, r, _) in enumerate(rows))
    )
    np.savez(tmp_path / "index.npz", data=frame["split"].to_numpy().astype(np.int32))
    frame.write_csv(tmp_path / "table.csv")
    indexed, table = opened("infinite-ae", tmp_path), opened("infinite-ae", tmp_path / "table.csv")
    for name in ("train", "valid", "test"):
        assert part(indexed, name) == part(table, name)
    np.savez(tmp_path / "index.npz", data=np.zeros(7))
    with pytest.raises(DataError, match=f"the parts of 7 rows, ratings.dat has {len(rows)} rows"):
        opened("infinite-ae", tmp_path)


@pytest.mark.parametrize("number", [1, 4])
def test_a_fold_is_two_files_or_a_value_of_a_column(tmp_path: Path, number: int) -> None:
    rows = [(u, i, 1 + (2 * u + i) % 5, 1 + (u + i) % 5) for u, i in pairs()]
    frame = pl.DataFrame(rows, ["user", "item", "rating", "fold"], orient="row")
    test = frame.filter(pl.col("fold") == number)
    base = frame.filter(pl.col("fold") != number)
    for ending, half in (("base", base), ("test", test)):
        text = "".join(f"{u}\t{i}\t{r}\t{880_000_000 + u}\n" for u, i, r, _ in half.rows())
        (tmp_path / f"u{number}.{ending}").write_text(text)
    frame.write_parquet(tmp_path / "folds.parquet")
    for source in (tmp_path, tmp_path / f"u{number}.base", tmp_path / "folds.parquet"):
        instance = opened(f"ml-u{number}", source)
        assert part(instance, "test") == raw(test.select("user", "item").rows())
        assert instance.data.split.drawn == ("valid",)
        task = instance.data.task
        mean = float(task.scale.mean)
        found = task.evaluate(lambda ids: torch.zeros(ids.shape[1]), "test")["rmse"]
        assert found == pytest.approx(np.sqrt(np.mean((test["rating"].to_numpy() - mean) ** 2)), rel=1e-6)
    assert instance.recipe.study.goal == "rating"


def test_a_random_tenth_is_another_with_another_seed(tmp_path: Path) -> None:
    rows = "".join(f"{u}::{i}::{1 + (u + i) % 5}::{978_300_000 + i}\n" for u, i in pairs())
    (tmp_path / "ratings.dat").write_text(rows)
    first, same, other = (opened("random-90-10", tmp_path, seed=seed) for seed in (0, 0, 1))
    assert len(part(first, "test")) == len(pairs()) // 10 == len(part(first, "valid"))
    assert part(first, "test") == part(same, "test") != part(other, "test")
    assert first.recipe.study.refit is True


def test_an_unknown_protocol_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match=r'no protocol "lightgnc"\. Did you mean lightgcn\? There are: infinite-ae, '):
        protocol("lightgnc")


def test_missing_files_are_named_with_where_they_can_be_had(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        ask("ml-u3", tmp_path)
    assert str(error.value) == (
        f"protocol ml-u3 finds no files of its own in {tmp_path}\n  It takes one of\n    u3.base and u3.test\n"
        "    a table with a column fold: ml-100k-folds as .parquet or .csv, or a file of another name\n"
        "  The data: https://files.grouplens.org/datasets/movielens/ml-100k.zip"
    )
    with pytest.raises(DataError, match=r"finds no files of its own in .*/no/where: there is no such folder"):
        ask("lightgcn", tmp_path / "no" / "where")


def test_a_table_without_its_column_is_refused(tmp_path: Path) -> None:
    stars().drop("split").write_csv(tmp_path / "ml-1m.csv")
    with pytest.raises(DataError, match=r'the columns are user, item, rating\n  part = "split" is not a column'):
        opened("infinite-ae", tmp_path)
    stars().rename({"split": "subset"}).write_csv(tmp_path / "ml-1m.csv")
    instance = opened("infinite-ae", tmp_path, **{"columns.part": "subset"})
    assert part(instance, "test") == raw(stars().filter(pl.col("split") == 2).select("user", "item").rows())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ranking.k=10", "ranking.k = 10: protocol lightgcn says 20; leave it out, or search without --protocol"),
        ("ranking.threshold=4", "all pairs are relevant in protocol lightgcn; leave it out"),
        ("protocol=lightgnc", 'protocol = "lightgnc": no protocol "lightgnc". Did you mean lightgcn?'),
        ("protocol=ml-u1", "protocol ml-u1 is of task rating; leave the recipe out, or name another: --recipe ratings"),
    ],
)
def test_what_departs_from_a_protocol_is_refused_by_its_key(gowalla: Path, change: str, message: str) -> None:
    recipe = load_recipe("clicks", [*ask("lightgcn", gowalla).changes("--protocol lightgcn"), change])
    with pytest.raises(RecipeError) as error:
        check_recipe(recipe)
    assert message in str(error.value)


def told(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--protocol", "lightgcn"], "say where they are: --data FOLDER"),
        (["--protocol", "lightgcn", "--data", ".", "--test", "test.txt"], "leave out --valid and --test"),
        (["x", "--protocol", "lightgcn", "--data", "."], "two sources of data"),
        (["--protocol", "lightgcn", "--data", ".", "--recipe", "ratings"], "ranking, recipe ratings is not;"),
    ],
)
def test_the_command_line_says_what_does_not_go_together(
    gowalla: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(gowalla)
    done = told("search", *words)
    assert done.exit_code == 2
    assert message in done.stderr


TRAINED = {"train.epochs": 2, "train.evaluate_every": 1, "search.epochs": 1, "space.embedding_dim": 4}
TRAINED |= {"space.operations": ["multiply"]}  # a folded maximum rounds, and near ties then change places
BARE = {"tune.l2": [], "baselines.names": [], "baselines.enumerate": False, "baselines.random": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    """A run under LightGCN's protocol on a table that nobody has published on."""
    folder = tmp_path_factory.mktemp("protocol")
    for name, rows in zip(("train", "test"), cut(), strict=True):
        (folder / f"{name}.txt").write_text(lines(rows))
    settings = TRAINED | BARE
    return sif.search(folder, "random", protocol="lightgcn", settings=settings, out=folder / "run", device="cpu")


def test_a_run_is_judged_beside_the_published_figures(run: sif.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = cut()
    table = PublishedTable(
        "Tiny", USERS, ITEMS, len(train) + len(test), len(test), (PublishedFigure("X", (0.9, 0.1), "s"),)
    )
    unknown = judge_run(run.path, device="cpu")
    assert unknown["table"] is None
    assert "no figures are known of a table of 12 users, 40 items, 240 rows, 48 of them test" in unknown["remarks"][1]
    monkeypatch.setitem(PROTOCOLS, "lightgcn", replace(PROTOCOLS["lightgcn"], tables=(table,)))
    judged = judge_run(run.path, "lightgcn", device="cpu")
    assert judged["table"] == "Tiny"
    assert judged["published"] == [
        {"method": "X", "figures": {"recall@20": 0.9, "ndcg@20": 0.1}, "source": "s", "chosen_on": "validation"}
    ]
    for metric in ("recall@20", "ndcg@20"):
        assert judged["figures"][metric] == pytest.approx(run.result["metrics"]["test"][metric])
        assert judged["popularity"][metric] == pytest.approx(run.result["rows"]["popularity"]["test"][metric])
    shown = told("show", run.path).stdout
    assert "protocol lightgcn, Tiny, test part" in shown
    assert "this run" in shown


def test_a_run_keeps_its_protocol(run: sif.Run) -> None:
    recipe = load_recipe(run.path / "recipe.toml")
    assert recipe.protocol == "lightgcn"
    check_recipe(recipe)
    with pytest.raises(RecipeError, match=r"ranking.metric = .*: protocol lightgcn says recall"):
        check_recipe(load_recipe(run.path / "recipe.toml", ["ranking.metric=ndcg"]))


def test_their_way_stands_apart_from_the_result(run: sif.Run) -> None:
    """The epoch of the best test figure: labelled, beside the figure of validation, which stays as it is."""
    plain, theirs = judge_run(run.path, device="cpu"), judge_run(run.path, epoch_on_test=True, device="cpu")
    assert plain["epoch_on_test"] is None
    assert theirs["figures"] == plain["figures"]
    assert theirs["epoch_on_test"]["epoch"] in (1, 2)
    printed = told("evaluate", run.path, "--protocol", "lightgcn", "--epoch-on-test").stdout
    assert "this run, their way" in printed
    assert "was picked on the test part; no result" in printed


def test_a_run_of_another_protocol_task_or_table_is_refused(run: sif.Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="was searched under protocol lightgcn, not ultragcn; leave --protocol out"):
        judge_run(run.path, "ultragcn")
    rows = "".join(f"{u},{i},{r}\n" for u, i, r, _ in planted_rows())
    (tmp_path / "mine.csv").write_text("user,item,rating\n" + rows)
    settings = {"train.epochs": 1, "search.epochs": 1, "train.min_steps": 0, "search.min_steps": 0} | BARE
    rated = sif.search(tmp_path / "mine.csv", "random", settings=settings, out=tmp_path / "run", device="cpu")
    with pytest.raises(RunError, match="was not searched under a protocol; name one"):
        judge_run(rated.path)
    with pytest.raises(RunError, match=r"of no table of protocol ml-u1: 24 users, 18 items, 300 rows, 30 of them test"):
        judge_run(rated.path, "ml-u1")
    with pytest.raises(RunError, match=r"protocol lightgcn is of task ranking, and run .* of task rating"):
        judge_run(rated.path, "lightgcn")


def test_every_protocol_says_what_it_needs() -> None:
    for name, known in PROTOCOLS.items():
        assert known.name == name
        assert load_recipe(known.recipe).task == known.task
        for table in known.tables:
            assert table.test < table.rows
            for figure in table.figures:
                assert len(figure.values) == len(known.metrics), (name, figure)
        shown = told("protocols", "show", name)
        assert shown.exit_code == 0
        assert known.url.split()[0] in shown.stdout.replace("\n", "")
    assert json.loads(told("protocols", "ls", "--json").stdout).keys() == PROTOCOLS.keys()
    assert json.loads(told("protocols", "show", "ml-u1", "--json").stdout)["tables"][0]["figures"][0]["rmse"] == 0.905
