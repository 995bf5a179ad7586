"""Move points uphill in a learned continuous space (NAO).  Luo et al., NeurIPS 2018, arXiv:1808.07233."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.network import Space
from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import (
    Budgeted,
    best_first,
    finite_scores,
    known_keys,
    new_points,
    next_of_batch,
    normal_scores,
    points_tried,
    seeded,
)
from nasp_core.trials.points import key_of, point_of, tokens_of, vocabulary
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["AutoEncoder", "Nao"]

PAPER = Paper(
    title="Neural Architecture Optimization",
    authors="Renqian Luo, Fei Tian, Tao Qin, Enhong Chen, Tie-Yan Liu",
    venue="Advances in Neural Information Processing Systems",
    year=2018,
    arxiv="1808.07233",
)
_TRADE_OFF = 0.8  # lambda of equation 3
_STEPS = tuple(0.25 * step for step in range(1, 17))


class AutoEncoder(nn.Module):
    """An LSTM that encodes token sequences, a predictor of their scores, and an LSTM with attention that decodes.

    `sizes` are the numbers of tokens, place by place. Shapes: tokens `[n, places]` int64, code `[n, places, hidden]`.
    """

    def __init__(self, sizes: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.offsets = torch.tensor([1 + sum(sizes[:place]) for place in range(len(sizes))])
        self.absent = torch.arange(max(sizes))[None, :] >= torch.tensor(list(sizes))[:, None]
        self.embedding = nn.Embedding(1 + sum(sizes), hidden)  # 0 begins a sequence
        self.encoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.predictor = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())
        self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(2 * hidden, max(sizes))

    def encode(self, tokens: Tensor) -> Tensor:
        """Return the code of each sequence: the encoder's states, each of length one (section 3.2)."""
        states, _ = self.encoder(self.embedding(tokens + self.offsets))
        return functional.normalize(states, dim=-1)

    def predict(self, code: Tensor) -> Tensor:
        """Return the predicted share of points that each sequence beats: `[n]` in (0, 1)."""
        value: Tensor = self.predictor(code.mean(dim=1)).squeeze(1)
        return value

    def loss(self, tokens: Tensor, beaten: Tensor) -> Tensor:
        """Return lambda times the predictor's squared error plus 1 - lambda times the decoder's mean cross-entropy.

        Equation 3. The first sequences are those with targets `beaten`; the rest only learn to be decoded.
        """
        code = self.encode(tokens)
        logits = self._logits(code, (tokens + self.offsets)[:, :-1])
        wrong = functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        error = functional.mse_loss(self.predict(code[: len(beaten)]), beaten)
        return _TRADE_OFF * error + (1 - _TRADE_OFF) * wrong

    def decode(self, code: Tensor) -> Tensor:
        """Return the most likely sequence, token by token: `[n, places]`."""
        given = torch.empty(len(code), 0, dtype=torch.long)
        for _ in range(len(self.offsets)):
            last = self._logits(code, given)[:, -1].argmax(dim=-1)
            given = torch.cat([given, (last + self.offsets[given.shape[1]])[:, None]], dim=1)
        return given - self.offsets

    def _logits(self, code: Tensor, given: Tensor) -> Tensor:
        """Return the logits of each token after those given: `[n, given + 1, tokens]`."""
        begun = functional.pad(given, (1, 0))
        first = code[:, -1][None].contiguous()
        states, _ = self.decoder(self.embedding(begun), (first, torch.zeros_like(first)))
        context = (states @ code.transpose(1, 2)).softmax(dim=-1) @ code
        logits: Tensor = self.head(torch.cat([states, context], dim=-1))
        return logits.masked_fill(self.absent[: begun.shape[1]], -1e9)


@dataclass(frozen=True, kw_only=True)
class Nao(Budgeted):
    """Encode points as vectors, learn to predict their scores from them, step uphill there, and decode new points.

    Parts: `startup` random points; encoder, predictor and decoder of `hidden` units, trained `epochs` full-batch steps
    of Adam (`learning_rate`) whenever `batch` new scores came; from each of the best `seeds` points steps of many
    lengths along the predictor's gradient, decoded; the best `batch` of what is new, by prediction, are tried.
    Shapes: tokens `[tried, choices]`, code `[tried, choices, hidden]` float32.
    Departs from the paper: hundreds of evaluations there (1000 seeds, 300 a round), tens here; one small LSTM layer
    each; encoder and decoder also read `unlabelled` random points, since tens are too few to learn to decode from; the
    predictor's target is the share of points beaten, not the accuracy; learning goes on from round to round.
    Fails when: the code is learned from too few points to mean anything; points near the best, which fill the rest of a
    batch, then do the work.
    """

    startup: int = 15
    batch: int = 10
    seeds: int = 10
    hidden: int = 32
    epochs: int = 40
    unlabelled: int = 100
    learning_rate: float = 0.01
    name: str = "nao"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {
        "trials": 1,
        "startup": 1,
        "batch": 1,
        "seeds": 1,
        "hidden": 1,
        "epochs": 1,
        "unlabelled": 0,
        "learning_rate": 0.0,
    }

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the three networks, their optimiser, and the points that wait to be tried."""
        with seeded(generator):
            net = AutoEncoder(vocabulary(context.space), self.hidden)
        return {"net": net, "adam": torch.optim.Adam(net.parameters(), lr=self.learning_rate, fused=True), "queue": []}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next of the batch; where it is empty, learn and step uphill."""
        return next_of_batch(context, state, self.startup, lambda: self._uphill(context.space, state))

    def _uphill(self, space: Space, state: State) -> list[Active]:
        net = state["net"]
        tokens = torch.tensor([tokens_of(space, point) for point in points_tried(state)])
        self._learn(space, state, tokens)
        code = net.encode(tokens[best_first(state)[: self.seeds]]).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(net.predict(code).sum(), code)
        gradient = gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
        known, found = known_keys(state), dict[str, Active]()
        with torch.no_grad():
            moved = torch.cat([code + step * gradient for step in _STEPS])
            for decoded in net.decode(moved).unique(dim=0).tolist():
                point = point_of(space, decoded, state["generator"])
                if key_of(point) not in known:
                    found[key_of(point)] = point
            found |= {key_of(point): point for point in new_points(space, state, self.batch - len(found))}
            points = list(found.values())
            if not points:
                return []
            predicted = net.predict(net.encode(torch.tensor([tokens_of(space, point) for point in points])))
        return [points[place] for place in predicted.argsort(descending=True, stable=True)[: self.batch].tolist()]

    def _learn(self, space: Space, state: State, tokens: Tensor) -> None:
        beaten = torch.special.ndtr(normal_scores(finite_scores(state))).float()
        random = [tokens_of(space, space.random_point(state["generator"])) for _ in range(self.unlabelled)]
        everything = torch.cat([tokens, torch.tensor(random, dtype=torch.long).reshape(-1, tokens.shape[1])])
        for _ in range(self.epochs):
            state["adam"].zero_grad()
            state["net"].loss(everything, beaten).backward()
            state["adam"].step()
