"""iALS with frequency-scaled regularisation: both sides in closed form, in turns, up to hundreds of factors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sif.operations.tables import FoldedSide, Tables
from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import items_too_large
from sif.serve.folding import Folded
from sif.serve.rows import AlsRows

__all__ = ["IALS", "half_step"]

_ENTRIES = 1 << 22  # of the gathered factors and systems of one batch: 16 MiB of float32
_START = 0.1  # standard deviation of the start, over the root of how many factors there are, as in the paper


def half_step(other: Tensor, rows: Any, *, unobserved: float, penalties: Tensor) -> Tensor:
    """Return the factors of one side that minimise the loss while those of the other stand, float32 `[n, d]`.

    Each row of X with pairs c has w = (H^T diag(c) H + unobserved G + penalty I)^-1 H^T c, where H are the factors of
    what it has and G = other^T other (Rendle, Krichene, Zhang and Koren 2022, equation 3). In the eigenvectors of G all
    but the first term is diagonal, so a row of fewer pairs than factors needs a system of its pairs alone (Woodbury).

    Args:
        other: Float32 `[m, d]`.
        rows: CSR float `[n, m]`, above 0.
        unobserved: The weight of all pairs.
        penalties: Of each row, float32 `[n]`.
    """
    values, vectors = torch.linalg.eigh((other.T @ other).double())
    turn: Tensor = vectors.float()
    base, turned = unobserved * values.clamp(min=0).float(), other @ turn
    counts = np.diff(rows.indptr)
    order = np.argsort(counts, kind="stable")
    made: Tensor = torch.zeros(len(counts), other.shape[1])
    end = len(order)
    while end > 0 and counts[order[end - 1]]:  # the longest rows first: a batch is padded to its longest
        longest = int(counts[order[end - 1]])
        size = max(1, _ENTRIES // (min(longest, other.shape[1]) ** 2 + longest * other.shape[1]))
        some = order[max(0, end - size) : end]
        diagonal = base + penalties[torch.from_numpy(some)].unsqueeze(1)
        made[torch.from_numpy(some)] = _solved(turned, *_padded(rows, some, longest), diagonal)
        end -= len(some)
    return made @ turn.T


def _padded(rows: Any, some: Any, longest: int) -> tuple[Tensor, Tensor]:
    """Return the columns int64 and values `[rows, longest]` of some rows, with columns of value 0 after the end."""
    starts, counts = rows.indptr[some].astype(np.int64), np.diff(rows.indptr)[some]
    within = np.arange(longest)
    there = within < counts[:, None]
    places = np.where(there, starts[:, None] + within, 0)
    columns, values = rows.indices[places].astype(np.int64), np.where(there, rows.data[places], 0.0)
    return torch.from_numpy(columns), torch.from_numpy(values.astype(np.float32))


def _solved(turned: Tensor, columns: Tensor, values: Tensor, diagonal: Tensor) -> Tensor:
    """Return the solutions `[rows, d]` of (diag(diagonal) + A^T A) w = A^T t, A the factors times t = sqrt(values)."""
    root = values.sqrt().unsqueeze(2)
    has = turned[columns] * root
    if columns.shape[1] < turned.shape[1]:  # w = D^-1 A^T (I + A D^-1 A^T)^-1 t
        over = has / diagonal.unsqueeze(1)
        system = torch.bmm(has, over.mT)
        system.diagonal(dim1=1, dim2=2).add_(1.0)
        return torch.bmm(over.mT, torch.cholesky_solve(root, torch.linalg.cholesky(system))).squeeze(2)
    system = torch.bmm(has.mT, has)
    system.diagonal(dim1=1, dim2=2).add_(diagonal)
    return torch.cholesky_solve(torch.bmm(has.mT, root), torch.linalg.cholesky(system)).squeeze(2)


def _rows_of(table: PairTable, settings: Settings) -> AlsRows:
    """Return what makes users of rows, with the paper's alpha0 and lambda of settings that have no scale.

    `unobserved` is what all pairs weigh together, in units of those that are there: alpha0 |U| |I| / |S|; and
    `regularization` is the mean penalty in units of the mean count: lambda (1 + unobserved). The penalty is given for
    the power 1, and scaled so that any power penalises the whole as much (Rendle et al. 2022, equation 8).
    """
    has, weight, power = table.weights(np.float64, confident=True), settings["unobserved"], settings["power"]
    alpha, penalty = weight * float(has.sum()) / (table.n_users * table.n_items), settings["regularization"]
    sums = [np.asarray(has.sum(axis=axis)).ravel() + alpha * has.shape[axis] for axis in (1, 0)]
    scale = sum(each.sum() for each in sums) / sum((each**power).sum() for each in sums)
    return AlsRows(1.0, penalty / (1 + weight) * float(scale), table.weighing, alpha, power)


def _fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
    """Minimise sum_S c (s - 1)^2 + alpha0 sum_all s^2 + lambda sum (n + alpha0 N)^power |w|^2 (equation 2)."""
    has, als = table.weights(np.float32, confident=True), _rows_of(table, settings)
    back = has.T.tocsr()
    dim, generator = settings["factors"], torch.Generator().manual_seed(seed)
    items = torch.randn(table.n_items, dim, generator=generator) * (_START / dim**0.5)
    penalties = [torch.from_numpy(als.penalties(each)).float() for each in (has, back)]
    users = half_step(items, has, unobserved=als.base, penalties=penalties[0])
    for _ in range(settings["iterations"]):
        items = half_step(users, back, unobserved=als.base, penalties=penalties[1])
        users = half_step(items, has, unobserved=als.base, penalties=penalties[0])
    left, right = (FoldedSide.of(factors.new_zeros(len(factors)), product=factors) for factors in (users, items))
    return Fitted(Folded(Tables(left, right), by_rows=als), users.numel() + items.numel())


def _seconds(table: PairTable) -> float:
    """17 passes over both sides at 64 factors."""
    dim, total = 64, 0.0
    for counts in (np.diff(table.train.indptr), table.counts()):
        short = np.minimum(counts, dim).astype(np.float64)
        total += float((2 * counts * short * dim + short**3 / 3).sum()) + 2 * len(counts) * dim**2
    return 17 * total / 1.5e10


IALS = Rival(
    "ials",
    "Rendle et al. 2022, arXiv:2110.14037",
    method=Method(
        _fit,
        # The paper's points are about 28 and 0.09 on MovieLens 20M, 14 and 0.03 on the Million Song Dataset, power 1.
        tuple(
            {**point, "iterations": 16}
            for point in grid_of(
                {"factors": 64, "unobserved": 8.0, "regularization": 0.1, "power": 1.0},
                unobserved=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
                regularization=(0.025, 0.05, 0.1, 0.2, 0.4),
                factors=(32, 64, 128, 256, 512),
                power=(0.25, 0.5, 1.0),
            )
        ),
        "closed form a row, written here",
        refuse=lambda table: items_too_large(4 * (table.n_items + table.n_users) * 4 * 512),
        cost=_seconds,
        weighted=True,
    ),
)
