"""The selection by a training-free score."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from nasp_core.errors import SearchError
from nasp_core.network import Loss, Network
from nasp_core.optimise import Optimiser, Training
from nasp_core.parts import ByProxy
from nasp_core.strategy import Paper, SelectContext
from nasp_core.testing.cases import fresh_space
from nasp_core.types import Active, Batch
from sif.testing.cases import CASES


def context(scores: list[float], case: str = "quadratic", seed: int = 0) -> SelectContext:
    space = fresh_space(CASES[case])
    given = {group.name: torch.tensor([scores] * group.choices) for group in space.groups}

    def untrained(*_: object) -> float:
        raise AssertionError("a training-free score trains nothing and asks no supernet")

    final = Training(epochs=1, batch_size=4, optimiser=Optimiser("sgd", 0.1))
    return SelectContext(space, CASES[case].task(), given, untrained, untrained, final, seed)


@dataclass(frozen=True)
class _Column:
    """Scores the network of one wanted column best."""

    name: ClassVar[str] = "column"
    papers: ClassVar[tuple[Paper, ...]] = ()
    wanted: int

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        (column,) = network.settings.columns
        return float(column == self.wanted)


def chosen(part: ByProxy, given: SelectContext) -> int:
    (index,) = next(iter(part.select(given).values()))
    return index


@pytest.mark.parametrize("wanted", [0, 1, 2])
@pytest.mark.parametrize("draw", ["scores", "uniform"])
def test_the_best_of_the_pool_wins(wanted: int, draw: str):
    assert chosen(ByProxy(_Column(wanted), pool=3, draw=draw), context([0.1, 0.2, 0.3])) == wanted


def test_a_pool_of_one_is_the_point_of_the_scores_themselves():
    assert chosen(ByProxy(_Column(0), pool=1), context([0.1, 0.9, 0.3])) == 1


def test_a_tie_goes_to_the_point_of_the_scores():
    assert chosen(ByProxy(_Column(7), pool=3), context([0.1, 0.9, 0.3])) == 1


def test_candidates_are_drawn_with_the_frequencies_of_the_softmax():
    scores = torch.tensor([0.0, 1.0, 2.0]).softmax(0).tolist()
    drawn: Counter[int] = Counter()
    for seed in range(600):
        pool = ByProxy(pool=2)._pool(context(scores, seed=seed))
        drawn[next(iter(pool[1].values()))[0]] += 1  # the second equivalence class: 2 comes first, then 0 or 1
    share = scores[1] / (scores[0] + scores[1])
    assert drawn[2] == 0
    assert drawn[1] / 600 == pytest.approx(float(share), abs=4 * (0.25 / 600) ** 0.5)


def test_the_same_seed_selects_the_same_cell_and_nothing_of_the_space_changes():
    given = context([0.0, 0.1, 0.2, 0.0], "nas-bench-201")
    before = {name: value.clone() for name, value in given.space.state_dict().items()}
    state = torch.get_rng_state()
    selected: list[Active] = [ByProxy(pool=4, batch_size=8).select(given) for _ in range(2)]
    assert selected[0] == selected[1]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in given.space.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"pool": 0}, "pool=0"), ({"batch_size": 0}, "batch_size=0"), ({"draw": "alpha"}, "there are scores, uniform")],
)
def test_settings_that_cannot_be(settings: dict[str, object], words: str):
    with pytest.raises(SearchError, match=words):
        ByProxy(**settings)
