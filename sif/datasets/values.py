"""Ratings and weights as numbers, from columns of any type; and what is wrong with one that is none."""

import re
from decimal import Decimal

import numpy as np
import polars as pl

__all__ = ["cell_of", "number_problem", "numbers_in"]

_WITHOUT = {"rating": 'columns.rating=""', "weight": "ranking.weight=none"}


def numbers_in(raw: pl.Series) -> pl.Series:
    """Return the values as Float32, null where one is missing or no number; truth is 1 and 0."""
    dtype = raw.dtype
    if dtype == pl.Float32:
        return raw
    if isinstance(dtype, pl.Categorical | pl.Enum):
        raw = raw.cast(pl.String)
    elif not (dtype.is_numeric() or dtype in (pl.String, pl.Boolean, pl.Null)):
        raw = pl.Series(raw.name, [_number(value) for value in raw.to_list()], dtype=pl.Float64)
    return raw.cast(pl.Float64, strict=False).cast(pl.Float32)


def cell_of(raw: pl.Series, row: int) -> object:
    """Return what stands in a row, as a plain object; None where nothing does."""
    value = raw[row]
    value = value.to_list() if isinstance(value, pl.Series) else value
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return None if isinstance(value, float) and value != value else value


def number_problem(value: object, unit: str, role: str) -> str:
    """Return what is wrong with a rating or weight that cannot be read, and the fix."""
    if value is None:
        return f"{role} is missing. Fill it in, or delete the {unit}."
    text = (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()
    if fix := _comma(text):
        return f'{role} "{text}" {fix}'
    try:
        float(text)
    except ValueError:
        return f'{role} "{text}" is not a number. Write a number, or do not use the column: --set {_WITHOUT[role]}'
    return f'{role} "{text}" is not a finite number of single precision. Write a number between -3e38 and 3e38.'


def _number(value: object) -> float | None:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    try:
        return float(value) if isinstance(value, str | int | float | Decimal | np.generic) else None
    except (ValueError, OverflowError):
        return None


def _comma(text: str) -> str:
    """What is wrong with a number that has commas, and how to write it; nothing where it is no such number."""
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):  # a thousand and eleven, or one and a bit
        return "has a comma that may mark thousands or decimals. Write no mark for thousands, and a point for decimals."
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return f"has a decimal comma. Write {text.replace(',', '.')}"
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+", text):
        return f"has marks of thousands. Write {text.replace('.', '').replace(',', '.')}"
    if re.fullmatch(r"[+-]?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})", text):
        return f"has marks of thousands. Write {text.replace(',', '')}"
    return ""
