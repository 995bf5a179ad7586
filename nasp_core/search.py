"""The one entry: `search(space, task, strategy, ...) -> Found`, for one-shot and for multi-trial strategies alike."""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nasp_core.errors import SearchError
from nasp_core.evaluation import better, evaluate
from nasp_core.genotype import Genotype
from nasp_core.loop import Loop, Observer, Passing
from nasp_core.network import Network, Space
from nasp_core.optimise import Training
from nasp_core.parts import Argmax, Box, Pinned
from nasp_core.parts.mixtures import masked, on_host
from nasp_core.state import pack, resumed
from nasp_core.strategy import Gradient, SelectContext, Strategy
from nasp_core.training import Trained, train
from nasp_core.trials import Proposal, SearchContext, TrialStrategy
from nasp_core.types import Active, Mixture, State, Task, derive_seed

__all__ = ["Found", "PointTrainer", "search", "train_genotype"]


@dataclass
class Found:
    """What a search found.

    - `metric`: validation metric of the best architecture: trained alone where the search did that, else of the
      supernet restricted to it.
    - `scores`: genotype key -> validation metric, of every point that the search trained alone (the finalists on
      their short schedule, the trials on the final one, or the largest fidelity that they got);
      a training of a trial that diverged has none.
    - `network`: the trained plain network, when the search trained it to the end (multi-trial strategies); else None.
    - `trained`: its final training, where a one-shot search went through with it to decide; else None.
    - `seconds`: wall-clock time of the whole search.
    """

    genotype: Genotype
    metric: float
    trace: list[dict[str, Any]]
    seconds: float
    scores: dict[str, float] = field(default_factory=dict)
    network: Network | None = None
    trained: Trained | None = None


class _Quiet(Passing):
    """Neither saves nor logs: for trainings inside a search."""

    def logged(self, record: dict[str, Any]) -> None:
        pass


@dataclass
class PointTrainer:
    """Trains single points of a space from nothing: first their continuous parameters, if any, then the network.

    The first training (`search`) learns the continuous parameters on validation data with the weights on
    training data, the architecture pinned; the second (`final`) trains a fresh plain network with them frozen.
    Every point is trained with the same seeds, so that two searches that reach one point agree on its metric.
    """

    space: Space
    task: Task
    search: Training
    final: Training
    gradient: Gradient
    seed: int
    observer: Observer

    def train(self, active: Active, fidelity: float = 1.0) -> tuple[Genotype, Trained]:
        """Return the genotype with its learned continuous parameters, and the trained network.

        Args:
            active: The live candidates of the architecture.
            fidelity: The share of the final schedule's epochs, in (0, 1]; at least one epoch is trained.
        """
        genotype, quiet = self.space.genotype(active), _Quiet(self.observer)
        if self.space.continuous():
            pinned = Strategy(Box(), Pinned(tuple(active.items())), self.gradient.pinned(), Argmax(), name="pinned")
            label = f"search {genotype.key()}"
            seed = derive_seed(self.seed, "point", genotype.key())
            Loop(self.space, self.task, self.search, strategy=pinned, seed=seed, observer=quiet, label=label).run()
            genotype = self.space.genotype(active)
        final = self.final
        if fidelity < 1:
            epochs, steps = max(1, round(final.epochs * fidelity)), round(final.min_steps * fidelity)
            final = replace(final, epochs=epochs, min_steps=steps)
        return genotype, self.retrain(genotype, final)

    def retrain(self, genotype: Genotype, training: Training) -> Trained:
        """Return the plain network of a genotype, trained from fresh weights.

        Args:
            genotype: The architecture, with its continuous parameters.
            training: The schedule.
        """
        network = self.space.build(genotype)
        quiet = _Quiet(self.observer)
        return train_genotype(network, self.task, training, key=genotype.key(), seed=self.seed, observer=quiet)


def train_genotype(
    network: Network,
    task: Task,
    training: Training,
    *,
    key: str,
    seed: int = 0,
    observer: Observer | None = None,
    resume: State | None = None,
    stop: int | None = None,
) -> Trained:
    """Train the plain network of a genotype from fresh weights.

    Seeds depend on `seed` and `key` alone: wherever a point is trained with one schedule, the outcome is one.

    Args:
        network: The plain network; its weights are drawn anew.
        task: The data, the loss and the metrics.
        training: The schedule.
        key: The key of the genotype (`Genotype.key`).
        seed: Of the run.
        observer: Shows progress, receives the trace, and saves states to go on from.
        resume: What `observer.save` was given by a training that was stopped.
        stop: After how many of the schedule's epochs to end; None: after all.

    Raises:
        SearchError: The loss stopped being finite.
        ResumeError: `resume` is of another training.
    """
    point_seed = derive_seed(seed, "final", key)
    label = f"train {key}"
    return train(network, task, training, seed=point_seed, observer=observer, resume=resume, label=label, stop=stop)


