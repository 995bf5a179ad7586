"""Cells of CNNs and RNNs as two more problems: pictures and text."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from nasp_core.errors import NaspError
from nasp_core.genotype import Genotype
from nasp_core.network import Network, Space
from nasp_core.optimise import Training
from nasp_core.trials import Random
from nasp_core.types import State
from sif.cells.convolution.data import cut_pictures
from sif.cells.cost import multiply_adds, parameters
from sif.cells.data import CellData, prepare_cells
from sif.cells.export import export_cells
from sif.cells.networks import build_cells, make_supernet
from sif.cells.notation import cell_text
from sif.cells.recipes import OF_PICTURES, OF_TEXT, CellRecipe, ImageRecipe, TextCellRecipe
from sif.cells.recurrent.data import read_words
from sif.cells.saved import CELL_MODEL_FORMAT, load_cell_model
from sif.cells.show import cell_figures, cell_sheet
from sif.checkpoint import save_tree
from sif.problems.base import ComparedModel, Instance, Problem, Searches
from sif.recipes.base import BaseRecipe
from sif.run_directory import RunDirectory
from sif.sheet import Sheet

__all__ = ["IMAGE", "TEXT", "CellInstance", "CellProblem"]

_PROBES = 2


class CellProblem(Problem):
    """A problem whose architecture is a cell."""

    what = "cells"
    opens = "sif.cells.saved:CellRun"
    budgeted = True

    @property
    @abstractmethod
    def least_facts(self) -> dict[str, int]:
        """What data decide about a network, as small as can be: to try a recipe without its data."""

    @abstractmethod
    def read(self, recipe: Any, given: Any, device: torch.device, root: Path | None) -> CellData:
        """Read and cut the data that a recipe names, or `given` are, for `prepare_cells`."""

    def check(self, recipe: CellRecipe, facts: dict[str, int] | None = None) -> None:
        """Build everything a recipe names, without data; raises `RecipeError` listing all that does not fit."""
        guess = facts or self.least_facts
        problems = recipe.build_problems(
            {
                "space": lambda: make_supernet(recipe, guess),
                "network": lambda: _network_alone(recipe, guess),
                "search": lambda: recipe.training("search"),
                "train": lambda: recipe.training("train"),
            }
        )
        problems += recipe.misplaced_settings()
        train, pictures = recipe.train, getattr(recipe, "pictures", None)
        if pictures is not None and not pictures.holdout and (train.evaluate_every or train.keep_best):
            why = "there is nothing to validate on with pictures.holdout = 0; set it to 0, or hold some pictures out"
            problems.append(recipe.problem("train.evaluate_every", why))
        recipe.refuse(problems)

    def open(
        self, recipe: CellRecipe, *, source: Any = None, device: str = "auto", root: Path | None = None
    ) -> "CellInstance":
        """Read, check and cut the data a recipe names; `source` (`Pictures`, `Corpus`) stands in for them."""
        data = prepare_cells(recipe, source=source, device=device, root=root)
        self.check(recipe, data.facts)
        return CellInstance(recipe, data)

    def reopen(self, recipe: CellRecipe, *, device: str = "auto", root: Path | None = None) -> "CellInstance":
        """Open the recipe of a finished run; no training needs the table of true accuracies."""
        plain = recipe.model_copy(update={"table": ""}) if recipe.accuracies() else recipe
        return self.open(plain, device=device, root=root)

    def sheet(self, result: Mapping[str, Any]) -> Sheet:
        """Return a result as people read it."""
        return cell_sheet(result)

    def figures(self, result: Mapping[str, Any]) -> str:
        """Return the cell as a picture."""
        return cell_figures(result)

    def export(self, run: Path, to: str, out: Path | None, force: bool) -> dict[str, Any]:
        """Write the trained network of a cell (`sif.cells.export`)."""
        path, facts = export_cells(run, to, out, force=force)
        return {
            "path": str(path),
            "format": to,
            "bytes": path.stat().st_size,
            "formula": facts["cell"],
            "inputs": facts["inputs"],
        }


class ImageProblem(CellProblem):
    """Convolutional cells on pictures."""

    name = "image"
    least_facts = {"classes": 2, "in_channels": 3}  # noqa: RUF012

    @property
    def recipes(self) -> Mapping[str, type[BaseRecipe]]:
        """Space -> the class of its recipes."""
        return OF_PICTURES

    def read(self, recipe: ImageRecipe, given: Any, device: torch.device, root: Path | None) -> CellData:
        """Read and cut pictures."""
        return cut_pictures(recipe, given, device, root)


class TextProblem(CellProblem):
    """Recurrent cells in a language model."""

    name = "text"
    least_facts = {"vocabulary": 3}  # noqa: RUF012

    @property
    def recipes(self) -> Mapping[str, type[BaseRecipe]]:
        """Space -> the class of its recipes."""
        return OF_TEXT

    def read(self, recipe: TextCellRecipe, given: Any, device: torch.device, root: Path | None) -> CellData:
        """Read words."""
        return read_words(recipe, given, device, root)


IMAGE, TEXT = ImageProblem(), TextProblem()


def _network_alone(recipe: CellRecipe, facts: dict[str, int]) -> Network | None:
    """Build the final network of some cell; None where the space itself does not fit, which is told by its own line."""
    try:
        space = make_supernet(recipe, facts)
    except NaspError:
        return None
    genotype = space.genotype(space.random_point(torch.Generator().manual_seed(0)))
    return build_cells(genotype, recipe.network_settings(), facts)


class CellInstance(Instance):
    """A recipe of cells on its data."""

    recipe: CellRecipe
    checkpoint_seconds = 20.0

    def __init__(self, recipe: CellRecipe, data: CellData) -> None:
        self.recipe, self.data, self.device = recipe, data, data.device
        self.name, self.fingerprint = data.name, data.fingerprint
        self.notes = tuple(data.description.get("notes", ()))
        self.search_task, self.final_task = data.search, data.final
        self.retrains = recipe.retrain

    def space(self) -> Space:
        """Return a new supernet on the device."""
        return make_supernet(self.recipe, self.data.facts).to(self.device)

    def build(self, genotype: Genotype) -> Network:
        """Return the final network of a cell, on the device."""
        return build_cells(genotype, self.recipe.network_settings(), self.data.facts).to(self.device)

    def formula(self, genotype: Genotype) -> str:
        """Return the cell in one line."""
        return cell_text(genotype)

    def describe(self) -> dict[str, Any]:
        """Return the data set, the budget, and with a table of true accuracies the best and the mean of all cells."""
        truth = self.data.truth
        return {
            "dataset": self.data.description | {"name": self.name, "fingerprint": self.fingerprint},
            "budget": self.recipe.budget,
            "truth": None if truth is None else {"best": truth.best(), "mean": truth.mean()},
        }

    def random(self, engine: Searches, found: State) -> dict[str, ComparedModel]:
        """Search at random for as long as the search took, or as many trials as given; then train its best.

        How many trials fit is told by the seconds of the first ones.
        """
        compare = self.recipe.compare
        if compare.random_epochs is None:
            return {}
        short = self._short(compare.random_epochs)
        trials = compare.random_trials
        if trials is None:
            probe = engine.search(Random(trials=_PROBES), "random search, first trials", short)
            trials = max(_PROBES, round(_PROBES * found["seconds"] / probe["seconds"]))
        drawn = engine.search(Random(trials=trials), "random search", short)
        genotype = Genotype.from_json(drawn["genotype"])
        trained = engine.train("train random search's best", genotype) if self.retrains else None
        network = self.build(genotype)
        if trained is not None:
            network.load_state_dict(trained["weights"])
        seconds = drawn["seconds"] + (trained["seconds"] if trained else 0.0)
        valid = trained["valid"] if trained else None
        searched, tried = drawn["metric"], len(drawn["scores"])
        row = ComparedModel(network, trained is not None, valid, seconds, genotype, searched, tried)
        return {"random search": row}

    def _short(self, epochs: int) -> Training:
        """Return the schedule of one trial of random search."""
        return replace(
            self.recipe.training("train"),
            epochs=epochs,
            min_steps=0,
            batch_size=self.recipe.training("search").batch_size,
            evaluate_every=0,
            keep_best=False,
            patience=None,
            average_after=None,
            compile=False,
        )

    def most_epochs(self) -> int:
        """Return how many epochs the final training has."""
        return self.recipe.training("train").epochs

    def cost(self, network: Network) -> dict[str, int]:
        """Return parameters and multiply-adds of one answer, without an auxiliary head."""
        counted = multiply_adds(network, self.data.example, self.data.per)
        return {"parameters": parameters(network), "multiply_adds": counted}

    def facts(self, candidate: ComparedModel) -> dict[str, Any]:
        """Return the true accuracies of a cell, where there is a table of them."""
        if self.data.truth is None or candidate.genotype is None:
            return {}
        return {"truth": self.data.truth.of(cell_text(candidate.genotype))}

    def has(self, part: Literal["valid", "test"]) -> bool:
        """Return whether there is a part to judge by: a test part always, a validation part where one was held out."""
        return part == "test" or self.data.judged

    def save_model(self, directory: RunDirectory, genotype: Genotype, trained: State) -> None:
        """Write model.safetensors: the weights, and all that it takes to build the network they belong to."""
        tree = {
            "format": CELL_MODEL_FORMAT,
            "genotype": genotype.to_json(),
            "budget": self.recipe.budget,
            "network": self.recipe.network_settings(),
            "facts": self.data.facts,
            "preparation": self.data.preparation,
            "weights": trained["weights"],
            "epoch": trained["epoch"],
        }
        save_tree(directory.path / "model.safetensors", tree)

    def load_model(self, directory: RunDirectory) -> Network:
        """Return the trained network of a run; raises `RunError` when it was not trained yet."""
        return load_cell_model(directory, self.device)[0]
