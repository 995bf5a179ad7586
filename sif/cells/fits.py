"""Whether the networks of a recipe of cells fit into memory, before they are built."""

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor

from nasp_core.network import Network
from nasp_core.types import Mixture
from sif.cells.networks import build_cells, make_supernet
from sif.cells.recipes import CellRecipe
from sif.device import FLOAT, available, check_fits, trained_bytes

__all__ = ["Stage", "check_cells"]

Stage = Literal["search", "train"]
_TABLES: Mapping[Stage, str] = {"search": "space", "train": "network"}
_TRACED = 2  # inputs of the batch that is traced


def check_cells(recipe: CellRecipe, facts: dict[str, int], example: Tensor, stages: tuple[Stage, ...]) -> None:
    """Raise `RecipeError` where the networks of a recipe, with what a batch leaves for its gradient, cannot fit.

    `example` is one input, on the device; `stages` are the trainings that will run. What is counted is one path of the
    supernet, which is the least a search holds.
    """
    device, problems = example.device, list[str]()
    for stage in stages:
        size = recipe.training(stage).batch_size
        if _bound(recipe, stage, facts, example, size) < (available(device) or 0) // 4:
            continue

        def refuse(why: str, stage: Stage = stage) -> None:
            fix = _fix(recipe, facts, example, stage)
            problems.append(recipe.problem(f"{stage}.batch_size", f"{why}; {fix}"))

        fixed, each = _counted(recipe, facts, example, stage)
        check_fits(fixed + each * size, device, refuse)
    recipe.refuse(problems)


def _fix(recipe: CellRecipe, facts: dict[str, int], example: Tensor, stage: Stage) -> str:
    """The largest batch that fits, with a narrower network where not even two inputs do."""
    there, table = available(example.device) or 0, _TABLES[stage]
    names = ("channels",) if hasattr(getattr(recipe, table), "channels") else ("hidden", "embedding_dim")
    width, narrow, fix = getattr(getattr(recipe, table), names[0]), recipe, ""
    while width:
        fixed, each = _counted(narrow, facts, example, stage)
        batch = min((there - fixed) // each, recipe.training(stage).batch_size)
        if batch >= _TRACED:
            return f"{fix}--set {stage}.batch_size={batch} fits"
        width //= 2
        changed = getattr(recipe, table).model_copy(update=dict.fromkeys(names, width))
        narrow = recipe.model_copy(update={table: changed})
        fix = "".join(f"--set {table}.{name}={width} " for name in names)
    return "smaller data are needed"


def _counted(recipe: CellRecipe, facts: dict[str, int], example: Tensor, stage: Stage) -> tuple[int, int]:
    """Bytes of the weights with their training, and of what one input leaves for the gradient; nothing is allocated."""
    with torch.device("meta"):
        space = make_supernet(recipe, facts)
    point = space.random_point(torch.Generator().manual_seed(0))
    mixture, network = Mixture(active=point) if stage == "search" else None, cast(Network, space)
    if stage == "train":
        with torch.device("meta"):
            network = build_cells(space.genotype(point), recipe.network_settings(), facts)
    inputs = torch.cat([torch.empty_like(example, device="meta")] * _TRACED, int(recipe.task == "text"))
    own, kept = {p.untyped_storage()._cdata for p in network.parameters()}, dict[int, Any]()

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # kept, so that no other takes its address
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network.train()(inputs, mixture)
    saved = sum(storage.nbytes() for key, storage in kept.items() if key not in own)
    training = recipe.training(stage)
    half = 2 if training.precision != "float32" and example.device.type == "cuda" else 1
    count = sum(parameter.numel() for parameter in network.parameters())
    return trained_bytes(count, training), max(1, saved // (_TRACED * half))


def _bound(recipe: CellRecipe, stage: Stage, facts: Mapping[str, int], example: Tensor, batch: int) -> int:
    """A cheap figure above what is needed, so that networks that are small for the machine are not traced."""
    values = getattr(recipe, _TABLES[stage])
    if recipe.task == "text":
        each = 40 * values.hidden * 12 + 8 * facts["vocabulary"]
        fixed = 16 * values.hidden * (facts["vocabulary"] + 40 * values.hidden)
        return int(FLOAT * (batch * example.numel() * each + fixed))
    layers = getattr(values, "layers", 0) or 3 * (values.cells_per_stage + 1)
    pixels = example.shape[-1] * example.shape[-2]
    return int(FLOAT * values.channels * layers * (40 * batch * pixels + 4000 * values.channels))