def search(
    space: Space,
    task: Task,
    strategy: Strategy | TrialStrategy,
    training: Training,
    *,
    final: Training | None = None,
    seed: int = 0,
    observer: Observer | None = None,
    resume: State | None = None,
) -> Found:
    """Search `space` for the architecture that does best on the validation split of `task`.

    The same seed on the same device gives the same trace and genotype, bit for bit. A one-shot strategy leaves the
    space as the supernet it trained; multi-trial strategies leave it undefined.

    Args:
        space: The supernet, on the device to search on.
        task: Batches on that device, the loss, and the metric that selects.
        strategy: A one-shot or multi-trial strategy, of this package or your own.
        training: The schedule of the supernet, and of continuous parameters in trials.
        final: The schedule of a network trained alone; None: `training`.
        seed: Of every draw, whatever torch's global generators are; they are left as they were.
        observer: Shows progress, receives the trace, and saves states to go on from.
        resume: What `observer.save` was given by a search that was stopped; it ends as if it had not been.

    Returns:
        The best architecture with its validation metric, and what was trained to find it.

    Raises:
        SearchError: The loss stopped being finite, or nothing could be proposed.
        ResumeError: `resume` is of another search.
    """
    observer = observer or Observer()
    began = time.perf_counter() - (resume.get("seconds", 0.0) if resume else 0.0)
    trainer = PointTrainer(space, task, training, final or training, strategy.gradient, seed, observer)
    if isinstance(strategy, Strategy):
        found = _relaxed(trainer, strategy, resume)
    else:
        found = _trials(trainer, strategy, resume, began)
    found.seconds = time.perf_counter() - began
    return found


class _Judge:
    """What a selection may ask once the supernet is searched: metrics under mixtures, and of points trained alone."""

    def __init__(self, trainer: PointTrainer, strategy: Strategy, loop: Loop) -> None:
        self.trainer, self.strategy, self.loop, self.state = trainer, strategy, loop, loop.run()
        self.began = time.perf_counter() - self.state["seconds"]
        self.scores: dict[str, float] = {}
        self.in_full: dict[str, Trained] = {}
        self.diverged: list[SearchError] = []
        self.tuned = 0

    def context(self) -> SelectContext:
        """Return what the strategy's selection is given."""
        trainer, alpha = self.trainer, on_host(self.state["alpha"])
        scores = masked(self.strategy.domain.scores(alpha, trainer.space), self.state["relax"].alive)
        asked = (self.supernet_metric, self.trained_metric, trainer.final, trainer.seed, self.mixture_metric, self.tune)
        return SelectContext(trainer.space, trainer.task, scores, *asked)

    def supernet_metric(self, active: Active) -> float:
        return self.mixture_metric(Mixture(active=active))

    def mixture_metric(self, mixture: Mixture) -> float:
        space, task = self.trainer.space, self.trainer.task
        return evaluate(space, task, mixture, precision=self.trainer.search.precision)[task.metric]

    def trained_metric(self, active: Active, schedule: Training) -> float:
        genotype, state, observer = self.trainer.space.genotype(active), self.state, self.trainer.observer
        name = f"{genotype.key()} {schedule}"
        if name not in state["finals"]:
            metrics, record = self._trained(genotype, schedule)
            metric = metrics[self.trainer.task.metric]
            if math.isfinite(metric):
                record["valid"] = metrics
            state["finals"][name] = metric
            state["trace"].append(record)
            observer.logged(record)
            state["seconds"] = time.perf_counter() - self.began
            if observer.checkpoint_due():
                self.loop.save()
        self.scores[genotype.key()] = float(state["finals"][name])
        return self.scores[genotype.key()]

    def _trained(self, genotype: Genotype, schedule: Training) -> tuple[dict[str, float], dict[str, Any]]:
        record: dict[str, Any] = {"phase": "finalist", "genotype": genotype.key()}
        try:
            result = self.trainer.retrain(genotype, schedule)
        except SearchError as error:  # its loss left the finite numbers: one point less, not the end of the search
            if schedule == self.trainer.final:
                raise
            self.diverged.append(error)
            return {self.trainer.task.metric: math.nan}, record | {"epochs": 0}
        if schedule == self.trainer.final:
            self.in_full[genotype.key()] = result
        return result.metrics, record | {"epochs": len(result.trace)}

    def tune(self, mixture: Mixture, epochs: int) -> None:
        self.tuned += 1
        trainer = self.trainer
        rest, seed = trainer.search.rest(epochs), derive_seed(trainer.seed, "tune", self.tuned)
        options: dict[str, Any] = {"label": "tune", "mixture": mixture, "hooks": self.strategy.hooks, "fresh": False}
        Loop(trainer.space, trainer.task, rest, seed=seed, observer=_Quiet(trainer.observer), **options).run()


