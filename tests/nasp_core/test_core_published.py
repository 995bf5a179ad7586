"""Plain networks of cells: published cells, and the means of a long training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from nasp_core.types import Batch
from sif.cells.convolution import network as module
from sif.cells.convolution.network import CellNetwork, Cells, CellSettings, cells_of
from sif.cells.convolution.operations import Skip
from sif.cells.convolution.published import PUBLISHED_CELLS
from sif.cells.convolution.space import ConvCellSpace, ConvSettings
from sif.testing.pictures import PlantedPictures

TINY = CellSettings(channels=4, layers=3, stem_multiplier=1, classes=3, in_channels=1)
_SKIPS = tuple(("skip_connect", source) for source in (0, 1))
SKIPS = Cells(normal=_SKIPS, normal_concat=(2,), reduce=_SKIPS, reduce_concat=(2,))


def make(name: str = "darts-v2", **settings: Any) -> CellNetwork:
    network = CellNetwork(PUBLISHED_CELLS[name], replace(TINY, **settings))
    network.reset(torch.Generator().manual_seed(0))
    return network


def pictures(size: int = 8, rows: int = 6, channels: int = 1) -> Tensor:
    return torch.randn(rows, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("darts-v2", 3_349_342),  # DARTS' own training prints "param size = 3.349342MB"
        ("darts-v1", 3_169_414),
        ("amoebanet-a", 3_145_078),  # 3.1 million in DARTS' table
        ("nasnet-a", 3_830_950),
        ("nasp", 7_363_486),  # 7.4 million in NASP's table, of the space of 12 operations
    ],
)
def test_published_cells_have_their_parameters(name: str, count: int) -> None:
    """36 channels, 20 cells, 10 classes, the second classifier not counted, as DARTS counts."""
    network = CellNetwork(PUBLISHED_CELLS[name])
    assert sum(p.numel() for key, p in network.named_parameters() if "auxiliary" not in key) == count


@pytest.mark.parametrize("name", PUBLISHED_CELLS)
def test_every_published_cell_trains(name: str) -> None:
    network = make(name)
    training = Training(epochs=1, batch_size=24, optimiser=Optimiser("sgd", 0.05, momentum=0.9, clip=5.0))
    before = [p.detach().clone() for p in make(name).parameters()]
    trained = train(network, PlantedPictures(), training)
    assert 0.0 <= trained.metrics["top1"] <= 1.0
    for (key, parameter), old in zip(network.named_parameters(), before, strict=True):
        assert bool(parameter.isfinite().all()), key
        assert not torch.equal(parameter, old), f"{key} never trained"


@pytest.mark.slow
def test_stripes_are_learnt() -> None:
    training = Training(epochs=12, batch_size=24, optimiser=Optimiser("adam", 0.01))
    trained = train(make(drop_path=0.0), PlantedPictures(rows=144), training, seed=1)
    assert trained.metrics["top1"] > 0.8


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (64, 3), (7, 1), (4, 1), (32, 3)])
def test_pictures_of_any_size_are_taken(size: int, channels: int) -> None:
    network = make(in_channels=channels)
    batch = Batch(pictures(size, 4, channels), torch.tensor([0, 1, 2, 0]))
    loss, second, _ = network.training_loss(batch, None, nn.functional.cross_entropy)
    assert second is not None
    (loss + second).backward()
    assert all(p.grad is not None for p in network.parameters())
    assert network.eval()(batch.inputs).shape == (4, 3)


def test_the_second_classifier_is_for_training_alone() -> None:
    network, batch = make(drop_path=0.0), Batch(pictures(32), torch.tensor([0, 1, 2, 0, 1, 2]))
    receiving: list[Tensor] = []

    def loss(output: Tensor, target: Tensor) -> Tensor:
        receiving.append(output)
        return output.square().mean()

    own, second, _ = network.training_loss(batch, None, loss)
    assert len(receiving) == 2
    torch.testing.assert_close(own, receiving[0].square().mean())
    torch.testing.assert_close(second, 0.4 * receiving[1].square().mean())
    assert network.auxiliary_logits is None, "nothing is held after the step"
    network.eval()
    assert network.training_loss(batch, None, loss)[1] is None
    assert make(auxiliary=0.0).training_loss(batch, None, loss)[1] is None
    alone = Batch(batch.inputs[:1], batch.target[:1])
    assert make().training_loss(alone, None, loss)[1] is None, "batch norm has no spread of a lone picture"


def test_the_second_classifier_sees_windows_of_five_on_features_of_cifar() -> None:
    network = make(drop_path=0.0)
    features = torch.randn(2, 64, 8, 8, generator=torch.Generator().manual_seed(3))
    head = network.auxiliary
    assert head is not None
    seen: list[Tensor] = []
    head.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head.eval()
    for size in (8, 7, 1):
        head(module.EdgeSource(features[..., :size, :size]))
    assert [tuple(x.shape[2:]) for x in seen] == [(2, 2)] * 3
    torch.testing.assert_close(seen[0][..., 1, 0], features.relu()[..., 3:8, 0:5].mean((2, 3)))
    torch.testing.assert_close(seen[1][..., 0, 0], features.relu()[..., :4, :4].mean((2, 3)))


def test_a_dropped_path_keeps_its_expectation_and_drops_whole_pictures() -> None:
    torch.manual_seed(0)
    out = torch.ones(4000, 2, 3, 3, requires_grad=True)
    dropped = module.drop_path(out, torch.tensor(0.8))
    values = dropped.detach().flatten(1)
    assert bool((values == values[:, :1]).all()), "one draw a picture"
    assert set(values[:, 0].tolist()) == {0.0, 1.25}
    assert abs(float(values.mean()) - 1.0) < 0.03
    assert torch.equal(out, torch.ones_like(out)), "not in place"
    assert torch.equal(module.drop_path(out, torch.tensor(1.0)), out)
    assert module.drop_path(out.bfloat16(), torch.tensor(0.8)).dtype == torch.bfloat16


def test_dropping_grows_with_the_training_and_spares_identities(monkeypatch: pytest.MonkeyPatch) -> None:
    keeps: list[float] = []

    def recorded(out: Tensor, keep: Tensor) -> Tensor:
        keeps.append(float(keep))
        return out

    monkeypatch.setattr(module, "drop_path", recorded)
    network = make()
    edges = [op for cell in network.cells for op in cell.operations]  # type: ignore[union-attr]
    for progress, keep in ((0.0, 1.0), (0.5, 0.9), (0.99, 0.802)):
        network.set_progress(progress)
        keeps.clear()
        network(pictures())
        assert keeps == pytest.approx([keep] * len(keeps))
        assert len(keeps) == sum(not isinstance(op, Skip) for op in edges) < len(edges)
    keeps.clear()
    network.eval()(pictures())
    make(drop_path=0.0)(pictures())
    assert not keeps, "nothing is dropped in validation, nor with a probability of 0"
    assert "keep" not in network.state_dict()


def test_a_cell_of_identities_is_untouched_by_dropping() -> None:
    cell = CellNetwork(SKIPS, replace(TINY, auxiliary=0.0)).cells[0]
    for parameter in cell.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(4))
    before, previous = (module.EdgeSource(pictures(8, 5, 4)) for _ in range(2))
    kept = cell(before, previous, None).value
    torch.testing.assert_close(cell(before, previous, torch.tensor(0.1)).value, kept, rtol=0, atol=0)


@pytest.mark.slow
def test_compiling_once_is_enough_for_a_training() -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    network = make()
    network.compile(backend=counter, fullgraph=True)
    for step in range(4):
        network.set_progress(step / 4)
        batch = Batch(pictures(), torch.tensor([0, 1, 2, 0, 1, 2]))
        loss, second, _ = network.training_loss(batch, None, nn.functional.cross_entropy)
        assert second is not None
        (loss + second).backward()
    assert counter.frame_count == 1


def test_cells_that_cannot_be_built_are_refused_all_at_once() -> None:
    with pytest.raises(SpaceError) as error:
        Cells(normal=(("conv_1x1", 2), ("conv_9x9", 0)), normal_concat=(3,), reduce=_SKIPS[:1], reduce_concat=())
    text = str(error.value)
    assert "normal: node 2 cannot start from 2, which is not before it" in text
    assert "normal: unknown cell operation 'conv_9x9'; did you mean" in text
    assert "normal_concat = [3]; it must name sources of the cell" in text
    assert "reduce: 1 entries; each node needs two" in text
    assert "reduce_concat = []" in text
    with pytest.raises(SpaceError, match=r"channels = 3; .*auxiliary = -1; .*drop_path = 1.0; it must be 0 or more"):
        CellSettings(channels=3, auxiliary=-1, drop_path=1.0)


def test_the_cells_of_a_genotype_are_its_kept_edges() -> None:
    space = ConvCellSpace(ConvSettings(channels=2, nodes=2))
    names = space.settings.operations
    skip, pool = names.index("skip_connect"), names.index("max_pool_3x3")
    genotype = space.genotype({"normal": (skip, pool, -1, pool, skip), "reduce": (pool, pool, skip, -1, pool)})
    assert cells_of(genotype) == Cells(
        normal=(("skip_connect", 0), ("max_pool_3x3", 1), ("max_pool_3x3", 1), ("skip_connect", 2)),
        normal_concat=(2, 3),
        reduce=(("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 0), ("max_pool_3x3", 2)),
        reduce_concat=(2, 3),
    )
    with pytest.raises(GenotypeError, match="has no normal cell"):
        cells_of(replace(genotype, choices={}))
    torn = {**genotype.choices, "normal": genotype.choices["normal"][:4]}
    with pytest.raises(GenotypeError, match="each node keeps two"):
        cells_of(replace(genotype, choices=torn))


def test_a_second_source_twice_and_more_nodes_are_built() -> None:
    twice = (("conv_1x1", 0), ("sep_conv_3x3", 0), ("max_pool_3x3", 2), ("conv_7x1_1x7", 2))
    network = CellNetwork(Cells(twice, (3,), twice, (2, 3)), TINY)
    network.reset(torch.Generator().manual_seed(0))
    assert network.eval()(pictures()).shape == (6, 3)
