"""Every strategy of the name table on every conformance case; a new strategy is covered by its line in the table."""

import pytest

from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.strategy import Strategy
from nasp_core.testing import conform, space_checks, unsupported_reason
from nasp_core.trials import TrialStrategy
from sif.testing.cases import CASES

SMALL: dict[str, dict[str, object]] = {
    "nasp-ranked": {"finalists": 3},
    "nasp-shortlist": {"n_supernet_evals": 8, "finalists": 2, "trainings": 3, "keep": 1},
    "spos": {"n_supernet_evals": 4, "population": 2, "sample": 2},
    "fairnas": {"n_supernet_evals": 4, "population": 2, "sample": 2},
    "greedynas": {"draws": 3, "keep": 2, "n_supernet_evals": 4, "population": 2, "sample": 2},
    "shapley": {"permutations": 1, "every": 5},
    "evolution": {"trials": 3, "population": 2, "sample": 2},
    "local-search": {"trials": 3, "starts": 1},
    "reinforce": {"trials": 3, "hidden": 4},
    "tpe": {"trials": 3, "startup": 1, "candidates": 2},
    "asha": {"trials": 2, "rungs": 2},
    "weak-predictor": {"trials": 3, "startup": 2, "batch": 1, "pool": 6, "trees": 3},
    "bayes-wl": {"trials": 3, "startup": 2, "batch": 1, "pool": 6},
    "anasod": {"trials": 3, "startup": 2, "batch": 1, "pool": 6},
    "screen": {"trials": 2, "pool": 4, "batch_size": 8},
    "nao": {"trials": 3, "startup": 2, "batch": 1, "hidden": 4, "epochs": 2, "unlabelled": 3},
}
"""Budgets of strategies here: as small as they begin to learn with."""


def small(name: str) -> Strategy | TrialStrategy:
    return make_strategy(name, **SMALL.get(name, {}))


BEGIN = [(name, case) for name in STRATEGIES for case in CASES if unsupported_reason(small(name), CASES[case]) is None]


def sample() -> set[tuple[str, str]]:
    """Return each strategy on one case, and each case with three or more strategies: what a quick run checks."""
    return {(name, list(CASES)[number % len(CASES)]) for number, name in enumerate(STRATEGIES)} & set(BEGIN)


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(*pair, marks=() if pair in sample() else pytest.mark.slow, id="-".join(pair)) for pair in BEGIN],
)
def test_strategy_conforms(name: str, case: str) -> None:
    """Each is stopped at two steps of four; every strategy, and every case, has all of them in turns."""
    turn = (list(STRATEGIES).index(name) + list(CASES).index(case)) % 2
    assert conform(small(name), CASES[case], ((1, 5), (2, 7))[turn]) == []


def test_a_quick_run_has_each_strategy_and_each_case() -> None:
    quick = sample()
    assert {name for name, _ in quick} == set(STRATEGIES)
    assert min(sum(case == of for _, of in quick) for case in CASES) >= 3


def test_only_too_many_points_are_refused() -> None:
    refused = {(name, case): unsupported_reason(small(name), CASES[case]) for name in STRATEGIES for case in CASES}
    reasons = {key: reason for key, reason in refused.items() if reason is not None}
    assert {name for name, _ in reasons} == {"enumerate"}
    assert {case for _, case in reasons} == {"conv-cell", "nas-bench-201"}
    assert all("has more than 500 points" in reason for reason in reasons.values())


@pytest.mark.parametrize("check", space_checks)
@pytest.mark.parametrize("case", CASES)
def test_space_conforms(case: str, check: str) -> None:
    space_checks[check](CASES[case])
