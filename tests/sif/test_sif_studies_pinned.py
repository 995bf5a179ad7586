"""A setting that the user gives is pinned: a study searches it nowhere, also resumed or repeated."""

import json
from pathlib import Path
from typing import Any

import pytest
from sif_samples import TINY, lines_of, write_ratings
from test_sif_ranking_run import SMALL, clicks
from typer.testing import CliRunner

import sif
from nasp_core.loop import Observer
from sif.cli import app
from sif.errors import RecipeError, RunError
from sif.problems import open_recipe
from sif.recipes import changes_of, load_recipe, parse_recipe
from sif.run_directory import RunDirectory
from sif.runs.stages import Stages
from sif.studies.baselines import Baselines
from sif.studies.portfolio import entries_of
from sif.studies.proposals import point_entry, portfolio
from sif.studies.proposer import Proposer
from sif.toml import dump_toml

FREE = {key: value for key, value in SMALL.items() if key != "space.embedding_dim"}
FREE |= {"train.epochs": 9, "baselines.names": ["svd++"]}


def opened(folder: Path, **changes: Any) -> Any:
    recipe = load_recipe("clicks", changes_of({**FREE, **changes, "dataset": str(clicks(folder / "m.csv"))}))
    return open_recipe(recipe, device="cpu")


def values_of(run: Path, key: str) -> set[Any]:
    """The values under which a run trained: the recipe's own where a training does not say."""
    own = load_recipe(run / "recipe.toml").value(key)
    return {line["settings"].get(key, own) for line in lines_of(run / "trials.jsonl") if "trial" in line}


def test_what_is_given_is_not_searched_and_everything_is_trained_with_it(tmp_path: Path):
    table, out = clicks(tmp_path / "m.csv"), tmp_path / "run"
    words = [f"--set={key}={json.dumps(value)}" for key, value in {**FREE, "space.l2": 0.05}.items()]
    words += ["--budget=14trials", f"--out={out}", "--device=cpu", "--recipe=clicks"]
    said = CliRunner().invoke(app, ["search", str(table), *words])
    assert said.exit_code == 0, said.output
    assert "space.l2 = 0.05 is yours: it is not searched" in " ".join(said.output.split())
    assert values_of(out, "space.l2") == {0.05}
    assert len(values_of(out, "train.optimiser.learning_rate")) > 2, "what is not given is searched"
    assert len({line["by"] for line in lines_of(out / "trials.jsonl") if "trial" in line}) > 1
    assert load_recipe(out / "recipe.toml").pinned == ("space.l2",)
    more = CliRunner().invoke(app, ["search", f"--resume={out}", "--budget=20trials", "--device=cpu"])
    assert more.exit_code == 0, more.output
    assert len(lines_of(out / "trials.jsonl")) > 14
    assert values_of(out, "space.l2") == {0.05}
    again = CliRunner().invoke(app, ["search", f"--repeat={out}", f"--out={tmp_path / 'again'}", "--device=cpu"])
    assert again.exit_code == 0, again.output
    assert load_recipe(tmp_path / "again" / "recipe.toml").pinned == ("space.l2",)


def test_proposals_have_the_pinned_value_and_the_portfolio_too(tmp_path: Path):
    given = {"space.l2": 0.05, "space.branches": 1, "space.operations": ["multiply", "min"]}
    instance = opened(tmp_path, **given)
    held, every = portfolio(instance, entries_of("ranking")), entries_of("ranking")
    fit = [each for each in every if len(each["choices"]["operation"]) == 1]
    fit = [each for each in fit if each["choices"]["operation"][0] in ("multiply", "min")]
    assert 0 < len(held) <= len(fit) < len(every)
    assert len({each.key for each in held}) == len(held)
    assert all({"space.l2", "space.branches"}.isdisjoint(each.settings) for each in held)
    proposer = Proposer(instance, instance.problem.settings_space)
    for number in range(5):
        made = proposer.drawn(number)
        assert {"space.l2", "space.branches"}.isdisjoint(made.settings)
        assert set(made.choices["operation"]) <= {"multiply", "min"}
        assert len(made.choices["operation"]) == 1
        assert instance.changed(made.settings).settings.l2 == 0.05


def test_who_changes_a_recipe_in_python_and_adds_a_budget_later_pins_too(tmp_path: Path):
    write_ratings(tmp_path / "m.csv")
    plain = {key: value for key, value in TINY.items() if key != "space.embedding_dim"}
    settings = {**plain, "space.l2_frequency": 0.0, "study.goal": "rating", "train.optimiser": {"learning_rate": 0.004}}
    run = sif.search(tmp_path / "m.csv", recipe="movielens-wide", settings=settings, budget="9trials", device="cpu")
    assert load_recipe(run.path / "recipe.toml").pinned == ("space.l2_frequency", "train.optimiser.learning_rate")
    assert values_of(run.path, "train.optimiser.learning_rate") == {0.004}
    assert len(values_of(run.path, "space.l2")) > 1


