"""Known pairs and drawn items: found, and with the frequencies that are said."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sif.tasks.sampling import Pairs, Sampler, alias_table


def test_what_is_known_is_drawn_again_eight_times():
    """Users who know 1, 2, ... of 8 items: of n draws a share of (known / 8) ** 9 is known in the end."""
    known = Pairs(sparse.csr_array(np.tri(8, dtype=bool)), torch.device("cpu"))
    sampler = Sampler(torch.ones(8, dtype=torch.int64), 0.0, known)
    users = torch.arange(8).repeat_interleave(20_000)
    items, left = sampler.unknown(users, torch.Generator().manual_seed(0))
    assert torch.equal(left, items <= users)
    found, expected = left.view(8, -1).double().mean(1), (torch.arange(1, 9) / 8.0) ** 9
    assert ((found - expected).abs() <= 5 * (expected * (1 - expected) / 20_000).sqrt() + 1e-4).all()
    for user in range(7):  # those that are left are drawn alike
        counts = torch.bincount(items[(users == user) & ~left], minlength=8)[user + 1 :].double()
        assert (counts - counts.mean()).abs().max() < 5 * counts.mean().sqrt()


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_items_are_drawn_as_the_power_says(power: float):
    """Chi-square of 200,000 draws: 19 degrees of freedom are above 50 once in 7,000 times."""
    counts = torch.tensor([0, 0, *range(1, 18), 300])
    sampler = Sampler(counts, power, Pairs(sparse.csr_array((3, 20), dtype=bool), torch.device("cpu")))
    q = counts.double() ** power / (counts.double() ** power).sum()
    generator = torch.Generator().manual_seed(0)
    alone = sampler.draw(200_000, generator)
    rejected, known = sampler.unknown(torch.zeros(200_000, dtype=torch.int64), generator)
    assert not known.any()  # this user knows nothing, so that nothing is rejected
    for drawn in (alone, rejected):
        found = torch.bincount(drawn, minlength=20).double()
        live = q > 0
        assert not found[~live].any()
        assert float(((found - 200_000 * q) ** 2 / (200_000 * q))[live].sum()) < 50
    assert torch.allclose(sampler.log_q.exp().double(), q, rtol=1e-5)
    wrong = torch.bincount(alone, minlength=20).double() - 200_000 * counts.double() ** 0.75 / (counts**0.75).sum()
    assert float((wrong**2).sum()) > 1e6  # another power would be noticed


@given(st.lists(st.integers(0, 50) | st.floats(0, 1e9), min_size=1, max_size=40).filter(any))
def test_the_alias_table_holds_the_probabilities(weights: list[float]):
    """Each item's own part and all that other items pass on to it."""
    wanted = torch.tensor(weights, dtype=torch.float64)
    keep, other = alias_table(wanted)
    assert ((keep >= 0) & (keep <= 1)).all()
    held = keep.clone().index_add_(0, other, 1 - keep) / len(weights)
    assert torch.allclose(held, wanted / wanted.sum(), rtol=1e-9, atol=1e-13)
    assert (held[wanted == 0] == 0).all()


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.0, 0.1, 0.6, 1.0]))
def test_pairs_are_found(seed: int, users: int, items: int, density: float):
    matrix = np.random.default_rng(seed).random((users, items)) < density
    pairs = Pairs(sparse.csr_array(matrix), torch.device("cpu"))
    user, item = (torch.from_numpy(grid.ravel()) for grid in np.mgrid[:users, :items])
    assert pairs.contain(user, item).tolist() == matrix.ravel().tolist()
    assert pairs._bisect(user, item).tolist() == matrix.ravel().tolist()  # on a GPU, where there is no table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sif.tasks.sampling._TABLE", 0)
        large = Pairs(sparse.csr_array(matrix), torch.device("cpu"))
        assert large.contain(user, item).tolist() == matrix.ravel().tolist()
    row, found = pairs.of(user)
    expected = [(r, i) for r, u in enumerate(user.tolist()) for i in np.flatnonzero(matrix[u]).tolist()]
    assert list(zip(row.tolist(), found.tolist(), strict=True)) == expected


def test_few_pairs_pass_the_filter(monkeypatch: pytest.MonkeyPatch):
    """At most one in eight of those that are not known, and some do, so that the bisection is needed."""
    monkeypatch.setattr("sif.tasks.sampling._TABLE", 0)
    matrix = np.random.default_rng(0).random((5000, 3000)) < 0.01
    pairs, asked = Pairs(sparse.csr_array(matrix), torch.device("cpu")), []
    bisect = pairs._bisect
    monkeypatch.setattr(pairs, "_bisect", lambda users, items: asked.append(len(users)) or bisect(users, items))
    generator = torch.Generator().manual_seed(0)
    user, item = (torch.randint(0, size, (100_000,), generator=generator) for size in (5000, 3000))
    known = pairs.contain(user, item)
    assert known.tolist() == matrix[user, item].tolist()
    assert 1000 < asked[0] - int(known.sum()) < 100_000 / 8
