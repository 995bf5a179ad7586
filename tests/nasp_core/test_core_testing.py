"""The conformance suite itself: each check fails on the fault that it is there for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch

from nasp_core.methods.nasp import nasp
from nasp_core.methods.nasp_ranked import nasp_ranked
from nasp_core.network import Network, Space
from nasp_core.parts import Argmax, Box, FirstOrder, OneHot, Softmax
from nasp_core.search import Found, search
from nasp_core.strategy import Domain, Gradient, Relax, Strategy
from nasp_core.testing import Case, Subject, checks_of, conform, conformance, space_checks
from nasp_core.trials import Random
from nasp_core.types import Active, Alpha, Mixture, Phase, State
from sif.spaces.interaction import InteractionSpace
from sif.testing.cases import CASES


@dataclass(frozen=True)
class Detached(Softmax):
    """Copies alpha out of the graph."""

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        loose = {name: tensor.detach().requires_grad_() for name, tensor in alpha.items()}
        return super().mixture(loose, space, phase, state, generator)


@dataclass(frozen=True)
class Unnormalised(Softmax):
    """Weights that sum to two."""

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        weights = super().mixture(alpha, space, phase, state, generator).weights or {}
        return Mixture(weights={name: 2 * tensor for name, tensor in weights.items()})


@dataclass(frozen=True)
class Disagreeing(OneHot):
    """Lives at one candidate and weighs another."""

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        mixture = super().mixture(alpha, space, phase, state, generator)
        active = {n: tuple((i + 1) % 2 for i in row) for n, row in (mixture.active or {}).items()}
        return replace(mixture, active=active)


@dataclass(frozen=True)
class Halving(Domain):
    """Brings alpha back by halves: a second time moves it again."""

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        return Box().init(space, generator, device)

    @torch.no_grad()
    def retract(self, alpha: Alpha) -> None:
        for tensor in alpha.values():
            tensor.copy_(torch.where(tensor.abs() > 1, tensor / 2, tensor))


@dataclass(frozen=True)
class Forgetful(FirstOrder):
    """Counts its steps outside of its state, so a resumed search starts counting anew."""

    memory: ClassVar[dict[str, int]] = {}

    def init(self, alpha: Alpha, space: Network) -> State:
        self.memory["steps"] = 0
        return super().init(alpha, space)

    def step(self, context: Any, state: State) -> None:
        self.memory["steps"] += 1
        super().step(context, state)
        with torch.no_grad():
            next(iter(context.alpha.values())).add_(0.001 * self.memory["steps"])


@dataclass(frozen=True)
class Global(FirstOrder):
    """Draws from torch's global generator while it is made."""

    def init(self, alpha: Alpha, space: Network) -> State:
        with torch.no_grad():
            next(iter(alpha.values())).add_(torch.rand(()))
        return super().init(alpha, space)


@dataclass(frozen=True)
class Unsaved(FirstOrder):
    """Keeps a function in its state."""

    def init(self, alpha: Alpha, space: Network) -> State:
        return super().init(alpha, space) | {"function": print}


@dataclass(frozen=True)
class FirstWins(FirstOrder):
    """Prefers the candidate at index 0, whatever it is."""

    def step(self, context: Any, state: State) -> None:
        super().step(context, state)
        with torch.no_grad():
            next(iter(context.alpha.values()))[:, 0].add_(0.3)


@dataclass(frozen=True)
class TouchesWeights(FirstOrder):
    """Changes a weight in the architecture step."""

    def step(self, context: Any, state: State) -> None:
        super().step(context, state)
        with torch.no_grad():
            context.space.weights()[0].add_(1.0)


def compose(
    relax: Relax | None = None, gradient: Gradient | None = None, domain: Domain | None = None, name: str = "broken"
) -> Strategy:
    return Strategy(domain or Box(), relax or OneHot(), gradient or FirstOrder(), Argmax(), name=name)


