"""What the engine, the command line, comparisons and races know of a kind of task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch

from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.network import Network, Space
from nasp_core.optimise import Training
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from nasp_core.types import State, Task
from sif.errors import RunError
from sif.extend import resolve
from sif.recipes.base import BaseRecipe
from sif.run_directory import FinishedRun, RunDirectory
from sif.sheet import Sheet

__all__ = ["Changes", "ComparedModel", "Instance", "Problem", "RivalNetwork", "Searches", "Trainee"]

Changes = dict[str, Any]
"""Settings of a training that tuning chose, by name; empty for the recipe's own."""


@dataclass(frozen=True)
class RivalNetwork:
    """The network of a rival on these data, as the same loop trains it.

    - `build`: makes its network under changed settings, on the device.
    - `grid`: the changes to try, the recipe's own first; `[{}]` where there is nothing to tune.
    - `trained`: whether it has weights to train.
    - `own`: the values of the settings that it reads, by the name that a change of them has.
    """

    build: Callable[[Changes], Network]
    grid: list[Changes]
    trained: bool = True
    own: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class ComparedModel:
    """One model of the comparison: its network with its weights, and what its search and training came to.

    - `valid`: its validation metrics; None where it was not trained or has no validation part.
    - `searched`, `trials`: the metric by which a search chose it, and how many architectures that search tried.
    - `settings`: what tuning chose, or how a rival was made.
    """

    network: Network
    trained: bool
    valid: dict[str, float] | None
    seconds: float
    genotype: Genotype | None = None
    searched: float | None = None
    trials: int | None = None
    settings: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Trainee:
    """What a run hands over, to be trained anew.

    - `key`: names the draws of its training.
    - `keep`: puts the outcome of the training (`trained_stage`) in the place of the run's model.
    - `network`: what is trained by the loop; of a rival with a way of its own, what says what it costs.
    - `tuned`: the settings that tuning chose.
    - `made_of`: plain data of what it is, the draws of `key` aside: what is made of other things is trained anew.
    - `fit`: a rival's own way to learn, from a seed to an outcome; None where the loop trains `network`.
    """

    key: str
    keep: Callable[[State], None]
    network: Network
    tuned: Changes
    made_of: Any
    fit: Callable[[int], State] | None = None


class Searches(Protocol):
    """What an instance may ask of the engine for the searches that stand beside the run's own."""

    def search(self, strategy: Strategy | TrialStrategy, name: str, final: Training | None = None) -> State:
        """Return the outcome of a search as a stage of its own.

        Args:
            strategy: What searches.
            name: Of the stage.
            final: Schedule of a network trained alone; None: the recipe's.
        """
        ...

    def train(self, name: str, genotype: Genotype) -> State:
        """Return the outcome of the final training of an architecture as a stage of its own.

        Args:
            name: Of the stage.
            genotype: The architecture.
        """
        ...


