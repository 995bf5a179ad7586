"""A model of RecBole trained by RecBole's trainer on a split of ours, and its scores."""

import logging
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sif.datasets import Interactions, Split, Vocabulary
from sif.errors import DataError
from sif.integrations import IntegrationError
from sif.integrations.recbole_config import config_of
from sif.integrations.recbole_data import given_dataset
from sif.integrations.recbole_support import module, recbole_ready, replaced

__all__ = ["scores_from", "train_model", "trained_model"]

# Of RecBole's own values only these differ: what is measured, where, and how many users are evaluated at once.
_DEFAULTS: dict[str, Any] = {
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "gpu_id": "",
    "show_progress": False,
    "eval_batch_size": 1 << 17,
}


def train_model(
    name: str, train: sparse.csr_array, valid: sparse.csr_array, settings: Mapping[str, Any], seed: int
) -> Callable[[Tensor], Tensor]:
    """Train a general model of RecBole by its trainer, and return its scores of all items.

    The best epoch on `valid` is kept; with an empty `valid` the last one. Random states, environment and working
    directory are as before when it returns; nothing is left on the disk.

    Args:
        name: RecBole's name of the model.
        train: CSR `[users, items]`, whose stored entries are the positives.
        valid: The same of the validation part.
        settings: Keys of RecBole's Config. What is not given is RecBole's default, but for the CPU (`gpu_id` "0" is the
            first GPU) and early stopping by NDCG@10 on `valid` (RecBole: MRR@10).
        seed: Of RecBole.

    Returns:
        Takes users int64 `[B]` and gives float32 `[B, items]`, the items that are in no row too.

    Raises:
        IntegrationError: RecBole is missing, or cannot run the model or a setting here; with the reason.
    """
    return scores_from(*trained_model(name, train, valid, settings, seed)[:2])


def trained_model(
    name: str, train: sparse.csr_array, valid: sparse.csr_array, settings: Mapping[str, Any], seed: int
) -> tuple[Any, Any, int]:
    """Train as `train_model` does, and return RecBole's model, in evaluation, its dataset, and the epoch kept.

    Args:
        name: As `train_model` takes it, and so are the others.
        train: CSR `[users, items]`.
        valid: The same of the validation part.
        settings: Keys of RecBole's Config.
        seed: Of RecBole.
    """
    recbole_ready()
    if train.shape != valid.shape:
        raise DataError(f"train has shape {list(train.shape)}, valid {list(valid.shape)}; both are [users, items]")
    data, split = _rows(train, valid)
    with _surroundings() as folder:
        config = config_of(name, _DEFAULTS | dict(settings) | {"seed": seed, "checkpoint_dir": folder})
        utils = module("utils")
        utils.init_seed(seed, config["reproducibility"])
        try:
            return _train(config, given_dataset(config, data, split))
        except Exception as error:
            said = str(error).strip().splitlines()
            raise IntegrationError(
                f"RecBole's {name} cannot be trained here: {type(error).__name__}" + (f": {said[0]}" if said else "")
            ) from error


def _train(config: Any, dataset: Any) -> tuple[Any, Any, int]:
    loader, built = module("data.utils").get_dataloader, dataset.build()
    samplers = module("data").create_samplers(config, dataset, built)
    train = loader(config, "train")(config, built[0], samplers[0], shuffle=config["shuffle"])
    valid = loader(config, "valid")(config, built[1], samplers[1], shuffle=False) if len(built[1]) else None
    model = config.model_class(config, built[0]).to(config["device"])
    trainer_of = module("utils").get_trainer(config["MODEL_TYPE"], config["model"])
    with replaced(module("trainer.trainer"), get_tensorboard=lambda logger: _NoBoard()):
        trainer = trainer_of(config, model)
    trainer.fit(train, valid, verbose=False, saved=True, show_progress=False)
    best = torch.load(trainer.saved_model_file, map_location=config["device"], weights_only=False)  # written just now
    model.load_state_dict(best["state_dict"])
    model.load_other_parameter(best["other_parameter"])
    return model.eval(), dataset, int(best["epoch"]) + 1


def scores_from(model: Any, dataset: Any, rows: int = 1 << 17) -> Callable[[Tensor], Tensor]:
    """Return the scores of a general model of RecBole as `rank_metrics` takes them, by the numbers of sif.

    Args:
        model: The trained model; one without `full_sort_predict` is asked pair by pair.
        dataset: RecBole's, which it was trained on.
        rows: Pairs at once.

    Returns:
        Takes users int64 `[B]` (RecBole's id less 1) and gives float32 `[B, items]` on the CPU, without the padding.
    """
    interaction = module("data.interaction").Interaction
    user, item, n_items = dataset.uid_field, dataset.iid_field, dataset.item_num
    device = model.device

    def in_pairs(users: Tensor) -> Tensor:
        parts, block = [], max(1, rows // n_items)
        for start in range(0, len(users), block):
            some = users[start : start + block]
            pairs = {
                user: some.repeat_interleave(n_items),
                item: torch.arange(n_items, device=device).repeat(len(some)),
            }
            parts.append(model.predict(interaction(pairs)))
        return torch.cat(parts)

    @torch.no_grad()
    def scores_of(users: Tensor) -> Tensor:
        ids = users.to(device) + 1
        try:
            found = model.full_sort_predict(interaction({user: ids}))
        except NotImplementedError:
            found = in_pairs(ids)
        scores: Tensor = found.view(len(users), n_items)[:, 1:].float().cpu()
        return scores

    return scores_of


def _rows(train: sparse.csr_array, valid: sparse.csr_array) -> tuple[Interactions, Split]:
    """Two matrices as interactions, training rows first, with an empty test part."""
    parts = [sparse.coo_array(part) for part in (train, valid)]
    user, item = (np.concatenate([part.coords[axis] for part in parts]).astype(np.int64) for axis in range(2))
    users, items = (Vocabulary(np.arange(size)) for size in train.shape)
    data = Interactions(user, item, None, None, None, users, items, name="train and valid")
    rows, first = np.arange(len(user), dtype=np.int64), parts[0].nnz
    return data, Split(rows[:first], rows[first:], rows[:0], "files", 0, None, "")


class _NoBoard:
    """Takes what RecBole would write to a TensorBoard folder of the working directory."""

    def add_scalar(self, *_: Any) -> None:
        """Write nothing."""

    def add_hparams(self, *_: Any) -> None:
        """Write nothing."""


@contextmanager
def _surroundings() -> Iterator[str]:
    """A folder for checkpoints, and the random states and switches that RecBole sets, put back at the end.

    RecBole's remarks go to the root logger; they are shown where somebody listens to it, not by Python's last resort.
    """
    cudnn, silent = torch.backends.cudnn, logging.NullHandler()
    own, numbers = random.getstate(), np.random.get_state()
    switches = {"benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
    logging.getLogger().addHandler(silent)
    try:
        with torch.random.fork_rng(), tempfile.TemporaryDirectory(prefix="sif-recbole-") as folder:
            yield folder
    finally:
        logging.getLogger().removeHandler(silent)
        random.setstate(own)
        np.random.set_state(numbers)
        for name, value in switches.items():
            setattr(cudnn, name, value)
