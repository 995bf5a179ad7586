"""Planted truth: the default strategy finds the operation that made the ratings (or one of its equivalence class)."""

import math

import pytest
import torch

from nasp_core.errors import SpaceError
from nasp_core.methods import make_strategy
from nasp_core.methods.nasp_ranked import nasp_ranked
from nasp_core.optimise import Optimiser, Training
from nasp_core.search import Found, search
from nasp_core.testing import ShuffledStream
from sif.operations import OPERATIONS, equivalence_class
from sif.operations.tensor import TENSOR_OPERATIONS
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.tensor import TensorInteractionSpace
from sif.testing.planted import PlantedTask

SETTINGS = InteractionSettings(
    embedding_dim=8, hidden=0, init_std=0.3, penalty="squared", l2=1e-4, max_norm=None, predictor_start="unit"
)
RATINGS = InteractionSettings(
    operations=("plus", "minus", "multiply", "max", "min", "concat"),
    embedding_dim=16,
    hidden=0,
    biases=True,
    max_norm=1.0,
    init_std=0.3,
    predictor_start="unit",
    penalty="squared",
    l2=0.003,
    bias_l2=0.02,
    l2_frequency=0.5,
)
FINAL = Training(
    epochs=60, batch_size=128, optimiser=Optimiser(learning_rate=0.15, schedule="linear"), evaluate_every=0
)
SEARCH = Training(epochs=2, batch_size=128, optimiser=Optimiser(learning_rate=0.1))


def recover(operation: str, seed: int) -> Found:
    task = PlantedTask(operation, (60, 50), dim=1, density=0.8, seed=seed)
    space = InteractionSpace(task.sizes, SETTINGS)
    return search(space, task, nasp_ranked(epoch_divisor=1.0), SEARCH, final=FINAL, seed=seed)


def assert_found(operation: str, found: Found) -> None:
    finals = {r["genotype"]: r["valid"]["rmse"] for r in found.trace if r["phase"] == "finalist"}
    (chosen,) = found.genotype.choices["operation"]
    assert chosen is not None
    assert equivalence_class(chosen) == equivalence_class(operation), finals
    assert len(finals) == 3, "one finalist of each equivalence class"


