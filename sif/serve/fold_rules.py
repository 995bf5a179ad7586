"""A network as tables: every branch folds as its operation and predictor say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sif.encodings.side import SIDES
from sif.encodings.side import Side as Of
from sif.operations.tables import FoldedSide, Tables
from sif.spaces.known import FunctionNetwork

__all__ = ["fold", "fold_side"]


@torch.no_grad()
def fold(network: FunctionNetwork) -> Tables:
    """Return the tables of a network of users and items; they keep no tie to it."""
    n_users, n_items = network.sizes
    of_users, of_items = network.encoded("user"), network.encoded("item")
    bias = of_users[0].new_zeros(n_users + n_items)
    if network.bias is not None and network.offset is not None:
        bias = network.bias.detach().squeeze(-1).clone()
        bias[:n_users] += network.offset
    users = fold_side(network, "user", of_users, bias[:n_users])
    items = fold_side(network, "item", of_items, bias[n_users:])
    mlps = tuple(
        branch.mlp_factor(rows.shape[1])
        for branch, rows in zip(network.branches, of_items, strict=True)
        if branch.fold(1, rows[:1].double()).mlps
    )
    return Tables(users, items, mlps)


@torch.no_grad()
def fold_side(network: FunctionNetwork, side: Of, vectors: Sequence[Tensor], bias: Tensor) -> FoldedSide:
    """Return what vectors, one tensor `[n, dim]` a branch, and biases `[n]` bring to a score, as users or as items."""
    mode = SIDES.index(side)
    branches = zip(network.branches, vectors, strict=True)
    return FoldedSide.joined(
        [FoldedSide.of(bias.double()), *(branch.fold(mode, rows.double()) for branch, rows in branches)]
    ).float()
