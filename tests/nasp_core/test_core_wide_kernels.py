"""The hand-written backward passes of the wide network against finite differences, in float64 and in small blocks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from wide_samples import HISTORIES, ITEMS, SETTINGS, USERS, network, triples

from sif.encodings import entrywise as wide_elementwise
from sif.encodings import rows as wide_rows
from sif.encodings.base import Lookup
from sif.encodings.elementwise import Elementwise
from sif.encodings.entrywise import entrywise, start_near_identity
from sif.encodings.rows import Rows, inner
from sif.encodings.side import SideEncoder, SidePass
from sif.encodings.sums import CSR, bag, row_penalty
from sif.operations import OPERATIONS
from sif.operations.hinge import HINGE
from sif.operations.kernels import Distance, Tower, Weighted, read_pairs

DIM = 4
N, K, M = 5, 3, 6


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_rows, "_BLOCK", 3 * DIM)
    monkeypatch.setattr(wide_elementwise, "_ENTRIES", 7)
    monkeypatch.setattr(wide_elementwise, "_WHOLE", 0)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def indices(count: int, size: int, seed: int) -> Tensor:
    return torch.randint(size, (count,), generator=torch.Generator().manual_seed(seed))


def sides(width: int, tables: str) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
    """Return user and item values with indices into them, or (`rows`) with none."""
    count = N * width if width else M
    if tables == "rows":
        return normal(N, DIM), None, normal(count, DIM, seed=1), None
    return normal(4, DIM), indices(N, 4, 2), normal(7, DIM, seed=1), indices(count, 7, 3)


def pairs(width: int, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors of every pair, `[n, k, dim]` each."""
    if width:
        return u.unsqueeze(1).expand(-1, width, -1), v.view(N, width, DIM)
    return u.unsqueeze(1).expand(-1, M, -1), v.unsqueeze(0).expand(N, -1, -1)


def tower(width: int = DIM) -> list[Tensor]:
    return [normal(5, width, seed=4), normal(5, seed=5), normal(3, 5, seed=6), normal(3, seed=7), normal(1, 3, seed=8)]


def plainly(x: Tensor, parameters: list[Tensor]) -> Tensor:
    *layers, last = parameters
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        x = torch.relu(x @ weight.T + bias)
    return x @ last[0]


READERS: dict[str, tuple[Any, list[Tensor], Callable[[Tensor, list[Tensor]], Tensor]]] = {
    "weighted": (Weighted(), [normal(DIM, seed=9)], lambda x, p: x @ p[0]),
    "distance": (Distance(), [], lambda x, p: -x.square().sum(-1)),
    "tower": (Tower(), tower(), plainly),
    "last": (Tower(), [normal(1, DIM, seed=9)], plainly),
}


