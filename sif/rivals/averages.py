"""Predictions that know no taste: the mean of all, and biases of users and items."""

from torch import Tensor

from nasp_core.types import Mixture
from sif.rivals.base import Rival, fixed, with_context
from sif.rivals.folded import FoldedRival

__all__ = ["BIASES", "GLOBAL_MEAN"]


class Mean(FoldedRival):
    """The training mean for everyone (zero in standard units); its one weight is never moved from zero."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return rows.sum((0, 2)) * 0.0


class Biases(FoldedRival):
    """Global, user and item biases alone."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return rows.new_zeros(rows.shape[1])


GLOBAL_MEAN = Rival(
    "global-mean",
    "the mean of the training part",
    {
        "pairs": fixed(Mean, trained=False, embeds=False, biases=False),
        "triples": fixed(with_context(Mean), trained=False, embeds=False, biases=False),
    },
)
BIASES = Rival(
    "biases",
    "Koren, Bell and Volinsky 2009, equation 3",
    {
        "pairs": fixed(Biases, embeds=False, biases=True),
        "triples": fixed(with_context(Biases), embeds=False, biases=True),
    },
)
