"""Models of RecBole trained on our split: what comes out is theirs, and nothing of the process is changed."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from sif.errors import DataError
from sif.integrations import IntegrationError
from sif.integrations.recbole_support import module, recbole_ready
from sif.integrations.recbole_train import train_model
from sif.metrics import rank_metrics

try:
    recbole_ready()
except IntegrationError as error:
    pytest.skip(f"RecBole is not here: {error}", allow_module_level=True)

USERS, ITEMS = 40, 30
EVERYBODY = torch.arange(USERS)


def groups(seed: int = 0) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Training and validation of users who like the items of their own half."""
    draw = np.random.default_rng(seed)
    mine = (np.arange(USERS)[:, None] < USERS // 2) == (np.arange(ITEMS)[None] < ITEMS // 2)
    part = draw.random((USERS, ITEMS))
    return sparse.csr_array(mine & (part < 0.6)), sparse.csr_array(mine & (part > 0.8))


def separation(scores: torch.Tensor) -> float:
    """Share of users whose mean score in their own half is above that in the other."""
    halves = scores.view(USERS, 2, ITEMS // 2).mean(2)
    wins = torch.where(EVERYBODY < USERS // 2, halves[:, 0] > halves[:, 1], halves[:, 1] > halves[:, 0])
    return float(wins.float().mean())


@pytest.mark.parametrize("name", ["BPR", "NeuMF", "LightGCN", "SLIMElastic", "MultiVAE"])
def test_models_of_each_kind_learn(name: str):
    """With negatives, in pairs of one score, of a graph, in closed form, of whole rows."""
    train, valid = groups()
    settings: dict[str, Any] = {"epochs": 60, "learning_rate": 0.02, "train_batch_size": 64, "stopping_step": 60}
    if name == "SLIMElastic":
        settings = {"alpha": 0.01}
    scores = train_model(name, train, valid, settings, 0)(EVERYBODY)
    assert scores.shape == (USERS, ITEMS)
    assert scores.dtype == torch.float32
    assert separation(scores) > 0.9


def test_scores_of_ease_are_its_closed_form():
    """B = I - P / diag(P) with P = (X'X + lambda I)^-1 (Steck, WWW 2019, eq. 8): ids are ours, padding is gone."""
    train, valid = groups()
    result = train_model("EASE", train, valid, {"reg_weight": 5.0}, 0)
    x = train.toarray().astype(np.float64)
    p = np.linalg.inv(x.T @ x + 5.0 * np.eye(ITEMS))
    b = p / -np.diag(p)
    np.fill_diagonal(b, 0.0)
    some = torch.tensor([3, 39, 0])
    np.testing.assert_allclose(result(some).numpy(), (x @ b)[some.numpy()], atol=1e-5)


def test_the_best_epoch_on_validation_is_kept(monkeypatch: pytest.MonkeyPatch):
    result, trainer = [], module("trainer").Trainer
    fit = trainer.fit
    monkeypatch.setattr(trainer, "fit", lambda self, *a, **k: result.append(fit(self, *a, **k)) or result[-1])
    train, valid = groups()
    settings = {"epochs": 12, "learning_rate": 0.05, "train_batch_size": 64, "metric_decimal_place": 9}
    scores_of = train_model("BPR", train, valid, settings, 1)
    assert result[0][0] == pytest.approx(rank_metrics(scores_of, train, valid)["ndcg@10"], abs=1e-6)


def test_a_setting_reaches_the_model_and_a_seed_the_draws():
    train, valid = groups()
    few = {"epochs": 3, "embedding_size": 4}
    first = train_model("BPR", train, valid, few, 0)(EVERYBODY)
    assert torch.equal(train_model("BPR", train, valid, few, 0)(EVERYBODY), first)
    for settings, seed in ((few, 1), (few | {"embedding_size": 8}, 0), (few | {"epochs": 4}, 0)):
        assert not torch.equal(train_model("BPR", train, valid, settings, seed)(EVERYBODY), first)


def test_without_validation_the_last_epoch_counts_and_cold_items_have_scores():
    train, _ = groups()
    wider = sparse.csr_array((train.data, train.indices, train.indptr), shape=(USERS, ITEMS + 3))
    scores = train_model("BPR", wider, sparse.csr_array(wider.shape), {"epochs": 2}, 0)(EVERYBODY[:5])
    assert scores.shape == (5, ITEMS + 3)
    assert bool(scores.isfinite().all())


def state() -> dict[str, Any]:
    cudnn = torch.backends.cudnn
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "cudnn": (cudnn.benchmark, cudnn.deterministic),
        "handlers": list(__import__("logging").getLogger().handlers),
    }


@pytest.mark.parametrize("settings", [{"epochs": 1}, {"epochs": 1, "learning_rate": float("nan")}])
def test_nothing_is_left_behind(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither random states, switches, handlers nor files; whether it trains or fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = state()
    if settings["epochs"] == 1 and len(settings) == 1:
        train_model("BPR", *groups(), settings, 5)
    else:
        with pytest.raises(IntegrationError, match="RecBole's BPR cannot be trained here: ValueError"):
            train_model("BPR", *groups(), settings, 5)
    assert state() == before
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_trained_says_why():
    train, valid = groups()
    with pytest.raises(DataError, match=r"train has shape \[40, 30\], valid \[39, 30\]"):
        train_model("BPR", train, valid[:39], {}, 0)
    with pytest.raises(IntegrationError, match="has no setting n_layer\n  Did you mean n_layers"):
        train_model("LightGCN", train, valid, {"n_layer": 2}, 0)
    full = sparse.csr_array(np.ones((4, 3)))
    with pytest.raises(IntegrationError, match="RecBole's BPR cannot be trained here: ValueError: Some users have int"):
        train_model("BPR", full, sparse.csr_array((4, 3)), {}, 0)


def test_a_model_that_lacks_a_library_says_which(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        IntegrationError, match="RecBole's NCL cannot be trained here: ModuleNotFoundError: import of fai"
    ):
        train_model("NCL", *groups(), {"epochs": 1, "warm_up_step": 0}, 0)
