"""A rival in place of an architecture: what a run of a table hands over, loads, and trains again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from nasp_core.genotype import Genotype
from nasp_core.network import Network
from nasp_core.search import train_genotype
from nasp_core.types import Mixture, State
from sif.errors import RunError
from sif.problems.base import Changes, Trainee
from sif.rivals.handed import LearntRival, baseline_in, method_tree, network_tree, rival_network
from sif.rivals.known import rival
from sif.rivals.method import Fitted, Method
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory
from sif.serve.blend import Blend
from sif.serve.forms import Served
from sif.serve.model import ServedModel, opened_model
from sif.spaces.saved import BLEND_FORMAT, MODEL_FORMAT, RIVAL_FORMAT, objective_tree, task_tree
from sif.tasks import RankingSettings, TableTask
from sif.tasks.queries import Queries

if TYPE_CHECKING:
    from sif.problems.tables import TableInstance

__all__ = ["BLEND", "BlendedPairs", "FormNetwork", "fitted_tree", "method_of", "rival_of", "rival_on", "rival_trainee"]
__all__ += ["trained_tree"]

BLEND = "blend"
"""The name of a blend among rivals."""


class FormNetwork(Network):
    """A served form as a network that an evaluation asks; nothing in it is trained."""

    def __init__(self, form: Served, learnt: int | None) -> None:
        """Take the form, and how many numbers it learnt."""
        super().__init__()
        self.form, self.learnt = form, learnt or 0
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # says on which device it is asked

    def reset(self, generator: torch.Generator) -> None:
        """Draw nothing."""

    def forward(self, inputs: Queries, mixture: Mixture | None = None) -> Tensor:
        """Return the scores of the items asked about, float32 `[n, k + m]`."""
        every = self.form.scores(inputs.users).to(inputs.users.device)
        return torch.cat([every.gather(1, inputs.own), every[:, inputs.shared]], 1)


class BlendedPairs(Network):
    """A blend of networks that predict ratings, as a network that an evaluation asks."""

    def __init__(self, blend: Blend, learnt: int | None) -> None:
        """Take the blend, and how many numbers its members learnt."""
        super().__init__()
        self.members = nn.ModuleList(cast(Any, form).network for form in blend.members)
        self.shares, self.learnt = blend.weights, learnt or 0

    def reset(self, generator: torch.Generator) -> None:
        """Draw nothing."""

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return predictions float32 `[n]` of pairs int64 `[2, n]`."""
        parts = [share * member(inputs) for share, member in zip(self.shares, self.members, strict=True)]
        return torch.stack(parts).sum(0)


def method_of(name: str) -> Method:
    """Return how a comparison learns a rival; raises `RunError` where it has no method."""
    found = rival(name, error=RunError)
    if found.method is None:
        raise RunError(f"rival {name} has no method, and stands in runs alone, as a network")
    return found.method


def fitted_tree(instance: TableInstance, learnt: LearntRival, fitted: Fitted, task: TableTask | None = None) -> State:
    """Return what a method learnt on an instance as the tree of a model.

    Args:
        instance: What it learnt on.
        learnt: Which method, and how.
        fitted: What it learnt.
        task: The ranking that it learnt; None: the instance's own (`TableInstance.ranking_task`).

    Raises:
        RunError: It cannot be saved, with the reason (`sif.rivals.handed.unserved`).
    """
    task = instance.ranking_task() if task is None else task
    return method_tree(replace(learnt, epoch=fitted.epoch), fitted, task)


def trained_tree(instance: TableInstance, learnt: LearntRival, network: Network) -> State:
    """Return the network of a rival that the instance's own loop trained as the tree of a model.

    Args:
        instance: What it was trained on.
        learnt: Which rival; its settings are the changes that tuning chose.
        network: With its trained weights.
    """
    space = instance.settings_with(learnt.settings)
    return network_tree(learnt, instance.recipe.asks, space, network, instance.data.task)


def rival_of(tree: Any) -> ServedModel | None:
    """Return the model of a run's tree where it is a rival; None of an architecture."""
    return opened_model(tree) if isinstance(tree, dict) and tree.get("format") in (RIVAL_FORMAT, BLEND_FORMAT) else None


def rival_on(instance: TableInstance, model: ServedModel) -> Network:
    """Return a rival as a network that the instance's task can judge; raises `RunError` where it cannot be.

    Args:
        instance: What judges.
        model: The rival.
    """
    if (kept := model.tree["network"]) is not None:
        network = rival_network(model.tree, instance.counts, instance.histories).to(instance.device)
        network.load_state_dict(kept["weights"])
        return network
    if isinstance(model.form, Blend) and not model.form.standardised:
        return BlendedPairs(model.form, model.parameters).to(instance.device)
    if not instance.judges_rankings:
        raise RunError(
            f"this run hands over {model.formula}, which orders items and predicts no ratings: "
            "evaluate it as a ranking (sif evaluate RUN --ranking)"
        )
    return FormNetwork(model.form, model.parameters).to(instance.device)


