"""The blend: the last step of a study adds the scores of a few of its models, where validation says that it pays."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from nasp_core.network import Network
from nasp_core.types import State, derive_seed
from sif.metrics import rank_per_user
from sif.problems.handing import fitted_tree, rival_on
from sif.problems.tables import TableInstance
from sif.rivals.handed import LearntRival
from sif.runs.stages import Stages
from sif.serve.blend import standard_scores
from sif.serve.blended import blend_tree
from sif.serve.model import ServedModel, opened_model
from sif.spaces.saved import task_tree
from sif.spaces.wide_settings import BRANCH_KEY
from sif.studies.classics import Classics
from sif.studies.trials import Trials

__all__ = ["Blending", "Mixed", "again_by", "mixed"]

_MOST = 5  # models that are added
_STEPS = 10  # at most as many times is one of them added once more
_SURE = 1.0  # standard errors by which the sum must be better than the best model alone
_ENTRIES = 48_000_000  # scores that are held at once: 192 MB
_MOST_USERS, _LEAST_USERS = 1500, 50
_LESS = 1e-4  # of a standard deviation: below the items that a model ranks alike, and are among its first
_FIRST = 10  # times as many items of a model as there are places may be ranked first by a sum


class Blending:
    """The blend of a study: which models are added, and what that comes to.

    Attributes:
        weights: Of each model, by its name; empty where no sum is better.
        valid: The metrics of the sum on the validation part; empty likewise.
        seconds: That it took.
        done: Whether it was made, or found not to pay.
    """

    def __init__(self, instance: TableInstance, stages: Stages, trials: Trials, classics: Classics | None) -> None:
        """Take whose models there are.

        Args:
            instance: The table.
            stages: Of the run: a blend is made once.
            trials: Those of the study.
            classics: The tuned rivals, if any.
        """
        self._instance, self._stages, self._trials, self._classics = instance, stages, trials, classics
        self.weights: dict[str, float] = {}
        self.valid: dict[str, float] = {}
        self.seconds, self.done = 0.0, False

    def run(self) -> float:
        """Add models where validation says that it pays; return the seconds that it took."""
        per_user = not self._trials.task.metric.startswith("coverage")  # which no user has alone
        names, self.done = self._names() if per_user else [], True
        if len(names) < 2:
            return 0.0

        def compute() -> dict[str, Any]:
            began, trees = time.perf_counter(), self._members()
            found, valid = mixed(self._instance, [*trees.items()]), {}
            if len(found.weights) > 1:
                model = opened_model(self._tree(found.weights, trees, self._instance))
                valid = self._instance.evaluate(rival_on(self._instance, model), "valid") or {}
            return {"weights": dict(found.weights), "valid": valid, "seconds": time.perf_counter() - began}

        points = {name: dict(tuned.settings) for name, tuned in self._classics.best.items()} if self._classics else {}
        made = self._stages.journal.once(f"blend of {' '.join(names)}", compute, [*names, points])
        if made["valid"]:
            self.valid, self.seconds, self.weights = made["valid"], made["seconds"], made["weights"]
        return float(made["seconds"])

    def _names(self) -> list[str]:
        """Return the names of the models that it may have."""
        return [*(f"trial {trial.number}" for trial in self._trials.kept), *self._rivals()]

    def _rivals(self) -> list[str]:
        classics = self._classics
        return [name for name in classics.best if name != "popularity" and classics.served(name)] if classics else []

    def _members(self) -> dict[str, State]:
        """Return the trees of the models that it may have, by name: architectures, and rivals but popularity."""
        trees: dict[str, State] = {}
        for trial in self._trials.kept:
            changed, genotype, trained = self._trials.model_of(trial)
            own = again_by(changed, trial.configuration.settings, trained["epoch"])
            trees[f"trial {trial.number}"] = task_tree(genotype, trained["weights"], changed.data.task) | own
        for name in self._rivals():
            assert self._classics is not None
            learnt = LearntRival(name, dict(self._classics.best[name].settings), self._instance.recipe.seed)
            trees[name] = fitted_tree(self._instance, learnt, self._classics.model(name))
        return trees

    def tree(self, trees: Mapping[str, State] | None = None, instance: TableInstance | None = None) -> State:
        """Return it as the tree of a model.

        Args:
            trees: Its members by name, where they are others than those that were chosen.
            instance: What these learnt from; None: the table.
        """
        return self._tree(self.weights, self._members() if trees is None else trees, instance or self._instance)

    def _tree(self, weights: Mapping[str, float], trees: Mapping[str, State], instance: TableInstance) -> State:
        members = [trees[name] for name in weights]
        told = {"members": [opened_model(tree).formula for tree in members], "weights": [*weights.values()]}
        task: Any = instance.final_task
        return blend_tree(members, [*weights.values()], task.objective, task.counts(), told)


def again_by(instance: TableInstance, settings: Mapping[str, Any], epoch: int | None) -> State:
    """Return by what a member of a blend is trained anew, whatever the recipe says then.

    Args:
        instance: The table under its settings.
        settings: That it has instead of the recipe's own.
        epoch: That validation chose.
    """
    recipe = instance.recipe
    training = instance.training({})
    epochs = training.stretched(len(instance.final_task.stream("train", training.batch_size, 0))).epochs
    keys = [key for key in (*instance.problem.settings_space, BRANCH_KEY) if recipe.has(key)]
    return {
        "settings": {key: recipe.value(key) for key in dict.fromkeys((*keys, *settings))},
        "epoch": epoch,
        "epochs": epochs,
    }


@dataclass(frozen=True)
class Mixed:
    """What is added.

    Attributes:
        weights: Of each model, by its name; one alone: no sum is better.
        gain: By how much the sum is better than the best model alone, on what was looked at, in the task's metric.
    """

    weights: Mapping[str, float]
    gain: float


class _Judge(Protocol):
    """What scores are made on, and what they lose: less is better."""

    def scores(self, model: ServedModel) -> Tensor:
        """Return what a model says."""
        ...

    def losses(self, scores: Tensor) -> Tensor:
        """Return the loss of each row or user, float64 `[n]`."""
        ...

    def value(self, losses: Tensor) -> float:
        """Return the metric of losses."""
        ...


class _Ratings:
    """The validation part's ratings: squared errors."""

    def __init__(self, instance: TableInstance) -> None:
        task: Any = instance.final_task
        self._instance, (self._inputs, self._target) = instance, task.part("valid")

    @torch.no_grad()
    def scores(self, model: ServedModel) -> Tensor:
        form: Any = model.form
        network: Network = form.network if model.rival is None else rival_on(self._instance, model)
        network = network.to(self._instance.device).eval()
        return torch.cat([network(part) for part in torch.split(self._inputs, 1 << 16, dim=1)]).cpu()

    def losses(self, scores: Tensor) -> Tensor:
        errors: Tensor = (scores.double() - self._target.cpu().double()).square()
        return errors

    def value(self, losses: Tensor) -> float:
        """Return the metric of losses."""
        return math.sqrt(float(losses.mean()))


