"""What must hold of every operation and every encoding, built in or one's own, on drawn tables.

    check_operation(MyOperation())
    check_encoding("my_package.encodings:Neighbours")

Both raise `AssertionError` with what does not hold.
"""

import importlib.util
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sif.datasets import Vocabulary
from sif.encodings import Encoding, encoding, encoding_names
from sif.encodings.base import Lookup
from sif.encodings.histories import Histories
from sif.encodings.rows import Rows
from sif.encodings.side import SidePass
from sif.encodings.sums import lists_of_rows
from sif.errors import RunError
from sif.operations import PREDICTORS, Operation, operation, operation_names
from sif.operations.tables import FoldedSide, Tables
from sif.serve.export import Export, load_export
from sif.serve.folding import Folded
from sif.serve.new_users import solve_users
from sif.spaces.branch import WideBranch
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import Scale
from sif.tasks.queries import Queries

__all__ = ["check_encoding", "check_operation"]

_SIZES, _DIM = (7, 9), 4
_CASES = [*((name, (5,)) for name in PREDICTORS), ("mlp", (5, 3))]


def check_operation(given: str | Operation) -> None:
    """Check an operation under every predictor.

    Its network scores as its tables, its exports (npz, and ONNX where that package is installed) and its formula in
    float64 do, by its own rules and by those that follow from `forward` alone, to 1e-5 of the largest score; the order
    of the items does not matter; gradients are those of finite differences; and a known user who is encoded anew from
    their row has the scores of training. Raises `AssertionError` with what does not hold.
    """
    (name,) = operation_names((given,))
    made = operation(name)
    assert all(f"{{{mode}}}" in made.formula for mode in (0, 1)), f"formula {made.formula!r} names not both vectors"
    for predictor, hidden in _CASES:
        where = f"{name} with {predictor}{len(hidden) if predictor == 'mlp' else ''}"
        network = _network(operations=(name,), predictors=(predictor,), mlp=hidden)
        _check_scores(network, where)
        _check_gradients(network.branches[0], where)
        known = _network(
            operations=(name,),
            predictors=(predictor,),
            mlp=hidden,
            encodings=("history", "id"),
            elementwise=("network",),
        )
        _check_new_users(known, where)


def check_encoding(given: str | Encoding) -> None:
    """Check an encoding alone and beside `id`, on both sides.

    Vectors are those of the lists by `encode`, pairs that are predicted left out (unless it says that vectors are
    `whole`); gradients of the table are those of finite differences; tables, and new users where nothing of their own
    is solved for, score as the network. Raises `AssertionError` with what does not hold.
    """
    (name,) = encoding_names((given,))
    for candidate in (name,) if encoding(name).own else (name, f"id+{name}"):
        network = _network(encodings=tuple(dict.fromkeys((candidate, "id"))))
        _check_left_out(network, name, candidate)
        _near(Folded(network).scores(torch.arange(_SIZES[0])), _catalogue(network), f"{candidate}: tables")
        if not network.tables("user")[0].share:
            _check_new_users(network, candidate)


def _pairs() -> Tensor:
    chosen = torch.rand(_SIZES, generator=torch.Generator().manual_seed(2)) < 0.5
    chosen[-1], chosen[:, -1] = False, False  # somebody who met nothing, something that nobody met
    return chosen.nonzero().T


