"""What a run hands over, opened: whatever it is, the form that serves it, and what it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasp_core.genotype import Genotype
from nasp_core.types import State
from sif.errors import RunError
from sif.extend import resolve
from sif.serve.forms import Asked, Served
from sif.serve.networks import network_form
from sif.spaces.build import build_network, parameters_of
from sif.spaces.known import FunctionNetwork, formula
from sif.spaces.saved import BLEND_FORMAT, MODEL_FORMAT, RIVAL_FORMAT, model_tree, network_of, objective_of
from sif.tasks import Objective

__all__ = ["ServedModel", "network_model", "opened_model"]

_SCORES = 1 << 22  # held at once where the items of many users are rated: 16 MiB of float32

_OPENERS: Mapping[str, str] = {
    MODEL_FORMAT: "sif.serve.model:_of_a_space",
    RIVAL_FORMAT: "sif.rivals.handed:opened_rival",
    BLEND_FORMAT: "sif.serve.blended:opened_blend",
}
"""What opens a tree, by its format; a rival's is made by the list of rivals, which lies above this room."""


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A trained model, ready to be asked.

    Attributes:
        form: makes the scores.
        objective: what it was trained for: how ratings were standardised, or the settings of the ranking.
        sizes: how many users and items there are (and contexts).
        counts: int64, how often each id occurs in training, all modes after one another; None where nobody said.
        formula: for people: the function, or a rival and its settings.
        parameters: how many numbers were learnt; None where nobody said.
        epoch: whose weights they are; None where there are no epochs.
        genotype: the architecture, of a network of a space.
        rival: name, settings and seed, of a rival.
        tree: what it was read from.
    """

    form: Served
    objective: Objective
    sizes: tuple[int, ...]
    counts: Tensor | None
    formula: str
    parameters: int | None
    epoch: int | None
    tree: State
    genotype: Genotype | None = None
    rival: Mapping[str, Any] | None = None

    def handed(self) -> dict[str, Any] | None:
        """Return what `result.json` says where a rival is handed over; None of an architecture."""
        if self.rival is None:
            return None
        told = {"formula": self.formula, "additive": self.form.additive, "served": self.form.describe()}
        return dict(self.rival) | told

    @torch.no_grad()
    def ratings(self, users: Tensor | Asked, items: NDArray[Any]) -> NDArray[np.float32]:
        """Return predicted ratings float32 `[users, n]`; nan where there is no item.

        Args:
            users: Their numbers int64 `[users]`, or what `form.new_users` returned.
            items: Numbers of items, int `[users, n]`, each user's own; -1 where there is none.

        Raises:
            RunError: The model predicts no ratings.
        """
        units = self.objective.units
        if units is None:
            raise RunError(f"{self.formula} orders items, and predicts no ratings")
        asked: Asked = self.form.users(users) if isinstance(users, Tensor) else users
        wanted = torch.from_numpy(np.maximum(items, 0).astype(np.int64))
        if len(asked) == 1:
            scores = self.form.scorer(wanted[0])(asked)
        else:
            score, step = self.form.scorer(), max(1, _SCORES // self.form.n_items)
            blocks = [slice(start, start + step) for start in range(0, len(asked), step)]
            parts = [score(asked.rows(block)).gather(1, wanted[block]) for block in blocks]
            scores = torch.cat(parts) if parts else torch.empty(items.shape)
        made: NDArray[np.float32] = scores.float().numpy() * np.float32(units.std) + np.float32(units.mean)
        return np.where(items < 0, np.float32(np.nan), made)


def opened_model(tree: State) -> ServedModel:
    """Return the model of a tree that a run or `Recommender.save` wrote.

    Raises `RunError` where it is none, where something is missing, and where its rival cannot be made here.
    """
    objective_of(tree)  # says what is wrong with a tree of something else
    made: ServedModel = resolve("format", _OPENERS[tree["format"]])(tree)
    return made


def network_model(
    network: FunctionNetwork, genotype: Genotype, objective: Objective, counts: Tensor | None, tree: State | None = None
) -> ServedModel:
    """Return a trained network of a space as a model.

    Args:
        network: With its weights, in evaluation, on the CPU.
        genotype: Its architecture.
        objective: What it was trained for.
        counts: int64, how often each id occurs in training.
        tree: What it was read from; None: it is made of the others.
    """
    sizes = tuple(network.sizes)
    return ServedModel(
        form=network_form(network, sizes, objective),
        objective=objective,
        sizes=sizes,
        counts=counts,
        formula=formula(genotype),
        parameters=parameters_of(network),
        epoch=None if tree is None else tree.get("epoch"),
        tree=model_tree(network, genotype, objective, counts) if tree is None else tree,
        genotype=genotype,
    )


def _of_a_space(tree: State) -> ServedModel:
    genotype, sizes = Genotype.from_json(tree["genotype"]), tuple(tree["sizes"])
    if len(sizes) == 2:
        network = network_of(tree)
    else:
        network = build_network(genotype, None, sizes=sizes).eval()
        network.load_state_dict(tree["weights"])
    return network_model(network, genotype, objective_of(tree), tree.get("counts"), tree)
