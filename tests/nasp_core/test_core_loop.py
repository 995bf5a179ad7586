"""The one loop: stopping, keeping the best, schedules, clipping, errors, what it leaves alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from nasp_core.errors import SearchError
from nasp_core.evaluation import better, evaluate
from nasp_core.loop import Loop, Observer
from nasp_core.methods.nasp import nasp
from nasp_core.network import Network
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts import Argmax, Box, FirstOrder, OneHot
from nasp_core.strategy import Schedule, Strategy
from nasp_core.testing import QuadraticSettings, QuadraticSpace, QuadraticTask, ShuffledStream
from nasp_core.training import train
from nasp_core.types import Mixture, Stream


class Dot(Network):
    """output = inputs . weight, a weight of two entries that starts at one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.projected: list[Mixture | None] = []

    def reset(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.weight)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        return inputs @ self.weight

    def project_weights(self, mixture: Mixture | None) -> None:
        self.projected.append(mixture)


class Scripted:
    """A task whose validation metrics are read from a list, one an evaluation."""

    metric = "score"

    def __init__(self, scores: list[float], *, maximise: bool = False, scale: float = 1.0) -> None:
        self.scores, self.maximise, self.scale, self.weights = list(scores), maximise, scale, list[list[float]]()

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        return ShuffledStream(torch.eye(2).repeat(3, 1), torch.zeros(6), batch_size, seed)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return (output * self.scale - target).square().mean()

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        self.weights.append(predict(torch.eye(2)).tolist())
        return {"score": self.scores.pop(0)}


class Rates(Observer):
    def __init__(self) -> None:
        self.rates: list[float] = []
        self.records: list[dict[str, Any]] = []
        self.began: list[tuple[str, int, int]] = []
        self.loop: Loop | None = None

    def started(self, what: str, steps: int, done: int) -> None:
        self.began.append((what, steps, done))

    def stepped(self) -> None:
        assert self.loop is not None
        self.rates.append(self.loop.optimiser.param_groups[0]["lr"])

    def logged(self, record: dict[str, Any]) -> None:
        self.records.append(record)


SGD = Optimiser("sgd", 0.1)


def test_early_stopping_counts_validations_without_a_new_best() -> None:
    task = Scripted([5.0, 4.0, 4.5, 4.2, 3.0, 3.0, 3.0, 9.0])
    result = train(Dot(), task, Training(epochs=50, batch_size=6, optimiser=SGD, patience=2, keep_best=True))
    assert [record["valid"]["score"] for record in result.trace] == [5.0, 4.0, 4.5, 4.2]
    assert (result.epoch, result.metrics) == (2, {"score": 4.0})


def test_patience_starts_again_with_a_new_best() -> None:
    task = Scripted([5.0, 6.0, 4.0, 6.0, 3.0, 6.0, 6.0, 1.0])
    result = train(Dot(), task, Training(epochs=8, batch_size=6, optimiser=SGD, patience=2, keep_best=True))
    assert len(result.trace) == 7
    assert result.epoch == 5


def test_larger_is_better_where_the_task_says_so() -> None:
    task = Scripted([0.1, 0.3, 0.2, 0.2], maximise=True)
    result = train(Dot(), task, Training(epochs=9, batch_size=6, optimiser=SGD, patience=2, keep_best=True))
    assert (result.epoch, result.metrics, len(result.trace)) == (2, {"score": 0.3}, 4)
    assert better(task, 2.0, 1.0)
    assert not better(task, 1.0, 1.0)
    assert not better(Scripted([]), 2.0, 1.0)
    assert not better(task, float("nan"), 1.0)


@pytest.mark.parametrize("maximise", [True, False])
def test_any_number_beats_nan(maximise: bool) -> None:
    task, nan = Scripted([], maximise=maximise), float("nan")
    assert better(task, 1.0, nan)
    assert better(task, -float("inf"), nan)
    assert not better(task, nan, nan)
    assert not better(task, nan, 1.0)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_validation_metric_that_is_not_finite_is_an_error(wrong: float) -> None:
    with pytest.raises(SearchError) as error:
        train(Dot(), Scripted([1.0, wrong]), Training(epochs=3, batch_size=6, optimiser=SGD), label="search")
    assert str(error.value) == "the validation score of search is not finite in epoch 2"


