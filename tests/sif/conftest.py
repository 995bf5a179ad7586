from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sif_samples import TINY, planted_rows, write_ratings

import sif
from sif.datasets import Interactions, Vocabulary, find_entry, locate


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """More threads than one only wait for each other on data this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of planted ratings in an empty working directory; its bare name."""
    monkeypatch.chdir(tmp_path)
    return write_ratings(tmp_path / "mine.csv").name


@pytest.fixture(scope="session")
def planted() -> Interactions:
    """The planted ratings in memory."""
    user, item, rating, time = zip(*planted_rows(), strict=True)
    users, items = Vocabulary(user), Vocabulary(item)
    return Interactions(
        users.encode(user),
        items.encode(item),
        np.array(rating, np.float32),
        np.array(time),
        None,
        users,
        items,
        name="planted",
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    """A finished run with every kind of row: two baselines, the enumeration and random search. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    settings: dict[str, Any] = TINY | {
        "baselines.names": ["global-mean", "biases", "inner-product"],
        "baselines.enumerate": True,
        "baselines.random": True,
        "space.operations": ["plus", "multiply", "max"],
        "tune.l2": [0.1],
    }
    csv = write_ratings(folder / "mine.csv")
    return sif.search(csv, recipe="ratings-operations", settings=settings, out=folder / "run", device="cpu")


@pytest.fixture
def run_copy(finished: sif.Run, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return finished.save(tmp_path / "copy")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a comparison run in this process, and list the names: a process for each would take seconds."""
    from sif.compare import PairTable, run_method
    from sif.compare import run as running
    from sif.compare.source import best_of
    from sif.rivals.known import rival

    ran: list[str] = []

    def run(job: dict[str, Any], config: Any, table: Path, result: Any) -> Any:
        ran.append(job.get("rival", "found"))
        method = rival(job["rival"]).method if "rival" in job else best_of(job["run"])
        assert method is not None
        return run_method(method, PairTable.load(table), config, result) | {"peak_memory_mb": 1.0}

    monkeypatch.setattr(running, "isolated", run)
    return ran


@pytest.fixture(scope="session")
def movielens() -> str:
    if locate(find_entry("movielens")) is None:
        pytest.skip("MovieLens 100K is not here: `sif datasets fetch movielens`, or install RecBole 1.2.1")
    return "movielens"
