"""What every strategy must keep on every space: `conform(strategy, case)` returns all that it breaks.

A strategy of your own, on the cases of your own spaces, is held to the same checks as the built-in ones:

    assert conform(my_strategy, my_case) == []

One search of the strategy on the case feeds all checks (`Subject`). A check raises AssertionError with the figures.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nasp_core.errors import SearchError
from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.network import Space
from nasp_core.search import Found, search
from nasp_core.state import pack
from nasp_core.strategy import Strategy
from nasp_core.testing.cases import Case
from nasp_core.testing.step_checks import SHORT, StepCheck, step_checks
from nasp_core.trials import SearchContext, TrialStrategy
from nasp_core.types import Mixture, State

__all__ = ["Check", "Subject", "checks_of", "conform", "same", "unsupported_reason"]

AnyStrategy = Strategy | TrialStrategy
SAVED_AT = (1, 2, 5, 7)
"""Steps after which a search may be stopped: the first, two within an epoch, one of the next."""


class _Recorder(Observer):
    """Keeps the packed state after the steps in `at` and after every finalist, each as it would come from a file."""

    def __init__(self, at: tuple[int, ...]) -> None:
        self.at, self.asked, self.finals, self.saved = at, 0, False, list[State]()

    def logged(self, record: dict[str, Any]) -> None:
        self.finals = record["phase"] == "finalist"

    def checkpoint_due(self) -> bool:
        self.asked += 1
        return self.finals or self.asked in self.at

    def save(self, packed: State) -> None:
        file = io.BytesIO()
        torch.save(packed, file)
        file.seek(0)
        self.saved.append(torch.load(file, weights_only=True))


def same(first: Any, second: Any) -> bool:
    """Return whether two packed values are equal bit for bit."""
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        return isinstance(first, Tensor) and isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


@dataclass(frozen=True)
class _Search:
    """One short search, whole: what was found, the space it left, and the states that were saved on the way."""

    found: Found
    space: Space
    outcome: State
    saved: list[State]
    moved_global: bool


class Subject:
    """A strategy on a case; its search is made once, when a check first asks for it."""

    def __init__(self, strategy: AnyStrategy, case: Case, saved_at: tuple[int, ...] = SAVED_AT) -> None:
        """Keep what is to be checked, and after which steps states are saved; nothing runs yet."""
        self.strategy, self.case, self.saved_at = strategy, case, saved_at

    @cached_property
    def whole(self) -> _Search:
        """The search, never stopped, its state saved after some steps and after each finalist."""
        return self.search(_Recorder(at=self.saved_at), global_seed=11)

    def search(self, observer: _Recorder | None = None, resume: State | None = None, global_seed: int = 12) -> _Search:
        """Search once more, with torch's global generator at another place.

        Args:
            observer: Gets the states that are saved; None: one of its own.
            resume: A saved state to go on from.
            global_seed: Where torch's global generator is, which must not matter.
        """
        space, strategy = self.case.space(), self.strategy
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        found = search(space, self.case.task(), strategy, SHORT, seed=3, observer=observer, resume=resume)
        moved = not torch.equal(before, torch.get_rng_state())
        return _Search(found, space, _outcome(found, space, strategy), observer.saved if observer else [], moved)


Check = Callable[[Subject], None]


def _outcome(found: Found, space: Space, strategy: AnyStrategy) -> State:
    """Return all that a search is judged by; the supernet's weights only where the strategy trains one."""
    network = {} if found.network is None else found.network.state_dict()
    supernet = space.state_dict() if isinstance(strategy, Strategy) else {}
    plain = {"metric": found.metric, "trace": found.trace, "scores": found.scores, "genotype": found.genotype.to_json()}
    return {**plain, "network": pack(network), "space": pack(supernet)}


def _assert_same(first: State, second: State, what: str) -> None:
    wrong = [key for key in first if not same(first[key], second[key])]
    assert not wrong, f"{what}: {', '.join(wrong)} differ: {[(first[key], second[key]) for key in wrong[:1]]}"


def describes_itself(subject: Subject) -> None:
    """A strategy has a name and says, part by part, what it is made of; equal strategies say the same."""
    strategy, described = subject.strategy, subject.strategy.describe()
    assert strategy.name, "the strategy has no name"
    assert described, "describe() is empty"
    assert all(isinstance(text, str) and text for text in described.values()), described
    if isinstance(strategy, Strategy):
        for role in ("domain", "relax", "gradient", "select"):
            part = type(getattr(strategy, role)).__name__
            assert described[role].partition("(")[0].endswith(part), (
                f"{role} is a {part}, described as {described[role]!r}"
            )


