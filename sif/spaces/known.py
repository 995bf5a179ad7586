"""The recommender's spaces by name, which is all that the rest of sif tells them apart by."""

from collections.abc import Mapping
from typing import Any

from nasp_core.genotype import Genotype
from sif.spaces.interaction import InteractionNetwork, InteractionSpace
from sif.spaces.tensor import TensorInteractionSpace
from sif.spaces.wide import WideNetwork, WideSpace

__all__ = ["SPACES", "FunctionNetwork", "formula"]

FunctionNetwork = InteractionNetwork | WideNetwork
"""A network of users and items; what is read of one, the other has too: nobody asks which it is."""

SPACES: Mapping[str, Any] = {space.name: space for space in (InteractionSpace, TensorInteractionSpace, WideSpace)}
"""Each makes itself (`make`), and reads of a genotype the settings, the formula, and whether it is additive."""


def formula(genotype: Genotype) -> str:
    """Return the score in standard units: `b + b_user + b_item + w . (u * v)`.

    u, v (and c for a context) are the embeddings; p, q, r the element-wise networks where the space has them.
    """
    return str(SPACES[genotype.space].formula(genotype))
