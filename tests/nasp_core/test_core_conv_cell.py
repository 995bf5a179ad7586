"""The conv-cell space: its rule, its numbers, and what a step leaves untouched."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.loop import Loop
from nasp_core.methods import make_strategy
from nasp_core.network import Network
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts.mixtures import straight_through
from nasp_core.strategy import frozen
from nasp_core.types import Active, Mixture
from sif.cells.convolution.operations import (
    CONV_OPERATIONS,
    NASP_NORMAL_OPERATIONS,
    NASP_REDUCE_OPERATIONS,
    EdgePlace,
    EdgeSource,
    FactorizedReduce,
)
from sif.cells.convolution.space import ConvCellSpace, ConvSettings
from sif.testing.cases import CASES
from sif.testing.pictures import PlantedPictures

DARTS = ConvSettings(channels=4, layers=3, nodes=3, classes=3, in_channels=2)
NASP = replace(DARTS, operations=NASP_NORMAL_OPERATIONS, reduce_operations=NASP_REDUCE_OPERATIONS)
SETTINGS = [pytest.param(DARTS, id="darts"), pytest.param(NASP, id="nasp")]


def make(settings: ConvSettings, seed: int = 0) -> ConvCellSpace:
    space = ConvCellSpace(settings)
    space.reset(torch.Generator().manual_seed(seed))
    return space


def point(space: ConvCellSpace, seed: int = 1) -> Active:
    return space.random_point(torch.Generator().manual_seed(seed))


def pictures(size: int = 8, rows: int = 6, channels: int = 2) -> Tensor:
    return torch.randn(rows, channels, size, size, generator=torch.Generator().manual_seed(2))


def alphas(space: ConvCellSpace, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {group.name: torch.zeros(group.shape, dtype=dtype, requires_grad=True) for group in space.groups}


def test_a_node_keeps_its_two_best_edges_and_none_never_wins() -> None:
    space = ConvCellSpace(replace(DARTS, nodes=2, operations=("none", "skip_connect", "conv_1x1")))
    normal = torch.tensor([[9.0, 0.1, 0.0], [9.0, 0.0, 0.2], [9.0, 0.5, 0.4], [0.0, 0.3, 0.3], [0.0, 0.2, 0.6]])
    reduce = torch.zeros(space.groups[1].shape)
    active = space.constrain({"normal": normal, "reduce": reduce})
    # both edges of node 0, the two best of node 1's three, each with its best candidate but never `none`
    assert active["normal"] == (1, 2, 1, -1, 2)
    assert active["reduce"] == (1, 1, 1, 1, -1), "a tie goes to the lowest edge and candidate"
    assert normal[0, 0] == 9.0, "the scores are left as they are"


def test_points_are_all_that_the_rule_allows() -> None:
    space = ConvCellSpace(replace(DARTS, nodes=2, operations=("none", "skip_connect"), reduce_operations=("conv_1x1",)))
    points = list(space.points())
    assert len(points) == 3 * 3  # each cell drops one of node 1's three edges
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(str(space.random_point(generator)) for _ in range(1800))
    assert set(drawn) == {str(active) for active in points}
    assert max(drawn.values()) < 1.35 * min(drawn.values()), "points are drawn with one probability"
    first = next(iter(make(ConvSettings(channels=2)).points()))
    assert [len(row) for row in first.values()] == [14, 14], "the points of a space too large to walk come lazily"


@torch.no_grad()
def layers_of(network: Network, mixture: Mixture | None) -> list[Tensor]:
    """Return the outputs of the stem and of every cell, and the logits."""
    seen: list[Tensor] = []
    layers = [network.stem, *network.cells]  # type: ignore[union-attr, misc, list-item]
    handles = [
        layer.register_forward_hook(lambda _, __, out: seen.append(out.value if isinstance(out, EdgeSource) else out))
        for layer in layers
    ]
    logits = network(pictures(), mixture)
    for handle in handles:
        handle.remove()
    return [*seen, logits]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_built_network_is_the_restricted_supernet_layer_by_layer(settings: ConvSettings) -> None:
    space = make(settings)
    for training, seed in itertools.product((True, False), range(3)):
        active = point(space, seed)
        genotype = Genotype.from_json(space.genotype(active).to_json())
        network = space.build(genotype)
        network.load_state_dict(space.restricted_state(genotype))
        mixtures: dict[Network, Mixture | None] = {space: Mixture(active=active), network: None}
        theirs, mine = (layers_of(owner.train(training), mixture) for owner, mixture in mixtures.items())
        assert len(mine) == settings.layers + 2
        for own, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(own, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_gradients_are_those_of_the_dense_mixture(settings: ConvSettings, dtype: torch.dtype, tolerance: float) -> None:
    space = make(settings).to(dtype)
    inputs, target = pictures().to(dtype), torch.arange(6) % 3
    active, grads = point(space), []
    for dense in (False, True):
        alpha = alphas(space, dtype)
        mixture = straight_through(active, alpha)
        output = space(inputs, Mixture(weights=mixture.weights) if dense else mixture)
        loss = functional.cross_entropy(output, target)
        wanted = [*alpha.values(), *space.parameters()]
        grads.append(torch.autograd.grad(loss, wanted, allow_unused=True))
    fast, slow = grads
    for group, mine, theirs in zip(space.groups, fast, slow, strict=False):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)
        for index, name in enumerate(group.candidates):
            assert bool((mine[:, index] == 0).all()) == (name == "none")
    for mine, theirs in zip(fast[2:], slow[2:], strict=True):  # a dead candidate's weights: none here, zero there
        torch.testing.assert_close(
            torch.zeros_like(theirs) if mine is None else mine, theirs, rtol=1e-4, atol=tolerance
        )


@pytest.mark.parametrize("settings", SETTINGS)
def test_batch_norms_end_an_architecture_step_as_in_the_dense_mixture(settings: ConvSettings) -> None:
    buffers = []
    for dense in (False, True):
        space = make(settings)
        alpha = alphas(space)
        for seed in range(2):
            mixture = straight_through(point(space, seed), alpha)
            output = space(pictures(), Mixture(weights=mixture.weights) if dense else mixture)
            torch.autograd.grad(output.square().sum(), list(alpha.values()))
        buffers.append(dict(space.named_buffers()))
    assert any("num_batches_tracked" in name for name in buffers[0])
    for name, mine in buffers[0].items():
        torch.testing.assert_close(mine, buffers[1][name], rtol=0, atol=0)
        assert not name.endswith("tracked") or int(mine) == 2, name


def calls(space: ConvCellSpace, mixture: Mixture, *, backward: bool = False) -> dict[tuple[int, int, int], int]:
    """Return how often each (cell, edge, candidate) is called."""
    counted: Counter[tuple[int, int, int]] = Counter()
    handles = []
    for cell, edges in enumerate(c.edges for c in space.cells):  # type: ignore[union-attr]
        for edge, candidates in enumerate(edges):  # type: ignore[arg-type]
            for index, candidate in enumerate(candidates):
                key = (cell, edge, index)
                counted[key] = 0
                handles.append(candidate.register_forward_hook(lambda *_, key=key: counted.update([key])))
    output = space(pictures(), mixture)
    if backward:
        output.sum().backward()
    for handle in handles:
        handle.remove()
    return counted


def test_a_weight_step_runs_live_operations_alone_and_an_architecture_step_each_once() -> None:
    space = make(DARTS)
    active = point(space)
    live = {
        (cell, edge, index - 1)  # `none`, the first of the names, has no module
        for cell, group in enumerate(("normal", "reduce", "reduce"))
        for edge, index in enumerate(active[group])
        if index >= 0
    }
    assert {key for key, count in calls(space, Mixture(active=active)).items() if count} == live
    assert len(live) == 3 * 2 * 3
    mixture = straight_through(active, alphas(space))
    assert {key for key, count in calls(space, mixture).items() if count} == live, "the dead wait for the backward pass"
    assert set(calls(space, mixture, backward=True).values()) == {1}
    dense = {name: torch.softmax(torch.zeros(group.shape), 1) for name, group in zip(active, space.groups, strict=True)}
    assert set(calls(space, Mixture(weights=dense)).values()) == {1}
    assert len(space.cells[0].edges[0]) == len(DARTS.operations) - 1  # type: ignore[arg-type, index, union-attr]


def test_the_dead_keep_weights_momentum_and_statistics_bit_for_bit_in_a_weight_step() -> None:
    space = ConvCellSpace(replace(DARTS, in_channels=1))
    training = Training(
        epochs=4,
        batch_size=12,
        optimiser=Optimiser("sgd", 0.1, momentum=0.9, weight_decay=0.01, clip=5.0),
    )
    loop = Loop(space, PlantedPictures(), training, strategy=make_strategy("nasp", alpha_lr=0.3))
    space.train()
    names = dict(space.named_parameters())

    def snapshot() -> dict[str, Tensor]:
        momenta = {f"{n} momentum": loop.optimiser.state[p].get("momentum_buffer") for n, p in names.items()}
        now = {**space.state_dict(), **{n: m for n, m in momenta.items() if m is not None}}
        return {name: tensor.detach().clone() for name, tensor in now.items()}

    lives = set()
    for step in range(4):
        loop._step(step)
        before, active = snapshot(), loop._paths("weight")[0].active  # type: ignore[union-attr]
        assert active is not None
        loop._weight_step(loop.stream.batch(step))
        after = snapshot()
        kept = {
            f"cells.{cell}.edges.{edge}.{index - 1}."
            for cell, group in enumerate(("normal", "reduce", "reduce"))
            for edge, index in enumerate(active[group])
            if index >= 0
        }
        lives.add(str(sorted(kept)))
        for name, tensor in after.items():
            alive = ".edges." not in name or any(name.startswith(prefix) for prefix in kept)
            if not alive:
                assert torch.equal(tensor, before[name]), f"{name} of a dead candidate changed"
            elif name in names:
                assert not torch.equal(tensor, before[name]), f"{name} of a live candidate stayed"
    assert len(lives) > 1, "the test saw one architecture alone"


def held_for_backward(space: ConvCellSpace, mixture: Mixture) -> int:
    """Return the bytes that the graph of an architecture step holds."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with frozen(space.weights()), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = space(pictures(16), mixture)
    assert output.requires_grad
    return sum(held.values())


