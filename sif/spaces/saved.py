"""A trained network as a plain tree, and back: what `model.safetensors` holds."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nasp_core.genotype import Genotype
from nasp_core.types import State
from sif.encodings import ID, encoding, parts_of
from sif.encodings.histories import Histories
from sif.errors import RunError
from sif.spaces.build import build_network
from sif.spaces.known import SPACES, FunctionNetwork
from sif.tasks import OBJECTIVES, Objective, TableTask

__all__ = ["BLEND_FORMAT", "MODEL_FORMAT", "RIVAL_FORMAT", "model_tree", "network_of", "objective_of"]
__all__ += ["objective_tree", "task_tree"]

MODEL_FORMAT, RIVAL_FORMAT, BLEND_FORMAT = "sif-recommender-1", "sif-rival-1", "sif-blend-1"
"""What a tree is of: a network of a space, a rival (`sif.rivals.handed`), or a sum of these (`sif.serve.blended`)."""


def model_tree(network: FunctionNetwork, genotype: Genotype, objective: Objective, counts: Tensor | None) -> State:
    """Return everything that serving a trained network needs, for `save_tree`.

    `counts` int64 `[users + items]`: how often each id occurs in training.
    """
    return _tree(genotype, dict(network.state_dict()), objective, network.histories) | {
        "sizes": network.sizes,
        "counts": counts,
    }


def task_tree(genotype: Genotype, weights: Mapping[str, Tensor], task: TableTask) -> State:
    """Return the same of the trained weights of a task's network."""
    histories = task.histories() if SPACES[genotype.space].reads_histories else None
    if histories is not None:
        names = genotype.choices.get("encoding", ())
        histories = histories.lean({encoding(part).needs for name in names for part in parts_of(str(name))})
    facts = {"sizes": task.sizes, "counts": task.counts()}
    return _tree(genotype, dict(weights), task.objective, histories) | facts


def _tree(genotype: Genotype, weights: dict[str, Tensor], objective: Objective, histories: Histories | None) -> State:
    return {
        "format": MODEL_FORMAT,
        "genotype": genotype.to_json(),
        **objective_tree(objective),
        "weights": weights,
        "histories": None if histories is None else histories._asdict(),
    }


def objective_tree(objective: Objective) -> State:
    """Return what a network was trained for, as `objective_of` reads it."""
    return {kind.key: objective.plain() if kind.key == objective.key else None for kind in OBJECTIVES}


def network_of(tree: State) -> FunctionNetwork:
    """Return the network of a tree, on the CPU, to be read and not to be trained.

    Raises `RunError` where it reads histories and the tree has none.
    """
    genotype, histories = Genotype.from_json(tree["genotype"]), tree.get("histories")
    if histories is None and any(name != ID.name for name in genotype.choices.get("encoding", ())):
        raise RunError("a model that reads histories, saved without them; train it again")
    known, counts = (None, None) if histories is None else (Histories(**histories), tree.get("counts"))
    network: FunctionNetwork = build_network(genotype, None, sizes=tuple(tree["sizes"]), histories=known, counts=counts)
    network.load_state_dict(tree["weights"])
    return network.eval()


def objective_of(tree: State) -> Objective:
    """Return what the network of a tree was trained for; raises `RunError` for what `model_tree` did not make."""
    if not isinstance(tree, dict) or tree.get("format") not in (MODEL_FORMAT, RIVAL_FORMAT, BLEND_FORMAT):
        raise RunError(f"not a saved Recommender (expected format {MODEL_FORMAT} or {RIVAL_FORMAT})")
    for kind in OBJECTIVES:
        if tree.get(kind.key):
            return kind.of_plain(tree[kind.key])
    raise RunError("a saved Recommender that does not say what it was trained for; save it again")
