"""A task opened on a table of users and items: spaces, tuning, rivals, the saved model."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any, Literal, cast

import numpy as np
from scipy import sparse

from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.trials import Enumerate, Random, TrialStrategy
from nasp_core.types import State
from sif.checkpoint import load_tree, save_tree
from sif.datasets import Split
from sif.errors import RecipeError
from sif.problems.base import Changes, ComparedModel, Instance, RivalNetwork, Searches, Trainee
from sif.problems.data import Prepared
from sif.problems.handing import BlendedPairs, FormNetwork, rival_of, rival_on, rival_trainee
from sif.problems.recipes import Recipe
from sif.problems.threads import threads_for
from sif.recipes.limit import NONE
from sif.recipes.problems import problem_of
from sif.rivals.base import Baseline
from sif.rivals.known import baseline_table, rival
from sif.run_directory import RunDirectory
from sif.serve.forms import Served
from sif.serve.networks import network_form
from sif.spaces.build import build_network, make_space, small_space
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.known import SPACES, formula
from sif.spaces.saved import task_tree
from sif.spaces.wide import WideSpace
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask, RatingTask, TableTask

__all__ = ["TableInstance", "baseline_of"]

_RATE = "learning_rate"


def baseline_of(recipe: Recipe, name: str) -> Baseline:
    """Return how a run of the recipe makes the network of a rival; raises `RecipeError` where it cannot."""
    offered = baseline_table(recipe.asks)
    found = rival(name, offered, RecipeError)
    made = found.baseline(recipe.asks)
    if made is None:
        beside = f"`sif compare RUN --with {name}` has it. " if found.method is not None else ""
        raise RecipeError(
            f"rival {name!r} has no network for task {recipe.task} in space {recipe.space.name}; {beside}"
            f"There are: {', '.join(offered)}"
        )
    return made


class TableInstance(Instance):
    """A recipe on its table; `data` are the interactions, their split and their task."""

    recipe: Recipe

    def __init__(self, recipe: Recipe, data: Prepared) -> None:
        self.recipe, self.data, self.device = recipe, data, data.task.device
        self.name, self.fingerprint = data.interactions.name, data.split.fingerprint
        self.notes = (str(data.interactions.feedback), *data.interactions.notes, *data.split.notes)
        self.search_task = self.final_task = data.task
        self.settings = recipe.settings()
        self.counts = data.task.counts()
        self.histories = data.task.histories() if SPACES[recipe.space.name].reads_histories else None

    @property
    def problem(self) -> Any:
        """The problem that the recipe names."""
        return problem_of(self.recipe)

    def space(self) -> InteractionSpace | WideSpace:
        """Return a new supernet on the task's device."""
        return make_space(self.recipe.space.name, self.data.task, self.settings)

    def build(self, genotype: Genotype) -> Network:
        """Return the plain network of an architecture under the settings it carries."""
        network: Network = build_network(genotype, self.data.task)
        return network

    def formula(self, genotype: Genotype) -> str:
        """Return the function as a formula."""
        return formula(genotype)

    def describe(self) -> dict[str, Any]:
        """Return the table, its split and the scale of its ratings."""
        known = self.data.interactions
        return {
            "dataset": known.describe() | {"fingerprint": known.fingerprint()},
            "split": self.data.split.describe(),
            "scale": self.data.scale,
        }

    def grid(self) -> list[Changes]:
        """Return the settings that the final training tries, the recipe's own first."""
        return self._grid(("l2", "embedding_dim"))

    def _grid(self, keys: tuple[str, ...]) -> list[Changes]:
        tune = self.recipe.tune.model_dump()
        pinned = self.recipe.pinned if self.recipe.study.budget != NONE else ()
        axes = {key: dict.fromkeys([getattr(self.settings, key), *tune[key]]) for key in keys}
        axes = {key: each for key, each in axes.items() if f"space.{key}" not in pinned}
        if tune[_RATE] and f"train.optimiser.{_RATE}" not in pinned:
            axes[_RATE] = dict.fromkeys([self.recipe.training("train").optimiser.learning_rate, *tune[_RATE]])
        return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]

    def changed(self, values: Mapping[str, Any]) -> TableInstance:
        """Return the same table under other values of the recipe.

        Args:
            values: By dotted key: settings of the space, of the training or of the task.
        """
        if not values:
            return self
        recipe, data = self.recipe.changed(values), self.data
        if any(key.partition(".")[0] not in ("space", "train") for key in values):
            data = replace(data, task=self._task(recipe, data.split))
        return TableInstance(recipe, data)

    def genotype(self, choices: Mapping[str, tuple[str, ...]]) -> Genotype:
        """Return the architecture of named choices under the settings of the recipe."""
        small = small_space(self.recipe.space.name, self.settings)
        plain = small.genotype(next(iter(small.points())))
        return replace(plain, choices=dict(choices))

    def configured(self, genotype: Genotype, changes: Changes) -> Genotype:
        """Return the architecture with changed settings of its space."""
        return replace(genotype, settings=dict(genotype.settings) | _of_space(changes))

    def training(self, changes: Changes) -> Training:
        """Return the schedule of the final training; tuning may have changed its learning rate."""
        return self.recipe.final_training(changes)

    def rivals(self) -> dict[str, RivalNetwork]:
        """Return the baselines of the recipe that exist at its embedding size; beside a ranking, popularity too."""
        every = "popularity" in baseline_table(self.recipe.asks)  # a ranking always stands beside it
        names = dict.fromkeys([*self.recipe.baselines.names, *(["popularity"] if every else [])])
        made = {name: baseline_of(self.recipe, name) for name in names}
        return {name: self.rival(each) for name, each in made.items() if each.fits(self.settings)}

    def rival(self, baseline: Baseline) -> RivalNetwork:
        """Return the network of a rival on these data, with the settings that its tuning tries."""

        def build(changes: Changes) -> Network:
            sizes, settings = self.data.task.sizes, self.settings_with(changes)
            return baseline.build(sizes, settings, self.counts, self.histories).to(self.device)

        keys = ("l2", "embedding_dim") if baseline.tuned else ("l2",)
        grid = self._grid(keys) if baseline.trained and baseline.embeds else [{}]
        return RivalNetwork(build, grid, baseline.trained, self._own(keys if baseline.embeds else ()))

    def _own(self, keys: tuple[str, ...]) -> Changes:
        """Return the recipe's values of settings that a small network reads."""
        squared = ("bias_l2", "l2_frequency") if self.settings.penalty == "squared" else ()
        own = {key: getattr(self.settings, key) for key in (*keys, *squared)}
        return own | {_RATE: self.recipe.training("train").optimiser.learning_rate}

    def enumeration(self) -> TrialStrategy | None:
        """Return the search that trains every architecture: the truth that the regret is measured against."""
        return Enumerate(gradient=self._pinned()) if self.recipe.baselines.enumerate else None

    def random(self, engine: Searches, found: State) -> dict[str, ComparedModel]:
        """Search at random with the budget of the search, counted in passes over the training part."""
        if not self.recipe.baselines.random:
            return {}
        a_trial = self.most_epochs()
        if self.space().continuous():
            search = self.recipe.training("search")
            a_trial += search.stretched(len(self.search_task.stream("train", search.batch_size, 0))).epochs
        trials = max(1, round(_passes(found) / a_trial))
        drawn = engine.search(Random(trials=trials, gradient=self._pinned()), "random")
        genotype = Genotype.from_json(drawn["genotype"])
        network = self.build(genotype)
        network.load_state_dict(drawn["weights"])
        settings = {"genotype": genotype.key()}
        valid = evaluate(network, self.final_task)
        row = ComparedModel(network, True, valid, drawn["seconds"], genotype, drawn["metric"], trials, settings)
        return {"random-search": row}

    def _pinned(self) -> Any:
        """Return how an architecture alone learns its element-wise networks: as in the search, where that can be."""
        return self.recipe.make_strategy().gradient.pinned()

    def has(self, part: Literal["valid", "test"]) -> bool:
        """Return whether the split has rows in a part."""
        return len(getattr(self.data.split, part)) > 0

    def on_everything(self) -> TableInstance:
        """Return the same with every row in the training part; its fingerprint stays that of the split."""
        split, none = self.data.split, np.empty(0, np.int64)
        rows = np.sort(np.concatenate([split.train, split.valid, split.test]))
        return self._cut(Split(rows, none, none, "all", split.seed, None, split.fingerprint))

    def on_both(self) -> TableInstance:
        """Return the same with the validation part in the training part; its fingerprint stays that of the split.

        RMSE (std) stays in standard deviations of the training part alone, so that figures compare.
        """
        split = self.data.split
        rows = np.sort(np.concatenate([split.train, split.valid]))
        return self._cut(replace(split, train=rows, valid=np.empty(0, np.int64)))

    def judged_by_test(self) -> TableInstance:
        """Return the same trained on all but the test part and validated on that, as some papers pick an epoch.

        No figure of it is a result.
        """
        both = self.on_both()
        split = both.data.split
        return both._cut(replace(split, valid=split.test, test=np.empty(0, np.int64)))

    def _cut(self, split: Split) -> TableInstance:
        """Return the same under another split."""
        return TableInstance(self.recipe, replace(self.data, split=split, task=self._task(self.recipe, split)))

    def _task(self, recipe: Recipe, split: Split) -> TableTask:
        """Return the task of a split; RMSE (std) stays in the unit of this instance."""
        task: TableTask = problem_of(recipe).make_task(recipe, self.data.interactions, split, self.device)
        own = self.data.task
        if isinstance(task, RatingTask) and isinstance(own, RatingTask):
            task.unit = own.unit or own.scale.std
        sample = getattr(own, "sample", None)  # a task of your own need not have it
        return task if sample is None else task.sampled(*sample)  # type: ignore[attr-defined]

    def settings_with(self, changes: Mapping[str, Any]) -> InteractionSettings | WideSettings:
        """Return the settings of the space with what tuning changed."""
        return replace(self.settings, **_of_space(dict(changes)))

    @property
    def judges_rankings(self) -> bool:
        """Whether the task judges the order of items: those that predict no ratings too."""
        return bool(problem_of(self.recipe).ranks)

    def ranking_task(self, settings: RankingSettings | None = None) -> RankingTask:
        """Return the run's own ranking; of a run of ratings one made of them, under the settings (None: the default).

        Rivals that have a method of their own learn from it.
        """
        if self.judges_rankings:
            return cast(RankingTask, self.data.task)
        return RankingTask(self.data.interactions, self.data.split, settings or RankingSettings(), device=self.device)

    def save_model(self, directory: RunDirectory, genotype: Genotype, trained: State) -> None:
        """Write genotype.json, model.safetensors, and what serving needs: ids.json (raw ids, titles) and seen.npz."""
        directory.write("genotype.json", genotype.to_json())
        self.hand_over(directory, task_tree(genotype, trained["weights"], self.data.task) | {"epoch": trained["epoch"]})

    def hand_over(self, directory: RunDirectory, tree: State) -> None:
        """Write what a run hands over, whatever it is, and what serving needs: ids.json (raw ids, titles) and seen.npz.

        Args:
            directory: Of the run.
            tree: A model as `task_tree`, `fitted_tree` or `trained_tree` returned it.
        """
        data = self.data
        save_tree(directory.path / "model.safetensors", tree)
        known = data.interactions
        contexts = known.contexts.to_list() if len(data.task.sizes) == 3 and known.contexts is not None else None
        titles = None if data.titles is None else {str(item): title for item, title in data.titles.items()}
        ids = {"users": known.users.to_list(), "items": known.items.to_list(), "contexts": contexts, "titles": titles}
        directory.write("ids.json", json.dumps(ids))
        seen = known.user_items()
        seen.data = np.ones_like(seen.data)
        buffer = io.BytesIO()
        sparse.save_npz(buffer, seen)
        directory.write("seen.npz", buffer.getvalue())

    def load_model(self, directory: RunDirectory) -> Network:
        """Return the trained network of a run, on the device; of a rival what the task can judge in its place."""
        tree = load_tree(directory.file("model.safetensors"))
        if (model := rival_of(tree)) is not None:
            return rival_on(self, model)
        network = self.build(directory.genotype())
        network.load_state_dict(tree["weights"])
        return network

    def served(self, directory: RunDirectory) -> Served:
        """Return the form that serves what a run hands over, a network's tables on the device."""
        tree = load_tree(directory.file("model.safetensors"))
        if (model := rival_of(tree)) is not None:
            return model.form
        return network_form(self.load_model(directory), self.data.task.sizes, self.data.task.objective)

    def trainee(self, directory: RunDirectory) -> Trainee:
        """Return what a run hands over, to be trained anew on these data: its architecture, or a rival."""
        model = rival_of(load_tree(directory.file("model.safetensors")))
        return super().trainee(directory) if model is None else rival_trainee(self, directory, model)

    def cost(self, network: Network) -> dict[str, int]:
        """Return how many numbers a network, or a rival in its place, learnt."""
        if isinstance(network, FormNetwork | BlendedPairs):
            return {"parameters": network.learnt}
        return super().cost(network)

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Use one thread where a batch is too small to share out."""
        with threads_for(self.recipe, self.device):
            yield


def _of_space(changes: Changes) -> Changes:
    """Return the changes that are settings of the space; the learning rate is the training's."""
    return {key: value for key, value in changes.items() if key != _RATE}


def _passes(outcome: State) -> float:
    """Return how many passes over the training part a search took, architecture steps counted as weight steps."""
    total = 0.0
    for record in outcome["trace"]:
        if record["phase"] == "search":
            total += 2 if record.get("alpha") else 1
        else:
            total += record["epochs"]
    return total
