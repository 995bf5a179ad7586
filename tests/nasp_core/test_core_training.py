"""What trainings of cells add to the loop: memory, averaged weights, penalties, precision, progress."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasp_core.errors import SearchError, StrategyError
from nasp_core.evaluation import evaluate
from nasp_core.loop import Loop
from nasp_core.methods.nasp import nasp
from nasp_core.network import Loss, Network, StepLoss
from nasp_core.optimise import Optimiser, Training, autocast, average, averaged, put_back
from nasp_core.parts import Argmax, Box, Complexity, FirstOrder, OneHot, mixtures
from nasp_core.strategy import SearchView, Strategy
from nasp_core.training import train
from nasp_core.types import Batch, Mixture, RelaxState
from sif.testing.cases import CASES

SGD = Optimiser("sgd", 0.1)


class Counter(Network):
    """Carries the number of batches it has seen; its output is one weight."""

    carries = True

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.starts: list[float] = []
        self.progress: list[float] = []

    def reset(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.weight.fill_(1.0)

    def set_progress(self, progress: float) -> None:
        self.progress.append(progress)

    def forward(
        self, inputs: Tensor, mixture: Mixture | None = None, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        begin = torch.zeros(()) if hidden is None else hidden
        self.starts.append(float(begin))
        return self.weight.expand(len(inputs)), begin + 1


class Numbers:
    """Batches with the learning-rate factors `scales`; metrics come from a script."""

    metric, maximise = "m", False

    def __init__(self, scales: list[float], metrics: list[float] | None = None) -> None:
        self.scales, self.metrics = scales, list(metrics or [])

    def stream(self, split: str, batch_size: int, seed: int) -> "Numbers":
        return self

    def __len__(self) -> int:
        return len(self.scales)

    def batch(self, step: int) -> Batch:
        return Batch(torch.zeros(2), torch.zeros(2), self.scales[step % len(self.scales)])

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return output.mean()  # its gradient is 1: each step lowers the weight by the learning rate

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        outputs = [float(predict(torch.zeros(1))) for _ in range(3)]
        return {"m": self.metrics.pop(0) if self.metrics else outputs[0]}


def test_a_hidden_state_is_carried_through_a_pass_and_begins_anew_with_the_next():
    network = Counter()
    train(network, Numbers([1.0] * 3), Training(epochs=2, batch_size=2, optimiser=SGD, evaluate_every=0))
    assert network.starts[:6] == [0, 1, 2, 0, 1, 2]
    assert network.starts[6:] == [0, 1, 2], "an evaluation has a hidden state of its own"


def test_progress_is_told_before_each_step():
    network = Counter()
    train(network, Numbers([1.0] * 2), Training(epochs=2, batch_size=2, optimiser=SGD, evaluate_every=0))
    assert network.progress == [0.0, 0.25, 0.5, 0.75]


def test_a_batch_scales_the_learning_rate_of_its_step_alone():
    network = Counter()
    train(network, Numbers([1.0, 0.5, 2.0]), Training(epochs=1, batch_size=2, optimiser=SGD, evaluate_every=0))
    assert network.weight.item() == pytest.approx(1.0 - 0.1 * 3.5)


def test_the_average_is_the_mean_of_the_weights_since_it_began():
    weight = nn.Parameter(torch.tensor([1.0]))
    state: dict[str, Any] = {"count": 0, "weights": [weight.detach().clone()]}
    assert averaged([weight], state) is None
    for value in (2.0, 4.0, 9.0):
        put_back([weight], [torch.tensor([value])])
        average([weight], state)
    present = averaged([weight], state)
    assert weight.item() == pytest.approx(5.0)
    put_back([weight], present)
    assert weight.item() == 9.0


def test_averaging_begins_when_validation_is_worse_than_its_best_of_some_validations_ago():
    """Metrics 5, 4, 3, 6: the fourth is worse than the best of one or more before it (NT-ASGD)."""
    network = Counter()
    task = Numbers([1.0, 1.0], [5.0, 4.0, 3.0, 6.0, 2.0, 2.0])
    training = Training(epochs=6, batch_size=2, optimiser=SGD, average_after=1)
    train(network, task, training)
    steps = torch.tensor([1.0 - 0.1 * step for step in range(9, 13)])  # those of epochs 5 and 6
    assert network.weight.item() == pytest.approx(float(steps.mean()), abs=1e-6)


def test_settings_of_the_final_training_are_refused_in_a_search():
    case = CASES["quadratic"]
    for wrong in ({"compile": True}, {"average_after": 2}, {"keep_best": True}):
        with pytest.raises(SearchError, match="belongs to the final training"):
            Loop(case.space(), case.task(), Training(**wrong), strategy=nasp())
    with pytest.raises(SearchError, match=r"average_after = 0; it must be 1 or more"):
        Training(average_after=0)
    with pytest.raises(SearchError, match=r"precision = 'half'; there are auto, float32, bfloat16"):
        Training(precision="half")  # type: ignore[arg-type]


def test_alpha_is_read_from_the_device_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    plain = mixtures.on_host
    monkeypatch.setattr(mixtures, "on_host", lambda alpha: reads.append(1) or plain(alpha))
    case = CASES["conv-cell"]
    training = Training(epochs=2, batch_size=16, optimiser=SGD, evaluate_every=0)
    state = Loop(case.space(), case.task(), training, strategy=nasp(alpha_lr=0.1)).run()
    assert len(reads) == state["step"] + 1, "and once before the first architecture step"


def test_precision():
    cpu = torch.device("cpu")
    product = torch.ones(2, 2)
    for precision, dtype in (("float32", torch.float32), ("auto", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(cpu, precision):  # type: ignore[arg-type]
            assert (product @ product).dtype == dtype


def test_a_training_that_stops_early_is_the_beginning_of_the_whole_one():
    """The learning rates are those of the whole schedule."""
    falling = Optimiser("sgd", 0.1, schedule="linear")
    schedule = Training(epochs=4, batch_size=2, optimiser=falling, evaluate_every=0)
    weights = []
    for stop in (None, 2, 9):
        network = Counter()
        done = train(network, Numbers([1.0] * 5), schedule, stop=stop)
        weights.append(float(network.weight.detach()))
        assert len(done.trace) == done.epoch == min(stop or 4, 4)
    fallen = [0.1 * (1 - step / 20) for step in range(20)]
    assert weights == pytest.approx([1 - sum(fallen), 1 - sum(fallen[:10]), 1 - sum(fallen)])


def test_a_task_without_validation_gives_no_metrics():
    class Unjudged(Numbers):
        def stream(self, split: str, batch_size: int, seed: int) -> Numbers:
            return Numbers(self.scales if split == "train" else [])

    done = train(Counter(), Unjudged([1.0]), Training(epochs=1, batch_size=2, optimiser=SGD, evaluate_every=0))
    assert done.metrics == {}


def test_a_networks_own_penalty_is_trained_on_but_not_reported():
    class Penalised(Counter):
        def training_loss(
            self, batch: Batch, mixture: Mixture | None, loss: Loss, hidden: Tensor | None = None
        ) -> StepLoss:
            return StepLoss(loss(self.step(batch.inputs)[0], batch.target), 9.0 * self.weight.sum())

    network = Penalised()
    done = train(network, Numbers([1.0]), Training(epochs=1, batch_size=2, optimiser=SGD, evaluate_every=0))
    assert network.weight.item() == pytest.approx(1.0 - 0.1 * 10, abs=1e-6)
    assert done.trace[0]["loss"] == pytest.approx(1.0)


def view_of(space: Network) -> SearchView:
    return SearchView(space, {}, RelaxState(), 0, 0.0, OneHot())


def test_the_price_of_size_pushes_down_the_live_candidates_alone():
    case = CASES["conv-cell"]
    space = case.space()
    alpha = Box().init(space, torch.Generator().manual_seed(0), torch.device("cpu"))
    mixture = OneHot().mixture(alpha, space, "arch", OneHot().init(), torch.Generator())
    penalty = Complexity(0.5).penalty(mixture, view_of(space), {})
    assert penalty is not None
    grads = torch.autograd.grad(penalty, list(alpha.values()))
    assert mixture.weights is not None
    for (name, sizes), grad in zip(space.relative_parameters().items(), grads, strict=True):
        torch.testing.assert_close(grad, 2 * 0.5 * sizes * mixture.weights[name].detach())
        assert float(grad.sum()) > 0


def test_where_size_does_not_depend_on_choices_it_has_no_price():
    case = CASES["interaction"]
    space = case.space()
    weights = {"operation": torch.ones(1, 5)}
    assert Complexity(1.0).penalty(Mixture(weights=weights), view_of(space), {}) is None
    assert Complexity(0.0).penalty(Mixture(weights=weights), view_of(CASES["conv-cell"].space()), {}) is None
    with pytest.raises(StrategyError, match=r"^Complexity\(eta=-1\): eta must be 0 or more$"):
        Complexity(-1)


@pytest.mark.slow
def test_a_high_price_finds_smaller_cells():
    case = CASES["conv-cell"]
    shares = {0.0: 0.0, 30.0: 0.0}  # of the parameters that choices bring, over three seeds
    for eta in shares:
        strategy = Strategy(Box(), OneHot(), FirstOrder(lr=0.02), Argmax(), schedules=(Complexity(eta),))
        for seed in range(3):
            space = case.space()
            training = Training(epochs=8, batch_size=8, optimiser=SGD)
            alpha = Loop(space, case.task(), training, strategy=strategy, seed=seed).run()["alpha"]
            active = space.constrain({name: tensor.detach() for name, tensor in alpha.items()})
            for name, sizes in space.relative_parameters().items():
                live = [(row, pick) for row, pick in enumerate(active[name]) if pick >= 0]
                shares[eta] += sum(float(sizes[row, pick]) for row, pick in live)
    assert shares[30.0] < 0.7 * shares[0.0], shares


@pytest.mark.slow
@pytest.mark.parametrize("name", ["interaction", "recurrent-cell"])
def test_a_compiled_training_has_the_figures_of_a_plain_one(name: str):
    case = CASES[name]
    space, task = case.space(), case.task()
    genotype = space.genotype(space.random_point(torch.Generator().manual_seed(0)))
    figures = []
    for compiled in (False, True):
        network = space.build(genotype)
        done = train(network, task, Training(epochs=2, batch_size=16, optimiser=SGD, compile=compiled))
        figures.append([record["loss"] for record in done.trace])
        assert evaluate(network, task) == pytest.approx(done.metrics, abs=1e-4)
    assert figures[0] == pytest.approx(figures[1], rel=1e-3)