def test_an_architecture_step_holds_a_single_path() -> None:
    space = make(replace(DARTS, nodes=4, layers=4))
    mixture = straight_through(point(space), alphas(space))
    path, dense = held_for_backward(space, mixture), held_for_backward(space, Mixture(weights=mixture.weights))
    assert 5 * path < dense, f"{path} bytes against {dense}"


def test_half_precision_gives_gradients_and_losses_in_full() -> None:
    space = make(DARTS)
    alpha = alphas(space)
    with torch.autocast("cpu", torch.bfloat16):
        loss = functional.cross_entropy(space(pictures(), straight_through(point(space), alpha)), torch.arange(6) % 3)
        gradients = torch.autograd.grad(loss, list(alpha.values()))
    assert loss.dtype == torch.float32
    exact = functional.cross_entropy(space(pictures(), straight_through(point(space), alpha)), torch.arange(6) % 3)
    for gradient, wanted in zip(gradients, torch.autograd.grad(exact, list(alpha.values())), strict=True):
        assert gradient.dtype == torch.float32
        assert float(functional.cosine_similarity(gradient.flatten(), wanted.flatten(), dim=0)) > 0.9


@pytest.mark.parametrize("size", [6, 7])
def test_factorized_reduce_is_two_convolutions_a_pixel_apart(size: int) -> None:
    module = FactorizedReduce(3, 4)
    for parameter in (module.even.weight, module.odd.weight):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    module.eval()
    x = pictures(size, 2, 3)
    out = module(EdgeSource(x))
    half = (size + 1) // 2
    assert out.shape == (2, 4, half, half)
    rectified = functional.pad(x.relu(), (0, 2, 0, 2))
    for i, j in itertools.product(range(half), repeat=2):
        even = module.even.weight[:, :, 0, 0] @ rectified[:, :, 2 * i, 2 * j].T
        odd = module.odd.weight[:, :, 0, 0] @ rectified[:, :, 2 * i + 1, 2 * j + 1].T
        expected = torch.cat([even, odd]).T / (1 + module.norm.eps) ** 0.5
        torch.testing.assert_close(out[:, :, i, j], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONV_OPERATIONS)