def _relaxed(trainer: PointTrainer, strategy: Strategy, resume: State | None) -> Found:
    space, task, observer = trainer.space, trainer.task, trainer.observer
    loop = Loop(space, task, trainer.search, strategy=strategy, seed=trainer.seed, observer=observer, label="search")
    loop.state["made_by"] += f"; final {trainer.final}"
    if resume is not None:
        loop.resume(resume)
    judge = _Judge(trainer, strategy, loop)
    active = strategy.select.select(judge.context())
    genotype = space.genotype(active)
    key, scores = genotype.key(), judge.scores
    metric = scores[key] if key in scores else judge.supernet_metric(active)
    if not math.isfinite(metric):
        if judge.diverged:  # no finalist was better
            raise judge.diverged[0]
        raise SearchError(
            f"the validation {task.metric} of the best architecture ({key}) is not finite: {metric}; "
            "lower the learning rate"
        )
    return Found(genotype, metric, list(judge.state["trace"]), 0.0, scores, trained=judge.in_full.get(key))


def _trials(trainer: PointTrainer, strategy: TrialStrategy, resume: State | None, began: float) -> Found:
    context, observer = SearchContext(trainer.space, trainer.task), trainer.observer
    generator = torch.Generator().manual_seed(derive_seed(trainer.seed, "trials"))
    state: State = {
        "made_by": f"{strategy.name}; seed {trainer.seed}; {trainer.search}; {trainer.final}; {strategy.describe()}",
        "strategy": strategy.init(context, generator),
        "scores": {},
        "partial": [],
        "diverged": None,
        "trace": [],
        "best": None,
        "seconds": 0.0,
    }
    if resume is not None:
        resumed(state, resume)
    network: Network | None = None
    while (proposal := strategy.ask(context, state["strategy"])) is not None:
        score, better_one = _try_point(trainer, state, proposal)
        network = better_one or network
        strategy.tell(context, state["strategy"], proposal, score)
        if observer.checkpoint_due():
            state["seconds"] = time.perf_counter() - began
            observer.save(pack(state))
    if state["best"] is None:
        network = _finish_partial(trainer, state)
    if state["best"] is None and state["diverged"] is not None:
        raise SearchError(state["diverged"])
    if state["best"] is None:
        raise SearchError(f"strategy {strategy.name!r} proposed no point; give it a budget of at least one trial")
    genotype = Genotype.from_json(state["best"]["genotype"])
    if network is None:
        network = trainer.space.build(genotype)
        network.load_state_dict(state["best"]["weights"])
    return Found(genotype, state["best"]["metric"], state["trace"], 0.0, state["scores"], network)


def _try_point(trainer: PointTrainer, state: State, proposal: Proposal) -> tuple[float, Network | None]:
    """Train a proposal and put it on record; return its score, and its network if it is the best so far.

    A training whose loss left the finite numbers is one point less, not the end of the search: its score is -inf.
    Only a whole training can be the best; a point keeps the metric of its longest one.
    """
    task, key = trainer.task, trainer.space.genotype(proposal.active).key()
    record: dict[str, Any] = {"phase": "trial", "genotype": key}
    if proposal.fidelity < 1:
        record["fidelity"] = proposal.fidelity
    network: Network | None = None
    try:
        genotype, result = trainer.train(proposal.active, proposal.fidelity)
        metric, record["epochs"] = result.metrics[task.metric], len(result.trace)
    except SearchError as error:
        state["diverged"] = state["diverged"] or str(error)
        metric, record["epochs"] = math.nan, 0
    score = -math.inf
    if math.isfinite(metric):
        record["valid"] = result.metrics
        state["scores"][key] = metric
        score = metric if task.maximise else -metric
        if proposal.fidelity < 1:
            saved = {name: list(picks) for name, picks in proposal.active.items()}
            state["partial"].append({"active": saved, "fidelity": proposal.fidelity, "score": score})
        elif state["best"] is None or better(task, metric, state["best"]["metric"]):
            network = result.network
            state["best"] = {"metric": metric, "genotype": genotype.to_json(), "weights": network.state_dict()}
    elif state["diverged"] is None:
        state["diverged"] = f"the validation {task.metric} of {key} is not finite: {metric}; lower the learning rate"
    state["trace"].append(record)
    trainer.observer.logged(record)
    return score, network


def _finish_partial(trainer: PointTrainer, state: State) -> Network | None:
    """Train in full the best of the largest fidelity that was trained; where it diverges, the next best."""
    waiting = sorted(state["partial"], key=lambda tried: (-tried["fidelity"], -tried["score"]))
    for tried in waiting:
        active = {name: tuple(picks) for name, picks in tried["active"].items()}
        _, network = _try_point(trainer, state, Proposal(active))
        if network is not None:
            return network
    return None
