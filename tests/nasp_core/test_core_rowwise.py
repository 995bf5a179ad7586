"""Steps of large tables by the rows that a batch touches: what equals the whole table's steps, and what they cost."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from wide_samples import SIZES, hiding, network, triples

from nasp_core import rowwise
from nasp_core.loop import Loop, Observer
from nasp_core.optimise import Optimiser, Training
from nasp_core.rowwise import RowSteps, RowTable, few_rows
from nasp_core.types import Batch, State
from sif.encodings.histories import Histories
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import named
from sif.spaces.wide_settings import WideSettings
from sif.tasks.queries import Queries
from sif.testing.planted import PlantedTask

ROWS, DIM, STEPS = 12, 3, 60
RATES = [0.02 * (1.0 - step / STEPS) for step in range(STEPS)]
ADAM = {"betas": (0.8, 0.95)}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train all tables by rows, however small they are."""
    monkeypatch.setattr(rowwise, "LEAST_ROWS", 0)
    monkeypatch.setattr(rowwise, "LEAST_SHRUNK", 0)
    monkeypatch.setattr(rowwise, "SHARE", 0)


def drawn() -> list[tuple[Tensor, Tensor]]:
    """Return per step the rows that have a gradient, and these; some rows are rare, the last one never comes."""
    generator = torch.Generator().manual_seed(0)
    steps = []
    for _ in range(STEPS):
        rows = (torch.rand(4, generator=generator).square() * (ROWS - 1)).long()  # with repeats
        steps.append((rows, torch.randn(4, DIM, generator=generator)))
    return steps


def sparse(rows: Tensor, values: Tensor) -> Tensor:
    return torch.sparse_coo_tensor(rows.unsqueeze(0), values, (ROWS, DIM), check_invariants=False)


def whole(kind: str, weight: Tensor, gradients: list[Tensor]) -> list[Tensor]:
    """Return the table after each step of an optimiser by its published algorithm, in double precision."""
    weight, seen = weight.double(), []
    first, second = torch.zeros_like(weight), torch.zeros_like(weight)
    one, two = ADAM["betas"]
    for number, (rate, gradient) in enumerate(zip(RATES, gradients, strict=True), 1):
        grad = gradient.double()
        if kind == "adam":
            first, second = one * first + (1 - one) * grad, two * second + (1 - two) * grad**2
            root = (second / (1 - two**number)).sqrt()
            weight = weight - rate * first / (1 - one**number) / (root + 1e-8)
        elif kind == "adagrad":
            second = second + grad**2
            weight = weight - rate * grad / (second.sqrt() + 1e-10)
        else:
            weight = weight - rate * grad
        seen.append(weight)
    return seen


def run(kind: str, shrink: float = 0.0, steps: int = STEPS) -> tuple[nn.Parameter, RowSteps, list[Tensor]]:
    """Return a table trained by rows, its steps, and the table after each."""
    weight = nn.Parameter(torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1)))
    optimiser = Optimiser(kind, **ADAM) if kind == "adam" else Optimiser(kind)  # type: ignore[arg-type]
    made, trained, seen = optimiser.create([weight]), optimiser.rows([RowTable(weight, shrink)], steps), []
    for rate, (rows, values) in zip(RATES[:steps], drawn(), strict=False):
        made.param_groups[0]["lr"] = rate
        optimiser.apply(made, [weight], (sparse(rows, values),), trained)
        seen.append(weight.detach().clone())
    return weight, trained, seen


@pytest.mark.parametrize("kind", ["adam", "adagrad", "sgd"])
def test_rows_that_are_touched_are_those_of_whole_steps(kind: str) -> None:
    start = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1))
    expected = whole(kind, start, [sparse(*each).to_dense() for each in drawn()])
    weight, trained, seen = run(kind)
    waits = 0.0
    for (rows, _), now, after in zip(drawn(), seen, expected, strict=True):
        torch.testing.assert_close(now[rows], after[rows].float(), rtol=1e-5, atol=2e-6)
        waits = max(waits, float((now - after).abs().max()))
    assert (waits > 1e-3) == (kind == "adam"), "Adam's momentum moves the others too: here they wait"
    trained.settle()
    torch.testing.assert_close(weight.detach(), expected[-1].float(), rtol=1e-5, atol=2e-6)
    assert torch.equal(weight[-1], start[-1])
    before = weight.detach().clone()
    trained.settle()
    assert torch.equal(weight, before), "nothing is owed twice"


