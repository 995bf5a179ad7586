"""`Recommender`: implicit's conventions over a searched interaction function."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from sif.checkpoint import load_tree, mapped_tree, save_tree
from sif.datasets import ColumnNames, read
from sif.errors import DataError, RunError
from sif.host import shielded
from sif.problems import problem, problem_of
from sif.problems.goals import ranking_of
from sif.problems.recipes import Recipe, load_rating_recipe
from sif.problems.suited import RANKED, RATED
from sif.recipes import changes_of
from sif.recipes.limit import NONE
from sif.runs.after import train_on_all
from sif.serve.asked import asked_rows, count_of, matrix_of, numbers_of
from sif.serve.folding import Folded, as_folded
from sif.serve.forms import Asked
from sif.serve.model import ServedModel, opened_model
from sif.serve.networks import FoldedNetwork
from sif.serve.topk import Ranked, top_k
from sif.spaces.known import FunctionNetwork
from sif.tasks import Scale

__all__ = ["Recommender"]

_RATER = "ratings"
"""The key of a saved model under which the second lies, that predicts ratings."""
_PLAIN = Scale(0.0, 1.0, -np.inf, np.inf)


class Recommender:
    """Search, train and recommend, with the signatures of `implicit`.

    `fit(user_items)` searches the interaction function on a part held out of `user_items`, then trains what the search
    hands over on all of it. Ratings are predicted as they are; every other feedback (clicks, counts) is ranked. What
    the values are, `notes` say. With a budget a study of ratings has two models: lists and neighbours are those of the
    one that orders (`model`), and `predict` gives the ratings of the other.
    """

    def __init__(
        self,
        recipe: str | Path | Recipe | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        cold_items: bool = True,
        feedback: str = "",
        budget: str = "",
    ) -> None:
        """Take a recipe by name, file or value (None: `ratings` of a matrix of ratings, else `clicks`).

        `cold_items`: whether `recommend` ranks items that training never met (`cold`) with the others.
        `feedback`: what the values are (`sif.search`), where sif takes them for something else. `budget`: what a study
        may spend, such as `2m` or `40trials` (docs/study.md); by default the recipe's.
        """
        drawn = load_rating_recipe("ratings", changes_of(None, None, seed)).seed
        loaded = recipe if isinstance(recipe, Recipe) else load_rating_recipe(recipe or "ratings")
        own: dict[str, Any] = {"seed": drawn} | ({"feedback": feedback} if feedback else {})
        own |= {"study": loaded.study.model_copy(update={"budget": budget})} if budget else {}
        self.recipe, self._given = loaded.model_copy(update=own), recipe is not None
        self.device, self.cold_items = device, cold_items
        self._clear()

    def _clear(self) -> None:
        self._model: ServedModel | None = None
        self._rater: ServedModel | None = None  # predicts ratings, where the model orders lists alone
        self.notes: tuple[str, ...] = ()

    @shielded(draws=True)
    def fit(
        self, user_items: Any, show_progress: bool = True, callback: Callable[..., None] | None = None
    ) -> "Recommender":
        """Search and train on a matrix, and return self.

        Afterwards `notes` say, a sentence each, whether popularity ranks better on the part held out, what the values
        are, and what reading the matrix found odd or decided.

        Args:
            user_items: CSR float `[users, items]`: ratings, or what was clicked or played.
            show_progress: Accepted for implicit's sake; nothing is printed.
            callback: `callback(epoch, seconds, loss)` is called after each epoch of the final training, with the epoch
                counted from 0 and its own seconds.

        Raises:
            DataError: The matrix cannot be learnt from.
        """
        from sif.api import search

        if callback is not None and not callable(callback):
            raise DataError(f"callback is {callback!r}; give a function of epoch, seconds and loss")
        data = read(
            matrix_of(user_items),
            columns=ColumnNames(**problem_of(self.recipe).weighing(self.recipe), feedback=self.recipe.feedback),
            name="user_items",
        )
        if not self._given:
            chosen = load_rating_recipe(RATED if data.feedback.kind == "ratings" else RANKED)
            own = ("seed", "feedback", *(["study"] if self.recipe.study.budget != NONE else []))
            self.recipe = chosen.model_copy(update={key: getattr(self.recipe, key) for key in own})
        split = self.recipe.split.model_copy(update={"kind": "random", "fractions": (0.8, 0.2, 0.0)})
        baselines = self.recipe.baselines.model_copy(update={"names": (), "enumerate": False, "random": False})
        kept = {"split": split, "baselines": baselines}
        recipe = self.recipe.model_copy(update={**kept, "dataset": "", "valid": "", "test": "", "context": "none"})
        run = search(data, recipe=recipe, device=self.device)
        opened = problem_of(recipe).open(recipe, source=data, device=self.device)
        runs = [(run, opened)] if run.ranking is None else [(run, opened), (run.ranking, ranking_of(opened))]
        for each, instance in runs:
            tuned = {key: value for key, value in each.result["tuned"].items() if "." in key and not each.handed}
            train_on_all(each.directory, instance.changed(tuned), _Callback(callback))
        models = [opened_model(load_tree(each.directory.file("model.safetensors"))) for each, _ in runs]
        self._model, self._rater = models[-1], models[0] if len(models) > 1 else None
        first = problem(run.result["task"]).sheet(run.result).warning
        self.notes = (*([first] if first else []), str(data.feedback), *opened.data.interactions.notes)
        return self

    @property
    def model(self) -> ServedModel:
        """What is served (what orders lists, of two), and what it was trained for; raises `RunError` before `fit`."""
        if self._model is None:
            raise RunError("this Recommender is not trained: call fit(user_items), or Recommender.load(file)")
        return self._model

    @property
    def genotype(self) -> Genotype | None:
        """The architecture; None before `fit` or `load`, and of a rival."""
        return None if self._model is None else self._model.genotype

    @property
    def folded(self) -> Folded:
        """The tables the scores come from; raises `RunError` before `fit` or `load`, and where there are none."""
        return as_folded(self.model.form)

    @property
    def scale(self) -> Scale:
        """From scores to ratings; of a ranking, scores stay as they are."""
        return (None if self._model is None else self._model.objective.units) or _PLAIN

    @property
    def cold(self) -> NDArray[np.bool_]:
        """Which items training never met, bool `[items]`: nothing is known of them but that nobody took them.

        Raises `RunError` for a model saved without the counts that tell.
        """
        counts = self.model.counts
        if counts is None:
            raise RunError("this model was saved without saying which items training met; fit it again")
        return np.asarray(counts[self.model.form.n_users :] == 0)

    @property
    def network(self) -> FunctionNetwork:
        """The trained network, on the CPU; raises `RunError` before `fit` or `load`, and of a rival without one."""
        form = self.model.form
        if not isinstance(form, FoldedNetwork):
            raise RunError(f"{self.model.formula} is no network of a space; ask it by recommend, or `model.form`")
        return form.network

    @shielded()
    def recommend(
        self,
        userid: int | ArrayLike,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: ArrayLike | None = None,
        recalculate_user: bool = False,
        items: ArrayLike | None = None,
    ) -> Ranked:
        """Return the ids int32 and scores float32 (predicted ratings where there are) of the N best items, best first.

        Items that training never met are left out with `cold_items = False`.

        Args:
            userid: An id, or an array of ids `[users]`.
            user_items: CSR with one row per requested user, as in implicit.
            N: How many items.
            filter_already_liked_items: Whether to leave out what the rows have.
            filter_items: Ids `[n]` to leave out.
            recalculate_user: Whether to make the user from the row (`Served.new_users`): new and changed users
                need no training.
            items: Ids `[n]` to rank alone, to at most that many places.

        Returns:
            Arrays `[N]` of one user, `[users, N]` of an array; ids are -1 and scores -inf where fewer items are left.

        Raises:
            DataError: Users or items are unknown, or rows do not match.
        """
        known = self.model.form
        places = count_of(N, "N", known.n_items)
        if items is not None and filter_items is not None:
            raise DataError("give items (rank only these) or filter_items (leave these out), not both")
        users, single = numbers_of(userid, known.n_users, "user", "userid", ordered=True, known=not recalculate_user)
        shape = len(users), known.n_items
        seen = asked_rows(user_items, *shape) if filter_already_liked_items else None
        within = None if items is None else np.unique(numbers_of(items, known.n_items, "item", "items")[0])
        excluded = None if filter_items is None else numbers_of(filter_items, known.n_items, "item", "filter_items")[0]
        asked: Tensor | Asked = torch.from_numpy(users)
        if recalculate_user:
            asked = known.new_users(self._rows(user_items, shape)[0])
        if not self.cold_items:
            cold = np.flatnonzero(self.cold)
            excluded = cold if excluded is None else np.union1d(excluded, cold)
        places = places if within is None else min(places, len(within))
        ids, values = known.top_k(asked, places, items=within, seen=seen, excluded=excluded)
        values = values * np.float32(self.scale.std) + np.float32(self.scale.mean)
        return (ids[0], values[0]) if single else (ids, values)

    def _rows(self, user_items: Any, shape: tuple[int, int]) -> tuple[Any, Any]:
        """Return the rows of new users as lists are made of them, and as ratings are predicted from them."""
        if self._rater is None:
            rows = asked_rows(user_items, *shape, rated=self.model.objective.units is not None)
            return rows, rows
        rated = asked_rows(user_items, *shape, rated=True)
        met = rated.copy()
        met.data = np.ones_like(met.data)  # a low rating is no less of an item that the user has
        return met, rated

    @shielded()
    def predict(
        self, userid: int | ArrayLike, items: ArrayLike, user_items: Any = None, recalculate_user: bool = False
    ) -> NDArray[np.float32]:
        """Return the ratings that are predicted of items, in the ratings' own unit; nan where an id is -1.

        Args:
            userid: An id, or an array of ids `[users]`.
            items: Ids `[n]` of one user, or `[users, n]`, as `recommend` returns them.
            user_items: With `recalculate_user`, CSR with one row of ratings per requested user.
            recalculate_user: Whether to make the users from their rows.

        Returns:
            float32 `[n]` of one user, `[users, n]` of an array.

        Raises:
            DataError: Users or items are unknown, or rows do not match.
            RunError: The model predicts no ratings.
        """
        rater = self.model if self._rater is None else self._rater
        form = rater.form
        users, single = numbers_of(userid, form.n_users, "user", "userid", ordered=True, known=not recalculate_user)
        wanted = np.atleast_2d(np.asarray(items))
        if wanted.shape != (len(users), wanted.shape[-1]):
            raise DataError(f"items has shape {np.shape(items)}; give ids [n] of one user, or [{len(users)}, n]")
        given = wanted[wanted != -1]
        numbers_of(given, form.n_items, "item", "items")
        asked: Tensor | Asked = torch.from_numpy(users)
        if recalculate_user:
            asked = form.new_users(self._rows(user_items, (len(users), form.n_items))[1])
        found = rater.ratings(asked, wanted)
        return found[0] if single else found

    @shielded()
    def similar_items(
        self,
        itemid: int | ArrayLike,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
    ) -> Ranked:
        """Return ids and cosine similarities of the N items whose embeddings are nearest (the item itself first).

        Args:
            itemid: An id, or an array of ids `[items]`.
            N: How many.
            recalculate_item: As in implicit; new items cannot be solved for.
            item_users: As in implicit.
            filter_items: Ids `[n]` to leave out.
            items: Ids `[n]` to compare with alone.

        Raises:
            DataError: An item is unknown, or `recalculate_item` is set.
        """
        if recalculate_item or item_users is not None:
            raise DataError("similar_items cannot solve for new items (recalculate_item); fit again with them")
        return self._similar("item", itemid, N, filter_items, items)

    @shielded()
    def similar_users(
        self,
        userid: int | ArrayLike,
        N: int = 10,
        filter_users: ArrayLike | None = None,
        users: ArrayLike | None = None,
    ) -> Ranked:
        """Return ids and cosine similarities of the N users whose embeddings are nearest (the user first).

        Args:
            userid: An id, or an array of ids `[users]`.
            N: How many.
            filter_users: Ids `[n]` to leave out.
            users: Ids `[n]` to compare with alone.
        """
        return self._similar("user", userid, N, filter_users, users)

    def _similar(self, what: Literal["user", "item"], wanted: Any, n: int, excluded: Any, within: Any) -> Ranked:
        table = self._vectors(what)
        size, places = len(table), count_of(n, "N", len(table))
        ids, single = numbers_of(wanted, size, what, f"{what}id", ordered=True)
        unit = torch.nn.functional.normalize(table, dim=1)
        inside = None if within is None else np.unique(numbers_of(within, size, what, f"{what}s")[0])
        leave = None if excluded is None else numbers_of(excluded, size, what, f"filter_{what}s")[0]
        targets = unit if inside is None else unit[torch.from_numpy(inside)]
        scores = unit[torch.from_numpy(ids)] @ targets.T
        found, values = top_k(scores, places, within=inside, seen=None, excluded=leave)
        return (found[0], values[0]) if single else (found, values)

    def _vectors(self, what: Literal["user", "item"]) -> Tensor:
        """Return the vectors of a side; of two models those of the one that orders, or else those of the other."""
        try:
            return self.model.form.vectors(what)
        except DataError:
            if self._rater is None:
                raise
            return self._rater.form.vectors(what)

    def save(self, file: str | Path) -> None:
        """Save everything that `load` needs, in one safetensors file (no pickle)."""
        if self._model is None:
            raise RunError("nothing to save: call fit(user_items) first")
        save_tree(Path(file), self._tree(self._model))

    def _tree(self, model: ServedModel) -> dict[str, Any]:
        return model.tree if self._rater is None else model.tree | {_RATER: self._rater.tree}

    @classmethod
    @shielded(draws=True)
    def load(cls, file: str | Path, *, ratings: str | Path | None = None) -> "Recommender":
        """Return what `save` wrote, or the model of a run; raises `RunError` when the file is something else.

        Args:
            file: What `save` wrote, or `model.safetensors` of a run.
            ratings: The model of another run on the same data, to predict ratings beside.
        """
        made = cls()
        try:
            tree = load_tree(Path(file))
            made._restore(tree if ratings is None else tree | {_RATER: load_tree(Path(ratings))})
        except (RunError, KeyError, TypeError, ValueError, RuntimeError) as error:
            ours = isinstance(error, RunError)
            if ours and str(file) in str(error):
                raise
            raise RunError(
                f"{file} is {error if ours else 'damaged, or of another version of sif; save it again'}"
            ) from None
        return made

    def _restore(self, tree: dict[str, Any]) -> None:
        rater = tree.get(_RATER) if isinstance(tree, dict) else None
        self._model = opened_model({key: value for key, value in tree.items() if key != _RATER} if rater else tree)
        self._rater = opened_model(rater) if rater else None
        if len(self._model.sizes) != 2:
            raise RunError("of a run with a context mode; use recommend(..., context=...) of the run")

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings, and the model as `save` writes it, by numpy: tensors would bring torch's state along."""
        state = {key: value for key, value in vars(self).items() if key not in ("_model", "_rater")}
        if self._model is None:
            return state
        tree = self._tree(self._model)
        return state | {"_tree": mapped_tree(tree, Tensor, lambda tensor: tensor.detach().cpu().numpy())}

    @shielded(draws=True)
    def __setstate__(self, state: dict[str, Any]) -> None:
        tree = state.pop("_tree", None)
        self._clear()
        vars(self).update(state)
        if tree is not None:
            self._restore(mapped_tree(tree, np.ndarray, lambda array: torch.from_numpy(array.copy())))

    @property
    def parameters(self) -> int:
        """Number of trained numbers, of both models where there are two."""
        return sum(model.parameters or 0 for model in (self._model, self._rater) if model is not None)


class _Callback(Observer):
    """Passes each finished epoch on to a callback of implicit's form."""

    def __init__(self, callback: Callable[..., None] | None) -> None:
        self._callback, self._last = callback, time.perf_counter()

    def logged(self, record: dict[str, Any]) -> None:
        now = time.perf_counter()
        if self._callback is not None:
            self._callback(record["epoch"] - 1, now - self._last, record["loss"])
        self._last = now
