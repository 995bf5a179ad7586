"""Every value of a recipe of cells is read: changing it changes what a run leaves."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sif_cell_samples import BENCH, CONV, RECURRENT, write_pictures, write_table, write_text
from sif_samples import leaves, lines_of

import sif
from sif.cells.recipes import CellRecipe
from sif.problems import problem

Field = tuple[dict[str, Any], Any]


def of_training(table: str, momentum: bool) -> dict[str, Field]:
    key = f"{table}.optimiser"
    sgd = {f"{key}.kind": "sgd", f"{key}.learning_rate": 0.05}
    adam = {f"{key}.kind": "adam", f"{key}.momentum": 0.0, f"{key}.learning_rate": 0.01}
    long = {"train.epochs": 12, f"{key}.learning_rate": 0.6, f"{key}.schedule": "constant"}
    fields: dict[str, Field] = {
        f"{table}.epochs": ({}, 1),
        f"{table}.batch_size": ({}, 20),
        f"{table}.evaluate_every": ({}, 2),
        f"{table}.min_steps": ({}, 60),
        f"{table}.precision": ({}, "bfloat16"),
        f"{key}.kind": (adam, "sgd"),
        f"{key}.learning_rate": ({}, 0.02),
        f"{key}.momentum": (sgd, 0.5),
        f"{key}.weight_decay": ({}, 0.3),
        f"{key}.clip": ({}, 0.001),
        f"{key}.schedule": ({f"{key}.schedule": "linear", f"{key}.final_learning_rate": 0.0}, "constant"),
        f"{key}.betas": (adam, [0.5, 0.9]),
        f"{key}.final_learning_rate": ({f"{key}.schedule": "linear"}, 0.007),
    }
    if table == "train":
        fields |= {
            "train.patience": (long | {"train.average_after": "none", "train.keep_best": False}, 1),
            "train.keep_best": (long | {"train.average_after": "none", "train.keep_best": False}, True),
            "train.average_after": (long | {"train.average_after": "none", "train.keep_best": False}, 1),
        }
    else:
        fields["search.patience"] = (
            {"search.epochs": 16, f"{key}.learning_rate": 1.5, f"{key}.schedule": "constant"}
            | {f"{key}.final_learning_rate": 0.0},
            1,
        )
    return fields


COMMON: dict[str, Field] = {
    "seed": ({}, 1),
    "strategy.name": ({}, "darts"),
    "strategy.settings.alpha_lr": ({}, 0.3),
    "retrain": ({}, False),
    "compare.random_epochs": ({}, 2),
    "compare.random_trials": ({"compare.random_epochs": 1}, 1),
}
PICTURES: dict[str, Field] = {
    "pictures.limit": ({}, 50),
    "pictures.test_limit": ({}, 7),
    "pictures.holdout": ({}, 20),
    "pictures.share": ({}, 0.7),
    "pictures.crop": ({}, 0),
    "pictures.flip": ({}, False),
    "pictures.cutout": ({}, 4),
    "pictures.label_smoothing": ({}, 0.2),
}
FIELDS: dict[str, dict[str, Field]] = {
    "cifar10": COMMON
    | PICTURES
    | of_training("search", True)
    | of_training("train", True)
    | {
        "space.operations": ({}, ["skip_connect", "conv_1x1"]),
        "space.reduce_operations": ({}, ["skip_connect", "avg_pool_3x3"]),
        "space.channels": ({}, 6),
        "space.layers": ({}, 4),
        "space.nodes": ({}, 3),
        "space.stem_multiplier": ({}, 2),
        "network.channels": ({}, 6),
        "network.layers": ({}, 4),
        "network.stem_multiplier": ({}, 2),
        "network.affine": ({}, False),
        "network.auxiliary": ({}, 0.0),
        "network.drop_path": ({}, 0.0),
    },
    "cifar10-nb201": {
        "table": ({}, "table.csv"),
        "space.operations": ({}, ["skip_connect", "nor_conv_1x1"]),
        "space.channels": ({}, 6),
        "space.cells_per_stage": ({}, 2),
        "space.affine": ({}, True),
        "network.channels": ({}, 6),
        "network.cells_per_stage": ({}, 2),
        "network.affine": ({}, False),
    },
    "ptb": COMMON
    | of_training("search", False)
    | of_training("train", False)
    | {
        "text.limit": ({}, 400),
        "text.evaluation_limit": ({}, 100),
        "text.vocabulary": ({}, 4),
        "text.min_count": ({}, 205),
        "text.window": ({}, 8),
        "text.random_windows": ({}, False),
        "space.steps": ({}, 2),
        "space.activations": ({}, ["tanh", "relu"]),
        "space.embedding_dim": ({"space.tied": False}, 5),
        "space.hidden": ({"space.tied": False}, 5),
        "network.embedding_dim": ({"network.tied": False}, 5),
        "network.hidden": ({"network.tied": False}, 5),
        **{f"space.{name}": ({}, value) for name, value in {"tied": False, "batch_norm": False}.items()},
        **{f"network.{name}": ({}, value) for name, value in {"tied": False, "batch_norm": True}.items()},
        **{
            f"{table}.{name}": ({}, value)
            for table in ("space", "network")
            for name, value in {
                "init_range": 0.3,
                "dropout": 0.5,
                "dropouth": 0.5,
                "dropoutx": 0.5,
                "dropouti": 0.5,
                "dropoute": 0.5,
                "weight_dropout": 0.5,
                "activation_penalty": 2.0,
                "slowness_penalty": 2.0,
            }.items()
        },
    },
}
ELSEWHERE = {
    "task": "goes with the space",
    "space.name": "has one value",
    "dataset": "names the data",
    "pictures.size": "scales picture files, which the samples are not: test_data_own_pictures",
    "budget": "test_sif_budgets",
    "budgets": "test_sif_budgets",
    "search.keep_best": "is refused: test_sif_recipes",
    "search.compile": "is refused: test_sif_recipes",
    "search.average_after": "is refused: test_sif_recipes",
    "train.compile": "changes speed, not numbers: test_core_training",
    "space.channels_last": "changes speed, not numbers",
    "network.channels_last": "changes speed, not numbers",
    "strategy.settings": "alpha_lr stands for all; each strategy's own: tests of the core",
}
SETTINGS = {"cifar10": CONV, "cifar10-nb201": BENCH, "ptb": RECURRENT}
CLASSES = dict(zip(SETTINGS, [*problem("image").recipes.values(), *problem("text").recipes.values()], strict=True))
Data = dict[str, Path]


@pytest.mark.parametrize("recipe", FIELDS)
def test_the_table_is_complete(recipe: str):
    covered = set(FIELDS[recipe]) | set(ELSEWHERE)
    if recipe == "cifar10-nb201":
        covered |= set(FIELDS["cifar10"])  # the same code reads them
    kind: type[CellRecipe] = CLASSES[recipe]
    assert set(leaves(kind)) - covered == set()
    assert set(FIELDS[recipe]) - set(leaves(kind)) <= {"strategy.settings.alpha_lr"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("fields")
    write_table(folder / "table.csv")
    pictures = write_pictures(folder / "pictures")
    return {"cifar10": pictures, "cifar10-nb201": pictures, "ptb": write_text(folder / "text")}


def outcome(recipe: str, data: Data, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything that a run leaves and that should be the same twice."""
    if "table" in settings:
        settings = settings | {"table": str(data[recipe].parent / settings["table"])}
    merged = SETTINGS[recipe] | settings
    run = sif.search_cells(recipe, data[recipe], budget="full", settings=merged, device="cpu")
    rows = {name: {k: v for k, v in row.items() if k != "seconds"} for name, row in run.result["rows"].items()}
    model = run.path / "model.safetensors"
    weights = hashlib.sha256(model.read_bytes()).hexdigest() if model.is_file() else None
    return {"rows": rows, "weights": weights, "trace": lines_of(run.path / "trace.jsonl")}


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    """Outcomes of the settings that fields start from, each made once."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "field"), [(recipe, field) for recipe, table in FIELDS.items() for field in table])
def test_a_field_is_read(recipe: str, field: str, data: Data, before: dict[str, Any]):
    base, value = FIELDS[recipe][field]
    key = f"{recipe} {base}"
    if key not in before:
        before[key] = outcome(recipe, data, base)
    after = outcome(recipe, data, base | {field: value})
    phases = {"search": "search", "train": "train "}
    phase = phases.get(field.split(".")[0])
    if phase is not None and field != "train.keep_best":  # seen where it was made
        one, two = (
            [record for record in made["trace"] if record["phase"].startswith(phase)] for made in (before[key], after)
        )
        assert one != two
    assert after != before[key], f"{field} changes nothing"
