"""The activations of a recurrent cell by name, from inside and outside the package."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from nasp_core.errors import SpaceError
from sif.encodings.lookup import found, name_of
from sif.host import shielded

__all__ = ["ACTIVATIONS", "activation", "activation_names"]

Activation = Callable[[Tensor], Tensor]


def _identity(x: Tensor) -> Tensor:
    return x


ACTIVATIONS: Mapping[str, Activation | None] = {
    "none": None,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": _identity,
}
"""Activations by name; `none` is no edge at all: it weighs in a softmax, adds nothing and is never selected."""


@cache
def activation(name: str) -> Activation | None:
    """Return the activation of a name: built in, an entry point, or `package.module:object`; None for `none`.

    Raises `SpaceError` where there is none, and where it is no function of states.
    """
    made = found("activation", name, ACTIVATIONS)
    if name not in ACTIVATIONS:
        _check(name, made)
    return made  # type: ignore[no-any-return]


def activation_names(activations: Iterable[object]) -> tuple[str, ...]:
    """Return names or functions as names; raises `SpaceError` for a function that no name finds again."""
    return tuple(name_of("activation", each, ACTIVATIONS, object) for each in activations)


@shielded(draws=True)
def _check(name: str, made: Activation) -> None:
    """Raise `SpaceError` unless a function keeps shapes, row by row, and neither learns nor draws nor writes."""
    if not callable(made):
        raise SpaceError(f"activation {name} is {made!r}; give a function of a float tensor")
    if isinstance(made, nn.Module) and any(True for _ in (*made.parameters(), *made.buffers())):
        raise SpaceError(
            f"activation {name} has weights; edges of a recurrent cell have none of their own: leave them out"
        )
    x = torch.randn(3, 2, 5)
    before = x.clone()
    try:
        out, rows = made(x), [made(row) for row in x]
    except Exception as error:
        raise SpaceError(f"activation {name} cannot take states {tuple(x.shape)}: {error}") from error
    if not isinstance(out, Tensor) or out.shape != x.shape or out.dtype != x.dtype:
        got = f"{out.dtype} {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise SpaceError(
            f"activation {name} makes {got} of states float32 {tuple(x.shape)}; it must keep shape and type"
        )
    if not torch.equal(x, before):
        raise SpaceError(f"activation {name} changes its input in place, which is read again; leave it as it is")
    if not torch.allclose(out, torch.stack(rows), equal_nan=True):
        raise SpaceError(
            f"activation {name} makes something else of states alone than of several at once; it may draw no numbers, "
            "and look along the last dimension alone"
        )
