"""ELSA: weights of items by items of low rank without a diagonal, trained by Adam."""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import items_too_large
from sif.serve.item_factors import ItemFactors, Term

__all__ = ["ELSA", "elsa_loss"]


def elsa_loss(weights: Tensor, columns: Tensor, values: Tensor, starts: Tensor) -> Tensor:
    """Return the mean over rows x of || x(A A^T - I) / |x(A A^T - I)| - x / |x| ||^2, a scalar.

    Vancura et al. 2022, equation 5, the rows of A of unit length. Two unit vectors are 2 - 2 cos apart, and with y = xA
    both that product, y y^T - x x^T, and the norm, y A^T A y^T - 2 y y^T + x x^T, are made without any row of scores.

    Args:
        weights: A before its rows are made unit, float32 `[items, d]`.
        columns: What the rows have, int64 `[pairs]`.
        values: Of them, float32 `[pairs]`.
        starts: Where each row begins, int64 `[rows]`; none is empty.
    """
    unit = functional.normalize(weights)
    inner = functional.embedding_bag(columns, unit, starts, mode="sum", per_sample_weights=values)
    own = torch.segment_reduce(values.square(), "sum", offsets=torch.cat([starts, starts.new_tensor([len(values)])]))
    through = inner.square().sum(1)
    norm = ((inner @ (unit.T @ unit)) * inner).sum(1) - 2 * through + own
    return (2 - 2 * (through - own) * (own * norm.clamp(min=1e-12)).rsqrt()).mean()


def _batches(has: Any, size: int, generator: torch.Generator) -> Any:
    """Yield columns, values and starts of all rows that have something, in a new order."""
    rows = np.flatnonzero(np.diff(has.indptr))
    order = rows[torch.randperm(len(rows), generator=generator).numpy()]
    for start in range(0, len(order), size):
        some = has[order[start : start + size]]
        parts = (some.indices.astype(np.int64), some.data, some.indptr[:-1].astype(np.int64))
        yield tuple(torch.from_numpy(part) for part in parts)


def _fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
    has, generator = table.weights(np.float32, confident=True), torch.Generator().manual_seed(seed)
    weights = torch.randn(table.n_items, settings["factors"], generator=generator).requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=settings["learning_rate"])
    for _ in range(settings["epochs"]):
        for batch in _batches(has, settings["batch_size"], generator):
            optimiser.zero_grad()
            elsa_loss(weights, *batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    made = functional.normalize(weights.detach()).numpy()
    own = sparse.eye(table.n_items, dtype=np.float32, format="csr")
    return Fitted(ItemFactors(has, (Term(made), Term(-own, own)), table.weighing), made.size)


def _seconds(table: PairTable) -> float:
    """20 epochs at 256 factors: A^T A, its gradient, and Adam, a batch."""
    batches = -(-table.n_users // 256)
    return 20 * (batches * table.n_items * 256 * (6 * 256 / 8e10 + 1e-8) + int(table.train.nnz) * 256 / 1e9)


ELSA = Rival(
    "elsa",
    "Vancura et al. 2022, doi:10.1145/3523227.3551482",
    method=Method(
        _fit,
        tuple(
            {**point, "batch_size": 256}
            for point in grid_of(
                {"factors": 256, "learning_rate": 0.1, "epochs": 20},
                epochs=(5, 10, 20, 40),
                learning_rate=(0.01, 0.03, 0.1, 0.3),
                factors=(64, 128, 256, 512),
            )
        ),
        "trained here",
        refuse=lambda table: items_too_large(4 * table.n_items * 5 * 512),
        cost=_seconds,
        weighted=True,
    ),
)
