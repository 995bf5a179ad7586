"""Operations of cells from outside: their weights are drawn by `reset`, and what cannot stand on an edge is refused."""

from typing import Any

import own_cells
import pytest
import torch
from torch import Tensor

from nasp_core.errors import SpaceError
from nasp_core.methods.pc_darts import pc_darts
from nasp_core.network import Network
from nasp_core.types import Mixture
from sif.cells.convolution.network import CellNetwork, Cells, CellSettings
from sif.cells.convolution.space import ConvCellSpace, ConvSettings
from sif.cells.recurrent.settings import RecurrentSettings
from sif.cells.recurrent.space import RecurrentCellSpace

SMALL: dict[str, Any] = {"channels": 4, "layers": 3, "nodes": 1, "classes": 3, "in_channels": 1}


def drawn(network: Network, seed: int = 0) -> dict[str, Tensor]:
    network.reset(torch.Generator().manual_seed(seed))
    return {key: value.clone() for key, value in network.state_dict().items()}


def test_weights_are_drawn_by_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    space = ConvCellSpace(ConvSettings(**SMALL, operations=("skip_connect", own_cells.blurred)))
    torch.manual_seed(5)
    first = drawn(space)
    assert torch.equal(torch.get_rng_state(), before), "nothing of the program around is drawn or moved"
    torch.manual_seed(6)
    again = drawn(ConvCellSpace(ConvSettings(**SMALL, operations=("skip_connect", "own_cells:blurred"))))
    assert all(torch.equal(first[key], again[key]) for key in first)
    slopes = [value for key, value in first.items() if key.endswith("slope")]
    assert len({float(value.mean()) for value in slopes}) == len(slopes) > 1, "each edge draws its own"
    own = [value for key, value in first.items() if "module.0.weight" in key]
    assert all((value == 1 / 9).all() for value in own), "it begins with what it is made with"
    assert any(not torch.equal(first[key], value) for key, value in drawn(space, 1).items())


def test_what_is_found_is_built_and_serves_as_in_the_supernet():
    space = ConvCellSpace(ConvSettings(**SMALL, operations=(own_cells.FIVE, own_cells.blurred)))
    drawn(space)
    active = {"normal": (0, 1), "reduce": (3, 3)}
    genotype = space.genotype(active)
    assert genotype.choices["normal"] == ("own_cells:FIVE", "own_cells:blurred")
    network = space.build(type(genotype).from_json(genotype.to_json()))
    network.load_state_dict(space.restricted_state(genotype))
    x = torch.randn(2, 1, 9, 9)
    assert torch.allclose(network.eval()(x), space.eval()(x, Mixture(active=active)), atol=1e-6)
    burden = space.relative_parameters()["normal"][0]
    assert (float(burden[0]), float(burden[1])) == (0.0, 1.0)


def test_it_sees_a_share_of_the_channels():
    space = ConvCellSpace(ConvSettings(**SMALL | {"channels": 8}, operations=("none", own_cells.blurred)))
    for hook in pc_darts().hooks:
        hook.attach(space)
    drawn(space)
    weights = {group.name: torch.full(group.shape, 0.5) for group in space.groups}
    assert space(torch.randn(2, 1, 9, 9), Mixture(weights=weights)).shape == (2, 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            "own_cells:one_stride",
            r"makes torch.float32 \(2, 16, 8, 8\) .* at EdgePlace\(.*stride=2.*\(2, 16, 4, 4\): keep",
        ),
        (own_cells.in_place, "changes its input in place, which other edges read"),
        (own_cells.shared, "makes one module for all edges; make a new one at each place"),
        (own_cells.lazy, "has weights without a shape"),
        (own_cells.no_module, "makes a builtin_function_or_method|makes a function .*; it must make a torch.nn.Module"),
        (own_cells.fails, r"own_cells:fails cannot be made at EdgePlace\(channels=16.*divisible by groups"),
        (own_cells.Unsaved, "gives another result when its saved weights are loaded"),
        (own_cells.LAYER, "is Conv2d, which is the same on every edge; give what makes a"),
        (torch.nn.Conv2d, "torch.nn.modules.conv:Conv2d cannot be made at EdgePlace"),
        ("own_cells:Gone", "module own_cells has no Gone"),
        (lambda place: place, "cannot be found again by name.*give it a name in its module .test_sif_own_cells"),
    ],
)
def test_what_cannot_stand_on_an_edge(given: Any, words: str):
    with pytest.raises(SpaceError, match=words):
        ConvSettings(operations=("skip_connect", given))
    if isinstance(given, str):
        with pytest.raises(SpaceError, match=f"normal: .*{words}"):
            Cells(((given, 0), (given, 1)), (2,), (("skip_connect", 0), ("skip_connect", 1)), (2,))


def test_a_place_that_it_cannot_stand_at_is_named():
    cells = Cells((("own_cells:FIVE", 0),) * 2, (2,), (("own_cells:blurred", 0),) * 2, (2,))
    assert CellNetwork(cells, CellSettings(channels=4, layers=3, auxiliary=0.0))(torch.zeros(2, 3, 8, 8)).shape == (
        2,
        10,
    )


def test_an_activation_of_ones_own():
    sizes: dict[str, Any] = {"vocabulary": 5, "steps": 2, "embedding_dim": 4, "hidden": 4}
    names = RecurrentSettings(**sizes, activations=("none", own_cells.swish, torch.sin, torch.nn.SiLU)).activations
    assert names[:2] == ("none", "own_cells:swish")
    space = RecurrentCellSpace(RecurrentSettings(**sizes, activations=names))
    drawn(space)
    words, factors = torch.randint(5, (3, 2)), torch.randn(3, 2, 5)
    active = space.random_point(torch.Generator().manual_seed(0))
    for live in (None, active):
        weights = torch.full(space.groups[0].shape, 0.25, requires_grad=True)
        (space(words, Mixture(active=live, weights={"node": weights}))[0] * factors).sum().backward()
        assert weights.grad is not None
        assert (weights.grad[0, 1:] != 0).all(), "each candidate has its gradient"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            own_cells.halved,
            r"makes torch.float32 \(3, 2, 3\) of states float32 \(3, 2, 5\); it must keep shape and type",
        ),
        (own_cells.centred, "makes something else of states alone than of several at once"),
        (own_cells.doubled, "changes its input in place"),
        (torch.nn.PReLU, "has weights; edges of a recurrent cell have none of their own"),
        ("own_cells:FIVE", "makes a AvgPool2d of states"),
        ("swoosh", "unknown activation 'swoosh'"),
    ],
)
def test_what_is_no_activation(given: Any, words: str):
    with pytest.raises(SpaceError, match=words):
        RecurrentSettings(vocabulary=5, activations=("tanh", given))
