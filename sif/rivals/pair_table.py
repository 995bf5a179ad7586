"""What every method of a comparison is given: who has what in each part, and what was seen before it."""

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sif.checkpoint import write_atomically
from sif.errors import DataError
from sif.serve.rows import Weighing

__all__ = ["PairTable", "RankedParts"]

_PARTS = ("train", "valid", "test", "seen_valid", "seen_test")


class RankedParts(Protocol):
    """What a table is made of: `sif.tasks.RankingTask` has it."""

    def positives(self, part: str) -> sparse.csr_array:
        """Return the positive pairs of `train`, `valid` or `test`, `[users, items]`."""
        ...

    def seen(self, part: str) -> sparse.csr_array:
        """Return all pairs of the parts before `part`, `[users, items]`, whatever their rating."""
        ...

    def confidence(self) -> NDArray[np.float32] | None:
        """Return the weight of each positive pair of `train`, in their order, of mean 1; None where all count alike."""
        ...

    def times(self) -> NDArray[np.float64] | None:
        """Return when each positive pair of `train` was last met, in their order, in seconds; None without times."""
        ...

    @property
    def weighing(self) -> tuple[float, float] | None:
        """The power of a pair's weight in the data, and the mean by which it is divided, that make the confidence."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class PairTable:
    """The parts of a split as scipy CSR, bool `[users, items]`, sorted, without repeats; not to be changed.

    - `train`, `valid`, `test`: the pairs that count (with a threshold: rated that much or more).
    - `seen_valid`, `seen_test`: what is not ranked: all pairs of train; all of train and validation.
    - `confidence`: float32 `[pairs of train]`, of mean 1: how much each counts; None where all count alike.
    - `weighing`: how weights as they stand in the data became confidences.
    - `times`: float64 `[pairs of train]`, when each was last met, in seconds; None where the data have no times.
    """

    train: sparse.csr_array
    valid: sparse.csr_array
    test: sparse.csr_array
    seen_valid: sparse.csr_array
    seen_test: sparse.csr_array
    confidence: NDArray[np.float32] | None = None
    weighing: Weighing | None = None
    times: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, parts: RankedParts, *, needs: tuple[str, ...] = ("train", "valid", "test")) -> "PairTable":
        """Read the parts of a ranking task.

        Args:
            parts: The task.
            needs: The parts that must not be empty.

        Raises:
            DataError: One of these has no pair that counts.
        """
        judged = getattr(parts, "judged", parts.positives)  # a task of your own need not have it
        made = {"train": parts.positives("train"), "valid": judged("valid"), "test": parts.positives("test")}
        for part in needs:
            if not made[part].nnz:
                raise DataError(
                    f"the {part} part has no pairs, and a comparison learns on train, chooses on validation and "
                    "judges on test; search again with a share for each (split.fractions)"
                )
        return cls(
            **made,
            seen_valid=parts.seen("valid"),
            seen_test=parts.seen("test"),
            confidence=parts.confidence(),
            weighing=None if parts.weighing is None else Weighing(*parts.weighing),
            times=parts.times(),
        )

    @property
    def n_users(self) -> int:
        """The number of users."""
        return int(self.train.shape[0])

    @property
    def n_items(self) -> int:
        """The number of items."""
        return int(self.train.shape[1])

    def counts(self) -> NDArray[np.int64]:
        """Return how many training pairs each item has, int64 `[items]`."""
        return np.bincount(self.train.indices, minlength=self.n_items).astype(np.int64)

    def weights(self, dtype: type = np.float32, *, confident: bool = False) -> Any:
        """Return the training pairs in a CSR matrix with 32-bit indices, as other libraries take them.

        Args:
            dtype: Of the values.
            confident: Whether the values are the pairs' confidences, where there are some, and not ones.

        Returns:
            CSR `[users, items]`.
        """
        weighed = confident and self.confidence is not None
        values = np.asarray(self.confidence, dtype) if weighed else np.ones(self.train.nnz, dtype)
        parts = (values, self.train.indices.astype(np.int32), self.train.indptr.astype(np.int32))
        return sparse.csr_matrix(parts, shape=self.train.shape)

    def without_test(self) -> "PairTable":
        """Return this table with an empty test part: what a method is given to learn and to stop on."""
        return replace(self, test=sparse.csr_array(self.train.shape, dtype=bool))

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any pair of any part, and with its weight and time."""
        digest = hashlib.sha256(repr(self.train.shape).encode())
        for name in _PARTS:
            matrix = getattr(self, name)
            digest.update(matrix.indptr.astype(np.int64).tobytes() + matrix.indices.astype(np.int64).tobytes())
        for values in (self.confidence, self.times):
            digest.update(b"" if values is None else values.tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write the table to one file, whole or not at all."""
        arrays: dict[str, Any] = {"shape": np.array(self.train.shape)}
        for name in _PARTS:
            matrix = getattr(self, name)
            arrays |= {f"{name}.starts": matrix.indptr, f"{name}.items": matrix.indices}
        arrays |= {} if self.confidence is None else {"confidence": self.confidence}
        arrays |= {} if self.times is None else {"times": self.times}
        if self.weighing is not None:
            arrays["weighing"] = np.array([self.weighing.power, self.weighing.mean])
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "PairTable":
        """Read what `save` wrote."""
        with np.load(path) as file:
            shape = tuple(file["shape"].tolist())
            made = {}
            for name in _PARTS:
                starts, items = file[f"{name}.starts"], file[f"{name}.items"]
                made[name] = sparse.csr_array((np.ones(len(items), bool), items, starts), shape=shape)
            weighing = file.get("weighing")
            weighing = None if weighing is None else Weighing(*weighing.tolist())
            return cls(**made, confidence=file.get("confidence"), weighing=weighing, times=file.get("times"))
