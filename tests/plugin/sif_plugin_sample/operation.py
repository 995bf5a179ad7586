"""Gap: the distance of two vectors, entry by entry."""

from torch import Tensor

from sif.operations import Operation


class Gap(Operation):
    """|u - v|, entry by entry."""

    formula = "|{0} - {1}|"

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Join vectors `[..., dim]` to `[..., dim]`."""
        return (u - v).abs()
