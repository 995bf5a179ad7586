"""The protocol of multi-trial strategies: shares, orientation, failures, and the loop without training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from nasp_core.errors import SearchError
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts import FirstOrder
from nasp_core.search import search, train_genotype
from nasp_core.state import pack
from nasp_core.strategy import Gradient, Paper
from nasp_core.trials import Enumerate, Proposal, Random, SearchContext, TrialStrategy, explore
from nasp_core.types import State
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.testing.planted import PlantedTask

SHORT = Training(epochs=4, batch_size=16, optimiser=Optimiser(learning_rate=0.1))


def space() -> InteractionSpace:
    return InteractionSpace((9, 8), InteractionSettings(embedding_dim=2, hidden=0))


def task() -> PlantedTask:
    return PlantedTask("max", (9, 8), density=0.9)


@dataclass(frozen=True)
class Script:
    """Proposes what it was given and keeps what it was told."""

    script: Sequence[tuple[int, float]]
    gradient: Gradient = FirstOrder()
    name: str = "script"
    papers: tuple[Paper, ...] = ()

    def init(self, context: SearchContext, generator: torch.Generator) -> State:
        return {"results": [], "task": context.task is not None, "draw": float(torch.rand((), generator=generator))}

    def ask(self, context: SearchContext, state: State) -> Proposal | None:
        at = len(state["results"])
        if at >= len(self.script):
            return None
        pick, share = self.script[at]
        return Proposal({"operation": (pick,)}, share)

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        state["results"].append([list(proposal.active["operation"]), proposal.fidelity, score])

    def describe(self) -> dict[str, str]:
        return {"trials": f"Script({self.script})", "gradient": self.gradient.describe()}


def test_a_share_trains_that_part_of_the_epochs_and_only_whole_trainings_win() -> None:
    found = search(space(), task(), Script([(0, 0.5), (0, 0.01), (1, 1.0), (2, 0.25)]), SHORT)
    assert [record.get("fidelity") for record in found.trace] == [0.5, 0.01, None, 0.25]
    assert [record["epochs"] for record in found.trace] == [2, 1, 4, 1]
    assert found.genotype.choices["operation"] == (space().settings.operations[1],)
    assert found.metric == found.trace[2]["valid"]["rmse"]
    half = space().genotype({"operation": (0,)})
    alone = train_genotype(space().build(half), task(), replace(SHORT, epochs=2), key=half.key())
    assert alone.metrics == found.trace[0]["valid"]
    assert found.scores[half.key()] == found.trace[1]["valid"]["rmse"]


def test_where_no_training_was_whole_the_best_of_the_largest_share_is_trained_in_full() -> None:
    found = search(space(), task(), Script([(0, 0.25), (1, 0.5), (2, 0.5), (3, 0.25)]), SHORT)
    halves = {record["genotype"]: record["valid"]["rmse"] for record in found.trace if record.get("fidelity") == 0.5}
    assert len(halves) == 2
    assert len(found.trace) == 5
    assert found.trace[-1]["genotype"] == min(halves, key=halves.__getitem__) == found.genotype.key()
    assert found.metric == found.trace[-1]["valid"]["rmse"]
    assert found.network is not None


class Wild(PlantedTask):
    """Its loss is infinite wherever the output is that of the operations in `wild`, told by their number of calls."""

    fails: tuple[int, ...] = ()
    point = -1

    def stream(self, split: Any, batch_size: int, seed: int) -> Any:
        if split == "train":
            self.point += 1
        return super().stream(split, batch_size, seed)

    def loss(self, output: torch.Tensor, target: Any) -> torch.Tensor:
        loss = super().loss(output, target)
        return loss * math.inf if self.point in self.fails else loss


def wild(*fails: int) -> Wild:
    made = Wild("max", (9, 8), density=0.9)
    made.fails = fails
    return made


def test_a_trial_that_diverges_is_one_point_less() -> None:
    class Keeps(Script):
        seen: list[float]

        def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
            super().tell(context, state, proposal, score)
            receiving.append(score)

    receiving: list[float] = []
    found = search(space(), wild(0, 2), Keeps([(0, 1.0), (1, 1.0), (2, 1.0)]), SHORT)
    assert receiving == [-math.inf, -found.metric, -math.inf]
    assert [record["epochs"] for record in found.trace] == [0, 4, 0]
    assert ["valid" in record for record in found.trace] == [False, True, False]
    assert list(found.scores) == [found.genotype.key()]
    with pytest.raises(SearchError, match="loss"):
        search(space(), wild(0, 1), Script([(0, 1.0), (1, 1.0)]), SHORT)


def test_scores_are_oriented() -> None:
    class Rising(PlantedTask):
        metric, maximise = "rmse", True

    receiving: dict[str, list[float]] = {}
    for name, given in (("falling", task()), ("rising", Rising("max", (9, 8), density=0.9))):

        class Hears(Script):
            def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
                super().tell(context, state, proposal, score)
                receiving.setdefault(name, []).append(score)  # noqa: B023

        search(space(), given, Hears([(0, 1.0), (1, 1.0)]), SHORT)
    assert receiving["falling"] == [-score for score in receiving["rising"]]
    assert min(receiving["rising"]) > 0


def test_explore_tells_what_the_judge_says() -> None:
    scores = {0: 1.0, 1: math.nan, 2: -math.inf, 3: 2.0}

    def judge(proposal: Proposal) -> float:
        pick = proposal.active["operation"][0]
        if pick == 4:
            raise SearchError("it diverged")
        return scores[pick]

    context = SearchContext(space())
    results = explore(context, Enumerate(), judge, seed=0)
    assert [each.score for each in results] == [1.0, -math.inf, -math.inf, 2.0, -math.inf]
    assert [each.proposal.active["operation"][0] for each in results] == [0, 1, 2, 3, 4]
    assert explore(context, Random(trials=4), judge, seed=1) == explore(context, Random(trials=4), judge, seed=1)
    assert explore(context, Random(trials=4), judge, seed=1) != explore(context, Random(trials=4), judge, seed=2)


def test_explore_counts_shares_and_stops_in_time() -> None:
    script = Script([(0, 0.5), (1, 0.5), (2, 0.5), (3, 1.0)])
    context = SearchContext(space())
    assert [each.proposal.fidelity for each in explore(context, script, lambda _: 0.0, seed=0, evaluations=1.7)] == [
        0.5,
        0.5,
        0.5,
    ]
    assert len(explore(context, script, lambda _: 0.0, seed=0, evaluations=1)) == 2
    assert explore(context, script, lambda _: 0.0, seed=0, seconds=0.0) == []


def test_a_script_meets_the_protocol_and_its_state_is_plain() -> None:
    script = Script([(0, 1.0)])
    assert isinstance(script, TrialStrategy)
    assert pack(script.init(SearchContext(space()), torch.Generator().manual_seed(1)))["results"] == []
