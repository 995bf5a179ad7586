"""Near: ratings, with the share of predictions within half a star as the metric that chooses."""

from collections.abc import Callable

import torch
from torch import Tensor

from sif.datasets import Interactions, Split
from sif.problems.rating import RatingProblem
from sif.problems.recipes import Recipe
from sif.tasks import RatingTask


class NearTask(RatingTask):
    """Trained by squared error, chosen by how often a prediction is off by half a star or less."""

    metric, maximise = "near", True

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `near`, a share, and `rmse` and `mae` in the ratings' unit."""
        inputs, target = self.part(split)
        error = (predict(inputs).detach() - target).double().abs() * self.scale.std
        near = (error <= 0.5).double().mean()
        return {"near": float(near), "rmse": float(error.square().mean().sqrt()), "mae": float(error.mean())}


class NearProblem(RatingProblem):
    """Predict ratings so that most are off by half a star or less."""

    name = "near"

    def make_task(self, recipe: Recipe, interactions: Interactions, cut: Split, device: torch.device) -> RatingTask:
        """Return the task on data that are cut."""
        return NearTask(interactions, cut, device=device, context=recipe.context != "none")


NEAR = NearProblem()
