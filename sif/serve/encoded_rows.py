"""The factors of a new user as an auto-encoder makes them: its layers on the row, up to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

__all__ = ["EncodedRows", "RowLayer"]


class RowLayer(NamedTuple):
    """A linear layer: weight float32 `[out, in]`, bias `[out]`, and whether tanh follows."""

    weight: Tensor
    bias: Tensor
    tanh: bool


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """What a user has, of unit length, through layers; values of a row count alike.

    Attributes:
        layers: The first takes `[items]`.
    """

    layers: Sequence[RowLayer]

    def factors(self, items: Tensor, rows: sparse.csr_array) -> Tensor:
        """Return the factors of users, float32 `[n, d]`.

        Args:
            items: Factors float32 `[items, d]`, which are not used.
            rows: CSR `[n, items]`; a row of nothing stays zero before the first layer.
        """
        counts = np.diff(rows.indptr)
        unit = np.repeat(counts.clip(min=1) ** -0.5, counts).astype(np.float32)
        (first, bias, tanh), *rest = self.layers
        has = sparse.csr_array((unit, rows.indices, rows.indptr), shape=rows.shape)
        made = torch.from_numpy(np.asarray(has @ first.T.numpy())) + bias
        made = made.tanh() if tanh else made
        for layer in rest:
            made = torch.nn.functional.linear(made, layer.weight, layer.bias)
            made = made.tanh() if layer.tanh else made
        return made

    def arrays(self) -> dict[str, Tensor]:
        """Return the layers by name: `encoder.weight0`, `encoder.bias0`, ..."""
        made: dict[str, Tensor] = {}
        for number, layer in enumerate(self.layers):
            made |= {f"encoder.weight{number}": layer.weight.contiguous(), f"encoder.bias{number}": layer.bias}
        return made

    @classmethod
    def of_arrays(cls, arrays: dict[str, Tensor], tanh: Sequence[bool]) -> EncodedRows:
        """Return what `arrays` was of; raises `KeyError` where one is missing.

        Args:
            arrays: By name.
            tanh: Of each layer, whether it follows.
        """
        named = enumerate(tanh)
        return cls([RowLayer(arrays[f"encoder.weight{n}"], arrays[f"encoder.bias{n}"], after) for n, after in named])
