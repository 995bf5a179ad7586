"""One process at a time in a folder: the second is told who is there."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sif.errors import RunError

__all__ = ["LOCK", "alone"]

LOCK = ".lock"
"""The file that is held while a process is at work; it has the number of the process."""
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextmanager
def alone(folder: Path, doing: str) -> Iterator[None]:
    """Hold `folder` for this block; raises `RunError` while another process (or thread) holds it.

    The system lets go of the lock when a process dies, so that the file of a killed one holds nobody up. Where the file
    system knows no locks the block runs without.
    """
    path = folder / LOCK
    try:
        handle = _held(path)
    except OSError as error:
        if error.errno not in _TAKEN:
            handle = None
        else:
            holder = "" if sys.platform == "win32" else f" (number {path.read_text(errors='replace').strip()})"
            raise RunError(
                f"another process{holder} is at work in {folder}, and {doing} now would mix the two; wait until it is "
                "done, or stop it"
            ) from None
    try:
        yield
    finally:
        if handle is not None:
            if sys.platform == "win32":  # which removes no file that is open
                os.close(handle)
            with suppress(OSError):
                path.unlink()
            if sys.platform != "win32":
                os.close(handle)


def _held(path: Path) -> int:
    """Return the open file, locked, with our number in it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(handle)
            if path.exists() and os.path.samestat(os.fstat(handle), os.stat(path)):
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)  # whoever held it removed it in between: take the new one


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