class _Lists:
    """A sample of the users who have validation pairs: the metric of each, negative.

    A user's columns are the first items of each model, ten times as many as there are places, and what is wanted, so
    that a sum is judged in little time; what no model has among its first can in principle lead one, and is left out.
    """

    @torch.no_grad()
    def __init__(self, instance: TableInstance, models: Sequence[ServedModel]) -> None:
        task: Any = instance.final_task
        number = len(models)
        self._k, self._metric = task.settings.k, task.metric
        relevant, seen = sparse.csr_array(task.positives("valid")), sparse.csr_array(task.seen("valid"))
        users, n_items = np.flatnonzero(np.diff(relevant.indptr)), relevant.shape[1]
        first = min(n_items, _FIRST * self._k)
        width = min(n_items, number * first + int(np.diff(relevant.indptr).max(initial=0)))
        most = min(_MOST_USERS, max(_LEAST_USERS, _ENTRIES // (max(1, number) * width)))
        if len(users) > most:
            seed = derive_seed(instance.recipe.seed, "blend") % 2**32
            users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
        self._users, self._relevant, self._seen = torch.from_numpy(users), relevant[users], seen[users]
        few = number * len(self._users) * n_items <= _ENTRIES
        self._whole: dict[int, Tensor] = {}
        if few:
            self._whole = {id(model): torch.cat([*self._blocks(model)]) for model in models}
        self._first: dict[int, tuple[Tensor, Tensor]] = {}
        self._columns = self._narrow(models, first)

    def _narrow(self, models: Sequence[ServedModel], first: int) -> Tensor:
        """Return of each user the columns that a model ranks first, and those that are wanted, int64 `[users, most]`.

        Rows are filled up with columns that count as seen.
        """
        wanted = _padded(self._relevant)
        best = [wanted]
        for model in models:
            start, parts, cuts = 0, [], []
            for scores in self._blocks(model):
                seen = self._seen[start : start + len(scores)].tocoo()
                met = torch.from_numpy(seen.row).long(), torch.from_numpy(seen.col).long()
                top = scores.index_put(met, torch.tensor(-torch.inf)).topk(first, dim=1)
                other = wanted[start : start + len(scores), :1]  # in place of what is seen, where there is no more
                parts.append(torch.where(top.values == -torch.inf, other, top.indices))
                cuts.append(top.values[:, -1:])
                start += len(scores)
            best.append(torch.cat(parts))
            self._first[id(model)] = best[-1].sort(dim=1).values, torch.cat(cuts)
        columns, wanted = (each.sort(dim=1).values for each in (torch.cat(best, 1), wanted))
        twice = torch.zeros_like(columns, dtype=torch.bool)
        twice[:, 1:] = columns[:, 1:] == columns[:, :-1]
        once = twice.to(torch.int8).argsort(dim=1, stable=True)[:, : int((~twice).sum(1).max())]
        columns, twice = columns.gather(1, once), twice.gather(1, once)
        among = torch.searchsorted(wanted, columns).clamp_max_(wanted.shape[1] - 1)
        relevant = (wanted.gather(1, among) == columns) & ~twice
        self._seen, self._relevant = sparse.csr_array(twice.numpy()), sparse.csr_array(relevant.numpy())
        return columns

    def _blocks(self, model: ServedModel) -> Iterator[Tensor]:
        """Yield standardised scores of all items, a block of users at a time."""
        rows = max(1, (1 << 21) // model.form.n_items)
        if id(model) in self._whole:
            yield from torch.split(self._whole[id(model)], rows)
            return
        for users in torch.split(self._users, rows):
            yield standard_scores(model.form(users).float()).cpu()

    @torch.no_grad()
    def scores(self, model: ServedModel) -> Tensor:
        start, parts = 0, []
        for scores in self._blocks(model):
            parts.append(scores.gather(1, self._columns[start : start + len(scores)]))
            start += len(scores)
        made, (first, cut) = torch.cat(parts), self._first[id(model)]
        place = torch.searchsorted(first, self._columns).clamp_max_(first.shape[1] - 1)
        # of many that tie at the end of a model's first the columns have only those, and what others rank first
        other = (made == cut) & (first.gather(1, place) != self._columns)
        return torch.where(other, made - _LESS, made)

    def losses(self, scores: Tensor) -> Tensor:
        _, found = rank_per_user(
            lambda rows: scores[rows],
            self._seen,
            self._relevant,
            k=(self._k,),
            batch=max(1, (1 << 21) // scores.shape[1]),
        )
        return -torch.from_numpy(found[self._metric])

    def value(self, losses: Tensor) -> float:
        """Return the metric of losses."""
        return -float(losses.mean())


def _padded(lists: sparse.csr_array) -> Tensor:
    """Return the columns of each row, int64 `[rows, most]`, short rows filled with their last one."""
    counts = np.diff(lists.indptr)
    places = np.minimum(np.arange(counts.max(initial=1))[None], counts[:, None] - 1) + lists.indptr[:-1, None]
    return torch.from_numpy(lists.indices[places].astype(np.int64))


def mixed(instance: TableInstance, trees: Sequence[tuple[str, State]]) -> Mixed:
    """Return which models are added, by forward selection with replacement (Caruana et al. 2004, section 2.1).

    The best is taken first. Then, ten times, that model is added with the weight of one which makes the mean best on
    the validation part; a model that is taken again weighs more. Of these means the best is the sum, if it is better
    than the best model alone by a standard error of the difference.

    Args:
        instance: The table.
        trees: Trained models by name (`sif.serve.model.opened_model`), the most promising first.
    """
    models = {name: opened_model(tree) for name, tree in trees}
    ranks = instance.problem.ranks
    judge: _Judge = _Lists(instance, [*models.values()]) if ranks else _Ratings(instance)
    said = {name: judge.scores(model) for name, model in models.items()}
    alone = {name: judge.losses(scores) for name, scores in said.items()}
    first = min(alone, key=lambda name: float(alone[name].mean()))
    taken, total = Counter({first: 1}), said[first]
    best, loss = dict(taken), alone[first]
    for parts in range(2, _STEPS + 2):
        offered = [name for name in said if name in taken or len(taken) < _MOST]
        losses = {name: judge.losses((total + said[name]) / parts) for name in offered}
        name = min(losses, key=lambda each: float(losses[each].mean()))
        taken[name] += 1
        total = total + said[name]
        if float(losses[name].mean()) < float(loss.mean()):
            best, loss = dict(taken), losses[name]
    if not _better(loss, alone[first]):
        best, loss = {first: 1}, alone[first]
    weights = {name: round(number / sum(best.values()), 4) for name, number in best.items()}
    weights[first] = round(1.0 - sum(weight for name, weight in weights.items() if name != first), 4)
    return Mixed(weights, abs(judge.value(loss) - judge.value(alone[first])))


def _better(losses: Tensor, others: Tensor) -> bool:
    """Return whether paired losses are lower than others by more than chance."""
    gained = others - losses
    error = float(gained.std()) / math.sqrt(max(1, len(gained))) if len(gained) > 1 else math.inf
    return float(gained.mean()) > _SURE * error