def rival_trainee(instance: TableInstance, directory: RunDirectory, model: ServedModel) -> Trainee:
    """Return the rival that a run hands over, to be trained anew.

    Args:
        instance: What it is trained on.
        directory: The run.
        model: The rival.
    """
    told = model.rival
    assert told is not None
    if model.tree["format"] == BLEND_FORMAT:
        return _blend_trainee(instance, directory, model)
    learnt = LearntRival(told["name"], told["settings"], told["seed"], model.epoch)
    if model.tree["network"] is None:
        return _method_trainee(instance, directory, model, learnt)
    network = rival_network(model.tree, instance.counts, instance.histories).to(instance.device)

    def keep(done: State) -> None:
        network.load_state_dict(done["weights"])
        again = replace(learnt, seed=done["seed"], epoch=done["epoch"])
        instance.hand_over(directory, trained_tree(instance, again, network))

    def counted(seed: int) -> State:
        valid = instance.evaluate(network, "valid")
        return {"weights": network.state_dict(), "trace": [], "epoch": None, "valid": valid, "seconds": 0.0}

    fit = None if baseline_in(model.tree).trained else counted
    made_of = _made_of(model.tree, instance.has("valid"))
    return Trainee(f"baseline/{learnt.name}", keep, network, dict(learnt.settings), made_of, fit)


def _made_of(tree: State, judges: bool) -> dict[str, Any]:
    """Return what a model is made of, its members' too; where nothing judges, for how long each is trained."""
    if tree["format"] == BLEND_FORMAT:
        return {"weights": tree["weights"], "members": [_made_of(each, judges) for each in tree["members"]]}
    if tree["format"] == MODEL_FORMAT:
        own = {key: tree[key] for key in ("genotype", "settings", "epochs")}
    else:
        own = {key: tree["rival"][key] for key in ("name", "settings")}
    return own if judges else own | {"epoch": tree["epoch"]}


def _method_trainee(
    instance: TableInstance, directory: RunDirectory, model: ServedModel, learnt: LearntRival
) -> Trainee:
    task, method = instance.ranking_task(cast(RankingSettings, model.objective)), method_of(learnt.name)
    judges = instance.has("valid")
    settings: Mapping[str, Any] = learnt.settings
    if not judges and model.epoch is not None:
        settings = dict(settings) | {"epochs": model.epoch}

    def fit(seed: int) -> State:
        began = time.perf_counter()
        fitted = method.fit(PairTable.of(task, needs=("train",)).without_test(), settings, seed)
        seconds = time.perf_counter() - began
        again = replace(learnt, seed=seed)
        tree = fitted_tree(instance, again, fitted, task)
        valid = None
        if judges and task is instance.data.task:
            valid = instance.evaluate(rival_on(instance, opened_model(tree)), "valid")
        epoch = model.epoch if fitted.epoch is None else fitted.epoch
        return {"tree": tree | {"epoch": epoch}, "trace": [], "epoch": epoch, "valid": valid, "seconds": seconds}

    def keep(done: State) -> None:
        instance.hand_over(directory, done["tree"])

    tuned: Changes = dict(learnt.settings)
    made_of = _made_of(model.tree, judges)
    return Trainee(learnt.name, keep, FormNetwork(model.form, model.parameters), tuned, made_of, fit)


def _blend_trainee(instance: TableInstance, directory: RunDirectory, model: ServedModel) -> Trainee:
    """Train the members of a blend anew, each in its way, and add them with the weights that they had."""
    judges = instance.has("valid")

    def fit(seed: int) -> State:
        began = time.perf_counter()
        members = [_member_again(instance, each, seed, judges) for each in model.tree["members"]]
        tree = model.tree | {"members": members, "counts": instance.data.task.counts()}
        tree |= objective_tree(instance.data.task.objective)
        valid = instance.evaluate(rival_on(instance, opened_model(tree)), "valid") if judges else None
        return {"tree": tree, "trace": [], "epoch": None, "valid": valid, "seconds": time.perf_counter() - began}

    def keep(done: State) -> None:
        instance.hand_over(directory, done["tree"])

    made_of = _made_of(model.tree, judges)
    return Trainee("a blend", keep, FormNetwork(model.form, model.parameters), {}, made_of, fit)


def _member_again(instance: TableInstance, tree: State, seed: int, judges: bool) -> State:
    """Train a member of a blend; without a validation part for the epochs that one chose, on the same schedule."""
    if tree["format"] != MODEL_FORMAT:
        told, epoch = tree["rival"], tree.get("epoch")
        table = PairTable.of(instance.ranking_task(), needs=("train",)).without_test()
        chosen = {} if judges or epoch is None else {"epochs": epoch}  # nothing stops it without a validation part
        fitted = method_of(told["name"]).fit(table, told["settings"] | chosen, seed)
        fitted = fitted if not chosen else replace(fitted, epoch=epoch)
        return fitted_tree(instance, LearntRival(told["name"], told["settings"], seed), fitted)
    changed, genotype = instance.changed(tree["settings"]), Genotype.from_json(tree["genotype"])
    network, training = changed.build(genotype), changed.training({})
    kept = {key: tree[key] for key in ("settings", "epoch", "epochs")}
    if judges:
        done = train_genotype(network, changed.final_task, training, key=genotype.key(), seed=seed)
        kept["epoch"] = done.epoch
    else:
        blind: dict[str, Any] = {"min_steps": 0, "patience": None, "keep_best": False, "evaluate_every": 0}
        training = replace(training, epochs=tree["epochs"], average_after=None, **blind)
        train_genotype(network, changed.final_task, training, key=genotype.key(), seed=seed, stop=tree["epoch"])
    return task_tree(genotype, network.state_dict(), changed.data.task) | kept
