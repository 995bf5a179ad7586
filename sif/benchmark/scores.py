"""Training-free scores against the true accuracies of cells: Kendall's tau and Spearman's rho."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nasp_core.proxies import make_proxy
from sif.benchmark.results import ScoreRow, spread
from sif.cells.networks import CELL_TABLES
from sif.errors import RaceError
from sif.journal import Journal

__all__ = ["ScoreRace"]

_BUDGET = "full"


@dataclass(frozen=True)
class ScoreRace:
    """Scores of random cells on one batch of pictures, in the benchmark's own networks; each seed draws its cells.

    `table` is the file of the true accuracies of `space`; `cells` random ones for each seed, `batch_size` pictures.
    """

    names: tuple[str, ...]
    space: str
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

    def rows(self, seeds: int, journal: Journal) -> list[ScoreRow]:
        """Return a row for each score: mean and deviation of its rank correlations over the seeds.

        Args:
            seeds: How many batches and drawings of cells.
            journal: Keeps what a seed gave, and reads it back.
        """
        depends = [self.names, self.table, self.cells, self.batch_size, list(map(str, self.changes))]
        results = [journal.once(f"scores seed {seed}", partial(self._scored, seed), depends) for seed in range(seeds)]
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

    def _scored(self, seed: int) -> dict[str, Any]:
        from sif.scoring import score_points

        results = score_points(
            CELL_TABLES[self.space].recipe,
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
