"""From a recipe to a finished run: search, train, compare, and read the test part once."""

from __future__ import annotations

import difflib
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import torch

from nasp_core.errors import NaspError
from nasp_core.evaluation import better, evaluate
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.network import Network
from nasp_core.search import search
from nasp_core.strategy import Gradient, Strategy
from nasp_core.trials import Enumerate, Random, SearchContext, TrialStrategy
from nasp_core.types import State
from sif.data import Prepared
from sif.models.baselines import Baseline, baseline_table
from sif.models.build import build_network, make_space, small_space
from sif.recipes import Recipe
from sif.runs import Stages, searched, trained_stage
from sif.spaces.interaction import InteractionSpace
from sif.spaces.wide import WideSpace
from sif.spaces.wide_settings import WideSettings

__all__ = ["Pipeline", "check_recipe"]


_RATE = "learning_rate"


def check_recipe(recipe: Recipe) -> None:
    """Build everything a recipe names, without data; raises `RecipeError` listing all that does not fit."""
    problems: list[str] = []
    wants_context = recipe.space.name == "tensor-interaction"
    if wants_context != (recipe.context != "none"):
        fix = 'set context = "month" (or "column")' if wants_context else 'set space.name = "tensor-interaction"'
        problems.append(recipe.problem("space.name", f'does not go with context = "{recipe.context}"; {fix}'))
    given = bool(recipe.valid or recipe.test) or recipe.split.kind == "leave-last-out"
    if not given and recipe.split.fractions[1] == 0:
        why = "the validation part chooses the function, and cannot be empty; give it a share, such as 0.1"
        problems.append(recipe.problem("split.fractions", why))
    table = baseline_table(recipe.task, recipe.space.name)
    problems += recipe.misplaced()
    for which in ("search", "train"):
        if getattr(recipe, which).precision != "float32":
            why = "a table's sums are too small to gain by half precision, and are kept in float32; leave it out"
            problems.append(recipe.problem(f"{which}.precision", why))
    for name in (name for name in recipe.baselines.names if name not in table):
        near = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        problems.append(recipe.problem("baselines.names", f"no baseline {name!r}; {hint}There are: {', '.join(table)}"))
    problems += recipe.tried(
        {
            "space.operations": lambda: small_space(recipe.space.name, recipe.settings()),
            "search": lambda: recipe.training("search"),
            "train": lambda: recipe.training("train"),
        }
    )
    recipe.refuse(problems or _start(recipe))


def _start(recipe: Recipe) -> list[str]:
    """Begin the search on a space of two users and two items: settings that nothing else checks fail here."""
    strategy, generator = recipe.make_strategy(), torch.Generator()
    space = small_space(recipe.space.name, recipe.settings())
    try:
        if isinstance(strategy, Strategy):
            strategy.gradient.init(strategy.domain.init(space, generator, torch.device("cpu")), space)
        else:
            strategy.init(SearchContext(space), generator)
    except (NaspError, TypeError, ValueError) as error:
        return [recipe.problem("strategy.settings", str(error))]
    return []


