"""The space of NAS-Bench-201: names as the benchmark writes them, sizes as it states them, `none` as a candidate."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.parts.mixtures import straight_through
from nasp_core.types import Mixture
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space, arch_string, operations_of

SMALL = NasBench201Settings(channels=4, cells_per_stage=1, classes=3, in_channels=2)
STRINGS = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
]
POINTS = [(3, 3, 4, 1, 3, 1), (2, 2, 0, 1, 0, 1), (3, 4, 2, 0, 0, 0), (0, 0, 0, 0, 0, 0), (1, 2, 3, 4, 0, 2)]


def make(settings: NasBench201Settings = SMALL) -> NasBench201Space:
    space = NasBench201Space(settings)
    space.reset(torch.Generator().manual_seed(0))
    return space


def pictures(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("text", STRINGS)
def test_a_string_of_the_benchmark_goes_both_ways(text: str) -> None:
    space = NasBench201Space(SMALL)
    genotype = space.from_arch_string(text)
    assert arch_string(operations_of(text)) == text
    assert space.arch_string(space.selection(genotype)) == text
    assert space.build(genotype)(pictures()).shape == (5, 3)


def test_the_order_of_edges_is_that_of_the_strings() -> None:
    genotype = NasBench201Space(SMALL).from_arch_string(STRINGS[0])
    assert genotype.choices["edge"] == (
        *("nor_conv_3x3", "nor_conv_3x3", "avg_pool_3x3"),
        *("skip_connect", "nor_conv_3x3", "skip_connect"),
    )


@pytest.mark.parametrize(
    "text", ["", "|skip_connect~0|", STRINGS[0].replace("~1", "~0"), STRINGS[0].replace("nor", "sep"), STRINGS[0] + "+"]
)
def test_another_string_is_refused(text: str) -> None:
    with pytest.raises(GenotypeError, match=r"^not an architecture of NAS-Bench-201: .*; one looks like \|nor_"):
        operations_of(text)


def test_an_operation_that_is_not_offered_is_refused() -> None:
    space = NasBench201Space(NasBench201Settings(operations=("none", "skip_connect")))
    with pytest.raises(GenotypeError, match="has avg_pool_3x3, nor_conv_3x3; this space offers none, skip_connect"):
        space.from_arch_string(STRINGS[0])
    with pytest.raises(SpaceError, match="give a mixture, or build a genotype"):
        make()(pictures())
    with pytest.raises(SpaceError, match=r"cells_per_stage = 0; it must be 1 or more; operations: unknown .* conv_1x1"):
        NasBench201Settings(cells_per_stage=0, operations=("conv_1x1",))


@pytest.mark.parametrize(
    ("text", "millions"),
    [
        # index 9930 of the benchmark, as its query prints it on CIFAR-10
        ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|", 1.289),
        # the smallest networks of the benchmark
        ("|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|", 0.073),
    ],
)
def test_networks_have_the_parameters_that_the_benchmark_states(text: str, millions: float) -> None:
    space = NasBench201Space()
    network = space.build(space.from_arch_string(text))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == millions


def test_there_are_15625_points() -> None:
    assert sum(1 for _ in NasBench201Space(SMALL).points()) == 15625


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("affine", [True, False])
def test_the_built_network_is_the_restricted_supernet(point: tuple[int, ...], affine: bool) -> None:
    space = make(NasBench201Settings(**{**vars(SMALL), "affine": affine, "cells_per_stage": 2}))
    genotype = space.genotype({"edge": point})
    network = space.build(genotype)
    network.load_state_dict(space.restricted_state(genotype))
    for training in (True, False):
        with torch.no_grad():
            mine = network.train(training)(pictures())
            theirs = space.train(training)(pictures(), Mixture(active={"edge": point}))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    affines = {m.affine for m in network.stages.modules() if isinstance(m, nn.BatchNorm2d)}
    assert affines <= {affine}


@pytest.mark.parametrize("point", POINTS)
def test_gradients_and_statistics_are_those_of_the_dense_mixture(point: tuple[int, ...]) -> None:
    """Also where no live edge leads on from a node: no gradient reaches it, yet its batch norms see the batch."""
    results = []
    for dense in (False, True):
        space = make().double()
        alpha = {"edge": torch.zeros(space.groups[0].shape, dtype=torch.float64, requires_grad=True)}
        mixture = straight_through({"edge": point}, alpha)
        output = space(pictures(torch.float64), Mixture(weights=mixture.weights) if dense else mixture)
        (gradient,) = torch.autograd.grad(output.square().sum(), list(alpha.values()))
        results.append((output, gradient, dict(space.named_buffers())))
    (output, gradient, buffers), (dense_output, dense_gradient, dense_buffers) = results
    torch.testing.assert_close(output, dense_output, rtol=0, atol=1e-10)
    torch.testing.assert_close(gradient, dense_gradient, rtol=1e-10, atol=1e-10)
    assert not gradient[:, 0].any(), "none adds nothing"
    for name, buffer in buffers.items():
        torch.testing.assert_close(buffer, dense_buffers[name], rtol=1e-12, atol=1e-12)


def test_an_edge_of_none_is_left_out() -> None:
    space = make()
    inputs = pictures()
    direct = space(inputs, Mixture(active={"edge": (0, 0, 0, 1, 0, 0)}))
    detour = space(inputs, Mixture(active={"edge": (1, 1, 0, 0, 1, 0)}))
    torch.testing.assert_close(direct, detour)
    assert not torch.allclose(direct, space(inputs, Mixture(active={"edge": (1, 0, 0, 1, 1, 0)})))
