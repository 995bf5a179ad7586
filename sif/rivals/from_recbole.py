"""NeuMF and LightGCN, trained by RecBole's own trainer; in a run NeuMF is a point of the wide space."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sif.operations.hinge import HINGE
from sif.operations.tables import FoldedSide, MlpFactor, Tables
from sif.rivals.base import Rival, point
from sif.rivals.method import Fit, Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.serve.folding import Folded

__all__ = ["LIGHTGCN", "NEUMF"]

_INSTALL = "pip install --no-deps recbole==1.2.1 thop, and its other packages (see docs/pipelines.md)"


def _trained(name: str, folded: Callable[[Any], Tables]) -> Fit:
    def fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
        from sif.integrations.recbole_train import scores_from, trained_model

        model, dataset, epoch = trained_model(name, table.train, table.valid, dict(settings), seed)
        with torch.no_grad():
            form = Folded(folded(model))
        return Fitted(scores_from(model, dataset), None, epoch=epoch, form=form)

    return fit


def _side(product: Tensor, mlps: tuple[Tensor, ...] = ()) -> FoldedSide:
    """Return a side without RecBole's first row, the padding."""
    side = FoldedSide.of(product.new_zeros(len(product)), product=product, mlps=mlps).float()
    return side.rows(torch.arange(1, len(product)))


def _lightgcn(model: Any) -> Tables:
    """The embeddings of all layers' mean, multiplied."""
    users, items = (each.detach().cpu() for each in model.forward())
    return Tables(_side(users), _side(items))


def _neumf(model: Any) -> Tables:
    """A weighted product beside an MLP of the concatenation; the logits, whose sigmoid RecBole predicts."""
    weights = {name: values.detach().cpu() for name, values in model.state_dict().items()}
    last, bias = weights["predict_layer.weight"], weights["predict_layer.bias"]
    names = [name.removesuffix(".weight") for name in weights if name.startswith("mlp_layers.") and "weight" in name]
    layers = [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]
    dim = weights["user_mf_embedding.weight"].shape[1] if model.mf_train else 0
    users, items = (weights[f"{side}_mf_embedding.weight"][:, :dim] for side in ("user", "item"))
    users = users * last[0, :dim]
    if not model.mlp_train:
        left, right = _side(users), _side(items)
        return Tables(replace(left, bias=left.bias + bias), right)
    (first, first_bias), *rest = layers
    half = first.shape[1] // 2
    lifted = weights["user_mlp_embedding.weight"] @ first[:, :half].T + first_bias
    other = weights["item_mlp_embedding.weight"] @ first[:, half:].T
    factor = MlpFactor(HINGE.name, (*rest, (last[:, dim:], bias)))
    return Tables(_side(users, (lifted,)), _side(items, (other,)), (factor,))


NEUMF = Rival(
    "neumf",
    "He et al. 2017",
    {"wide": point("neumf"), "lists": point("neumf")},
    method=Method(
        _trained("NeuMF", _neumf),
        # RecBole's defaults, which a small budget does not leave, then one change at a time. It stops by validation.
        (
            {},
            {"learning_rate": 0.0005},
            {"dropout_prob": 0.3},
            {"mlp_hidden_size": [64, 32, 16]},
            {"mf_embedding_size": 32, "mlp_embedding_size": 32, "mlp_hidden_size": [64, 32]},
            {"learning_rate": 0.005},
        ),
        "RecBole",
        package="recbole",
        install=_INSTALL,
    ),
)

LIGHTGCN = Rival(
    "lightgcn",
    "He et al. 2020",
    method=Method(
        _trained("LightGCN", _lightgcn),
        (
            {},
            {"learning_rate": 0.005},
            {"n_layers": 3},
            {"reg_weight": 1e-3},
            {"n_layers": 1},
            {"learning_rate": 0.002, "reg_weight": 1e-4},
        ),
        "RecBole",
        package="recbole",
        install=_INSTALL,
    ),
)
