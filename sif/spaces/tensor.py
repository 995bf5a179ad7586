"""The interaction-function space for three modes: user, item and context."""

from collections.abc import Mapping
from typing import ClassVar

from sif.operations import Operation
from sif.operations.tensor import TENSOR_OPERATIONS
from sif.spaces.interaction import InteractionNetwork, InteractionSpace

__all__ = ["TensorInteractionNetwork", "TensorInteractionSpace"]


class TensorInteractionNetwork(InteractionNetwork):
    """The plain network of one composition of two operations over user, item and context."""

    known: ClassVar[Mapping[str, Operation]] = TENSOR_OPERATIONS
    modes: ClassVar[tuple[str, ...]] = ("user", "item", "context")


class TensorInteractionSpace(InteractionSpace):
    """Search which two operations, in which order, join three embeddings (Yao et al., WWW 2020, section 3.4).

    Its 53 candidates are all distinct compositions; see `sif.operations.tensor`.
    """

    name: ClassVar[str] = "tensor-interaction"
    known: ClassVar[Mapping[str, Operation]] = TENSOR_OPERATIONS
    modes: ClassVar[tuple[str, ...]] = ("user", "item", "context")
    network_class: ClassVar[type[InteractionNetwork]] = TensorInteractionNetwork
