"""MovieLens 100K as it is; every number here is of the published data set, or was measured on it once."""

import hashlib

import numpy as np
import pytest

from sif.datasets import Interactions, check_rating_task, find_entry, item_titles, read, read_parts, split, to_frame

pytestmark = pytest.mark.realdata


def test_counts(movielens: Interactions):
    facts = movielens.describe()
    assert (facts["users"], facts["items"], facts["interactions"]) == (943, 1682, 100_000)
    assert facts["rating"] == {"min": 1.0, "max": 5.0, "mean": 3.52986, "step": 1.0, "distinct": 5}
    assert facts["dates"] == {"first": "1997-09-20T03:05:10", "last": "1998-04-22T23:10:38"}
    assert movielens.notes in ((), ("no header: columns read as user, item, rating, timestamp",))
    assert np.bincount(movielens.user).min() == 20
    check_rating_task(movielens)


def test_fingerprints_are_pinned(movielens: Interactions):
    """A figure measured on this data says which data and which rows it was measured on."""
    assert movielens.fingerprint() == "320ec7423ebf90e4"
    assert split(movielens).fingerprint == "4039d0dbaf2051ca"


def test_the_rows_are_those_of_the_official_file(movielens: Interactions):
    lines = (
        to_frame(movielens)
        .select("user", "item", movielens_rating(), "timestamp")
        .write_csv(include_header=False, separator="\t")
    )
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert digest == "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"  # of u.data


def movielens_rating():
    import polars as pl

    return pl.col("rating").cast(pl.Int64)


def test_months(movielens: Interactions):
    months = movielens.with_month_context()
    assert months.contexts.to_list() == [f"1997-{m:02d}" for m in range(9, 13)] + [f"1998-{m:02d}" for m in range(1, 5)]
    assert np.bincount(months.context).sum() == 100_000


def test_titles(movielens: Interactions):
    titles = item_titles(find_entry("movielens"))
    assert len(titles) == 1682
    assert titles[movielens.items.decode([0])[0]] == "Toy Story (1995)"


def test_the_same_data_as_csv(movielens: Interactions, tmp_path):
    to_frame(movielens).sample(fraction=1.0, shuffle=True, seed=0).write_csv(tmp_path / "ratings.csv")
    again = read(tmp_path / "ratings.csv")
    assert again.fingerprint() == movielens.fingerprint()
    assert split(again).fingerprint == split(movielens).fingerprint


def test_parts(movielens: Interactions, tmp_path):
    cut = split(movielens, "temporal", (0.8, 0.1, 0.1))
    for name in ("train", "valid", "test"):
        to_frame(movielens.take(getattr(cut, name))).write_csv(tmp_path / f"{name}.csv")
    data, given = read_parts(*(tmp_path / f"{name}.csv" for name in ("train", "valid", "test")))
    assert data.fingerprint() == movielens.fingerprint()
    assert [len(given.train), len(given.valid), len(given.test)] == [80_000, 10_000, 10_000]
