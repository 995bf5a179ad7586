"""The race on tables of results: multi-trial strategies in milliseconds, judged by their true accuracy or rank."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nasp_core.errors import SearchError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.strategy import Strategy
from nasp_core.trials import Proposal, SearchContext, TrialStrategy, explore
from nasp_core.types import Active
from sif.benchmark.budget import Budget, clock_of
from sif.benchmark.entrants import Entrant, refused
from sif.benchmark.one_shot import OneShot
from sif.benchmark.problem import RacePlan
from sif.benchmark.results import Column, RaceRun
from sif.benchmark.spending import BudgetedStrategy, EvaluationBudget
from sif.cells.networks import CELL_KINDS, CELL_TABLES
from sif.cells.notation import cell_text
from sif.datasets import read
from sif.errors import DataError, RaceError
from sif.problems import problem
from sif.spaces.build import make_space
from sif.spaces.wide_settings import NAME
from sif.tabular import InteractionTable, TablePlan, task_and_space

__all__ = ["CellTableBenchmark", "InteractionTableBenchmark"]


def _found(
    context: SearchContext,
    strategy: TrialStrategy,
    judge: Callable[[Proposal], float],
    budget_left: EvaluationBudget,
    seed: int,
) -> tuple[Active, int]:
    """Return the best point of a search on a table, of those tried with the largest fidelity; and how many were.

    Of equals the first wins. Raises `SearchError` where no point was tried, or none with success.
    """
    results = explore(context, BudgetedStrategy(strategy, budget_left), judge, seed=seed)
    best = max(results, key=lambda each: (each.proposal.fidelity, each.score), default=None)
    if best is None or best.score == -math.inf:
        raise SearchError(f"{strategy.name} tried {len(results)} points, none of them with success")
    return best.proposal.active, len(results)


class CellTableBenchmark:
    """Multi-trial strategies on a space whose cells were all trained: their judge is the true accuracy, in percent."""

    def __init__(self, space: str, table: Path, task: str, budget: Budget) -> None:
        """Read the table of a space of cells; `task` is the data set whose accuracy judges."""
        known = CELL_TABLES[space]
        self.truth, self.budget = known.read(table), budget
        self.task, self.best = task or self.truth.names[0], self.truth.best()
        if self.task not in self.best:
            raise RaceError(f"--task {task!r}: the table has {', '.join(self.best)}")
        if budget.unit != "evaluations":
            raise RaceError(f"a budget of {budget} on a table of accuracies; count trainings: --budget 200evaluations")
        self.fingerprint = hashlib.sha256(table.read_bytes()).hexdigest()[:16]
        self.space: Space = CELL_KINDS[space].space(known.least)

    @property
    def columns(self) -> list[Column]:
        """True accuracies of the best architecture, and the regret on the data set that judges."""
        accuracies = [self.task, *(name for name in self.best if name != self.task)]
        return [
            *(Column(name=name, better="more", digits=2) for name in accuracies),
            Column(name="regret", better="less", digits=2),
        ]

    def describe(self) -> dict[str, Any]:
        """Return the table, and what is the best and the mean in it."""
        facts = {"kind": self.space.name, "task": self.task, "table": self.fingerprint}
        return facts | {"best": self.best, "mean": self.truth.mean()}

    def unsupported_reason(self, entrant: Entrant) -> str | None:
        """Return why a strategy does not fit the table."""
        return refused(entrant.strategy(), self.space, None, shares=False)

    def plan(self, entrant: Entrant) -> RacePlan:
        """Return the number of evaluations."""
        return {"trials": self.budget.amount}

    def note(self, plan: RacePlan) -> str | None:
        """Say nothing: on a table all stay within the budget."""
        return None

    def run(self, entrant: Entrant, seed: int, plan: RacePlan) -> RaceRun:
        """Search on the table."""
        strategy = entrant.strategy(int(plan["trials"]))
        assert not isinstance(strategy, Strategy)
        active, count = _found(
            SearchContext(self.space), strategy, self._score, EvaluationBudget(self.budget.amount), seed
        )
        cell, accuracies = self._cell(active), self._accuracies(active)
        figures = accuracies | {"regret": self.best[self.task] - accuracies[self.task]}
        return RaceRun(
            strategy=entrant.name,
            seed=seed,
            parts=strategy.describe(),
            status="done",
            found=cell,
            figures=figures,
            effort={"points": float(count)},
        )

    def finish(self, runs: list[RaceRun]) -> None:
        """Add nothing: the table knows the best point."""

    def _cell(self, active: Active) -> str:
        return cell_text(self.space.genotype(active))

    def _accuracies(self, active: Active) -> dict[str, float]:
        return self.truth.of(self._cell(active))

    def _score(self, proposal: Proposal) -> float:
        if proposal.fidelity < 1:
            raise SearchError("the table has no accuracy of a share of a training")
        return self._accuracies(proposal.active)[self.task]


class InteractionTableBenchmark:
    """All strategies on a table of trained interaction functions: what they find has a true rank and a regret.

    Multi-trial strategies learn from the validation metric of one training (a run's seed picks which); a budget of
    seconds is spent at the rate that the table notes for each training. One-shot strategies train a supernet on the
    table's data, with its space and schedule, under the same budget in real seconds of one processor core.
    """

    def __init__(
        self, table: InteractionTable, task: str, budget: Budget, *, data: str = "", root: Path | None = None
    ) -> None:
        """Take the table; one-shot strategies need its `data`: a file, by default looked for by name in `root`."""
        if task and task not in table.tasks:
            raise RaceError(f"--task {task!r}: the table has {', '.join(table.tasks)}")
        self.table, self.budget, self.data, self.root = table, budget, data, root
        self.task = task or table.tasks[0]
        self.trained: TablePlan = problem(self.task).plan.of(table.made["plans"][self.task])
        self._loaded: OneShot | None = None

    @property
    def columns(self) -> list[Column]:
        """Regret, rank and metric of the best architecture: means over the table's seeds, on the test part."""
        metric, more = self.table.metrics(self.task)[0], self.table.maximise(self.task)
        return [
            Column(name="regret", better="less", digits=4),
            Column(name="rank", better="less", digits=1),
            Column(name=f"test {metric}", better="more" if more else "less", digits=4),
            Column(name="search s", better=None, digits=1),
        ]

    def describe(self) -> dict[str, Any]:
        """Return which table, and how it was made."""
        facts = {"kind": "interaction-table", "task": self.task, "points": len(self.table.points)}
        return facts | {"made": self.table.made}

    def unsupported_reason(self, entrant: Entrant) -> str | None:
        """Return why a strategy does not fit the space of the table."""
        strategy = entrant.strategy()
        if isinstance(strategy, Strategy):
            one_shot = self._one_shot()
            return refused(strategy, one_shot.space(), one_shot.task)
        context = self._context(strategy)
        return refused(strategy, context.space, context.task)

    def plan(self, entrant: Entrant) -> RacePlan:
        """Size a one-shot search to the budget; for trials, count what it pays for on the mean."""
        strategy = entrant.strategy()
        if isinstance(strategy, Strategy):
            return self._one_shot().plan(strategy)
        if self.budget.unit != "seconds":
            return {"trials": max(1.0, float(math.floor(self.budget.evaluations(self.trained.training.epochs))))}
        seconds = [self.table.seconds(self.task, point) for point in self.table.points]
        return {"trials": max(1.0, float(math.ceil(self.budget.amount * len(seconds) / sum(seconds))))}

    def note(self, plan: RacePlan) -> str | None:
        """Say when a one-shot search cannot stay within the budget."""
        return None if "trials" in plan else self._one_shot().note(plan)

    def run(self, entrant: Entrant, seed: int, plan: RacePlan) -> RaceRun:
        """Search, and look the best architecture up."""
        strategy = entrant.strategy(int(plan.get("trials", 1)))
        if isinstance(strategy, Strategy):
            one_shot = self._one_shot()
            found, seconds = one_shot.run(strategy, int(plan["epochs"]), seed)
            point: Active | Genotype = found.genotype
            key, effort = found.genotype.key(), {"epochs": plan["epochs"]}
        else:
            seconds_of = self._seconds
            timed = self.budget.unit == "seconds"
            budget_left = (
                EvaluationBudget(self.budget.amount, seconds_of) if timed else EvaluationBudget(self._evaluations())
            )
            judge, spent = self.table.judge(self.task, seed), 0.0

            def score(proposal: Proposal) -> float:
                nonlocal spent
                spent += seconds_of(proposal)
                return judge(proposal)

            point, count = _found(self._context(strategy), strategy, score, budget_left, seed)
            key, effort, seconds = self.table.space().genotype(point).key(), {"points": float(count)}, spent
        return RaceRun(
            strategy=entrant.name,
            seed=seed,
            parts=strategy.describe(),
            status="done",
            found=key,
            figures=self._truth(point) | {"search s": seconds},
            effort=effort,
        )

    def finish(self, runs: list[RaceRun]) -> None:
        """Add nothing: the table knows the best point."""

    def _context(self, strategy: TrialStrategy) -> SearchContext:
        """Return where a multi-trial strategy proposes: the table alone, with its data for one that asks them too."""
        bare = SearchContext(self.table.space())
        if refused(strategy, *bare) is None:
            return bare
        one_shot = self._one_shot()
        return SearchContext(one_shot.space(), one_shot.task)

    def _evaluations(self) -> float:
        return max(1.0, self.budget.evaluations(self.trained.training.epochs))

    def _seconds(self, proposal: Proposal) -> float:
        return self.table.seconds(self.task, proposal.active) * proposal.fidelity

    def _truth(self, point: Active | Genotype) -> dict[str, float]:
        regret = self.table.regret(self.task, point)
        if not math.isfinite(regret):
            raise SearchError("its best architecture diverges when it is trained")
        metric = f"test {self.table.metrics(self.task)[0]}"
        rank = float(self.table.rank(self.task, point))
        return {"regret": regret, "rank": rank, metric: self.table.metric(self.task, point)}

    def _one_shot(self) -> OneShot:
        """Return the table's data, space and schedule, for one-shot strategies; `DataError` where data differ."""
        if self._loaded is None:
            made = self.table.made
            data = read(self.data or made["data"], root=self.root)
            if data.fingerprint() != made["fingerprint"]:
                raise DataError(
                    f"{data.source} is not what the table was made on: fingerprint {data.fingerprint()}, "
                    f"there {made['fingerprint']}"
                )
            task, _ = task_and_space(data, self.trained)
            clock = clock_of(torch.device("cpu"))
            settings, training = self.trained.settings, self.trained.training
            self._loaded = OneShot(
                lambda: make_space(NAME, task, settings), task, training, training, self.budget, clock
            )
        return self._loaded