def same_seed_same_search(subject: Subject) -> None:
    """The same seed gives the same trace, genotype, metric and weights, bit for bit, whatever the global generator."""
    assert not subject.whole.moved_global, "the search moved torch's global generator"
    _assert_same(subject.whole.outcome, subject.search().outcome, "two searches with one seed")
    assert subject.whole.found.trace, "the trace is empty"


def resuming_equals_not_stopping(subject: Subject) -> None:
    """A search that goes on from a state saved at any step or finalist ends bit-equal to one never stopped."""
    assert subject.whole.saved, "the search never asked whether a checkpoint is due"
    for packed in subject.whole.saved:
        at = f"{packed.get('step', len(packed['trace']))}, finalist {len(packed.get('finals', {}))}"
        _assert_same(subject.whole.outcome, subject.search(resume=packed).outcome, f"resumed at step {at}")


def state_is_plain(subject: Subject) -> None:
    """A saved state holds plain tensors, numbers and text alone, under keys that are text."""

    def walk(value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                assert isinstance(key, str), f"{where} has the key {key!r}"
                walk(item, f"{where}.{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, f"{where}[{index}]")
        else:
            plain = value is None or isinstance(value, Tensor | bool | int | float | str)
            assert plain, f"{where} is a {type(value).__name__}"
            assert not isinstance(value, Tensor) or not value.requires_grad, f"{where} carries a graph"

    assert subject.whole.saved, "no state was saved"
    for packed in subject.whole.saved:
        walk(packed, "state")


def found_belongs_to_space(subject: Subject) -> None:
    """The architecture can be written, read, built, and has the metric reported for it; the trace has its scores."""
    found, space = subject.whole.found, subject.whole.space
    genotype = Genotype.from_json(found.genotype.to_json())
    assert genotype == found.genotype, "the genotype changes on its way through JSON"
    assert space.genotype(space.selection(genotype)).key() == genotype.key()
    task, key = subject.case.task(), genotype.key()
    alone = [record for record in found.trace if record["phase"] in ("finalist", "trial")]
    traced = {record["genotype"]: record["valid"][task.metric] for record in alone}
    assert found.scores == traced, f"scores {found.scores}, but the trace has {traced}"
    if found.network is not None:
        metric = evaluate(found.network, task)[task.metric]
    elif key in found.scores:
        metric = found.scores[key]
    else:
        metric = evaluate(space, task, Mixture(active=space.selection(genotype)))[task.metric]
    assert abs(metric - found.metric) <= 1e-6 * abs(metric), f"reported {found.metric}, measured {metric}"


_COMMON: Mapping[str, Check] = {
    "describes_itself": describes_itself,
    "same_seed_same_search": same_seed_same_search,
    "resuming_equals_not_stopping": resuming_equals_not_stopping,
    "state_is_plain": state_is_plain,
    "found_belongs_to_space": found_belongs_to_space,
}


def unsupported_reason(strategy: AnyStrategy, case: Case) -> str | None:
    """Return why a strategy does not begin on a case's space (to enumerate too many points), None where it does.

    Args:
        strategy: A one-shot or multi-trial strategy.
        case: A space with its task.
    """
    if isinstance(strategy, Strategy):
        return None
    try:
        strategy.init(SearchContext(case.space(), case.task()), torch.Generator().manual_seed(0))
    except SearchError as error:
        return str(error)
    return None


def _of_step(strategy: Strategy, check: StepCheck) -> Check:
    return lambda subject: check(strategy, subject.case)


def checks_of(strategy: AnyStrategy) -> Mapping[str, Check]:
    """Return the checks that a strategy must pass on every case, by name."""
    if not isinstance(strategy, Strategy):
        return _COMMON
    return {**_COMMON, **{name: _of_step(strategy, check) for name, check in step_checks(strategy).items()}}


def conform(strategy: AnyStrategy, case: Case, saved_at: tuple[int, ...] = SAVED_AT) -> list[str]:
    """Run every check of a strategy on a case, from one search; return what is broken, empty where nothing is.

    Args:
        strategy: The one-shot or multi-trial strategy, with a budget as small as it begins to learn with.
        case: A small space with a task.
        saved_at: The steps after which a state is saved, to be gone on from; a state after each finalist is besides.

    Returns:
        One text for each broken check: its name, and what was measured.
    """
    subject, broken = Subject(strategy, case, saved_at), []
    for name, check in checks_of(strategy).items():
        try:
            check(subject)
        except AssertionError as error:
            broken.append(f"{name}: {error}")
    return broken
