"""A blend as the tree of a model, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nasp_core.types import State
from sif.errors import RunError
from sif.serve.blend import Blend
from sif.serve.model import ServedModel, opened_model
from sif.spaces.saved import BLEND_FORMAT, objective_of, objective_tree
from sif.tasks import Objective

__all__ = ["blend_tree", "opened_blend"]


def blend_tree(
    members: Sequence[State], weights: Sequence[float], objective: Objective, counts: Tensor, settings: dict[str, Any]
) -> State:
    """Return the tree of a weighted sum of models.

    Args:
        members: Their trees, of the same users and items.
        weights: One for each.
        objective: What they were trained for; rankings are standardised before they are added.
        counts: int64, how often each id occurs in training.
        settings: What is told of it, ready for JSON.
    """
    return {
        "format": BLEND_FORMAT,
        "sizes": tuple(members[0]["sizes"]),
        "counts": counts,
        "epoch": None,
        "rival": {"name": "blend", "settings": settings, "seed": 0},
        "network": None,
        "members": list(members),
        "weights": [float(weight) for weight in weights],
    } | objective_tree(objective)


def opened_blend(tree: State) -> ServedModel:
    """Return the model of a blend's tree; raises `RunError` where a member cannot be opened, or is missing."""
    try:
        models, weights = [opened_model(each) for each in tree["members"]], tree["weights"]
        counts, told = tree["counts"], tree["rival"]
    except KeyError as missing:
        raise RunError(f"a blend that lacks {missing}; search again") from None
    objective = objective_of(tree)
    learnt = [model.parameters for model in models if model.parameters is not None]
    return ServedModel(
        form=Blend([model.form for model in models], weights, standardised=objective.units is None),
        objective=objective,
        sizes=tuple(tree["sizes"]),
        counts=counts,
        formula=" + ".join(f"{weight:g} ({model.formula})" for weight, model in zip(weights, models, strict=True)),
        parameters=sum(learnt),
        epoch=None,
        tree=tree,
        rival=told,
    )
