"""Each baseline equals its formula, written again in numpy, on random rows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sif_samples import TINY, planted_rows

import sif
from nasp_core.network import Network
from sif.rivals.known import RIVALS, baseline_table
from sif.spaces.build import parameters_of
from sif.spaces.interaction import InteractionSettings

DIM = 4
SIZES = (5, 6)
TENSOR_SIZES = (5, 6, 3)
SETTINGS = InteractionSettings(embedding_dim=DIM, hidden=4, biases=True, max_norm=None)
BASELINES = {name: each for name, each in baseline_table("pairs").items() if name == RIVALS[name].name}
TENSOR_BASELINES = baseline_table("triples")
Vectors = list[np.ndarray]
Weights = list[np.ndarray]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def dense(x: np.ndarray, weights: Weights, layer: int) -> np.ndarray:
    return x @ weights[2 * layer].T + weights[2 * layer + 1]


def deep_wide(vectors: Vectors, w: Weights) -> np.ndarray:
    return dense(relu(dense(np.concatenate(vectors, 1), w, 0)), w, 1)[:, 0]


def ncf(vectors: Vectors, w: Weights) -> np.ndarray:
    product = np.prod(vectors, axis=0)
    return dense(np.concatenate([product, relu(dense(np.concatenate(vectors, 1), w, 0))], 1), w, 1)[:, 0]


def conv_ncf(vectors: Vectors, w: Weights) -> np.ndarray:
    """Each layer joins the 2x2 blocks of a square image."""
    image = np.einsum("bi,bj->bij", *vectors)[:, None]
    for layer in range(2):
        kernel, bias = w[2 * layer], w[2 * layer + 1]
        batch, channels, size, _ = image.shape
        blocks = image.reshape(batch, channels, size // 2, 2, size // 2, 2)
        image = relu(np.einsum("bcyixj,ocij->boyx", blocks, kernel) + bias[:, None, None])
    return dense(image[:, :, 0, 0], w, 2)[:, 0]


FORMULAS: dict[str, Callable[[Vectors, Weights], np.ndarray]] = {
    "global-mean": lambda v, w: np.zeros(len(v[0])),
    "biases": lambda v, w: np.zeros(len(v[0])),
    "inner-product": lambda v, w: (v[0] * v[1]).sum(1),
    "biased-mf": lambda v, w: (v[0] * v[1]).sum(1),
    "plus": lambda v, w: (v[0] + v[1]) @ w[0],
    "max": lambda v, w: np.maximum(v[0], v[1]) @ w[0],
    "min": lambda v, w: np.minimum(v[0], v[1]) @ w[0],
    "deep-wide": deep_wide,
    "ncf": ncf,
    "outer": lambda v, w: np.einsum("bi,ji,bj->b", v[0], w[0], v[1]),
    "conv-ncf": conv_ncf,
}
TENSOR_FORMULAS: dict[str, Callable[[Vectors, Weights], np.ndarray]] = {
    "global-mean": FORMULAS["global-mean"],
    "biases": FORMULAS["biases"],
    "cp": lambda v, w: (v[0] * v[1] * v[2]).sum(1),
    "biased-cp": lambda v, w: (v[0] * v[1] * v[2]).sum(1),
    "tucker": lambda v, w: np.einsum("bu,iju,bi,bj->b", v[0], w[0].reshape(DIM, DIM, DIM), v[1], v[2]),
    "plus": lambda v, w: (v[0] + v[1] + v[2]) @ w[0],
    "deep-wide": deep_wide,
    "ncf": ncf,
}
WITH_BIASES = {"global-mean": False, "inner-product": False, "cp": False}
NO_VECTORS = ("global-mean", "biases")


def made(name: str, tensor: bool) -> Network:
    sizes = TENSOR_SIZES if tensor else SIZES
    network = (TENSOR_BASELINES if tensor else BASELINES)[name].build(sizes, SETTINGS, None)
    generator = torch.Generator().manual_seed(1)
    network.reset(generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(
    ("name", "tensor"), [(name, False) for name in BASELINES] + [(name, True) for name in TENSOR_BASELINES]
)
def test_a_baseline_is_its_formula(name: str, tensor: bool):
    network, sizes = made(name, tensor), TENSOR_SIZES if tensor else SIZES
    ids = torch.stack([torch.randint(0, size, (50,), generator=torch.Generator().manual_seed(2)) for size in sizes])
    values = {key: value.detach().numpy().astype(float) for key, value in network.named_parameters()}
    rows = ids.numpy() + np.cumsum([0, *sizes[:-1]])[:, None]
    vectors = list(values["embedding"][rows])
    own = [value for key, value in values.items() if key not in ("embedding", "bias", "offset")]
    expected = (TENSOR_FORMULAS if tensor else FORMULAS)[name](vectors, own)
    if WITH_BIASES.get(name, True):
        expected = expected + values["bias"][rows, 0].sum(0) + values["offset"]
    assert ("bias" in values) is WITH_BIASES.get(name, True)
    assert values["embedding"].shape[1] == (0 if name in NO_VECTORS else DIM)
    with torch.no_grad():
        np.testing.assert_allclose(network(ids).numpy(), expected, rtol=2e-5, atol=2e-5)
    assert parameters_of(network) == sum(value.size for value in values.values())


def test_every_baseline_has_a_formula_here():
    assert set(FORMULAS) == set(BASELINES)
    assert set(TENSOR_FORMULAS) == set(TENSOR_BASELINES)


@pytest.mark.parametrize(("dim", "fits"), [(1, True), (2, True), (3, False), (8, True), (12, False), (16, True)])
def test_conv_ncf_wants_a_power_of_two(dim: int, fits: bool):
    settings = replace(SETTINGS, embedding_dim=dim)
    assert BASELINES["conv-ncf"].fits(settings) is fits
    assert BASELINES["outer"].fits(settings)
    if fits:
        network = BASELINES["conv-ncf"].build(SIZES, settings, None)
        assert network(torch.zeros(2, 3, dtype=torch.long)).shape == (3,)


def test_conv_ncf_is_skipped_where_it_cannot_be_made():

    rows = pl.DataFrame(planted_rows(), schema=["user_id", "movie_id", "rating", "timestamp"], orient="row")
    settings = TINY | {"baselines.names": ["conv-ncf", "outer"], "space.embedding_dim": 6}
    assert set(sif.search(rows, settings=settings, device="cpu").result["rows"]) == {"found", "outer"}


@pytest.mark.parametrize("name", ["deep-wide", "ncf", "outer", "conv-ncf"])
def test_dense_baselines_start_from_the_generator(name: str):
    networks = [BASELINES[name].build(SIZES, SETTINGS, None) for _ in range(2)]
    for network in networks:
        network.reset(torch.Generator().manual_seed(3))
    for one, two in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, two)
    matrices = [
        parameter for key, parameter in networks[0].named_parameters() if "layers" in key and parameter.dim() > 1
    ]
    assert all(float(matrix.detach().std()) > 0 for matrix in matrices)
