"""NeuMF, LightGCN, Mult-VAE and RecVAE, by RecBole's own trainer; in a run the first two are points of the space."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sif.operations.hinge import HINGE
from sif.operations.tables import FoldedSide, MlpFactor, Tables
from sif.rivals.base import Rival, point
from sif.rivals.method import Fit, Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.serve.encoded_rows import EncodedRows, RowLayer
from sif.serve.folding import Folded

__all__ = ["LIGHTGCN", "MULTVAE", "NEUMF", "RECVAE"]

_INSTALL = "pip install --no-deps recbole==1.2.1 thop, and its other packages (see docs/pipelines.md)"


def _trained(name: str, folded: Callable[[Any], Tables | Folded]) -> Fit:
    def fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
        from sif.integrations.recbole_train import scores_from, trained_model

        model, dataset, epoch = trained_model(name, table.train, table.valid, dict(settings), seed)
        with torch.no_grad():
            made = folded(model)
            form = made if isinstance(made, Folded) else Folded(made)
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


def _multvae(model: Any) -> Folded:
    """Every layer but the last on what a user has, of unit length, and the last one's rows and biases of the items."""
    encoder, decoder = (
        [layer for layer in part if hasattr(layer, "weight")] for part in (model.encoder, model.decoder)
    )
    *hidden, last = [(layer.weight.detach().cpu(), layer.bias.detach().cpu()) for layer in (*encoder, *decoder)]
    latent, end = model.lat_dim // 2, len(encoder) - 1
    hidden[0] = hidden[0][0][:, 1:], hidden[0][1]  # without the padding
    hidden[end] = hidden[end][0][:latent], hidden[end][1][:latent]  # the means, and not the variances
    rows = EncodedRows([RowLayer(weight, bias, place != end) for place, (weight, bias) in enumerate(hidden)])
    items = last[0][1:]
    users = rows.factors(items, _rows_of(model))
    right = FoldedSide.of(last[1][1:], product=items)
    return Folded(Tables(FoldedSide.of(users.new_zeros(len(users)), product=users), right), by_rows=rows)


def _recvae(model: Any) -> Tables:
    """The means of the users' codes, times the decoder's rows, with its biases; a new row would need the encoder."""
    rows, last = _rows_of(model), model.decoder
    parts = [torch.from_numpy(rows[start : start + 512].toarray()) for start in range(0, rows.shape[0], 512)]
    padded = (torch.nn.functional.pad(part, (1, 0)).to(model.device) for part in parts)
    users = torch.cat([model.encoder(part, 0.0)[0].cpu() for part in padded])
    right = FoldedSide.of(last.bias.detach().cpu()[1:], product=last.weight.detach().cpu()[1:])
    return Tables(FoldedSide.of(users.new_zeros(len(users)), product=users), right)


def _rows_of(model: Any) -> sparse.csr_array:
    """Return what users have, as RecBole's auto-encoders hold it, CSR `[users, items]` without the padding."""
    columns, there = model.history_item_id[1:].cpu().numpy(), model.history_item_value[1:].cpu().numpy() > 0
    users = np.repeat(np.arange(len(columns)), there.sum(1))
    parts = np.ones(len(users), np.float32), (users, columns[there] - 1)
    return sparse.csr_array(parts, shape=(len(columns), model.n_items - 1))


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
    {"wide": point("lightgcn"), "lists": point("lightgcn")},
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

MULTVAE = Rival(
    "multvae",
    "Liang et al. 2018, arXiv:1802.05814",
    method=Method(
        _trained("MultiVAE", _multvae),
        # RecBole anneals over 200,000 steps, which a small table never takes; the paper's latent size is 200.
        (
            {},
            {"total_anneal_steps": 2000},
            {"latent_dimension": 400},
            {"learning_rate": 0.003},
            {"dropout_prob": 0.7},
            {"anneal_cap": 0.5, "total_anneal_steps": 2000},
        ),
        "RecBole",
        package="recbole",
        install=_INSTALL,
    ),
)

RECVAE = Rival(
    "recvae",
    "Shenbin et al. 2020, arXiv:1912.11160",
    method=Method(
        _trained("RecVAE", _recvae),
        (
            {},
            {"gamma": 0.0035},
            {"gamma": 0.01},
            {"learning_rate": 0.0005},
            {"latent_dimension": 100},
            {"dropout_prob": 0.3},
        ),
        "RecBole",
        package="recbole",
        install=_INSTALL,
    ),
)
