"""The ranking task: of all items, put those first that a user goes on to meet."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from nasp_core.types import Stream, derive_seed
from sif.datasets import Interactions, Split
from sif.encodings.histories import Histories
from sif.errors import DataError
from sif.metrics import rank_metrics
from sif.tasks.queries import Queries
from sif.tasks.ranking_settings import RankingSettings
from sif.tasks.ranking_streams import PairStream, UserStream
from sif.tasks.sampling import Pairs, Sampler

__all__ = ["RankingTask"]

_PARTS = ("train", "valid", "test")
_SCORES = 1 << 21  # of one batch of an evaluation, at least one user: what a cache holds is the fastest


class RankingTask:
    """A ranking loss on positive pairs, and metrics over the full catalogue (`sif.metrics.rank_metrics`).

    A pair is a positive where it has a rating of `settings.threshold` or more; contexts are not used, and repeated
    pairs are one. Without a threshold a pair rated 0 or less was never met (an impression, a return), and all others
    are positives. Pairs under a threshold are no positives and may be drawn as negatives, but what was seen is seen: a
    part is judged on the items that have no pair in the parts before it, whatever the rating. Everything lies on
    `device`. The test part is not among the streams; `evaluate(..., "test")` reads it, and `test_reads` counts how
    often.

    Weights, where the settings use them, are in the batches of both parts, and in no count, history or metric.

    Raises DataError where a threshold is given and there are no ratings, where weights are to be used and there are
    none, and where a part has pairs but no positive.
    """

    maximise = True

    def __init__(
        self,
        interactions: Interactions,
        split: Split,
        settings: RankingSettings | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.settings, self.device = settings or RankingSettings(), torch.device(device)
        self.metric = f"{self.settings.metric}@{self.settings.k}"
        self.sizes = interactions.n_users, interactions.n_items
        self.test_reads = 0
        self._data, self._split = interactions, split
        self._matrices: dict[tuple[str, bool], sparse.csr_array] = {}
        self._samplers: dict[str, Sampler] = {}
        self._judged: sparse.csr_array | None = None
        self.sample: tuple[int, int] | None = None  # how many users validation judges, and the seed of who they are
        self._histories: Histories | None = None
        if self.settings.threshold is not None and interactions.rating is None:
            raise DataError(
                f"{interactions.name} has no ratings, and threshold = {self.settings.threshold:g} is of ratings\n"
                "  Leave the threshold out: all pairs are then positives."
            )
        if self.settings.weight != "none" and interactions.weight is None:
            raise DataError(
                f'{interactions.name} has no weights, and the settings say weight = "{self.settings.weight}"\n'
                "  Name their column: --set columns.weight=NAME; or count how often a pair stands in the data: "
                "--set ranking.weight=repeats; or use none: --set ranking.weight=none\n"
                "  Interactions in Python have those that were read with ColumnNames(weight=True) or (repeats=True)."
            )
        for part in _PARTS:
            self._rows(part)
        if not len(split.train):
            raise DataError(f"{interactions.name}: the train part is empty; there is nothing to learn from")
        self._mean_weight = 1.0
        if self.settings.weight != "none":
            self._mean_weight = float(self._powers("train").mean())
        self._pairs = {"train": self._weighted("train")}

    @property
    def objective(self) -> RankingSettings:
        """What its networks are trained for."""
        return self.settings

    def counts(self) -> Tensor:
        """Return how many positives each user and each item has in the training part, int64 `[U + I]`."""
        train = self._pairs["train"]
        return torch.cat([train.starts.diff(), self._item_counts()])

    def histories(self) -> Histories:
        """Return the positives of the training part as histories of users and items, on `device`."""
        train, by_item = self._pairs["train"], self.positives("train").tocsc()
        if self._data.timestamp is not None:
            return self._timed()
        item_side = (
            torch.from_numpy(part.astype(np.int64)).to(self.device) for part in (by_item.indptr, by_item.indices)
        )
        return Histories(train.starts, train.items.long(), *item_side)

    def _timed(self) -> Histories:
        """The same with the ages of the pairs."""
        if self._histories is None:
            rows = self._rows("train")
            users, items = (
                torch.from_numpy(each[rows].astype(np.int64)) for each in (self._data.user, self._data.item)
            )
            ages = self._data.ages(rows)
            made = Histories.of(users, items, self.sizes, ages=None if ages is None else torch.from_numpy(ages))
            self._histories = made.to(self.device)
        return self._histories

    def positives(self, part: str) -> sparse.csr_array:
        """Return the positive pairs of a part, bool `[U, I]`, sorted, without repeats; not to be changed."""
        return self._matrix(part, positive=True)

    def seen(self, part: str) -> sparse.csr_array:
        """Return all pairs of the parts before `part`, bool `[U, I]`: none, train, train and validation."""
        before = _PARTS[: _PARTS.index(part)]
        if not before:
            return sparse.csr_array(self.sizes, dtype=bool)
        if len(before) == 1:
            return self._matrix("train", positive=False)
        return sparse.csr_array(self._matrix("train", positive=False) + self._matrix("valid", positive=False))

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the batches of the training or validation part: positive pairs, or users with `softmax`.

        In those of the validation part, histories are whole, and what was seen in training is neither predicted nor
        drawn.

        Args:
            split: The part.
            batch_size: Pairs or users of a batch.
            seed: Of the order, and of what is drawn.

        Raises:
            DataError: Batches have too many scores (`ranking_streams.MOST_SCORES`).
        """
        if split not in ("train", "valid"):
            raise ValueError(f"no batches are made of the {split} part")
        pairs, seen = self._positive_pairs(split), None if split == "train" else self._seen_pairs()
        if self.settings.loss == "softmax":
            return UserStream(pairs, self.settings, batch_size, seed, seen=seen)
        counts = self.counts() if self.settings.loss == "degree-bce" else None
        return PairStream(pairs, self._sampler(split), self.settings, batch_size, seed, seen=seen, counts=counts)

    def loss(self, output: Tensor, target: Any) -> Tensor:
        """Return the mean loss of a batch (see `sif.tasks.ranking_losses`), a scalar."""
        return self.settings.loss_function()(output.float() if output.dtype == torch.bfloat16 else output, target)

    def evaluate(self, predict: Callable[[Any], Tensor], split: str = "valid") -> dict[str, float]:
        """Return every metric at k, as `ndcg@10`. Memory is O(users at once x items).

        Args:
            predict: Takes `Queries` of users and all items, and gives scores `[users, items]`.
            split: The part.

        Raises:
            DataError: The part has no positives.
        """
        if split == "test":
            self.test_reads += 1
        relevant, n_items = self.judged(split), self.sizes[1]
        if not relevant.nnz:
            raise DataError(f"{self._data.name}: the {split} part is empty, and a ranking cannot be judged on it")
        batch = max(1, _SCORES // n_items)

        def scores_of(users: Tensor) -> Tensor:
            return predict(Queries.catalogue(users.to(self.device), n_items))

        return rank_metrics(scores_of, self.seen(split), relevant, k=(self.settings.k,), batch=batch)

    def judged(self, part: str) -> sparse.csr_array:
        """Return the positive pairs that a part is judged on, bool `[U, I]`: all, or those of a sample of users.

        Args:
            part: `train`, `valid` or `test`; of a `sampled` task the validation part has its sample alone.
        """
        return self._judged if self._judged is not None and part == "valid" else self.positives(part)

    def sampled(self, users: int, seed: int = 0) -> RankingTask:
        """Return the same task, of which validation judges some users alone; the test part stays whole.

        Everything but what is `judged` is shared with this task.

        Args:
            users: How many of those with positives in the validation part; where there are no more, this task.
            seed: Of the users: one seed, one sample.
        """
        relevant = self.positives("valid")
        counts = np.diff(relevant.indptr)
        active = np.flatnonzero(counts)
        if len(active) <= users:
            return self
        draw = np.random.default_rng(derive_seed(seed, "judged"))
        judged = np.zeros(len(counts), bool)
        judged[draw.choice(active, users, replace=False)] = True
        starts = np.concatenate([[0], np.cumsum(counts * judged)])
        indices = relevant.indices[np.repeat(judged, counts)]
        made = copy.copy(self)
        made.sample = users, seed
        made._judged = sparse.csr_array((np.ones(len(indices), bool), indices, starts), shape=relevant.shape)
        return made

    def _rows(self, part: str, *, positive: bool = True) -> NDArray[np.int64]:
        """Return the row numbers of a part's pairs; raises DataError where it has some and none is positive."""
        rows: NDArray[np.int64] = getattr(self._split, part)
        threshold, rating = self.settings.threshold, self._data.rating
        if rating is None or not len(rows) or (threshold is not None and not positive):
            return rows
        good = rating[rows] > 0 if threshold is None else rating[rows] >= np.float32(threshold)
        if good.all():
            return rows
        if not good.any():
            least, most = "above 0" if threshold is None else f"{threshold:g} or more", float(rating[rows].max())
            raise DataError(
                f"{self._data.name}: no rating of the {part} part is {least}; the highest is {most:g}\n"
                f"  Give a {'lower ' if threshold is not None else ''}threshold."
            )
        return rows[good]

    def _matrix(self, part: str, *, positive: bool) -> sparse.csr_array:
        positive = positive and self.settings.threshold is not None
        if (part, positive) not in self._matrices:
            rows = self._rows(part, positive=positive)
            self._matrices[part, positive] = _pairs(self._data.user[rows], self._data.item[rows], self.sizes)
        return self._matrices[part, positive]

    def _positive_pairs(self, part: str) -> Pairs:
        if part not in self._pairs:
            self._pairs[part] = self._weighted(part)
        return self._pairs[part]

    def _weighted(self, part: str) -> Pairs:
        """The positive pairs of a part, with their confidence where it is used: of mean 1 in training."""
        weights = None
        if self.settings.weight != "none":
            weights = (self._powers(part) / self._mean_weight).astype(np.float32)
        return Pairs(self.positives(part), self.device, weights)

    def _powers(self, part: str) -> NDArray[np.float64]:
        """The weights of a part's positive pairs, in the order of `positives`, raised to the power; repeats add up."""
        rows, weight = self._rows(part), self._data.weight
        assert weight is not None
        summed = _pairs(self._data.user[rows], self._data.item[rows], self.sizes, weight[rows].astype(np.float64))
        return np.asarray(summed.data**self.settings.weight_power)

    def confidence(self) -> NDArray[np.float32] | None:
        """Return the weight of each positive pair of training, in order, of mean 1; None where all count alike."""
        weights = self._pairs["train"].weights
        return None if weights is None else weights.cpu().numpy()

    def times(self) -> NDArray[np.float64] | None:
        """Return when each positive pair of training was last met, in order, in seconds; None without times."""
        known = self._data.timestamp
        if known is None:
            return None
        train, rows = self.positives("train"), self._rows("train")
        where = self._data.user[rows] * np.int64(self.sizes[1]) + self._data.item[rows]
        pairs = np.repeat(np.arange(self.sizes[0]), np.diff(train.indptr)) * np.int64(self.sizes[1]) + train.indices
        made = np.full(len(pairs), -np.inf)
        np.maximum.at(made, np.searchsorted(pairs, where), known[rows].astype(np.float64))
        return made

    @property
    def weighing(self) -> tuple[float, float] | None:
        """The power of a pair's weight, and the mean that it is divided by, that make its confidence; None without."""
        return None if self.settings.weight == "none" else (self.settings.weight_power, self._mean_weight)

    def _seen_pairs(self) -> Pairs:
        """The training pairs, those under the threshold too, but for those that are validation's positives as well."""
        if "seen" not in self._pairs:
            before = self.seen("valid")
            both = before.multiply(self.positives("valid"))
            self._pairs["seen"] = Pairs(sparse.csr_array(before > both) if both.nnz else before, self.device)
        return self._pairs["seen"]

    def _sampler(self, part: str) -> Sampler:
        """What draws for a part: not what a user has in it, and for validation not what was seen in training."""
        if part not in self._samplers:
            known = self._pairs["train"]
            if part == "valid":
                known = Pairs(sparse.csr_array(self.seen("valid") + self.positives("valid")), self.device)
            self._samplers[part] = Sampler(self._item_counts(), self.settings.negative_power, known)
        return self._samplers[part]

    def _item_counts(self) -> Tensor:
        return torch.bincount(self._pairs["train"].items, minlength=self.sizes[1])


def _pairs(
    users: NDArray[np.int64], items: NDArray[np.int64], sizes: tuple[int, int], values: Any = None
) -> sparse.csr_array:
    """Return CSR `[users, items]`, bool or of values, sorted and without repeats; by counting, not by sorting pairs."""
    where = users.astype(np.int32), items.astype(np.int32)
    values = np.ones(len(users), bool) if values is None else values
    matrix = sparse.csr_array((values, where), shape=sizes)
    matrix.sum_duplicates()
    return matrix
