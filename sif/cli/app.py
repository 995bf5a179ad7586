"""The command line's frame: the one Typer app, the console, and how errors leave."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console

from nasp_core.errors import NaspError

__all__ = ["app", "console", "data_root", "emit", "errors", "guarded"]

app = typer.Typer(
    name="sif",
    help="Search the interaction function of a recommender, and serve what was found.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True, soft_wrap=True, highlight=False)

P = ParamSpec("P")
R = TypeVar("R")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the toolkit's errors into one message on stderr and exit code 2; an interrupt into exit code 130."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except NaspError as error:
            if kwargs.get("as_json"):
                sys.stdout.write(json.dumps({"error": type(error).__name__, "message": str(error)}) + "\n")
            else:
                errors.print(f"{type(error).__name__}: {error}", style="red", markup=False)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            errors.print("stopped")
            raise typer.Exit(130) from None

    return run


def emit(data: Any) -> None:
    """Write one line of JSON for machines."""
    sys.stdout.write(json.dumps(data) + "\n")


def data_root() -> Path | None:
    """Return the folder for data sets from the environment variable SIF_DATA; None for the default."""
    given = os.environ.get("SIF_DATA")
    return Path(given) if given else None
