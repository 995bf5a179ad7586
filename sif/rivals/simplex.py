"""SimpleX: cosines of items with users, who are an embedding and the mean of what they have, and a loss of cosines."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sif.metrics import rank_metrics
from sif.operations.tables import FoldedSide, Tables
from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import items_too_large
from sif.serve.encoded_rows import EncodedRows, RowLayer
from sif.serve.folding import Folded

__all__ = ["SIMPLEX", "contrastive_loss"]

_EVERY, _PATIENCE = 5, 4  # epochs between two looks at validation, and how many looks without progress end it
_USERS = 2_000  # of the validation part that a look ranks for


def contrastive_loss(positive: Tensor, negative: Tensor, margin: float, weight: float) -> Tensor:
    """Return the cosine contrastive loss, mean over pairs, a scalar.

    Mao et al. 2021, equation 1: (1 - cos(u, i)) + weight / |N| sum over j in N of max(0, cos(u, j) - margin).

    Args:
        positive: Cosines of the pairs, `[pairs]`.
        negative: Of their users with the negatives, `[pairs, N]`.
        margin: Below it a negative costs nothing.
        weight: Of the negatives.
    """
    return (1 - positive).mean() + weight * (negative - margin).relu().mean()


class _SimpleX(nn.Module):
    """Embeddings of users and items, and what turns the mean of a history: u = g e_u + (1 - g) V mean (equation 2)."""

    def __init__(self, table: PairTable, settings: Settings, generator: torch.Generator) -> None:
        super().__init__()
        dim, self.share = settings["embedding_dim"], settings["own_share"]
        sizes = (table.n_users, table.n_items)
        users, items = (torch.randn(size, dim, generator=generator) * 1e-2 for size in sizes)
        self.own, self.items, self.turn = nn.Parameter(users), nn.Parameter(items), nn.Parameter(torch.eye(dim))
        self.has = table.weights(np.float32)

    def users(self, numbers: Tensor) -> Tensor:
        """Return vectors of users, `[n, dim]`."""
        rows = self.has[numbers.numpy()]
        columns, starts = (torch.from_numpy(each.astype(np.int64)) for each in (rows.indices, rows.indptr[:-1]))
        mean = functional.embedding_bag(columns, self.items, starts, mode="mean")
        made: Tensor = self.share * self.own[numbers] + (1 - self.share) * (mean @ self.turn.T)
        return made

    @torch.no_grad()
    def form(self) -> Folded:
        """Return the tables; a user's vector times the root of how much they have, which no ranking sees."""
        n_users, step = len(self.own), 4096
        vectors = torch.cat([self.users(torch.arange(at, min(at + step, n_users))) for at in range(0, n_users, step)])
        scale = torch.from_numpy(np.diff(self.has.indptr).clip(min=1) ** 0.5).float()
        left, right = vectors * scale.unsqueeze(1), functional.normalize(self.items)
        layer = RowLayer((1 - self.share) * (self.turn @ self.items.T), left.new_zeros(left.shape[1]), False)
        users, items = (FoldedSide.of(each.new_zeros(len(each)), product=each.clone()) for each in (left, right))
        return Folded(Tables(users, items), by_rows=EncodedRows([layer]))


def _batches(table: PairTable, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield users and items of all training pairs in a new order."""
    users = torch.from_numpy(np.repeat(np.arange(table.n_users), np.diff(table.train.indptr)))
    items = torch.from_numpy(table.train.indices.astype(np.int64))
    for some in torch.split(torch.randperm(len(users), generator=generator), size):
        yield users[some], items[some]


def _judged(table: PairTable, form: Folded) -> float:
    """Return NDCG@10 on validation, of some users."""
    counts = np.diff(table.valid.indptr)
    active = np.flatnonzero(counts)
    some = np.sort(np.random.default_rng(0).permutation(active)[:_USERS])
    scores = lambda rows: form(torch.from_numpy(some)[rows])  # noqa: E731
    return rank_metrics(scores, table.seen_valid[some], table.valid[some], batch=256)["ndcg@10"]


def _fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
    generator = torch.Generator().manual_seed(seed)
    model = _SimpleX(table, settings, generator)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings["learning_rate"])
    best, best_epoch, form, stops = -1.0, settings["epochs"], None, table.valid.nnz > 0
    for epoch in range(1, settings["epochs"] + 1):
        for users, items in _batches(table, settings["batch_size"], generator):
            negatives = torch.randint(table.n_items, (settings["negatives"],), generator=generator)
            known, back = torch.unique(users, return_inverse=True)
            vectors = functional.normalize(model.users(known))
            positive = (vectors[back] * functional.normalize(model.items[items])).sum(1)
            own = torch.from_numpy(model.has[known.numpy()][:, negatives.numpy()].toarray() > 0)
            others = functional.normalize(model.items[negatives])
            negative = (vectors @ others.T).masked_fill(own, -1.0)[back]  # what a user has is no negative
            optimiser.zero_grad()
            contrastive_loss(positive, negative, settings["margin"], settings["negative_weight"]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if stops and epoch % _EVERY == 0:
            now = model.form()
            if (value := _judged(table, now)) > best:
                best, best_epoch, form = value, epoch, now
            elif epoch - best_epoch >= _EVERY * _PATIENCE:
                break
    parameters = sum(each.numel() for each in model.parameters())
    return Fitted(form or model.form(), parameters, epoch=best_epoch)


def _seconds(table: PairTable) -> float:
    """50 epochs: cosines with the negatives, their gradients, and Adam on all embeddings."""
    pairs = int(table.train.nnz)
    return 50 * (pairs * 500 * 64 * 6 / 4e10 + pairs / 1024 * (table.n_users + table.n_items) * 64 * 1e-8)


_FIRST = {
    "embedding_dim": 64,
    "own_share": 0.5,
    "margin": 0.4,
    "negative_weight": 10.0,
    "negatives": 500,
    "learning_rate": 3e-3,
    "batch_size": 1024,
    "epochs": 100,
}

SIMPLEX = Rival(
    "simplex",
    "Mao et al. 2021, arXiv:2109.12613",
    method=Method(
        _fit,
        # The paper tunes margin, weight and share by table: 0.9 and 150 on Amazon-Books, less on dense tables, where a
        # large margin lets all items lie beside each other.
        tuple(
            _FIRST | dict(point)
            for point in grid_of(
                {"own_share": 0.5, "margin": 0.4, "negative_weight": 10.0, "learning_rate": 3e-3, "embedding_dim": 64},
                own_share=(0.2, 0.5, 0.8),
                margin=(0.2, 0.4, 0.7, 0.9),
                negative_weight=(3.0, 10.0, 50.0, 150.0),
                learning_rate=(1e-3, 3e-3),
                embedding_dim=(64, 128),
            )
        ),
        "trained here; a batch shares its negatives; stops by NDCG@10 on validation",
        refuse=lambda table: items_too_large(4 * (table.n_items + table.n_users) * 10 * 128),
        cost=_seconds,
    ),
)
