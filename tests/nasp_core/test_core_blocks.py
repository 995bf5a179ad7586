"""Bilinear functions of blocks: what they compute, which are one with the product, and what only they can learn."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from wide_samples import HISTORIES, PLAIN, SIZES

from nasp_core.errors import SpaceError
from sif.encodings.rows import Rows
from sif.operations import OPERATIONS, Operation, canonical
from sif.operations.block import ANALOGY, COMPLEX, SIMPLE, Block, _class_of
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.wide import WideSpace
from sif.spaces.wide_points import class_of_choices, wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.testing.operations import check_operation

SINGULAR = Block(((1, 1, 0, 0), (1, 1, 0, 0), (0, 0, 3, 0), (0, 0, 0, 4)))
SUMS = Block(((1, 0, 2, 0), (0, -2, 0, 3), (0, 3, 0, 0), (4, 0, 0, 1)))
SIGNED = Block(((0, -1, 0, 0), (2, 0, 0, 0), (0, 0, 0, 3), (0, 0, -4, 0)))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("form", [COMPLEX, ANALOGY, SIMPLE, SUMS, SIGNED, SINGULAR], ids=lambda form: form.formula)
def test_a_form_is_the_sum_over_its_blocks(form: Block) -> None:
    """AutoSF, eq. 5: the sum over a, b of sign <r_k, u_a, v_b>, written out entry by entry."""
    u, v, w = drawn(3, 8), drawn(5, 8, seed=1), drawn(8, seed=2)
    wanted = torch.zeros(3, 5, dtype=torch.float64)
    for (a, b), (i, j), at in itertools.product(np.ndindex(4, 4), np.ndindex(3, 5), range(2)):
        entry = form.matrix[a][b]
        if entry:
            weight = w[2 * (abs(entry) - 1) + at] * (1 if entry > 0 else -1)
            wanted[i, j] += weight * u[i, 2 * a + at] * v[j, 2 * b + at]
    torch.testing.assert_close(form.forward(u.unsqueeze(1), v) @ w, wanted)
    torch.testing.assert_close(form.weighted(Rows(u), Rows(v), 0, w), wanted)
    users, items = form.fold_weighted(w, 0, u), form.fold_weighted(w, 1, v)
    torch.testing.assert_close(users.product @ items.product.T, wanted)


def test_complex_is_the_real_part_of_complex_numbers() -> None:
    """Trouillon et al. 2016, eq. 7: Re <w, u, conj v>."""
    u, v, w = drawn(8), drawn(8, seed=1), drawn(8, seed=2)
    one, two, three = (torch.complex(x[:4], x[4:]) for x in (u, v, w))
    torch.testing.assert_close(COMPLEX.forward(u, v) @ w, (three * one * two.conj()).sum().real)


def test_forms_of_ones_own_have_all_that_an_operation_has() -> None:
    check_operation("test_core_blocks:SUMS")


def matrix_of(form: Operation, w: Tensor) -> Tensor:
    """Return M of w . o(u, v) = u' M v."""
    eye = torch.eye(len(w), dtype=w.dtype)
    return form.forward(eye.unsqueeze(1), eye) @ w


@pytest.mark.parametrize("form", [COMPLEX, ANALOGY, SIMPLE, SUMS, SIGNED], ids=lambda form: form.formula)
@pytest.mark.parametrize("predictor", ["sum", "linear"])
def test_an_invertible_form_is_the_product_with_its_matrix_in_a_table(form: Block, predictor: str) -> None:
    """Both ways: its scores are a product's, and a product's scores are its own, the matrix or its inverse in v."""
    u, v, w = drawn(6, 8), drawn(5, 8, seed=1), drawn(8, seed=2)
    w = torch.ones_like(w) if predictor == "sum" else w
    matrix = matrix_of(form, w)
    torch.testing.assert_close((u.unsqueeze(1) * (v @ matrix.T)).sum(-1), form.forward(u.unsqueeze(1), v) @ w)
    moved = v @ torch.linalg.inv(matrix).T
    torch.testing.assert_close(form.forward(u.unsqueeze(1), moved) @ w, u @ v.T)
    assert form.canonical(predictor, networks=False) == ("multiply", predictor)


def test_what_is_not_the_product_stays_apart() -> None:
    assert SINGULAR.canonical("sum", networks=False) is None
    assert SINGULAR.canonical("linear", networks=False) is None
    assert int(torch.linalg.matrix_rank(matrix_of(SINGULAR, drawn(8)))) < 8
    for predictor in ("mlp", "distance", "cosine"):
        assert SUMS.canonical(predictor, networks=False) is None
    assert [SIGNED.canonical(p, networks=True) for p in ("sum", "linear")] == [None, ("multiply", "linear")]
    assert SIMPLE.canonical("sum", networks=True) == ("multiply", "sum")
    assert canonical("block-complex", "linear") == ("multiply", "sum")
    assert canonical("block-complex", "linear", ("tanh", "identity")) == ("multiply", "sum"), "into the plain side"
    assert canonical("block-complex", "linear", ("tanh", "tanh")) == ("block-complex", "linear")