def test_keep_best_ends_with_the_weights_of_the_best_epoch() -> None:
    kept, last = (Scripted([3.0, 1.0, 2.0, 2.0, 7.0]) for _ in range(2))
    best = train(Dot(), kept, Training(epochs=4, batch_size=6, optimiser=SGD, keep_best=True))
    assert best.network(torch.eye(2)).tolist() == kept.weights[1]
    assert kept.weights[1] != kept.weights[3]
    plain = train(Dot(), last, Training(epochs=4, batch_size=6, optimiser=SGD))
    assert plain.network(torch.eye(2)).tolist() == last.weights[3]
    assert (plain.epoch, plain.metrics) == (4, {"score": 7.0}), "without keep_best the last weights are measured"


def test_evaluate_every_validates_then_and_at_the_end() -> None:
    result = train(Dot(), Scripted([1.0] * 9), Training(epochs=5, batch_size=6, optimiser=SGD, evaluate_every=2))
    assert [record["epoch"] for record in result.trace if "valid" in record] == [2, 4, 5]
    never = train(Dot(), Scripted([1.0]), Training(epochs=3, batch_size=6, optimiser=SGD, evaluate_every=0))
    assert [record for record in never.trace if "valid" in record] == []


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_every_step_uses_the_schedules_rate(schedule: Literal["constant", "linear", "cosine"]) -> None:
    optimiser = Optimiser("sgd", 0.2, schedule=schedule, final_learning_rate=0.0 if schedule == "constant" else 0.05)
    observer = Rates()
    training = Training(epochs=3, batch_size=3, optimiser=optimiser)
    loop = observer.loop = Loop(Dot(), Scripted([1.0] * 4), training, observer=observer, label="mine")
    loop.run()
    assert observer.rates == [optimiser.rate(step / 6) for step in range(6)]
    assert observer.began == [("mine", 6, 0)]
    assert observer.records == loop.state["trace"]


def test_the_trace_reports_the_mean_loss_before_each_step() -> None:
    training = Training(epochs=2, batch_size=6, optimiser=SGD)
    trace = train(Dot(), Scripted([1.0] * 3), training).trace
    weight = 1.0
    for record in trace:
        assert record["loss"] == pytest.approx(weight**2)
        weight -= 0.1 * weight  # the mean over six rows of w^2, three rows an entry
    assert len(trace) == 2


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_gradient_clipping_bounds_each_step(scale: float) -> None:
    optimiser = Optimiser("sgd", 0.1, clip=0.5)
    loop = Loop(Dot(), Scripted([1.0], scale=scale), Training(epochs=1, batch_size=6, optimiser=optimiser))
    loop.run()
    moved = loop.network.weight.detach() - 1.0  # type: ignore[operator]
    assert float(moved.norm()) == pytest.approx(0.05, rel=1e-4)


def test_a_loss_that_is_not_finite_is_an_error_with_its_fix() -> None:
    task = Scripted([1.0] * 99, scale=1e3)
    with pytest.raises(SearchError) as error:
        train(Dot(), task, Training(epochs=99, batch_size=6, optimiser=Optimiser("sgd", 1e6)), label="search")
    epoch = 99 - len(task.scores) + 1
    assert str(error.value) == (
        f"the search loss stopped being finite in epoch {epoch} (learning rate 1000000.0); "
        "lower the learning rate, or set a gradient clip"
    )


def test_a_strategy_needs_a_space() -> None:
    with pytest.raises(SearchError) as error:
        Loop(Dot(), Scripted([]), Training(), strategy=nasp())
    assert str(error.value) == "a strategy needs a space: a network without choices can only be trained"


def test_a_search_keeps_no_best_epoch() -> None:
    settings = QuadraticSettings()
    training = Training(epochs=1, batch_size=8, keep_best=True)
    with pytest.raises(SearchError) as error:
        Loop(QuadraticSpace(settings), QuadraticTask(settings, rows=8), training, strategy=nasp())
    assert str(error.value) == "keep_best belongs to the final training: a search would mix two epochs' alpha"


def test_fresh_false_keeps_the_weights() -> None:
    network = Dot()
    with torch.no_grad():
        network.weight.fill_(7.0)
    Loop(network, Scripted([]), Training(), fresh=False)
    assert network.weight.tolist() == [7.0, 7.0]
    Loop(network, Scripted([]), Training())
    assert network.weight.tolist() == [1.0, 1.0]


def test_weights_are_projected_after_every_step() -> None:
    network = Dot()
    train(network, Scripted([1.0] * 3), Training(epochs=2, batch_size=2, optimiser=SGD))
    assert network.projected == [None] * 6


