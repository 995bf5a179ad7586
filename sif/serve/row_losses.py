"""How badly vectors predict the entries of rows: training's loss of each user, without drawing."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from sif.tasks import RankingSettings, Scale
from sif.tasks.ranking_losses import POINTWISE, degree_shares

__all__ = ["Asks", "RowRanking", "UserRows"]

_SAMPLE = 128  # items that a step of BPR compares with


class UserRows(NamedTuple):
    """The entries of n users: `starts` int64 `[n + 1]`; `user`, `item` int64 and `value` float32, `[entries]`.

    `rating`: the values in standard units, None where they are no ratings.
    """

    starts: Tensor
    user: Tensor
    item: Tensor
    value: Tensor
    rating: Tensor | None = None

    @classmethod
    def of(cls, rows: sparse.csr_array, scale: Scale | None = None) -> "UserRows":
        """Return the entries of CSR rows.

        Args:
            rows: CSR `[n, items]`.
            scale: By which ratings are standardised; None where the values are none.
        """
        starts = torch.from_numpy(rows.indptr.astype(np.int64))
        user = torch.repeat_interleave(torch.arange(rows.shape[0]), starts.diff())
        value = torch.from_numpy(np.asarray(rows.data, dtype=np.float32))
        rating = None if scale is None else scale.standardise(value)
        return cls(starts, user, torch.from_numpy(rows.indices.astype(np.int64)), value, rating)

    @property
    def counts(self) -> Tensor:
        """Entries of each user, int64 `[n]`."""
        return self.starts.diff()

    @property
    def share(self) -> Tensor:
        """What an entry weighs in its user's mean, float32 `[entries]`."""
        return (1.0 / self.counts.clamp_min(1))[self.user]


class Asks(NamedTuple):
    """What is predicted at once, from the rest of its user's row: ask a is about user `user[a]`, entry e in `of[e]`.

    `history`: per branch `[asks, dim]`, the rest as it is encoded; None where it is not.
    """

    user: Tensor
    of: Tensor
    history: list[Tensor | None]


@dataclass(frozen=True)
class RowRanking:
    """The ranking loss of rows, from scores `[asks, items]`; every method returns the sum of the users' means.

    `settings` are training's. `drawn` float32 `[items]`: with which probability training drew each item;
    `counts` int64 `[items]`: training's pairs of each.
    """

    settings: RankingSettings
    rows: UserRows
    asks: Asks
    drawn: Tensor
    counts: Tensor

    def loss(self, scores: Tensor, step: int) -> Tensor:
        """Return the loss of the settings; the sampled softmax tends to the full one, which is taken for it."""
        if self.settings.loss == "ccl":
            return self._ccl(scores)
        if self.settings.loss in POINTWISE:
            return self._bce(scores)
        return self._bpr(scores, step) if self.settings.loss == "bpr" else self._softmax(scores)

    def _softmax(self, scores: Tensor) -> Tensor:
        """-log softmax over the catalogue, but for what an ask is predicted from."""
        rows, asks = self.rows, self.asks
        chosen = scores[asks.of, rows.item]
        ask, entry = self._of_rows()
        shown = ask != asks.of[entry]
        if shown.any():
            place = ask[shown], rows.item[entry[shown]]
            scores = scores.index_put(place, scores.new_tensor(-torch.inf))
        return ((scores.logsumexp(1)[asks.of] - chosen) * rows.share).sum()

    def _bce(self, scores: Tensor) -> Tensor:
        """Binary cross-entropy of an entry and the expected one of `negatives` items, with the weights of the loss."""
        rows, settings = self.rows, self.settings
        absent = functional.softplus(scores)
        present = functional.softplus(-scores[self.asks.of, rows.item])
        if settings.loss == "degree-bce":
            shares = degree_shares(rows.counts.unsqueeze(1), self.counts)  # [users, items]
            weight = 1.0 + settings.degree_weight * shares
            absent, present = absent * weight[self.asks.user], present * weight[rows.user, rows.item]
        each = present + settings.negatives * self._absent(absent)[self.asks.of]
        return (each * rows.share).sum() / (1 + settings.negatives)

    def _ccl(self, scores: Tensor) -> Tensor:
        """The cosine contrastive loss of an entry and the expected one of items that are not in the row."""
        settings = self.settings
        repel = self._absent(functional.relu(scores - settings.margin))
        attract = functional.relu(1.0 - scores[self.asks.of, self.rows.item])
        return ((attract + settings.negative_weight * repel[self.asks.of]) * self.rows.share).sum()

    def _absent(self, terms: Tensor) -> Tensor:
        """Return the mean of terms `[asks, items]` over items as drawn, without those of the row: `[asks]`."""
        ask, entry = self._of_rows()
        item = self.rows.item[entry]
        zeros = terms.new_zeros(len(terms))
        in_row = zeros.index_add(0, ask, self.drawn[item])
        of_row = zeros.index_add(0, ask, terms[ask, item] * self.drawn[item])
        return (terms @ self.drawn - of_row) / (1.0 - in_row).clamp_min(1e-6)

    def _bpr(self, scores: Tensor, step: int) -> Tensor:
        """-log sigmoid(entry - other), over items that are not in the row: a comb of the catalogue, moved each step."""
        rows, asks = self.rows, self.asks
        n_items = scores.shape[1]
        count = min(_SAMPLE, n_items)
        comb = (torch.arange(count) * n_items // count + step) % n_items
        has = torch.zeros(len(rows.starts) - 1, n_items, dtype=torch.bool)
        has[rows.user, rows.item] = True
        weigh = torch.where(has[:, comb], 0.0, self.drawn[comb])
        weigh = weigh / weigh.sum(1, keepdim=True).clamp_min(1e-12)
        margins = functional.softplus(scores[:, comb][asks.of] - scores[asks.of, rows.item].unsqueeze(1))
        return ((margins * weigh[rows.user]).sum(1) * rows.share).sum()

    def _of_rows(self) -> tuple[Tensor, Tensor]:
        """Return each ask with each entry of its user's row, int64 `[pairs]` twice: the ask and the entry."""
        folds = len(self.asks.user) // max(1, len(self.rows.starts) - 1)
        entry = torch.arange(len(self.rows.item)).repeat_interleave(folds)
        return self.rows.user[entry] * folds + torch.arange(folds).repeat(len(self.rows.item)), entry
