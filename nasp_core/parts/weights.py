"""Alpha itself as the weights of the mixture: GAEA's relaxation, and BayesNAS' switches."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts.alive import masked
from nasp_core.parts.softmax import Dense
from nasp_core.types import Alpha, RelaxState

__all__ = ["Weights"]


@dataclass(frozen=True)
class Weights(Dense):
    """Mix all candidates with alpha as it stands (Li et al. 2021, section 3; Zhou et al. 2019, eq. 3)."""

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "shares"})
    needs: ClassVar[dict[str, str]] = {
        "simplex|switches": "weights that no function bounds need a domain that does; use domain = Simplex or Switches"
    }

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return alpha, zero where pruned."""
        return masked(alpha, state.alive, dead=0.0)