def _network(**offers: Any) -> WideNetwork:
    """Return a network with drawn weights; the first encoding is the user's, the last the item's."""
    settings = replace(WideSettings(embedding_dim=_DIM, hidden=3, init_std=0.7, history_power=0.5), **offers)
    first = {name: (getattr(settings, f"{name}s")[0],) for name in ("operation", "predictor")}
    network_or_not = settings.elementwise[0]
    sides = (settings.encodings[0], settings.encodings[-1]) if "encodings" in offers else ("id", "id")
    choices = {"encoding": sides, "elementwise": (network_or_not,), **first, "biases": ("on",)}
    users, items = _pairs()
    alike = torch.ones(len(users))
    known = Histories.of(users, items, _SIZES, values=alike, ages=alike)  # `encode` knows of no weights
    made = WideNetwork(_SIZES, wide_genotype(choices, settings), known)
    generator = torch.Generator().manual_seed(3)
    made.reset(generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


@torch.no_grad()
def _catalogue(network: WideNetwork) -> Tensor:
    scores: Tensor = network(Queries.catalogue(torch.arange(_SIZES[0]), _SIZES[1]))
    return scores


@torch.no_grad()
def _by_formula(network: WideNetwork) -> Tensor:
    """Return the scores `[users, items]` by definition, in float64."""
    total = torch.zeros(_SIZES, dtype=torch.float64)
    for branch, u, v in zip(network.branches, network.encoded("user"), network.encoded("item"), strict=True):
        sides, values = (u.double().unsqueeze(1), v.double()), [value.double() for value in branch.values()]
        total += PREDICTORS[branch.predictor].read(operation(branch.operation), sides, values)
    if network.bias is not None and network.offset is not None:
        left, right = torch.split(network.bias.double(), list(_SIZES))
        total += left + right.T + network.offset
    return total


def _near(got: Tensor, wanted: Tensor, where: str) -> None:
    worst = float((got.double() - wanted.double()).abs().max()) / max(1.0, float(wanted.abs().max()))
    assert worst <= 1e-5, f"{where}: off by {worst:.2g} of the largest score"


def _check_scores(network: WideNetwork, where: str) -> None:
    wanted, users = _by_formula(network), torch.arange(_SIZES[0])
    _near(_catalogue(network), wanted, f"{where}: the network")
    pairs = torch.cartesian_prod(users, torch.arange(_SIZES[1])).T
    _near(network(pairs).detach().view(_SIZES), wanted, f"{where}: the network, pair by pair")
    for rules, folded in (("its rules", Folded(network)), ("forward alone", _folded_by_forward(network))):
        _near(folded.scores(users), wanted, f"{where}: tables by {rules}")
        order = torch.randperm(_SIZES[1], generator=torch.Generator().manual_seed(0))
        _near(folded.scores(users, order), wanted[:, order], f"{where}: tables by {rules}, items in another order")
        _check_exports(folded, wanted, where)


def _folded_by_forward(network: WideNetwork) -> Folded:
    (branch,), (u,), (v,) = network.branches, network.encoded("user"), network.encoded("item")
    assert network.bias is not None
    assert network.offset is not None
    of_users, of_items = torch.split(network.bias.detach().squeeze(1), list(_SIZES))
    values = [value.detach() for value in branch.values()]
    factor = branch.reads.mlp_factor(Operation(), branch.operation, values, branch.joins.width * _DIM)
    u, v = map(branch.reads.vectors, (u, v))
    sides = FoldedSide.of(of_users + network.offset.detach(), mlps=(u,)), FoldedSide.of(of_items, mlps=(v,))
    return Folded(Tables(*sides, (factor,)))


def _check_exports(folded: Folded, wanted: Tensor, where: str) -> None:
    export = Export(folded, Vocabulary(range(_SIZES[0])), Vocabulary(range(_SIZES[1])), {}, {})
    with tempfile.TemporaryDirectory() as folder:
        again = load_export(export.write(Path(folder) / "model.npz", "npz"))
        _near(again.scores(range(_SIZES[0])), wanted, f"{where}: npz")
        if any(importlib.util.find_spec(package) is None for package in ("onnx", "onnxruntime")):
            return
        try:
            path = export.write(Path(folder) / "model.onnx", "onnx")
        except RunError as error:
            assert "has no ONNX form" in str(error), f"{where}: {error}"  # noqa: PT017
            return
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (scores,) = session.run(["scores"], {"users": np.arange(_SIZES[0])})
        _near(torch.from_numpy(scores), wanted, f"{where}: ONNX")


def _check_gradients(branch: WideBranch, where: str) -> None:
    generator = torch.Generator().manual_seed(5)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    values = [drawn(*value.shape) for value in branch.values()]
    for width in (0, 2):

        def scores(u: Tensor, v: Tensor, *parameters: Tensor, width: int = width) -> Tensor:
            return branch.reads.scores(branch.joins, Rows(u), Rows(v), width, parameters)

        good = torch.autograd.gradcheck(scores, (drawn(3, _DIM), drawn(6, _DIM), *values), raise_exception=False)
        assert good, f"{where}: the gradient rule is not that of forward (width {width})"


def _check_new_users(network: WideNetwork, where: str) -> None:
    network.bias, network.offset = None, None  # a bias is solved for
    users, items = _pairs()
    rows = sparse.csr_array((np.ones(len(users), np.float32), (users.numpy(), items.numpy())), shape=_SIZES)
    with torch.enable_grad():
        side = solve_users(network, rows, Scale(0.0, 1.0, 0.0, 1.0))
    _near(Folded(network).scores_of(side), _catalogue(network), f"{where}: known users, encoded anew from their rows")


def _check_left_out(network: WideNetwork, name: str, candidate: str) -> None:
    """Compare training's vectors with those of lists without the pair, and their gradients with finite differences."""
    lists, plain, (users, items) = network.histories.side(0), encoding(name), _pairs()[:, ::3]
    tables = {part: table.detach().double() for part, table in network.tables("user")[0].tables.items()}
    if plain.own:
        return
    expected = []
    for user, item in zip(users, items, strict=True):
        _, members = lists_of_rows(lists, user.view(1))
        members = members if plain.whole else members[members != item]
        vector = plain.encode(tables[name], torch.tensor([0, len(members)]), members, network.settings.history_power)[0]
        expected.append(vector + tables["id"][user] if candidate != name else vector)
    wanted = torch.stack(expected)

    def rows(*values: Tensor) -> Tensor:
        made = SidePass(dict(zip(tables, values, strict=True)), lists, network.settings.history_power)
        return made.rows(candidate, Lookup(users, items)).full()

    leaves = tuple(table.requires_grad_() for table in tables.values())
    _near(rows(*leaves).detach(), wanted.detach(), f"{candidate}: vectors with the predicted pair left out")
    few = torch.arange(len(users))
    cut = SidePass(dict(zip(tables, leaves, strict=True)), lists, network.settings.history_power)
    left = cut.rows(candidate, Lookup(users, items, cuts=torch.cat([few, few[-1:] + 1]))).full()
    _near(left.detach(), wanted.detach(), f"{candidate}: vectors with hidden pairs left out")
    good = torch.autograd.gradcheck(rows, leaves, raise_exception=False)
    assert good, f"{candidate}: the gradient of the tables is not that of encode"
