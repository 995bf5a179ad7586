"""Training-free scores against the true accuracies of NAS-Bench-201: Kendall's tau and Spearman's rho."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nasp_core.proxies import make_proxy
from sif.benchmark.results import ScoreRow, spread
from sif.errors import RaceError

__all__ = ["ScoreRace"]

_RECIPE, _BUDGET = "cifar10-nb201", "full"
Kept = Callable[[str, Callable[[], Any]], Any]
"""From a name and what makes a plain value to the value: the one that is kept under the name, or a new one."""


@dataclass(frozen=True)
class ScoreRace:
    """Scores of random cells on one batch of CIFAR-10, in the benchmark's own networks; each seed draws its cells.

    `cells` random ones for each seed, `batch_size` pictures; the truth is the accuracy on CIFAR-10.
    """

    names: tuple[str, ...]
    table: str
    cells: int = 500
    batch_size: int = 64
    changes: Sequence[str] = ()
    device: str = "auto"
    root: Path | None = None

    def check(self) -> None:
        """Raise `ProxyError` for an unknown name, `RaceError` for too few cells."""
        for name in self.names:
            make_proxy(name)
        if self.cells < 2:
            raise RaceError(f"--cells {self.cells}; an order needs 2 or more")

    def rows(self, seeds: int, kept: Kept) -> list[ScoreRow]:
        """Return a row for each score: mean and deviation of its rank correlations over the seeds.

        Args:
            seeds: How many batches and drawings of cells.
            kept: Keeps what a seed gave, and reads it back.
        """
        results = [kept(self._name(seed), partial(self._scored, seed)) for seed in range(seeds)]
        rows = []
        for name in self.names:
            found = [one["correlations"][name] for one in results if name in one["correlations"]]
            found = [each for each in found if all(map(math.isfinite, each.values()))]
            reasons = dict.fromkeys(one["reasons"][name] for one in results if name in one["reasons"])
            rows.append(
                ScoreRow(
                    score=name,
                    kendall_tau=spread([each["kendall"] for each in found]),
                    spearman=spread([each["spearman"] for each in found]),
                    cells=self.cells,
                    reason="; ".join(reasons) or None,
                )
            )
        return sorted(rows, key=lambda row: -(-2.0 if row.spearman.mean is None else row.spearman.mean))

    def _name(self, seed: int) -> str:
        changes = "".join(f"-{change}" for change in self.changes)
        return f"scores-{'-'.join(self.names)}-{self.cells}-{self.batch_size}{changes}-{seed}"

    def _scored(self, seed: int) -> dict[str, Any]:
        from sif.scoring import score_points

        results = score_points(
            _RECIPE,
            scores=self.names,
            points=self.cells,
            budget=_BUDGET,
            seed=seed,
            batch_size=self.batch_size,
            changes=self.changes,
            table=self.table,
            device=self.device,
            root=self.root,
        )
        return {"correlations": results.correlations, "reasons": results.reasons}
