"""The minimum min(u, v), entry by entry."""

import torch

from sif.operations.max import Max

__all__ = ["Min"]


class Min(Max):
    """min(u, v): the mirror of `max`."""

    name, formula = "min", "min({0}, {1})"
    forward, onnx_kind = staticmethod(torch.minimum), "Min"
    sign = -1.0

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str] | None:
        """Return `max`, as min(u, v) = -max(-u, -v).

        The sign goes into the weights of `linear` or of an MLP's first layer, in `distance` it is lost; the
        sum of the entries, of unit vectors too, has no weight to take it.
        """
        return None if predictor in ("sum", "cosine") else ("max", predictor)
