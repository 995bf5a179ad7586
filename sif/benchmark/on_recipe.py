"""The race on data: a recipe's data and split, a budget for each search, its final training for what is found."""

import math
from typing import Any, Literal

from nasp_core.network import Network
from nasp_core.search import Found, search, train_genotype
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.benchmark.budget import Budget, clock_of
from sif.benchmark.entrants import Entrant, refused
from sif.benchmark.one_shot import OneShot
from sif.benchmark.problem import RacePlan
from sif.benchmark.results import Column, RaceRun
from sif.benchmark.spending import BudgetedStrategy, EvaluationBudget, TimeBudget
from sif.problems.base import Instance

__all__ = ["RecipeBenchmark"]

_PILOTS = 3


class RecipeBenchmark:
    """Strategies search the space of a recipe on its data; validation chooses, and test is read once for each found.

    All runs have one split, that of the recipe; a run's seed decides weights, batches and what the strategy draws. A
    point that is trained by the recipe's final schedule has one outcome for each seed, whoever trains it.
    """

    def __init__(self, instance: Instance, budget: Budget) -> None:
        self.instance, self.recipe, self.budget = instance, instance.recipe, budget
        self.task, self.final = instance.search_task, self.recipe.training("train")
        self.clock = clock_of(instance.device)
        search_training = self.recipe.training("search")
        self._one_shot = OneShot(instance.space, self.task, search_training, self.final, budget, self.clock)
        self._training_seconds = math.nan
        self._finals: dict[str, dict[str, float]] = {}
        self._gradient = self.recipe.make_strategy().gradient.pinned()

    def with_own_settings(self, entrants: list[Entrant]) -> list[Entrant]:
        """Return the entrants, the recipe's own strategy among them with the settings that the recipe has for it."""
        own = self.recipe.strategy
        return [
            Entrant(each.name, {**own.settings, **each.settings}) if each.name == own.name else each
            for each in entrants
        ]

    @property
    def columns(self) -> list[Column]:
        """Validation and test metric of what was found, trained anew; regret among all points trained so; seconds."""
        better: Literal["more", "less"] = "more" if self.task.maximise else "less"
        metrics = [f"valid {self.task.metric}", f"test {self.task.metric}"] if self.instance.has("test") else []
        metrics = metrics or [f"valid {self.task.metric}"]
        return [
            *(Column(name=name, better=better, digits=4) for name in metrics),
            Column(name="regret", better="less", digits=4),
            Column(name="search s", better=None, digits=1),
            Column(name="training s", better=None, digits=1),
        ]

    def describe(self) -> dict[str, Any]:
        """Return the recipe, the data and the split."""
        described = self.instance.describe()
        values = self.recipe.model_dump(mode="json", exclude={"baselines", "tune", "strategy", "compare", "titles"})
        return {
            "kind": "recipe",
            "recipe": values,
            "dataset": {key: value for key, value in described["dataset"].items() if key != "source"},
            "split": (described.get("split") or {}) | {"fingerprint": self.instance.fingerprint},
            "metric": self.task.metric,
            "maximise": self.task.maximise,
        }

    def unsupported_reason(self, entrant: Entrant) -> str | None:
        """Return why a strategy does not fit the space."""
        return refused(entrant.strategy(gradient=self._gradient), self.instance.space(), self.task)

    def plan(self, entrant: Entrant) -> RacePlan:
        """Measure a one-shot search of one epoch and size it to the budget; for trials, count what it pays for."""
        strategy = entrant.strategy(gradient=self._gradient)
        if not isinstance(strategy, Strategy):
            return {"trials": float(self._trials())}
        return self._one_shot.plan(strategy)

    def note(self, plan: RacePlan) -> str | None:
        """Say when a search of one epoch and its selection are more than the budget."""
        return self._one_shot.note(plan)

    def run(self, entrant: Entrant, seed: int, plan: RacePlan) -> RaceRun:
        """Search under the budget, train what is found by the recipe's final schedule, and read its test metric."""
        trials = int(plan["trials"]) if "trials" in plan else None
        strategy = entrant.strategy(trials, self._gradient)
        if isinstance(strategy, Strategy):
            found, seconds = self._one_shot.run(strategy, int(plan["epochs"]), seed)
            effort, whole = {"epochs": plan["epochs"]}, {}
        else:
            found, seconds, effort = self._trials_of(strategy, seed)
            metric = self.task.metric
            tried = [record for record in found.trace if "valid" in record and "fidelity" not in record]
            whole = {record["genotype"]: float(record["valid"][metric]) for record in tried}
        figures = self._final(found, seed)
        whole[found.genotype.key()] = figures[f"valid {self.task.metric}"]
        return RaceRun(
            strategy=entrant.name,
            seed=seed,
            parts=strategy.describe(),
            status="done",
            found=found.genotype.key(),
            figures=figures | {"search s": seconds},
            effort=effort,
            whole=whole,
        )

    def finish(self, runs: list[RaceRun]) -> None:
        """Add the regret: how much worse it is than the best point that any run of its seed trained in full."""
        for seed in {run.seed for run in runs}:
            done = [run for run in runs if run.seed == seed and run.status == "done"]
            known = [value for run in done for value in run.whole.values() if math.isfinite(value)]
            for run in done:
                own = run.figures[f"valid {self.task.metric}"]
                run.figures["regret"] = max(known) - own if self.task.maximise else own - min(known)

    def _trials_of(self, strategy: TrialStrategy, seed: int) -> tuple[Found, float, dict[str, float]]:
        began = self.clock()
        if self.budget.unit == "seconds":
            budget_left: TimeBudget | EvaluationBudget = TimeBudget(self.budget.amount, self.clock)
        else:
            budget_left = EvaluationBudget(self.budget.evaluations(self.final.epochs))
        bounded = BudgetedStrategy(strategy, budget_left)
        training = self.recipe.training("search")
        found = search(self.instance.space(), self.task, bounded, training, final=self.final, seed=seed)
        return found, self.clock() - began, {"points": float(bounded.asked)}

    def _trials(self) -> int:
        """Return how many whole trainings the budget is likely to pay for: what multi-trial strategies plan with."""
        if self.budget.unit != "seconds":
            return max(1, math.floor(self.budget.evaluations(self.final.epochs)))
        if math.isnan(self._training_seconds):
            pilot = Entrant("random", {"trials": _PILOTS}).strategy(gradient=self._gradient)
            began = self.clock()
            search(self.instance.space(), self.task, pilot, self.recipe.training("search"), final=self.final)
            self._training_seconds = (self.clock() - began) / _PILOTS
        return max(1, math.ceil(self.budget.amount / self._training_seconds))

    def _final(self, found: Found, seed: int) -> dict[str, float]:
        """Return the metrics of an architecture trained by the final schedule; each is trained and tested once."""
        key = f"{seed} {found.genotype.to_json()}"
        if key not in self._finals:
            began = self.clock()
            same = self.instance.search_task is self.instance.final_task
            network = found.network or (found.trained.network if found.trained is not None else None)
            if network is None or not same:
                network = self._trained(found, seed)
            figures = {}
            for part in ("valid", "test"):
                metrics = self.instance.evaluate(network, part)
                if metrics is not None:
                    figures[f"{part} {self.task.metric}"] = metrics[self.task.metric]
            self._finals[key] = figures | {"training s": self.clock() - began}
        return dict(self._finals[key])

    def _trained(self, found: Found, seed: int) -> Network:
        network = self.instance.build(found.genotype)
        key = found.genotype.key()
        return train_genotype(network, self.instance.final_task, self.final, key=key, seed=seed).network
