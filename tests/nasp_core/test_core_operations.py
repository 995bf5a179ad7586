"""The vector operations: 53 distinct functions for three modes, and which are one under other names."""

import itertools
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from sif.operations import OPERATIONS, Operation, equivalence_class
from sif.operations.tensor import TENSOR_OPERATIONS

FAMILIES = {name: equivalence_class(name) for name in TENSOR_OPERATIONS}


def vectors(count: int, dim: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(5, dim, generator=generator, dtype=torch.float64) for _ in range(count)]


def test_two_modes_compute_what_their_formulas_say() -> None:
    p, q = vectors(2)
    expected = {
        "plus": p + q,
        "minus": p - q,
        "multiply": p * q,
        "max": torch.maximum(p, q),
        "min": torch.minimum(p, q),
        "concat": torch.cat([p, q], -1),
    }
    (p1, p2, p3, p4), (q1, q2, q3, q4) = p.T, q.T
    blocks = {
        "block-complex": [p1 * q1 + p3 * q3, p2 * q2 + p4 * q4, p1 * q3 - p3 * q1, p2 * q4 - p4 * q2],
        "block-analogy": [p1 * q1, p2 * q2, p3 * q3 + p4 * q4, p3 * q4 - p4 * q3],
        "block-simple": [p1 * q3, p2 * q4, p3 * q1, p4 * q2],
    }
    expected |= {name: torch.stack(parts, 1) for name, parts in blocks.items()}
    assert list(OPERATIONS) == list(expected)
    for name, value in expected.items():
        assert torch.equal(OPERATIONS[name].forward(p, q), value), name


def test_fifty_three_distinct_functions() -> None:
    p, q, r = vectors(3)
    outputs = {name: operation.forward(p, q, r) for name, operation in TENSOR_OPERATIONS.items()}
    assert len(outputs) == 53
    for (a, x), (b, y) in itertools.combinations(outputs.items(), 2):
        assert x.shape != y.shape or not torch.allclose(x, y), f"{a} equals {b}"


@pytest.mark.parametrize("name", TENSOR_OPERATIONS)
def test_tensor_operation_is_its_formula_and_width(name: str) -> None:
    p, q, r = vectors(3)
    names = {"{0}": "p", "{1}": "q", "{2}": "r"}
    operation = TENSOR_OPERATIONS[name]
    result = operation.forward(p, q, r)
    assert result.shape == (5, 4 * operation.width)
    text = operation.formula.format(*names.values())
    scope = {"max": torch.maximum, "min": torch.minimum, "p": p, "q": q, "r": r}
    if "concat" in name:
        text = text.replace("[", "cat(").replace("]", ")").replace(";", ",")
        scope["cat"] = lambda *parts: torch.cat(parts, -1)
    assert torch.equal(result, eval(text, {}, scope)), text


def test_products_and_sums_of_three() -> None:
    p, q, r = vectors(3)
    assert torch.equal(TENSOR_OPERATIONS["multiply_multiply"].forward(p, q, r), p * q * r)
    assert torch.equal(TENSOR_OPERATIONS["plus_plus"].forward(p, q, r), p + q + r)
    assert torch.equal(TENSOR_OPERATIONS["1_max_multiply"].forward(p, q, r), torch.maximum(p, r) * q)
    assert torch.equal(TENSOR_OPERATIONS["2_plus_concat"].forward(p, q, r), torch.cat([q + r, p], -1))


def score(name: str, table: Mapping[str, Operation], modes: list[Tensor], w: Tensor) -> Tensor:
    return torch.mv(table[name].forward(*modes), w)


def mirrored(name: str) -> str:
    swap = {"max": "min", "min": "max"}
    return "_".join(swap.get(part, part) for part in name.split("_"))


def mirror(name: str, modes: list[Tensor], w: Tensor) -> tuple[str, list[Tensor], Tensor]:
    """Return the parameters under which the mirrored operation computes the same score.

    With every result negated, max becomes min and a sum stays a sum; a product keeps its sign when both factors turn,
    so the factor that is not a sum, maximum or minimum turns back.
    """
    *_, first, second = name.split("_")
    groups = {"0": (0, 1, 2), "1": (0, 2, 1), "2": (1, 2, 0)}.get(name[0], (0, 1, 2))
    signs = [-1.0, -1.0, -1.0]
    if first == "multiply":  # (-p) q = -(p q): one factor turns
        signs[groups[1]] = 1.0
    if second == "multiply":  # (-(a)) r = -(a r): the other factor stays
        signs[groups[2]] = 1.0
    if first == second == "multiply":
        signs = [-1.0, 1.0, 1.0]
    return mirrored(name), [s * m for s, m in zip(signs, modes, strict=True)], -w


