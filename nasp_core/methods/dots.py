"""DOTS: operations first, then which edges.  Gu et al., CVPR 2021, arXiv:2010.00969."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts import Argmax, EdgeLogits, FirstOrder, Logits, Softmax, StartAt, Temperature
from nasp_core.parts.domains import INPUTS, edge_weights, subsets
from nasp_core.parts.mixtures import masked
from nasp_core.parts.schedules import prune, shares_of
from nasp_core.strategy import Paper, Schedule, SearchView, Strategy
from nasp_core.types import Alpha, RelaxState, State

__all__ = ["PAPER", "BestOfEach", "Grouped", "PairLogits", "dots", "with_parameters"]


def with_parameters(space: Space) -> dict[str, Tensor]:
    """Return per group which candidates have parameters, bool `[choices, candidates]`: none where size is all alike."""
    plain = {group.name: torch.zeros(group.shape, dtype=torch.bool) for group in space.groups}
    return plain | {name: share > 0 for name, share in space.relative_parameters().items()}


@dataclass
class DotsState(RelaxState):
    """Whether the second stage has begun, which weighs sets of edges."""

    paired: bool = False


@dataclass(frozen=True)
class Grouped(Softmax):
    """A softmax within the candidates that have parameters and one within those that have none, of equal weight.

    In the second stage (`BestOfEach`) one of each is left; the two share a softmax, and edges are weighted by the sets
    that contain them, at the falling temperature (Gu et al. 2021, arXiv:2010.00969, sections 3.2 and 3.3). Where
    candidates do not differ in parameters there is one group, and where no edges enter nodes no second softmax.
    """

    gives: ClassVar[frozenset[str]] = frozenset(
        {"gradient", "smooth", "temperature", "shares", "stages", "weighs pairs"}
    )
    needs: ClassVar[dict[str, str]] = {"pairs": "sets of edges need logits of their own; use domain = PairLogits"}

    def init(self) -> DotsState:
        """Return the state of the first stage."""
        return DotsState()

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the weights of the present stage, with alpha's graph."""
        assert isinstance(state, DotsState)
        temperature, weights = state.temperature or self.temperature, dict[str, Tensor]()
        parameters = with_parameters(space)
        for name, logits in masked(alpha, state.alive).items():
            if state.paired:
                weights[name] = torch.softmax(logits / self.temperature, -1)
                continue
            big = parameters[name].to(logits.device)
            parts, present = torch.zeros_like(logits), torch.zeros_like(logits[:, :1])
            for members in (big, ~big):
                inside = logits.masked_fill(~members, -torch.inf)
                there = inside.amax(-1, keepdim=True) > -torch.inf
                safe = torch.where(there, inside, torch.zeros_like(inside))
                parts = parts + torch.softmax(safe / self.temperature, -1) * there
                present = present + there
            weights[name] = parts / present
        if state.paired:
            for name, nodes in space.node_inputs().items():
                table = weights[name]
                size = space.keeps or 1
                edges = edge_weights(alpha[f"{name}/{INPUTS}"], nodes, size, temperature, table.shape[0])
                weights[name] = table * edges.unsqueeze(1)
        return weights


@dataclass(frozen=True)
class PairLogits(EdgeLogits):
    """Logits of the candidates, and one more for each set of as many edges into a node as the space keeps (DOTS).

    The edges of the strongest set of a node come before all others (Gu et al. 2021, section 3.3).
    """

    gives: ClassVar[frozenset[str]] = frozenset({"logits", "pairs"})
    needs: ClassVar[dict[str, str]] = {"weighs pairs": "nothing learns the pairs' logits; use relax = Grouped"}

    def size_on(self, space: Space) -> int:
        """Return how many edges the space keeps in a node."""
        return space.keeps or 1

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return softmax(alpha), and 1 more on the edges of the strongest sets."""
        plain = Logits.scores(self, alpha, space)
        for name, nodes in space.node_inputs().items():
            logits, start = alpha[f"{name}/{INPUTS}"][:, 0], 0
            for sets in subsets(nodes, self.size_on(space)):
                best = sets[int(logits[start : start + len(sets)].argmax())]
                start += len(sets)
                plain[name][list(best)] += 1.0
        return plain


@dataclass(frozen=True)
class BestOfEach(Schedule):
    """From `at` on: of each choice the best candidate with parameters and the best without, edges by pairs (DOTS)."""

    at: float = 0.4

    needs: ClassVar[dict[str, str]] = {"stages": "the second stage weighs pairs of edges; use relax = Grouped"}

    def advance(self, view: SearchView, state: State) -> None:
        """Begin the second stage, where it is time."""
        assert isinstance(view.relax_state, DotsState)
        if view.progress < self.at or view.relax_state.paired:
            return
        assert isinstance(view.space, Space)
        shares, keep = shares_of(view), dict[str, Tensor]()
        for name, big in with_parameters(view.space).items():
            kept = torch.zeros_like(big)
            for members in (big, ~big):
                best = shares[name].masked_fill(~members, -1.0).argmax(-1, keepdim=True)
                kept |= torch.zeros_like(big).scatter_(1, best, True) & members
            keep[name] = kept
        prune(view, keep, shares)
        view.relax_state.paired = True


PAPER = Paper(
    title="DOTS: Decoupling Operation and Topology in Differentiable Architecture Search",
    authors="Yu-Chao Gu, Li-Juan Wang, Yun Liu, Yi Yang, Yu-Huan Wu, Shao-Ping Lu, Ming-Ming Cheng",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2021,
    arxiv="2010.00969",
)


def dots(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    warmup: float = 0.2,
    at: float = 0.43,
    start: float = 10.0,
    end: float = 0.02,
) -> Strategy:
    """Search operations in two groups, keep the best of each from `at` on, then pairs of edges (sections 3.2, 3.3).

    The pairs' temperature falls from `start` to `end` in the second stage.

    Parts: domain=PairLogits, relax=Grouped, gradient=FirstOrder, select=Argmax; schedules StartAt,
    BestOfEach and Temperature.
    Shapes: alpha `[choices, candidates]` float32 and one logit a set of edges, unbounded; loss scalar, mean per batch.
    Departs from the paper: the network keeps its depth in the second stage. Where candidates do not differ in
    parameters there is one group, and where no edges enter nodes the second stage only halves the candidates.
    Fails when: the best of a group is decided before the weights are trained.
    """
    return Strategy(
        domain=PairLogits(),
        relax=Grouped(),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(StartAt(warmup), BestOfEach(at), Temperature(start, end, after=at)),
        name="dots",
        papers=(PAPER,),
    )
