"""The entry `search`, its multi-trial strategies, and training single points."""

import io
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from nasp_core.errors import ResumeError, SearchError
from nasp_core.evaluation import evaluate
from nasp_core.loop import Observer
from nasp_core.methods.darts import darts
from nasp_core.methods.nasp import nasp
from nasp_core.methods.nasp_ranked import nasp_ranked
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts import Argmax, Box, FirstOrder, OneHot
from nasp_core.search import Found, search, train_genotype
from nasp_core.state import pack
from nasp_core.strategy import SelectContext, Strategy
from nasp_core.testing.conformance import same
from nasp_core.trials import Enumerate, Random, TrialStrategy
from nasp_core.types import Active, Mixture, State
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.tensor import TensorInteractionSpace
from sif.testing.planted import PlantedTask

SHORT = Training(epochs=2, batch_size=16, optimiser=Optimiser(learning_rate=0.1))


def space(hidden: int = 0, **more: Any) -> InteractionSpace:
    return InteractionSpace((9, 8), InteractionSettings(embedding_dim=2, hidden=hidden, **more))


def task() -> PlantedTask:
    return PlantedTask("max", (9, 8), density=0.9)


def keys(found: Any) -> list[str]:
    return [record["genotype"] for record in found.trace if record["phase"] == "trial"]


@pytest.mark.parametrize("seed", range(5))
def test_random_never_repeats_while_points_are_left(seed: int) -> None:
    found = search(space(), task(), Random(trials=5), SHORT, seed=seed)
    assert sorted(keys(found)) == sorted(f"operation={name}" for name in space().settings.operations)


def test_random_stops_when_nothing_is_new_and_its_order_is_the_seeds() -> None:
    runs = [keys(search(space(), task(), Random(trials=50), SHORT, seed=seed)) for seed in range(4)]
    assert all(len(run) == 5 for run in runs)
    assert len({tuple(run) for run in runs}) > 1


def test_enumerate_visits_all_points_in_order_and_the_best_wins() -> None:
    found = search(space(), task(), Enumerate(), SHORT)
    assert keys(found) == [f"operation={name}" for name in space().settings.operations]
    assert set(found.scores) == set(keys(found))
    assert found.metric == min(found.scores.values()) == found.scores[found.genotype.key()]
    assert found.network is not None
    assert evaluate(found.network, task())["rmse"] == pytest.approx(found.metric, rel=1e-6)


def test_enumerate_refuses_too_many() -> None:
    tensor = TensorInteractionSpace((4, 3, 2), InteractionSettings(operations=("plus_plus", "max_max", "min_min")))
    with pytest.raises(SearchError) as error:
        search(tensor, PlantedTask("max_max", (4, 3, 2)), Enumerate(limit=2), SHORT)
    assert str(error.value) == ("space 'tensor-interaction' has more than 2 points; use random, or a one-shot strategy")
    assert len(search(tensor, PlantedTask("max_max", (4, 3, 2), density=1.0), Enumerate(limit=3), SHORT).scores) == 3


def test_a_search_without_trials_is_an_error() -> None:
    with pytest.raises(SearchError) as error:
        search(space(), task(), Random(trials=0), SHORT)
    assert str(error.value) == "Random(trials=0): it must be 1 or more"


def test_trial_strategies_meet_the_protocol() -> None:
    assert isinstance(Random(), TrialStrategy)
    assert isinstance(Enumerate(), TrialStrategy)
    assert not isinstance(nasp(), TrialStrategy)


def test_a_point_has_one_metric_whoever_trains_it() -> None:
    everything = search(space(), task(), Enumerate(), SHORT, seed=5)
    some = search(space(), task(), Random(trials=2), SHORT, seed=5)
    alone = space()
    genotype = alone.genotype({"operation": (2,)})
    trained = train_genotype(alone.build(genotype), task(), SHORT, key=genotype.key(), seed=5)
    assert trained.metrics["rmse"] == everything.scores[genotype.key()]
    assert len(some.scores) == 2
    assert all(metric == everything.scores[key] for key, metric in some.scores.items())
    ranked = search(space(), task(), nasp_ranked(epoch_divisor=1.0), SHORT, seed=5)
    for record in ranked.trace:
        if record["phase"] == "finalist":
            assert record["valid"]["rmse"] == everything.scores[record["genotype"]]


