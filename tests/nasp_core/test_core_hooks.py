"""What supernets carry while they are searched: partial channels, identities, random features, cells in transit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nasp_core.errors import StrategyError
from nasp_core.loop import Loop
from nasp_core.methods.darts_minus import AuxiliarySkip
from nasp_core.methods.entrannas import Transit
from nasp_core.methods.msg_das import DropBlockSkip
from nasp_core.methods.noisy_darts import NoisySkip
from nasp_core.methods.rf_darts import NormOnly
from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts import Argmax, FirstOrder, Logits, PartialChannels, Softmax
from nasp_core.strategy import Hook, Strategy
from nasp_core.types import Mixture
from sif.cells.convolution.edges import ConvEdge, EdgeRow, branches_of, joined
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space
from sif.cells.convolution.operations import CONV_OPERATIONS, EdgePlace, EdgeSource, Skip
from sif.cells.convolution.space import ConvCellSpace, ConvSettings
from sif.testing.cases import CASES

HOOKS = [AuxiliarySkip(), DropBlockSkip(), NoisySkip(), NormOnly(), PartialChannels(2), Transit()]
SETTINGS = ConvSettings(
    channels=8, layers=5, nodes=2, stem_multiplier=1, operations=("none", "skip_connect", "conv_1x1"), classes=3
)


def conv(settings: ConvSettings = SETTINGS) -> ConvCellSpace:
    return ConvCellSpace(settings)


def drawn(space: Space, seed: int = 0) -> Space:
    space.reset(torch.Generator().manual_seed(seed))
    return space


def pictures(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def dense(space: Space) -> Mixture:
    return Mixture(weights={g.name: torch.full(g.shape, 1.0 / g.shape[1]) for g in space.groups})


def strategy(hook: Hook) -> Strategy:
    return Strategy(Logits(), Softmax(), FirstOrder(), Argmax(), hooks=(hook,))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: type(hook).__name__)
@pytest.mark.parametrize("case", ["conv-cell", "nas-bench-201", "recurrent-cell", "interaction", "interaction-wide"])
def test_detaching_leaves_the_space_as_it_was(hook: Hook, case: str) -> None:
    space = drawn(CASES[case].space()).eval()
    batch = CASES[case].task().stream("valid", 12, 0).batch(0)
    names = [name for name, _ in space.named_parameters()]
    before = space(batch.inputs, dense(space))
    hook.attach(space).detach()
    assert [name for name, _ in space.named_parameters()] == names
    torch.testing.assert_close(space(batch.inputs, dense(space)), before, rtol=0, atol=0)
    assert space.transit == frozenset()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: type(hook).__name__)
@pytest.mark.parametrize("case", ["recurrent-cell", "interaction", "interaction-wide", "quadratic"])
def test_a_hook_without_meaning_on_a_space_does_nothing_there(hook: Hook, case: str) -> None:
    space = drawn(CASES[case].space()).eval()
    batch = CASES[case].task().stream("valid", 12, 0).batch(0)
    before, names = space(batch.inputs, dense(space)), [name for name, _ in space.named_parameters()]
    hook.attach(space)
    torch.testing.assert_close(space(batch.inputs, dense(space)), before, rtol=0, atol=0)
    assert [name for name, _ in space.named_parameters()] == names
    assert list(map(id, hook.trained(space, space.weights()))) == list(map(id, space.weights()))


def test_the_loop_takes_an_earlier_search_s_hooks_away() -> None:
    case, space = CASES["conv-cell"], CASES["conv-cell"].space()
    names = [name for name, _ in space.named_parameters()]
    training = Training(epochs=1, batch_size=24, optimiser=Optimiser("sgd", 0.05), evaluate_every=0)
    Loop(space, case.task(), training, strategy=strategy(AuxiliarySkip())).run()
    assert any("auxiliary_skips" in name for name, _ in space.named_parameters())
    Loop(space, case.task(), training, strategy=strategy(NormOnly())).run()
    assert not any("auxiliary_skips" in name for name, _ in space.named_parameters())
    assert [name for name, _ in space.named_parameters() if not name.endswith(("norm.weight", "norm.bias"))] != []
    Loop(space, case.task(), training, strategy=strategy(Transit())).run()
    assert [name for name, _ in space.named_parameters()] == names


@pytest.mark.parametrize("stride", [1, 2])
def test_partial_channels_leave_the_untouched_channels_as_they_are(stride: int) -> None:
    """The output, its shuffle undone, begins with the candidates' sum and ends with the source's other channels."""
    place = EdgePlace(4, stride, affine=False)
    edges = [
        ConvEdge(("conv_1x1",), place, lambda name, place: CONV_OPERATIONS[name](place), share=2) for _ in range(2)
    ]
    for edge in edges:
        nn.init.normal_(next(edge.parameters()))
    values = [torch.randn(3, 8, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    weights = torch.tensor([[0.3], [0.7]])
    rows = [EdgeRow(None, weights[i], None, weights[i].sum()) for i in range(2)]
    sources = [EdgeSource(value) for value in values]
    out = joined(edges, rows, sources, branches_of(edges, rows, sources)).value
    plain = out.view(3, 4, 2, *out.shape[2:]).transpose(1, 2).reshape(out.shape)
    passed = [v[:, 4:] if stride == 1 else nn.functional.max_pool2d(v[:, 4:], 2) for v in values]
    torch.testing.assert_close(plain[:, 4:], 0.3 * passed[0] + 0.7 * passed[1])
    seen = [edge[0](EdgeSource(v[:, :4])) for edge, v in zip(edges, values, strict=True)]
    torch.testing.assert_close(plain[:, :4], 0.3 * seen[0] + 0.7 * seen[1])


def test_partial_channels_pass_on_nothing_where_every_edge_is_dropped() -> None:
    space = NasBench201Space(NasBench201Settings(channels=4, cells_per_stage=1, classes=3))
    PartialChannels(2).attach(space)
    drawn(space)
    none = space.groups[0].candidates.index("none")
    assert space(pictures(), Mixture(active={"edge": (none,) * 6})).isfinite().all()
    assert space(pictures(), Mixture(active={"edge": (none, 1, 1, 1, 1, 1)})).isfinite().all()


def test_partial_channels_come_before_hooks_on_edges() -> None:
    for first in (AuxiliarySkip(), NoisySkip()):
        space = conv()
        first.attach(space)
        with pytest.raises(StrategyError, match="give it first"):
            PartialChannels(2).attach(space)


def test_partial_channels_make_candidates_narrow_and_keep_an_even_number() -> None:
    space = conv(ConvSettings(channels=12, layers=3, nodes=1, stem_multiplier=1, classes=3))
    whole = sum(p.numel() for e in space.modules() if isinstance(e, ConvEdge) for p in e.parameters())
    PartialChannels(4).attach(space)
    edges = [module for module in space.modules() if isinstance(module, ConvEdge)]
    assert all(edge.place.channels % 2 == 0 for edge in edges)
    # cells of 12, 24 and 48 channels: 12 has no quarter that is even
    assert {(edge.place.channels, edge.share) for edge in edges} == {(4, 3), (6, 4), (12, 4)}
    assert sum(p.numel() for e in edges for p in e.parameters()) < 0.4 * whole
    assert drawn(space)(pictures(), dense(space)).shape == (3, 3)


def test_the_auxiliary_identity_adds_beta_times_its_source_and_fades() -> None:
    space = drawn(CASES["nas-bench-201"].space()).eval()
    inputs = CASES["nas-bench-201"].task().stream("valid", 4, 0).batch(0).inputs
    only_skips = Mixture(active={"edge": (space.groups[0].candidates.index("skip_connect"),) * 6})
    plain = space(inputs, only_skips)
    attached = AuxiliarySkip().attach(space)
    edge = next(module for module in space.modules() if isinstance(module, ConvEdge))
    x = torch.randn(2, edge.place.channels, 4, 4)
    for progress in (0.0, 0.25, 1.0):
        attached.advance(progress)
        assert edge.extra is not None
        torch.testing.assert_close(edge.extra(EdgeSource(x)), (1.0 - progress) * x)
    torch.testing.assert_close(space(inputs, only_skips), plain)
    attached.advance(0.0)
    assert not torch.allclose(space(inputs, only_skips), plain)


def test_noise_has_the_deviation_asked_for_in_training_alone() -> None:
    space = conv()
    NoisySkip(0.2).attach(space)
    skip = next(module for module in space.modules() if isinstance(module, Skip))
    x = 3.0 * torch.randn(8, 8, 32, 32)
    skip.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        noise = skip(EdgeSource(x)) - x
    assert float(noise.std() / x.std()) == pytest.approx(0.2, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.01)
    skip.eval()
    torch.testing.assert_close(skip(EdgeSource(x)), x, rtol=0, atol=0)


def test_dropped_blocks_are_square_and_keep_the_mean() -> None:
    space = conv()
    DropBlockSkip(0.2, 3).attach(space)
    skip = next(module for module in space.modules() if isinstance(module, Skip))
    x = torch.ones(64, 2, 16, 16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out = skip.train()(EdgeSource(x))
    gone = out[:, 0] == 0
    assert 0.1 < float(gone.float().mean()) < 0.25
    assert float(out.mean()) == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(out[:, 0] == 0, out[:, 1] == 0), "a block goes through all channels"
    whole = nn.functional.max_pool2d(-nn.functional.max_pool2d(-gone.float()[:, None], 3, 1, 1), 3, 1, 1)[:, 0]
    inner = (slice(None), slice(2, -2), slice(2, -2))
    assert torch.equal(whole[inner] > 0, gone[inner]), "every dropped pixel belongs to a block of 3 x 3"


def test_random_features_train_norms_and_classifier_alone() -> None:
    case, space = CASES["conv-cell"], CASES["conv-cell"].space()
    training = Training(epochs=1, batch_size=24, optimiser=Optimiser("sgd", 0.05), evaluate_every=0)
    loop = Loop(space, case.task(), training, strategy=strategy(NormOnly()))
    before = {name: p.detach().clone() for name, p in space.named_parameters()}
    loop.run()
    convolutions = {f"{n}.weight" for n, m in space.named_modules() if isinstance(m, nn.Conv2d)}
    moved = {name for name, p in space.named_parameters() if not torch.equal(p, before[name])}
    assert not moved & convolutions
    norms = [f"{n}.weight" for n, m in space.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert set(norms) <= set(before), "every batch norm has a scale"
    assert len(moved & set(norms)) > len(norms) / 2
    assert "classifier.weight" in moved


@pytest.mark.parametrize(
    ("make", "engines"),
    [
        (lambda: conv(SETTINGS), {3, 4}),  # 5 layers: reductions 1 and 3, the last normal cell is 4
        (
            lambda: NasBench201Space(NasBench201Settings(channels=4, cells_per_stage=2, classes=3)),
            {1, 3, 5},
        ),
    ],
)
def test_cells_in_transit_run_one_point(make: Callable[[], Space], engines: set[int]) -> None:
    space = make()
    Transit().attach(space)
    assert set(range(len(space.cell_kinds()))) - space.transit == engines
    drawn(space)
    calls: dict[int, int] = {}
    cells = [m for m in space.modules() if type(m).__name__ in ("_MixedCell", "_Cell")]
    for number, cell in enumerate(cells):
        for module in cell.modules():
            if isinstance(module, ConvEdge):
                for candidate in module:
                    candidate.register_forward_hook(
                        lambda m, i, o, number=number: calls.__setitem__(number, calls.get(number, 0) + 1)
                    )
    space(pictures(), dense(space))
    full = {n: sum(len(e) for e in cell.modules() if isinstance(e, ConvEdge)) for n, cell in enumerate(cells)}
    for number, count in full.items():
        assert (calls.get(number, 0) == count) == (number in engines), f"cell {number}: {calls.get(number)} of {count}"


@pytest.mark.parametrize(
    "make",
    [lambda: NoisySkip(-1.0), lambda: PartialChannels(0), lambda: DropBlockSkip(1.0), lambda: DropBlockSkip(0.1, 2)],
)
def test_hooks_refuse_what_they_cannot_do(make: Callable[[], Hook]) -> None:
    with pytest.raises(StrategyError, match="must be"):
        make()