def test_settling_between_steps_changes_no_result() -> None:
    often = nn.Parameter(torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1)))
    steps = RowSteps([RowTable(often)], "adam", ADAM["betas"], STEPS)
    for number, (rate, (rows, values)) in enumerate(zip(RATES, drawn(), strict=True)):
        steps.step(often, sparse(rows, values).coalesce(), rate)
        if number % 7 == 0:
            steps.settle()
    steps.settle()
    once, trained, _ = run("adam")
    trained.settle()
    torch.testing.assert_close(often, once, rtol=1e-5, atol=2e-6)


def test_shrink_is_taken_for_every_step_since_the_last_touch() -> None:
    weight = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1)).double()
    met = [0] * ROWS
    for number, (rate, (rows, values)) in enumerate(zip(RATES, drawn(), strict=True), 1):
        gradient = sparse(rows, values).to_dense().double()
        for row in set(rows.tolist()):
            weight[row] -= rate * (gradient[row] + 0.3 * (number - met[row]) * weight[row])
            met[row] = number
    trained, _, _ = run("sgd", shrink=0.3)
    torch.testing.assert_close(trained.detach(), weight.float(), rtol=1e-5, atol=1e-6)


def test_the_clip_is_of_all_gradients_together() -> None:
    table, other = nn.Parameter(torch.zeros(ROWS, 1)), nn.Parameter(torch.zeros(1))
    optimiser = Optimiser("sgd", 1.0, clip=1.0)
    rows = torch.tensor([[2, 5, 2]])
    gradient = torch.sparse_coo_tensor(rows, torch.tensor([[1.0], [6.0], [1.0]]), (ROWS, 1), check_invariants=False)
    grads = gradient, torch.tensor([3.0])  # 2, 6, 3: a norm of 7
    optimiser.apply(optimiser.create([table, other]), [table, other], grads, optimiser.rows([RowTable(table)], 1))
    torch.testing.assert_close(other.detach(), torch.tensor([-3 / 7]))
    assert table.detach().squeeze(1).tolist() == pytest.approx([0, 0, -2 / 7, 0, 0, -6 / 7] + [0] * 6)


def test_a_table_without_a_gradient_does_not_count_the_step() -> None:
    weight, trained, _ = run("adam", steps=5)
    optimiser, before = Optimiser("adam", 0.1, **ADAM), weight.detach().clone()  # type: ignore[arg-type]
    optimiser.apply(optimiser.create([weight]), [weight], (None,), trained)
    assert torch.equal(weight, before)
    assert trained.state["0"]["count"] == 5


@pytest.mark.parametrize(
    "optimiser",
    [Optimiser("sgd", momentum=0.9), Optimiser("adam", weight_decay=0.1), Optimiser("adam", betas=(0.99, 0.9))],
)
def test_where_every_step_moves_all_rows_none_are_trained_by_rows(optimiser: Optimiser) -> None:
    assert not optimiser.rows([RowTable(nn.Parameter(torch.zeros(4, 1)))], 3).tables


