"""What a study may spend: seconds of the clock, or a number of trials."""

import re
from dataclasses import dataclass

from sif.errors import RecipeError

__all__ = ["AUTO", "NONE", "Limit"]

AUTO, NONE = "auto", "none"
"""A budget that grows with the table, and no study at all."""
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_BASE, _ROWS, _POWER, _LEAST = 60.0, 20_000, 0.6, 10.0


@dataclass(frozen=True, slots=True)
class Limit:
    """The budget of a study: one of the two is given.

    Attributes:
        seconds: Of the clock, for search, trainings and rivals together.
        trials: Trainings, at whatever fidelity: with one worker and one seed these give the same bits.
    """

    seconds: float | None = None
    trials: int | None = None

    @classmethod
    def parse(cls, text: str, rows: int) -> "Limit":
        """Return the budget of `90s`, `2m`, `1h`, `2m30s`, `40trials` or `auto`.

        Args:
            text: As in a recipe or after `--budget`.
            rows: Of the table: what `auto` grows with.

        Raises:
            RecipeError: It is no budget, or nothing.
        """
        word = text.strip().lower()
        if word == AUTO:
            return cls(seconds=max(_LEAST, round(_BASE * (rows / _ROWS) ** _POWER)))
        if found := re.fullmatch(r"(\d+)\s*trials?", word):
            limit = cls(trials=int(found[1]))
        else:
            parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smh])", word)
            whole = re.sub(r"\s", "", word)
            known = "".join(amount + unit for amount, unit in parts) == whole and parts
            if not known:
                raise RecipeError(
                    f"{text!r} is no budget of a study; give seconds (--budget 2m), trainings (--budget 40trials), "
                    "or --budget auto"
                )
            limit = cls(seconds=sum(float(amount) * _SECONDS[unit] for amount, unit in parts))
        if not (limit.seconds or limit.trials):
            raise RecipeError(f"{text!r} is nothing to spend; give more than 0, such as --budget 2m")
        return limit

    def __str__(self) -> str:
        """Return the budget as a person writes it: `2m30s`, `40trials`."""
        if self.trials is not None:
            return f"{self.trials}trials"
        seconds = self.seconds or 0.0
        minutes, rest = divmod(seconds, 60)
        return f"{int(minutes)}m{f'{rest:g}s' if rest else ''}" if minutes >= 1 else f"{rest:g}s"
