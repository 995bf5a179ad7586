"""RecBole both ways: its data, its models on our split, and `SIF`, a found function that its own trainer trains.

Importing this module needs RecBole 1.2.1 (`recbole_ready` says how to install it); the rest of sif does not.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from sif.encodings.histories import Histories
from sif.integrations import IntegrationError
from sif.integrations.recbole_data import (
    RecBoleData,
    from_recbole,
    split_from_recbole,
    to_recbole,
    write_atomic,
)
from sif.integrations.recbole_support import recbole_ready
from sif.integrations.recbole_train import scores_from, train_model
from sif.serve.folding import Folded
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import additive_reason, is_additive_point, named
from sif.spaces.wide_settings import WideSettings
from sif.tasks.queries import Queries
from sif.tasks.ranking_losses import Marked, bce, bpr, softmax

recbole_ready()

from recbole.model.abstract_recommender import GeneralRecommender  # noqa: E402
from recbole.utils import InputType, ModelType  # noqa: E402

__all__ = [
    "SIF",
    "RecBoleData",
    "from_recbole",
    "recbole_ready",
    "scores_from",
    "split_from_recbole",
    "to_recbole",
    "train_model",
    "write_atomic",
]


class SIF(GeneralRecommender):  # type: ignore[misc]
    """A function of the wide space as a general model of RecBole.

    Keys of RecBole's Config: `sif_genotype` (a genotype, its JSON, or the path of a `genotype.json`), or `sif_point`
    (a name of `sif.spaces.wide_points.NAMED`, "mf" without either) with `sif_settings` (those of `WideSettings`:
    `{"embedding_dim": 64, "l2": 0.01}`); and `sif_loss`, of each positive of a batch with RecBole's sampled negative:
    "bpr" (default), "bce", or "softmax" over all items (the negative is then not used). Histories are those of the
    data set that the model is made with: give it the training part. While it trains, the history of a user lacks the
    positive that is scored, and that of the positive lacks the user.

    Sizes count RecBole's padding, user 0 and item 0, which no pair names. An additive function is refused: it would
    rank the items alike for every user. Raises IntegrationError with the reason for what cannot be built.
    """

    type = ModelType.GENERAL
    input_type = InputType.PAIRWISE
    settings = ("sif_genotype", "sif_point", "sif_settings", "sif_loss")

    def __init__(self, config: Any, dataset: Any) -> None:
        """Build the network for the users and items of the data set, with its pairs as histories."""
        super().__init__(config, dataset)
        pairs = _pairs(dataset)
        sizes = self.n_users, self.n_items
        try:
            self.genotype = _genotype(config)
            if is_additive_point(self.genotype):
                raise GenotypeError(additive_reason(self.genotype))
            self.network = WideNetwork(sizes, self.genotype, Histories.of(*pairs, sizes))
        except (GenotypeError, SpaceError, TypeError) as error:
            raise IntegrationError(f"RecBole's Config names no function that can be trained: {error}") from error
        self._loss = _loss(config["sif_loss"] or "bpr")
        self.network.reset(torch.Generator().manual_seed(config["seed"]))
        self._folded: Folded | None = None

    def train(self, mode: bool = True) -> "SIF":
        """Switch between training and evaluation, as torch does; what was folded may be old from here on."""
        self._folded = None
        super().train(mode)
        return self

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the mean loss of RecBole's pairs with its negatives, and the network's own penalty if it has one."""
        self._folded = None
        negatives = interaction.interaction.get(self.NEG_ITEM_ID)
        return self._loss(self.network, interaction[self.USER_ID], interaction[self.ITEM_ID], negatives)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return scores float32 `[n]` of pairs; a training pair is left out of the histories that score it.

        Args:
            user: RecBole's numbers of users, int64 `[n]`.
            item: RecBole's numbers of items, int64 `[n]`.
        """
        scores: Tensor = self.network(torch.stack([user, item]))
        return scores

    def predict(self, interaction: Any) -> Tensor:
        """Return scores float32 `[n]` of the pairs of RecBole's batch (see `forward`)."""
        return self.forward(interaction[self.USER_ID], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return scores float32 `[users * items]` of all items for the users of a batch, with whole histories.

        The function is folded once after each change of the weights that goes through `train`, `eval` or the loss.
        """
        if self._folded is None:
            self._folded = Folded(self.network)
        return self._folded.scores(interaction[self.USER_ID]).flatten()


def _pairs(dataset: Any) -> tuple[Tensor, Tensor]:
    users, items = (dataset.inter_feat[field] for field in (dataset.uid_field, dataset.iid_field))
    if not isinstance(users, Tensor):
        raise IntegrationError(
            "this data set is whole, and SIF's histories would hold what is to be predicted\n"
            "  Make it with the training part: SIF(config, train_data.dataset)."
        )
    return users, items


def _genotype(config: Any) -> Genotype:
    given, point = config["sif_genotype"], config["sif_point"]
    if given is None:
        settings: Mapping[str, Any] = config["sif_settings"] or {}
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
        }
        return named(point or "mf", WideSettings(**values))
    if point is not None or config["sif_settings"] is not None:
        raise GenotypeError("sif_genotype holds its own settings; leave out sif_point and sif_settings")
    if isinstance(given, Genotype):
        return given
    if isinstance(given, Mapping):
        given = json.dumps(given)
    if not str(given).lstrip().startswith("{"):
        path = Path(given)
        if not path.is_file():
            raise GenotypeError(f"there is no file {path}; give the path of a genotype.json, or its text")
        given = path.read_text(encoding="utf-8")
    return Genotype.from_json(str(given))


Loss = Callable[[WideNetwork, Tensor, Tensor, Tensor | None], Tensor]


def _loss(name: str) -> Loss:
    if name == "softmax":
        return _over_all
    if name not in ("bpr", "bce"):
        raise IntegrationError(f"sif_loss = {name!r}; there are bpr, bce and softmax")
    of_scores = {"bpr": bpr, "bce": bce}[name]

    def sampled(network: WideNetwork, users: Tensor, positives: Tensor, negatives: Tensor | None) -> Tensor:
        if negatives is None:
            raise IntegrationError(f"sif_loss = {name!r} needs negatives: leave train_neg_sample_args as they are")
        own = torch.stack([positives, negatives], dim=1)
        scores, penalty = network.penalised(Queries(users, own, users.new_empty(0), first=True))
        target = torch.zeros_like(own, dtype=torch.int8)
        target[:, 0] = 1
        return _sum(of_scores(scores, target), penalty)

    return sampled


def _over_all(network: WideNetwork, users: Tensor, positives: Tensor, negatives: Tensor | None) -> Tensor:
    """The softmax of each positive over all items; of the items for all, its own place is left out, and padding."""
    every = torch.arange(1, network.sizes[1], device=users.device)
    scores, penalty = network.penalised(Queries(users, positives.unsqueeze(1), every, first=True))
    row = torch.arange(len(users), device=users.device)
    wanted = torch.arange(2, device=users.device).repeat_interleave(len(users)) == 0
    marked = Marked(row.repeat(2), torch.cat([torch.zeros_like(positives), positives]), wanted)
    return _sum(softmax(scores, marked), penalty)


def _sum(loss: Tensor, penalty: Tensor | None) -> Tensor:
    return loss if penalty is None else loss + penalty