@pytest.mark.parametrize(
    "operation", ["max", *(pytest.param(each, marks=pytest.mark.slow) for each in ("plus", "multiply"))]
)
def test_the_planted_family_is_found(operation: str) -> None:
    assert_found(operation, recover(operation, 0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("operation", SETTINGS.operations)
def test_the_planted_family_is_found_for_every_operation_and_seed(operation: str, seed: int) -> None:
    assert_found(operation, recover(operation, seed))


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["plus_plus", "multiply_multiply"])
def test_a_planted_composition_is_found(operation: str) -> None:
    task = PlantedTask(operation, (24, 20, 6), dim=1, density=0.9)
    candidates = ("plus_plus", "multiply_multiply", "max_max", "0_multiply_concat")
    space = TensorInteractionSpace(task.sizes, InteractionSettings(**{**vars(SETTINGS), "operations": candidates}))
    found = search(space, task, nasp_ranked(epoch_divisor=1.0), SEARCH, final=FINAL)
    assert found.genotype.choices["operation"] == (operation,)


@pytest.mark.parametrize("operation", ["minus", "max", "concat"])
def test_planted_ratings_are_standardised_with_the_noise_asked_for(operation: str) -> None:
    clean, noisy = (PlantedTask(operation, (40, 30), density=1.0, noise=noise, seed=4) for noise in (0.0, 0.3))
    ratings = torch.cat([target for _, target in clean.parts.values()])
    assert float(ratings.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(ratings.std()) == pytest.approx(1.0, abs=1e-5)
    table = {tuple(ids.tolist()): float(r) for i, t in clean.parts.values() for ids, r in zip(i.T, t, strict=True)}
    errors = [
        float(r) - table[tuple(ids.tolist())] for i, t in noisy.parts.values() for ids, r in zip(i.T, t, strict=True)
    ]
    assert math.sqrt(sum(e * e for e in errors) / len(errors)) == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_planted_ratings_are_made_by_the_operation(operation: str) -> None:
    """A sum has no interaction left; a product of few entries has their rank; a maximum has neither."""
    dim = OPERATIONS[operation].divisor
    task = PlantedTask(operation, (12, 10), dim=dim, density=1.0, noise=0.0)
    table = torch.zeros(12, 10)
    for inputs, target in task.parts.values():
        table[inputs[0], inputs[1]] = target
    left = table - table.mean(0, keepdim=True) - table.mean(1, keepdim=True) + table.mean()
    assert (float(left.abs().max()) < 1e-5) == (equivalence_class(operation) == "plus")
    assert (float(torch.linalg.svdvals(left)[dim]) < 1e-4) == (equivalence_class(operation) in ("plus", "multiply"))


def test_parts_do_not_overlap_and_have_their_sizes() -> None:
    task = PlantedTask("0_max_plus", (7, 6, 5), density=0.5)
    cells = {name: {tuple(ids.tolist()) for ids in inputs.T} for name, (inputs, _) in task.parts.items()}
    assert {name: len(part) for name, part in cells.items()} == {"train": 63, "valid": 21, "test": 21}
    assert len(set.union(*cells.values())) == 105
    assert all(0 <= i < 7 and 0 <= j < 6 and 0 <= k < 5 for i, j, k in set.union(*cells.values()))


def test_seeds_and_operations_decide_the_ratings() -> None:
    def ratings(operation: str, seed: int) -> torch.Tensor:
        target: torch.Tensor = PlantedTask(operation, seed=seed).parts["train"][1]
        return target

    assert torch.equal(ratings("max", 0), ratings("max", 0))
    assert not torch.equal(ratings("max", 0), ratings("max", 1))
    assert not torch.equal(ratings("max", 0), ratings("min", 0))


def test_an_operation_of_another_number_of_modes_is_refused() -> None:
    with pytest.raises(SpaceError) as error:
        PlantedTask("0_max_plus", (3, 4))
    assert str(error.value) == f"no operation '0_max_plus' on 2 modes; there are {', '.join(OPERATIONS)}"
    with pytest.raises(SpaceError, match=r"^dim = 2; operation block-complex cuts vectors into 4 blocks$"):
        PlantedTask("block-complex", (3, 4))
    with pytest.raises(SpaceError, match=r"^no operation 'max' on 3 modes; there are 0_plus_multiply, "):
        PlantedTask("max", (3, 4, 5))
    assert PlantedTask("2_min_multiply", (3, 4, 5)).operation == TENSOR_OPERATIONS["2_min_multiply"]


def test_the_stream_visits_every_row_once_a_pass_and_can_be_sought() -> None:
    inputs, target = torch.arange(20).reshape(2, 10), torch.arange(10.0)
    stream = ShuffledStream(inputs, target, 4, seed=1, axis=1)
    assert len(stream) == 3
    passes = [[stream.batch(turn * 3 + i) for i in range(3)] for turn in range(2)]
    for batches in passes:
        seen = torch.cat([b.target for b in batches])
        assert sorted(seen.tolist()) == target.tolist()
        assert all(torch.equal(b.inputs, inputs[:, b.target.long()]) for b in batches)
    assert passes[0][0].target.tolist() != passes[1][0].target.tolist()
    assert torch.equal(ShuffledStream(inputs, target, 4, seed=1, axis=1).batch(4).target, passes[1][1].target)
    assert ShuffledStream(inputs, target, 4, seed=2, axis=1).batch(0).target.tolist() != passes[0][0].target.tolist()


ALPHA = ("darts", "snas", "gaea", "balenas", "amended-darts", "asap", "tnd-nas", "na-nas", "fairnas", "spos")
"""Strategies that find what is planted by alpha or the supernet alone; benchmarks/planted.py counts them all."""


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["multiply", "max"])
@pytest.mark.parametrize("name", ALPHA)
def test_one_shot_strategies_find_what_is_planted_without_training_finalists(name: str, operation: str) -> None:
    """The setting of benchmarks/planted.py: 500 x 400, two entries, 12 epochs of search."""
    task = PlantedTask(operation, (500, 400), dim=2, density=0.2, seed=0)
    ids = zip(task.parts["train"][0], task.sizes, strict=True)
    counts = torch.cat([torch.bincount(each, minlength=size) for each, size in ids])
    adam = Optimiser("adam", 0.01, betas=(0.9, 0.99))
    training = Training(epochs=12, batch_size=512, optimiser=adam, evaluate_every=0)
    found = search(InteractionSpace(task.sizes, RATINGS, counts), task, make_strategy(name), training, seed=0)
    assert equivalence_class(str(found.genotype.choices["operation"][0])) == equivalence_class(operation)