def test_evaluate_leaves_the_mode_and_builds_no_graph() -> None:
    network, seen = Dot(), []

    class Watching(Scripted):
        def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
            seen.append((network.training, predict(torch.eye(2)).requires_grad, split))
            return {"score": 0.0}

    for mode in (True, False):
        network.train(mode)
        evaluate(network, Watching([]), split="test")
        assert network.training is mode
    assert seen == [(False, False, "test")] * 2


@pytest.mark.parametrize("mode", [True, False])
def test_evaluate_leaves_the_mode_when_it_fails(mode: bool) -> None:
    network = Dot()
    network.train(mode)
    with pytest.raises(IndexError, match="pop from empty list"):
        evaluate(network, Scripted([]))
    assert network.training is mode


@dataclass(frozen=True)
class Every(Schedule):
    """An architecture step every `period` steps."""

    period: int

    def arch_step_due(self, step: int, progress: float) -> bool:
        assert 0.0 <= progress < 1.0
        return step % self.period == 0


@pytest.mark.parametrize(("periods", "expected"), [((), 8), ((2,), 4), ((2, 3), 2), ((1,), 8)])
def test_schedules_decide_when_the_architecture_steps(periods: tuple[int, ...], expected: int) -> None:
    settings, steps = QuadraticSettings(), []

    @dataclass(frozen=True)
    class Counting(FirstOrder):
        def step(self, context: Any, state: Any) -> None:
            steps.append(context.learning_rate)
            super().step(context, state)

    strategy = Strategy(Box(), OneHot(), Counting(), Argmax(), schedules=tuple(map(Every, periods)))
    training = Training(epochs=2, batch_size=4, optimiser=Optimiser("adagrad", 0.03))
    Loop(QuadraticSpace(settings), QuadraticTask(settings, rows=16), training, strategy=strategy).run()
    assert steps == [0.03] * expected


def test_denormals_are_flushed_within_the_run_alone() -> None:
    def flushing() -> bool:
        return float((torch.full((1,), 1e-39) * 1.0)[0]) == 0.0

    seen = []

    class Watch(Observer):
        def stepped(self) -> None:
            seen.append(flushing())

    assert not flushing()
    Loop(Dot(), Scripted([1.0] * 2), Training(epochs=1, batch_size=6, optimiser=SGD), observer=Watch()).run()
    assert seen in ([True], [False])  # a processor without the switch keeps them
    assert not flushing()


def test_a_run_ends_in_evaluation_mode_and_learns() -> None:
    settings, ratios = QuadraticSettings(), []
    training = Training(epochs=30, batch_size=32, optimiser=Optimiser(learning_rate=0.3))
    for seed in range(7):
        space, task = QuadraticSpace(settings), QuadraticTask(settings, rows=32)
        loop = Loop(space, task, training, strategy=nasp(alpha_lr=0.05), seed=seed)
        start = [p.detach().clone() for p in space.parameters()]
        trace = loop.run()["trace"]
        assert not space.training
        assert all(not torch.equal(a, b) for a, b in zip(start, space.parameters(), strict=True))
        assert set(trace[0]) == {"phase", "epoch", "loss", "valid", "alpha"}
        ratios.append(trace[-1]["loss"] / trace[0]["loss"])
    assert max(ratios) < 1.0, ratios
    assert sorted(ratios)[3] < 0.5, ratios


def test_validation_data_train_no_weight_and_training_data_no_architecture() -> None:
    """Validation rows blown up: the weights' first step does not see them; training rows: alpha's does not."""

    def first_step(blown: str | None) -> tuple[Tensor, list[float]]:
        settings = QuadraticSettings()
        quadratic = QuadraticTask(settings, rows=8)
        if blown is not None:
            inputs, target = quadratic.parts[blown]
            quadratic.parts[blown] = inputs, target * -50.0
        space = QuadraticSpace(settings)
        training = Training(epochs=1, batch_size=8, optimiser=SGD, evaluate_every=0)
        loop = Loop(space, quadratic, training, strategy=nasp(alpha_lr=1e-4))
        state = loop.run()
        return space.weight.detach().clone(), state["alpha"]["column"].tolist()

    weight, alpha = first_step(None)
    weight_valid, alpha_valid = first_step("valid")
    weight_train, alpha_train = first_step("train")
    assert float((weight - weight_valid).abs().max()) < 0.1
    assert alpha != alpha_valid
    assert alpha == alpha_train
    assert float((weight - weight_train).abs().max()) > 0.1