class Pipeline:
    """Runs the stages of one recipe on prepared data; every stage can be resumed."""

    def __init__(self, recipe: Recipe, data: Prepared, stages: Stages) -> None:
        check_recipe(recipe)
        self.recipe, self.data, self.stages = recipe, data, stages
        self.task, self.seed = data.task, recipe.seed
        self.settings = recipe.settings()
        self.final = recipe.training("train")
        self.counts = data.task.counts()
        self.histories = data.task.histories() if isinstance(self.settings, WideSettings) else None
        self.own_metric = float("nan")

    def space(self) -> InteractionSpace | WideSpace:
        """Return a new supernet on the task's device."""
        return make_space(self.recipe.space.name, self.task, self.settings)

    def build(self, genotype: Genotype) -> Network:
        """Return the plain network of a genotype under the settings it carries."""
        network: Network = build_network(genotype, self.task)
        return network

    def search(self, strategy: Strategy | TrialStrategy | None = None, name: str = "search") -> State:
        """Return the outcome of a search: genotype (JSON), validation metric, scores, trace, seconds."""
        chosen = strategy or self.recipe.make_strategy()

        def compute(observer: Observer, resume: State | None) -> State:
            found = search(
                self.space(),
                self.task,
                chosen,
                self.recipe.training("search"),
                final=self.final,
                seed=self.seed,
                observer=observer,
                resume=resume,
            )
            return searched(found)

        return self.stages.run(name, compute)

    def train(self, genotype: Genotype, done: State | None = None) -> tuple[Genotype, State]:
        """Train a genotype over the tuning grid; return the one that validation prefers, and its outcome.

        `done` is the outcome of the training with the recipe's own settings, where the search went through it.
        """
        best: tuple[Genotype, State] | None = None
        seconds = 0.0
        grid = self._grid(("l2", "embedding_dim"))
        own = grid[0]
        for changes in grid:
            tried = replace(genotype, settings=dict(genotype.settings) | _of_space(changes))
            if changes == own and done is not None:
                state = done | {"seconds": 0.0}  # the search's seconds have it
            else:
                state = self._train(f"train {_text(changes)}", self.build(tried), tried.key(), changes)
            seconds += state["seconds"]
            if changes == own:
                self.own_metric = float(state["valid"][self.task.metric])
            if best is None or better(self.task, state["valid"][self.task.metric], best[1]["valid"][self.task.metric]):
                best = tried, state | {"tuned": changes}
        assert best is not None
        return best[0], best[1] | {"seconds": seconds}

    def _grid(self, keys: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return the settings to try: the recipe's own first, then the rest of the grid."""
        tune = self.recipe.tune.model_dump()
        axes = {key: dict.fromkeys([getattr(self.settings, key), *tune[key]]) for key in keys}
        if tune[_RATE]:
            axes[_RATE] = dict.fromkeys([self.final.optimiser.learning_rate, *tune[_RATE]])
        return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]

    def _train(self, stage: str, network: Network, key: str, changes: dict[str, Any]) -> State:
        training = self.recipe.final_training(changes)
        return trained_stage(self.stages, stage, network, self.task, training, key, self.seed)

    def baseline(self, name: str, baseline: Baseline) -> tuple[Network, State]:
        """Train a baseline over its part of the grid; return the best by validation and its outcome."""
        keys = ("l2", "embedding_dim") if baseline.tuned else ("l2",)
        grid = self._grid(keys) if baseline.trained and baseline.embeds else [{}]
        best: tuple[Network, State] | None = None
        seconds = 0.0
        for changes in grid:
            settings = replace(self.settings, **_of_space(changes))
            network = baseline.build(self.task.sizes, settings, self.counts, self.histories).to(self.task.device)
            if baseline.trained:
                state = self._train(f"baseline {name} {_text(changes)}", network, f"baseline/{name}", changes)
            else:
                state = {"weights": dict(network.state_dict()), "valid": evaluate(network, self.task), "seconds": 0.0}
            seconds += state["seconds"]
            if best is None or better(self.task, state["valid"][self.task.metric], best[1]["valid"][self.task.metric]):
                best = network, state | {"settings": changes}
        assert best is not None
        network, state = best
        network.load_state_dict(state["weights"])
        return network, state | {"seconds": seconds}

    def baselines(self) -> dict[str, tuple[Network, State]]:
        """Train every baseline of the recipe that exists at its embedding size."""
        table = baseline_table(self.recipe.task, self.recipe.space.name)
        names = [name for name in self.recipe.baselines.names if table[name].fits(self.settings)]
        return {name: self.baseline(name, table[name]) for name in names}

    def enumerate(self) -> State | None:
        """Train every point, if the recipe says so; the truth that the regret is measured against."""
        if not self.recipe.baselines.enumerate:
            return None
        return self.search(Enumerate(gradient=self._pinned_gradient()), "enumerate")

    def random(self, epochs: float) -> State | None:
        """Random search with the budget of the search, counted in passes over the training part."""
        if not self.recipe.baselines.random:
            return None
        a_trial = self._epochs("train") + (self._epochs("search") if self.space().continuous() else 0)
        trials = max(1, round(epochs / a_trial))
        return self.search(Random(trials=trials, gradient=self._pinned_gradient()), "random")

    def _pinned_gradient(self) -> Gradient:
        """Return how a point alone learns its element-wise networks: as in the search, where that can be."""
        return self.recipe.make_strategy().gradient.pinned()

    @property
    def most_epochs(self) -> int:
        """How many epochs the final training has at most, on this table."""
        return self._epochs("train")

    def _epochs(self, which: Literal["search", "train"]) -> int:
        training = self.recipe.training(which)
        return training.stretched(len(self.task.stream("train", training.batch_size, 0))).epochs

    def regret(self, scores: dict[str, float]) -> float:
        """Return how much worse the find is than the best point, both trained by the recipe's own settings."""
        best = max(scores.values()) if self.task.maximise else min(scores.values())
        return best - self.own_metric if self.task.maximise else self.own_metric - best

    def search_epochs(self, outcome: State) -> float:
        """Return how many passes over the training part a search took, architecture steps counted as weight steps."""
        total = 0.0
        for record in outcome["trace"]:
            if record["phase"] == "search":
                total += 2 if record.get("alpha") else 1
            else:
                total += record["epochs"]
        return total


def _of_space(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes that are settings of the space; the learning rate is the training's."""
    return {key: value for key, value in changes.items() if key != _RATE}


def _text(changes: dict[str, Any]) -> str:
    return " ".join(f"{key}={value!r}" for key, value in changes.items())
