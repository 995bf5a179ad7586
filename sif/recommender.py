"""`Recommender`: implicit's conventions over a searched interaction function."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.training import train
from sif.checkpoint import load_tree, save_tree
from sif.datasets import ColumnNames, read
from sif.errors import DataError, RunError
from sif.host import shielded
from sif.problems import problem_of
from sif.problems.data import prepare
from sif.problems.recipes import Recipe, load_rating_recipe
from sif.problems.suited import RANKED, RATED
from sif.problems.threads import threads_for
from sif.recipes import changes_of
from sif.serve.asked import asked_rows, count_of, matrix_of, numbers_of
from sif.serve.folding import Folded, as_folded
from sif.serve.forms import Asked
from sif.serve.model import ServedModel, network_model, opened_model
from sif.serve.networks import FoldedNetwork
from sif.serve.topk import Ranked, top_k
from sif.spaces.build import build_network
from sif.spaces.known import FunctionNetwork
from sif.tasks import Scale

__all__ = ["Recommender"]

_PLAIN = Scale(0.0, 1.0, -np.inf, np.inf)


class Recommender:
    """Search, train and recommend, with the signatures of `implicit`.

    `fit(user_items)` searches the interaction function on a part held out of `user_items`, then trains it on
    all of it. Ratings are predicted as they are; every other feedback (clicks, counts) is ranked. What the values are,
    `notes` say.
    """

    def __init__(
        self,
        recipe: str | Path | Recipe | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        cold_items: bool = True,
        feedback: str = "",
    ) -> None:
        """Take a recipe by name, file or value (None: `ratings` of a matrix of ratings, else `clicks`).

        `cold_items`: whether `recommend` ranks items that training never met (`cold`) with the others.
        `feedback`: what the values are (`sif.search`), where sif takes them for something else.
        """
        drawn = load_rating_recipe("ratings", changes_of(None, None, seed)).seed
        loaded = recipe if isinstance(recipe, Recipe) else load_rating_recipe(recipe or "ratings")
        own = {"seed": drawn} | ({"feedback": feedback} if feedback else {})
        self.recipe, self._given = loaded.model_copy(update=own), recipe is not None
        self.device, self.cold_items = device, cold_items
        self._clear()

    def _clear(self) -> None:
        self._model: ServedModel | None = None
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
            self.recipe = chosen.model_copy(update={key: getattr(self.recipe, key) for key in ("seed", "feedback")})
        split = self.recipe.split.model_copy(update={"kind": "random", "fractions": (0.8, 0.2, 0.0)})
        baselines = self.recipe.baselines.model_copy(update={"names": (), "enumerate": False, "random": False})
        recipe = self.recipe.model_copy(
            update={"split": split, "baselines": baselines, "dataset": "", "valid": "", "test": "", "context": "none"}
        )
        run = search(data, recipe=recipe, device=self.device)
        whole = prepare(
            recipe.model_copy(update={"split": split.model_copy(update={"fractions": (1.0, 0.0, 0.0)})}),
            source=data,
            device=self.device,
        )
        network = build_network(run.genotype, whole.task)
        epochs = max(1, run.best_epoch)
        training = replace(
            recipe.final_training(run.result["tuned"]),
            epochs=epochs,
            patience=None,
            keep_best=False,
            evaluate_every=0,
            min_steps=0,
        )
        with threads_for(recipe, whole.task.device):
            train(network, whole.task, training, seed=recipe.seed, observer=_Callback(callback))
        task = whole.task
        self._model = network_model(network.cpu().eval(), run.genotype, task.objective, task.counts().cpu())
        first = problem_of(recipe).sheet(run.result).warning
        self.notes = (*([first] if first else []), str(data.feedback), *whole.interactions.notes)
        return self

    @property
    def model(self) -> ServedModel:
        """What is served, and what it was trained for; raises `RunError` before `fit` or `load`."""
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
            asked = known.new_users(asked_rows(user_items, *shape, rated=self.model.objective.units is not None))
        if not self.cold_items:
            cold = np.flatnonzero(self.cold)
            excluded = cold if excluded is None else np.union1d(excluded, cold)
        places = places if within is None else min(places, len(within))
        ids, values = known.top_k(asked, places, items=within, seen=seen, excluded=excluded)
        values = values * np.float32(self.scale.std) + np.float32(self.scale.mean)
        return (ids[0], values[0]) if single else (ids, values)

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
        table = self.model.form.vectors(what)
        size, places = len(table), count_of(n, "N", len(table))
        ids, single = numbers_of(wanted, size, what, f"{what}id", ordered=True)
        unit = torch.nn.functional.normalize(table, dim=1)
        inside = None if within is None else np.unique(numbers_of(within, size, what, f"{what}s")[0])
        leave = None if excluded is None else numbers_of(excluded, size, what, f"filter_{what}s")[0]
        targets = unit if inside is None else unit[torch.from_numpy(inside)]
        scores = unit[torch.from_numpy(ids)] @ targets.T
        found, values = top_k(scores, places, within=inside, seen=None, excluded=leave)
        return (found[0], values[0]) if single else (found, values)

    def save(self, file: str | Path) -> None:
        """Save everything that `load` needs, in one safetensors file (no pickle)."""
        if self._model is None:
            raise RunError("nothing to save: call fit(user_items) first")
        save_tree(Path(file), self._model.tree)

    @classmethod
    @shielded(draws=True)
    def load(cls, file: str | Path) -> "Recommender":
        """Return what `save` wrote; raises `RunError` when the file is something else."""
        made = cls()
        try:
            made._restore(load_tree(Path(file)))
        except (RunError, KeyError, TypeError, ValueError, RuntimeError) as error:
            ours = isinstance(error, RunError)
            if ours and str(file) in str(error):
                raise
            raise RunError(
                f"{file} is {error if ours else 'damaged, or of another version of sif; save it again'}"
            ) from None
        return made

    def _restore(self, tree: dict[str, Any]) -> None:
        self._model = opened_model(tree)
        if len(self._model.sizes) != 2:
            raise RunError("of a run with a context mode; use recommend(..., context=...) of the run")

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings, and the model as `save` writes it, by numpy: tensors would bring torch's state along."""
        state = {key: value for key, value in vars(self).items() if key != "_model"}
        if self._model is None:
            return state
        tree = self._model.tree
        return state | {"_tree": _each(tree, Tensor, lambda tensor: tensor.detach().cpu().numpy())}

    @shielded(draws=True)
    def __setstate__(self, state: dict[str, Any]) -> None:
        tree = state.pop("_tree", None)
        self._clear()
        vars(self).update(state)
        if tree is not None:
            self._restore(_each(tree, np.ndarray, lambda array: torch.from_numpy(array.copy())))

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return 0 if self._model is None else self._model.parameters or 0


class _Callback(Observer):
    """Passes each finished epoch on to a callback of implicit's form."""

    def __init__(self, callback: Callable[..., None] | None) -> None:
        self._callback, self._last = callback, time.perf_counter()

    def logged(self, record: dict[str, Any]) -> None:
        now = time.perf_counter()
        if self._callback is not None:
            self._callback(record["epoch"] - 1, now - self._last, record["loss"])
        self._last = now


def _each(tree: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return nested dicts with every value of the kind changed."""
    if isinstance(tree, Mapping):
        return {key: _each(value, kind, change) for key, value in tree.items()}
    return change(tree) if isinstance(tree, kind) else tree
