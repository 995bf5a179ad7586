"""Settings of the ranking task: which pairs count, what is minimised, which metric says better."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, ClassVar, Literal

from torch import Tensor

from sif.errors import DataError
from sif.metrics import METRICS
from sif.tasks.ranking_losses import LOSSES, RankingLoss, ccl

__all__ = ["USES", "WEIGHTED", "RankingSettings"]

_OWN = ("bpr", "bce", "ccl", "degree-bce")
_DRAWN = ("sampled-softmax", *_OWN)
USES: Mapping[str, tuple[str, ...]] = {
    "negatives": _DRAWN,
    "negative_power": _DRAWN,
    "drawn": ("softmax",),
    "hidden_share": ("softmax",),
    "hidden_only": ("softmax",),
    "margin": ("ccl",),
    "negative_weight": ("ccl",),
    "degree_weight": ("degree-bce",),
}
"""The settings that not every loss has a use for, each with the losses that have."""
WEIGHTED = ("confidence", "repeats")
"""The values of `weight` that weigh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingSettings:
    """How pairs become batches and a loss (`sif.tasks.ranking_losses`), and which metric selects.

    - `loss`: `softmax` over the catalogue, in batches of users, of whose items a share is hidden and predicted from
      the rest; `sampled-softmax`, `bpr`, `bce`, `ccl`, `degree-bce`, in batches of positive pairs with items drawn at
      random.
    - `negatives`: drawn items for each positive (`bpr`, `bce`, `ccl`, `degree-bce`); with `sampled-softmax` how many
      are drawn for the whole batch.
    - `negative_power`: items are drawn with probability proportional to (training positives) ** negative_power; 0 is
      uniform.
    - `drawn`: with `softmax`, how many items a batch of users is asked about beside those that it hides, in place of
      the whole catalogue; 0 is the whole. `auto` is an eighth of it where it has 8192 items or more and a batch is then
      asked about half of them at most, else 0.
    - `hidden_share`: with `softmax`, the probability with which each of a user's pairs is hidden.
    - `hidden_only`: with `softmax`, whether the pairs that are shown are left out of the loss; else they are predicted
      too, from themselves among others.
    - `margin`, `negative_weight`: with `ccl`, the score up to which a negative costs nothing (SimpleX tries 0 to 1),
      and what the negatives of a positive weigh together, beside the 1 of itself.
    - `degree_weight`: with `degree-bce`, lambda: the term of a pair weighs 1 + lambda * `degree_shares`; 0 is `bce`.
    - `threshold`: a rating from here on makes a pair a positive; None takes all pairs.
    - `weight`: `none`: all positives count alike. `confidence`: the loss term of each is multiplied by the weight of
      its pair (plays, purchases) ** `weight_power`, over the mean of these in the training part; after Hu, Koren and
      Volinsky (ICDM 2008), who weigh by 1 + alpha * weight. `repeats`: the same, the weight being how often the pair
      stands in the data.
    - `weight_power`: above 0; 0.5 is the square root, 1 the weight itself.
    - `metric`, `k`: what selects (one of `sif.metrics.METRICS`), over the first k places.

    Raises DataError, with all problems at once, for values out of range and for settings that the loss would ignore.
    """

    loss: RankingLoss = "softmax"
    negatives: int = 1
    negative_power: float = 0.0
    drawn: int | Literal["auto"] = "auto"
    hidden_share: float = 0.5
    hidden_only: bool = True
    margin: float = 0.4
    negative_weight: float = 10.0
    degree_weight: float = 1.0
    threshold: float | None = None
    metric: str = "ndcg"
    k: int = 10
    weight: Literal["none", "confidence", "repeats"] = "none"
    weight_power: float = 0.5
    key: ClassVar[str] = "ranking"
    """Under which a saved model has them."""
    units: ClassVar[None] = None
    """Scores are no ratings."""

    def plain(self) -> dict[str, Any]:
        """Return the values, as a saved model has them."""
        return asdict(self)

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> "RankingSettings":
        """Return what `plain` returned."""
        return cls(**values)

    def loss_function(self) -> Callable[[Tensor, Any], Tensor]:
        """Return the loss: scores of a batch and its target to a scalar."""
        if self.loss == "ccl":
            return partial(ccl, margin=self.margin, negative_weight=self.negative_weight)
        return LOSSES[self.loss]

    def __post_init__(self) -> None:
        problems = [
            f"{name} = {value!r}; there are {', '.join(known)}"
            for name, value, known in (
                ("loss", self.loss, tuple(LOSSES)),
                ("metric", self.metric, METRICS),
                ("weight", self.weight, ("none", *WEIGHTED)),
            )
            if value not in known
        ]
        problems += self._ignored() if self.loss in LOSSES else []
        least = 2 if self.loss == "sampled-softmax" else 1
        if self.negatives < least and self.loss in _DRAWN:
            fix = f"draw {least} items or more: --set ranking.negatives=100"
            problems.append(f"negatives = {self.negatives} with {self.loss}; {fix}")
        if not (math.isfinite(self.negative_power) and self.negative_power >= 0):
            problems.append(f"negative_power = {self.negative_power}; give 0 (uniform) or more, such as 0.5")
        if self.drawn != "auto" and not (isinstance(self.drawn, int) and self.drawn >= 0):
            problems.append(f"drawn = {self.drawn!r}; give 0 (the whole catalogue) or more, such as 500, or auto")
        if not 0 < self.hidden_share < 1:
            problems.append(f"hidden_share = {self.hidden_share}; give a share above 0 and below 1")
        if not math.isfinite(self.margin):
            problems.append(f"margin = {self.margin}; give a score, such as 0.4")
        if not (math.isfinite(self.negative_weight) and self.negative_weight > 0):
            problems.append(f"negative_weight = {self.negative_weight}; give a number above 0, such as 10")
        if not (math.isfinite(self.degree_weight) and self.degree_weight >= 0):
            problems.append(f"degree_weight = {self.degree_weight}; give 0 (as bce) or more, such as 1")
        if self.threshold is not None and not math.isfinite(self.threshold):
            problems.append(f"threshold = {self.threshold}; give a rating, such as 4")
        if not (math.isfinite(self.weight_power) and self.weight_power > 0):
            problems.append(f"weight_power = {self.weight_power}; give a number above 0, such as 0.5 (the square root)")
        elif self.weight == "none" and self.weight_power != 0.5:
            problems.append(f"weight_power = {self.weight_power} with weight = none; leave it out, or use confidence")
        if self.k < 1:
            problems.append(f"k = {self.k}; judge 1 place or more")
        if problems:
            raise DataError("ranking " + "\nranking ".join(problems))

    def _ignored(self) -> list[str]:
        defaults = {field.name: field.default for field in fields(self)}
        return [
            f"{name} = {getattr(self, name)} with {self.loss}, which has none; leave it out, or use {' or '.join(used)}"
            for name, used in USES.items()
            if getattr(self, name) != defaults[name] and self.loss not in used
        ]