def test_a_file_states_where_to_begin_and_pins_what_it_lists():
    stated = load_recipe("clicks").changed({"space.l2": 0.05})
    assert parse_recipe(dump_toml(stated.model_dump()), "mine.toml").pinned == ()
    listed = dump_toml(stated.changed({"study.pinned": ("space.l2",)}).model_dump())
    assert parse_recipe(listed, "mine.toml").pinned == ("space.l2",)
    more = parse_recipe(listed, "mine.toml", ["ranking.hidden_share=0.7"])
    assert more.pinned == ("space.l2", "ranking.hidden_share")
    assert parse_recipe(listed, "mine.toml", ["space.l2=0.1", "study.pinned=[]"]).pinned == ()


def test_what_no_study_searches_cannot_be_pinned(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"no study of it searches space.l3. Did you mean space.l2\?"):
        opened(tmp_path, **{"study.pinned": ["space.l3"]})


def test_a_pinned_setting_with_which_nothing_can_be_trained_is_named(tmp_path: Path):
    settings = {**FREE, "train.optimiser.learning_rate": 1e30, "space.embedding_dim": 4}
    with pytest.raises(RunError, match=r"left the finite numbers; leave out what is pinned \(.*learning_rate"):
        sif.search(clicks(tmp_path / "m.csv"), recipe="clicks", settings=settings, budget="6trials", device="cpu")


def test_a_rival_that_is_another_point_is_trained_beside(tmp_path: Path):
    """SVD++ sums histories with the power .5: with another one it is no SVD++, and so no point of that space."""
    assert point_entry("svd++")["settings"] == {"space.history_power": 0.5}
    table = clicks(tmp_path / "m.csv")
    told = {}
    for power in (0.5, 1.0):
        settings = {**FREE, "space.embedding_dim": 4, "space.history_power": power, "study.without": ["supernet"]}
        run = sif.search(table, recipe="clicks", settings=settings, budget="14trials", device="cpu")
        assert "svd++" in run.result["rows"]
        assert values_of(run.path, "space.history_power") == {power}
        told[power] = {line["by"] for line in lines_of(run.path / "trials.jsonl") if "trial" in line}
    assert "rival svd++" in told[0.5]
    assert "rival svd++" not in told[1.0]


def test_the_lists_of_ratings_are_searched_by_a_recipe_of_their_own(tmp_path: Path):
    write_ratings(tmp_path / "m.csv")
    settings = {**TINY, "space.l2": 0.05}
    run = sif.search(tmp_path / "m.csv", recipe="ratings", settings=settings, budget="8trials", device="cpu")
    assert "space.l2" in load_recipe(run.path / "recipe.toml").pinned
    assert load_recipe(run.path / "ranking" / "recipe.toml").pinned == ()


def test_a_small_network_that_leads_keeps_what_is_pinned(tmp_path: Path):
    settings = {"dataset": str(write_ratings(tmp_path / "m.csv")), "baselines.names": ["biased-mf"], "space.l2": 0.05}
    instance: Any = open_recipe(load_recipe("ratings", changes_of(settings)), device="cpu")
    assert instance.recipe.pinned == ("space.l2",)
    networks = Baselines(instance, Stages(RunDirectory.create(tmp_path / "run", "run"), Observer()))
    assert "bias_l2" in networks._ranges("biased-mf")
    assert "l2" not in networks._ranges("biased-mf")
    rate = {"train.optimiser.learning_rate": 0.003}
    pinned: Any = open_recipe(load_recipe("ratings", changes_of(settings | rate)), device="cpu")
    assert all("learning_rate" not in point for point in pinned.rivals()["biased-mf"].grid)
    assert len(pinned.rivals()["biased-mf"].grid) < len(instance.rivals()["biased-mf"].grid)


def test_a_study_that_was_begun_before_a_key_existed_goes_on(tmp_path: Path):
    """Its recipe and its terms lack the keys of today; a larger budget is no other search."""
    settings = {**SMALL, "study.budget": "4trials"}
    run = sif.search(clicks(tmp_path / "m.csv"), recipe="clicks", settings=settings, out=tmp_path / "run", device="cpu")
    (terms,) = run.path.rglob("terms.json")
    known = json.loads(terms.read_text())
    for table, key in (("space", "history_half_life"), ("space", "propagation_steps"), ("ranking", "margin")):
        known["recipe"].get(table, {}).pop(key, None)
    known["recipe"].pop("protocol", None)
    terms.write_text(json.dumps(known))
    done = CliRunner().invoke(app, ["search", "--resume", str(run.path), "--budget", "6trials"])
    assert done.exit_code == 0, done.output
    assert sif.load(run.path).result["study"]["budget"] == "6trials"