@pytest.mark.parametrize("networks", [False, True])
@pytest.mark.parametrize("predictor", ["sum", "linear", "mlp", "distance"])
def test_a_signed_order_of_blocks_is_the_product_where_it_says_so(predictor: str, networks: bool) -> None:
    """With v in another order, and for weights the signs in them, the joined vectors are those of the product."""
    u, v = torch.sigmoid(drawn(6, 8)), torch.sigmoid(drawn(6, 8, seed=1))
    joined = SIGNED.forward(u, v)
    ordered = torch.cat([v.chunk(4, -1)[b] for b in (1, 0, 3, 2)], -1)
    signs = torch.tensor([-1.0, 1.0, 1.0, -1.0]).repeat_interleave(2)
    torch.testing.assert_close(joined, (u * ordered) * signs)
    merged = SIGNED.canonical(predictor, networks=networks)
    assert (merged is None) == (networks and predictor == "sum"), "only there has a sign nowhere to go"


def test_a_search_never_has_the_same_functions_twice() -> None:
    settings = WideSettings(
        embedding_dim=8,
        encodings=("id", "history"),
        elementwise=("identity",),
        operations=("multiply", "block-complex", "block-simple"),
        predictors=("sum", "linear", "distance"),
    )
    space = WideSpace(SIZES, settings, HISTORIES)
    classes = {space.equivalence_class(point) for point in space.points()}
    assert len(classes) == 4 * 2 * 3, "of each pair of encodings: sum, distance, and the distance of complex"
    for point in space.points():
        stands = space.canonical(point)
        assert space.equivalence_class(stands) == space.equivalence_class(point)
    assert len({space.genotype(space.canonical(point)).key() for point in space.points()}) == len(classes)


def test_a_size_that_cannot_be_cut_is_refused_by_name() -> None:
    words = (
        "embedding_dim = 6; operation block-complex cuts a vector into 4 blocks: set embedding_dim = 8, "
        "or leave block-complex out"
    )
    with pytest.raises(SpaceError) as error:
        WideSettings(embedding_dim=6, operations=("multiply", "block-complex")).check()
    assert str(error.value) == words
    with pytest.raises(SpaceError) as error:
        InteractionSpace((3, 3), InteractionSettings(embedding_dim=6, operations=("plus", "block-complex")))
    assert str(error.value) == words
    WideSettings(embedding_dim=8, operations=("multiply", "block-complex")).check()


@pytest.mark.parametrize("matrix", [((1, 0), (0, 1)), ((5, 0, 0, 0),) * 4, ((0,) * 4,) * 4])
def test_a_matrix_that_is_none_is_refused(matrix: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(SpaceError, match="give four rows of four whole numbers, -4 to 4, not all 0"):
        Block(matrix)


def fitted(form: Operation, wanted: Tensor, dim: int) -> float:
    """Return the share of the variance of item-item scores that a form with one table for both sides leaves."""
    table = (0.3 * drawn(len(wanted), dim, seed=5)).float().requires_grad_()
    weight = torch.ones(dim, requires_grad=True)
    adam = torch.optim.Adam([table, weight], lr=0.05)
    for _ in range(250):
        adam.zero_grad()
        loss = (form.weighted(Rows(table), Rows(table), 0, weight) - wanted).square().mean()
        loss.backward()
        adam.step()
    return float(loss.detach() / wanted.var())


def test_where_both_sides_read_one_table_it_learns_what_a_product_cannot() -> None:
    """Planted: after item a comes item b, not the other way round. A product of one table is symmetric."""
    table, weight = drawn(16, 8).float(), drawn(8, seed=1).float()
    wanted = COMPLEX.weighted(Rows(table), Rows(table), 0, weight)
    skew = (wanted - wanted.T).square().mean() / 4 / wanted.var()
    product, blocks = fitted(OPERATIONS["multiply"], wanted, 8), fitted(COMPLEX, wanted, 8)
    assert product > 0.999 * float(skew) > 0.2, "what is not symmetric is out of its reach"
    assert blocks < 0.05


def test_a_class_of_forms_is_what_order_and_signs_leave() -> None:
    rng = np.random.default_rng(0)
    matrix = np.array(SUMS.matrix)
    number = np.array([0, *rng.permutation([1, 2, 3, 4])]) * np.array([1, *rng.choice([1, -1], 4)])
    other = (np.sign(matrix) * number[abs(matrix)])[rng.permutation(4)][:, rng.permutation(4)]
    other = other * rng.choice([1, -1], (4, 1)) * rng.choice([1, -1], (1, 4))
    assert _class_of(other) == _class_of(matrix) != _class_of(np.array(COMPLEX.matrix))


def test_a_form_grows_by_one_product_of_each_class() -> None:
    full = Block(((1, 2, 3, 4), (2, 1, 4, 3), (3, 4, 1, 2), (4, 3, 2, 0)))
    grown = full.grown()
    assert 1 < len(grown) <= 8
    assert all(form.matrix[3][3] and form.matrix[:3] == full.matrix[:3] for form in grown)
    assert len({_class_of(np.array(form.matrix)) for form in grown}) == len(grown)


def test_how_a_form_is_written() -> None:
    settings = WideSettings(embedding_dim=8, operations=("block-complex",))
    choices = {**PLAIN, "operation": ("block-complex",)}
    assert WideSpace.formula(wide_genotype(choices, settings)) == "w . complex(u, v)"
    assert SUMS.formula == "blocks[1 0 2 0; 0 -2 0 3; 0 3 0 0; 4 0 0 1]({0}, {1})"
    assert class_of_choices(choices) == class_of_choices({**PLAIN, "predictor": ("sum",)})
