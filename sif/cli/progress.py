"""Progress with an estimate of the time left; nothing at all when not on a terminal."""

from types import TracebackType
from typing import Any

from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from nasp_core.loop import Observer
from sif.cli.app import errors

__all__ = ["TerminalProgress"]


class TerminalProgress(Observer):
    """Draws the running stage on stderr, with elapsed and remaining time; an interrupt says how to go on."""

    def __init__(self, again: str = "the same command goes on where this stopped") -> None:
        self._again = again
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage, self._pending = "", 0

    def __enter__(self) -> "TerminalProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            errors.print(self._again)

    def note(self, text: str) -> None:
        """Print a sentence."""
        errors.print(text)

    def stage(self, name: str) -> None:
        """Name the stage."""
        self._stage = name

    def started(self, what: str, steps: int, done: int) -> None:
        """Begin a bar."""
        self._flush()
        if self._task is not None:
            self._bar.remove_task(self._task)
        label = (
            self._stage if what.startswith(("train", "search")) and self._stage == what else f"{self._stage}: {what}"
        )
        self._task = self._bar.add_task(label, total=steps, completed=done)

    def stepped(self) -> None:
        """Count a step; the bar is redrawn every 20."""
        self._pending += 1
        if self._pending >= 20:
            self._flush()

    def logged(self, record: dict[str, Any]) -> None:
        """Draw what was counted."""
        self._flush()

    def _flush(self) -> None:
        if self._task is not None and self._pending:
            self._bar.advance(self._task, self._pending)
        self._pending = 0
