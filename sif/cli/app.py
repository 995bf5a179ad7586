"""The command line's frame: the group of verbs, the streams, the console, and how errors leave."""

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TextIO, TypeVar

import typer
from rich.console import Console

from nasp_core.errors import NaspError
from sif.cli.verbs import LazyGroup
from sif.plain import plain

__all__ = ["JsonOption", "app", "began", "console", "data_root", "emit", "errors", "guarded", "main", "note", "remark"]

CLOSED, UNWRITABLE = 141, 1
"""Exit codes: the reader of the output has gone (as a shell tells of other programs), and a full or broken disk."""
_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.EBADF}

app = typer.Typer(
    name="sif",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Search the interaction function of a recommender, and serve what was found."""


def _terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave in silence: who read the output has gone."""
        raise BrokenPipeError


_plain = partial(_Console, soft_wrap=True, highlight=False, markup=False, emoji=False)  # text as it stands
console = _plain(width=None if _terminal(sys.stdout) else 160)
errors = _plain(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]

P = ParamSpec("P")
R = TypeVar("R")


_began: list[float] = []


def began() -> float:
    """Return when the command began, by the monotonic clock: what a budget in seconds counts from."""
    return _began[0] if _began else time.monotonic()


def main() -> None:
    """Run `sif`: what its streams cannot take is escaped, and nothing that happens to them is a traceback."""
    _began[:] = [time.monotonic()]
    _make_streams_safe()
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # for package.module:object; behind everything else, so that it hides nothing
    try:
        app()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except OSError as error:  # of the help, which no verb guards
        code = _say_unwritable(error)
    except KeyboardInterrupt:
        code = 130
    else:
        code = 0
    sys.exit(_flushed(code))


def _make_streams_safe() -> None:
    """Give a closed stream a place to write to, and let no character be one that a stream cannot encode."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started us: the next file that is opened would get its number
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (it stays open)
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    """Return the exit code after writing out what the streams still hold."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            code = code or _say_unwritable(error)
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the interpreter complains at its end
    return code


def _say_unwritable(error: OSError) -> int:
    """Say in one line what could not be written, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        return CLOSED
    where = error.filename or "the output"
    with suppress(OSError):  # stderr may be full or closed too: the exit code alone can tell
        errors.print(f"cannot write {where}: {error.strerror or error}", style="red")
    return UNWRITABLE


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the toolkit's errors into one message on stderr and exit code 2; an interrupt into exit code 130.

    What cannot be written is one message too (`UNWRITABLE`); a reader that has gone, as `head` does, is none
    (`CLOSED`).
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if pooch := sys.modules.get("pooch"):  # a logger of its own: logging.getLogger does not know it
            pooch.get_logger().setLevel(logging.WARNING)
        try:
            return command(*args, **kwargs)
        except NaspError as error:
            if kwargs.get("as_json"):
                emit({"error": type(error).__name__, "message": str(error)})
            else:
                errors.print(f"{type(error).__name__}: {error}", style="red")
            raise typer.Exit(2) from None
        except OSError as error:
            if not isinstance(error, BrokenPipeError) and error.errno not in _OF_DISKS:
                raise
            raise typer.Exit(_say_unwritable(error)) from None
        except KeyboardInterrupt:
            errors.print("stopped")
            raise typer.Exit(130) from None

    return run


def note(text: str) -> None:
    """Print a note beside the answer, on stderr."""
    errors.print(f"note: {text}")


def remark(text: str) -> None:
    """Print what a reader of the answer should not miss, below it."""
    console.print(f"note: {text}", style="yellow")


def emit(data: Any) -> None:
    """Write one line of JSON for machines."""
    sys.stdout.write(json.dumps(data, default=plain) + "\n")


def data_root() -> Path | None:
    """Return the folder for data sets from the environment variable SIF_DATA; None for the default."""
    given = os.environ.get("SIF_DATA")
    return Path(given) if given else None