FAULTS = [
    (compose(Detached()), "gradient_reaches_alpha", "no gradient in any of"),
    (compose(Unnormalised()), "mixtures_are_valid", "sum to 2.0"),
    (compose(Disagreeing()), "mixtures_are_valid", "is live, but weighs"),
    (compose(domain=Halving()), "domain_is_a_projection", "retract is not idempotent"),
    (compose(domain=Box(0.0, 0.4, 0.6, 0.0)), "gradient_reaches_alpha", None),
    (compose(gradient=Forgetful()), "resuming_equals_not_stopping", "resumed at step 1, finalist 0: trace"),
    (compose(gradient=Global()), "same_seed_same_search", "moved torch's global generator"),
    (compose(gradient=FirstWins()), "permuting_candidates_permutes_the_step", "became"),
    (compose(gradient=TouchesWeights()), "step_moves_alpha", "changed a weight"),
    (compose(gradient=FirstOrder(lr=0.0)), "step_moves_alpha", "stayed at"),
    (compose(name=""), "describes_itself", "has no name"),
]


@pytest.mark.parametrize(
    ("strategy", "check", "text"), FAULTS, ids=[f"{check}-{i}" for i, (_, check, _) in enumerate(FAULTS)]
)
def test_each_check_finds_its_fault(strategy: Strategy, check: str, text: str | None) -> None:
    if text is None:
        checks_of(strategy)[check](Subject(strategy, CASES["interaction"]))
        return
    with pytest.raises(AssertionError, match=text):
        checks_of(strategy)[check](Subject(strategy, CASES["interaction"]))


def test_all_that_is_broken_is_said_at_once() -> None:
    broken = conform(compose(gradient=TouchesWeights(), name=""), CASES["interaction"])
    assert {line.partition(":")[0] for line in broken} >= {"describes_itself", "step_moves_alpha"}
    assert any("the strategy has no name" in line for line in broken)


@pytest.mark.parametrize("strategy", [nasp(), nasp_ranked(), Random()], ids=lambda strategy: strategy.name)
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (lambda found: replace(found, metric=found.metric + 0.1), "reported .*, measured"),
        (lambda found: replace(found, scores={**found.scores, "operation=none": 1.0}), "scores .*, but the trace has"),
    ],
    ids=["metric", "scores"],
)
def test_a_find_reported_wrong_is_found(
    monkeypatch: pytest.MonkeyPatch, strategy: Any, fault: Callable[[Found], Found], text: str
) -> None:
    monkeypatch.setattr(conformance, "search", lambda *args, **more: fault(search(*args, **more)))
    with pytest.raises(AssertionError, match=text):
        checks_of(strategy)["found_belongs_to_space"](Subject(strategy, CASES["interaction"]))


def test_finals_that_begin_anew_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetting(*args: Any, resume: State | None = None, **more: Any) -> Found:
        return search(*args, resume=None if resume is None else {**resume, "finals": {}}, **more)

    monkeypatch.setattr(conformance, "search", forgetting)
    strategy = nasp_ranked()
    with pytest.raises(AssertionError, match=r"resumed at step \d+, finalist 1: trace differ"):
        checks_of(strategy)["resuming_equals_not_stopping"](Subject(strategy, CASES["interaction"]))


def test_a_state_that_cannot_be_saved_is_found() -> None:
    strategy = compose(gradient=Unsaved())
    with pytest.raises(TypeError, match="a search state may not hold a builtin_function_or_method"):
        checks_of(strategy)["state_is_plain"](Subject(strategy, CASES["interaction"]))


class Lazy(InteractionSpace):
    """Resets nothing, and names every point alike."""

    def reset(self, generator: torch.Generator) -> None:
        torch.nn.init.normal_(self.embedding)

    def genotype(self, active: Active) -> Any:
        return super().genotype({"operation": (0,)})


def lazy() -> Space:
    made = CASES["interaction"].space()
    assert isinstance(made, InteractionSpace)
    return Lazy(made.sizes, made.settings)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ("reset_depends_on_seed_alone", "two resets with one seed differ"),
        ("points_are_distinct", "points named twice"),
        ("built_network_equals_restricted_space", "became"),
    ],
)
def test_each_space_check_finds_its_fault(check: str, text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        space_checks[check](replace(CASES["interaction"], space=lazy))


def test_a_wrong_transfer_is_found() -> None:
    def nothing(space: Space, active: Active, network: Network) -> None:
        """Copy no weight."""

    case: Case = replace(CASES["quadratic"], transfer=nothing)
    with pytest.raises(AssertionError, match="outputs differ by"):
        space_checks["built_network_equals_restricted_space"](case)
