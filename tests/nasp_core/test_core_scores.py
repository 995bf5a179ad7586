"""Training-free scores against their formulas by hand, on networks small enough for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.errors import ProxyError
from nasp_core.network import Network
from nasp_core.proxies import (
    Fisher,
    GradNorm,
    Grasp,
    JacobCov,
    LinearRegions,
    Naswot,
    Ntk,
    Snip,
    Synflow,
)
from nasp_core.proxies.jacob_cov import correlation_score
from nasp_core.types import Batch, Mixture
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space


class Plain(Network):
    """Any layers in a row."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        return self.layers(inputs)


def linear(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


def perceptron(seed: int = 0, sizes: tuple[int, ...] = (3, 5, 2), activation: type[nn.Module] = nn.ReLU) -> Plain:
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for entering, leaving in itertools.pairwise(sizes):
        weight = torch.randn(leaving, entering, generator=generator)
        layers += [linear(weight.tolist(), torch.randn(leaving, generator=generator).tolist()), activation()]
    return Plain(*layers[:-1])


def batch(rows: int = 6, width: int = 3, outputs: int = 2, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(rows, width, generator=generator), torch.randn(rows, outputs, generator=generator))


def weights_of(network: Plain) -> list[nn.Parameter]:
    return [layer.weight for layer in network.layers if isinstance(layer, nn.Linear)]


def gradients_of(network: Plain, given: Batch) -> list[Tensor]:
    value = functional.mse_loss(network(given.inputs), given.target)
    return list(torch.autograd.grad(value, weights_of(network)))


def test_synflow_is_the_sum_over_all_paths_times_the_number_of_layers():
    one, two = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.0, -1.0]]), torch.tensor([[2.0, -1.0, 4.0]])
    network = Plain(linear(one.tolist(), [5.0, 5.0, 5.0]), nn.ReLU(), linear(two.tolist(), [7.0]))
    with torch.no_grad():
        network.layers[0].bias.zero_()
    paths = sum(abs(float(two[0, h] * one[h, i])) for h in range(3) for i in range(2))
    given = Batch(torch.randn(4, 2), torch.zeros(4, 1))
    assert Synflow().score(network, given, functional.mse_loss) == pytest.approx(math.log(2 * paths))


def test_synflow_takes_batch_norms_out_and_the_sign_of_weights_too():
    plain = Plain(linear([[1.0, -2.0]]), nn.ReLU(), linear([[3.0]]))
    normed = Plain(linear([[-1.0, 2.0]]), nn.BatchNorm1d(1), nn.ReLU(), linear([[-3.0]]))
    with torch.no_grad():
        normed.layers[1].weight.fill_(10.0)
        normed.layers[1].running_var.fill_(4.0)
    given = Batch(torch.randn(5, 2), torch.zeros(5, 1))
    expected = math.log(2 * 9.0)
    assert Synflow().score(plain, given, functional.mse_loss) == pytest.approx(expected)
    assert Synflow().score(normed, given, functional.mse_loss) == pytest.approx(expected)


def test_synflow_stays_exact_where_float32_would_overflow():
    deep = Plain(*(linear([[1e8]]) for _ in range(12)))
    given = Batch(torch.ones(2, 1), torch.zeros(2, 1))
    assert Synflow().score(deep, given, functional.mse_loss) == pytest.approx(math.log(12) + 12 * math.log(1e8))
    deeper = Plain(*(linear([[1e20]]) for _ in range(20)))
    with pytest.raises(ProxyError, match="too deep or too wide for float64"):
        Synflow().score(deeper, given, functional.mse_loss)


def test_synflow_without_a_path_is_the_lowest():
    given = Batch(torch.ones(2, 1), torch.zeros(2, 1))
    assert Synflow().score(Plain(linear([[0.0]]), linear([[1.0]])), given, functional.mse_loss) == -math.inf


