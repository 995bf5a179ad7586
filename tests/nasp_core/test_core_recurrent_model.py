"""The language model around a recurrent cell: hidden state, dropout, penalties, precision, training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from recurrent_samples import CELLS, FUNCTIONS, PLAIN, space_of, words
from torch import Tensor

from nasp_core.errors import SpaceError
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts.mixtures import straight_through
from nasp_core.training import train
from nasp_core.types import Batch, Mixture
from sif.cells.recurrent.space import RecurrentNetwork
from sif.testing.text import PlantedText


@pytest.mark.parametrize("norm", [False, True])
def test_two_windows_with_the_hidden_state_are_one_long_window(norm: bool) -> None:
    space = space_of(replace(PLAIN, batch_norm=norm)).eval()
    mixture = Mixture(active=space.random_point(torch.Generator().manual_seed(0)))
    whole, _ = space(words(6), mixture)
    first, hidden = space(words(6)[:2], mixture)
    assert not hidden.requires_grad
    second, _ = space(words(6)[2:], mixture, hidden)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)
    with pytest.raises(
        SpaceError, match=r"^a hidden state of 4 columns of text meets a batch of 3; a stream must keep"
    ):
        space(words(6, 3), mixture, hidden)


def test_what_is_carried_has_no_dropout_of_the_output() -> None:
    space = space_of(replace(PLAIN, dropout=0.9))
    mixture = Mixture(active=space.random_point(torch.Generator().manual_seed(0)))
    _, trained = space(words(), mixture)
    _, evaluated = space.eval()(words(), mixture)
    torch.testing.assert_close(trained, evaluated)


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
        raw = network.states(words(), None)[0].detach()
        torch.testing.assert_close(kept, 2 * raw[~zero[-1]])
    assert bool((zero[0] != zero[1]).any())


def test_hidden_and_input_masks_are_those_of_the_equations() -> None:
    """With every mask drawn from one seed, the model is the reference with its states masked by hand."""
    settings = replace(PLAIN, dropouth=0.4, dropoutx=0.3, dropouti=0.2)
    network = RecurrentNetwork(CELLS[1], settings).double()
    network.reset(torch.Generator().manual_seed(0))
    torch.manual_seed(7)
    states, _ = network.states(words(), None)
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
    dropped, _ = network.states(words(), None)
    whole, _ = network.eval().states(words(), None)
    assert torch.equal(dropped[0], whole[0])
    assert bool((dropped[1:] != whole[1:]).any(-1).all())


@pytest.mark.parametrize("name", ["dropout", "dropouth", "dropoutx", "dropouti", "dropoute", "weight_dropout"])
def test_each_dropout_changes_training_and_not_evaluation(name: str) -> None:
    space, other = space_of(), space_of(replace(PLAIN, **{name: 0.5}))
    mixture = Mixture(active=space.random_point(torch.Generator().manual_seed(0)))
    torch.manual_seed(0)
    assert bool((other(words(), mixture)[0] != space(words(), mixture)[0]).any())
    assert torch.equal(other.eval()(words(), mixture)[0], space.eval()(words(), mixture)[0])


def test_penalties_are_of_the_outputs_after_and_before_their_dropout() -> None:
    settings = replace(PLAIN, dropout=0.5, activation_penalty=0.3, slowness_penalty=0.7)
    network = RecurrentNetwork(CELLS[0], settings).double()
    network.reset(torch.Generator().manual_seed(0))
    batch, task = Batch(words(), words(seed=9)), PlantedText(11)
    torch.manual_seed(3)
    loss, penalty, _ = network.training_loss(batch, None, task.loss)
    torch.manual_seed(3)
    states, _ = network.states(batch.inputs, None)
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
    point = straight_through(space.constrain(alpha), alpha)
    mixtures = {"live": Mixture(active=point.active), "dense": Mixture(weights=alpha), "probed": point}
    results = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            batch = Batch(words(), words(seed=3))
            loss, penalty, hidden = space.training_loss(batch, mixtures[how], PlantedText(11).loss)
        assert hidden is not None
        assert hidden.dtype == torch.float32
        assert penalty is None
        grads = torch.autograd.grad(loss, [alpha["node"], space.initial], allow_unused=True)
        results.append([loss.detach(), *(g for g in grads if g is not None)])
    assert len(results[0]) == (2 if how == "live" else 3)
    for exact, rounded in zip(*results, strict=True):
        assert float((exact - rounded).norm() / exact.norm()) < 0.1


@pytest.mark.slow
def test_a_network_learns_planted_text_that_needs_a_hidden_state() -> None:
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


def test_untied_model_has_its_own_decoder() -> None:
    settings = replace(PLAIN, tied=False, embedding_dim=4)
    network = RecurrentNetwork(CELLS[0], settings)
    network.reset(torch.Generator().manual_seed(0))
    assert network.decoder is not None
    assert network.decoder.shape == (11, 6)
    assert network(words())[0].shape == (5, 4, 11)
    assert bool((network.decoder.abs() <= PLAIN.init_range).all())
    assert not network.bias.any()
