"""What the strategies on Optuna share: the library, loaded when it is needed and kept quiet, and a study's memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from nasp_core.trials.budgeted import required

__all__ = ["new_study", "optuna", "quiet"]


def optuna(strategy: str) -> ModuleType:
    """Return Optuna; raises `SearchError` with the way to install it where it is missing."""
    return required("optuna", "Optuna", "optuna", strategy)


@contextmanager
def quiet(library: ModuleType) -> Iterator[None]:
    """Hold back what Optuna logs of each trial, and leave its logging as it was."""
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.ERROR)
    try:
        yield
    finally:
        library.logging.set_verbosity(before)


def new_study(library: ModuleType, **parts: Any) -> Any:
    """Return an empty study in memory that looks for the largest score."""
    with quiet(library):
        return library.create_study(direction="maximize", **parts)
