"""What the strategies say of themselves: papers, parts, settings, spaces, and what a step of each costs."""

import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nasp_core.choice import mix
from nasp_core.errors import NaspError
from nasp_core.genotype import Genotype
from nasp_core.loop import Loop
from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.strategy import Paper, Strategy
from nasp_core.testing import Case, unsupported_reason
from nasp_core.testing.stream import ShuffledStream
from nasp_core.trials import TrialStrategy
from nasp_core.types import Active, ChoiceGroup, Mixture, Stream
from sif.extend import resolve
from sif.recipes.strategy import StrategyRecipe
from sif.strategy_store import kept_rows
from sif.testing.cases import CASES

__all__ = ["described", "first_line", "spaces_of", "step_cost"]

AnyStrategy = Strategy | TrialStrategy
_WIDTH, _CHOICES, _ROWS = 4, 3, 32
_EPOCHS, _BATCH = 3, 8
_PARTS = ("gradient", "name", "papers")  # of a multi-trial strategy: no settings
_HEADS = ("Departs from", "Fails when")


def described(name: str, *, recount: bool = False) -> dict[str, Any]:
    """Return what a strategy says of itself now (see `sif.strategy_rows.describe_strategy`).

    Where it runs and what a step costs are taken from the kept row while its parts are those of the row, else counted.
    """
    strategy = StrategyRecipe(name=name).make()
    factory = resolve("strategy", name, STRATEGIES)
    row = {
        "name": name,
        "kind": "one-shot" if isinstance(strategy, Strategy) else "multi-trial",
        "about": first_line(factory),
        "papers": [asdict(paper) for paper in strategy.papers],
        "parts": strategy.describe(),
        "settings": _settings(factory),
        "notes": _notes(factory),
    }
    kept = {} if recount else kept_rows().get(name, {})
    counted = kept if kept.get("parts") == row["parts"] else _counted(strategy)
    return row | {key: counted[key] for key in ("spaces", "refused", "step_cost")} | {"bibtex": _cite(strategy.papers)}


def _counted(strategy: AnyStrategy) -> dict[str, Any]:
    spaces = spaces_of(strategy)
    return {
        "spaces": {space: not reasons for space, reasons in spaces.items()},
        "refused": {space: reasons for space, reasons in spaces.items() if reasons},
        "step_cost": step_cost(strategy),
    }


def first_line(factory: Callable[..., Any]) -> str:
    """Return the first line of a docstring without its full stop."""
    return (inspect.getdoc(factory) or "").partition("\n")[0].rstrip(".")


