"""Serving: folding equals the network, top_k equals a naive sort, and a new user's vector is found."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from nasp_core.genotype import Genotype
from sif.operations import OPERATIONS
from sif.serve import topk
from sif.serve.folding import Folded
from sif.serve.topk import top_k, top_k_of
from sif.spaces.build import build_network
from sif.spaces.interaction import InteractionNetwork, InteractionSettings, InteractionSpace

SIZES = (7, 9)


def network_of(operation: str, *, hidden: int = 0, biases: bool = True, residual: bool = False) -> InteractionNetwork:
    settings = InteractionSettings(
        operations=(operation,),
        embedding_dim=5 if OPERATIONS[operation].divisor == 1 else 8,
        hidden=hidden,
        biases=biases,
        residual=residual,
    )
    space = InteractionSpace(SIZES, settings)
    generator = torch.Generator().manual_seed(4)
    space.reset(generator)
    network = build_network(space.genotype({"operation": (0,)}), None, sizes=SIZES)
    network.reset(generator)
    with torch.no_grad():
        for parameter in network.weights():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize(("hidden", "residual"), [(0, False), (8, False), (8, True)])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_folding_is_the_forward(operation: str, hidden: int, residual: bool, biases: bool):
    network = network_of(operation, hidden=hidden, residual=residual, biases=biases)
    users, items = torch.arange(SIZES[0]), torch.arange(SIZES[1])
    with torch.no_grad():
        every = network(torch.cartesian_prod(users, items).T).view(SIZES)
    folded = Folded(network)
    assert (folded.scores(users) - every).abs().max() < 1e-5
    some, few = torch.tensor([3, 3, 0]), torch.tensor([8, 1])
    assert (folded.scores(some, few) - every[some][:, few]).abs().max() < 1e-5


def test_folding_keeps_no_tie_to_the_network():
    network = network_of("max")
    folded, before = Folded(network), Folded(network).scores(torch.arange(7))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(folded.scores(torch.arange(7)), before)


def naive(scores: np.ndarray, n: int, keep: np.ndarray, ids: np.ndarray) -> tuple[list[int], list[float]]:
    order = sorted(np.flatnonzero(keep), key=lambda place: (-scores[place], place))[:n]
    pad = n - len(order)
    return [int(ids[p]) for p in order] + [-1] * pad, [float(scores[p]) for p in order] + [-np.inf] * pad


@given(st.integers(0, 2**32), st.integers(0, 15), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_top_k_is_a_sort(seed: int, n: int, some: bool, seen: bool, excluded: bool, blocks: bool):
    """With ties (scores of four values), padding, every way of leaving items out, a row or all at once."""
    generator = np.random.default_rng(seed)
    within = np.sort(generator.permutation(11)[: generator.integers(1, 11)]) if some else None
    ids = np.arange(11) if within is None else within
    scores = generator.integers(0, 4, (3, len(ids))).astype(np.float32)
    scores[0] = generator.normal(size=len(ids))  # a row without ties among rows with them
    has = generator.random((3, 11)) < 0.3
    out = generator.permutation(11)[: generator.integers(0, 5)]
    left_out = {"seen": sparse.csr_array(has) if seen else None, "excluded": out if excluded else None}
    with pytest.MonkeyPatch.context() as patch:
        if blocks:
            patch.setattr(topk, "_BLOCK", 1)
        found, values = top_k(torch.from_numpy(scores), n, within=within, **left_out)
    assert (found.dtype, values.dtype, found.shape, values.shape) == (np.int32, np.float32, (3, n), (3, n))
    for row in range(3):
        keep = np.ones(len(ids), bool)
        keep &= ~has[row, ids] if seen else True
        keep &= ~np.isin(ids, out) if excluded else True
        assert (found[row].tolist(), values[row].tolist()) == naive(scores[row], n, keep, ids)


def test_top_k_leaves_the_scores_alone():
    scores = torch.arange(6.0).view(1, 6)
    top_k(scores, 2, excluded=np.array([5]), seen=sparse.csr_array(np.eye(6)[:1]))
    assert scores.tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]


def test_top_k_of_scores_laid_out_otherwise():
    """A transposed matrix is masked like any other."""
    scores = torch.arange(6.0).view(3, 2).T
    found, _ = top_k(scores, 2, seen=sparse.csr_array(np.array([[0, 0, 1], [0, 1, 0]])))
    assert found.tolist() == [[1, 0], [2, 0]]


def test_no_more_scores_are_made_than_a_block_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(topk, "_BLOCK", 40)
    matrix, asked = torch.randn(25, 9, generator=torch.Generator().manual_seed(0)), []

    def scores_of(rows: slice) -> torch.Tensor:
        asked.append(rows)
        return matrix[rows].clone()

    found, values = top_k_of(scores_of, 25, 9, 3)
    assert max(rows.stop - rows.start for rows in asked) * 9 <= 40
    assert [rows.start for rows in asked][1:] == [rows.stop for rows in asked][:-1]
    best = matrix.sort(dim=1, descending=True)
    assert (found == best.indices[:, :3].numpy()).all()
    assert (values == best.values[:, :3].numpy()).all()


def test_a_genotype_of_another_space_is_refused():
    from sif.errors import RunError

    genotype = Genotype("conv-cell", 1, {"operation": ("max",)})
    with pytest.raises(RunError, match="genotype of unknown space 'conv-cell'; this version knows interaction, tensor"):
        build_network(genotype, None, sizes=SIZES)
