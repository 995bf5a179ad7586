"""Tables of users the model was not trained on, solved for with everything else fixed."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from nasp_core.spaces.interaction import InteractionNetwork
from sif.serve.fold_rules import encoded, fold_side
from sif.serve.tables import Side
from sif.tasks import Scale

__all__ = ["solve_users"]


def solve_users(network: InteractionNetwork, rows: sparse.csr_array, scale: Scale, *, steps: int = 200) -> Side:
    """Return the tables (for `Folded.scores_of`) of the users of `rows`, CSR ratings `[users, items]`.

    Minimises each user's mean squared error on their row plus training's penalty on an average user's row, by
    Adam from the mean user; a user with an empty row stays the mean user. Deterministic.
    """
    user = torch.from_numpy(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)))
    item = torch.from_numpy(rows.indices.astype(np.int64))
    target = scale.standardise(torch.from_numpy(np.asarray(rows.data, dtype=np.float32)))
    n_users, n_items = network.sizes
    (items,) = encoded(network, "item")
    zeros = items.new_zeros(n_users + n_items)
    biases = zeros if network.bias is None else network.bias.detach().squeeze(-1)
    offset = zeros[0] if network.offset is None else network.offset.detach()
    vectors = network.embedding.detach()[:n_users].mean(0).repeat(rows.shape[0], 1).requires_grad_()
    bias = biases[:n_users].mean().repeat(rows.shape[0]).requires_grad_()
    count = torch.bincount(user, minlength=rows.shape[0]).clamp_min(1)
    share = (1.0 / count)[user]
    settings = network.settings
    squared = settings.penalty == "squared"
    rated = torch.from_numpy(np.diff(rows.indptr) > 0).float()  # nothing pulls at a user with an empty row
    l2, bias_l2 = (rated * settings.l2, rated * settings.bias_l2) if squared else (rated * 0.0, rated * 0.0)
    has_bias = network.bias is not None
    learn = [vectors, bias] if has_bias else [vectors]
    adam = torch.optim.Adam(learn, lr=0.05)
    for _ in range(steps):
        lifted = _lift(network, vectors)
        error = network.predictor(lifted[user], items[item]) + biases[n_users + item] + offset - target
        if has_bias:
            error = error + bias[user]
        penalty = (l2 * vectors.square().sum(1) + bias_l2 * bias.square()).sum()
        loss = (error.square() * share).sum() + penalty
        for tensor, grad in zip(learn, torch.autograd.grad(loss, learn), strict=True):
            tensor.grad = grad
        adam.step()
    with torch.no_grad():
        solved = _lift(network, vectors)
    return fold_side(network, "user", [solved], (bias if has_bias else torch.zeros_like(bias)).detach() + offset)


def _lift(network: InteractionNetwork, vectors: Tensor) -> Tensor:
    if network.elementwise is None:
        return vectors
    stacked = vectors.unsqueeze(0).expand(len(network.sizes), *vectors.shape)
    lifted: Tensor = network.elementwise(stacked)[0]
    return lifted
