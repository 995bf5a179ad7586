"""The walk of a small network that leads a study: it finds the best settings nearby, and ends."""

import math

import pytest

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
