"""Every value of the recipes of the wide space is read: changing it changes what a run leaves."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sif_samples import leaves, lines_of, write_ratings
from test_sif_fields import ELSEWHERE
from test_sif_fields import FIELDS as OF_RATINGS
from test_sif_ranking_run import SMALL, clicks

import sif
from sif.problems.ranking import RankingRecipe
from sif.problems.recipes import WideRecipe

MULTIPLY = {"space.operations": ["multiply"], "space.predictors": ["sum"], "space.encodings": ["id+history"]}
BPR = {"ranking.loss": "bpr", "ranking.hidden_share": 0.5}
CCL = BPR | {"ranking.loss": "ccl"}
RANKING: dict[str, tuple[dict[str, Any], Any]] = {
    "ranking.loss": ({"ranking.hidden_share": 0.5}, "bpr"),
    "ranking.negatives": (BPR, 3),
    "ranking.negative_power": (BPR, 1.0),
    "ranking.drawn": ({}, 3),
    "ranking.hidden_share": ({}, 0.3),
    "ranking.hidden_only": ({}, False),
    "ranking.margin": (CCL, -0.4),
    "ranking.negative_weight": (CCL, 3.0),
    "ranking.degree_weight": (BPR | {"ranking.loss": "degree-bce"}, 3.0),
    "ranking.threshold": ({}, 3.0),
    "ranking.metric": ({"space.predictors": ["sum", "linear", "distance"]}, "mrr"),
    "ranking.k": ({}, 2),
    "ranking.weight": ({}, "confidence"),
    "ranking.weight_power": ({"ranking.weight": "confidence"}, 1.0),
    "space.branches": ({}, 2),
    "space.encodings": ({}, ["id"]),
    "space.elementwise": ({}, ["network"]),
    "space.operations": ({}, ["max"]),
    "space.predictors": ({}, ["mlp"]),
    "space.biases": ({}, ["on"]),
    "space.embedding_dim": ({}, 3),
    "space.hidden": ({"space.elementwise": ["network"]}, 3),
    "space.mlp": ({"space.predictors": ["mlp"]}, [2]),
    "space.history_power": (MULTIPLY, 0.0),
    "space.history_half_life": (MULTIPLY | {"space.encodings": ["decayed-history"]}, 2.0),
    "space.propagation_steps": (MULTIPLY | {"space.encodings": ["propagated"]}, 1),
    "space.additive": ({}, True),
    "space.init_std": ({}, 0.5),
    "space.l2": ({}, 5.0),
    "space.bias_l2": ({"space.biases": ["on"]}, 5.0),
    "space.l2_frequency": (MULTIPLY | {"space.l2": 5.0}, 1.0),
}
REFUSED = {"space.penalty": "has one value that fits: test_core_wide_points"}
SAME_CODE = {"task": "has one value", "context": "has one value", "space.name": "has one value"}


@pytest.mark.parametrize("kind", [RankingRecipe, WideRecipe])
def test_the_table_is_complete(kind: type[WideRecipe]):
    shared = {key for key in (*OF_RATINGS, *ELSEWHERE) if not key.startswith("space.")} | {"columns"}
    covered = {*RANKING, *REFUSED, *SAME_CODE} | shared
    assert set(leaves(kind)) - covered == set()


def outcome(path: Path, recipe: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything that a run leaves and that should be the same twice."""
    run = sif.search(path, recipe=recipe, settings=settings, device="cpu")
    weights = hashlib.sha256((run.path / "model.safetensors").read_bytes()).hexdigest()
    facts = {key: run.result[key] for key in ("genotype", "metric", "metrics", "parameters")}
    return facts | {"trace": lines_of(run.path / "trace.jsonl"), "weights": weights}


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    """Outcomes of the settings that fields start from, each made once."""
    return {}


@pytest.mark.parametrize("field", RANKING)
def test_a_field_is_read(field: str, tmp_path: Path, before: dict[str, Any]):
    base, value = RANKING[field]
    base = SMALL | {"baselines.names": [], "strategy.settings.n_supernet_evals": 8} | base
    rated = field == "ranking.threshold"  # a threshold is of ratings
    data = write_ratings(tmp_path / "rated.csv") if rated else clicks(tmp_path / "clicks.csv")
    aged = field == "space.history_half_life"
    if aged or field.startswith("ranking.weight"):
        header, *rows = data.read_text().splitlines()
        name, step = ("timestamp", 86400) if aged else ("plays", 1)
        data.write_text("\n".join([f"{header},{name}", *(f"{row},{step * (1 + k % 7)}" for k, row in enumerate(rows))]))
    if (key := f"{rated} {base}") not in before:
        before[key] = outcome(data, "clicks", dict(base))
    after = outcome(data, "clicks", base | {field: value})
    assert after["trace"] != before[key]["trace"], f"{field} changes nothing"
    assert after["weights"] != before[key]["weights"]


def test_the_same_recipe_gives_the_same_outcome(tmp_path: Path):
    data = clicks(tmp_path / "clicks.csv")
    assert outcome(data, "clicks", SMALL) == outcome(data, "clicks", SMALL)