def check(function: Callable[..., Tensor], plain: Callable[..., Tensor], *tensors: Tensor) -> None:
    """Assert equal values, and gradients equal to finite differences."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    torch.testing.assert_close(function(*leaves), plain(*leaves))
    assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize("tables", ["rows", "tables"])
@pytest.mark.parametrize("width", [0, 1, K])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("operation", ["multiply", "max", "min", "hinge"])
def test_readers(operation: str, reader: str, width: int, tables: str) -> None:
    made, parameters, plain = READERS[reader]
    if operation == "multiply" and made.weighted:
        return check_inner(width, tables, weighted=True)
    u, user_index, v, item_index = sides(width, tables)
    joins: Any = HINGE if operation == "hinge" else OPERATIONS[operation]

    def ours(u: Tensor, v: Tensor, *rest: Tensor) -> Tensor:
        a, b = Rows(u, user_index), Rows(v, item_index)
        if made.weighted:
            return joins.weighted(a, b, width, *rest)
        return read_pairs(joins, made, a, b, width, rest)

    def theirs(u: Tensor, v: Tensor, *rest: Tensor) -> Tensor:
        a, b = pairs(width, Rows(u, user_index).full(), Rows(v, item_index).full())
        x = torch.relu(a + b) if operation == "hinge" else joins.forward(a, b)
        return plain(x, list(rest))

    return check(ours, theirs, u, v, *parameters)


def check_inner(width: int, tables: str, *, weighted: bool) -> None:
    u, user_index, v, item_index = sides(width, tables)

    def ours(u: Tensor, v: Tensor, *weight: Tensor) -> Tensor:
        return inner(Rows(u, user_index), Rows(v, item_index), width, *weight)

    def theirs(u: Tensor, v: Tensor, *weight: Tensor) -> Tensor:
        a, b = pairs(width, Rows(u, user_index).full(), Rows(v, item_index).full())
        return (a * b).sum(-1) if not weight else (a * b) @ weight[0]

    check(ours, theirs, u, v, *([normal(DIM, seed=9)] if weighted else []))


@pytest.mark.parametrize("tables", ["rows", "tables"])
@pytest.mark.parametrize("width", [0, 1, K])
def test_inner_products(width: int, tables: str) -> None:
    check_inner(width, tables, weighted=False)


def test_entries() -> None:
    net = Elementwise(1, 3).double()
    net.reset(torch.Generator().manual_seed(0))

    def ours(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        made: Any = Elementwise(1, 3).double()
        del made.inner, made.outer
        made.inner, made.outer = first, second
        return entrywise(made, x)

    def theirs(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        hidden = torch.tanh(x.unsqueeze(-1) * first[0, :, 0] + first[0, :, 1])
        return hidden @ second[0, 0, :-1] + second[0, 0, -1]

    check(ours, theirs, normal(6, DIM), net.inner.detach(), net.outer.detach())


def test_networks_start_near_the_identity() -> None:
    net = Elementwise(1, 5)
    start_near_identity(net, torch.Generator().manual_seed(0))
    x = torch.tensor([[-1e-2, 0.0, 1e-2]])
    torch.testing.assert_close(entrywise(net, x), x, rtol=0.02, atol=1e-6)
    wide = entrywise(net, torch.linspace(-3, 3, 50))
    assert bool((wide.diff() > 0).all()), "it rises"
    assert len({round(float(w), 4) for w in net.inner.detach()[0, :, 0]}) == 5, "its units differ"


def test_bags_and_penalties() -> None:
    starts, members = torch.tensor([0, 3, 3, 5]), torch.tensor([4, 0, 4, 1, 2])
    rows = [[4, 0, 4], [], [1, 2]]

    def plain(table: Tensor) -> Tensor:
        return torch.stack([sum((table[i] for i in row), torch.zeros(DIM, dtype=table.dtype)) for row in rows])

    check(lambda table: bag(table, starts, members), plain, normal(6, DIM))
    share, index = normal(5, seed=1).abs(), torch.tensor([3, 0, 3, 1, 2])
    for where in (None, index):
        check(
            lambda values, where=where: row_penalty(Rows(values, where), share),
            lambda values, where=where: (share * Rows(values, where).full().square().sum(-1)).sum(),
            normal(5, DIM),
        )


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("known", [False, True])
def test_histories_with_one_left_out(power: float, known: bool) -> None:
    encoder: Any = SideEncoder(USERS, ITEMS, DIM, ("history",), power).double()
    lists = CSR(*HISTORIES)
    pairs = torch.stack([torch.tensor([0, 4, 4, 8]), torch.tensor([1, 1, 2, 5])])
    held = [bool((HISTORIES.user_items[lists.starts[u] : lists.starts[u + 1]] == i).any()) for u, i in pairs.T]
    pairs = pairs if known else pairs[:, torch.tensor(held)]
    held = held if known else [True] * pairs.shape[1]
    share = normal(pairs.shape[1], seed=2).abs()
    lookup = Lookup(pairs[0], pairs[1], torch.tensor(held) if known else None, share=share)

    def ours(table: Tensor) -> Tensor:
        del encoder.history
        encoder.history = table
        encoding = SidePass(encoder.tables, lists, power)
        rows = encoding.full("history", lookup)
        return torch.cat([rows.reshape(-1), *(penalty.view(1) for penalty in encoding.penalties)])

    def theirs(table: Tensor) -> Tensor:
        rows = []
        for user, item in pairs.T.tolist():
            members = HISTORIES.user_items[lists.starts[user] : lists.starts[user + 1]].tolist()
            members = [member for member in members if member != item]
            total = sum((table[member] for member in members), torch.zeros(DIM, dtype=table.dtype))
            rows.append(total / max(1, len(members)) ** power)
        made = torch.stack(rows)
        return torch.cat([made.reshape(-1), table.square().sum(-1).mean().view(1)])

    assert any(held)
    check(ours, theirs, normal(ITEMS, DIM))


@pytest.mark.parametrize("choices", [{}, {"operation": ("max",)}, {"predictor": ("mlp",)}])
def test_gradients_reach_every_weight_of_a_network(choices: dict[str, tuple[str, ...]]) -> None:
    small = replace(SETTINGS, embedding_dim=2, hidden=2, mlp=(3,))
    always = {"encoding": ("id+history", "id+history"), "elementwise": ("network",), "biases": ("on",)}
    net = network(settings=small, **{**always, **choices}).double()
    parameters = dict(net.named_parameters())
    queries = triples(shared=(2,))
    queries = queries._replace(users=queries.users[::3], own=queries.own[::3])

    def output(*values: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(parameters, values, strict=True)), (queries,))

    assert torch.autograd.gradcheck(output, tuple(parameters.values()))
    grads = torch.autograd.grad(net(queries).square().sum(), list(parameters.values()))
    for name, grad in zip(parameters, grads, strict=True):
        assert bool((grad != 0).any()), f"no gradient reaches {name}"
