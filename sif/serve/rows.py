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
    """One half-step of ALS for users of whom only a row is known.

    A pair that is there has the weight alpha times its confidence. Without `unobserved` that is its whole weight, any
    other pair weighs 1, and the penalty is the same for all (Hu, Koren and Volinsky 2008, equation 4). With it, every
    pair weighs `unobserved` towards 0 as well, and the penalty grows with what a user has (Rendle et al. 2022, equation
    3): penalty * (sum of confidences + unobserved * items) ** power.

    Attributes:
        alpha: the weight of a pair that is there, times its confidence.
        penalty: on the squared norm of a user's factors.
        weighing: how values of a row become confidences; None: all count alike.
        unobserved: the weight of all pairs; None: see above.
        power: of the frequency in the penalty.
    """

    alpha: float
    penalty: float
    weighing: Weighing | None = None
    unobserved: float | None = None
    power: float = 0.0

    @property
    def base(self) -> float:
        """The weight of a pair that is not there."""
        return 1.0 if self.unobserved is None else self.unobserved

    def penalties(self, rows: Any) -> NDArray[np.float64]:
        """Return the penalty of each row, float64 `[n]`.

        Args:
            rows: CSR of confidences, float `[n, others]`.
        """
        sums = np.asarray(rows.sum(axis=1, dtype=np.float64)).ravel()
        made: NDArray[np.float64] = self.penalty * (sums + self.base * rows.shape[1]) ** self.power
        return made

    def factors(self, items: Tensor, rows: sparse.csr_array) -> Tensor:
        """Return the factors of users, float32 `[n, d]`, solved exactly.

        Args:
            items: Factors float32 `[items, d]`.
            rows: CSR `[n, items]`.
        """
        known = items.double()
        base, eye = self.base * known.T @ known, torch.eye(known.shape[1], dtype=torch.float64)
        values = np.ones(rows.nnz) if self.weighing is None else self.weighing.of(rows.data)
        weights = torch.from_numpy(values) * self.alpha
        more = weights - 1.0 if self.unobserved is None else weights
        penalties = self.penalties(sparse.csr_array((values, rows.indices, rows.indptr), shape=rows.shape))
        made = known.new_zeros(rows.shape[0], known.shape[1])
        for user, (start, end) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
            has = known[torch.from_numpy(rows.indices[start:end].astype(np.int64))]
            system = base + float(penalties[user]) * eye + has.T @ (has * more[start:end].unsqueeze(1))
            made[user] = torch.linalg.solve(system, has.T @ weights[start:end])
        return made.float()

    def plain(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> AlsRows:
        """Return what `plain` was of."""
        made, weighing = cls(**plain), plain["weighing"]
        return made if weighing is None else replace(made, weighing=Weighing(**weighing))
