"""One operation, fixed: the sum, the largest or the smallest of the embeddings' entries, under a linear predictor."""

from dataclasses import replace

from torch import Tensor

from nasp_core.network import Network
from sif.rivals.base import Baseline, Rival, fixed
from sif.spaces.interaction import InteractionNetwork, InteractionSettings
from sif.spaces.tensor import TensorInteractionNetwork

__all__ = ["MAX", "MIN", "PLUS"]


def _operation(name: str, network: type[InteractionNetwork] = InteractionNetwork) -> Baseline:
    def make(sizes: tuple[int, ...], settings: InteractionSettings, counts: Tensor | None) -> Network:
        return network(sizes, replace(settings, operations=(name,), hidden=0), counts)

    return fixed(make)


_SOURCE = "Yao et al. 2020 (SIF), Table 1"
PLUS = Rival(
    "plus", _SOURCE, {"pairs": _operation("plus"), "triples": _operation("plus_plus", TensorInteractionNetwork)}
)
MAX = Rival("max", _SOURCE, {"pairs": _operation("max")})
MIN = Rival("min", _SOURCE, {"pairs": _operation("min")})
