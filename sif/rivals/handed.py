"""A rival as the model that a run hands over: a plain tree of what it learnt, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from nasp_core.network import Network
from nasp_core.types import State
from sif.encodings.histories import Histories
from sif.errors import RunError
from sif.rivals.base import Baseline, Kind, Settings
from sif.rivals.known import rival
from sif.rivals.method import Fitted
from sif.serve.forms import Served, form_of
from sif.serve.model import ServedModel, opened_model
from sif.serve.networks import FoldedNetwork, network_form
from sif.spaces.build import parameters_of
from sif.spaces.interaction import InteractionSettings
from sif.spaces.saved import MODEL_FORMAT, RIVAL_FORMAT, model_tree, objective_of, objective_tree
from sif.spaces.wide_settings import WideSettings
from sif.tasks import TableTask

__all__ = ["LearntRival", "baseline_in", "method_tree", "network_tree", "opened_rival", "rival_network", "unserved"]


_WIDE: tuple[Kind, ...] = ("wide", "lists")
"""Of what is asked, that which networks are asked under settings of the wide space."""


@dataclass(frozen=True)
class LearntRival:
    """Which rival learnt, and how.

    Attributes:
        name: as `sif.rivals.known.rival` finds it.
        settings: the point of its grid, or what tuning changed.
        seed: of its training.
        epoch: whose weights they are; None where there are no epochs.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    epoch: int | None = None


def unserved(name: str, fitted: Fitted) -> str:
    """Return why what a method learnt cannot be handed over, or an empty string where it can.

    Args:
        name: Of the rival.
        fitted: What it learnt.
    """
    if fitted.served is None:
        return (
            f"{name} gives its scores by a function alone, and a run hands over what it can save: a served form, such "
            "as sif.serve.items.ItemItem or sif.serve.folding.Folded"
        )
    if not fitted.served.format:
        return f"{name} is served by {fitted.served.describe()}, which no file holds"
    return ""


def method_tree(learnt: LearntRival, fitted: Fitted, task: TableTask) -> State:
    """Return what a method learnt as the tree of a model.

    Args:
        learnt: Which method, and how.
        fitted: What it learnt.
        task: Of the ranking that it learnt from.

    Raises:
        RunError: It is no form that can be saved (`unserved`).
    """
    if reason := unserved(learnt.name, fitted):
        raise RunError(reason)
    return _tree(learnt, task, fitted.parameters) | {
        "served": _form_tree(fitted.served, task.counts()),
        "network": None,
    }


def network_tree(learnt: LearntRival, kind: Kind, space: Settings, network: Network, task: TableTask) -> State:
    """Return the network of a rival, trained by a run's own loop, as the tree of a model.

    Args:
        learnt: Which rival, and how.
        kind: What it is asked.
        space: The settings of the space under which it was built.
        network: With its trained weights.
        task: What it was trained on.
    """
    histories = getattr(network, "histories", None)
    kept = {
        "asks": kind,
        "space": asdict(space),
        "weights": {name: values.detach() for name, values in network.state_dict().items()},
        "histories": None if histories is None else histories._asdict(),
    }
    return _tree(learnt, task, parameters_of(network)) | {"served": None, "network": kept}


def _tree(learnt: LearntRival, task: TableTask, parameters: int | None) -> State:
    facts = {"format": RIVAL_FORMAT, "sizes": task.sizes, "counts": task.counts(), "parameters": parameters}
    told = asdict(learnt)
    return facts | {"epoch": told.pop("epoch"), "rival": told} | objective_tree(task.objective)


def _form_tree(form: Served | None, counts: Tensor) -> State:
    assert form is not None
    if isinstance(form, FoldedNetwork) and form.genotype is not None:
        return model_tree(form.network, form.genotype, form.objective, counts)
    return {"format": form.format, "arrays": form.arrays(), "facts": form.facts()}


def baseline_in(tree: State) -> Baseline:
    """Return how the network of a rival's tree is made; raises `RunError` where the rival has none any more."""
    name, asks = tree["rival"]["name"], tree["network"]["asks"]
    baseline = rival(name, error=RunError).baseline(asks)
    if baseline is None:
        raise RunError(f"rival {name} has no network any more that is asked {asks}; train it again")
    return baseline


def rival_network(tree: State, counts: Tensor | None = None, histories: Histories | None = None) -> Network:
    """Return the network of a rival's tree, on the CPU; its weights are not those of the tree yet.

    Args:
        tree: Of `network_tree`.
        counts: Those of a task; None: the tree's own.
        histories: Those of a task; None: the tree's own.
    """
    kept = tree["network"]
    known = kept["histories"] if histories is None else None
    histories = Histories(**known) if known is not None else histories
    counts = tree["counts"] if counts is None else counts
    plain = kept["space"].items()
    values: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in plain}
    space = WideSettings(**values) if kept["asks"] in _WIDE else InteractionSettings(**values)
    return baseline_in(tree).build(tuple(tree["sizes"]), space, counts, histories)


def opened_rival(tree: State) -> ServedModel:
    """Return the model of a rival's tree; raises `RunError` where its rival cannot be made here."""
    told, objective, sizes = tree["rival"], objective_of(tree), tuple(tree["sizes"])
    try:
        form = _form(tree)
    except KeyError as missing:
        raise RunError(f"a model of {told['name']} that lacks {missing}; train it again") from None
    return ServedModel(
        form=form,
        objective=objective,
        sizes=sizes,
        counts=tree["counts"],
        formula=_in_words(told["name"], told["settings"]),
        parameters=tree["parameters"],
        epoch=tree["epoch"],
        tree=tree,
        rival=told,
    )


def _form(tree: State) -> Served:
    served, kept = tree["served"], tree["network"]
    if served is None:
        network, sizes = rival_network(tree).eval(), tuple(tree["sizes"])
        network.load_state_dict(kept["weights"])
        lists = kept["asks"] == "lists"
        return network_form(network, sizes, objective_of(tree), name=tree["rival"]["name"], lists=lists)
    if served["format"] == MODEL_FORMAT:
        return opened_model(served).form
    return form_of(served["format"], served["arrays"], dict(served["facts"]))


def _in_words(name: str, settings: Mapping[str, Any]) -> str:
    """Return a rival and its settings: `ease (penalty 500)`."""
    told = ", ".join(f"{key} {value}" for key, value in settings.items())
    return f"{name} ({told})" if told else name
