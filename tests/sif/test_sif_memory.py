"""What cannot fit is told before it is built, with a fix that fits; an allocator's own error is put in words."""

import os
import re
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from sif.cells.data import prepare_cells
from sif.datasets import Corpus, Pictures
from sif.device import available, in_words
from sif.errors import RecipeError, RunError
from sif.problems.data import prepare
from sif.problems.fits import check_tables
from sif.problems.recipes import load_rating_recipe
from sif.recipes import load_recipe
from sif.recipes.changes import changes_of

MIB = 2**20


def machine(monkeypatch: pytest.MonkeyPatch, mib: int) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": mib, "SC_PAGE_SIZE": MIB}.__getitem__)


def fixes(text: str) -> dict[str, int]:
    found = re.findall(r"((?:--set \S+=\d+ )+)fits", text)
    return {key: int(value) for fix in found for key, value in re.findall(r"--set (\S+)=(\d+)", fix)}


def pictures(side: int) -> Pictures:
    x = np.zeros((40, 3, side, side), np.uint8)
    x[:, 0, 0, 0] = np.arange(40)
    return Pictures.from_arrays(x, np.arange(40) % 2, x[:4] + 1, np.arange(4) % 2)


def words() -> Corpus:
    text = torch.arange(4000) % 3000
    return Corpus("words", tuple(map(str, range(3000))), text, text, text)


@pytest.mark.parametrize(
    ("name", "data", "mib", "keys"),
    [
        ("cifar10", pictures(48), 40, {"search.batch_size", "train.batch_size"}),
        ("cifar10", pictures(48), 3, {"network.channels"}),
        ("cifar10-nb201", pictures(32), 5, {"search.batch_size"}),
        ("ptb", words(), 6, {"search.batch_size", "train.batch_size"}),
    ],
)
def test_cells_that_cannot_fit_are_refused_with_what_fits(
    name: str, data: Any, mib: int, keys: set[str], monkeypatch: pytest.MonkeyPatch
):
    machine(monkeypatch, mib)

    def ready(settings: dict[str, Any]) -> None:
        prepare_cells(load_recipe(name, changes_of(settings, None, None), "smoke"), source=data, device="cpu")  # type: ignore[arg-type]

    with pytest.raises(RecipeError, match=rf"about .* MiB of memory are needed, and cpu has {mib}\.0 MiB") as error:
        ready({})
    found = fixes(str(error.value))
    assert keys <= set(found), str(error.value)
    ready(found)


def test_small_cells_are_not_traced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sif.cells.fits._counted", lambda *_: 1 / 0)
    machine(monkeypatch, 8 * 1024)
    prepare_cells(load_recipe("cifar10", (), "smoke"), source=pictures(32), device="cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["movielens-operations", "movielens-wide", "movielens-ranking", "movielens-tensor"])
def test_tables_that_cannot_fit_are_refused_with_a_width_that_fits(name: str, monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch, 8 * 1024)
    recipe, sizes, cpu = load_rating_recipe(name), (30_000_000, 10_000_000), torch.device("cpu")
    with pytest.raises(RecipeError, match=r"40,000,000 users and items: about .* GiB of memory are needed") as error:
        check_tables(recipe, sizes, cpu)
    (found,) = fixes(str(error.value)).items()
    check_tables(load_rating_recipe(name, [f"{found[0]}={found[1]}"]), sizes, cpu)
    machine(monkeypatch, 256 * 1024)
    check_tables(recipe, sizes, cpu)


def test_the_layers_of_a_graph_need_memory_too(monkeypatch: pytest.MonkeyPatch):
    """Two layers of 64 numbers for each user and item, and their gradient: 1 KiB beside the one of a trained id."""
    machine(monkeypatch, 1500)
    sizes, cpu = (500_000, 500_000), torch.device("cpu")
    plain = ["space.encodings=['id']"]
    check_tables(load_rating_recipe("movielens-ranking", plain), sizes, cpu)
    with pytest.raises(RecipeError, match=r"space\.embedding_dim"):
        check_tables(load_rating_recipe("movielens-ranking", ["space.encodings=['id', 'id+propagated']"]), sizes, cpu)


def test_preparing_checks_the_tables(monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch, 1)
    drawn = np.random.default_rng(0).integers(1, 6, (4000, 30))
    with pytest.raises(
        RecipeError, match=r"4,030 users and items: about .* MiB of memory are needed, and cpu has 1\.0 MiB"
    ):
        prepare(load_rating_recipe("ratings-operations"), source=sparse.csr_array(drawn), device="cpu")


def test_what_there_is():
    there = available(torch.device("cpu"))
    assert there is None or 2**28 < there < 2**50


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_an_allocation_that_fails_is_put_in_words(error: Exception):
    with pytest.raises(RunError, match=r"search: memory ran out .*\n  Lower search.batch_size"), in_words("search"):
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), in_words("search"):
        raise RuntimeError("shapes do not match")


def test_the_allocator_of_torch_is_known():
    with pytest.raises(RunError, match="memory ran out"), in_words("search"):
        torch.empty(2**50)
