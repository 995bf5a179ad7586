"""The element-wise networks: the hand-written backward against plain autograd."""

import pytest
import torch
from torch import Tensor

from sif.encodings.elementwise import Elementwise


def make(hidden: int = 5, *, residual: bool = False) -> Elementwise:
    network = Elementwise(2, hidden, residual=residual)
    network.reset(torch.Generator().manual_seed(0))
    return network.double()


def plain(network: Elementwise, x: Tensor) -> Tensor:
    """Compute the networks entry by entry, as the paper writes them."""
    sides = []
    for side in range(x.shape[0]):
        w1, b1 = network.inner[side].unbind(-1)
        w2, b2 = network.outer[side, 0, :-1], network.outer[side, 0, -1]
        out = torch.tanh(x[side].unsqueeze(-1) * w1 + b1) @ w2 + b2
        sides.append(x[side] + out if network.residual else out)
    return torch.stack(sides)


def inputs(*shape: int) -> Tensor:
    return torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("shape", [(7,), (4, 3), (2, 3, 5)])
def test_output_and_gradients_equal_the_plain_network(shape: tuple[int, ...], residual: bool) -> None:
    network, x = make(residual=residual), inputs(*shape)
    cotangent = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    targets = [x, *network.parameters()]
    fast, slow = network(x), plain(network, x)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(fast, targets, cotangent), torch.autograd.grad(slow, targets, cotangent), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_backward_passes_gradcheck() -> None:
    network, x = make(hidden=3), inputs(2, 2)
    names = [name for name, _ in network.named_parameters()]

    def call(x: Tensor, *values: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,))
        return result

    assert torch.autograd.gradcheck(call, (x, *network.parameters()))


@pytest.mark.parametrize("frozen", [("x",), ("inner",), ("outer",), ("inner", "outer"), ("x", "inner")])
def test_only_what_is_needed_gets_a_gradient(frozen: tuple[str, ...]) -> None:
    network = make()
    x = inputs(3, 2)
    named = {"x": x, **dict(network.named_parameters())}
    for name in frozen:
        named[name].requires_grad_(False)
    live = [t for t in named.values() if t.requires_grad]
    for a, b in zip(
        torch.autograd.grad(network(x).square().sum(), live),
        torch.autograd.grad(plain(network, x).square().sum(), live),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_non_contiguous_gradients_and_inputs() -> None:
    network = make()
    x = inputs(4, 3)
    weight = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
    outputs = network(x.transpose(1, 2)), plain(network, x.transpose(1, 2))
    fast, slow = (torch.autograd.grad((out.transpose(1, 2) * weight).sum(), x)[0] for out in outputs)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)


def test_a_second_derivative_is_right_or_refused() -> None:
    network, x = make(), inputs(3)
    (slow,) = torch.autograd.grad(plain(network, x).square().sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad(slow.sum(), x)
    assert expected.abs().min() > 1e-6
    (fast,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
    try:
        (second,) = torch.autograd.grad(fast.sum(), x)
    except RuntimeError:
        return
    torch.testing.assert_close(second, expected)


def test_reset_is_within_the_bounds_of_a_linear_layer() -> None:
    network = Elementwise(3, 64)
    network.reset(torch.Generator().manual_seed(0))
    inner, outer = network.inner.detach().abs(), network.outer.detach().abs()
    assert 0.9 < float(inner.max()) <= 1.0
    assert 0.9 / 8 < float(outer.max()) <= 1.0 / 8
    before = network.inner.detach().clone()
    network.reset(torch.Generator().manual_seed(1))
    assert not torch.equal(before, network.inner)


def test_residual_starts_at_the_identity_without_weights() -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(Elementwise(2, 4, residual=True)(x), x)
    assert torch.equal(Elementwise(2, 4)(x), torch.zeros_like(x))
