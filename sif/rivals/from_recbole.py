"""NeuMF and LightGCN, trained by RecBole's own trainer; in a run NeuMF is a point of the wide space."""

from sif.rivals.base import Rival, point
from sif.rivals.method import Fit, Fitted, Method, Settings
from sif.rivals.pair_table import PairTable

__all__ = ["LIGHTGCN", "NEUMF"]

_INSTALL = "pip install --no-deps recbole==1.2.1 thop, and its other packages (see docs/pipelines.md)"


def _trained(model: str) -> Fit:
    def fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
        from sif.integrations.recbole_train import train_model

        return Fitted(train_model(model, table.train, table.valid, dict(settings), seed), None)

    return fit


NEUMF = Rival(
    "neumf",
    "He et al. 2017",
    {"wide": point("neumf"), "lists": point("neumf")},
    method=Method(
        _trained("NeuMF"),
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
        _trained("LightGCN"),
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
