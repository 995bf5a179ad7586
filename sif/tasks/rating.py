"""The rating task: predict the rating of a user for an item (in a context)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.stream import Passes
from nasp_core.types import Batch, Stream
from sif.datasets import Interactions, Split
from sif.encodings.histories import Histories
from sif.errors import DataError

__all__ = ["RatingTask", "Scale", "TensorStream"]


class TensorStream:
    """An endless, seekable sequence of batches, reshuffled on every pass.

    Shapes: `inputs` `[fields, n]`, `target` `[n]`; a batch is `[fields, batch]`, `[batch]`, the last of a pass
    smaller. Batch `i` depends on the seed and `i` alone.
    """

    def __init__(self, inputs: Tensor, target: Tensor, batch_size: int, seed: int) -> None:
        self._inputs, self._target = inputs, target
        self._passes = Passes(target.shape[0], batch_size, seed, self._cut)

    def _cut(self, order: Tensor, _: torch.Generator) -> list[Batch]:
        order, size = order.to(self._target.device), self._passes.size
        inputs, target = torch.split(self._inputs[:, order], size, 1), torch.split(self._target[order], size)
        return [Batch(*pair) for pair in zip(inputs, target, strict=True)]

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return len(self._passes)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        batches, offset = self._passes.at(step)
        return batches[offset]


@dataclass(frozen=True)
class Scale:
    """How ratings are standardised: (rating - mean) / std, both of the training part alone; in rating units."""

    mean: float
    std: float
    low: float
    high: float
    key: ClassVar[str] = "scale"
    """Under which a saved model has it."""

    @property
    def units(self) -> "Scale":
        """From scores to ratings."""
        return self

    def plain(self) -> list[float]:
        """Return the values, as a saved model has them."""
        return [self.mean, self.std, self.low, self.high]

    @classmethod
    def of_plain(cls, values: Sequence[float]) -> "Scale":
        """Return what `plain` returned."""
        return cls(*values)

    @classmethod
    def of(cls, ratings: Tensor) -> "Scale":
        """Measure training ratings.

        Args:
            ratings: Floats `[n]`, in the ratings' own unit.

        Raises:
            DataError: They do not vary.
        """
        values = ratings.double()
        std = float(values.std(unbiased=False))
        if std == 0.0:
            raise DataError(
                f"all {len(ratings)} training ratings equal {float(values[0]):g}: there is nothing to predict. "
                "These look like implicit feedback (clicks, purchases); the rating task needs ratings that differ"
            )
        return cls(float(values.mean()), std, float(values.min()), float(values.max()))

    def standardise(self, ratings: Tensor) -> Tensor:
        """Return ratings in standard units, float32.

        Args:
            ratings: Floats of any shape, in their own unit.
        """
        return ((ratings.double() - self.mean) / self.std).float()

    def restore(self, predictions: Tensor) -> Tensor:
        """Return predictions in the ratings' own unit, clipped to the range seen in training.

        Args:
            predictions: Floats of any shape, in standard units.
        """
        return (predictions * self.std + self.mean).clamp(self.low, self.high)


class RatingTask:
    """Squared error on standardised ratings; RMSE and MAE in the ratings' own unit and RMSE in standard units.

    `rmse_standardised` counts in standard deviations of the training ratings, or in a `unit` that is set, so that
    models of different training parts compare. Everything lies on `device` as tensors. The test part is not among the
    streams; `evaluate(..., "test")` reads it, and `test_reads` counts how often, so that a run can show that it was
    once per final model.
    """

    metric = "rmse_standardised"
    maximise = False
    unit: float | None = None

    def __init__(
        self, interactions: Interactions, split: Split, *, device: torch.device | str = "cpu", context: bool = False
    ) -> None:
        """Put the parts on `device`; with `context`, ids have a third mode."""
        if interactions.rating is None:
            raise DataError(f"{interactions.name} has no ratings; the rating task needs a rating column")
        self.device = torch.device(device)
        columns = [interactions.user, interactions.item]
        if context and interactions.context is not None:
            columns.append(interactions.context)
        ids = torch.stack([torch.from_numpy(column.astype("int64")) for column in columns])
        ratings = torch.from_numpy(interactions.rating.astype("float32"))
        self.scale = Scale.of(ratings[torch.from_numpy(split.train)])
        target = self.scale.standardise(ratings)
        self._parts: dict[str, tuple[Tensor, Tensor]] = {}
        for name in ("train", "valid", "test"):
            rows = torch.from_numpy(getattr(split, name))
            self._parts[name] = ids[:, rows].contiguous().to(self.device), target[rows].to(self.device)
        ages = interactions.ages(split.train)
        self._ages = None if ages is None else torch.from_numpy(ages).to(self.device)
        sizes = [interactions.n_users, interactions.n_items]
        if context and interactions.contexts is not None:
            sizes.append(len(interactions.contexts))
        self.sizes = tuple(sizes)
        self.test_reads = 0

    @property
    def objective(self) -> Scale:
        """What its networks are trained for."""
        return self.scale

    def counts(self) -> Tensor:
        """Return how often each id occurs in the training part, int64, all modes after one another."""
        inputs = self._parts["train"][0]
        return torch.cat([torch.bincount(ids, minlength=size) for ids, size in zip(inputs, self.sizes, strict=True)])

    def histories(self) -> Histories:
        """Return who rated what in the training part, on the task's device."""
        users, items = self._parts["train"][0][:2]
        values = self._parts["train"][1]
        return Histories.of(users, items, (self.sizes[0], self.sizes[1]), values=values, ages=self._ages)

    def part(self, split: str) -> tuple[Tensor, Tensor]:
        """Return ids int64 `[modes, n]` and standardised ratings float32 `[n]`; reads of the test part are counted."""
        if split == "test":
            self.test_reads += 1
        return self._parts[split]

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the batches of the training or validation part."""
        if split not in ("train", "valid"):
            raise ValueError(f"no batches are made of the {split} part")
        return TensorStream(*self._parts[split], batch_size, seed)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error in squared standard units.

        Args:
            output: Predictions float32 `[batch]`, in standard units.
            target: Ratings float32 `[batch]`, in standard units.
        """
        return functional.mse_loss(output, target)

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `rmse` and `mae` in the ratings' unit and `rmse_standardised`; predictions are not clipped."""
        inputs, target = self.part(split)
        error = torch.cat([predict(chunk) for chunk in torch.split(inputs, 1 << 16, dim=1)]).double() - target.double()
        standardised = math.sqrt(float(error.detach().square().mean()))
        return {
            "rmse": standardised * self.scale.std,
            "mae": float(error.detach().abs().mean()) * self.scale.std,
            "rmse_standardised": standardised * (self.scale.std / (self.unit or self.scale.std)),
        }
