"""What every multi-trial strategy keeps: valid points, none twice, the seed's order, resuming; better than chance."""

import importlib
import math
import statistics
from typing import Any

import pytest
import torch
from trial_samples import LEARNERS, PlantedTable, bench_space, valid

from nasp_core.errors import SearchError
from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.state import pack, restore
from nasp_core.testing.conformance import same
from nasp_core.trials import TRIALS, Proposal, SearchContext, TrialStrategy, explore
from nasp_core.trials.points import key_of
from sif.testing.cases import CASES

TABLE = PlantedTable()
SCREEN = {"pool": 6, "batch_size": 8}


def learner(name: str, trials: int) -> TrialStrategy:
    return STRATEGIES[name](trials=trials, **LEARNERS[name])


def quick(name: str) -> TrialStrategy:
    """The strategy with as small a start as it has, for any space."""
    small = {"startup": 3, "batch": 2, "pool": 10, "population": 3, "sample": 2, "starts": 2, "trees": 3}
    small |= {"hidden": 4, "epochs": 2, "unlabelled": 2, "candidates": 3, "limit": 20, "trials": 8}
    known = make_strategy(name).describe()["trials"]
    own = {key: value for key, value in small.items() if f"{key}=" in known}
    return STRATEGIES[name](**(own | SCREEN if name == "screen" else own))


def test_every_strategy_that_learns_is_planted() -> None:
    assert set(LEARNERS) == set(TRIALS) - {"random", "enumerate", "screen"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [name for name in TRIALS if name != "enumerate"])
def test_proposals_are_points_of_the_space_and_new(name: str, case: str) -> None:
    space = CASES[case].space()
    context = SearchContext(space, CASES[case].task() if name == "screen" else None)
    draw = torch.Generator().manual_seed(4)

    def judge(proposal: Proposal) -> float:
        score = float(torch.randn((), generator=draw))
        return -math.inf if score < -1 else score

    results = explore(context, quick(name), judge, seed=1)
    assert results
    for proposal, _ in results:
        assert valid(space, proposal.active), proposal
        assert 0 < proposal.fidelity <= 1
    whole = [(key_of(proposal.active), proposal.fidelity) for proposal, _ in results]
    assert len(set(whole)) == len(whole), "a point was tried twice"
    assert sum(proposal.fidelity for proposal, _ in results) <= 8 + 1e-9


@pytest.mark.parametrize("name", LEARNERS)
def test_the_order_is_the_seeds_and_torchs_global_generator_stays(name: str) -> None:
    context = SearchContext(bench_space())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = explore(context, learner(name, 14), TABLE.judge, seed=5)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert explore(context, learner(name, 14), TABLE.judge, seed=5) == first
    assert explore(context, learner(name, 14), TABLE.judge, seed=6) != first


@pytest.mark.parametrize("name", LEARNERS)
def test_resuming_at_any_score_proposes_what_would_have_been_proposed(name: str) -> None:
    """A state saved after any score, put into a new strategy, goes on to the same states, bit for bit."""
    context, strategy = SearchContext(bench_space()), learner(name, 13)
    state = strategy.init(context, torch.Generator().manual_seed(3))
    saved, asked = [pack(state)], list[Proposal]()
    while (proposal := strategy.ask(context, state)) is not None:
        strategy.tell(context, state, proposal, TABLE.judge(proposal))
        saved.append(pack(state))
        asked.append(proposal)
    assert len(asked) >= 13
    for at in range(0, len(asked), 1 if len(asked) < 20 else 3):
        anew = learner(name, 13)
        again: Any = restore(anew.init(context, torch.Generator().manual_seed(3)), saved[at])
        for number in range(at, min(at + 3, len(asked))):
            proposal = anew.ask(context, again)
            assert proposal == asked[number], f"saved after {at}, proposal {number}"
            anew.tell(context, again, proposal, TABLE.judge(proposal))
            assert same(pack(again), saved[number + 1]), f"saved after {at}, state {number + 1}"


