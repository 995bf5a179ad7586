"""Histories with weights equal their textbook formulas, whole and without the predicted pair; they fold and serve."""

import numpy as np
import pytest
import torch
from scipy import sparse

from nasp_core.errors import SpaceError
from sif.encodings import ENCODINGS
from sif.encodings.base import Lookup
from sif.encodings.histories import Histories
from sif.encodings.side import SidePass
from sif.serve.folding import Folded
from sif.serve.new_users import solve_users
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import wide_formula, wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import Scale

SIZES = (7, 9)
GENERATOR = np.random.default_rng(0)
HAS = GENERATOR.random(SIZES) < 0.5
HAS[3] = False  # a user without any pair
RATINGS = np.where(HAS, GENERATOR.normal(size=SIZES), 0.0)
AGES = np.where(HAS, GENERATOR.uniform(0, 300, SIZES), 0.0)
USERS, ITEMS = (torch.from_numpy(each) for each in np.nonzero(HAS))
KNOWN = Histories.of(
    USERS,
    ITEMS,
    SIZES,
    values=torch.from_numpy(RATINGS[HAS]).float(),
    ages=torch.from_numpy(AGES[HAS]).float(),
)
TABLE = torch.from_numpy(GENERATOR.normal(size=(9, 4)))


def textbook(name, power, half_life, left_out=()):
    """Return `[users, dim]` by loops: the sum of weight * embedding / mass ** power, without the pairs left out."""
    made = np.zeros((SIZES[0], 4))
    for user in range(SIZES[0]):
        items = np.flatnonzero(HAS[user])
        newest = AGES[user, items].min() if len(items) else 0.0
        total, mass = np.zeros(4), 0.0
        for item in items:
            if (user, item) in left_out:
                continue
            weight = RATINGS[user, item] if name == "value-history" else 2 ** (-(AGES[user, item] - newest) / half_life)
            total += weight * TABLE[item].numpy()
            mass += 1.0 if name == "value-history" else weight
        made[user] = total / mass**power if mass else 0.0
    return made


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["value-history", "decayed-history"])
def test_a_weighted_history_is_the_textbook_sum(name: str, power: float):
    made = SidePass({name: TABLE}, KNOWN.side(0), power, 40.0)
    vectors = made.rows(name, Lookup(torch.arange(SIZES[0]))).full()
    np.testing.assert_allclose(vectors.numpy(), textbook(name, power, 40.0), rtol=1e-5, atol=1e-7)
    some = torch.tensor([5, 0, 5])
    few = SidePass({name: TABLE}, KNOWN.side(0), power, 40.0).rows(name, Lookup(some)).full()
    np.testing.assert_allclose(few.numpy(), textbook(name, power, 40.0)[[5, 0, 5]], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("power", [0.5, 1.0])
@pytest.mark.parametrize("name", ["value-history", "decayed-history"])
def test_what_is_predicted_is_left_out_of_a_weighted_history(name: str, power: float):
    """By pair, where some pairs are not in the lists; and by cuts, several of a row; the gradient is autograd's."""
    table = TABLE.clone().requires_grad_()
    pairs = [
        (0, int(np.flatnonzero(HAS[0])[0])),
        (2, int(np.flatnonzero(HAS[2])[-1])),
        (4, int(np.flatnonzero(~HAS[4])[0])),
    ]
    users, items = torch.tensor(np.array(pairs)).T
    known = torch.tensor([True, True, False])
    out = SidePass({name: table}, KNOWN.side(0), power, 40.0).rows(name, Lookup(users, items, known)).full()
    wanted = [textbook(name, power, 40.0, {pair})[pair[0]] for pair in pairs]
    np.testing.assert_allclose(out.detach().numpy(), wanted, rtol=1e-5, atol=1e-7)
    mine = np.flatnonzero(HAS[0])[:2]
    cuts = Lookup(torch.tensor([0, 3]), torch.from_numpy(mine), cuts=torch.tensor([0, 2, 2]))
    both = SidePass({name: table}, KNOWN.side(0), power, 40.0).rows(name, cuts).full()
    left = textbook(name, power, 40.0, {(0, int(item)) for item in mine})
    np.testing.assert_allclose(both.detach().numpy(), left[[0, 3]], rtol=1e-5, atol=1e-7)

    def rows(values):
        return SidePass({name: values}, KNOWN.side(0), power, 40.0).rows(name, Lookup(users, items, known)).full()

    assert torch.autograd.gradcheck(rows, (table,))


@pytest.mark.parametrize("gap", [300.0, 900.0, 5000.0])
def test_who_comes_back_after_long_has_a_history_without_the_newest(gap: float):
    """Float32, as in training: the rest has next to none of the weight, and is their weighted mean all the same."""
    ages = torch.tensor([0.0, gap, gap + 15.0])
    known = Histories.of(torch.zeros(3, dtype=torch.int64), torch.arange(3), (1, 3), ages=ages)
    table = TABLE[:3].float()
    made = SidePass({"decayed-history": table}, known.side(0), 1.0, 30.0)
    found = made.rows("decayed-history", Lookup(torch.tensor([0]), torch.tensor([0]))).full()[0]
    late = 2**-0.5 if gap + 15 < 900 else 1.0  # none weighs less than 2^-30
    torch.testing.assert_close(found, (table[1] + late * table[2]) / (1 + late), rtol=1e-4, atol=1e-5)
    assert found.dtype == torch.float32


def test_the_list_that_only_has_the_predicted_pair_is_empty_without_it():
    one = Histories.of(torch.tensor([0]), torch.tensor([1]), (1, 3), values=torch.tensor([2.0]))
    made = SidePass({"value-history": torch.ones(3, 2)}, one.side(0), 1.0)
    assert made.rows("value-history", Lookup(torch.tensor([0]), torch.tensor([1]))).full().tolist() == [[0.0, 0.0]]


def network(user: str, item: str, **settings) -> WideNetwork:
    choices = {"encoding": (user, item), "elementwise": ("identity",), "operation": ("multiply",)}
    choices |= {"predictor": ("sum",), "biases": ("off",)}
    made = WideNetwork(
        SIZES,
        wide_genotype(choices, WideSettings(encodings=(user, item), embedding_dim=3, init_std=0.5, **settings)),
        KNOWN,
    )
    made.reset(torch.Generator().manual_seed(0))
    return made


def test_autorec_and_asymmetric_svd_are_points():
    """I-AutoRec's linear part: W (V r_i); asymmetric SVD's: q_i . |R(u)|^-1/2 sum r x."""
    autorec = network("id", "value-history", history_power=0.0)
    (users,), (items,) = autorec.tables("user"), autorec.tables("item")
    hidden = torch.from_numpy(RATINGS).float().T @ items.tables["value-history"]
    expected = users.tables["id"] @ hidden.T
    torch.testing.assert_close(Folded(autorec).scores(torch.arange(7)), expected.detach(), rtol=1e-5, atol=1e-5)
    asymmetric = network("value-history", "id", history_power=0.5)
    (users,), (items,) = asymmetric.tables("user"), asymmetric.tables("item")
    norm = torch.from_numpy(HAS.sum(1)).float().clamp_min(1).sqrt().unsqueeze(1)
    expected = (torch.from_numpy(RATINGS).float() @ users.tables["value-history"] / norm) @ items.tables["id"].T
    torch.testing.assert_close(Folded(asymmetric).scores(torch.arange(7)), expected.detach(), rtol=1e-5, atol=1e-5)
    assert "r(user)" in wide_formula(wide_genotype(asymmetric.choices, asymmetric.settings))


def test_known_users_are_encoded_anew_from_their_ratings():
    """A user who comes back as a row of ratings has the scores that they had; with no times, ages are alike."""
    made = network("value-history", "id", history_power=0.5)
    scale = Scale(2.0, 1.5, 0.0, 5.0)
    raw = sparse.csr_array((RATINGS[HAS].astype(np.float32) * 1.5 + 2.0, np.nonzero(HAS)), shape=SIZES)
    side = solve_users(made, raw, scale)
    torch.testing.assert_close(Folded(made).scores_of(side), Folded(made).scores(torch.arange(7)), rtol=1e-4, atol=1e-4)


def test_what_the_pairs_do_not_have_is_refused_by_name():
    plain = Histories.of(USERS, ITEMS, SIZES)
    for name, lacks in (("value-history", "ratings"), ("decayed-history", "times")):
        choices = {"encoding": (name, "id"), "elementwise": ("identity",), "operation": ("multiply",)}
        choices |= {"predictor": ("sum",), "biases": ("off",)}
        genotype = wide_genotype(choices, WideSettings(encodings=(name, "id")))
        with pytest.raises(SpaceError, match=f"encoding {name} needs {lacks}, and these pairs have none"):
            WideNetwork(SIZES, genotype, plain)
    with pytest.raises(SpaceError, match="history_half_life = 0"):
        WideSettings(history_half_life=0).check()
    with pytest.raises(SpaceError, match="unknown encodings id\\+id"):
        WideSettings(encodings=("id+id",)).check()
    WideSettings(encodings=("id+value-history", "history+decayed-history")).check()


def test_a_network_keeps_what_its_encodings_read_alone():
    assert network("history", "id").histories.user_values is None
    kept = network("value-history", "id").histories
    assert kept.user_values is not None
    assert kept.user_ages is None
    assert set(ENCODINGS) >= {"id", "history", "value-history", "decayed-history"}
