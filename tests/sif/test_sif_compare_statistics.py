"""The tests of a comparison: right size where nothing differs, power where something does, Holm's correction."""

from itertools import product

import numpy as np
import pytest

from sif.compare import holm, paired
from sif.errors import DataError


def two_methods(generator: np.random.Generator, users: int, methods: int = 1) -> np.ndarray:
    """Metrics as rankings have them: zero for half of the users, skewed for the rest; `[1 + methods, users]`."""
    shape = (1 + methods, users)
    return np.where(generator.random(shape) < 0.5, 0.0, generator.beta(0.6, 2.0, shape))


def test_the_test_errs_as_often_as_it_says_where_nothing_differs():
    """600 pairs of equal methods at level 5 %: 30 false findings expected, 13 to 49 within 3.5 deviations."""
    generator = np.random.default_rng(1)
    found = 0
    for number in range(600):
        ours, theirs = two_methods(generator, 50)
        found += paired(ours, theirs, flips=199, resamples=10, seed=number)[0].p <= 0.05
    assert 13 <= found <= 49


def test_a_planted_difference_is_found():
    """A fifth of a deviation on 900 users: a test of the mean has power 99.98 %; of ten, all are found."""
    generator = np.random.default_rng(2)
    for number in range(10):
        ours, theirs = two_methods(generator, 900)
        result = paired(ours + 0.2 * (ours - theirs).std(), theirs, flips=999, resamples=999, seed=number)[0]
        assert result.p < 0.05
        assert result.low > 0


def test_few_users_have_the_p_value_of_all_their_signs():
    """Eight users have 256 choices of signs; the share of them as far from 0 is known exactly."""
    generator = np.random.default_rng(3)
    differences = generator.normal(0.4, 1.0, 8)
    every = np.array([np.mean(differences * signs) for signs in product([-1, 1], repeat=8)])
    exact = np.mean(np.abs(every) >= abs(differences.mean()) - 1e-12)
    result = paired(differences, np.zeros(8), flips=20_000, resamples=10)[0]
    assert result.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert result.difference == pytest.approx(differences.mean())


def test_the_interval_is_that_of_the_mean_over_users():
    ours, theirs = two_methods(np.random.default_rng(4), 3000)
    result = paired(ours, theirs, flips=99)[0]
    mean, error = (ours - theirs).mean(), (ours - theirs).std(ddof=1) / np.sqrt(3000)
    assert (result.low, result.high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.1 * error)


def test_equal_methods_have_p_1_and_the_least_p_is_one_of_all_flips():
    ours = np.linspace(0, 1, 40)
    same, apart = paired(ours, np.stack([ours, ours - 1]), flips=999, resamples=99)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert apart.p == 1 / 1000
    assert (apart.low, apart.high) == pytest.approx((1, 1))


def test_a_method_alone_and_among_others_has_the_same_figures():
    ours, first, second = two_methods(np.random.default_rng(5), 80, methods=2)
    together = paired(ours, np.stack([first, second]), flips=99, resamples=99)
    assert together[1] == paired(ours, second, flips=99, resamples=99)[0]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    ours, theirs = two_methods(np.random.default_rng(6), 64)
    whole = paired(ours, theirs, flips=300, resamples=300)[0]
    monkeypatch.setattr("sif.compare.statistics._ENTRIES", 64 * 100)
    parts = paired(ours, theirs, flips=300, resamples=300)[0]
    assert (parts.p, parts.low, parts.high) == pytest.approx((whole.p, whole.low, whole.high))


def test_figures_agree_with_all_flips_and_resamples_done_by_hand():
    """As written out before scipy did it: the same within the noise of as many drawings."""
    ours, theirs = two_methods(np.random.default_rng(8), 300)
    differences, draw = ours - theirs + 0.02, np.random.default_rng(9)
    flipped = np.abs((draw.choice([-1.0, 1.0], (9_999, 300)) * differences).mean(1))
    p = (1 + (flipped >= abs(differences.mean())).sum()) / 10_000
    low, high = np.quantile(differences[draw.integers(300, size=(4_999, 300))].mean(1), [0.025, 0.975])
    now = paired(differences, np.zeros(300))[0]
    assert now.p == pytest.approx(p, abs=4 * np.sqrt(2 * p * (1 - p) / 9_999))
    error = differences.std() / np.sqrt(300)
    assert (now.low, now.high) == pytest.approx((low, high), abs=4 * error * np.sqrt(2 * 7.14 / 4_999))


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_bounds_the_chance_of_one_false_finding():
    """200 families of nine equal methods at 5 %: 10 with a false finding at most expected, 20 within 3.5 deviations."""
    generator = np.random.default_rng(7)
    false, single = 0, 0
    for number in range(200):
        values = two_methods(generator, 40, methods=9)
        p = [one.p for one in paired(values[0], values[1:], flips=399, resamples=2, seed=number)]
        false, single = false + (min(holm(p)) <= 0.05), single + (min(p) <= 0.05)
    assert false <= 20
    assert single > 20  # what the correction is for


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (np.zeros(3), np.zeros(4), r"ours has shape \[3\], theirs \[4\]"),
        (np.zeros((2, 3)), np.zeros(3), r"ours has shape \[2, 3\]"),
        (np.array([0, np.nan]), np.zeros(2), "a metric of some user is not finite"),
        (np.zeros(1), np.zeros(1), "1 user is too few"),
    ],
)
def test_what_cannot_be_tested(ours: np.ndarray, theirs: np.ndarray, message: str):
    with pytest.raises(DataError, match=message):
        paired(ours, theirs)
