"""Evolution on the real table of NAS-Bench-201, below SIF_DATA; docs/benchmarks.md has the figures."""

import os
import statistics
from pathlib import Path

import pytest

from nasp_core.methods import STRATEGIES
from nasp_core.trials import Proposal, SearchContext, explore
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space
from sif.cells.networks import CELL_TABLES


@pytest.mark.realdata
def test_evolution_with_300_looks_averages_94_percent_and_beats_random_search() -> None:
    root = os.environ.get("SIF_DATA")
    tables = sorted(Path(root).glob("nats-bench/*200epochs.csv*")) if root else []
    if not tables:
        pytest.skip("no nats-bench/*200epochs.csv below SIF_DATA: docs/cells.md says how to write one")
    truth = CELL_TABLES["nas-bench-201"].read(tables[0])
    space = NasBench201Space(NasBench201Settings(channels=1, cells_per_stage=1))

    def judge(proposal: Proposal) -> float:
        return truth.of(space.arch_string(proposal.active))["cifar10"]

    def mean(name: str) -> float:
        searches = [explore(SearchContext(space), STRATEGIES[name](trials=300), judge, seed=seed) for seed in range(20)]
        assert all(len(results) == 300 for results in searches)
        return statistics.mean(max(each.score for each in results) for results in searches)

    assert mean("evolution") >= 94.3 > mean("random")
