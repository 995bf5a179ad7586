"""Every value of a recipe is read: changing it changes what a run leaves."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sif_samples import TINY, leaves, lines_of, planted_rows, text_of

import sif
from sif.problems.recipes import Recipe

HIDDEN = {"space.hidden": 4}
FROBENIUS = {"space.penalty": "frobenius", "space.l2": 0.01, "space.bias_l2": 0.0, "space.l2_frequency": 0.0}
BETAS = [0.9, 0.999]
LONG = {
    "train.epochs": 12,
    "train.optimiser.learning_rate": 0.3,
    "train.optimiser.schedule": "constant",
    "space.l2": 0.0,
}
TENSOR = {
    "space.name": "tensor-interaction",
    "space.operations": ["plus_plus", "max_max", "0_multiply_plus"],
    "context": "column",
}


def optimiser(table: str, **values: Any) -> dict[str, Any]:
    return {f"{table}.optimiser.{key}": value for key, value in values.items()}


def of_optimiser(table: str) -> dict[str, tuple[dict[str, Any], Any]]:
    sgd = optimiser(table, kind="sgd", betas=BETAS, learning_rate=0.05)
    return {
        f"{table}.optimiser.kind": (optimiser(table, betas=BETAS), "adagrad"),
        f"{table}.optimiser.learning_rate": ({}, 0.02),
        f"{table}.optimiser.momentum": (sgd, 0.9),
        f"{table}.optimiser.weight_decay": ({}, 0.1),
        f"{table}.optimiser.clip": ({}, 0.01),
        f"{table}.optimiser.schedule": ({}, "cosine"),
        f"{table}.optimiser.betas": ({}, [0.5, 0.9]),
        f"{table}.optimiser.final_learning_rate": (optimiser(table, schedule="linear"), 0.005),
    }


FIELDS: dict[str, tuple[dict[str, Any], Any]] = {
    "columns.item": ({"columns": {"item": "movie_id"}}, "other_item"),
    "context": (TENSOR, "month"),
    "seed": ({}, 1),
    "split.kind": ({}, "temporal"),
    "split.fractions": ({}, [0.6, 0.2, 0.2]),
    "split.seed": ({}, 5),
    "space.name": ({}, None),
    "space.operations": ({}, ["max", "min"]),
    "space.embedding_dim": ({}, 5),
    "space.hidden": ({}, 4),
    "space.residual": (HIDDEN, True),
    "space.biases": ({"space.bias_l2": 0.0}, False),
    "space.max_norm": ({}, 0.2),
    "space.init_std": ({}, 0.5),
    "space.predictor_start": ({}, "uniform"),
    "space.penalty": ({**FROBENIUS}, "squared"),
    "space.l2": ({}, 0.2),
    "space.bias_l2": ({}, 0.5),
    "space.l2_frequency": ({"space.l2": 0.2}, 1.0),
    "strategy.name": ({}, "darts"),
    "strategy.settings.alpha_lr": ({}, 0.5),
    "search.epochs": ({}, 3),
    "search.batch_size": ({}, 64),
    "search.evaluate_every": ({}, 2),
    "search.min_steps": ({}, 40),
    "search.patience": ({"search.epochs": 12, **optimiser("search", learning_rate=0.5, schedule="constant")}, 1),
    **of_optimiser("search"),
    "train.epochs": ({}, 4),
    "train.batch_size": ({}, 64),
    "train.evaluate_every": ({}, 2),
    "train.min_steps": ({}, 40),
    "train.patience": ({**LONG, "train.patience": 12}, 1),
    "train.keep_best": ({**LONG, "train.patience": 12}, False),
    "train.average_after": ({**LONG, "train.patience": 12, "train.keep_best": False}, 1),
    **of_optimiser("train"),
    "tune.l2": ({}, [0.0]),
    "tune.embedding_dim": ({}, [8]),
    "tune.learning_rate": ({}, [0.2]),
    "baselines.names": ({}, ["biases"]),
    "baselines.enumerate": ({}, True),
    "baselines.random": ({}, True),
}
ELSEWHERE = {
    "study.budget": "spends another amount: test_sif_studies",
    "study.goal": "searches another question: test_sif_goals",
    "study.without": "leaves a part of the study out: test_sif_studies",
    "study.pinned": "is not searched: test_sif_studies_pinned",
    "study.refit": "trains once more: test_sif_studies_refit",
    "task": "has one value",
    "protocol": "says what other values must be: test_sif_protocols",
    "dataset": "names the data: test_sif_cli",
    "valid": "parts as files: test_sif_cli",
    "test": "parts as files: test_sif_cli",
    "titles": "a file: test_sif_prepare",
    "feedback": "what the values are: test_sif_feedback",
    "reader": "an object of a stranger: tests/plugin",
    "columns": "columns.item stands for all",
    "search.keep_best": "is refused: test_sif_recipes",
    "search.precision": "is refused: test_sif_recipes",
    "train.precision": "is refused: test_sif_recipes",
    "search.compile": "is refused: test_sif_recipes",
    "search.average_after": "is refused: test_sif_recipes",
    "train.compile": "changes speed, not numbers: test_core_training",
    "strategy.settings": "alpha_lr stands for all; each strategy's own: tests of the core",
}


def test_the_table_is_complete():
    covered = {"columns" if k.startswith("columns.") else k for k in FIELDS} | set(ELSEWHERE)
    assert set(leaves(Recipe)) - covered == set()
    assert covered - set(leaves(Recipe)) == {"strategy.settings.alpha_lr"}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted ratings with a context and a second column of items."""
    head, *rows = text_of(planted_rows()).splitlines()
    lines = [f"{head},weekday,other_item"] + [f"{row},d{n % 3},x{n % 7}" for n, row in enumerate(rows)]
    path = tmp_path_factory.mktemp("fields") / "wide.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def outcome(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything that a run leaves and that should be the same twice."""
    columns = {"columns.context": "weekday"} | settings.pop("columns", {})
    run = sif.search(path, recipe="ratings-operations", settings=TINY | columns | settings, device="cpu")
    kept = ("genotype", "metrics", "rows", "enumeration", "fingerprint", "parameters", "test_reads")
    facts = {key: run.result[key] for key in kept}
    for row in facts["rows"].values():
        del row["seconds"], row["genotype"], row["settings"]  # they carry the settings, whether anything reads them
    weights = hashlib.sha256((run.path / "model.safetensors").read_bytes()).hexdigest()
    return facts | {"trace": lines_of(run.path / "trace.jsonl"), "weights": weights}


