"""The methods that a find is compared with, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasp_core.errors import nearest
from sif.rivals.factors import BIASED_MF
from sif.rivals.from_implicit import ALS, BPR, ITEM_KNN
from sif.rivals.from_recbole import LIGHTGCN, NEUMF
from sif.rivals.linear import EASE, POPULARITY, SLIM
from sif.rivals.method import Method

__all__ = ["METHODS", "name_problems"]

METHODS: Mapping[str, Method] = {
    method.name: method for method in (POPULARITY, ITEM_KNN, ALS, BPR, EASE, SLIM, BIASED_MF, NEUMF, LIGHTGCN)
}
"""All methods by name."""


def name_problems(names: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of methods, each unknown one with the nearest that is known."""
    problems = []
    for name in dict.fromkeys(names):
        if name not in METHODS:
            near = nearest(name, METHODS)
            hint = f"Did you mean {near}? " if near else ""
            problems.append(f'no method "{name}". {hint}There are: {", ".join(METHODS)}')
        elif names.count(name) > 1:
            problems.append(f"method {name} is given {names.count(name)} times; name it once")
    return problems
