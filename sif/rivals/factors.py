"""Factorisations, with biases and without: the dot product that a searched function must beat, and CP."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from nasp_core.types import Mixture
from sif.datasets import Interactions, Split, Vocabulary
from sif.encodings.sides import SidedNetwork
from sif.rivals.base import Rival, fixed, point, with_context
from sif.rivals.method import Fitted, Method, Settings, grid_of
from sif.rivals.pair_table import PairTable
from sif.serve.networks import FoldedNetwork
from sif.spaces.build import parameters_of
from sif.spaces.interaction import InteractionNetwork, InteractionSettings
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import named
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask

__all__ = ["BIASED_CP", "BIASED_MF", "CP", "INNER_PRODUCT", "task_of"]


class InnerProduct(SidedNetwork):
    """The inner product of the embeddings (for three modes the sum of their product: CP)."""

    settings: InteractionSettings

    @torch.no_grad()
    def as_function(self) -> InteractionNetwork:
        """Return the same as a function of the small space, `multiply` with weights of 1: it makes new users too."""
        own = replace(self.settings, operations=("multiply",), hidden=0, max_norm=None, l2_frequency=0.0)
        made = InteractionNetwork(self.sizes, own)
        made.load_state_dict(self.state_dict(), strict=False)
        made.predictor.weight.fill_(1.0)
        return made

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return rows.prod(0).sum(-1) if rows.shape[0] > 2 else (rows[0] * rows[1]).sum(-1)


class Cp(InnerProduct):
    """CP, started as the product of user and item: a product of three small numbers would never move."""

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw all as elsewhere; the contexts start at one."""
        super().reset(generator)
        self.embedding[-self.sizes[2] :] += 1.0


def task_of(table: PairTable, settings: dict[str, Any]) -> RankingTask:
    """Return a ranking task on the train and validation parts of a table; `settings` are those of `RankingSettings`.

    What was seen and does not count as a positive is rated 0, everything else 1, and the threshold is 1. Positives of
    training have the confidence that the table has for them.
    """
    below = sparse.csr_array(table.seen_valid - table.train.multiply(table.seen_valid))
    parts = [sparse.coo_array(part) for part in (table.train, below, table.valid)]
    user, item = (np.concatenate([part.coords[axis] for part in parts]).astype(np.int64) for axis in range(2))
    sizes = [part.nnz for part in parts]
    rating = np.repeat(np.array([1, 0, 1], np.float32), sizes)
    users, items = (Vocabulary(np.arange(size)) for size in table.train.shape)
    data = Interactions(user, item, rating, None, None, users, items, name="the compared table")
    if table.confidence is not None:
        data = replace(data, weight=np.concatenate([table.confidence, np.ones(sum(sizes[1:]), np.float32)]))
        settings = settings | {"weight": "confidence", "weight_power": 1.0}
    rows, end = np.arange(len(user), dtype=np.int64), sizes[0] + sizes[1]
    split = Split(rows[:end], rows[end:], rows[:0], "files", 0, None, "")
    return RankingTask(data, split, RankingSettings(threshold=1.0, **settings))


def _biased_mf(table: PairTable, settings: Settings, seed: int) -> Fitted:
    # Histories are not encoded here: what the softmax hides changes nothing, and all of a user's pairs are wanted.
    loss = {"hidden_only": False} if settings["loss"] == "softmax" else {"negatives": settings["negatives"]}
    task = task_of(table, {"loss": settings["loss"]} | loss)
    own = WideSettings(embedding_dim=settings["embedding_dim"], l2=settings["l2"], init_std=0.1)
    genotype = named("biased-mf", own)
    network = WideNetwork(task.sizes, genotype, task.histories(), task.counts())
    stops = table.valid.nnz > 0
    training = Training(
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        optimiser=Optimiser("adam", settings["learning_rate"]),
        evaluate_every=5 if stops else 0,
        patience=4 if stops else None,
        keep_best=stops,
    )
    done = train(network, task, training, seed=seed, label="biased-mf")
    form = FoldedNetwork(network.eval(), task.objective, genotype)
    return Fitted(form, parameters_of(network), epoch=done.epoch)


_SOFTMAX: dict[str, Any] = {"loss": "softmax", "learning_rate": 0.02, "batch_size": 256, "epochs": 200}
_BCE: dict[str, Any] = {"loss": "bce", "negatives": 4, "learning_rate": 0.003, "batch_size": 4096, "epochs": 120}

INNER_PRODUCT = Rival(
    "inner-product",
    "Koren, Bell and Volinsky 2009, equation 1",
    {"pairs": fixed(InnerProduct, biases=False), "lists": point("mf")},
    aliases=("mf",),
)
CP = Rival("cp", "Hitchcock 1927", {"triples": fixed(with_context(Cp), biases=False)})
BIASED_CP = Rival("biased-cp", "CP with biases", {"triples": fixed(with_context(Cp), tuned=True, biases=True)})
BIASED_MF = Rival(
    "biased-mf",
    "Koren, Bell and Volinsky 2009, equation 4",
    {"pairs": fixed(InnerProduct, tuned=True, biases=True), "lists": point("biased-mf")},
    method=Method(
        _biased_mf,
        # What the penalty should be goes with the loss and the data, and decides most; 64 entries suffice for most.
        (
            *(
                _SOFTMAX | dict(at)
                for at in grid_of(
                    {"l2": 0.07, "embedding_dim": 64},
                    l2=(0.02, 0.03, 0.05, 0.07, 0.1, 0.2),
                    embedding_dim=(32, 64, 128),
                )
            ),
            *(
                _BCE | dict(at)
                for at in grid_of(
                    {"l2": 0.01, "embedding_dim": 64}, l2=(0.003, 0.005, 0.01, 0.02), embedding_dim=(32, 64, 128)
                )
            ),
        ),
        "trained to rank (Rendle et al. 2020, arXiv:2005.09683); sif's loop",
        weighted=True,
    ),
)