class Instance(ABC):
    """A problem opened on data: tasks on a device, spaces, networks, rivals, and what a result says of them.

    Attributes:
        recipe: every value of the run.
        device: where the data lie.
        name: of the data set.
        fingerprint: of the data and their split; a run goes on only with the same one.
        notes: what a user should know of the data.
        search_task: batches, loss and metrics of the search; `final_task` those of the final training.
        checkpoint_seconds: how much work a kill may cost.
        retrains: whether a run ends with the final training of what it found.
    """

    recipe: Any
    device: torch.device
    name: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    search_task: Task
    final_task: Task
    checkpoint_seconds: float = 2.0
    retrains: bool = True

    @abstractmethod
    def space(self) -> Space:
        """Return a new supernet on the device."""

    @abstractmethod
    def build(self, genotype: Genotype) -> Network:
        """Return the plain network of an architecture on the device; its weights are not drawn yet."""

    @abstractmethod
    def formula(self, genotype: Genotype) -> str:
        """Return the architecture as text for people."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what `result.json` says of the data: `dataset`, and what the problem adds (`split`, `scale`, ...)."""

    @abstractmethod
    def save_model(self, directory: RunDirectory, genotype: Genotype, trained: State) -> None:
        """Write genotype.json, model.safetensors and what serving needs.

        Args:
            directory: Of the run.
            genotype: The architecture.
            trained: Has `weights` and `epoch`.
        """

    @abstractmethod
    def load_model(self, directory: RunDirectory) -> Network:
        """Return the trained network of a run, on the device."""

    def trainee(self, directory: RunDirectory) -> Trainee:
        """Return what a run hands over, to be trained anew on these data: by default its architecture."""
        genotype = directory.genotype()

        def keep(done: State) -> None:
            self.save_model(directory, genotype, done)

        tuned = directory.result()["tuned"]
        return Trainee(genotype.key(), keep, self.build(genotype), tuned, [genotype.to_json(), tuned])

    def grid(self) -> list[Changes]:
        """Return the settings that the final training tries, the recipe's own first."""
        return [{}]

    def configured(self, genotype: Genotype, changes: Changes) -> Genotype:
        """Return the architecture under changed settings.

        Args:
            genotype: The architecture.
            changes: What tuning tries.
        """
        return genotype

    def training(self, changes: Changes) -> Training:
        """Return the schedule of the final training under changed settings."""
        training: Training = self.recipe.training("train")
        return training

    def rivals(self) -> Mapping[str, RivalNetwork]:
        """Return the fixed models that stand beside what is found."""
        return {}

    def random(self, engine: Searches, found: State) -> dict[str, ComparedModel]:
        """Return what random search finds with the budget of the search, by row; empty where the recipe has none.

        Args:
            engine: Searches and trains, each as a stage of its own.
            found: The outcome of the run's own search.
        """
        return {}

    def enumeration(self) -> TrialStrategy | None:
        """Return the search that trains every architecture; None where the recipe has none."""
        return None

    def cost(self, network: Network) -> dict[str, int]:
        """Return what a network costs: `parameters`, and what the problem adds."""
        return {"parameters": sum(parameter.numel() for parameter in network.parameters())}

    def facts(self, candidate: ComparedModel) -> dict[str, Any]:
        """Return what a row adds for this problem, such as true accuracies."""
        return {}

    def most_epochs(self) -> int:
        """Return how many epochs the final training has at most, on these data."""
        training: Training = self.recipe.training("train")
        return training.stretched(len(self.final_task.stream("train", training.batch_size, 0))).epochs

    def has(self, part: Literal["valid", "test"]) -> bool:
        """Return whether a part has anything to judge by."""
        return True

    def evaluate(self, network: Network, part: Literal["valid", "test"]) -> dict[str, float] | None:
        """Return the metrics of a trained network on a part; None where there is none.

        Args:
            network: The trained network, on the device.
            part: `valid` or `test`, whose reads are counted.
        """
        if not self.has(part):
            return None
        return evaluate(network, self.final_task, split=part, precision=self.recipe.training("train").precision)

    def test_reads(self, *others: Instance) -> int:
        """Return how often a test part was read, here and in instances of the same data that share tasks or do not."""
        tasks: set[Any] = {task for each in (self, *others) for task in (each.search_task, each.final_task)}
        return sum(task.test_reads for task in tasks)

    def on_both(self) -> Instance:
        """Return the same with the validation part in the training part; raises `RunError` where there is no such."""
        raise RunError(f"{self.name} has parts of its own that are not joined; search again")

    def on_everything(self) -> Instance:
        """Return the same with all data in the training part; raises `RunError` where that makes no sense."""
        raise RunError(f"{self.name} has a test part of its own, and --all-data is for ratings; leave it out")

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Set how many threads the trainings get, and put the number back."""
        yield


class Problem(ABC):
    """A kind of task: how its recipes are checked and opened, and how its results are shown and served.

    A problem is one object. Recipes name it as `task`: a name that ships (`rating`, `ranking`, `image`, `text`), an
    entry point of the group `sif.problems`, or `package.module:object`.

    Attributes:
        name: as recipes write it.
        recipes: space -> the class of recipe; the first is what a recipe without `space.name` means.
        what: the data in a word for messages ("ratings", "cells").
        budgeted: whether its recipes have budgets (`--budget`).
        opens: the class of its finished runs, as `package.module:object`.
    """

    name: ClassVar[str]
    what: ClassVar[str]
    budgeted: ClassVar[bool] = False
    opens: ClassVar[str] = "sif.run_directory:FinishedRun"

    @property
    @abstractmethod
    def recipes(self) -> Mapping[str, type[BaseRecipe]]:
        """Space -> the class of its recipes."""

    @abstractmethod
    def check(self, recipe: Any) -> None:
        """Build everything a recipe names, without data; raises `RecipeError` listing all that does not fit."""

    @abstractmethod
    def open(self, recipe: Any, *, source: Any = None, device: str = "auto", root: Path | None = None) -> Instance:
        """Read, check and cut the data a recipe names.

        Args:
            recipe: A checked recipe.
            source: Data in memory, instead of those that the recipe names.
            device: `auto`, `cpu` or `cuda`.
            root: Folder of data sets.

        Raises:
            DataError: The data cannot be used.
        """

    def reopen(self, recipe: Any, *, device: str = "auto", root: Path | None = None) -> Instance:
        """Open the recipe of a finished run to train or judge its model.

        Args:
            recipe: The recipe of the run.
            device: `auto`, `cpu` or `cuda`.
            root: Folder of data sets.
        """
        return self.open(recipe, device=device, root=root)

    @abstractmethod
    def sheet(self, result: Mapping[str, Any]) -> Sheet:
        """Return a result as people read it: headline, table, remarks."""

    @abstractmethod
    def export(self, run: Path, to: str, out: Path | None, force: bool) -> dict[str, Any]:
        """Write the model of a run for other programs; return `path`, `bytes`, `format`, `formula` and more facts.

        Args:
            run: The run directory.
            to: The format.
            out: The file; None: one named after the run.
            force: Whether to replace a file.
        """

    def figures(self, result: Mapping[str, Any]) -> str:
        """Return pictures for the report's page, as HTML; none by default."""
        return ""

    def run(self, directory: RunDirectory, keep: Any = None) -> FinishedRun:
        """Return a finished run of this problem: an object of the class that `opens` names.

        Args:
            directory: Of the run.
            keep: A temporary folder that is to live as long as the run.
        """
        found: FinishedRun = resolve("run", self.opens)(directory, keep)
        return found