def test_grad_norm_is_the_sum_of_the_norms_of_the_weights_gradients():
    network, given = perceptron(), batch()
    expected = sum(float(g.norm()) for g in gradients_of(network, given))
    assert GradNorm().score(network, given, functional.mse_loss) == pytest.approx(expected)


def test_snip_is_the_gradient_of_the_loss_in_a_gate_at_each_weight():
    network, given = perceptron(), batch()
    weights = weights_of(network)
    gates = [torch.ones_like(weight, requires_grad=True) for weight in weights]
    first, second = (network.layers[0], network.layers[2])
    hidden = functional.relu(functional.linear(given.inputs, first.weight * gates[0], first.bias))
    output = functional.linear(hidden, second.weight * gates[1], second.bias)
    gradients = torch.autograd.grad(functional.mse_loss(output, given.target), gates)
    expected = sum(float(gradient.abs().sum()) for gradient in gradients)
    assert Snip().score(network, given, functional.mse_loss) == pytest.approx(expected, rel=1e-5)


def test_grasp_has_the_explicit_hessian():
    network, given = perceptron(sizes=(2, 3, 1), activation=nn.Tanh), batch(width=2, outputs=1)
    weights = weights_of(network)
    names = ("layers.0.weight", "layers.2.weight")
    shapes = [weight.shape for weight in weights]
    start = torch.cat([weight.detach().flatten() for weight in weights])

    def loss(flat: Tensor) -> Tensor:
        parts = torch.split(flat, [shape.numel() for shape in shapes])
        changed = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return functional.mse_loss(torch.func.functional_call(network, changed, given.inputs), given.target)

    hessian = torch.autograd.functional.hessian(loss, start)
    gradient = torch.func.grad(loss)(start)
    expected = -float((start @ (hessian @ gradient)).detach())
    assert expected != pytest.approx(0.0, abs=1e-3)
    assert Grasp().score(network, given, functional.mse_loss) == pytest.approx(expected, rel=1e-4)


def test_fisher_is_half_the_mean_square_of_activation_times_gradient():
    network, given = perceptron(), batch()
    hidden = network.layers[0](given.inputs).detach().requires_grad_(True)
    output = network.layers[2](hidden.relu())
    output.retain_grad()
    functional.mse_loss(output, given.target).backward()
    expected = sum(float((out.detach() * out.grad).square().mean(0).sum()) / 2 for out in (hidden, output))
    assert Fisher().score(network, given, functional.mse_loss) == pytest.approx(expected, rel=1e-5)


def test_fisher_sums_a_channel_over_its_positions_before_squaring():
    conv = nn.Conv2d(1, 2, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, -2.0]).view(2, 1, 1, 1))
    pictures = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2)
    given = Batch(pictures, torch.zeros(1))

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return output.square().sum() / 2  # its gradient in an activation is the activation

    squares = 1.0 + 4.0 + 9.0 + 16.0
    expected = (squares**2 + (4 * squares) ** 2) / 2
    assert Fisher().score(Plain(conv), given, loss) == pytest.approx(expected)


def test_naswot_is_the_log_determinant_of_the_hamming_kernel():
    network, given = perceptron(sizes=(3, 8, 7, 2)), batch(rows=4)
    first = network.layers[0](given.inputs)
    second = network.layers[2](first.relu())
    codes = torch.cat([first > 0, second > 0], dim=1)
    kernel = torch.tensor([[float((a == b).sum()) for b in codes] for a in codes], dtype=torch.float64)
    expected = float(torch.logdet(kernel))
    assert math.isfinite(expected)
    assert Naswot().score(network, given, functional.mse_loss) == pytest.approx(expected)


