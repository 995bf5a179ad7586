"""The recurrent cell space: the cell against a plain reference, its gradients, its rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from recurrent_samples import CELLS, FUNCTIONS, PLAIN, space_of, words
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.parts.mixtures import straight_through
from nasp_core.types import Batch, Mixture
from sif.cells.recurrent.forms import DARTS_PTB, DARTS_PTB_FIRST, from_pairs, pairs_of, resized
from sif.cells.recurrent.settings import DARTS_EVALUATION, RecurrentSettings
from sif.cells.recurrent.space import RecurrentCellSpace, RecurrentNetwork
from sif.testing.text import PlantedText


def reference(space: Any, inputs: Tensor, weights: Tensor, names: tuple[str, ...]) -> Tensor:
    """Logits by the equations, one time step, node, edge and candidate after the other."""
    state, outputs = torch.zeros(inputs.shape[1], PLAIN.hidden, dtype=space.embedding.dtype), []
    for row in inputs:
        c, h = (torch.cat([space.embedding[row], state], 1) @ space.initial).chunk(2, 1)
        states = [state + c.sigmoid() * (h.tanh() - state)]
        edge = 0
        for matrix in space.nodes:
            total = torch.zeros_like(state)
            for earlier in list(states):
                c, h = (earlier @ matrix).chunk(2, 1)
                for index, name in enumerate(names):
                    if name != "none":
                        total = total + weights[edge, index] * (earlier + c.sigmoid() * (FUNCTIONS[name](h) - earlier))
                edge += 1
            states.append(total)
        state = sum(states[1:]) / len(space.nodes)  # type: ignore[assignment]
        outputs.append(state @ space.embedding.T + space.bias)
    return torch.stack(outputs)


def one_hot(space: RecurrentCellSpace, active: tuple[int, ...]) -> Tensor:
    weights = torch.zeros(space.groups[0].shape, dtype=torch.float64)
    for edge, index in enumerate(active):
        if index >= 0:
            weights[edge, index] = 1.0
    return weights


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_its_equations(cell: tuple[tuple[str, int], ...]) -> None:
    space = space_of()
    genotype = from_pairs(cell, PLAIN)
    active = space.selection(genotype)
    expected = reference(space, words(), one_hot(space, active["node"]), PLAIN.activations)
    torch.testing.assert_close(space(words(), Mixture(active=active))[0], expected, rtol=1e-12, atol=1e-12)
    network = space.build(genotype).double()
    network.load_state_dict(space.state_dict())
    torch.testing.assert_close(network(words())[0], expected, rtol=1e-12, atol=1e-12)


def test_a_mixture_is_the_weighted_sum_over_edges_and_activations() -> None:
    space = space_of()
    weights = torch.rand(space.groups[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = reference(space, words(), weights, PLAIN.activations)
    torch.testing.assert_close(space(words(), Mixture(weights={"node": weights}))[0], expected, rtol=1e-12, atol=1e-12)


def test_several_live_edges_add_up_and_none_adds_nothing() -> None:
    space = space_of()
    active = (1, 0, -1, 2, 4, 3)  # node 1: tanh; node 2: none and dropped; node 3: three edges
    expected = reference(space, words(), one_hot(space, active), PLAIN.activations)
    torch.testing.assert_close(space(words(), Mixture(active={"node": active}))[0], expected, rtol=1e-12, atol=1e-12)


SEARCH = replace(PLAIN, batch_norm=True, dropout=0.3, dropouth=0.3, dropoutx=0.3, dropouti=0.3, dropoute=0.2)


def gradients(space: RecurrentCellSpace, active: tuple[int, ...], *, dense: bool) -> tuple[Tensor, ...]:
    """Output, what is left, BN statistics, and the gradients of alpha and every weight, at a one-hot point."""
    start = torch.rand(space.groups[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    alpha = {"node": start.requires_grad_()}
    point = straight_through({"node": active}, alpha)
    mixture = Mixture(weights=point.weights) if dense else point
    if space.norm is not None:
        space.norm.reset_running_stats()
    with torch.random.fork_rng():
        torch.manual_seed(4)
        output, hidden = space(words(), mixture)
    cotangent = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    grads = torch.autograd.grad(output, [alpha["node"], *space.parameters()], cotangent)
    return (grads[0], output.detach(), hidden, *(b.clone() for b in space.buffers()), *grads[1:])


@pytest.mark.parametrize("settings", [PLAIN, SEARCH, replace(SEARCH, activations=("relu", "tanh", "identity"))])
def test_gradients_at_a_point_are_those_of_the_dense_mixture(settings: RecurrentSettings) -> None:
    """In every edge and activation, summed over time; and batch norm ends up as the dense mixture leaves it."""
    space = space_of(settings)
    for seed in range(5):
        active = space.random_point(torch.Generator().manual_seed(seed))["node"]
        fast, slow = (gradients(space, active, dense=dense) for dense in (False, True))
        for a, b in zip(fast, slow, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        receiving = [index for index, name in enumerate(settings.activations) if name not in space.zero_operations]
        assert bool((fast[0][:, receiving] != 0).all())
        assert int((fast[0] == 0).sum()) == len(fast[0]) * (len(settings.activations) - len(receiving))


class _Products(TorchDispatchMode):
    """Counts products with a node's matrix, by their number of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.mm.default and tuple(args[1].shape) == (PLAIN.hidden, 2 * PLAIN.hidden):
            self.rows.append(args[0].shape[0])
        return func(*args, **(kwargs or {}))