def test_few_rows_of_a_large_table() -> None:
    least, share = rowwise.LEAST_ROWS, rowwise.SHARE
    assert few_rows(least // share, least)
    assert not few_rows(least // share + 1, least)
    assert not few_rows(1, least - 1)
    assert not few_rows(1, least, 0.1)
    assert few_rows(1, rowwise.LEAST_SHRUNK, 0.1)


ASKED = {"triples": triples(), "hidden": hiding(), "some": hiding((5, 2, 6)), "catalogue": None}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("encoding", ["id", "history", "id+history"])
@pytest.mark.usefixtures("always")
def test_gradients_by_rows_are_those_of_whole_tables(encoding: str, asked: str) -> None:
    settings = WideSettings(embedding_dim=3, history_power=0.7, init_std=0.5, l2=0.2, bias_l2=0.1)
    net = network(settings=settings, encoding=(encoding, encoding), biases=("on",))
    inputs = ASKED[asked] or Queries.catalogue(torch.tensor([3, 1]), SIZES[1])
    tables = net.row_tables(Fixed(inputs))
    weights = [each for each in net.weights() if any(each is table.weight for table in tables)]
    assert len(weights) == 1 + 2 * len(encoding.split("+"))

    def gradients() -> tuple[Tensor, ...]:
        scores, penalty = net.penalised(inputs)
        assert penalty is not None
        return torch.autograd.grad((scores * torch.arange(scores.numel()).view_as(scores)).sum() + penalty, weights)

    dense = gradients()
    with RowSteps(tables, "sgd", (0.9, 0.999), 1).reading():
        found = gradients()
    assert not any(rowwise.is_by_rows(each) for each in weights)
    shrink = {id(table.weight): table.shrink for table in tables}
    for weight, one, other in zip(weights, dense, found, strict=True):
        assert other.is_sparse
        torch.testing.assert_close(other.to_dense() + shrink[id(weight)] * weight, one, rtol=1e-5, atol=1e-5)


class Fixed:
    """A stream of one batch."""

    def __init__(self, inputs: Any) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return 1

    def batch(self, step: int) -> Batch:
        return Batch(self.inputs, torch.zeros(0))


def planted(extra: int = 0, name: str = "svd++") -> tuple[WideNetwork, PlantedTask]:
    """Return a planted table and a network for it, with rows of users and items that no batch has."""
    task = PlantedTask("multiply", (60, 40), density=0.4, noise=0.3)
    users, items = task.parts["train"][0]
    sizes = 60 + extra, 40 + extra
    settings = WideSettings(embedding_dim=4, init_std=0.1, l2=0.02, bias_l2=0.01)
    histories = Histories.of(users, items, sizes)
    return WideNetwork(sizes, named(name, settings), histories), task


def trained(
    observer: Observer | None = None, resume: State | None = None, extra: int = 0, name: str = "svd++", **changes: Any
) -> Loop:
    net, task = planted(extra, name)
    optimiser = Optimiser("adam", 0.02, clip=1.0, schedule="cosine")
    options = {"epochs": 6, "batch_size": 36, "optimiser": optimiser, "keep_best": True} | changes
    loop = Loop(net, task, Training(**options), seed=3, observer=observer)
    if resume is not None:
        loop.resume(resume)
    loop.run()
    return loop


@pytest.mark.usefixtures("always")
def test_what_a_step_writes_does_not_depend_on_the_size_of_the_tables() -> None:
    small, large = trained(epochs=1), trained(epochs=1, extra=5000)
    assert len(small.rows.tables) == len(large.rows.tables) == 4  # ids of both, histories of users, biases
    assert small.rows.written == large.rows.written > 0
    assert large.rows.written < 5000


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", ["adam", "adagrad"])
def test_resumed_at_any_step_it_ends_bit_equal(kind: Any) -> None:
    class Keep(Observer):
        def __init__(self) -> None:
            self.states: list[State] = []

        def checkpoint_due(self) -> bool:
            return True

        def save(self, packed: State) -> None:
            self.states.append(packed)

    changes = {"epochs": 3, "optimiser": Optimiser(kind, 0.02)}
    keeper = Keep()
    whole = trained(keeper, **changes)
    for state in (keeper.states[3], keeper.states[len(keeper.states) // 2], keeper.states[-1]):
        again = trained(resume=state, **changes)
        for name, tensor in whole.network.state_dict().items():
            assert torch.equal(again.network.state_dict()[name], tensor), name
        assert [each["valid"] for each in again.state["trace"]] == [each["valid"] for each in whole.state["trace"]]


@pytest.mark.usefixtures("always")
def test_the_best_weights_are_those_that_were_judged() -> None:
    loop = trained()
    best = loop.state["best"]
    with torch.no_grad():
        judged = loop.task.evaluate(lambda inputs: loop.network(inputs))
    assert judged == best["metrics"]


@pytest.mark.parametrize(("kind", "name"), [("adam", "mf"), ("adam", "svd++"), ("adagrad", "svd++")])
def test_a_training_is_that_of_whole_tables(kind: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"epochs": 5, "name": name, "optimiser": Optimiser(kind, 0.05)}
    dense = trained(**changes)
    assert not dense.rows.tables
    monkeypatch.setattr(rowwise, "LEAST_ROWS", 0)
    monkeypatch.setattr(rowwise, "LEAST_SHRUNK", 0)
    monkeypatch.setattr(rowwise, "SHARE", 0)
    rows = trained(**changes)
    assert rows.rows.tables
    for one, other in zip(rows.state["trace"], dense.state["trace"], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=2e-3)
        assert one["valid"]["rmse"] == pytest.approx(other["valid"]["rmse"], rel=2e-3)
    assert rows.state["best"]["metrics"]["rmse"] < 0.95, "1 is the mean"


@pytest.mark.usefixtures("always")
def test_an_average_of_all_steps_trains_whole_tables() -> None:
    assert not trained(epochs=2, average_after=1, keep_best=False).rows.tables