@pytest.fixture(scope="module")
def before(wide: Path) -> dict[str, Any]:
    """Outcomes of the settings that fields start from, each made once."""
    return {}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_read(field: str, wide: Path, before: dict[str, Any]):
    base, value = FIELDS[field]
    base = {f"columns.{k}": v for k, v in base.get("columns", {}).items()} | {
        k: v for k, v in base.items() if k != "columns"
    }
    if str(base) not in before:
        before[str(base)] = outcome(wide, dict(base))
    change = TENSOR if field == "space.name" else {field: value}
    after = outcome(wide, base | change)
    same = {key for key in after if after[key] == before[str(base)][key]}
    phases = {"search": "search", "train": "train "}
    table = field.split(".")[0]
    if table in phases:  # the change is seen where it was made, not only in a genotype's settings
        phase = phases[table]
        one, two = (
            [record for record in made["trace"] if record["phase"].startswith(phase)]
            for made in (before[str(base)], after)
        )
        if field != "train.keep_best":
            assert one != two
    assert len(same) < len(after), f"{field} changes nothing"
    # The genotype carries the settings, so that it alone is no proof.
    assert same <= set(after) - {"metrics"} or not {"trace", "weights", "rows", "enumeration"} <= same


def test_the_same_recipe_gives_the_same_outcome(wide: Path):
    assert outcome(wide, {}) == outcome(wide, {})


def test_numbers_in_the_outcome_are_finite(wide: Path):
    assert np.isfinite(list(outcome(wide, {})["metrics"]["test"].values())).all()