@pytest.mark.parametrize("name", TENSOR_OPERATIONS)
def test_the_mirror_of_a_tensor_operation_is_in_its_equivalence_class(name: str) -> None:
    modes = vectors(3)
    w = torch.randn(4 * TENSOR_OPERATIONS[name].width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    other, changed, weight = mirror(name, modes, w)
    torch.testing.assert_close(
        score(other, TENSOR_OPERATIONS, changed, weight), score(name, TENSOR_OPERATIONS, modes, w)
    )
    assert equivalence_class(other) == equivalence_class(name)


@pytest.mark.parametrize("name", [name for name in TENSOR_OPERATIONS if name.endswith("_concat")])
def test_a_tensor_concat_is_the_sum_with_its_predictor_moved_into_the_last_mode(name: str) -> None:
    modes = vectors(3)
    w = torch.randn(4 * TENSOR_OPERATIONS[name].width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = score(name, TENSOR_OPERATIONS, modes, w)
    if name == "concat_concat":
        one, two, three = torch.split(w, 4)
        moved = [modes[0], modes[1] * two / one, modes[2] * three / one]
        other = "plus_plus"
    else:
        one, two = torch.split(w, 4)
        last = {"0": 2, "1": 1, "2": 0}[name[0]]
        moved = [m * two / one if mode == last else m for mode, m in enumerate(modes)]
        other = name.replace("concat", "plus") if "plus" not in name else "plus_plus"
    torch.testing.assert_close(score(other, TENSOR_OPERATIONS, moved, one), expected)
    assert equivalence_class(other) == equivalence_class(name)


def test_families_of_two_modes() -> None:
    assert {name: equivalence_class(name) for name in OPERATIONS} == {
        "plus": "plus",
        "minus": "plus",
        "concat": "plus",
        "multiply": "multiply",
        "max": "max",
        "min": "max",
        "block-complex": "multiply",
        "block-analogy": "multiply",
        "block-simple": "multiply",
    }


def test_equal_families_of_two_modes_by_explicit_parameters() -> None:
    u, v = vectors(2)
    w = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one, two = torch.split(w, 4)
    close = torch.testing.assert_close
    close(score("minus", OPERATIONS, [u, v], one), score("plus", OPERATIONS, [u, -v], one))
    close(score("concat", OPERATIONS, [u, v], w), score("plus", OPERATIONS, [u, v * two / one], one))
    close(score("plus", OPERATIONS, [u, v], one), score("concat", OPERATIONS, [u, v], torch.cat([one, one])))
    close(score("max", OPERATIONS, [u, v], one), score("min", OPERATIONS, [-u, -v], -one))


def tables(name: str, dim: int, draws: int) -> Tensor:
    """Return score tables float64 `[draws, 6, 5]` of random vectors and predictors."""
    generator = torch.Generator().manual_seed(3)
    u = torch.randn(draws, 6, 1, dim, generator=generator, dtype=torch.float64)
    v = torch.randn(draws, 1, 5, dim, generator=generator, dtype=torch.float64)
    w = torch.randn(draws, 1, 1, dim, generator=generator, dtype=torch.float64)
    return (OPERATIONS[name].forward(u, v) * w).sum(-1)


def test_the_families_of_two_modes_are_different_sets_of_functions() -> None:
    """Sums are additive and products are of rank 1 (one entry); a maximum is neither, and no maximum is a product.

    In a table of maxima the largest entry fills its row or its column; [[1, -1], [-1, 1]], a product, has no constant
    row or column.
    """
    interaction = {
        name: table - table.mean(1, keepdim=True) - table.mean(2, keepdim=True) + table.mean((1, 2), keepdim=True)
        for name, table in ((name, tables(name, 1, 20)) for name in ("plus", "multiply", "max"))
    }
    assert interaction["plus"].abs().amax() < 1e-12
    assert interaction["multiply"].abs().amax((1, 2)).min() > 1e-3
    assert interaction["max"].abs().amax((1, 2)).min() > 1e-3
    second = {name: torch.linalg.svdvals(tables(name, 1, 20))[:, 1] for name in ("multiply", "max")}
    assert second["multiply"].max() < 1e-12
    assert second["max"].min() > 1e-3
    for maxima in tables("max", 1, 200) / tables("max", 1, 200).abs().amax((1, 2), keepdim=True):
        span = [(maxima.amax(d) - maxima.amin(d)).min() for d in (0, 1)]
        assert min(span) < 1e-12
    product = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert torch.linalg.matrix_rank(product) == 1
    assert (product.amax(0) != product.amin(0)).all()
    assert (product.amax(1) != product.amin(1)).all()


def test_how_many_families_the_fifty_three_make() -> None:
    members: dict[str, list[str]] = {}
    for name, one in FAMILIES.items():
        members.setdefault(one, []).append(name)
    assert members["plus_plus"] == ["0_plus_concat", "1_plus_concat", "2_plus_concat", "plus_plus", "concat_concat"]
    assert members["multiply_multiply"] == ["multiply_multiply"]
    assert members["max_max"] == ["max_max", "min_min"]
    assert len(members) == 24  # 3 of one operation; 7 ordered pairs up to the mirror, in 3 groupings
