"""Seconds to rank the best ten items for every user, by function, beside implicit's `recommend` in the same run.

    python benchmarks/serving.py PAIRS.csv...                  (64 dimensions, one thread)

PAIRS are files of users and items that `sif.datasets.read` takes, together the pairs of which each user's own are left
out. Weights are drawn, not trained: speed does not depend on them. Functions and implicit (`recommend` with
`filter_already_liked_items`, on the factors of `multiply sum` without its biases) take turns; a figure is the median
over rounds. Each function's ten items are checked against the network's own scores. Then the exported files: their
size, the seconds to write and to read them, and the largest difference of their scores from the network's.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: implicit asks for it, and is compared on one thread

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy import sparse

from common import Timed, arguments, finish
from sif.datasets import Interactions, read
from sif.encodings.histories import Histories
from sif.errors import RunError
from sif.serve.export import FORMATS, Export, load_export
from sif.serve.folding import Folded
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import named, wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks.queries import Queries

# Operation and predictor of functions of two ids, and published models.
FUNCTIONS = (
    ("multiply", "sum"),
    ("multiply", "linear"),
    ("minus", "distance"),
    ("plus", "linear"),
    ("concat", "linear"),
    ("max", "linear"),
    ("min", "linear"),
    ("max", "distance"),
    ("concat", "mlp"),
    ("multiply", "mlp"),
)
MODELS = ("svd++", "neumf")
BASE = "multiply sum"


def pairs(paths: list[Path]) -> Interactions:
    """Return the pairs of all files together."""
    tables = [read(path) for path in paths]
    frames = [
        pl.DataFrame({"user": each.users.decode(each.user), "item": each.items.decode(each.item)}) for each in tables
    ]
    return read(pl.concat(frames).unique(maintain_order=True), name="pairs")


def network_of(name: str, data: Interactions, dim: int, mlp: tuple[int, ...]) -> WideNetwork:
    """Return a network with drawn weights."""
    settings = WideSettings(embedding_dim=dim, init_std=0.3, mlp=mlp)
    if name.split()[0] in MODELS:
        genotype = named(name.split()[0], settings)
    else:
        operation, predictor = name.split()[:2]
        choices = {"encoding": ("id", "id"), "elementwise": ("identity",), "biases": ("on",)}
        genotype = wide_genotype(choices | {"operation": (operation,), "predictor": (predictor,)}, settings)
    sizes = data.n_users, data.n_items
    known = Histories.of(torch.from_numpy(data.user), torch.from_numpy(data.item), sizes)
    network = WideNetwork(sizes, genotype, known)
    generator = torch.Generator().manual_seed(0)
    network.reset(generator)
    if network.bias is not None:
        torch.nn.init.normal_(network.bias, std=0.1, generator=generator)
    return network.eval()


def check(network: WideNetwork, folded: Folded, seen: sparse.csr_array) -> float:
    """Raise where ten items of some users are not the network's own; return the largest difference of their scores."""
    users = torch.arange(0, network.sizes[0], max(1, network.sizes[0] // 50))
    with torch.no_grad():
        scores = network(Queries.catalogue(users, network.sizes[1])).numpy()
    worst = float(np.abs(folded.scores(users).numpy() - scores).max())
    scores[seen[users.numpy()].toarray()] = -np.inf
    ids, _ = folded.top_k(users, 10, seen=seen[users.numpy()])
    best = -np.sort(-scores, axis=1)[:, :10]
    np.testing.assert_allclose(np.take_along_axis(scores, ids, 1), best, atol=1e-4)
    return worst


def implicit_call(folded: Folded, seen: sparse.csr_array) -> Callable[[], Any]:
    """Return a call of implicit's `recommend` for every user, on the folded factors without the biases."""
    from implicit.cpu.als import AlternatingLeastSquares

    factors = folded.tables.users.product, folded.tables.items.product
    with warnings.catch_warnings(action="ignore"):
        model = AlternatingLeastSquares(factors=factors[0].shape[1], num_threads=1)
    model.user_factors, model.item_factors = (np.ascontiguousarray(table.numpy()) for table in factors)
    rows, users = sparse.csr_matrix(seen.astype(np.float32)), np.arange(seen.shape[0])
    return lambda: model.recommend(users, rows, N=10, filter_already_liked_items=True)


def exports(name: str, network: WideNetwork, data: Interactions) -> list[tuple[Any, ...]]:
    """Return per format: bytes, seconds to write and to read, largest difference of the scores read."""
    made = Export(Folded(network), data.users, data.items, {}, {"formula": name, "scale": None})
    users = torch.arange(0, data.n_users, max(1, data.n_users // 50))
    with torch.no_grad():
        scores = network(Queries.catalogue(users, data.n_items))
    rows: list[tuple[Any, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        for to, suffix in FORMATS.items():
            path = Path(folder) / f"model{suffix}"
            try:
                with Timed() as writing:
                    made.write(path, to)
            except RunError as error:
                rows.append((name, to, "", "", "", str(error).partition(";")[0]))
                continue
            with Timed() as reading:
                again = load_export(path) if to in ("npz", "safetensors") else None
            size = path.stat().st_size / 1e6
            if again is None:
                rows.append((name, to, size, writing.seconds, "", ""))
                continue
            worst = float((again.folded.scores(users) - scores).abs().max())
            rows.append((name, to, size, writing.seconds, reading.seconds, f"{worst:.1e}"))
    return rows


def main() -> None:
    """Take turns, print medians."""
    parser = arguments(__doc__ or "", seeds=1)
    parser.add_argument("pairs", type=Path, nargs="+", help="files of users and items")
    parser.add_argument("--dim", type=int, default=64, help="embedding dimensions (default 64)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default 7)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = pairs(options.pairs)
    seen = sparse.csr_array(data.user_items()).astype(bool)
    names = [*(" ".join(pair) for pair in FUNCTIONS), *MODELS, "neumf deep"]
    networks = {n: network_of(n, data, options.dim, (32, 16) if n.endswith("deep") else (32,)) for n in names}
    folded = {name: Folded(network) for name, network in networks.items()}
    worst = {name: check(networks[name], each, seen) for name, each in folded.items()}
    users, times = torch.arange(data.n_users), {name: list[float]() for name in ("implicit", *names)}
    other = implicit_call(folded[BASE], seen)
    for number in range(options.rounds + 1):
        for name, seconds in times.items():
            with Timed() as timed:
                _ = other() if name == "implicit" else folded[name].top_k(users, 10, seen=seen)
            if number:
                seconds.append(timed.seconds)
    medians = {name: median(seconds) for name, seconds in times.items()}
    rows = [("implicit", "an inner product", medians["implicit"], 1.0, "")]
    for name in names:
        ratio = medians[name] / medians["implicit"]
        rows.append((name, folded[name].describe(), medians[name], ratio, f"{worst[name]:.1e}"))
    columns = ("function", "folded to", "seconds", "x implicit", "largest difference")
    files = exports(BASE, networks[BASE], data) + exports("neumf deep", networks["neumf deep"], data)
    file_columns = ("function", "format", "MB", "s to write", "s to read", "largest difference")
    facts = {"users": data.n_users, "items": data.n_items, "pairs": len(data), "dim": options.dim}
    finish("export", file_columns, files, facts)
    finish("serving", columns, rows, facts | {"threads": options.threads, "seconds": medians, "exports": files})


if __name__ == "__main__":
    main()