COSTLY = {"nao", "reinforce", "weak-predictor", "anasod", "bayes-wl", "tpe"}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow) if each in COSTLY else each for each in LEARNERS]
)
def test_learning_beats_drawing_on_a_planted_table(name: str) -> None:
    """Mean regret over 10 seeds at 40 trainings is at most 0.8 of that of random search (over 60 seeds)."""
    context = SearchContext(bench_space())
    drawn = [TABLE.regret(explore(context, STRATEGIES["random"](trials=40), TABLE.judge, seed=s)) for s in range(60)]
    found = [TABLE.regret(explore(context, learner(name, 40), TABLE.judge, seed=s)) for s in range(10)]
    assert statistics.mean(found) <= 0.8 * statistics.mean(drawn), (statistics.mean(found), statistics.mean(drawn))


@pytest.mark.parametrize("name", LEARNERS)
def test_failures_and_a_space_walked_through_are_no_end(name: str) -> None:
    """Where every score is -inf, and where a space has five points alone, a strategy goes on until it is told all."""
    context = SearchContext(bench_space())
    results = explore(context, learner(name, 12), lambda _: -math.inf, seed=0)
    assert sum(each.proposal.fidelity for each in results) > 11
    small = SearchContext(CASES["interaction"].space())
    tried = explore(small, learner(name, 50), lambda p: float(p.active["operation"][0]), seed=0)
    assert {p.active["operation"][0] for p, _ in tried} == set(range(5))
    whole = [p.active["operation"][0] for p, _ in tried if p.fidelity == 1]
    assert max(whole) == 4 if name != "asha" else whole
    assert len(whole) == len(set(whole))


@pytest.mark.parametrize("name", [*LEARNERS, "screen"])
def test_budgets_below_one_are_refused_by_name(name: str) -> None:
    with pytest.raises(SearchError, match=rf"^{name}: trials = 0; it must be: trials 1 or more"):
        make_strategy(name, trials=0)


@pytest.mark.parametrize(("name", "library", "package"), [("tpe", "optuna", "Optuna"), ("asha", "optuna", "Optuna")])
def test_without_optuna_the_error_names_the_extra(
    name: str, library: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _missing(monkeypatch, library)
    with pytest.raises(SearchError) as error:
        make_strategy(name).init(SearchContext(bench_space()), torch.Generator())  # type: ignore[union-attr]
    assert str(error.value) == (
        f"strategy {name!r} needs {package}, which is not installed: pip install 'sif-nas[{library}]'"
    )


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    _missing(monkeypatch, "sklearn")
    with pytest.raises(SearchError) as error:
        make_strategy("weak-predictor").init(SearchContext(bench_space()), torch.Generator())  # type: ignore[union-attr]
    assert str(error.value) == (
        "strategy 'weak-predictor' needs scikit-learn, which is not installed: pip install 'sif-nas[scikit-learn]'"
    )


def _missing(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    real = importlib.import_module

    def absent(name: str, package: str | None = None) -> Any:
        if name.split(".")[0] == library:
            raise ModuleNotFoundError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)


def test_screen_needs_a_task_and_takes_the_best_scored_first() -> None:
    with pytest.raises(SearchError, match="scores networks on a batch of the task, and a table of results has none"):
        explore(SearchContext(bench_space()), make_strategy("screen", **SCREEN), TABLE.judge, seed=0)  # type: ignore[arg-type]
    case = CASES["nas-bench-201"]
    context = SearchContext(case.space(), case.task())
    strategy = STRATEGIES["screen"](trials=3, proxy="grad-norm", **SCREEN)
    state = strategy.init(context, torch.Generator().manual_seed(0))
    asked = []
    while (proposal := strategy.ask(context, state)) is not None:
        asked.append(key_of(proposal.active))
        strategy.tell(context, state, proposal, 0.0)
    from nasp_core.proxies import make_proxy, proxy_judge

    judge = proxy_judge(make_proxy("grad-norm"), *context, batch_size=8, seed=state["seed"])  # type: ignore[arg-type]
    values = {key_of(point): judge(Proposal(point)) for point in map(_tuples, state["ranked"])}
    assert len(values) == 6
    assert asked == sorted(values, key=lambda key: -values[key])[:3]


def _tuples(saved: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(picks) for name, picks in saved.items()}


def test_screen_says_why_a_score_fits_nothing() -> None:
    case = CASES["interaction"]
    strategy = STRATEGIES["screen"](proxy="naswot", **SCREEN)
    with pytest.raises(SearchError, match="strategy 'screen': proxy 'naswot' fits no point of the pool: "):
        explore(SearchContext(case.space(), case.task()), strategy, lambda _: 0.0, seed=0)
