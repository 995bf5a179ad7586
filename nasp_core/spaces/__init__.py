"""The spaces that can be searched."""

from nasp_core.spaces.interaction import InteractionNetwork, InteractionSettings, InteractionSpace
from nasp_core.spaces.operations import OPERATIONS, TENSOR_OPERATIONS
from nasp_core.spaces.tensor_interaction import TensorInteractionNetwork, TensorInteractionSpace

__all__ = [
    "OPERATIONS",
    "TENSOR_OPERATIONS",
    "InteractionNetwork",
    "InteractionSettings",
    "InteractionSpace",
    "TensorInteractionNetwork",
    "TensorInteractionSpace",
]
