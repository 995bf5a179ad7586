"""Packing and restoring what evolves during a search."""

from typing import Any

import pytest
import torch
from torch import nn

from nasp_core.errors import ResumeError
from nasp_core.loop import Loop, Observer
from nasp_core.methods.darts import darts
from nasp_core.methods.nasp import nasp
from nasp_core.methods.nasp_ranked import nasp_ranked
from nasp_core.optimise import Optimiser, Training
from nasp_core.state import pack, restore
from nasp_core.strategy import Strategy
from nasp_core.testing.conformance import same
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.testing.planted import PlantedTask


def test_pack_copies_to_plain_values() -> None:
    tensor = torch.ones(2, requires_grad=True)
    value = {"a": tensor, 3: (1, 2.5, "x", None, True), "m": nn.Linear(1, 1)}
    packed = pack(value)
    assert list(packed) == ["a", "3", "m"]
    assert packed["3"] == [1, 2.5, "x", None, True]
    assert set(packed["m"]) == {"weight", "bias"}
    assert not packed["a"].requires_grad
    with torch.no_grad():
        tensor.zero_()
    assert packed["a"].tolist() == [1.0, 1.0]


def test_pack_refuses_what_cannot_be_saved() -> None:
    with pytest.raises(TypeError, match=r"^a search state may not hold a set$"):
        pack({"a": {1, 2}})


def test_generators_go_on_where_they_were() -> None:
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    packed = pack({"g": generator})
    expected = torch.rand(4, generator=generator)
    other = {"g": torch.Generator().manual_seed(9)}
    restore(other, packed)
    assert torch.equal(torch.rand(4, generator=other["g"]), expected)


@pytest.mark.parametrize("kind", ["adagrad", "adam", "sgd"])
def test_optimisers_go_on_where_they_were(kind: str) -> None:
    optimiser = Optimiser(kind, 0.1, momentum=0.9 if kind == "sgd" else 0.0)  # type: ignore[arg-type]

    def fresh() -> dict[str, Any]:
        network = nn.Linear(2, 1)
        with torch.no_grad():
            network.weight.fill_(0.5)
            network.bias.fill_(0.1)
        return {"network": network, "optimiser": optimiser.create(network.parameters())}

    def run(state: dict[str, Any], steps: range) -> None:
        for step in steps:
            loss = (state["network"](torch.tensor([1.0, float(step)])) - 3).square().sum()
            weights = list(state["network"].parameters())
            optimiser.apply(state["optimiser"], weights, torch.autograd.grad(loss, weights))

    whole, half, resumed = fresh(), fresh(), fresh()
    run(whole, range(6))
    run(half, range(3))
    restore(resumed, pack(half))
    run(resumed, range(3, 6))
    assert same(pack(whole), pack(resumed))
    assert not same(pack(whole), pack(half))


def loop(strategy: Any = None, *, dim: int = 2, operations: tuple[str, ...] = ("plus", "max"), **more: Any) -> Loop:
    settings = InteractionSettings(embedding_dim=dim, hidden=0, operations=operations)
    size, optimiser = more.pop("batch_size", 16), more.pop("optimiser", Optimiser())
    training = Training(epochs=2, batch_size=size, optimiser=optimiser)
    return Loop(InteractionSpace((8, 7), settings), PlantedTask("plus", (8, 7)), training, strategy=strategy, **more)


def saved(made: Loop) -> Any:
    made.run()
    return pack(made.state)


def test_a_network_of_another_size_is_refused() -> None:
    with pytest.raises(ResumeError) as error:
        loop(nasp(), dim=3).resume(saved(loop(nasp())))
    text = str(error.value)
    assert text.startswith("saved state.network does not fit the network: size mismatch for ")
    assert "\n" not in text


def test_an_alpha_of_another_shape_is_refused() -> None:
    packed = saved(loop(nasp()))
    packed["alpha"]["operation"] = torch.zeros(1, 3)
    with pytest.raises(ResumeError) as error:
        loop(nasp()).resume(packed)
    assert str(error.value) == (
        "saved state.alpha.operation does not fit: it is of another search; start afresh, or give its own settings"
    )


@pytest.mark.parametrize(
    ("strategy", "more", "result"),
    [
        (darts(), {}, "Softmax(temperature=1.0)"),
        (nasp(alpha_lr=0.5), {}, "FirstOrder(lr=0.5, "),
        (None, {}, "; None"),
        (nasp(), {"seed": 1}, "; seed 1; "),
        (nasp(), {"label": "other"}, "other; seed 0; "),
        (nasp(), {"optimiser": Optimiser("adam")}, "Optimiser(kind='adam', "),
        (nasp(), {"batch_size": 8}, "batch_size=8, "),
    ],
)
def test_a_state_of_another_search_is_refused(strategy: Strategy | None, more: dict[str, Any], result: str) -> None:
    packed, other = saved(loop(nasp())), loop(strategy, **more)
    before = pack(other.state)
    with pytest.raises(ResumeError) as error:
        other.resume(packed)
    assert str(error.value) == (
        "the saved state is of another search; start afresh, or give its own settings\n"
        f"  saved: {packed['made_by']}\n  now:   {other.state['made_by']}"
    )
    assert result in other.state["made_by"]
    assert result not in packed["made_by"]
    assert same(before, pack(other.state)), "a refused state changed the search"


def test_a_state_that_does_not_say_whose_it_is_is_refused() -> None:
    packed = saved(loop(nasp()))
    del packed["made_by"]
    with pytest.raises(
        ResumeError, match=r"^the saved state is of another search; .*\n  saved: None\n  now:   train; "
    ):
        loop(nasp()).resume(packed)


def test_resuming_leaves_the_saved_state_as_it_was() -> None:
    class Keep(Observer):
        packed: Any = None

        def checkpoint_due(self) -> bool:
            return self.packed is None

        def save(self, packed: Any) -> None:
            self.packed = packed

    keep = Keep()
    loop(nasp_ranked(), observer=keep).run()
    before = pack(keep.packed)
    again = loop(nasp_ranked())
    again.resume(keep.packed)
    again.run()
    assert same(before, keep.packed)
