"""Whatever the program around us set: every door answers as in a clean process, and leaves all as it was."""

import decimal
import gc
import locale
import pickle
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sif_samples import TINY, write_ratings

import sif
from sif.api import rank_run, retrain, score
from sif.datasets import Interactions
from sif.errors import RunError
from sif.host import TemporaryFolder, shielded
from sif.recipes import load_recipe
from sif.serve.export import Export

_TINY = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in TINY.items()]


@contextmanager
def put(get: Callable[[], Any], put: Callable[[Any], Any], value: Any) -> Iterator[None]:
    """A state that a function sets for good, put back after the test; what stands in it must not have been changed."""
    before = get()
    put(value)
    held = get()
    try:
        yield
        assert get() == held, "the door changed the host's state"
    finally:
        put(before)


@contextmanager
def drawn() -> Iterator[None]:
    """Generators that stand somewhere; they must stand there afterwards."""
    torch.manual_seed(77)
    np.random.seed(77)
    random.seed(77)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


@contextmanager
def no_streams() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", None)
        yield


def flushing() -> bool:
    return float((torch.full((1,), 1e-39, dtype=torch.float32, device="cpu") * 1.0)[0]) == 0.0


STATES: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "default dtype": lambda: put(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "default device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "anomaly": lambda: put(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, True),
    "deterministic": lambda: put(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True),
    "rough products": lambda: put(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "denormals": lambda: put(flushing, torch.set_flush_denormal, True),
    "numpy errors": lambda: np.errstate(all="raise"),
    "numpy print": lambda: np.printoptions(precision=1, threshold=1, legacy="1.13"),
    "generators": drawn,
    "warnings": lambda: warnings.catch_warnings(action="error"),
    "locale": lambda: put(lambda: locale.setlocale(locale.LC_ALL), lambda to: locale.setlocale(locale.LC_ALL, to), "C"),
    "decimal": lambda: decimal.localcontext(prec=1),
    "no streams": no_streams,
}


@pytest.fixture(scope="module")
def rows(planted: Interactions) -> sparse.csr_matrix:
    return planted.user_items()


@pytest.fixture(scope="module")
def fitted(rows: sparse.csr_matrix) -> sif.Recommender:
    return fit(rows)


def fit(rows: sparse.csr_matrix) -> sif.Recommender:
    return sif.Recommender(load_recipe("ratings-operations", _TINY), device="cpu").fit(rows)


def served(model: sif.Recommender, rows: sparse.csr_matrix) -> list[Any]:
    """The figures of every door of a recommender that serves."""
    copy = pickle.loads(pickle.dumps(model))
    return [
        *model.recommend([3, 4], rows[[3, 4]], N=5),
        *model.recommend([3, 4], rows[[3, 4]], N=5, recalculate_user=True),
        *copy.recommend([3, 4], rows[[3, 4]], N=5, recalculate_user=True),
        *model.similar_items(2, N=4),
        *model.similar_users(2, N=4),
    ]


def of_run(path: Path) -> list[Any]:
    """The same of a run, opened anew."""
    run, export = sif.load(path), Export.of(path)
    everyone = run.recommend_all(3)
    return [
        [row["score"] for row in run.recommend("u03", 5)],
        everyone["item"].to_list(),
        everyone["score"].to_numpy(),
        export.scores(["u03"]).numpy(),
        [row["score"] for row in export.recommend("u03", 5)],
        *run.recommender().recommend(3, sparse.csr_array([[5.0, 0, 1] + [0] * 15]), recalculate_user=True),
    ]


def same(one: list[Any], other: list[Any]) -> None:
    for mine, yours in zip(one, other, strict=True):
        assert np.array_equal(mine, yours)


@pytest.fixture(scope="module")
def clean(fitted: sif.Recommender, rows: sparse.csr_matrix, finished: sif.Run) -> list[Any]:
    return [served(fitted, rows), of_run(finished.path), served(fit(rows), rows)]


@pytest.mark.parametrize("state", STATES)
def test_doors_of_serving_and_fit(
    state: str, clean: list[Any], fitted: sif.Recommender, rows: sparse.csr_matrix, finished: sif.Run
):
    threads = torch.get_num_threads()
    with STATES[state]():
        result = served(fitted, rows), of_run(finished.path), served(fit(rows), rows)
    for mine, yours in zip(result, clean, strict=True):
        same(list(mine), yours)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_what_was_made_in_inference_mode_serves_outside(clean: list[Any], rows: sparse.csr_matrix, tmp_path: Path):
    with torch.inference_mode():
        model = fit(rows)
        model.save(tmp_path / "model.safetensors")
        again = sif.Recommender.load(tmp_path / "model.safetensors")
        copy = pickle.loads(pickle.dumps(model))
    for made in (model, again, copy):
        same(served(made, rows), clean[0])


def test_long_doors_with_everything_set(finished: sif.Run, tmp_path: Path):
    """Search, training, evaluation and ranking of a run, under all states at once."""
    with ExitStack() as stack:
        for state in STATES.values():
            stack.enter_context(state())
        file = write_ratings(tmp_path / "mine.csv")
        run = sif.search(str(file), settings=TINY, out=tmp_path / "run", device="cpu")
        scored, ranked, trained = score(run.path), rank_run(run.path, k=(3,)), retrain(run.path, device="cpu")
    plain = sif.search(str(file), settings=TINY, out=tmp_path / "plain", device="cpu")
    assert run.genotype == plain.genotype
    assert run.result["metrics"] == plain.result["metrics"]
    assert run.result["fingerprint"] == plain.result["fingerprint"]
    assert scored == score(plain.path)
    assert ranked["parts"] == rank_run(plain.path, k=(3,))["parts"]
    assert trained["valid"] == plain.result["metrics"]["valid"]


def test_the_last_thread_puts_back_what_threads_share():
    inside, go = threading.Event(), threading.Event()

    def other() -> None:
        with shielded():
            inside.set()
            go.wait(10)

    torch.set_default_dtype(torch.float64)
    try:
        thread = threading.Thread(target=other)
        with shielded():
            thread.start()
            assert inside.wait(10)
        assert torch.get_default_dtype() == torch.float32, "the other thread still works"
        go.set()
        thread.join(10)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@shielded(draws=True)
def raising() -> None:
    assert torch.is_grad_enabled()
    raise RunError("no saved state")


def test_a_raising_door_puts_all_back():
    with np.errstate(all="raise"), torch.no_grad():
        with pytest.raises(RunError, match="no saved state"):
            raising()
        assert not torch.is_grad_enabled()
        assert np.geterr()["over"] == "raise"


def test_a_temporary_folder_goes_without_a_word():
    folder = TemporaryFolder()
    path = folder.path
    with warnings.catch_warnings(action="error"):
        assert path.is_dir()
        del folder
        gc.collect()
    assert not path.exists()
