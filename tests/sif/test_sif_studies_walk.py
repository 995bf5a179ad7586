"""The walk of a small network that leads a study: it finds the best settings nearby, and ends."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import sif
from sif.ranges import AnyOf, Float
from sif.studies.walk import next_point

RANGES = {
    "bias_l2": Float(0.003, 0.1, log=True),
    "l2_frequency": AnyOf((0.0, 0.5, 1.0), ordered=True),
    "learning_rate": Float(0.001, 0.02, log=True),
}
OWN = {"bias_l2": 0.02, "l2_frequency": 0.5, "learning_rate": 0.005}


def walked(loss, own=OWN, most=200):
    """Return the settings at which a walk from `own` ends, and all that it tried."""
    best, tried = {}, [{}]
    while len(tried) < most and (point := next_point(best, own, tried, RANGES)) is not None:
        tried.append(point)
        if loss({**own, **point}) < loss({**own, **best}):
            best = point
    return {**own, **best}, tried


def test_the_walk_finds_the_settings_that_a_bowl_is_lowest_at():
    wanted = {"bias_l2": 0.06, "l2_frequency": 0.0, "learning_rate": 0.002}

    def loss(point):
        logs = [(math.log(point[key]) - math.log(wanted[key])) ** 2 for key in ("bias_l2", "learning_rate")]
        return sum(logs) + (point["l2_frequency"] - wanted["l2_frequency"]) ** 2

    found, tried = walked(loss)
    assert found["l2_frequency"] == 0.0
    assert found["bias_l2"] == pytest.approx(0.06, rel=0.15)
    assert found["learning_rate"] == pytest.approx(0.002, rel=0.15)
    assert len(tried) < 40
    assert len({tuple(sorted({**OWN, **point}.items())) for point in tried}) == len(tried), "nothing is tried twice"


def test_the_walk_stays_in_the_ranges_and_ends_where_nothing_is_better():
    found, tried = walked(lambda point: -point["bias_l2"])
    assert found["bias_l2"] == 0.1
    assert all(RANGES[key].fault(value) == "" for point in tried[1:] for key, value in point.items())
    assert next_point({}, OWN, tried, {}) is None


@pytest.mark.slow
def test_a_small_network_that_leads_is_tuned_on(tmp_path: Path):
    """Ratings of users and items apart: biases lead, and are what the study goes on with, at other settings."""
    generator = np.random.default_rng(0)
    users, items = (each.ravel() for each in np.mgrid[:36, :24])
    keep = generator.random(len(users)) < 0.4
    ratings = generator.normal(0, 1, 36)[users] + generator.normal(0, 1, 24)[items] + generator.normal(0, 0.3, 864)
    lines = [f"u{u},i{i},{r:.3f}" for u, i, r, k in zip(users, items, ratings, keep, strict=True) if k]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item,rating", *lines]))
    settings = {"baselines.names": ["biases"], "study.goal": "rating", "space.biases": ["off"], "space.bias_l2": 0.0}
    settings |= {"train.epochs": 16, "train.min_steps": 0, "space.encodings": ["history"], "space.embedding_dim": 2}
    settings |= {"train.batch_size": 16, "train.optimiser.learning_rate": 0.02}
    run = sif.search(
        tmp_path / "mine.csv", recipe="ratings", budget="16trials", settings=settings, out=tmp_path / "run"
    )
    steps = [json.loads(line) for line in (tmp_path / "run" / "trials.jsonl").read_text().splitlines()]
    tuned = [step for step in steps if step.get("rival") == "biases"]
    assert tuned[0]["settings"] == {}
    assert len(tuned) > 1
    assert len({json.dumps(step["settings"]) for step in tuned}) == len(tuned)
    best = min(tuned, key=lambda step: step["value"])
    assert run.result["rows"]["biases"]["settings"] == best["settings"]
