"""Text made by a known rule, so that a language model has a best perplexity to reach."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.errors import SpaceError
from nasp_core.types import Batch, Stream, derive_seed

__all__ = ["PlantedText"]


class _Windows:
    """Consecutive windows of columns of text `[rows, batch]`; the target is one row further."""

    def __init__(self, columns: Tensor, window: int) -> None:
        self._columns, self._window = columns, window

    def __len__(self) -> int:
        return -(-(len(self._columns) - 1) // self._window)

    def batch(self, step: int) -> Batch:
        first = step % len(self) * self._window
        end = min(first + self._window, len(self._columns) - 1)
        return Batch(self._columns[first:end], self._columns[first + 1 : end + 1])


class PlantedText:
    """Words that follow from the two before: w_t = (w_{t-1} + 2 w_{t-2}) mod vocabulary, or with `noise` any word.

    The best perplexity is exp of the entropy of one word, `best`; a model without memory cannot reach it.
    Shapes: batches have inputs and target int64 `[time, batch]`, time = `window` or what is left of a pass. The text of
    `sizes` words (training, validation, test) is cut into as many columns as a batch has, and read in order.
    """

    metric = "perplexity"
    maximise = False

    def __init__(
        self,
        vocabulary: int = 7,
        *,
        sizes: tuple[int, int, int] = (312, 150, 150),
        window: int = 4,
        noise: float = 0.1,
        seed: int = 0,
    ) -> None:
        if vocabulary < 2 or window < 1 or not 0 < noise <= 1:
            raise SpaceError(
                f"vocabulary = {vocabulary}, window = {window}, noise = {noise}; a text needs 2 words or more, "
                "windows of 1 or more, and noise above 0, up to 1"
            )
        generator = torch.Generator().manual_seed(derive_seed(seed, "text", vocabulary))
        chance = torch.rand(sum(sizes), generator=generator).tolist()
        words = torch.randint(vocabulary, (sum(sizes),), generator=generator).tolist()
        for place in range(2, len(words)):
            if chance[place] >= noise:
                words[place] = (words[place - 1] + 2 * words[place - 2]) % vocabulary
        self.window = window
        self.parts = dict(zip(("train", "valid", "test"), torch.split(torch.tensor(words), list(sizes)), strict=True))
        other = noise / vocabulary
        likely = 1 - noise + other
        self.best = math.exp(-likely * math.log(likely) - (vocabulary - 1) * other * math.log(other))

    def _windows(self, split: str, batch_size: int) -> _Windows:
        words = self.parts[split]
        rows = len(words) // batch_size
        if rows < 2:
            raise SpaceError(f"{len(words)} words are too few for {batch_size} columns; give a smaller batch_size")
        return _Windows(words[: rows * batch_size].view(batch_size, rows).T.contiguous(), self.window)

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the windows of a part in `batch_size` columns, in order; nothing is shuffled."""
        return self._windows(split, batch_size)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits `[time, batch, vocabulary]`."""
        return functional.cross_entropy(output.flatten(0, 1), target.flatten())

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `perplexity` over ten columns of a part, read in order."""
        windows, total, count = self._windows(split, 10), 0.0, 0
        for step in range(len(windows)):
            inputs, target, _ = windows.batch(step)
            total += float(self.loss(predict(inputs), target).double()) * target.numel()
            count += target.numel()
        return {"perplexity": math.exp(min(total / count, 700.0))}
