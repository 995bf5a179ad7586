"""The searched recommender under RecBole's default protocol: its split of MovieLens 100K, judged by its own evaluator.

python benchmarks/recbole_protocol.py [--seeds 3]   (needs RecBole: docs/pipelines.md)
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sif
from common import Timed, arguments, finish
from sif.datasets import Interactions, Split, to_frame
from sif.integrations.recbole_data import split_from_recbole
from sif.integrations.recbole_support import module, recbole_ready

TOLD: dict[str, Any] = {
    "seed": 2020,
    "metrics": ["NDCG", "Recall", "Hit", "MRR"],
    "metric_decimal_place": 6,
    "topk": [10],
    "valid_metric": "NDCG@10",
    "show_progress": False,
    "gpu_id": "",
}


def loaders() -> tuple[Any, Any, Any, Any]:
    """Return RecBole's configuration and its three loaders: random 80/10/10 by user, all ratings positive."""
    arguments_of_this, sys.argv = sys.argv, [""]  # RecBole would read them
    try:
        config = module("config.configurator").Config(model="BPR", dataset="ml-100k", config_dict=TOLD)
    finally:
        sys.argv = arguments_of_this
    module("utils").init_seed(config["seed"], config["reproducibility"])
    data = module("data")
    return config, *data.data_preparation(config, data.create_dataset(config))


def judge(config: Any, dataset: Any, loader: Any, scores: np.ndarray) -> dict[str, float]:
    """Return RecBole's own figures for scores `[users + 1, items + 1]` in its ids."""
    kind = module("model.abstract_recommender").GeneralRecommender

    class Given(kind):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(config, dataset)
            self.scores = torch.nn.Parameter(torch.from_numpy(scores))

        def full_sort_predict(self, interaction: Any) -> torch.Tensor:
            return self.scores[interaction["user_id"]].reshape(-1)

    trainer = module("trainer").Trainer(config, Given())
    metrics: dict[str, float] = trainer.evaluate(loader, load_best_model=False, show_progress=False)
    return metrics


def write_parts(interactions: Interactions, cut: Split, folder: Path) -> dict[str, str]:
    """Write the parts as Parquet and return their paths."""
    paths = {}
    for part in ("train", "valid", "test"):
        paths[part] = str(folder / f"{part}.parquet")
        to_frame(interactions.take(getattr(cut, part))).select("user", "item").write_parquet(paths[part])
    return paths


def scores_of(run: sif.Run, dataset: Any) -> np.ndarray:
    """Return the run's scores in RecBole's ids, float32 `[users + 1, items + 1]`; the padding rows are zero."""

    ids = json.loads((run.path / "ids.json").read_text())
    folded = run.recommender().folded
    own = folded.scores(torch.arange(folded.n_users)).numpy()
    out = np.zeros((dataset.user_num, dataset.item_num), np.float32)
    rows, columns = (dataset.token2id(field, [str(x) for x in ids[side]]) for field, side in FIELDS)
    out[np.ix_(rows, columns)] = own
    return out


FIELDS = (("user_id", "users"), ("item_id", "items"))


def main() -> None:
    parser = arguments(__doc__ or "", seeds=3)
    parser.add_argument("--recipe", default="movielens-ranking")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recbole_ready()
    with tempfile.TemporaryDirectory() as folder:
        rows = run_all(Path(folder), options)
    columns = ("seed", "found", "valid", "NDCG@10, RecBole", "NDCG@10, sif", "Recall@10", "seconds in all")
    figures = {"rows": rows, "mean": float(np.mean([row["recbole"] for row in rows]))}
    finish("RecBole's protocol", columns, [list(row.values()) for row in rows], figures)


def run_all(folder: Path, options: Any) -> list[dict[str, Any]]:
    config, train, valid, test = loaders()
    paths = write_parts(*split_from_recbole(train.dataset, valid.dataset, test.dataset), folder)
    alone = {"valid": paths["valid"], "test": paths["test"], "baselines.names": [], "baselines.random": False}
    rows = []
    for seed in range(options.seeds):
        with Timed() as timed:
            run = sif.search(paths["train"], recipe=options.recipe, settings=alone, seed=seed, device="cpu")
        theirs = judge(config, train.dataset, test, scores_of(run, train.dataset))
        metrics = run.result["metrics"]
        rows.append(
            {
                "seed": seed,
                "found": run.formula,
                "valid": metrics["valid"]["ndcg@10"],
                "recbole": float(theirs["ndcg@10"]),
                "sif": metrics["test"]["ndcg@10"],
                "recall": float(theirs["recall@10"]),
                "seconds": timed.seconds,
            }
        )
    return rows


if __name__ == "__main__":
    main()
