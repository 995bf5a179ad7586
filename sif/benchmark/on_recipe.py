"""The race on data: a recipe's data and split, a budget for each search, the recipe's final training for each find."""

from __future__ import annotations

import math
from typing import Any

from nasp_core.evaluation import evaluate
from nasp_core.network import Network
from nasp_core.search import Found, search, train_genotype
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.benchmark.arena import Plan
from sif.benchmark.budget import Budget, clock_of
from sif.benchmark.entrants import Entrant, refused
from sif.benchmark.one_shot import OneShot
from sif.benchmark.results import Column, Run
from sif.benchmark.spending import BudgetedStrategy, EvaluationBudget, TimeBudget
from sif.data import Prepared
from sif.models.build import build_network, make_space
from sif.recipes import Recipe

__all__ = ["RecipeArena"]

_PILOTS = 3


class RecipeArena:
    """Strategies search the space of a recipe on its data; validation chooses, and test is read once for each find.

    All runs have one split, that of the recipe; a run's seed decides weights, batches and what the strategy draws. A
    point that is trained by the recipe's final schedule has one outcome for each seed, whoever trains it.
    """

    def __init__(self, recipe: Recipe, data: Prepared, budget: Budget) -> None:
        self.recipe, self.data, self.budget = recipe, data, budget
        self.task, self.final = data.task, recipe.training("train")
        self.clock = clock_of(data.task.device)
        self._one_shot = OneShot(self.space, self.task, recipe.training("search"), self.final, budget, self.clock)
        self._training_seconds = math.nan
        self._finals: dict[str, dict[str, float]] = {}
        self._gradient = recipe.make_strategy().gradient.pinned()

    def space(self) -> Any:
        """Return a new supernet."""
        return make_space(self.recipe.space.name, self.task, self.recipe.settings())

    def with_own_settings(self, entrants: list[Entrant]) -> list[Entrant]:
        """Return the entrants, the recipe's own strategy among them with the settings that the recipe has for it."""
        own = self.recipe.strategy
        return [
            Entrant(each.name, {**own.settings, **each.settings}) if each.name == own.name else each
            for each in entrants
        ]

    @property
    def columns(self) -> list[Column]:
        """Validation and test metric of the find trained anew, regret among all points trained so, and seconds."""
        better = "more" if self.task.maximise else "less"
        metrics = [f"valid {self.task.metric}", f"test {self.task.metric}"] if len(self.data.split.test) else []
        metrics = metrics or [f"valid {self.task.metric}"]
        return [
            *(Column(name=name, better=better, digits=4) for name in metrics),  # type: ignore[arg-type]
            Column(name="regret", better="less", digits=4),
            Column(name="search s", better=None, digits=1),
            Column(name="training s", better=None, digits=1),
        ]

    def describe(self) -> dict[str, Any]:
        """Return the recipe, the data and the split."""
        facts = self.data.interactions.describe() | {"fingerprint": self.data.interactions.fingerprint()}
        values = self.recipe.model_dump(mode="json", exclude={"baselines", "tune", "strategy"})
        return {
            "kind": "recipe",
            "recipe": values,
            "dataset": {key: value for key, value in facts.items() if key != "source"},
            "split": self.data.split.describe() | {"fingerprint": self.data.split.fingerprint},
            "metric": self.task.metric,
            "maximise": self.task.maximise,
        }

    def refusal(self, entrant: Entrant) -> str | None:
        """Return why a strategy does not fit the space."""
        return refused(entrant.strategy(gradient=self._gradient), self.space(), self.task)

    def plan(self, entrant: Entrant) -> Plan:
        """Measure a one-shot search of one epoch and size it to the budget; for trials, count what it pays for."""
        strategy = entrant.strategy(gradient=self._gradient)
        if not isinstance(strategy, Strategy):
            return {"trials": float(self._trials())}
        return self._one_shot.plan(strategy)

    def note(self, plan: Plan) -> str | None:
        """Say when a search of one epoch and its selection are more than the budget."""
        return self._one_shot.note(plan)

    def run(self, entrant: Entrant, seed: int, plan: Plan) -> Run:
        """Search under the budget, train the find by the recipe's final schedule, and read its test metric."""
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
        return Run(
            strategy=entrant.name,
            seed=seed,
            parts=strategy.describe(),
            status="done",
            found=found.genotype.key(),
            figures=figures | {"search s": seconds},
            effort=effort,
            whole=whole,
        )

    def finish(self, runs: list[Run]) -> None:
        """Add the regret: how much worse a find is than the best point that any run of its seed trained in full."""
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
        found = search(self.space(), self.task, bounded, training, final=self.final, seed=seed)
        return found, self.clock() - began, {"points": float(bounded.asked)}

    def _trials(self) -> int:
        """Return how many whole trainings the budget is likely to pay for: what multi-trial strategies plan with."""
        if self.budget.unit != "seconds":
            return max(1, math.floor(self.budget.evaluations(self.final.epochs)))
        if math.isnan(self._training_seconds):
            pilot = Entrant("random", {"trials": _PILOTS}).strategy(gradient=self._gradient)
            began = self.clock()
            search(self.space(), self.task, pilot, self.recipe.training("search"), final=self.final)
            self._training_seconds = (self.clock() - began) / _PILOTS
        return max(1, math.ceil(self.budget.amount / self._training_seconds))

    def _final(self, found: Found, seed: int) -> dict[str, float]:
        """Return the metrics of the find, trained by the final schedule; the same find is trained and tested once."""
        key = f"{seed} {found.genotype.to_json()}"
        if key not in self._finals:
            began = self.clock()
            network = found.network or (found.trained.network if found.trained is not None else None)
            if network is None:
                network = self._trained(found, seed)
            figures = {f"valid {self.task.metric}": evaluate(network, self.task)[self.task.metric]}
            if len(self.data.split.test):
                figures[f"test {self.task.metric}"] = evaluate(network, self.task, split="test")[self.task.metric]
            self._finals[key] = figures | {"training s": self.clock() - began}
        return dict(self._finals[key])

    def _trained(self, found: Found, seed: int) -> Network:
        network: Network = build_network(found.genotype, self.task)
        key = found.genotype.key()
        return train_genotype(network, self.task, self.final, key=key, seed=seed).network