def test_trials_learn_the_continuous_parameters_and_freeze_them_in_the_final_training() -> None:
    fast = Enumerate(gradient=FirstOrder(lr=0.1))
    found = search(space(hidden=3, operations=("max",)), task(), fast, SHORT)
    slow = search(space(hidden=3, operations=("max",)), task(), Enumerate(gradient=FirstOrder(lr=1e-6)), SHORT)
    assert found.network is not None
    for name, values in found.genotype.parameters.items():
        learned = torch.tensor(values)
        assert not torch.allclose(learned, torch.tensor(slow.genotype.parameters[name]), atol=1e-3)
        assert torch.equal(dict(found.network.elementwise.named_parameters())[name], learned)  # type: ignore


def test_the_supernets_metric_is_that_of_the_best_architecture() -> None:
    built = space()
    found = search(built, task(), nasp(alpha_lr=0.1), SHORT)
    assert found.network is None
    assert found.scores == {}
    assert [record["phase"] for record in found.trace] == ["search", "search"]
    assert found.seconds > 0


@dataclass(frozen=True)
class Two(Argmax):
    """Trains two points alone, the first on the final schedule, the second on a short one; takes `pick`."""

    pick: int = 0

    def select(self, context: SelectContext) -> Active:
        first = context.trained_metric({"operation": (0,)}, context.final)
        assert context.trained_metric({"operation": (0,)}, context.final) == first
        context.trained_metric({"operation": (1,)}, SHORT)
        assert context.supernet_metric({"operation": (0,)}) != context.supernet_metric({"operation": (1,)})
        return {"operation": (self.pick,)}


LONGER = Training(epochs=3, batch_size=16, optimiser=Optimiser(learning_rate=0.1))


def two(pick: int) -> Found:
    return search(space(), task(), Strategy(Box(), OneHot(), FirstOrder(), Two(pick)), SHORT, final=LONGER, seed=4)


@pytest.mark.parametrize("pick", [0, 1])
def test_a_find_trained_alone_has_the_metric_of_that_training(pick: int) -> None:
    found, alone = two(pick), space()
    finals = [(r["genotype"], r["epochs"]) for r in found.trace if r["phase"] == "finalist"]
    assert finals == [("operation=plus", 3), ("operation=multiply", 2)], "asked twice, trained once"
    expected = {}
    for index, schedule in enumerate((LONGER, SHORT)):
        genotype = alone.genotype({"operation": (index,)})
        trained = train_genotype(alone.build(genotype), task(), schedule, key=genotype.key(), seed=4)
        expected[genotype.key()] = trained.metrics["rmse"]
    assert found.scores == expected
    assert found.metric == expected[found.genotype.key()]
    assert found.network is None, "a finalist's training is no final one"


def test_a_find_not_trained_alone_has_the_supernets_metric() -> None:
    built = space()
    strategy = Strategy(Box(), OneHot(), FirstOrder(), Two(2))
    found = search(built, task(), strategy, SHORT)
    assert "operation=max" not in found.scores
    assert found.metric == evaluate(built, task(), Mixture(active={"operation": (2,)}))["rmse"]


def test_scores_name_every_point_trained_alone() -> None:
    found = search(space(), task(), nasp_ranked(), SHORT)
    finalists = [record["genotype"] for record in found.trace if record["phase"] == "finalist"]
    assert len(finalists) == 3
    assert list(found.scores) == finalists
    assert found.metric == found.scores[found.genotype.key()] == min(found.scores.values())


