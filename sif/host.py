"""The state of the program around us: whatever it set in torch and numpy, our figures are those of a clean process."""

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = ["TemporaryFolder", "shielded"]


class _Setting(NamedTuple):
    get: Callable[[], Any]
    put: Callable[[Any], object]
    wanted: Any


def _autocast(device: str) -> _Setting:
    return _Setting(lambda: torch.is_autocast_enabled(device), lambda on: torch.set_autocast_enabled(device, on), False)


def _matmul(backend: Any) -> list[_Setting]:
    """How a backend rounds the factors of float32 products; torch before 2.9 has one switch for all."""
    if not hasattr(backend.matmul, "fp32_precision"):
        return [_Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest")]

    def get() -> str:
        precision: str = backend.matmul.fp32_precision
        return "ieee" if precision == "none" else precision

    return [_Setting(get, lambda precision: setattr(backend.matmul, "fp32_precision", precision), "ieee")]


def _flushes() -> bool:
    return float((torch.full((1,), 1e-39, dtype=torch.float32, device="cpu") * 1.0)[0]) == 0.0


_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # numpy's own
_OF_THREAD = (
    _Setting(torch.is_grad_enabled, torch.set_grad_enabled, True),
    _autocast("cpu"),
    _autocast("cuda"),
    _Setting(_flushes, torch.set_flush_denormal, False),
    _Setting(np.geterr, lambda kinds: np.seterr(**kinds), _ERRORS),
)
_OF_PROCESS = (
    _Setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    _Setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
    _Setting(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda both: torch.autograd.set_detect_anomaly(*both),
        (False, True),
    ),
    *_matmul(torch.backends.mkldnn),
    *_matmul(torch.backends.cuda),
)


def _changed(settings: Sequence[_Setting]) -> list[tuple[_Setting, Any]]:
    """Put the wanted values; return the settings that had another, with it."""
    others = [(each, before) for each in settings if (before := each.get()) != each.wanted]
    for each, _ in others:
        each.put(each.wanted)
    return others


def _restore(others: list[tuple[_Setting, Any]]) -> None:
    for each, before in reversed(others):
        each.put(before)


class _Shared:
    """Settings that all threads share: the first thread that comes changes them, the last one to go puts them back."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start anew, as a forked process must: the threads that were inside are not in it."""
        self._lock, self._inside, self._others = threading.Lock(), 0, list[tuple[_Setting, Any]]()

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._others = _changed(_OF_PROCESS)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _restore(self._others)


_SHARED = _Shared()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_SHARED.begin)


@contextmanager
def shielded(*, draws: bool = False) -> Iterator[None]:
    """Run a block, or as a decorator a function, as in a process that set nothing, and leave all as it was.

    Gradients on, inference mode and autocast off, float32 and the CPU as defaults, exact products, numpy's own handling
    of overflow, no anomaly detection, no demand for deterministic kernels (on the CPU all of ours are). Blocks may lie
    in each other, and in several threads.

    Args:
        draws: Whether the block may draw from torch's global generator, as the constructors of layers do. The
            generator is then seeded inside, and afterwards stands where it stood. What only serves leaves it alone:
            threads share it, and putting it back would repeat what another one drew.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device() != torch.device("cpu"):
            stack.enter_context(torch.device("cpu"))
        stack.callback(_restore, _changed(_OF_THREAD))
        _SHARED.enter()
        stack.callback(_SHARED.leave)
        if draws:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.default_generator.manual_seed(0)
        yield


class TemporaryFolder:
    """A folder that goes when this object does, or with the process that made it; a copy of the object shares it.

    Unlike tempfile's it goes without a ResourceWarning. A pickle takes no part in it: the folder stays the maker's.
    """

    def __init__(self, prefix: str = "sif-") -> None:
        """Make the folder, in the system's folder for temporary files."""
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        weakref.finalize(self, _remove, self.path, os.getpid())

    def __deepcopy__(self, memo: dict[int, Any]) -> "TemporaryFolder":
        return self

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


def _remove(path: Path, maker: int) -> None:
    """Remove the folder, unless this is a process forked off its maker."""
    if os.getpid() == maker:
        shutil.rmtree(path, ignore_errors=True)
