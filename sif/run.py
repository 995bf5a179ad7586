"""A finished run as an object: what was found, how good it is, and lists for its users."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from sif.checkpoint import load_tree
from sif.errors import DataError, RunError
from sif.host import TemporaryFolder, shielded
from sif.recommender import Recommender
from sif.run_directory import RANKING_FOLDER, FinishedRun, RunDirectory
from sif.serve.asked import count_of, in_a_list
from sif.serve.opened import Opened, Opener
from sif.spaces.build import is_additive
from sif.spaces.known import formula

__all__ = ["Run"]

_BLOCK = 4096  # users whose lists are made at once


class Run(FinishedRun):
    """A finished run: what was found, how good it is, and the model.

    The files that serving needs are read once and kept, until `sif train` replaces them. Threads may share a run; a
    pickle of it holds the folder's path, and of a search without `out` that folder stays the searching process's.

    Where a study of ratings searched what orders lists too (`ranking`), lists are in that order, and each item has the
    rating that the first model predicts beside.
    """

    def __init__(self, directory: RunDirectory, keep: TemporaryFolder | None = None) -> None:
        """Open the run in `directory`; `keep` is a temporary folder that lives as long as this object."""
        super().__init__(directory, keep)
        two = self.result.get("ranking") is not None
        self._opener = Opener(self.path / RANKING_FOLDER if two else self.path)
        self._rater = Opener(self.path) if two else None

    @property
    def ranking(self) -> "Run | None":
        """The run inside that orders the lists of this one; None where one model does all."""
        return None if self._rater is None else Run(self.directory.lists(), self._keep)

    @property
    def formula(self) -> str:
        """The function that is handed over as text; of a rival its name and settings."""
        return self.handed["formula"] if self.handed else formula(self.genotype)

    @property
    def additive(self) -> bool:
        """Whether what orders lists is f(user) + g(item), which ranks the items alike for every user."""
        if (ranking := self.ranking) is not None:
            return ranking.additive
        return bool(self.handed["additive"]) if self.handed else is_additive(self.genotype)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights the model has; raises `RunError` of a rival that has none."""
        epoch = load_tree(self.directory.file("model.safetensors"))["epoch"]
        if epoch is None:
            raise RunError(f"run {self.path} hands over {self.formula}, which is not trained in epochs")
        return int(epoch)

    def recommender(self) -> Recommender:
        """Return the model, or both, as a `Recommender` over the ids 0..n-1 of this run's vocabularies."""
        file = self.directory.file("model.safetensors")
        if len(load_tree(file)["sizes"]) != 2:
            raise RunError(f"run {self.path} has a context mode; use recommend(..., context=...) of the run")
        if self._rater is not None:
            return Recommender.load(self.directory.lists().file("model.safetensors"), ratings=file)
        return Recommender.load(file)

    @shielded()
    def recommend(
        self, user: Any, k: int = 10, *, context: Any = None, cold_items: bool = True
    ) -> list[dict[str, Any]]:
        """Return the k best items that the user does not have: item (raw id), score, title, and whether it is cold.

        The score is the predicted rating; of a ranking it is a logit. Where the run has a ranking beside its ratings
        (`ranking`), each item has its predicted `rating` besides.

        Args:
            user: The raw id.
            k: How many items, at most.
            context: The context, in a run with a context mode (None: the last).
            cold_items: Whether to rank items that training never met, by what else their side has (a bias, an untrained
                embedding).

        Raises:
            DataError: The user or context is unknown (the nearest known ones are named), or k is below 1.
        """
        places, opened = count_of(k, "k"), self._ready(context)
        rows = np.array([opened.row_of(user)], np.int64)
        ids, scores = opened.best(rows, places, context, cold_items)
        rated = self._rated(rows, ids)
        return [
            {
                "item": opened.item_ids[item],
                "score": score,
                **({} if rated is None else {"rating": float(rated[0, place])}),
                "title": None if opened.titles is None else opened.titles[item],
                "cold": bool(opened.cold[item]),
            }
            for place, (item, score) in enumerate(zip(ids[0].tolist(), scores[0].tolist(), strict=True))
            if item >= 0
        ]

    def recommend_all(
        self, k: int = 10, *, users: Any = None, context: Any = None, cold_items: bool = True
    ) -> pl.DataFrame:
        """Return the lists of all users, or of those given, as one polars frame of raw ids.

        Args:
            k: How many items a user gets at most; users who have all others get fewer, or no row at all.
            users: Raw ids, a list or column; None for all users of the run.
            context: The context of all lists, in a run with a context mode (None: the last).
            cold_items: Whether items that training never met are ranked too.

        Returns:
            Columns `user`, `rank` (from 1), `item`, `score` (float32, as in `recommend`), `rating` (float32) where a
            ranking orders the lists of a run of ratings, `title` where the run has titles, and `cold`; by user in the
            order given, best first.

        Raises:
            DataError: A user or the context is unknown, or k is below 1.
        """
        return pl.concat(list(self.lists(k, users=users, context=context, cold_items=cold_items)))

    def lists(
        self, k: int = 10, *, users: Any = None, context: Any = None, cold_items: bool = True
    ) -> Iterator[pl.DataFrame]:
        """Yield what `recommend_all` returns, a block of users at a time, for what does not fit in memory.

        Args:
            k: As in `recommend_all`, and so are the others.
            users: Raw ids; None for all users.
            context: The context of all lists.
            cold_items: Whether items that training never met are ranked too.
        """
        places, opened = count_of(k, "k"), self._ready(context)
        if users is None:
            rows = np.arange(len(opened.users))
        else:
            rows = np.array([opened.row_of(user) for user in in_a_list(users, "user", "users")], np.int64)
        users_ids, items_ids = pl.Series(opened.users.to_list()), pl.Series(opened.item_ids)
        titles = None if opened.titles is None else pl.Series("title", opened.titles, dtype=pl.String)
        return (
            self._frame(
                opened, rows[start : start + _BLOCK], (places, context, cold_items), (users_ids, items_ids, titles)
            )
            for start in range(0, max(1, len(rows)), _BLOCK)
        )

    def _ready(self, context: Any) -> Opened:
        opened = self._opener.now()
        if context is not None and opened.contexts is None:
            raise DataError(f"run {self.path} has no context mode; leave the context out")
        return opened

    def _rated(self, rows: NDArray[np.int64], ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        """Return the ratings that the first model predicts of lists `[users, k]`; None where it makes them itself."""
        return None if self._rater is None else self._rater.now().model.ratings(torch.from_numpy(rows), ids)

    @shielded()
    def _frame(
        self,
        opened: Opened,
        rows: NDArray[np.int64],
        asked: tuple[int, Any, bool],
        raw: tuple[pl.Series, pl.Series, pl.Series | None],
    ) -> pl.DataFrame:
        """Return the lists of some users; `raw`: ids of users and items and the titles, by number."""
        ids, scores = opened.best(rows, *asked)
        rated, kept = self._rated(rows, ids), ids >= 0
        item, place = pl.Series(ids[kept]), np.nonzero(kept)
        columns = {
            "user": raw[0].gather(pl.Series(rows[place[0]])),
            "rank": pl.Series((place[1] + 1).astype(np.int32)),
            "item": raw[1].gather(item),
            "score": pl.Series(scores[kept]),
        }
        columns |= {} if rated is None else {"rating": pl.Series(rated[kept])}
        columns |= {} if raw[2] is None else {"title": raw[2].gather(item)}
        return pl.DataFrame(columns | {"cold": pl.Series(opened.cold[ids[kept]])})
