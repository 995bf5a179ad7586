"""Tables of interaction functions: made, killed and made on; looked up; and the one that ships."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sif_samples import write_ratings
from typer.testing import CliRunner

from nasp_core.errors import SearchError, SpaceError
from nasp_core.evaluation import evaluate
from nasp_core.loop import Observer
from nasp_core.methods import make_strategy
from nasp_core.search import search
from nasp_core.training import train
from nasp_core.trials import Proposal, Random, SearchContext
from nasp_core.trials.explore import explore
from sif import resources
from sif.cli import app
from sif.datasets import Interactions, read
from sif.encodings.histories import Histories
from sif.errors import DataError
from sif.spaces.wide import WideSpace
from sif.spaces.wide_points import named, wide_genotype
from sif.spaces.wide_settings import OFFERS, WideSettings
from sif.tabular import (
    PLANS,
    TASKS,
    InteractionTable,
    TablePlan,
    build_table,
    journal_path,
    kendall_tau,
    spearman,
    summary,
    task_and_space,
)
from sif.tabular.assemble import TABLE_FACTS
from sif.tabular.keys import KEY_COLUMNS, table_key_of
from sif.tabular.summary import explained

_OFFERS: dict[str, Any] = {
    "encodings": ("id", "history"),
    "elementwise": ("identity",),
    "operations": ("multiply", "max"),
    "predictors": ("linear", "mlp"),
    "biases": ("on",),
    "embedding_dim": 2,
    "mlp": (2,),
}
"""2 x 2 encodings, 2 operations, 2 predictors: 16 points."""


@pytest.fixture(scope="module")
def plans() -> dict[Any, TablePlan]:
    """The shipped plans, of a small space and two or four epochs."""
    return {
        name: replace(
            plan,
            settings=replace(plan.settings, **_OFFERS),
            training=replace(plan.training, epochs=epochs, batch_size=16),
        )
        for (name, plan), epochs in zip(PLANS.items(), (2, 4), strict=True)
    }


@pytest.fixture(scope="module")
def made(planted: Interactions, plans: dict[Any, TablePlan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole table: all 16 points, two seeds, both tasks. Not to be changed."""
    return build_table(planted, tmp_path_factory.mktemp("table") / "mine.parquet", seeds=2, plans=plans)


@pytest.fixture
def table(made: Path) -> InteractionTable:
    return InteractionTable.load(made)


class _KilledError(Exception):
    """A kill, after a training was kept."""


class _KillAfter(Observer):
    """Raises when so many trainings are done."""

    def __init__(self, count: int) -> None:
        self.left = count

    def stepped(self) -> None:
        self.left -= 1
        if not self.left:
            raise _KilledError


def _frame(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).drop("seconds")


# --- making one ---


def test_a_table_holds_every_point_seed_and_task_once(made: Path) -> None:
    frame = pl.read_parquet(made)
    rows = set(frame.select("task", "seed", *KEY_COLUMNS).iter_rows())
    points = set(
        itertools.product(
            ("id", "history"), ("id", "history"), ["identity"], ("multiply", "max"), ("linear", "mlp"), ["on"]
        )
    )
    assert rows == {(task, seed, *point) for task in TASKS for seed in (0, 1) for point in points}
    assert len(rows) == len(frame)
    assert (frame["seconds"] > 0).all()
    assert frame.filter(pl.col("task") == "rating")["curve"].list.len().unique().to_list() == [2]
    assert frame.filter(pl.col("task") == "ranking")["curve"].list.len().unique().to_list() == [2]