class Tape(Observer):
    """Hears what is trained and logged; keeps the state after the supernet's step `at` and after every finalist."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.asked = at, 0
        self.began: list[tuple[str, int, int]] = []
        self.records: list[dict[str, Any]] = []
        self.saved: list[State] = []

    def started(self, what: str, steps: int, done: int) -> None:
        self.began.append((what, steps, done))

    def logged(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def checkpoint_due(self) -> bool:
        self.asked += 1
        return self.asked == self.at or (bool(self.records) and self.records[-1]["phase"] == "finalist")

    def save(self, packed: State) -> None:
        file = io.BytesIO()
        torch.save(packed, file)
        file.seek(0)
        self.saved.append(torch.load(file, weights_only=True))


@pytest.mark.parametrize("hidden", [0, 3])
def test_resuming_within_the_finals_trains_no_finished_finalist_again(hidden: int) -> None:
    def run(tape: Tape, resume: State | None = None) -> tuple[Found, InteractionSpace]:
        built = space(hidden)
        return search(built, task(), nasp_ranked(alpha_lr=0.1), SHORT, seed=2, observer=tape, resume=resume), built

    tape = Tape()
    whole, supernet = run(tape)
    finalists = 3 if hidden == 0 else 5
    steps = tape.began[0][1]
    assert [len(packed["finals"]) for packed in tape.saved] == list(range(1, finalists + 1))
    for done, packed in enumerate(tape.saved, start=1):
        again = Tape()
        found, resumed = run(again, packed)
        assert again.began == [("search", steps, steps), *tape.began[1 + done :]], "a finished training began again"
        assert again.records == tape.records[len(tape.records) - finalists + done :]
        assert (found.genotype, found.metric, found.scores) == (whole.genotype, whole.metric, whole.scores)
        assert list(found.scores) == list(whole.scores)
        assert found.trace == whole.trace
        assert same(pack(supernet), pack(resumed))


def test_a_state_with_another_final_schedule_is_refused() -> None:
    tape = Tape()
    search(space(), task(), nasp_ranked(), SHORT, observer=tape)
    with pytest.raises(ResumeError, match="of another search"):
        search(space(), task(), nasp_ranked(), SHORT, final=LONGER, resume=tape.saved[-1])


def test_a_state_of_another_search_is_refused() -> None:
    relaxed = Tape(at=1)
    search(space(), task(), nasp(), SHORT, observer=relaxed)
    with pytest.raises(ResumeError) as error:
        search(space(), task(), nasp(), SHORT, seed=1, resume=relaxed.saved[0])
    first, saved, now = str(error.value).split("\n")
    assert first == "the saved state is of another search; start afresh, or give its own settings"
    assert saved.startswith("  saved: search; seed 0; Training(epochs=2, ")
    assert now == saved.replace("  saved: ", "  now:   ").replace("seed 0", "seed 1")


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        (Random(trials=3), {}),
        (Enumerate(), {}),
        (Random(gradient=FirstOrder(lr=0.5)), {}),
        (Random(), {"seed": 1}),
        (Random(), {"final": LONGER}),
    ],
)
def test_trials_of_another_search_are_refused(strategy: TrialStrategy, more: dict[str, Any]) -> None:
    tape = Tape(at=1)
    search(space(), task(), Random(), SHORT, observer=tape)
    with pytest.raises(ResumeError) as error:
        search(space(), task(), strategy, SHORT, **more, resume=tape.saved[0])
    first, saved, now = str(error.value).split("\n")
    assert first == "the saved state is of another search; start afresh, or give its own settings"
    assert saved.startswith("  saved: random; seed 0; ")
    assert now.startswith("  now:   ")


def test_a_search_keeps_no_best_epoch() -> None:
    best = replace(SHORT, keep_best=True)
    text = "keep_best belongs to the final training: a search would mix two epochs' alpha"
    for built, strategy in ((space(), nasp()), (space(hidden=3), Random())):
        with pytest.raises(SearchError) as error:
            search(built, task(), strategy, best)
        assert str(error.value) == text
    assert len(search(space(), task(), nasp_ranked(), SHORT, final=best).scores) == 3


def test_the_observer_hears_every_record_and_step() -> None:
    class Ears(Observer):
        def __init__(self) -> None:
            self.records: list[Any] = []
            self.steps = 0
            self.began: list[tuple[str, int, int]] = []

        def started(self, what: str, steps: int, done: int) -> None:
            self.began.append((what, steps, done))

        def stepped(self) -> None:
            self.steps += 1

        def logged(self, record: dict[str, Any]) -> None:
            self.records.append(record)

    for strategy in (nasp_ranked(), darts(), Random(trials=2)):
        ears = Ears()
        found = search(space(), task(), strategy, SHORT, observer=ears)
        assert ears.records == found.trace
        assert ears.steps == sum(steps for _, steps, _ in ears.began) > 0


def test_strategies_differ_where_they_should() -> None:
    """Rates and noise change the search: no setting is accepted and ignored."""
    base = search(space(), task(), nasp(), SHORT).trace
    for changed in (nasp(alpha_lr=0.1), nasp(noise=0.1), nasp(betas=(0.1, 0.2)), nasp(weight_decay=0.5)):
        assert search(space(), task(), changed, SHORT).trace != base
    assert search(space(), task(), nasp(), SHORT, seed=1).trace != base


def test_the_test_part_is_never_read() -> None:
    class Guarded(PlantedTask):
        def evaluate(self, predict: Any, split: str = "valid") -> dict[str, float]:
            assert split == "valid"
            return super().evaluate(predict, split)

    guarded = Guarded("max", (9, 8), density=0.9)
    del guarded.parts["test"]
    for strategy in (nasp_ranked(), Random(trials=1)):
        assert search(space(), guarded, strategy, SHORT).metric > 0
