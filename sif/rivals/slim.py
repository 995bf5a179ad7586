"""SLIM's item weights: one non-negative elastic net a column, all columns at once, to the optimality conditions."""

import torch
from torch import Tensor

__all__ = ["slim_weights"]

_SWEEPS = (
    3  # of coordinate descent before the supports are settled exactly; the fastest of 1, 2, 3, 5 on MovieLens 100K
)
_BLOCK = 32  # rows whose residuals are made by one product of matrices
_ENTRIES = 1 << 20  # of the systems that are solved at once: 4 MiB of float32
_ROUNDS = 100  # at most; MovieLens needs 5
_PATIENCE = 3  # rounds without progress after which a column exchanges one entry at a time (Judice and Pires)


def slim_weights(together: Tensor, *, l1: float, l2: float, tolerance: float = 1e-3) -> Tensor:
    """Return W `[items, items]` >= 0 with a zero diagonal that minimises, column by column,

        1/2 ||x_j - X w||^2 + l1 sum(w) + l2/2 ||w||^2.

    Ning and Karypis 2011, equation 5. `together` is X^T X float32, of non-negative X; it is overwritten. At the end
    the gradient at a zero weight is at most `tolerance` below zero, in units of pairs, and the others solve their own
    equations.

    Weights only take away from correlations here (X and w are not negative), so an item that no other item meets more
    than `l1` times keeps zero weights, and is left out at once. Coordinate descent then makes a good guess of which
    weights are positive; block principal pivoting (Kim and Park 2011) settles that, solving the equations of the
    positive ones by Cholesky and exchanging every entry that contradicts.
    """
    diagonal = together.diagonal().clone()
    pairs = together.fill_diagonal_(0.0)
    kept = torch.nonzero(pairs.max(dim=1).values > l1).squeeze(1)
    kept = kept[torch.argsort(diagonal[kept], descending=True)]
    net = _Net(pairs[kept][:, kept].contiguous(), diagonal[kept], l1, l2, tolerance)
    weights = torch.zeros_like(pairs)
    if len(kept):
        weights[kept.unsqueeze(1), kept] = net.solve()
    return weights


class _Net:
    """The nets of the items that are left: `pairs` `[n, n]` with a zero diagonal, `own` `[n]` that diagonal."""

    def __init__(self, pairs: Tensor, own: Tensor, l1: float, l2: float, tolerance: float) -> None:
        self.pairs, self.own, self.l1, self.l2, self.tolerance = pairs, own, l1, l2, tolerance

    def solve(self) -> Tensor:
        """Return the weights `[n, n]`."""
        weights = torch.zeros_like(self.pairs)
        for _ in range(_SWEEPS):
            self._sweep(weights)
        positive = weights > 0
        n = len(weights)
        fewest, patience = torch.full((n,), n + 1), torch.full((n,), _PATIENCE)
        columns = torch.arange(n)
        for _ in range(_ROUNDS):
            columns = columns[torch.argsort(positive[:, columns].sum(0))]
            self._solve_supports(weights, positive, columns)
            wrong = self._contradictions(weights, positive, columns)
            count = wrong.sum(0)
            better = count < fewest[columns]
            fewest[columns] = torch.minimum(fewest[columns], count)
            patience[columns] = torch.where(better, _PATIENCE, patience[columns] - 1)
            positive[:, columns] ^= torch.where(patience[columns] >= 0, wrong, _last_only(wrong))
            columns = columns[count > 0]
            if not len(columns):
                break
        return weights.clamp_(min=0.0)

    def _sweep(self, weights: Tensor) -> None:
        """One pass of coordinate descent over all rows, each for all columns at once."""
        n = len(weights)
        for start in range(0, n, _BLOCK):
            end = min(start + _BLOCK, n)
            left = self.pairs[start:end] - self.pairs[start:end] @ weights
            for row in range(start, end):
                new = ((left[row - start] - self.l1) / (self.own[row] + self.l2)).clamp_(min=0.0)
                new[row] = 0.0
                if row + 1 < end:
                    left -= torch.outer(self.pairs[start:end, row], new - weights[row])
                weights[row] = new

    def _solve_supports(self, weights: Tensor, positive: Tensor, columns: Tensor) -> None:
        """Solve the equations of each column's positive weights; the columns are sorted by how many these are."""
        sizes = positive[:, columns].sum(0).tolist()
        end = len(columns)
        while end > 0:  # from the largest supports on: a batch is padded to its last column's
            size = max(1, sizes[end - 1])
            start = max(0, end - max(1, _ENTRIES // size**2))
            some = columns[start:end]
            mask = positive[:, some].T
            rows = torch.argsort(mask.to(torch.int8), dim=1, descending=True, stable=True)[:, :size]
            on = mask.gather(1, rows)
            system = self.pairs[rows.unsqueeze(2), rows.unsqueeze(1)] * (on.unsqueeze(2) & on.unsqueeze(1))
            system.diagonal(dim1=1, dim2=2).copy_(torch.where(on, self.own[rows] + self.l2, 1.0))
            wanted = torch.where(on, self.pairs[rows, some.unsqueeze(1)] - self.l1, 0.0)
            solved = torch.cholesky_solve(wanted.unsqueeze(2), torch.linalg.cholesky(system)).squeeze(2)
            whole = torch.zeros(mask.shape, dtype=weights.dtype)
            weights[:, some] = whole.scatter_(1, rows, solved * on).T
            end = start

    def _contradictions(self, weights: Tensor, positive: Tensor, columns: Tensor) -> Tensor:
        """Return bool `[n, columns]`: weights below zero, and zero weights that would grow."""
        some, mask = weights[:, columns], positive[:, columns]
        gradient = self.pairs[:, columns] - self.pairs @ some - self.l1
        wrong = torch.where(mask, some < 0, gradient > self.tolerance)
        wrong[columns, torch.arange(len(columns))] = False  # the diagonal stays zero
        return wrong


def _last_only(wrong: Tensor) -> Tensor:
    """Keep the last contradiction of each column: exchanged one at a time in a fixed order, they come to an end."""
    place = torch.arange(1, len(wrong) + 1).unsqueeze(1)
    last = (wrong * place).max(dim=0).values
    return wrong & (place == last)