@pytest.mark.slow
def test_a_build_that_is_killed_twice_ends_in_the_same_table(
    planted: Interactions, plans: dict[Any, TablePlan], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.parquet"
    for count in (3, 40):
        with pytest.raises(_KilledError):
            build_table(planted, out, seeds=2, plans=plans, progress=_KillAfter(count))
        assert not out.exists()
    from sif.tabular import build

    kept = sorted(journal_path(out).glob("*.safetensors"))
    assert len(kept) == 40
    kept[0].write_bytes(kept[0].read_bytes()[:-3])  # cut off: done again
    trained, whole = list[int](), build._trained
    monkeypatch.setattr(build, "_trained", lambda *rest: trained.append(1) or whole(*rest))
    build_table(planted, out, seeds=2, plans=plans)
    assert len(trained) == 64 - 40 + 1
    assert _frame(out).equals(_frame(made))


def test_a_build_that_is_whole_trains_nothing_again(
    planted: Interactions, plans: dict[Any, TablePlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.parquet"
    build_table(planted, out, seeds=1, tasks=("rating",), points=2, plans=plans)
    before = out.read_bytes()
    out.unlink()
    monkeypatch.setattr("sif.tabular.build.train", None)  # a training would fail
    build_table(planted, out, seeds=1, tasks=("rating",), points=2, plans=plans)
    assert pl.read_parquet(out).equals(pl.read_parquet(before))


def test_early_trainings_are_whole_seeds_of_what_can_be_missed_least(
    planted: Interactions, plans: dict[Any, TablePlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sif.tabular import build

    places = list[tuple[bool, int, bool]]()

    def noted(ground: Any, active: Any, seed: int) -> dict[str, Any]:
        places.append(("mlp" in table_key_of(ground.space, active), seed, ground.plan.ranking is not None))
        return {"parameters": 1, **build._failed(0.0)}

    monkeypatch.setattr(build, "_trained", noted)
    build_table(planted, tmp_path / "mine.parquet", seeds=2, plans=plans)
    assert places == sorted(places)
    assert (len(places), len(set(places))) == (64, 8)


@pytest.mark.slow
def test_a_training_that_is_another_to_the_bit_is_not_done_twice(
    planted: Interactions, plans: dict[Any, TablePlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers = {"operations": ("plus", "concat"), "predictors": ("sum", "linear"), "elementwise": ("identity", "network")}
    twins = {name: replace(plan, settings=replace(plan.settings, **offers)) for name, plan in plans.items()}
    from sif.tabular import build

    calls, train = list[str](), build.train
    monkeypatch.setattr(build, "train", lambda *args, **kwargs: calls.append("") or train(*args, **kwargs))
    table = InteractionTable.load(build_table(planted, tmp_path / "copied.parquet", seeds=1, plans=twins))
    assert len(calls) == 2 * (32 - 8)  # 8 points are a concat with sum
    calls.clear()
    monkeypatch.setattr(build, "_twin", lambda key: key)
    built = InteractionTable.load(build_table(planted, tmp_path / "trained.parquet", seeds=1, plans=twins))
    assert len(calls) == 2 * 32
    assert built.frame.drop("seconds").equals(table.frame.drop("seconds"))


def test_the_test_part_is_read_once_a_training_after_its_end(
    planted: Interactions, plans: dict[Any, TablePlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sif.tabular import build

    order = list[str]()
    train, evaluate = build.train, build.evaluate

    def noted_train(*args: Any, **kwargs: Any) -> Any:
        before = args[1].test_reads
        trained = train(*args, **kwargs)
        assert args[1].test_reads == before
        order.append("train")
        return trained

    def noted_evaluate(*args: Any, **kwargs: Any) -> Any:
        order.append(kwargs["split"])
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(build, "train", noted_train)
    monkeypatch.setattr(build, "evaluate", noted_evaluate)
    build_table(planted, tmp_path / "mine.parquet", seeds=1, points=2, plans=plans)
    assert order == ["train", "test"] * 4


def test_the_seed_changes_a_training_but_not_the_split(made: Path, table: InteractionTable) -> None:
    first, second = table.values("rating").T
    assert (first != second).all()
    assert set(table.made["splits"]) == set(TASKS)
    assert table.made["points"] == {"rating": 16, "ranking": 16}


def test_a_training_that_diverges_is_kept_as_failed(
    planted: Interactions, plans: dict[Any, TablePlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sif.tabular import build

    train = build.train

    def diverging(network: Any, *args: Any, **kwargs: Any) -> Any:
        if network.choices["operation"] == ("max",):
            raise SearchError("the loss is not finite")
        return train(network, *args, **kwargs)

    monkeypatch.setattr(build, "train", diverging)
    out = build_table(planted, tmp_path / "mine.parquet", seeds=1, tasks=("rating",), plans=plans)
    table = InteractionTable.load(out)
    lost = [point for point in table.points if "max" in table.key(point)]
    assert len(lost) == 8
    assert all(table.regret("rating", point) == math.inf and table.rank("rating", point) == 9 for point in lost)
    assert table.judge("rating")(Proposal(lost[0])) == table.judge("rating")(Proposal(lost[0], 0.5)) == -math.inf
    assert math.isnan(table.metric("rating", lost[0]))
    assert table.best("rating") not in lost
    assert math.isfinite(table.mean("rating"))
    assert summary(table)["tasks"]["rating"]["failed"] == 8
    assert pl.read_parquet(out).filter(pl.col("failed"))["test_rmse"].is_null().all()


def test_a_journal_of_another_table_is_refused(
    planted: Interactions, plans: dict[Any, TablePlan], tmp_path: Path
) -> None:
    out = tmp_path / "mine.parquet"
    build_table(planted, out, seeds=1, tasks=("rating",), points=1, plans=plans)
    with pytest.raises(
        DataError,
        match=r"mine\.parquet\.trainings holds another table: seeds is 2, was 1; give another --out, or remove",
    ):
        build_table(planted, out, seeds=2, tasks=("rating",), points=1, plans=plans)


@pytest.mark.parametrize(
    ("given", "message"), [({"seeds": 0}, "seeds = 0"), ({"points": 0}, "points = 0"), ({"tasks": ()}, "no task")]
)
def test_an_empty_table_is_refused(planted: Interactions, tmp_path: Path, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build_table(planted, tmp_path / "mine.parquet", **given)


def test_candidates_are_left_out_of_the_space_by_name(plans: dict[Any, TablePlan]) -> None:
    plan = plans["rating"].without(["max", "mlp"])
    assert (plan.settings.operations, plan.settings.predictors) == (("multiply",), ("linear",))
    assert plan.without([]) == plan
    with pytest.raises(DataError, match="no candidate min to leave out; there are id, history, identity, multiply"):
        plan.without(["min"])
    with pytest.raises(SpaceError, match="biases offers nothing to choose from"):
        plan.without(["on"])


# --- looking up ---


def test_ranks_and_regrets_are_those_of_the_means_over_seeds(table: InteractionTable) -> None:
    frame = table.frame
    for task, metric, sign in (("rating", "rmse", 1.0), ("ranking", "ndcg@10", -1.0)):
        for split in ("test", "valid"):
            means = {
                row[:-1]: sign * row[-1]
                for row in frame.filter(pl.col("task") == task)
                .group_by(*KEY_COLUMNS)
                .agg(pl.col(f"{split}_{metric}").cast(pl.Float64).mean())
                .iter_rows()
            }
            best = min(means.values())
            for point in table.points:
                own = means[table.key(point)]
                assert table.metric(task, point, split) == pytest.approx(sign * own, abs=1e-9)
                assert table.regret(task, point, split) == pytest.approx(own - best, abs=1e-9)
                assert (
                    abs(table.rank(task, point, split) - 1 - sum(value < own for value in means.values()))
                    <= sum(abs(value - own) < 1e-9 for value in means.values()) - 1
                )
            assert means[table.key(table.best(task, split))] == pytest.approx(best, abs=1e-9)
            assert table.mean(task, split) == pytest.approx(sign * sum(means.values()) / len(means), abs=1e-6)


def test_a_metric_of_one_seed_is_that_row(table: InteractionTable) -> None:
    point = table.points[5]
    key = table.key(point)
    match = [pl.col(name) == value for name, value in zip(KEY_COLUMNS, key, strict=True)]
    row = table.frame.filter(pl.col("task") == "ranking", pl.col("seed") == 1, *match).row(0, named=True)
    assert table.metric("ranking", point, "valid", 1) == pytest.approx(row["valid_ndcg@10"])
    assert table.metric("ranking", point, seed=1, name="recall@10") == pytest.approx(row["test_recall@10"])
    assert table.parameters("ranking", point) == row["parameters"]
    assert table.metrics("ranking")[0] == "ndcg@10"
    assert set(table.metrics("rating")) == {"rmse", "mae"}


def test_larger_is_better_for_whoever_asks(table: InteractionTable) -> None:
    for task, sign in (("rating", -1.0), ("ranking", 1.0)):
        judge = table.judge(task, 1)
        for point in table.points:
            assert judge(Proposal(point)) == sign * table.metric(task, point, "valid", 1)
        assert judge(Proposal(table.points[3])) == table.judge(task, 3)(Proposal(table.points[3]))


def test_a_share_gets_the_best_validation_of_that_share_of_the_epochs(table: InteractionTable) -> None:
    for task, best, epochs in (("rating", min, {1: 1, 2: 2}), ("ranking", max, {2: 1, 4: 2})):
        sign = 1.0 if table.maximise(task) else -1.0
        for point in table.points:
            curve = table.curve(task, point, 0)
            assert set(curve) == set(epochs)
            for fidelity, evals in ((0.01, 1), (0.5, 1), (0.75, 1), (1.0, 2)):
                wanted = sign * best(list(curve.values())[:evals])
                assert table.judge(task)(Proposal(point, fidelity)) == pytest.approx(wanted, abs=1e-6)


def test_a_find_of_other_sizes_and_offers_is_the_same_point(table: InteractionTable) -> None:
    settings = WideSettings(embedding_dim=5, operations=("max", "multiply"), predictors=("mlp", "sum", "linear"))
    space = WideSpace((3, 4), settings, Histories.empty((3, 4)))
    found = space.genotype(
        {"encoding": (1, 0), "elementwise": (0,), "operation": (0,), "predictor": (2,), "biases": (1,)}
    )
    (same,) = (p for p in table.points if table.key(p) == ("history", "id", "identity", "max", "linear", "on"))
    assert table.rank("rating", found) == table.rank("rating", same)
    assert table.seconds("rating", found) == table.seconds("rating", same) > 0


def test_a_point_that_is_not_held_is_refused_with_what_is(table: InteractionTable) -> None:
    with pytest.raises(
        DataError,
        match=r"does not hold the point id, id, identity, multiply, sum, on\n  It holds 16 points of one branch",
    ):
        table.rank("rating", named("biased-mf"))
    with pytest.raises(DataError, match="does not hold the point id, id, id, id"):
        table.regret("rating", named("neumf"))
    with pytest.raises(DataError, match="does not hold the point"):
        table.judge("rating")(Proposal({"encoding": (0, 9)}))
    with pytest.raises(DataError, match=r"no task 'clicks'; there are rating, ranking"):
        table.judge("clicks")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no seed 7; there are 0, 1"):
        table.metric("rating", table.points[0], seed=7)
    with pytest.raises(DataError, match=r"no metric 'mrr' of rating"):
        table.metric("rating", table.points[0], name="mrr")
    with pytest.raises(DataError, match="no part 'train'"):
        table.rank("rating", table.points[0], "train")  # type: ignore[arg-type]


def test_a_strategy_is_judged_on_a_table(table: InteractionTable) -> None:
    result = explore(SearchContext(table.space()), Random(trials=16), table.judge("rating"), seed=0, evaluations=16)
    assert len(result) == 16
    best = max(result, key=lambda each: each.score)
    assert table.metric("rating", best.proposal.active, "valid", 0) == table.values("rating", "valid")[:, 0].min()


def test_files_that_are_no_table_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no table .*\n  Make one: sif table build --out"):
        InteractionTable.load(tmp_path / "none.parquet")
    (tmp_path / "torn.parquet").write_bytes(made.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        InteractionTable.load(tmp_path / "torn.parquet")
    with pytest.raises(DataError, match="has no column seconds, made"):
        InteractionTable(pl.read_parquet(made).drop("seconds", TABLE_FACTS))
    with pytest.raises(DataError, match=r"has 31 trainings of rating, not one for each of 16 points and 2 seeds"):
        InteractionTable(pl.read_parquet(made).filter(~((pl.col("task") == "rating") & (pl.int_range(pl.len()) == 40))))


# --- measures and summary ---


def test_measures_agree_with_counting_pairs() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.permutation(12).astype(float), generator.permutation(12).astype(float)
    signs = [np.sign((first[i] - first[j]) * (second[i] - second[j])) for i in range(12) for j in range(i)]
    assert kendall_tau(first, second) == pytest.approx(sum(signs) / len(signs))
    distances = np.square(first - second).sum()
    assert spearman(first, second) == pytest.approx(1 - 6 * distances / (12 * (144 - 1)))
    assert spearman([1.0, 2.0, 3.0], [10.0, 100.0, 1000.0]) == pytest.approx(1.0)
    with pytest.raises(DataError, match="1 and 1 figures have no common order"):
        kendall_tau([1.0], [1.0])
    with pytest.raises(DataError, match="2 and 3 figures"):
        spearman([1.0, 2.0], [1.0, 2.0, 3.0])


def test_variance_goes_to_the_choice_that_causes_it() -> None:
    keys = list(itertools.product("ab", "cd", "e", "fg", "h", "i"))
    main = np.array([[3.0 * (key[0] == "a")] * 2 for key in keys])
    assert explained(keys, main)["encoding_user"] == pytest.approx(1.0)
    crossed = np.array([[float((key[0] == "a") != (key[1] == "c"))] * 2 for key in keys])
    assert explained(keys, crossed)["together"] == pytest.approx(1.0)
    noisy = main + np.array([[-1.0, 1.0]])
    shares = explained(keys, noisy)
    assert shares["seed"] == pytest.approx(1 / (1 + 1.5**2))
    assert sum(shares.values()) == pytest.approx(1.0)
    assert "together" not in explained(keys[1:], noisy[1:])


def test_a_summary_names_the_best_points_first(table: InteractionTable) -> None:
    result = summary(table, best=3)
    assert json.loads(json.dumps(result))["points"] == 16
    for task in TASKS:
        facts = result["tasks"][task]
        assert facts["best"][0]["point"] == list(table.key(table.best(task)))
        ranks = [
            table.rank(task, point)
            for entry in facts["best"]
            for point in table.points
            if list(table.key(point)) == entry["point"]
        ]
        assert ranks == sorted(ranks)
        assert facts["quantiles"][0] == pytest.approx(facts["best"][0]["test"])
        assert facts["valid_rho"] == pytest.approx(list(facts["fidelity"].values())[-1], abs=0.05)
        assert facts["failed"] == 0
        gmf = named("gmf", WideSettings(biases=("off", "on")))
        assert not table.holds(gmf)
        assert facts["published"] == {}
        pairs = [best for row in facts["pairs"].values() for best in row.values()]
        assert len(pairs) == 4
        assert (max if table.maximise(task) else min)(pairs) == pytest.approx(facts["best"][0]["test"])


# --- the command line ---


def test_table_commands_make_and_show_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, runner = write_ratings(tmp_path / "mine.csv").name, CliRunner()
    arguments = [
        "table",
        "build",
        "--data",
        data,
        "--out",
        "mine.parquet",
        "--points",
        "2",
        "--seeds",
        "2",
        "--without",
        "mlp, minus",
    ]
    made = runner.invoke(app, arguments)
    assert made.exit_code == 0, made.output
    assert "next    sif table show mine.parquet" in made.output
    shown = runner.invoke(app, ["table", "show", "mine.parquet", "--json"])
    assert json.loads(shown.stdout)["tasks"]["rating"]["best"][0]["test"] > 0
    assert InteractionTable.load("mine.parquet").space().settings.predictors == ("sum", "linear", "distance")
    text = runner.invoke(app, ["table", "show", "mine.parquet"]).output
    assert "ranking: best points" in text
    assert "between rating, ranking" in text
    wrong = runner.invoke(app, ["table", "build", "--data", data, "--out", "mine.parquet", "--task", "rating"])
    assert wrong.exit_code == 2
    assert runner.invoke(app, ["table", "build", "--out", "no/where.parquet"]).exit_code == 2
    assert runner.invoke(app, ["table", "show", "--best", "0"]).exit_code == 2


def test_a_one_shot_search_on_the_tables_data_has_a_rank(
    planted: Interactions, plans: dict[Any, TablePlan], table: InteractionTable
) -> None:
    task, space = task_and_space(planted, plans["rating"])
    assert [table_key_of(space, point) for point in space.points()] == [table.key(point) for point in table.points]
    training = plans["rating"].training
    found = search(space, task, make_strategy("nasp"), replace(training, keep_best=False), final=training, seed=0)
    assert 1 <= table.rank("rating", found.genotype) <= 16
    network = space.build(found.genotype)
    trained = train(network, task, training, seed=1)
    assert trained.metrics["rmse"] == pytest.approx(table.metric("rating", found.genotype, "valid", 1), abs=1e-6)


# --- the table that ships ---


@pytest.fixture(scope="module")
def shipped() -> InteractionTable:
    return InteractionTable.load()


def test_the_shipped_table_is_whole_and_small(shipped: InteractionTable) -> None:
    assert (resources.resource_dir("data") / "tables" / "interactions-ml100k.parquet").stat().st_size < 2_000_000
    assert len(shipped.points) >= 500
    assert shipped.seeds == (0, 1, 2)
    assert shipped.tasks == TASKS
    assert shipped.points == tuple(shipped.space().points())
    frame = shipped.frame
    assert len(frame) == len(shipped.points) * 6
    sound = frame.filter(~pl.col("failed"))
    assert len(sound) >= 0.99 * len(frame)
    for task, metric in (("rating", "rmse"), ("ranking", "ndcg@10")):
        part = sound.filter(pl.col("task") == task)
        assert part.select(f"valid_{metric}", f"test_{metric}").null_count().sum_horizontal().item() == 0
        assert part[f"test_{metric}"].is_finite().all()


def test_the_shipped_table_has_figures_of_trainings_alone(shipped: InteractionTable) -> None:
    plain = {"task", *KEY_COLUMNS, "seed", "parameters", "seconds", "epoch", "failed", "curve"}
    metrics = {f"{part}_{name}" for part in ("valid", "test") for task in TASKS for name in shipped.metrics(task)}
    assert set(shipped.frame.columns) == plain | metrics
    offered = shipped.space().settings
    made = {name: type(PLANS[name]).of(told) for name, told in shipped.made["plans"].items()}
    for name, plan in PLANS.items():
        missing = {each for of in OFFERS for each in {*getattr(plan.settings, of)} - {*getattr(offered, of)}}
        assert made[name] == plan.without(missing), "settings since then at their default"


def test_the_shipped_table_is_made_of_movielens_100k(shipped: InteractionTable) -> None:
    assert (shipped.made["data"], shipped.made["sizes"]) == ("movielens-100k", [943, 1682])
    biased_mf = named("biased-mf")
    assert 0.90 < shipped.metric("rating", biased_mf) < 1.00
    assert shipped.metric("ranking", named("cml")) > shipped.mean("ranking")
    assert 1 <= shipped.rank("rating", biased_mf) <= len(shipped.points)


def test_look_ups_take_microseconds(shipped: InteractionTable) -> None:
    judge = shipped.judge("rating")
    proposals = [Proposal(point) for point in shipped.points]
    began = time.perf_counter()
    for proposal in proposals:
        judge(proposal)
    assert (time.perf_counter() - began) / len(proposals) < 1e-3


def test_the_shipped_table_is_found_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(resources.__file__).resolve().parent.parent
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["data"] == "sif/_resources/data"
    shutil.copytree(root / "data", tmp_path / "sif" / "_resources" / "data")
    monkeypatch.setattr(resources, "__file__", str(tmp_path / "sif" / "resources.py"))
    table = InteractionTable.load()
    assert Path(table.source) == tmp_path / "sif" / "_resources" / "data" / "tables" / "interactions-ml100k.parquet"


@pytest.mark.realdata
def test_training_a_point_again_gives_the_shipped_figures(shipped: InteractionTable) -> None:
    data = read("movielens")
    assert data.fingerprint() == shipped.made["fingerprint"]
    for task_name, point, tolerance in (("rating", named("biased-mf"), 0.002), ("ranking", named("mf"), 0.01)):
        plan = PLANS[task_name].without(["mlp"])
        task, space = task_and_space(data, plan)
        choices = {name: tuple(map(str, names)) for name, names in point.choices.items()}
        network = space.build(wide_genotype(choices, plan.settings))
        trained = train(network, task, plan.training, seed=1)
        found = evaluate(trained.network, task, split="test")
        for split, metrics in (("valid", trained.metrics), ("test", found)):
            known = shipped.metric(task_name, point, split, 1)
            assert metrics[plan.metric] == pytest.approx(known, abs=tolerance)
