"""Biased matrix factorisation, trained by sif's own loop: the dot product that a searched function must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from sif.datasets import Interactions, Split, Vocabulary
from sif.rivals.method import Fitted, Method, Settings, grid_of
from sif.rivals.table import Table
from sif.serve.folding import Folded
from sif.spaces.build import parameters_of
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import named
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask

__all__ = ["BIASED_MF", "task_of"]


def task_of(table: Table, settings: dict[str, Any]) -> RankingTask:
    """Return a ranking task on the train and validation parts of a table; `settings` are those of `RankingSettings`.

    What was seen and does not count as a positive is rated 0, everything else 1, and the threshold is 1.
    """
    below = sparse.csr_array(table.seen_valid - table.train.multiply(table.seen_valid))
    parts = [sparse.coo_array(part) for part in (table.train, below, table.valid)]
    user, item = (np.concatenate([part.coords[axis] for part in parts]).astype(np.int64) for axis in range(2))
    sizes = [part.nnz for part in parts]
    rating = np.repeat(np.array([1, 0, 1], np.float32), sizes)
    users, items = (Vocabulary(np.arange(size)) for size in table.train.shape)
    data = Interactions(user, item, rating, None, None, users, items, name="the compared table")
    rows, end = np.arange(len(user), dtype=np.int64), sizes[0] + sizes[1]
    split = Split(rows[:end], rows[end:], rows[:0], "files", 0, None, "")
    return RankingTask(data, split, RankingSettings(threshold=1.0, **settings))


def _biased_mf(table: Table, settings: Settings, seed: int) -> Fitted:
    # Histories are not encoded here: what the softmax hides changes nothing, and all of a user's pairs are wanted.
    loss = {"hidden_only": False} if settings["loss"] == "softmax" else {"negatives": settings["negatives"]}
    task = task_of(table, {"loss": settings["loss"]} | loss)
    own = WideSettings(embedding_dim=settings["embedding_dim"], l2=settings["l2"], init_std=0.1)
    network = WideNetwork(task.sizes, named("biased-mf", own), task.histories(), task.counts())
    training = Training(
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        optimiser=Optimiser("adam", settings["learning_rate"]),
        evaluate_every=5,
        patience=4,
        keep_best=True,
    )
    train(network, task, training, seed=seed, label="biased-mf")
    return Fitted(Folded(network).scores, parameters_of(network))


_SOFTMAX: dict[str, Any] = {"loss": "softmax", "learning_rate": 0.02, "batch_size": 256, "epochs": 200}
_BCE: dict[str, Any] = {"loss": "bce", "negatives": 4, "learning_rate": 0.003, "batch_size": 4096, "epochs": 120}

BIASED_MF = Method(
    "biased-mf",
    _biased_mf,
    # What the penalty should be goes with the loss and the data, and decides most; 64 entries suffice for most data.
    (
        *(
            _SOFTMAX | dict(point)
            for point in grid_of(
                {"l2": 0.07, "embedding_dim": 64},
                l2=(0.02, 0.03, 0.05, 0.07, 0.1, 0.2),
                embedding_dim=(32, 64, 128),
            )
        ),
        *(
            _BCE | dict(point)
            for point in grid_of(
                {"l2": 0.01, "embedding_dim": 64}, l2=(0.003, 0.005, 0.01, 0.02), embedding_dim=(32, 64, 128)
            )
        ),
    ),
    "Koren, Bell and Volinsky 2009, equation 4, trained to rank (Rendle et al. 2020, arXiv:2005.09683); sif's loop",
)
