"""A trained network as a plain tree, and back: what `model.safetensors` holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nasp_core.genotype import Genotype
from nasp_core.spaces import Histories, InteractionNetwork, WideNetwork
from nasp_core.types import State
from sif.errors import RunError
from sif.models.build import build_network
from sif.tasks import Scale

__all__ = ["MODEL_FORMAT", "item_counts", "model_tree", "network_of", "scale_of"]

MODEL_FORMAT = "sif-recommender-1"


def model_tree(
    network: InteractionNetwork | WideNetwork,
    genotype: Genotype,
    scale: Scale | None,
    *,
    counts: Tensor | None = None,
    **facts: Any,
) -> State:
    """Return everything that serving a trained network needs, for `save_tree`.

    `scale`: how ratings were standardised; None where scores only rank. `counts` int64 `[users + items]`: how often
    each id occurs in training (a wide network has histories, which say it). `facts` stand beside them.
    """
    histories = network.histories._asdict() if isinstance(network, WideNetwork) else None
    return {
        "format": MODEL_FORMAT,
        "genotype": genotype.to_json(),
        "sizes": list(network.sizes),
        "scale": None if scale is None else [scale.mean, scale.std, scale.low, scale.high],
        "weights": dict(network.state_dict()),
        "histories": histories,
        "counts": counts,
        **facts,
    }


def network_of(tree: State) -> InteractionNetwork | WideNetwork:
    """Return the network of a tree, on the CPU, to be read and not to be trained."""
    genotype, sizes = Genotype.from_json(tree["genotype"]), tuple(tree["sizes"])
    network: InteractionNetwork | WideNetwork
    if tree.get("histories") is None:
        network = build_network(genotype, None, sizes=sizes)
    else:
        network = WideNetwork((sizes[0], sizes[1]), genotype, Histories(**tree["histories"]))
    network.load_state_dict(tree["weights"])
    return network.eval()


def scale_of(tree: State) -> Scale | None:
    """Return how a tree's ratings were standardised; None where scores only rank. Raises `RunError` for no tree."""
    if not isinstance(tree, dict) or tree.get("format") != MODEL_FORMAT:
        raise RunError(f"not a saved recommender (expected format {MODEL_FORMAT})")
    return None if tree["scale"] is None else Scale(*tree["scale"])


def item_counts(tree: State) -> Tensor | None:
    """Return how often each item occurs in training, int64 `[items]`; None where the tree does not say."""
    if tree.get("histories") is not None:
        return torch.diff(tree["histories"]["item_starts"])
    counts: Tensor | None = tree.get("counts")
    return None if counts is None else counts[tree["sizes"][0] :]
