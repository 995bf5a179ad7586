"""The recurrent cell space: the cell against a plain reference, its slopes, its rule, and the model around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.loop import train
from nasp_core.optimise import Optimiser, Training
from nasp_core.relax.one_hot import sloped_point
from nasp_core.spaces import (
    DARTS_EVALUATION,
    DARTS_PTB,
    DARTS_PTB_FIRST,
    RecurrentCellSpace,
    RecurrentNetwork,
    RecurrentSettings,
    from_pairs,
    pairs_of,
    resized,
)
from nasp_core.testing import PlantedText
from nasp_core.types import Batch, Mixture

PLAIN = RecurrentSettings(
    vocabulary=11,
    steps=3,
    embedding_dim=6,
    hidden=6,
    init_range=0.6,
    batch_norm=False,
    dropout=0.0,
    dropouth=0.0,
    dropoutx=0.0,
    dropouti=0.0,
    slowness_penalty=0.0,
)
FUNCTIONS = {
    "none": torch.zeros_like,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": torch.clone,
}
CELLS = [
    (("tanh", 0), ("relu", 1), ("sigmoid", 2)),
    (("identity", 0), ("tanh", 0), ("tanh", 0)),
    (("sigmoid", 0), ("identity", 1), ("relu", 1)),
]


def space_of(settings: RecurrentSettings = PLAIN, *, double: bool = True) -> RecurrentCellSpace:
    space = RecurrentCellSpace(settings)
    space.reset(torch.Generator().manual_seed(0))
    return space.double() if double else space


def words(time: int = 5, batch: int = 4, seed: int = 1) -> Tensor:
    return torch.randint(0, PLAIN.vocabulary, (time, batch), generator=torch.Generator().manual_seed(seed))


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
    torch.testing.assert_close(space(words(), Mixture(active=active)), expected, rtol=1e-12, atol=1e-12)
    network = space.build(genotype).double()
    network.load_state_dict(space.state_dict())
    torch.testing.assert_close(network(words()), expected, rtol=1e-12, atol=1e-12)


def test_a_mixture_is_the_weighted_sum_over_edges_and_activations() -> None:
    space = space_of()
    weights = torch.rand(space.groups[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = reference(space, words(), weights, PLAIN.activations)
    torch.testing.assert_close(space(words(), Mixture(weights={"node": weights})), expected, rtol=1e-12, atol=1e-12)


def test_several_live_edges_add_up_and_none_adds_nothing() -> None:
    space = space_of()
    active = (1, 0, -1, 2, 4, 3)  # node 1: tanh; node 2: none and dropped; node 3: three edges
    expected = reference(space, words(), one_hot(space, active), PLAIN.activations)
    torch.testing.assert_close(space(words(), Mixture(active={"node": active})), expected, rtol=1e-12, atol=1e-12)


SEARCH = replace(PLAIN, batch_norm=True, dropout=0.3, dropouth=0.3, dropoutx=0.3, dropouti=0.3, dropoute=0.2)


def gradients(space: RecurrentCellSpace, active: tuple[int, ...], *, dense: bool) -> tuple[Tensor, ...]:
    """Output, what is left, BN statistics, and the gradients of alpha and every weight, at a one-hot point."""
    start = torch.rand(space.groups[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    alpha = {"node": start.requires_grad_()}
    point = sloped_point({"node": active}, alpha)
    mixture = Mixture(weights=point.weights) if dense else point
    if space.norm is not None:
        space.norm.reset_running_stats()
    with torch.random.fork_rng():
        torch.manual_seed(4)
        output = space(words(), mixture)
    cotangent = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    grads = torch.autograd.grad(output, [alpha["node"], *space.parameters()], cotangent)
    assert space.left is not None
    return (grads[0], output.detach(), space.left, *(b.clone() for b in space.buffers()), *grads[1:])


@pytest.mark.parametrize("settings", [PLAIN, SEARCH, replace(SEARCH, activations=("relu", "tanh", "identity"))])
def test_slopes_at_a_point_are_those_of_the_dense_mixture(settings: RecurrentSettings) -> None:
    """In every edge and activation, summed over time; and batch norm ends up as the dense mixture leaves it."""
    space = space_of(settings)
    for seed in range(5):
        active = space.random_point(torch.Generator().manual_seed(seed))["node"]
        fast, slow = (gradients(space, active, dense=dense) for dense in (False, True))
        for a, b in zip(fast, slow, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        heard = [index for index, name in enumerate(settings.activations) if name not in space.silent]
        assert bool((fast[0][:, heard] != 0).all())
        assert int((fast[0] == 0).sum()) == len(fast[0]) * (len(settings.activations) - len(heard))


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
    mixture = sloped_point(space.random_point(torch.Generator().manual_seed(0)), alpha)
    with _Products() as counted:
        torch.autograd.grad(space(words(), mixture).sum(), alpha["node"])
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


@pytest.mark.parametrize("norm", [False, True])
def test_two_windows_with_memory_are_one_long_window(norm: bool) -> None:
    space = space_of(replace(PLAIN, batch_norm=norm)).eval()
    mixture = Mixture(active=space.random_point(torch.Generator().manual_seed(0)))
    whole = space(words(6), mixture)
    first = space(words(6)[:2], mixture)
    assert space.left is not None
    assert not space.left.requires_grad
    space.memory = space.left
    second = space(words(6)[2:], mixture)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)
    with pytest.raises(SpaceError, match=r"^a memory of 4 columns of text meets a batch of 3; a stream must keep"):
        space(words(6, 3), mixture)


def test_what_is_carried_has_no_dropout_of_the_output() -> None:
    space = space_of(replace(PLAIN, dropout=0.9))
    mixture = Mixture(active=space.random_point(torch.Generator().manual_seed(0)))
    space(words(), mixture)
    trained = space.left
    space.eval()(words(), mixture)
    assert trained is not None
    torch.testing.assert_close(trained, space.left)


class _Masks(RecurrentNetwork):
    """Keeps what the cell and the decoder were given."""

    seen: Tensor

    def decode(self, states: Tensor) -> Tensor:
        self.seen = states.detach()
        return super().decode(states)


def test_dropout_masks_are_constant_in_time_and_drawn_anew_for_each_sequence_and_column() -> None:
    network = _Masks(CELLS[0], replace(PLAIN, hidden=40, embedding_dim=40, dropout=0.5))
    network.reset(torch.Generator().manual_seed(0))
    zero = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network(words())
        zero.append(network.seen == 0)
        assert bool((zero[-1] == zero[-1][0]).all())
        assert bool((zero[-1][0][0] != zero[-1][0][1]).any())
        assert 0.3 < float(zero[-1].float().mean()) < 0.7
        kept = network.seen[~zero[-1]]
        raw = network.states(words(), None).detach()
        torch.testing.assert_close(kept, 2 * raw[~zero[-1]])
    assert bool((zero[0] != zero[1]).any())


def test_hidden_and_input_masks_are_those_of_the_equations() -> None:
    """With every mask drawn from one seed, the model is the reference with its states masked by hand."""
    settings = replace(PLAIN, dropouth=0.4, dropoutx=0.3, dropouti=0.2)
    network = RecurrentNetwork(CELLS[1], settings).double()
    network.reset(torch.Generator().manual_seed(0))
    torch.manual_seed(7)
    states = network.states(words(), None)
    torch.manual_seed(7)
    i, x, h = (torch.empty(4, 6, dtype=torch.float64).bernoulli_(1 - p) / (1 - p) for p in (0.2, 0.3, 0.4))
    state, expected = torch.zeros(4, 6, dtype=torch.float64), []
    for row in words():
        gate, new = (torch.cat([network.embedding[row] * i * x, state * h], 1) @ network.initial).chunk(2, 1)
        nodes = [state + gate.sigmoid() * (new.tanh() - state)]
        for (name, source), matrix in zip(CELLS[1], network.nodes, strict=True):
            gate, new = ((nodes[source] * h) @ matrix).chunk(2, 1)
            nodes.append(nodes[source] + gate.sigmoid() * (FUNCTIONS[name](new) - nodes[source]))
        state = torch.stack(nodes[1:]).mean(0)
        expected.append(state)
    torch.testing.assert_close(states, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_embedding_dropout_drops_whole_words_wherever_they_stand() -> None:
    space = space_of(replace(PLAIN, dropoute=0.5))
    torch.manual_seed(0)
    inputs = words(30, 6)
    rows = space.embed(inputs).detach()
    gone = (rows == 0).all(-1)
    for word in range(PLAIN.vocabulary):
        of_word = gone[inputs == word]
        assert bool(of_word.all() or not of_word.any())
    assert bool(gone.any())
    torch.testing.assert_close(rows[~gone], 2 * space.embedding.detach()[inputs][~gone])
    space.eval()
    torch.testing.assert_close(space.embed(inputs), space.embedding[inputs])


def test_weight_dropout_drops_entries_between_one_state_and_the_next() -> None:
    """From a memory of zeros the first time step does not meet that matrix; the others do."""
    settings = replace(PLAIN, weight_dropout=0.5)
    network = RecurrentNetwork(CELLS[0], settings).double()
    network.reset(torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    dropped = network.states(words(), None)
    whole = network.eval().states(words(), None)
    assert torch.equal(dropped[0], whole[0])
    assert bool((dropped[1:] != whole[1:]).any(-1).all())


@pytest.mark.parametrize("name", ["dropout", "dropouth", "dropoutx", "dropouti", "dropoute", "weight_dropout"])
def test_each_dropout_changes_training_and_not_evaluation(name: str) -> None:
    space, other = space_of(), space_of(replace(PLAIN, **{name: 0.5}))
    mixture = Mixture(active=space.random_point(torch.Generator().manual_seed(0)))
    torch.manual_seed(0)
    assert bool((other(words(), mixture) != space(words(), mixture)).any())
    assert torch.equal(other.eval()(words(), mixture), space.eval()(words(), mixture))


def test_penalties_are_of_the_outputs_after_and_before_their_dropout() -> None:
    settings = replace(PLAIN, dropout=0.5, activation_penalty=0.3, slowness_penalty=0.7)
    network = RecurrentNetwork(CELLS[0], settings).double()
    network.reset(torch.Generator().manual_seed(0))
    batch, task = Batch(words(), words(seed=9)), PlantedText(11)
    torch.manual_seed(3)
    loss, penalty = network.training_loss(batch, None, task.loss)
    torch.manual_seed(3)
    states = network.states(batch.inputs, None)
    dropped = network.drop(states)
    assert penalty is not None
    torch.testing.assert_close(loss, task.loss(dropped @ network.embedding.T, batch.target))
    by_hand = 0.3 * (dropped**2).mean() + 0.7 * ((states[1:] - states[:-1]) ** 2).mean()
    torch.testing.assert_close(penalty, by_hand)
    short = Batch(words()[:1], words()[:1])
    quiet = RecurrentNetwork(CELLS[0], replace(PLAIN, slowness_penalty=0.7))
    quiet.reset(torch.Generator().manual_seed(0))
    assert quiet.training_loss(short, None, task.loss)[1] is None


@pytest.mark.parametrize("how", ["live", "dense", "probed"])
def test_bfloat16_computes_the_same_and_keeps_states_in_float32(how: str) -> None:
    space = space_of(replace(PLAIN, batch_norm=True), double=False)
    alpha = {"node": torch.rand(space.groups[0].shape, generator=torch.Generator().manual_seed(0)).requires_grad_()}
    point = sloped_point(space.constrain(alpha), alpha)
    mixtures = {"live": Mixture(active=point.active), "dense": Mixture(weights=alpha), "probed": point}
    results = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss, penalty = space.training_loss(Batch(words(), words(seed=3)), mixtures[how], PlantedText(11).loss)
        assert space.left is not None
        assert space.left.dtype == torch.float32
        assert penalty is None
        grads = torch.autograd.grad(loss, [alpha["node"], space.initial], allow_unused=True)
        results.append([loss.detach(), *(g for g in grads if g is not None)])
    assert len(results[0]) == (2 if how == "live" else 3)
    for exact, rounded in zip(*results, strict=True):
        assert float((exact - rounded).norm() / exact.norm()) < 0.1


def test_a_network_learns_planted_text_that_needs_a_memory() -> None:
    """The word before alone does not tell the next one; two words do."""
    task = PlantedText(7, sizes=(4000, 800, 800), window=10, noise=0.05)
    settings = replace(PLAIN, vocabulary=7, hidden=24, embedding_dim=24)
    training = Training(epochs=10, batch_size=20, optimiser=Optimiser("adam", 0.01, clip=1.0, schedule="cosine"))
    trained = train(RecurrentNetwork(CELLS[0], settings), task, training)
    pairs = task.parts["train"][:-1] * 7 + task.parts["train"][1:]
    counts = torch.bincount(pairs, minlength=49).view(7, 7).double()
    share = counts / counts.sum(1, keepdim=True)
    of_pairs = torch.exp(-(counts * share.clamp_min(1e-12).log()).sum() / counts.sum())
    assert float(of_pairs) > 3 * task.best
    assert trained.metrics["perplexity"] < 2 * task.best


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
    """With the matrices in that order too, they are the same function; other cells are of other families."""
    first = RecurrentNetwork((("tanh", 0), ("relu", 0), ("identity", 1)), PLAIN).double()
    second = RecurrentNetwork((("relu", 0), ("tanh", 0), ("identity", 2)), PLAIN).double()
    first.reset(torch.Generator().manual_seed(0))
    state = first.state_dict()
    second.load_state_dict(state | {"nodes.0": state["nodes.1"], "nodes.1": state["nodes.0"]})
    torch.testing.assert_close(first(words()), second(words()))
    space = RecurrentCellSpace(PLAIN)
    families = [space.family(space.selection(from_pairs(n.pairs, PLAIN))) for n in (first, second)]
    assert families == ["relu tanh(identity)"] * 2
    other = from_pairs((("relu", 0), ("tanh", 0), ("identity", 1)), PLAIN)
    assert space.family(space.selection(other)) == "relu(identity) tanh"
    # in four colours: 4^3 paths, 4 * 10 forks, 16 * 4 of a pair beside one alone, 20 of three alone
    assert len({space.family(active) for active in space.points()}) == 64 + 40 + 64 + 20


def test_a_found_cell_is_built_at_another_scale() -> None:
    genotype = from_pairs(CELLS[0], replace(PLAIN, batch_norm=True))
    larger = RecurrentCellSpace(PLAIN).build(resized(genotype, {**DARTS_EVALUATION, "vocabulary": 20}))
    assert larger.nodes[0].shape == (850, 1700)
    assert larger.embedding.shape == (20, 850)
    assert larger.norm is None
    assert larger.pairs == CELLS[0]
    with pytest.raises(GenotypeError, match=r"^genotype settings do not fit space 'recurrent-cell': .*'hiden'"):
        resized(genotype, {"hiden": 3})


def test_untied_model_has_its_own_decoder() -> None:
    settings = replace(PLAIN, tied=False, embedding_dim=4)
    network = RecurrentNetwork(CELLS[0], settings)
    network.reset(torch.Generator().manual_seed(0))
    assert network.decoder is not None
    assert network.decoder.shape == (11, 6)
    assert network(words()).shape == (5, 4, 11)
    assert bool((network.decoder.abs() <= PLAIN.init_range).all())
    assert not network.bias.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": 0, "steps": 0}, "vocabulary = 0; it must be 1 or more; steps = 0; it must be 1 or more"),
        (
            {"activations": ("elu", "tanh")},
            "unknown activation(s) elu; there are none, tanh, relu, sigmoid, identity",
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