def test_the_weight_step_runs_one_product_a_node() -> None:
    space = space_of(replace(PLAIN, embedding_dim=7, tied=False))
    active = space.random_point(torch.Generator().manual_seed(0))
    batch = Batch(words(), words())
    with _Products() as counted:
        space.training_loss(batch, Mixture(active=active), PlantedText(11).loss)
    assert counted.rows == [4] * (5 * PLAIN.steps)


def test_the_architecture_step_runs_each_dead_edge_once_for_all_time_steps() -> None:
    space = space_of(replace(PLAIN, embedding_dim=7, tied=False))
    for parameter in space.parameters():
        parameter.requires_grad_(False)
    alpha = {"node": torch.rand(space.groups[0].shape, dtype=torch.float64, requires_grad=True)}
    mixture = straight_through(space.random_point(torch.Generator().manual_seed(0)), alpha)
    with _Products() as counted:
        torch.autograd.grad(space(words(), mixture)[0].sum(), alpha["node"])
    assert sorted(counted.rows) == [4] * (5 * PLAIN.steps) + [20] * 6


def test_one_edge_a_node_is_kept_the_best_that_is_not_none() -> None:
    space = space_of()
    scores = torch.zeros(6, 5)
    scores[0, 0] = 9.0  # none never wins
    scores[0, 3] = 1.0
    scores[1, 0] = 9.0
    scores[2, 4] = 0.5
    scores[3:, 1:] = 0.25  # a tie: the earliest state, then the first activation
    assert space.constrain({"node": scores}) == {"node": (3, -1, 4, 1, -1, -1)}


def test_points_of_eight_nodes_are_drawn_and_kept() -> None:
    space = RecurrentCellSpace(replace(PLAIN, steps=8))
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(300):
        active = space.random_point(generator)
        assert space.constrain({"node": one_hot(space, active["node"])}) == active
        pairs = pairs_of(space.genotype(active))
        assert [source <= node for node, (_, source) in enumerate(pairs)] == [True] * 8
        seen |= {(node, *pair) for node, pair in enumerate(pairs)}
    assert len(seen) == 36 * 4
    assert sum(1 for _ in RecurrentCellSpace(PLAIN).points()) == 4 * 8 * 12


def test_darts_cell_at_evaluation_scale_has_the_published_size() -> None:
    network = RecurrentNetwork(DARTS_PTB, RecurrentSettings(vocabulary=10_000, **DARTS_EVALUATION))
    assert network.norm is None
    assert sum(p.numel() for p in network.parameters()) == 22_960_000


def test_the_published_form_is_read_and_written() -> None:
    settings = replace(PLAIN, steps=8)
    for cell in (DARTS_PTB, DARTS_PTB_FIRST):
        genotype = Genotype.from_json(from_pairs(cell, settings).to_json())
        assert pairs_of(genotype) == cell
        space = RecurrentCellSpace(settings)
        assert space.genotype(space.selection(genotype)).key() == genotype.key()


