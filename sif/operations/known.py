"""The operations by name, from inside and outside the package, and what follows from what they compute."""

from collections.abc import Iterable, Mapping
from functools import cache

import torch

from nasp_core.errors import SpaceError
from sif.encodings.elementwise import ONE_SIGNED
from sif.encodings.lookup import found, name_of
from sif.encodings.rows import Rows
from sif.operations.base import Operation
from sif.operations.predictors import PREDICTORS, Predictor
from sif.operations.tables import score_tables
from sif.operations.tensor import OPERATIONS, TENSOR_OPERATIONS

__all__ = [
    "OPERATIONS",
    "additive",
    "canonical",
    "equivalence_class",
    "operation",
    "operation_names",
    "size_problems",
]


def _known(modes: int) -> Mapping[str, Operation]:
    return OPERATIONS if modes == 2 else TENSOR_OPERATIONS


@cache
def operation(name: str, modes: int = 2) -> Operation:
    """Return the operation of a name.

    Args:
        name: Built in, or `package.module:object`.
        modes: How many vectors it must join.

    Raises:
        SpaceError: There is none, or the object cannot join vectors.
    """
    return checked(name, found("operation", name, _known(modes)), modes)


def operation_names(operations: tuple[str | Operation, ...]) -> tuple[str, ...]:
    """Return names or objects as names; raises `SpaceError` for an object that no name finds again."""
    return tuple(name_of("operation", each, OPERATIONS, Operation) for each in operations)


def canonical(name: str, predictor: str, functions: tuple[str, str] = ("identity", "identity")) -> tuple[str, str]:
    """Return the operation and predictor that stand for all that span the same set of functions.

    Args:
        name: The operation.
        predictor: The predictor on it.
        functions: The element-wise function of each side (see `sif.encodings.elementwise`).
    """
    curved = [function != "identity" for function in functions]
    fixed = {mode for mode, function in enumerate(functions) if function in ONE_SIGNED}
    now, joins = (name, predictor), operation(name)
    while not fixed & {*joins.negates}:
        then = joins.canonical(now[1], networks=all(curved) if joins.product else any(curved))
        if then is None or then == now:
            break
        now, joins = then, operation(then[0])
    return now


def size_problems(names: Iterable[str], dim: int, modes: int = 2) -> list[str]:
    """Return which operations cannot join vectors of a size, and the nearest size that they can.

    Args:
        names: Operations that there are.
        dim: Entries of a vector.
        modes: How many vectors are joined.
    """
    cut = {name: operation(name, modes).divisor for name in names}
    return [
        f"embedding_dim = {dim}; operation {name} cuts a vector into {blocks} blocks: "
        f"set embedding_dim = {-(-dim // blocks) * blocks}, or leave {name} out"
        for name, blocks in cut.items()
        if dim % blocks
    ]


def checked(name: str, made: object, modes: int = 2) -> Operation:
    """Return an operation after a look at what it gives; raises `SpaceError` with what is wrong."""
    if not isinstance(made, Operation):
        raise SpaceError(f"operation {name} is {made!r}; make it an object of a subclass of sif.operations.Operation")
    if made.modes != modes:
        raise SpaceError(f"operation {name} joins {made.modes} vectors; this space joins {modes}: set modes = {modes}")
    if not hasattr(made, "forward"):
        raise SpaceError(f"operation {name} has no method forward; it joins vectors [..., dim]")
    if not made.formula:
        raise SpaceError(f'operation {name} has no formula; write it as a person does: formula = "max({{0}}, {{1}})"')
    shapes = [[3 if mode == side else 1 for side in range(modes)] + [4] for mode in range(modes)]
    try:
        out = made.forward(*(torch.ones(shape) for shape in shapes))
    except Exception as error:
        raise SpaceError(f"operation {name} cannot join vectors of shapes {shapes}: {error}") from error
    wanted = (*[3] * modes, 4 * made.width)
    if not isinstance(out, torch.Tensor) or tuple(out.shape) != wanted:
        got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise SpaceError(
            f"operation {name} makes {got} of vectors of shapes {shapes}; with width = {made.width} it must be {wanted}"
        )
    wrong = _disagreement(made) if modes == 2 else None
    if wrong:
        raise SpaceError(f"operation {name}: {wrong} is not that of its forward; mend the rule, or leave it out")
    return made


def _drawn(reader: Predictor, width: int, *shapes: tuple[int, ...]) -> list[list[torch.Tensor]]:
    """Return vectors of shapes, and parameters of a predictor, float64."""
    generator = torch.Generator().manual_seed(0)
    wanted = (shapes, reader.shapes(width, (7,)))
    return [[torch.randn(shape, generator=generator, dtype=torch.float64) for shape in part] for part in wanted]


@torch.inference_mode(False)
@torch.no_grad()
def _disagreement(made: Operation) -> str | None:
    """Return which rule gives something else than `forward`; None where all agree."""
    for name, reader in PREDICTORS.items():
        (u, v), parameters = _drawn(reader, made.width * 4, (5, 4), (5, 4))
        wanted = reader.read(made, (u.unsqueeze(1), v), parameters)
        if not torch.allclose(reader.scores(made, Rows(u), Rows(v), 0, parameters), wanted):
            return f"the scores of many pairs under {name}"
        users, items = (reader.fold(made, mode, x, parameters) for mode, x in enumerate((u, v)))
        if not users.mlps and not torch.allclose(score_tables(users, items), wanted):
            return f"the tables under {name}"
    grad = made.forward(v, u)
    pairs = zip(made.gradient(grad, u, v), Operation.gradient(made, grad, u, v), strict=True)
    return None if all(torch.allclose(mine, theirs) for mine, theirs in pairs) else "the gradient"


@cache
def additive(name: str, predictor: str, modes: int = 2) -> bool:
    """Return whether a score is f(user) + g(item) (+ h(context)), which ranks the items alike for every user.

    So it is whatever encodes the sides. Seen from drawn vectors: what the means of rows and columns leave is nothing.

    Args:
        name: The operation.
        predictor: The predictor on it.
        modes: 2, or 3 with a context.
    """
    joins, reader, dim = operation(name, modes), PREDICTORS[predictor], 8
    shapes = [(*(6 if mode == side else 1 for side in range(modes)), dim) for mode in range(modes)]
    sides, parameters = _drawn(reader, joins.width * dim, *shapes)
    with torch.no_grad():
        scores = reader.read(joins, sides, parameters)
        left = scores + (modes - 1) * scores.mean()
        for mode in range(modes):
            left = left - scores.mean([side for side in range(modes) if side != mode], keepdim=True)
    return float(left.abs().max()) <= 1e-9 * float(scores.abs().max())


_MIRROR = {"max": "min", "min": "max"}


def equivalence_class(name: str) -> str:
    """Return one name for operations that span the same set of functions, with a linear predictor and no networks.

    A name of three modes is that of its parts (w . (u - v) is w . (u + v) with v negated, and so on: `canonical`); with
    every result negated max becomes min, so that a name and its mirror are one.
    """
    if name not in OPERATIONS and name not in _known(3):
        return name
    grouping, *parts = name.split("_") if name[0].isdigit() else ("", *name.split("_"))
    plain = [part if part in _MIRROR else canonical(part, "linear")[0] for part in parts]
    plain = min(plain, [_MIRROR.get(part, part) for part in plain])
    if len(set(plain)) == 1:  # the grouping of one operation with itself does not matter
        grouping = ""
    return "_".join([grouping, *plain] if grouping else plain)
