"""What a new user's row says to models of implicit feedback: its confidences, and the factors that ALS makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

__all__ = ["AlsRows", "Weighing"]


@dataclass(frozen=True)
class Weighing:
    """From a weight as it stands in the data to the confidence that training gave it: weight ** power / mean."""

    power: float
    mean: float

    def of(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the confidences of weights."""
        made: NDArray[np.float64] = weights.astype(np.float64) ** self.power / self.mean
        return made

    def plain(self) -> dict[str, float]:
        """Return it ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class AlsRows:
    """One half-step of ALS for users of whom only a row is known (Hu, Koren and Volinsky 2008, equation 4).

    Attributes:
        alpha: the weight of a pair that is there, times its confidence; any other weighs 1.
        penalty: on the squared norm of a user's factors.
        weighing: how values of a row become confidences; None: all count alike.
    """

    alpha: float
    penalty: float
    weighing: Weighing | None = None

    def factors(self, items: Tensor, rows: sparse.csr_array) -> Tensor:
        """Return the factors of users, float32 `[n, d]`, solved exactly.

        Args:
            items: Factors float32 `[items, d]`.
            rows: CSR `[n, items]`.
        """
        known = items.double()
        base = known.T @ known + self.penalty * torch.eye(known.shape[1], dtype=torch.float64)
        values = np.ones(rows.nnz) if self.weighing is None else self.weighing.of(rows.data)
        weights = torch.from_numpy(values) * self.alpha
        made = known.new_zeros(rows.shape[0], known.shape[1])
        for user, (start, end) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
            has, weight = known[torch.from_numpy(rows.indices[start:end].astype(np.int64))], weights[start:end]
            system = base + has.T @ (has * (weight - 1.0).unsqueeze(1))
            made[user] = torch.linalg.solve(system, has.T @ weight)
        return made.float()

    def plain(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> AlsRows:
        """Return what `plain` was of."""
        made, weighing = cls(**plain), plain["weighing"]
        return made if weighing is None else replace(made, weighing=Weighing(**weighing))
