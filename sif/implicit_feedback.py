"""Implicit feedback as a rating task: observed pairs stand for 1, sampled absent pairs for 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sif.datasets import Interactions
from sif.errors import DataError

__all__ = ["with_negatives"]


def with_negatives(interactions: Interactions, ratio: int, seed: int) -> Interactions:
    """Return the interactions rated 1, with `ratio` times as many uniformly drawn absent pairs rated 0.

    Pairs are drawn without repetition; where fewer are absent, all of them are taken. Deterministic by `seed`.
    """
    if ratio < 1:
        raise DataError(f"negatives = {ratio}; implicit feedback needs at least one absent pair for each observed one")
    cells = interactions.n_users * interactions.n_items
    observed = np.unique(interactions.user * np.int64(interactions.n_items) + interactions.item)
    wanted = min(ratio * len(observed), cells - len(observed))
    if wanted < 1:
        raise DataError(f"{interactions.name}: every user has every item; there is nothing to learn from")
    generator = np.random.default_rng(seed)
    absent = np.empty(0, np.int64)
    while len(absent) < wanted:
        drawn = np.unique(generator.integers(0, cells, 2 * wanted))
        absent = np.union1d(absent, np.setdiff1d(drawn, observed, assume_unique=True))
    absent = np.sort(generator.permutation(absent)[:wanted])
    key = np.concatenate([observed, absent])
    rating = np.concatenate([np.ones(len(observed), np.float32), np.zeros(len(absent), np.float32)])
    note = f"implicit feedback: {len(observed)} observed pairs stand for 1, {wanted} sampled absent pairs for 0"
    return replace(
        interactions,
        user=key // interactions.n_items,
        item=key % interactions.n_items,
        rating=rating,
        timestamp=None,
        context=None,
        contexts=None,
        notes=(*interactions.notes, note),
    )
