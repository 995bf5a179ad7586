"""Every strategy of the name table on every conformance case; a new strategy is covered by its line in the table."""

import pytest

from nasp_core.strategies import STRATEGIES, make_strategy
from nasp_core.testing import CASES, checks_of, refusal, space_checks

COMBINATIONS = [
    pytest.param(name, case, check, id=f"{name}-{case}-{check}")
    for name in STRATEGIES
    for case in CASES
    if refusal(make_strategy(name), CASES[case]) is None
    for check in checks_of(make_strategy(name))
]


@pytest.mark.parametrize(("name", "case", "check"), COMBINATIONS)
def test_strategy_conforms(name: str, case: str, check: str) -> None:
    strategy = make_strategy(name)
    checks_of(strategy)[check](strategy, CASES[case])


def test_only_too_many_points_are_refused() -> None:
    refused = {(name, case): refusal(make_strategy(name), CASES[case]) for name in STRATEGIES for case in CASES}
    reasons = {key: reason for key, reason in refused.items() if reason is not None}
    assert {name for name, _ in reasons} == {"enumerate"}
    assert {case for _, case in reasons} == {"conv-cell", "nas-bench-201"}
    assert all("has more than 500 points" in reason for reason in reasons.values())


@pytest.mark.parametrize("check", space_checks)
@pytest.mark.parametrize("case", CASES)
def test_space_conforms(case: str, check: str) -> None:
    space_checks[check](CASES[case])
