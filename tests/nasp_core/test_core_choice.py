"""The two speed rules of a choice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from nasp_core.choice import mix
from nasp_core.loop import Loop, Observer
from nasp_core.methods.nasp import nasp
from nasp_core.methods.nasp_ranked import nasp_ranked
from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts.mixtures import straight_through
from nasp_core.types import Mixture
from sif.operations.tensor import TENSOR_OPERATIONS
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.tensor import TensorInteractionSpace
from sif.testing.planted import PlantedTask

SETTINGS = [
    InteractionSettings(embedding_dim=3, hidden=hidden, biases=biases, residual=residual)
    for hidden, residual in ((0, False), (8, False), (8, True))
    for biases in (False, True)
]
SPACES = [
    pytest.param(space, settings, id=f"{space.name}-{settings.hidden}-{settings.biases}-{settings.residual}")
    for space in (InteractionSpace, TensorInteractionSpace)
    for settings in SETTINGS
]


def make(kind: type[InteractionSpace], settings: InteractionSettings) -> InteractionSpace:
    if kind is TensorInteractionSpace:
        names = tuple(TENSOR_OPERATIONS)
        settings = InteractionSettings(**{**vars(settings), "operations": names})
        space: InteractionSpace = kind((7, 6, 4), settings)
    else:
        space = kind((7, 6), settings)
    space.reset(torch.Generator().manual_seed(0))
    return space


def batch(space: InteractionSpace, size: int = 20) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.stack([torch.randint(0, n, (size,), generator=generator) for n in space.sizes])


@contextmanager
def counted(modules: nn.ModuleList) -> Iterator[list[int]]:
    """Count the calls of each module within the block."""
    calls = [0] * len(modules)

    def hook(index: int):  # type: ignore[no-untyped-def]
        def count(*_: object) -> None:
            calls[index] += 1

        return count

    handles = [module.register_forward_hook(hook(index)) for index, module in enumerate(modules)]
    yield calls
    for handle in handles:
        handle.remove()


def gradients(space: Space, inputs: Tensor, active: int, *, dense: bool) -> tuple[Tensor, list[Tensor], Tensor]:
    (group,) = space.groups
    alpha = {group.name: torch.full(group.shape, 0.25, requires_grad=True)}
    mixture = straight_through({group.name: (active,)}, alpha)
    if dense:
        mixture = Mixture(weights=mixture.weights)
    output = space(inputs, mixture)
    cotangent = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    targets = [alpha[group.name], *space.parameters()]
    grads = torch.autograd.grad(output, targets, cotangent, allow_unused=True)
    filled = [torch.zeros_like(t) if g is None else g for t, g in zip(targets, grads, strict=True)]
    return filled[0], filled[1:], output.detach()


@pytest.mark.parametrize(("kind", "settings"), SPACES)
def test_inner_products_are_the_gradients_of_the_dense_mixture(
    kind: type[InteractionSpace], settings: InteractionSettings
) -> None:
    space = make(kind, settings)
    inputs = batch(space)
    count = len(space.predictors)
    for active in range(0, count, max(1, count // 6)):
        fast, fast_rest, fast_out = gradients(space, inputs, active, dense=False)
        dense, dense_rest, dense_out = gradients(space, inputs, active, dense=True)
        assert (fast != 0).all()
        torch.testing.assert_close(fast, dense, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(fast_out, dense_out, rtol=1e-6, atol=1e-6)
        for name, a, b in zip(dict(space.named_parameters()), fast_rest, dense_rest, strict=True):
            if not name.startswith("predictors") or name == f"predictors.{active}.weight":
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "settings"), SPACES)
def test_the_architecture_step_calls_every_candidate_once(
    kind: type[InteractionSpace], settings: InteractionSettings
) -> None:
    space = make(kind, settings)
    with counted(space.predictors) as calls:
        gradients(space, batch(space), 1, dense=False)
    assert calls == [1] * len(space.predictors)


def test_a_dead_candidate_keeps_no_graph() -> None:
    class Watch(nn.Module):
        grad_modes: ClassVar[list[bool]] = []

        def forward(self, x: Tensor) -> Tensor:
            self.grad_modes.append(torch.is_grad_enabled() and x.requires_grad)
            return x * 2

    candidates = [Watch() for _ in range(3)]
    alpha = torch.zeros(3, requires_grad=True)
    x = torch.ones(4, requires_grad=True)
    out = mix(candidates, 1, alpha * 1.0, x)
    assert Watch.grad_modes == [True]
    (grad,) = torch.autograd.grad(out.sum(), alpha)
    assert Watch.grad_modes == [True, False, False]
    assert grad.tolist() == [8.0, 8.0, 8.0]


def test_candidates_with_state_end_up_as_in_the_dense_mixture() -> None:
    def run(*, dense: bool) -> list[Tensor]:
        norms = nn.ModuleList(nn.BatchNorm1d(2, momentum=0.1 * (i + 1)) for i in range(3))
        alpha = {"g": torch.zeros(1, 3, requires_grad=True)}
        weights = straight_through({"g": (2,)}, alpha).weights
        assert weights is not None
        x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0)) + 3
        out = mix(list(norms), None if dense else 2, weights["g"][0], x)
        torch.autograd.grad(out.sum(), alpha["g"])
        return [buffer for norm in norms for buffer in norm.buffers()]

    for fast, dense in zip(run(dense=False), run(dense=True), strict=True):
        torch.testing.assert_close(fast, dense, rtol=0, atol=0)


def test_the_dense_mixture_is_the_weighted_sum() -> None:
    out = mix([torch.sin, torch.cos, torch.exp], None, torch.tensor([0.5, 0.25, 2.0]), torch.ones(2))
    one = torch.ones(2)
    torch.testing.assert_close(out, 0.5 * one.sin() + 0.25 * one.cos() + 2 * one.exp())


def test_an_empty_mixture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a mixture needs live candidates, weights, or both$"):
        mix([torch.sin], None, None, torch.ones(1))


@pytest.mark.parametrize("weights", [None, torch.zeros(2, requires_grad=True)])
def test_a_dropped_choice_does_not_run_the_last_candidate(weights: Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"^a dropped choice has no live candidate: leave it out of the sum instead"):
        mix([torch.sin, torch.exp], -1, weights, torch.ones(2))


def test_a_second_derivative_is_right_or_refused() -> None:
    """The probe's gradients carry no graph; asking for a graph through them must not give silent nonsense."""
    alpha = torch.tensor([0.0, 1.0], requires_grad=True)
    x = torch.tensor([2.0], requires_grad=True)
    out = mix([torch.square, torch.exp], 1, alpha * 1.0, x)
    (grad,) = torch.autograd.grad(out.sum(), alpha, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(grad[0], x)


class _Steps(Observer):
    """Sees, after each step, which candidates' weights and optimiser states the step changed."""

    def __init__(self) -> None:
        self.loop: Loop
        self.seen: list[tuple[Tensor, ...]] = []

    def snapshot(self) -> list[tuple[Tensor, ...]]:
        predictors = self.loop.network.predictors
        states = [self.loop.optimiser.state[p.weight] for p in predictors]  # type: ignore[union-attr]
        return [
            (p.weight.detach().clone(), *(s[k].clone() for k in sorted(s) if isinstance(s[k], Tensor)))
            for p, s in zip(predictors, states, strict=True)  # type: ignore[arg-type]
        ]


@pytest.mark.parametrize("make_strategy", [nasp, nasp_ranked])
@pytest.mark.parametrize("kind", ["adagrad", "adam", "sgd"])
def test_the_weight_step_touches_one_candidate(make_strategy, kind: str) -> None:  # type: ignore[no-untyped-def]
    space = make(InteractionSpace, InteractionSettings(embedding_dim=2, hidden=4))
    momentum = 0.9 if kind == "sgd" else 0.0
    optimiser = Optimiser(kind, 0.05, momentum=momentum, weight_decay=0.01, clip=1.0)  # type: ignore[arg-type]
    observer = _Steps()
    loop = Loop(
        space,
        PlantedTask("plus", (7, 6)),
        Training(epochs=4, batch_size=5, optimiser=optimiser),
        strategy=make_strategy(alpha_lr=0.2),
        observer=observer,
    )
    observer.loop = loop
    calls_in_forward: list[list[int]] = []
    live: list[int] = []
    before: list[list[tuple[Tensor, ...]]] = []
    original, project = space.penalised, space.project_weights

    def forward(inputs: Tensor, mixture: Mixture | None):  # type: ignore[no-untyped-def]
        before.append(observer.snapshot())
        assert mixture is not None
        assert mixture.active is not None
        assert mixture.weights is None
        live.append(mixture.active["operation"][0])
        with counted(space.predictors) as calls:
            result = original(inputs, mixture)
        calls_in_forward.append(list(calls))
        return result

    changed: list[list[int]] = []

    def projected(mixture: Mixture | None) -> None:
        project(mixture)
        after = observer.snapshot()
        changed.append(
            [
                index
                for index, (a, b) in enumerate(zip(before[-1], after, strict=True))
                if len(a) != len(b) or not all(map(torch.equal, a, b))
            ]
        )

    space.penalised, space.project_weights = forward, projected  # type: ignore[method-assign]
    loop.run()
    assert len(set(live)) > 1, "the test saw one candidate alone"
    assert all(sum(calls) == 1 and calls[index] == 1 for calls, index in zip(calls_in_forward, live, strict=True))
    assert changed == [[index] for index in live]
