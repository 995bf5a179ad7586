"""A controller writes points token by token and learns from scores.  Zoph & Le, ICLR 2017, arXiv:1611.01578."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import Budgeted, finite_scores, known_keys, seeded
from nasp_core.trials.points import fresh_point, key_of, point_of, vocabulary
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import State

__all__ = ["Controller", "Reinforce", "policy_loss"]

PAPER = Paper(
    title="Neural Architecture Search with Reinforcement Learning",
    authors="Barret Zoph, Quoc V. Le",
    venue="International Conference on Learning Representations",
    year=2017,
    arxiv="1611.01578",
)
_REDRAWS = 20


def policy_loss(log_probability: Tensor, score: Tensor, baseline: float) -> Tensor:
    """Return -(score - baseline) log p(draw), the mean over the draws: shapes `[draws]` to a scalar.

    Where the draws are the policy's own, the expectation of its gradient is minus that of E[score], whatever the
    baseline, as long as it does not depend on the draw (Williams 1992, theorem 1; Zoph & Le 2017, section 3.2).
    """
    return -((score - baseline) * log_probability).mean()


class Controller(nn.Module):
    """An LSTM that reads the token drawn last and gives the logits of the next: an autoregressive policy.

    `sizes` are the numbers of tokens, place by place.
    """

    def __init__(self, sizes: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.embedding = nn.ModuleList(nn.Embedding(size, hidden) for size in [1, *sizes[:-1]])
        self.cell = nn.LSTMCell(hidden, hidden)
        self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.08, 0.08)  # section 4.1

    def forward(
        self, given: Sequence[int] | None, generator: torch.Generator | None = None
    ) -> tuple[list[int], Tensor, Tensor]:
        """Return tokens (those `given`, else drawn), the log-probability of them all, and the sum of the entropies.

        The latter two are scalars; the entropies are of each token's distribution after the tokens before it.
        """
        state: tuple[Tensor, Tensor] | None = None
        tokens, total, entropy = [0], torch.zeros(()), torch.zeros(())
        for place, (embedding, head) in enumerate(zip(self.embedding, self.heads, strict=True)):
            state = self.cell(embedding(torch.tensor([tokens[-1]])), state)
            logits = head(state[0]).squeeze(0).log_softmax(dim=0)
            if given is None:
                tokens.append(int(torch.multinomial(logits.detach().exp(), 1, generator=generator)))
            else:
                tokens.append(given[place])
            total = total + logits[tokens[-1]]
            entropy = entropy - (logits.exp() * logits).sum()
        return tokens[1:], total, entropy


@dataclass(frozen=True, kw_only=True)
class Reinforce(Budgeted):
    """Draw points from a recurrent policy; after each score, make what beat the moving average more likely.

    Parts: an LSTM policy over one token a choice (`hidden` units), a moving average of the scores as baseline
    (`decay`), an `entropy` bonus, Adam with `learning_rate`. NASNet's controller and SIF's rival learn by this rule.
    Shapes: a token sequence `[choices]`; its log-probability a scalar.
    Departs from the paper: what learns is the share of earlier scores that a score beats, so that no metric's unit or
    failed training sets the step; one controller, one draw a step; an entropy bonus, as later controllers have. A point
    drawn a second time is not trained again but drawn anew, so late steps follow the policy restricted to what is new.
    In a space that drops choices, "dropped" is one more token, and the point nearest to the sequence is trained.
    Fails when: trials are so few that the policy is still close to uniform (below about 50), or it settles too early.
    """

    learning_rate: float = 0.01
    decay: float = 0.9
    entropy: float = 0.04
    hidden: int = 32
    name: str = "reinforce"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "learning_rate": 0.0, "decay": 0.0, "entropy": 0.0, "hidden": 1}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the controller, its optimiser, the baseline, and the tokens of the point that was asked last."""
        with seeded(generator):
            controller = Controller(vocabulary(context.space), self.hidden)
        adam = torch.optim.Adam(controller.parameters(), lr=self.learning_rate, fused=True)
        return {"controller": controller, "adam": adam, "baseline": 0.5, "tokens": None}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the first draw that was not trained yet; a random point where there is none."""
        known = known_keys(state)
        for _ in range(_REDRAWS):
            with torch.no_grad():
                state["tokens"], _, _ = state["controller"](None, state["generator"])
            active = point_of(context.space, state["tokens"], state["generator"])
            if key_of(active) not in known:
                return Proposal(active)
        state["tokens"] = None  # not the policy's: it does not teach it
        fresh = fresh_point(context.space, known, state["generator"])
        return None if fresh is None else Proposal(fresh)

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Put a score on record, and take a step along the gradient of what was drawn."""
        super().tell(context, state, proposal, score)
        if state["tokens"] is None:
            return
        scores = finite_scores(state)
        beaten = sum((scores[-1] > other) + 0.5 * (scores[-1] == other) for other in scores) / len(scores)
        _, log_probability, entropy = state["controller"](state["tokens"])
        state["adam"].zero_grad()
        loss = policy_loss(log_probability[None], torch.tensor([beaten]), state["baseline"])
        (loss - self.entropy * entropy).backward()
        state["adam"].step()
        state["baseline"] = self.decay * state["baseline"] + (1 - self.decay) * beaten
