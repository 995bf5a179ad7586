"""The language model around a recurrent cell: embedding, dropout masks, the loop over time, decoder, penalties."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.errors import SpaceError
from nasp_core.network import Loss, Network, StepLoss
from nasp_core.types import Batch, Mixture
from sif.cells.recurrent.nodes import Rule
from sif.cells.recurrent.settings import RecurrentSettings

__all__ = ["RecurrentModel"]


def _mask(like: Tensor, share: float, *shape: int) -> Tensor:
    """Return zeros with probability `share`, else 1 / (1 - share), `shape`."""
    return like.new_empty(shape).bernoulli_(1.0 - share).div_(1.0 - share)


class RecurrentModel(Network):
    """Scores of the next word from the words so far; its parts share their names in the supernet and the plain network.

    Inputs are words int64 `[time, batch]`; outputs are logits float32 `[time, batch, vocabulary]`, those at time t for
    the word after input t. The hidden state is the cell's last output float32 `[batch, hidden]`.

    Parameters: `embedding` `[vocabulary, embedding_dim]`, also the decoder where tied, else `decoder` `[vocabulary,
    hidden]`; `bias` `[vocabulary]`; `initial` `[embedding_dim + hidden, 2 hidden]`; `nodes` each `[hidden, 2 hidden]`.
    """

    carries: ClassVar[bool] = True

    def __init__(self, settings: RecurrentSettings) -> None:
        super().__init__()
        self.settings = settings
        words, embedded, hidden = settings.vocabulary, settings.embedding_dim, settings.hidden
        self.embedding = nn.Parameter(torch.zeros(words, embedded))
        self.decoder = None if settings.tied else nn.Parameter(torch.zeros(words, hidden))
        self.bias = nn.Parameter(torch.zeros(words))
        self.initial = nn.Parameter(torch.zeros(embedded + hidden, 2 * hidden))
        self.nodes = nn.ParameterList(nn.Parameter(torch.zeros(hidden, 2 * hidden)) for _ in range(settings.steps))
        self.norm = nn.BatchNorm1d(hidden, affine=False) if settings.batch_norm else None

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw embedding and matrices uniform within `init_range`; bias zero, statistics as new."""
        for parameter in self.parameters():
            drawn = torch.rand(parameter.shape, generator=generator)
            parameter.copy_((drawn * 2 - 1) * self.settings.init_range)
        self.bias.zero_()
        if self.norm is not None:
            self.norm.reset_running_stats()

    def rule(self, mixture: Mixture | None, mask: Tensor | None, like: Tensor, length: int) -> Rule:
        """Return how the nodes run in a sequence of `length` steps; `mask` and `like` (any state) `[batch, hidden]`."""
        raise NotImplementedError

    def forward(
        self, inputs: Tensor, mixture: Mixture | None = None, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits float32 `[time, batch, vocabulary]` for words int64 `[time, batch]`, and the hidden state."""
        states, after = self.states(inputs, mixture, hidden)
        return self.decode(self.drop(states)), after

    def training_loss(
        self, batch: Batch, mixture: Mixture | None, loss: Loss, hidden: Tensor | None = None
    ) -> StepLoss:
        """Return the loss of a batch and the penalties on the cell's outputs, if any."""
        settings = self.settings
        states, after = self.states(batch.inputs, mixture, hidden)
        dropped = self.drop(states)
        terms = []
        if settings.activation_penalty:
            terms.append(settings.activation_penalty * dropped.square().mean())
        if settings.slowness_penalty and len(states) > 1:
            terms.append(settings.slowness_penalty * (states[1:] - states[:-1]).square().mean())
        penalty = sum(terms[1:], terms[0]) if terms else None
        return StepLoss(loss(self.decode(dropped), batch.target), penalty, after)

    def embed(self, inputs: Tensor) -> Tensor:
        """Return the words' vectors `[time, batch, embedding_dim]`, whole words dropped."""
        rows = functional.embedding(inputs, self.embedding)
        share = self.settings.dropoute
        if not self.training or not share:
            return rows
        return rows * _mask(rows, share, len(self.embedding), 1)[inputs]

    def drop(self, states: Tensor) -> Tensor:
        """Return the cell's outputs `[time, batch, hidden]` as the decoder sees them."""
        mask = self._locked(states[0], self.settings.dropout)
        return states if mask is None else states * mask

    def decode(self, states: Tensor) -> Tensor:
        """Return logits `[time, batch, vocabulary]` of the cell's outputs."""
        return functional.linear(states, self.embedding if self.decoder is None else self.decoder, self.bias)

    def states(self, inputs: Tensor, mixture: Mixture | None, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the cell's outputs `[time, batch, hidden]` from a hidden state on, and the last without a graph."""
        settings, batch = self.settings, inputs.shape[1]
        embedded = self.embed(inputs)
        for share in (settings.dropouti, settings.dropoutx):
            mask = self._locked(embedded[0], share)
            embedded = embedded if mask is None else embedded * mask
        from_words, from_state = torch.split(self.initial, [settings.embedding_dim, settings.hidden])
        from_state = functional.dropout(from_state, settings.weight_dropout, self.training)
        driven = torch.matmul(embedded, from_words).to(embedded.dtype)
        last = self._start(batch, hidden)
        mask = self._locked(last, settings.dropouth)
        rule = self.rule(mixture, mask, last, len(inputs))
        outputs = []
        for time, drive in enumerate(driven.unbind(0)):
            masked = last if mask is None else last * mask
            c, h = torch.addmm(drive, masked, from_state).to(last.dtype).chunk(2, dim=-1)
            last = self._cell(time, torch.lerp(last, h.tanh(), c.sigmoid()), rule)
            outputs.append(last)
        return torch.stack(outputs), last.detach()

    def _cell(self, time: int, first: Tensor, rule: Rule) -> Tensor:
        """Return the mean of the nodes' states `[batch, hidden]`, each normalised; `first` is state 0."""
        states = [first if self.norm is None else self.norm(first)]
        for node in range(self.settings.steps):
            state = rule(time, node, states)
            states.append(state if self.norm is None else self.norm(state))
        return torch.stack(states[1:]).mean(dim=0)

    def _locked(self, like: Tensor, share: float) -> Tensor | None:
        """Return a mask in the shape of one time step `[batch, entries]`, to be used in all; None for no dropout."""
        return _mask(like, share, *like.shape) if self.training and share else None

    def _start(self, batch: int, hidden: Tensor | None) -> Tensor:
        """Return the state to start from `[batch, hidden]`."""
        if self.norm is not None and self.training and batch < 2:
            raise SpaceError("batch_norm trains on 2 or more columns of text at once; raise batch_size, or turn it off")
        if hidden is None:
            return self.embedding.new_zeros(batch, self.settings.hidden)
        if tuple(hidden.shape) != (batch, self.settings.hidden):
            raise SpaceError(
                f"a hidden state of {hidden.shape[0]} columns of text meets a batch of {batch}; a stream must keep its "
                "number of columns; give hidden = None where another text begins"
            )
        return hidden