@pytest.mark.parametrize("size", [8, 7])
def test_every_operation_keeps_or_halves_the_size(name: str, size: int) -> None:
    for stride in (1, 2):
        module = CONV_OPERATIONS[name](EdgePlace(4, stride, affine=False))
        out = module(EdgeSource(pictures(size, 2, 4)))
        assert out.shape == (2, 4, *[-(-size // stride)] * 2)
        norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(not norm.affine for norm in norms)
        assert norms or name == "skip_connect"


def test_edges_of_a_source_share_what_they_make_of_it_alike() -> None:
    source = EdgeSource(pictures(8, 2, 4).requires_grad_())
    with torch.no_grad():
        loose = source.rectified
    assert not loose.requires_grad
    bound = source.rectified
    assert bound.requires_grad, "what was made without a graph is not taken for one with"
    assert source.rectified is bound
    with torch.no_grad():
        assert source.rectified is bound
    one, other = (CONV_OPERATIONS["max_pool_3x3"](EdgePlace(4)) for _ in range(2))
    assert one(source).data_ptr() == other(source).data_ptr()
    assert CONV_OPERATIONS["max_pool_3x3"](EdgePlace(4, 2))(source).shape[-1] == 4


def test_relative_parameters_are_those_of_nasp() -> None:
    space = ConvCellSpace(replace(NASP, channels=12))
    counts = {"skip_connect": 0, "conv_3x1_1x3": 864, "dil_conv_3x3": 252, "conv_1x1": 144, "conv_3x3": 1296}
    counts |= {"sep_conv_3x3": 504, "sep_conv_5x5": 888, "sep_conv_7x7": 1464}
    expected = torch.tensor([counts[name] for name in NASP.operations]) / sum(counts.values())
    sizes = space.relative_parameters()
    torch.testing.assert_close(sizes["normal"], expected.expand(space.groups[0].shape))
    assert not sizes["reduce"].any()
    assert sizes["reduce"].shape == space.groups[1].shape


def test_the_layout_in_memory_changes_no_result() -> None:
    outputs = []
    for channels_last in (True, False):
        space = make(replace(DARTS, channels_last=channels_last))
        outputs.append(space(pictures(), Mixture(active=point(space))))
        assert space.stem(space.picture(pictures())).is_contiguous() == (not channels_last)
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_a_genotype_that_breaks_the_rule_is_refused() -> None:
    space = CASES["conv-cell"].space()
    assert isinstance(space, ConvCellSpace)
    good = space.genotype(point(space))
    three: dict[str, Any] = {**good.choices, "normal": ("conv_1x1",) * 5}
    with pytest.raises(
        GenotypeError, match=r"normal: node 3 keeps 3 of its edges \['conv_1x1', 'conv_1x1', 'conv_1x1'\]"
    ):
        space.build(replace(good, choices=three))
    none = {**good.choices, "reduce": ("none", "conv_1x1", "conv_1x1", "conv_1x1", None)}
    with pytest.raises(GenotypeError, match=r"reduce: node 2 keeps 1 of its edges .* `none` cannot be kept"):
        space.selection(replace(good, choices=none))
    with pytest.raises(SpaceError, match="give a mixture, or build a genotype"):
        space(pictures(channels=1))
    with pytest.raises(SpaceError, match=r"pictures must be \[batch, channels, height, width\], but .* \[3, 8\]"):
        space(torch.zeros(3, 8), Mixture(active=point(space)))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"channels": 5}, "channels = 5; a reduction halves them"),
        ({"layers": 2}, "layers = 2; it must be 3 or more"),
        ({"nodes": 0}, "nodes = 0; it must be 1 or more"),
        ({"operations": ("none",)}, "operations offers none alone"),
        ({"operations": ()}, "operations: no operation to choose from"),
        (
            {"operations": ("conv_9x9", "conv_1x1")},
            "operations: unknown cell operation 'conv_9x9'; did you mean 'conv_3x3'. There are: skip_connect, ",
        ),
        ({"reduce_operations": ("conv_1x1",) * 2}, r"reduce_operations: operation\(s\) conv_1x1 given twice"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(SpaceError, match=text):
        replace(DARTS, **wrong)