def _settings(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the settings that a recipe can write, with their defaults."""
    parameters = inspect.signature(factory).parameters.values() if callable(factory) else ()
    return {each.name: _plain(each.default) for each in parameters if each.name not in _PARTS}


def _plain(value: Any) -> Any:
    """Return a default as JSON holds it; a part, such as a score, as its text."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _notes(factory: Callable[..., Any]) -> list[str]:
    """Return the paragraphs of a docstring that say where it departs from its source, and when it fails."""
    notes: list[str] = []
    inside = False
    for line in (inspect.getdoc(factory) or "").splitlines():
        begins = line.startswith(_HEADS)
        if begins:
            notes.append(line.strip())
        elif inside and line.strip() and not re.match(r"[A-Z][a-z]+( [a-z]+)*:", line):
            notes[-1] += " " + line.strip()
        else:
            inside = False
        inside = inside or begins
    return notes


def _cite(papers: tuple[Paper, ...]) -> str:
    return "\n\n".join(paper.bibtex() for paper in papers)


def spaces_of(strategy: AnyStrategy) -> dict[str, list[str]]:
    """Return the spaces by name, each with the reasons why a strategy does not begin there; an empty list: it does.

    Asked are the spaces of the conformance suite, as small as they are there; of a space with several cases, any case
    on which the strategy begins counts for it.
    """
    reasons: dict[str, list[str | None]] = {}
    for case in map(_kept, CASES):
        space = case.space()
        if not type(space).__module__.startswith("nasp_core.testing"):  # a problem of tests, not a space to search
            reasons.setdefault(space.name, []).append(unsupported_reason(strategy, case))
    known = {name: [text for text in texts if text is not None] for name, texts in reasons.items()}
    return {name: texts if len(texts) == len(reasons[name]) else [] for name, texts in known.items()}


@cache
def _kept(name: str) -> Case:
    """Return a case that gives the same space and task whenever it is asked: many strategies ask, none trains it."""
    case = CASES[name]
    space, task = case.space(), case.task()
    return replace(case, space=lambda: space, task=lambda: task)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the multiplications of matrix products and convolutions within the block, backward passes included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += int(count(*args, **(kwargs or {}), out_val=out))
        return out


class _Chain(Space):
    """Choices one after another, all candidates alike but for their weights: linear maps, all of one cost."""

    name, version = "chain", 1

    def __init__(self, candidates: int) -> None:
        super().__init__()
        self.groups = (ChoiceGroup("map", _CHOICES, tuple(f"map{index}" for index in range(candidates))),)
        self.maps = nn.ModuleList(
            nn.ModuleList(nn.Linear(_WIDTH, _WIDTH, bias=False) for _ in range(candidates)) for _ in range(_CHOICES)
        )

    def reset(self, generator: torch.Generator) -> None:
        """Draw every weight near the identity, so that signals neither fade nor grow."""
        with torch.no_grad():
            for parameter in self.parameters():
                noise = 0.1 * torch.randn(parameter.shape, generator=generator)
                parameter.copy_(torch.eye(_WIDTH) + noise)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return the mean of the last choice's output, `[n]`."""
        assert mixture is not None
        for choice, candidates in enumerate(self.maps):
            assert isinstance(candidates, nn.ModuleList)
            inputs = mix(list(candidates), *mixture.row("map", choice), inputs)
        return inputs.mean(dim=1)

    def genotype(self, active: Active) -> Genotype:
        """Return the names of the live maps."""
        names = self.groups[0].candidates
        return Genotype(self.name, self.version, {"map": tuple(names[index] for index in active["map"])})


class _Regression:
    """Numbers to fit, so that every part of a strategy has gradients."""

    metric, maximise = "loss", False

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(_ROWS, _WIDTH, generator=generator)
        self.target = self.inputs.sum(dim=1) * 0.5

    def stream(self, split: str, batch_size: int, seed: int) -> Stream:
        """Return the batches; both parts are the same."""
        return ShuffledStream(self.inputs, self.target, batch_size, seed)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error."""
        return functional.mse_loss(output, target)

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return the loss."""
        return {"loss": float(self.loss(predict(self.inputs), self.target))}


def step_cost(strategy: AnyStrategy, candidates: int = 8) -> float | None:
    """Return how many operations a step of a strategy takes, in steps of `nasp`; None for a multi-trial strategy.

    Counted, not timed: the products of a whole small search (the selection after it not included), forward and
    backward, architecture and weight steps, on a chain of choices of `candidates` linear maps each. A strategy that
    refuses the chain is counted on the conformance suite's space of convolutional cells, and `nasp` beside it.
    The same on every machine. None too where a strategy refuses both, or never multiplies.
    """
    if not isinstance(strategy, Strategy):
        return None
    for place in (f"chain {candidates}", "conv-cell"):
        own, of_nasp = _products(strategy, place), _products_of_nasp(place)
        if own is not None and of_nasp:
            return own / of_nasp
    return None


def _products(strategy: Strategy, place: str) -> int | None:
    case = _place(place)
    training = Training(epochs=_EPOCHS, batch_size=_BATCH, evaluate_every=0, optimiser=Optimiser(learning_rate=0.01))
    if unsupported_reason(strategy, case) is not None:
        return None
    with torch.random.fork_rng(devices=[]), _Operations() as counted:
        try:
            Loop(case.space(), case.task(), training, strategy=strategy, label="search").run()
        except NaspError:
            return None
    total: int = counted.total
    return total


@cache
def _products_of_nasp(place: str) -> int | None:
    nasp = make_strategy("nasp")
    assert isinstance(nasp, Strategy)
    return _products(nasp, place)


def _place(name: str) -> Case:
    chain, _, candidates = name.partition(" ")
    if chain == "chain":
        return Case(name, lambda: _Chain(int(candidates)), _Regression, lambda space, active, network: None)
    return CASES[name]
