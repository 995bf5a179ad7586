"""Histories and queries: what a wide network knows of each side, and the pairs that it must not see."""

import pytest
import torch
from wide_samples import (
    HISTORIES,
    ITEMS,
    KNOWN,
    PAIRS,
    SIZES,
    USERS,
    all_pairs,
    everything,
    hiding,
    network,
    score,
    triples,
)

from nasp_core.errors import SpaceError
from sif.encodings import base as wide_encoding
from sif.encodings.histories import Histories
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import named
from sif.tasks.queries import Queries

ENCODINGS = [(user, item) for user in ("id", "history", "id+history") for item in ("id", "history", "id+history")]


@pytest.fixture(params=["whole", "few"])
def sums(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sum whole tables of histories, or the rows of the batch alone."""
    monkeypatch.setattr(wide_encoding, "_FEW", -1)
    monkeypatch.setattr(wide_encoding, "_PRICE", 0 if request.param == "few" else 10**9)


def test_histories_are_the_pairs_by_user_and_by_item() -> None:
    order = torch.randperm(KNOWN.shape[1], generator=torch.Generator().manual_seed(0))
    twice = torch.cat([KNOWN[:, order], KNOWN[:, :3]], 1)
    made = Histories.of(twice[0], twice[1], SIZES)
    assert all(map(torch.equal, made[:4], HISTORIES[:4])), "order and repetition do not matter"
    assert made.sizes == SIZES
    for starts, members, place in ((made.user_starts, made.user_items, 0), (made.item_starts, made.item_users, 1)):
        for row in range(SIZES[place]):
            expected = sorted(pair[1 - place] for pair in PAIRS if pair[place] == row)
            assert members[starts[row] : starts[row + 1]].tolist() == expected
    assert made.counts().tolist() == [*KNOWN[0].bincount(minlength=USERS), *KNOWN[1].bincount(minlength=ITEMS)]


def test_histories_may_be_empty() -> None:
    made = Histories.empty((2, 3))
    assert made.sizes == (2, 3)
    assert made.counts().tolist() == [0] * 5


def test_histories_of_ids_that_are_none() -> None:
    with pytest.raises(SpaceError) as error:
        Histories.of(torch.tensor([0, 9]), torch.tensor([0, 1]), SIZES)
    assert str(error.value) == "user ids of the histories go from 0 to 9; with 9 users they must go from 0 to 8"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_pair_never_sees_itself(encoding: tuple[str, str], sums: None) -> None:
    net = network(encoding=encoding, biases=("on",))
    pairs = all_pairs()
    expected = torch.stack([score(net, user, item, {item}, {user}) for user, item in pairs.T.tolist()])
    torch.testing.assert_close(net(pairs), expected)
    some = torch.tensor([[4, 2, 4], [6, 1, 0]])
    expected = torch.stack([score(net, user, item, {item}, {user}) for user, item in some.T.tolist()])
    torch.testing.assert_close(net(some), expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_first_leaves_out_the_training_pairs(encoding: tuple[str, str], sums: None) -> None:
    net = network(encoding=encoding, elementwise=("network",), operation=("max",))
    queries = triples()
    rows = []
    for user, own in zip(queries.users.tolist(), queries.own.tolist(), strict=True):
        whole = [score(net, user, item, {own[0]}) for item in [*own[1:], *queries.shared.tolist()]]
        rows.append(torch.stack([score(net, user, own[0], {own[0]}, {user}), *whole]))
    torch.testing.assert_close(net(queries), torch.stack(rows))
    alone = queries._replace(own=queries.own[:, :1], shared=queries.shared[:0])
    torch.testing.assert_close(net(alone), torch.stack(rows)[:, :1])


@pytest.mark.parametrize("shared", [tuple(range(ITEMS)), (5, 2, 0)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_hidden_pairs_are_left_out_on_both_sides(
    encoding: tuple[str, str], shared: tuple[int, ...], sums: None
) -> None:
    net = network(encoding=encoding, operation=("min",))
    queries = hiding(shared)
    assert queries.hidden is not None
    users = queries.users.tolist()
    gone = {(users[row], item) for row, item in queries.hidden.T.tolist()}
    expected = [
        [
            score(net, user, item, {j for a, j in gone if a == user}, {a for a, j in gone if j == item})
            for item in shared
        ]
        for user in users
    ]
    torch.testing.assert_close(net(queries), torch.tensor(expected))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_catalogue_leaves_nothing_out(encoding: tuple[str, str], sums: None) -> None:
    net = network(encoding=encoding, biases=("on",), predictor=("mlp",))
    torch.testing.assert_close(net(Queries.catalogue(torch.arange(USERS), ITEMS)), everything(net))
    users = torch.tensor([5, 5, 1])
    torch.testing.assert_close(net(Queries.catalogue(users, ITEMS)), everything(net)[users])


def test_queries_and_pairs_agree() -> None:
    net = network(encoding=("id+history", "history"), biases=("on",), operation=("concat",), predictor=("mlp",))
    queries = Queries(KNOWN[0], KNOWN[1].unsqueeze(1), KNOWN.new_empty(0), True)
    torch.testing.assert_close(net(queries).squeeze(1), net(KNOWN))
    own = Queries(torch.arange(USERS), torch.arange(ITEMS).repeat(USERS, 1), KNOWN.new_empty(0))
    torch.testing.assert_close(net(own), net(Queries.catalogue(torch.arange(USERS), ITEMS)))


def test_who_has_nothing_left_has_a_zero_history() -> None:
    lonely = Histories.of(torch.tensor([0, 1]), torch.tensor([0, 1]), SIZES)
    net = network(encoding=("history", "id"), predictor=("sum",), biases=("on",))
    for name, part in zip(lonely._fields, lonely, strict=True):
        setattr(net, name, part)
    assert net.bias is not None
    assert net.offset is not None
    bare = (net.bias[:USERS] + net.bias[USERS:].T + net.offset).detach()
    own = net(Queries(torch.tensor([0, 1]), torch.tensor([[0], [1]]), torch.tensor([2]), True))
    torch.testing.assert_close(own, torch.stack([bare[0, [0, 2]], bare[1, [1, 2]]]))
    torch.testing.assert_close(net(torch.tensor([[0, 5], [0, 0]])), bare[[0, 5], [0, 0]])
    torch.testing.assert_close(net(Queries.catalogue(torch.tensor([7]), ITEMS)), bare[7:8])
    assert not torch.equal(net(Queries.catalogue(torch.tensor([0]), ITEMS)), bare[:1])


def test_histories_are_not_in_the_state() -> None:
    net = network(encoding=("history", "id+history"), biases=("on",))
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}
    assert net.histories.sizes == SIZES
    net(KNOWN)  # pairs are looked up from here on
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}


@pytest.mark.parametrize(
    ("queries", "text"),
    [
        (
            Queries(torch.tensor([0]), torch.tensor([[0], [1]]), torch.tensor([1])),
            "users, own, shared have shapes [(1,), (2, 1), (1,)]; they must be [n], [n, k], [m]",
        ),
        (
            Queries(torch.tensor([0]), torch.empty(1, 0, dtype=torch.int64), torch.tensor([1]), True),
            "first leaves out own[:, 0]: it needs own items (there are 0), and no hidden pairs",
        ),
        (
            Queries(torch.tensor([0]), torch.tensor([[2]]), torch.tensor([1]), False, torch.tensor([[0], [0]])),
            "hidden pairs go with shared items alone, but each user has 1 item(s) of its own",
        ),
        (
            Queries(torch.tensor([0]), torch.empty(1, 0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)),
            "queries without own and without shared items ask nothing",
        ),
    ],
)
def test_queries_that_cannot_be(queries: Queries, text: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the text is checked below)
        network()(queries)
    assert str(error.value) == text


def test_histories_of_other_sizes_are_refused() -> None:
    with pytest.raises(SpaceError) as error:
        WideNetwork((3, 4), named("mf"), HISTORIES)
    assert str(error.value) == "histories of (9, 7) users and items given to a space of (3, 4)"
