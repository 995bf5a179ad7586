"""The text task: name the next word."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.types import Batch, Stream, derive_seed
from sif.datasets.corpora import TEXT_PARTS, Corpus
from sif.errors import DataError

__all__ = ["TextStream", "TextTask"]

_SHORTEST = 5  # tokens of a random window, before lengths are scaled to fill the pass


class TextStream:
    """An endless, seekable sequence of windows of a text, in order: batch `i` continues batch `i - 1`.

    Shapes: columns int64 [rows, B], each column a stretch of the text; a batch has inputs and target int64 [T, B],
    the target one row further, and as `scale` the factor T / window of the learning rate where windows are random.
    Batch `i` depends on the seed and `i` alone; a pass (`len` batches, always as many) covers all rows once.
    """

    def __init__(self, columns: Tensor, window: int, random_windows: bool, seed: int) -> None:
        self._columns, self._window, self._random, self._seed = columns, window, random_windows, seed
        self._rows = len(columns) - 1
        mean = max(0.975 * window, _SHORTEST) if random_windows else window
        self._count = max(1, round(self._rows / mean)) if random_windows else -(-self._rows // window)
        self._pass, self._ends = -1, list[int]()

    def __len__(self) -> int:
        """Return the number of windows of one pass."""
        return self._count

    def batch(self, step: int) -> Batch:
        """Return window `step`, counted from the very start."""
        index, offset = divmod(step, self._count)
        if not self._random:
            first = offset * self._window
            return self._cut(first, min(first + self._window, self._rows), 1.0)
        if index != self._pass:
            self._ends, self._pass = self._drawn(index), index
        first, end = self._ends[offset], self._ends[offset + 1]
        return self._cut(first, end, (end - first) / self._window)

    def _cut(self, first: int, end: int, scale: float) -> Batch:
        return Batch(self._columns[first:end], self._columns[first + 1 : end + 1], scale)

    def _drawn(self, index: int) -> list[int]:
        """Where the windows of a pass begin and end, `len` + 1 row numbers.

        Lengths are drawn as Merity et al. (2018, arXiv:1708.02182, section 5) draw them: normal with standard
        deviation 5 about `window`, or about half of it one time in twenty, and at least 5. All are then scaled by one
        factor so that they fill the rows exactly (theirs go on until the rows are used up, in a number that varies).
        """
        generator = torch.Generator().manual_seed(derive_seed(self._seed, index))
        short = torch.rand(self._count, generator=generator, dtype=torch.float64) >= 0.95
        mean = torch.where(short, self._window / 2, float(self._window))
        noise = torch.randn(self._count, generator=generator, dtype=torch.float64)
        lengths = (mean + 5 * noise).floor().clamp(min=_SHORTEST)
        # One row for each window first, so that rounding leaves none empty; the rest is shared out.
        share = (lengths - 1).cumsum(0) / (lengths - 1).sum() * (self._rows - self._count)
        ends = torch.arange(1, self._count + 1) + share.round().long()
        return [0, *ends.tolist()]


class TextTask:
    """Cross-entropy of the next word, and its exponential, the perplexity.

    A part of n tokens lies on `device` as B columns of n // B rows, column after column; what does not fill a row is
    left out (under B tokens). Windows of rows follow each other, so that a network that keeps its memory from batch to
    batch reads each column through (back-propagation ends at the window). The validation stream has the batch size of
    the training stream; evaluations have `evaluation_batch` columns, fewer of a short part. `limit` keeps the first
    tokens of the training part alone, `evaluation_limit` those of the validation and test parts. The test part is in no
    stream; `evaluate(..., "test")` reads it, and `test_reads` counts how often.
    """

    metric = "perplexity"
    maximise = False

    def __init__(
        self,
        corpus: Corpus,
        *,
        device: torch.device | str = "cpu",
        window: int = 35,
        random_windows: bool = False,
        evaluation_batch: int = 10,
        limit: int | None = None,
        evaluation_limit: int | None = None,
    ) -> None:
        """Put the parts on `device`; DataError for a window, batch or limit that is too small."""
        for name, value in (("window", window), ("evaluation_batch", evaluation_batch)):
            if value < 1:
                raise DataError(f"{name} = {value}\n  Give 1 or more.")
        for name, most in (("limit", limit), ("evaluation_limit", evaluation_limit)):
            if most is not None and most < 2:
                raise DataError(f"{name} = {most}: one token to read and one to name are needed\n  Give 2 or more.")
        self.device, self.window, self.random_windows = torch.device(device), window, random_windows
        self.words, self.evaluation_batch, self.test_reads = len(corpus.words), evaluation_batch, 0
        self._name = corpus.name
        self._parts = {part: getattr(corpus, part).to(self.device) for part in TEXT_PARTS}
        for part in TEXT_PARTS:
            self._parts[part] = self._parts[part][: limit if part == "train" else evaluation_limit]

    def largest_batch(self, split: str) -> int:
        """Return how many columns a part fills, each with a token to read and one to name."""
        return len(self._parts[split]) // 2

    def columns(self, split: str, batch_size: int) -> Tensor:
        """Return a part as int64 [n // batch_size, batch_size]; DataError where that leaves fewer than two rows."""
        tokens: Tensor = self._parts[split]
        rows = len(tokens) // batch_size if batch_size > 0 else 0
        if rows < 2:
            most = self.largest_batch(split)
            raise DataError(
                f"{self._name}: the {split} part has {len(tokens)} tokens, too few for {batch_size} columns\n"
                f"  Give a batch of 1 to {most}: each column needs a token to read and one to name."
            )
        return tokens[: rows * batch_size].view(batch_size, rows).t().contiguous()

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the windows of the training or validation part; the seed draws their lengths where they are random."""
        if split not in ("train", "valid"):
            raise ValueError(f"no batches are made of the {split} part")
        return TextStream(self.columns(split, batch_size), self.window, self.random_windows, seed)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy, in nats, of logits [T, B, words] and words [T, B]."""
        return functional.cross_entropy(output.flatten(0, 1), target.flatten())

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `perplexity` and `cross_entropy` (nats a word) over the columns of a part.

        `predict` gets the windows in order, int64 [T, B], and gives logits [T, B, words].
        """
        if split == "test":
            self.test_reads += 1
        columns = self.columns(split, max(1, min(self.evaluation_batch, self.largest_batch(split))))
        windows = TextStream(columns, self.window, False, 0)
        total, words = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for step in range(len(windows)):
            inputs, target, _ = windows.batch(step)
            output = predict(inputs).detach().flatten(0, 1)
            total += functional.cross_entropy(output, target.flatten(), reduction="none").double().sum()
            words += target.numel()
        cross_entropy = float(total) / words
        return {"perplexity": math.exp(min(cross_entropy, 700.0)), "cross_entropy": cross_entropy}
