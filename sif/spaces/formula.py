"""The found function as a formula that a person reads."""

from nasp_core.genotype import Genotype
from sif.spaces.known import SPACES

__all__ = ["formula"]


def formula(genotype: Genotype) -> str:
    """Return the score in standard units: `b + b_user + b_item + w . (u * v)`.

    u, v (and c for a context) are the embeddings; p, q, r the element-wise networks where the space has them.
    """
    return str(SPACES[genotype.space].formula(genotype))
