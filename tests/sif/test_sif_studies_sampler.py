"""The sampler of configurations: what it finds, that it repeats itself, and what it refuses."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from sif.errors import RecipeError, RunError
from sif.ranges import AnyOf, Float, Int
from sif.studies.configuration_space import ConfigurationSpace, PlainConfiguration
from sif.studies.sampler import ConfigurationSampler

OPERATIONS = ("concat", "max", "min", "multiply", "plus")
TABLE = ConfigurationSpace(
    {
        "user": AnyOf(("id", "history", "both")),
        "operation": AnyOf(OPERATIONS),
        "predictor": AnyOf(("sum", "vector", "mlp")),
    },
    {"dim": Int(0, 4), "penalty": Int(0, 4)},
)
WIDE = ConfigurationSpace(
    {"operation": AnyOf(OPERATIONS)},
    {"learning_rate": Float(1e-4, 1.0, log=True), "dropout": Float(0.0, 0.9), "dim": Int(4, 256, log=True)},
)
TINY = ConfigurationSpace({"operation": AnyOf(("max", "min"))}, {"dim": Int(1, 3)})


def planted(configuration: PlainConfiguration) -> float:
    """A table in which the best operation is a bad one with most encodings, and needs its own settings."""
    chosen, settings = configuration["architecture"], configuration["settings"]
    seed = OPERATIONS.index(str(chosen["operation"]))
    fits = 1.0 if (chosen["user"], chosen["operation"]) == ("history", "max") else -0.3 * (chosen["operation"] == "max")
    best = (seed + 2 * (chosen["predictor"] == "mlp")) % 5
    away = abs(int(settings["dim"] or 0) - best) + 0.5 * abs(int(settings["penalty"] or 0) - seed)
    return fits * (chosen["predictor"] != "sum") - 0.2 * away + 0.1 * (chosen["user"] == "id")


def smooth(configuration: PlainConfiguration) -> float:
    settings = configuration["settings"]
    rate, dropout, dim = (float(settings[name] or 0) for name in WIDE.settings)
    miss = (math.log10(rate) + 2) ** 2 + 4 * (dropout - 0.3) ** 2 + (math.log2(dim) - 6) ** 2 / 4
    return (configuration["architecture"]["operation"] == "max") - miss


def walk(sampler: ConfigurationSampler, judge: Any, count: int) -> list[tuple[PlainConfiguration, float]]:
    found = []
    for _ in range(count):
        configuration = sampler.ask()
        assert configuration is not None
        found.append((configuration, judge(configuration)))
        sampler.tell(*found[-1])
    return found


def best(results: list[tuple[PlainConfiguration, float]]) -> float:
    return max(value for _, value in results)


def random_best(space: ConfigurationSpace, judge: Any, count: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    return max(judge(space.decode(place)) for place in rng.random((count, len(space.dimensions))))


def test_finds_the_best_of_a_table_whose_choices_matter_only_together() -> None:
    assert TABLE.grid is not None
    assert len(TABLE.grid) == TABLE.size == 1125
    truth = max(planted(TABLE.decode(place)) for place in TABLE.grid)
    regrets = [truth - best(walk(ConfigurationSampler(TABLE, seed), planted, 50)) for seed in range(4)]
    chance = [truth - random_best(TABLE, planted, 50, seed) for seed in range(30)]
    assert regrets.count(0) / 4 >= 0.5 > 4 * chance.count(0) / 30


def test_comes_near_the_best_of_a_space_that_cannot_be_listed() -> None:
    assert WIDE.size is WIDE.grid is None
    regrets = [1 - best(walk(ConfigurationSampler(WIDE, seed), smooth, 30)) for seed in range(2)]
    chance = [1 - random_best(WIDE, smooth, 30, seed) for seed in range(30)]
    assert np.mean(regrets) < np.mean(chance) / 3


@pytest.mark.parametrize(("space", "judge"), [(TABLE, planted), (WIDE, smooth)])
def test_a_killed_sampler_that_is_told_the_same_goes_on_as_if_nothing_had_been(space: Any, judge: Any) -> None:
    whole = walk(ConfigurationSampler(space, 5, startup=4), judge, 14)
    for cut in (3, 7, 11):
        again = ConfigurationSampler(space, 5, startup=4)
        for result in whole[:cut]:
            again.tell(*json.loads(json.dumps(result)))
        assert walk(again, judge, 14 - cut) == whole[cut:]
    assert walk(ConfigurationSampler(space, 6, startup=4), judge, 14) != whole


def test_what_is_asked_and_never_told_is_asked_again_by_the_next_sampler() -> None:
    first = ConfigurationSampler(TABLE, 0, startup=3)
    results = walk(first, planted, 5)
    lost, other = first.ask(), first.ask()
    assert lost != other
    again = ConfigurationSampler(TABLE, 0, startup=3)
    for result in results:
        again.tell(*result)
    assert again.ask() == lost
    assert again.ask() == other


def test_results_matter_and_so_does_their_order() -> None:
    results = walk(ConfigurationSampler(TABLE, 0, startup=6), planted, 8)

    def next_after(told: list[tuple[PlainConfiguration, float]]) -> PlainConfiguration | None:
        sampler = ConfigurationSampler(TABLE, 0, startup=6)
        for result in told:
            sampler.tell(*result)
        return sampler.ask()

    assert next_after(results) == next_after(results)
    assert next_after([(each, -value) for each, value in results]) != next_after(results)


def test_each_configuration_of_a_finite_space_is_proposed_once_and_then_none() -> None:
    for sampler in (ConfigurationSampler(TINY, startup=2), ConfigurationSampler(TINY, startup=99)):
        asked = []
        while (configuration := sampler.ask()) is not None:
            asked.append(TINY.key(configuration))
            if len(asked) % 2:  # what still waits for its result is not proposed again either
                sampler.tell(configuration, float(len(asked)))
        assert len(asked) == len(set(asked)) == TINY.size == 6


def test_failures_are_the_last_and_harm_nothing() -> None:
    sampler = ConfigurationSampler(TABLE, 0, startup=4)
    for value in (math.nan, -math.inf, 0.5, -math.inf, 0.25, math.nan):
        configuration = sampler.ask()
        assert configuration is not None
        sampler.tell(configuration, value)
    assert sampler.ask() is not None
    failed = ConfigurationSampler(TABLE, 0, startup=2)
    for _ in range(4):
        failed.tell(failed.ask(), math.nan)
    assert failed.ask() is not None


def test_short_trainings_teach_about_whole_ones() -> None:
    """Of 30 short trainings and 3 whole ones on another scale, the next whole one should come near the best."""
    rng = np.random.default_rng(0)
    sampler = ConfigurationSampler(TABLE, 0, startup=5)
    tried = [TABLE.decode(place) for place in rng.random((40, 5))]
    tried = [each for place, each in enumerate(tried) if each not in tried[:place]]
    for each in tried:
        sampler.tell(each, planted(each) - 9.0, fidelity=1 / 9)
    for each in sorted(tried, key=planted)[-3:]:
        sampler.tell(each, planted(each))
    proposal = sampler.ask()
    assert proposal is not None
    assert proposal not in tried
    grid = TABLE.grid
    assert grid is not None
    assert planted(proposal) > np.quantile([planted(TABLE.decode(place)) for place in grid], 0.95)


def test_settings_that_an_architecture_does_not_read_make_no_new_configuration() -> None:
    def trained(configuration: PlainConfiguration) -> PlainConfiguration:
        if configuration["architecture"]["operation"] == "min":
            return {**configuration, "settings": {"dim": 1}}
        return configuration

    sampler = ConfigurationSampler(replace(TINY, canonical=trained), startup=2)
    asked = []
    while (configuration := sampler.ask()) is not None:
        asked.append(configuration)
        sampler.tell({**configuration}, float(len(asked)))
    assert len(asked) == 4
    assert all(trained(each) == each for each in asked)


def test_a_wrong_configuration_is_refused_with_all_that_is_wrong_with_it() -> None:
    wrong = {
        "architecture": {"operation": "maxx"},
        "settings": {"learning_rate": 2.0, "dim": 8.5, "droput": 0.1},
        "more": 1,
    }
    with pytest.raises(RecipeError) as refused:
        ConfigurationSampler(WIDE).tell(wrong, 0.0)
    assert str(refused.value).split("\n  ") == [
        "a told configuration has 6 problems",
        "more is not known; there are architecture, settings",
        "architecture.operation = 'maxx'; it must be one of concat, max, min, multiply, plus; did you mean max?",
        "settings.droput is not known; did you mean dropout?",
        "settings.dropout is missing",
        "settings.learning_rate = 2.0; it must be a number from 0.0001 to 1",
        "settings.dim = 8.5; it must be a whole number from 4 to 256",
    ]
    with pytest.raises(RecipeError, match="it = 3; it must be a table"):
        WIDE.check(3)
    with pytest.raises(RunError, match=r"fidelity = 0; give the share"):
        ConfigurationSampler(TINY).tell(TINY.decode(np.zeros(2)), 0.0, fidelity=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Float(1, 0),
        lambda: Float(0, 1, log=True),
        lambda: Float(0, math.inf),
        lambda: Int(2, 1),
        lambda: Int(0, 2.5),  # type: ignore[arg-type]  # what a recipe may hold
        lambda: AnyOf(()),
        lambda: AnyOf(("a", "a")),
        lambda: AnyOf(([1],)),  # type: ignore[arg-type]
        lambda: AnyOf((2, 1), ordered=True),
        lambda: AnyOf(("low", "high"), ordered=True),
    ],
)
def test_a_range_without_meaning_is_refused(make: Any) -> None:
    with pytest.raises(RecipeError, match=r"give|needs"):
        make()


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Float(1e-4, 1.0, log=True), (1e-4, 0.01, 1.0)),
        (Float(-2.0, 2.0), (-2.0, 0.5, 2.0)),
        (Float(0.5, 0.5), (0.5,)),
        (Int(-3, 3), range(-3, 4)),
        (Int(1, 300, log=True), range(1, 301)),
        (AnyOf((None, "a", 2, 0.5, False)), (None, "a", 2, 0.5, False)),
        (AnyOf((8, 16, 64), ordered=True), (8, 16, 64)),
    ],
)
def test_values_come_back_from_the_unit_cube(dimension: Any, values: Any) -> None:
    for value in values:
        place = dimension.encode(value)
        assert 0 <= place <= 1
        back = dimension.decode(place)
        assert type(back) is type(value)
        assert back == (pytest.approx(value) if isinstance(value, float) else value)
        assert dimension.encode(back) == place
    drawn = [dimension.decode(place) for place in np.linspace(0, 1, 101)]
    assert not any(dimension.fault(each) for each in drawn)


@pytest.mark.parametrize(
    ("dimension", "value", "nearest"),
    [
        (Float(0.003, 0.3, log=True), 0, 0.003),
        (Float(0.003, 0.3), 0.2, 0.2),
        (Int(1, 8), 7.6, 8),
        (Int(1, 8), 99, 8),
        (AnyOf((8, 16, 64), ordered=True), 30, 16),
        (AnyOf((8, 16, 64), ordered=True), 64, 64),
        (AnyOf(("a", "b")), "b", "b"),
        (AnyOf(("a", "b")), "c", "a"),
    ],
)
def test_a_value_beyond_a_range_has_a_nearest_one(dimension: Any, value: Any, nearest: Any) -> None:
    assert dimension.nearest(value) == nearest


def test_a_configuration_is_plain_json() -> None:
    for place in product((0.0, 0.3, 1.0), repeat=4):
        configuration = WIDE.decode(np.array(place))
        assert WIDE.check(json.loads(json.dumps(configuration))) == configuration
    assert WIDE.check({"settings": {"learning_rate": 1, "dropout": 0, "dim": 4}, "architecture": {"operation": "max"}})


def test_optuna_is_loaded_by_a_sampler_alone() -> None:
    script = "import sys, sif.studies.sampler; assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