@pytest.mark.parametrize(
    "rectify",
    [functional.relu, torch.relu, torch.Tensor.relu, lambda x: x.clone().relu_(), lambda x: functional.relu(x + 0.0)],
)
def test_naswot_sees_a_relu_however_it_is_called(rectify: Callable[[Tensor], Tensor]):
    class Called(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return rectify(x)

    network, given = perceptron(sizes=(3, 8, 2)), batch(rows=4)
    expected = Naswot().score(network, given, functional.mse_loss)
    network.layers[1] = Called()
    assert Naswot().score(network, given, functional.mse_loss) == expected
    assert math.isfinite(expected)


def test_naswot_counts_a_shared_relu_once_for_each_layer_that_reads_it_and_dead_ones_not_at_all():
    class Two(Network):
        def __init__(self, shared: bool, dead: bool) -> None:
            super().__init__()
            self.first, self.one, self.two = nn.Linear(3, 30), nn.Linear(30, 2), nn.Linear(30, 2)
            self.shared, self.dead = shared, dead

        def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
            x = self.first(inputs)
            once = functional.relu(x)
            if self.dead:
                functional.relu(x * 2 - 1)
            return self.one(once) + self.two(once if self.shared else functional.relu(x))

    given = batch(rows=4)
    networks = [Two(shared, dead) for shared in (True, False) for dead in (True, False)]
    drawn = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    for network in networks:
        with torch.no_grad():
            network.first.weight.copy_(drawn)
            network.first.bias.zero_()
    found = {Naswot().score(network, given, functional.mse_loss) for network in networks}
    assert len(found) == 1
    assert math.isfinite(found.pop())


def test_naswot_of_samples_that_no_unit_tells_apart_is_the_lowest():
    twins = torch.tensor([[1.0, 2.0, 3.0]]).repeat(2, 1)
    assert Naswot().score(perceptron(), Batch(twins, torch.zeros(2, 2)), functional.mse_loss) == -math.inf


def test_naswot_without_relu_says_so():
    with pytest.raises(ProxyError, match="Plain has no ReLU that sees the samples of a batch"):
        Naswot().score(perceptron(activation=nn.Tanh), batch(), functional.mse_loss)


def test_jacob_cov_is_the_divergence_from_uncorrelated_gradients():
    network, given = perceptron(sizes=(5, 6, 2)), batch(rows=4, width=5)
    rows = []
    for sample in given.inputs:
        alone = sample.clone().requires_grad_(True)
        rows.append(torch.autograd.grad(network(alone).sum(), alone)[0])
    values = torch.linalg.eigvalsh(torch.corrcoef(torch.stack(rows).double())).clamp_min(0.0) + 1e-5
    expected = -float((values.log() + 1 / values).sum())
    assert JacobCov().score(network, given, functional.mse_loss) == pytest.approx(expected, rel=1e-4)


def test_jacob_cov_is_best_where_nothing_is_correlated():
    apart = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    alike = torch.tensor([[1.0, -1.0, 0.0, 0.0], [1.0, -1.0, 0.1, -0.1]])
    assert correlation_score(apart, 1e-5) == pytest.approx(-2.0, abs=1e-4)
    assert correlation_score(alike, 1e-5) < correlation_score(apart, 1e-5)
    assert correlation_score(torch.ones(2, 4), 1e-5) == -math.inf


def test_ntk_is_the_condition_number_of_the_per_sample_gradients():
    network, given = perceptron(sizes=(3, 20, 2), activation=nn.Tanh), batch(rows=4)
    rows = []
    for sample in given.inputs:
        gradients = torch.autograd.grad(network(sample[None]).sum(), weights_of(network))
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    jacobian = torch.stack(rows).double()
    values = torch.linalg.eigvalsh(jacobian @ jacobian.T)
    expected = -math.log(float(values[-1] / values[0]))
    assert Ntk().score(network, given, functional.mse_loss) == pytest.approx(expected, rel=1e-4)
    some = Batch(given.inputs[:3], given.target[:3])
    assert Ntk(samples=3).score(network, given, functional.mse_loss) == pytest.approx(
        Ntk().score(network, some, functional.mse_loss)
    )


def test_ntk_of_two_alike_samples_is_the_lowest():
    twins = torch.tensor([[1.0, 2.0, 3.0]]).repeat(2, 1)
    given = Batch(twins, torch.zeros(2, 2))
    assert Ntk().score(perceptron(), given, functional.mse_loss) == -math.inf
    with pytest.raises(ProxyError, match="a batch of one sample"):
        Ntk().score(perceptron(), Batch(twins[:1], torch.zeros(1, 2)), functional.mse_loss)


@pytest.mark.parametrize("between", [0, 1, 9])
def test_linear_regions_of_a_line_are_counted_by_hand(between: int):
    # units switch at 0, 1 and 2; the way goes from -1 to 3 and back to 1.5: kinks at 0, 1, 2, then at 2
    network = Plain(linear([[1.0], [1.0], [-1.0]], [0.0, -1.0, 2.0]), nn.ReLU(), linear([[1.0, 1.0, 1.0]]))
    given = Batch(torch.tensor([[-1.0], [3.0], [1.5]]), torch.zeros(3, 1))
    assert LinearRegions(between=between).score(network, given, functional.mse_loss) == 5.0


def test_linear_regions_between_samples_find_what_the_samples_step_over():
    # a bump in the second layer: on only between 0.4 and 0.6, which neither sample is in
    inner = linear([[1.0], [1.0], [1.0]], [-0.3, -0.5, -0.7])
    network = Plain(inner, nn.ReLU(), linear([[1.0, -2.0, 1.0]], [-0.1]), nn.ReLU(), linear([[1.0]]))
    given = Batch(torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1))
    assert LinearRegions(between=0).score(network, given, functional.mse_loss) == 1.0 + 3
    assert LinearRegions(between=99).score(network, given, functional.mse_loss) == 1.0 + 3 + 2