def test_cells_that_differ_in_the_order_of_their_nodes_are_one_family() -> None:
    """With the matrices in that order too, they are the same function; other cells are of other equivalence classes."""
    first = RecurrentNetwork((("tanh", 0), ("relu", 0), ("identity", 1)), PLAIN).double()
    second = RecurrentNetwork((("relu", 0), ("tanh", 0), ("identity", 2)), PLAIN).double()
    first.reset(torch.Generator().manual_seed(0))
    state = first.state_dict()
    second.load_state_dict(state | {"nodes.0": state["nodes.1"], "nodes.1": state["nodes.0"]})
    torch.testing.assert_close(first(words())[0], second(words())[0])
    space = RecurrentCellSpace(PLAIN)
    classes = [space.equivalence_class(space.selection(from_pairs(n.pairs, PLAIN))) for n in (first, second)]
    assert classes == ["relu tanh(identity)"] * 2
    other = from_pairs((("relu", 0), ("tanh", 0), ("identity", 1)), PLAIN)
    assert space.equivalence_class(space.selection(other)) == "relu(identity) tanh"
    # in four colours: 4^3 paths, 4 * 10 forks, 16 * 4 of a pair beside one alone, 20 of three alone
    assert len({space.equivalence_class(active) for active in space.points()}) == 64 + 40 + 64 + 20


def test_a_found_cell_is_built_at_another_scale() -> None:
    genotype = from_pairs(CELLS[0], replace(PLAIN, batch_norm=True))
    larger = RecurrentCellSpace(PLAIN).build(resized(genotype, {**DARTS_EVALUATION, "vocabulary": 20}))
    assert larger.nodes[0].shape == (850, 1700)
    assert larger.embedding.shape == (20, 850)
    assert larger.norm is None
    assert larger.pairs == CELLS[0]
    with pytest.raises(GenotypeError, match=r"^genotype settings do not fit space 'recurrent-cell': .*'hiden'"):
        resized(genotype, {"hiden": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": 0, "steps": 0}, "vocabulary = 0; it must be 1 or more; steps = 0; it must be 1 or more"),
        (
            {"activations": ("elu", "tanh")},
            "unknown activation 'elu'; did you mean 'relu'? There are: none, tanh, relu, sigmoid, identity; "
            "one of your own is named package.module:object",
        ),
        ({"activations": ("none",)}, "activations = ['none'] leave nothing to select; name one that is not none"),
        ({"activations": ("tanh", "tanh")}, "activation(s) tanh given twice; name each once"),
        ({"dropoutx": 1.0}, "dropoutx = 1.0; a share of zeros must be at least 0 and below 1"),
        ({"slowness_penalty": -1.0}, "slowness_penalty = -1.0; it must be 0 or more"),
        ({"hidden": 5}, "embedding_dim = 6 and hidden = 5 with tied = true; make them equal, or set tied = false"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError) as error:
        replace(PLAIN, **changes)
    assert str(error.value) == message


def test_what_is_no_cell_is_refused() -> None:
    space = RecurrentCellSpace(PLAIN)
    with pytest.raises(GenotypeError, match=r"^a cell of 2 nodes given to settings of steps = 3$"):
        from_pairs(CELLS[0][:2], PLAIN)
    with pytest.raises(GenotypeError, match=r"^node 1 has activation 'none'; there are tanh, relu, sigmoid, identity$"):
        RecurrentNetwork((("none", 0), *CELLS[0][1:]), PLAIN)
    with pytest.raises(GenotypeError, match=r"^node 2 starts from state 2; there are 0 to 1$"):
        from_pairs((CELLS[0][0], ("tanh", 2), CELLS[0][2]), PLAIN)
    good = from_pairs(CELLS[0], PLAIN)
    two = replace(good, choices={"node": ("tanh", "relu", "relu", None, None, "sigmoid")})
    with pytest.raises(GenotypeError, match=r"^node 2 has edges \['relu', 'relu'\]: one of 2 must have an activation$"):
        space.build(two)
    with pytest.raises(SpaceError, match=r"^a space has no output of its own: give a mixture, or build a genotype$"):
        space(words())
    with pytest.raises(SpaceError, match=r"^batch_norm trains on 2 or more columns of text at once"):
        RecurrentNetwork(CELLS[0], replace(PLAIN, batch_norm=True))(words(5, 1))
