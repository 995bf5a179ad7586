"""The stages of a run of cells: search, final training, random search; each can be resumed."""

from __future__ import annotations

from dataclasses import replace

import torch

from nasp_core.errors import NaspError
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.search import search
from nasp_core.strategy import Strategy
from nasp_core.trials import Random, TrialStrategy
from nasp_core.types import State
from sif.cells.data import CellData
from sif.cells.networks import build_cells, make_space
from sif.recipes import CellRecipe
from sif.runs import Stages, searched, trained_stage

__all__ = ["CellPipeline", "check_cell_recipe"]


def check_cell_recipe(recipe: CellRecipe, facts: dict[str, int] | None = None) -> None:
    """Build everything a recipe names, without data; raises `RecipeError` listing all that does not fit."""
    guess = facts or ({"vocabulary": 3} if recipe.task == "text" else {"classes": 2, "in_channels": 3})
    problems = recipe.tried(
        {
            "space": lambda: make_space(recipe, guess),
            "network": lambda: _network_alone(recipe, guess),
            "search": lambda: recipe.training("search"),
            "train": lambda: recipe.training("train"),
        }
    )
    problems += recipe.misplaced()
    train, pictures = recipe.train, getattr(recipe, "pictures", None)
    if pictures is not None and not pictures.holdout and (train.evaluate_every or train.keep_best):
        why = "there is nothing to validate on with pictures.holdout = 0; set it to 0, or hold some pictures out"
        problems.append(recipe.problem("train.evaluate_every", why))
    recipe.refuse(problems)


def _network_alone(recipe: CellRecipe, facts: dict[str, int]) -> Network | None:
    """Build the final network of some cell; None where the space itself does not fit, which is told by its own line."""
    try:
        space = make_space(recipe, facts)
    except NaspError:
        return None
    genotype = space.genotype(space.random_point(torch.Generator().manual_seed(0)))
    return build_cells(genotype, recipe.network_settings(), facts)


_PROBES = 2


class CellPipeline:
    """Runs the stages of one recipe on prepared data."""

    def __init__(self, recipe: CellRecipe, data: CellData, stages: Stages) -> None:
        check_cell_recipe(recipe, data.facts)
        self.recipe, self.data, self.stages, self.seed = recipe, data, stages, recipe.seed
        self.final = recipe.training("train")

    def search(
        self, strategy: Strategy | TrialStrategy | None = None, name: str = "search", final: Training | None = None
    ) -> State:
        """Return the outcome of a search: genotype (JSON), validation metric, trace, seconds."""
        chosen = strategy or self.recipe.make_strategy()

        def compute(observer: Observer, resume: State | None) -> State:
            space = make_space(self.recipe, self.data.facts).to(self.data.device)
            found = search(
                space,
                self.data.search,
                chosen,
                self.recipe.training("search"),
                final=final or self.final,
                seed=self.seed,
                observer=observer,
                resume=resume,
            )
            return searched(found)

        return self.stages.run(name, compute)

    def build(self, genotype: Genotype) -> Network:
        """Return the final network of a genotype, on the device."""
        return build_cells(genotype, self.recipe.network_settings(), self.data.facts).to(self.data.device)

    def train(self, genotype: Genotype, name: str, training: Training | None = None, seed: int | None = None) -> State:
        """Return the outcome of a final training: weights, validation metrics, trace, epoch, seconds."""
        network, chosen = self.build(genotype), self.seed if seed is None else seed
        return trained_stage(
            self.stages, name, network, self.data.final, training or self.final, genotype.key(), chosen
        )

    def random(self, found: State) -> State | None:
        """Random search that takes as long as the search, or as many trials as given; None where there is none.

        How many trials fit is told by the seconds of the first ones.
        """
        compare = self.recipe.compare
        if compare.random_epochs is None:
            return None
        short = replace(
            self.final,
            epochs=compare.random_epochs,
            min_steps=0,
            batch_size=self.recipe.training("search").batch_size,
            evaluate_every=0,
            keep_best=False,
            patience=None,
            average_after=None,
            compile=False,
        )
        trials = compare.random_trials
        if trials is None:
            probe = self.search(Random(trials=_PROBES), "random search, first trials", final=short)
            trials = max(_PROBES, round(_PROBES * found["seconds"] / probe["seconds"]))
        return self.search(Random(trials=trials), "random search", final=short)