def test_linear_regions_cut_pictures_to_their_middle():
    pictures = torch.randn(2, 1, 5, 5)
    inner = pictures.clone()
    inner[:, :, 1:4, 1:4] = 7.0
    assert not torch.equal(LinearRegions()._inputs(pictures)[0], LinearRegions()._inputs(inner)[0])
    cut = LinearRegions(between=1)._inputs(pictures)
    assert torch.equal(cut[0], pictures[0, :, 1:4, 1:4])
    assert torch.allclose(cut[1], pictures[:, :, 1:4, 1:4].mean(0))
    assert LinearRegions(side=0, between=0)._inputs(pictures) is pictures


def test_biases_and_norms_are_no_weights_of_a_score():
    network = Plain(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    given = Batch(torch.randn(4, 1, 2, 2), torch.randn(4, 1, 2, 2))
    value = functional.mse_loss(network(given.inputs), given.target)
    (gradient,) = torch.autograd.grad(value, [network.layers[0].weight])
    assert GradNorm().score(network, given, functional.mse_loss) == pytest.approx(float(gradient.norm()), rel=1e-3)
    with pytest.raises(ProxyError, match="no weights but biases"):
        GradNorm().score(Plain(nn.BatchNorm2d(1)), given, functional.mse_loss)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: JacobCov(offset=0.0), "above 0"),
        (lambda: Ntk(samples=1), "2 or more"),
        (lambda: LinearRegions(side=-1), "neither may be negative"),
    ],
)
def test_settings_that_cannot_be(make: Callable[[], object], words: str):
    with pytest.raises(ProxyError, match=words):
        make()


@pytest.mark.parametrize("score", [Naswot(), Synflow(), JacobCov(), Ntk(samples=4)], ids=lambda s: s.name)
def test_a_cell_without_a_path_is_below_all_that_have_one(score: Naswot):
    """Its output is one constant for all pictures."""
    space = NasBench201Space(NasBench201Settings(channels=4, cells_per_stage=1, classes=3))
    given = Batch(torch.randn(6, 3, 8, 8), torch.arange(6) % 3)

    def of(cell: str) -> float:
        network = space.build(space.from_arch_string(cell))
        network.reset(torch.Generator().manual_seed(0))
        return score.score(network, given, functional.cross_entropy)

    whole = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    assert of("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|") == -math.inf
    assert math.isfinite(of(whole))
