"""The refit: what validation chose is trained once more, on training and validation part, before the test is read."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nasp_core.errors import SearchError
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.search import train_genotype
from nasp_core.types import State, Task
from sif.problems.base import Instance
from sif.problems.handing import fitted_tree
from sif.problems.tables import TableInstance
from sif.rivals.handed import LearntRival
from sif.rivals.known import METHODS
from sif.rivals.method import Fitted
from sif.rivals.pair_table import PairTable
from sif.spaces.saved import task_tree
from sif.studies.blend import again_by
from sif.studies.classics import judged_on
from sif.studies.judging import LAST, judged_at_the_end
from sif.studies.leading import ordered_rivals, required_rivals
from sif.studies.part_of_epoch import shortened
from sif.studies.trials import StudyTrial, at_fidelity

if TYPE_CHECKING:
    from sif.studies.study import Study

__all__ = ["Refit", "kept_back", "refit_seconds", "refits"]

_LATE = 0.05  # of a budget in seconds by which a refit may end after it


def refits(instance: TableInstance) -> bool:
    """Return whether a study of the table ends with a refit, by the recipe's `study.refit`.

    `auto` is true exactly where training and test part were given and the validation part was cut from the training
    part: whoever publishes figures on such files trains on all that is not test.

    Args:
        instance: The table.
    """
    asked = instance.recipe.study.refit
    if asked != "auto":
        return bool(asked)
    return instance.data.split.drawn == ("valid",) and instance.recipe.training("train").average_after is None


def refit_seconds(study: Study, rivals: Collection[str]) -> float:
    """Return how long a refit of what stands in the table now would take at most, in seconds; 0 without a refit.

    Args:
        study: Under way or at its end; a training counts with its validations, so that this is rather too much.
        rivals: Those that stand in the table: tuned ones, and points of the space.
    """
    trials, classics, baselines = study.trials, study.classics, study.baselines
    if not refits(trials.instance):
        return 0.0
    split = trials.instance.data.split
    more: float = (len(split.train) + len(split.valid)) / max(1, len(split.train))
    points = [trial for name, trial in trials.rivals.items() if name in rivals]
    again = {trial.number: trial for trial in (trials.best, *points, *_blended(study)) if trial is not None}
    seconds: float = sum(max(0.0, each.seconds - study.judging.valid) for each in again.values())  # it has none
    tuned = [] if classics is None else [classics.best[name] for name in rivals if name in classics.best]
    seconds += sum(each.own for each in tuned)
    lines = baselines.done if baselines is not None else []
    for name in {line["rival"] for line in lines}:
        seconds += max(line["seconds"] for line in lines if line["rival"] == name)
    return more * seconds


def _blended(study: Study) -> list[StudyTrial]:
    """Return the trials that the blend adds, or may add as long as there is none."""
    if "blend" in study.trials.instance.recipe.study.without:
        return []
    kept = study.trials.kept
    if study.blend.done:
        return [trial for trial in kept if f"trial {trial.number}" in study.blend.weights]
    return kept


def kept_back(study: Study) -> float:
    """Return the seconds that a study keeps for its end: the blend, the refit, the test part, and writing.

    Args:
        study: Under way.
    """
    seconds = study.limit.seconds
    if seconds is None:
        return 0.0
    rivals = required_rivals(study.trials, study.classics)
    return LAST * seconds + refit_seconds(study, rivals) + judged_at_the_end(study, rivals)


class Refit:
    """The models of a study as they are judged and handed over: refit, or where there is no refit as they were chosen.

    An architecture is trained for the epochs that validation chose, on the schedule that it was chosen under; a rival
    with a way of its own learns under the settings that validation chose, and a blend adds its refit members with the
    weights that validation chose. Either all models are refit or none is.

    Attributes:
        study: What chose.
        handed: The rival that is handed over (`Study.winner`).
        rivals: Those that stand in the table, the best on validation first: tuned ones, and points of the space.
        instance: What the models are judged on; with a refit the validation part is in its training part.
        on: Whether they are refit.
        why: Why they are not although the recipe asks for it; empty else.
        seconds: That the refit took.
        carried: Those of earlier processes.
    """

    def __init__(self, study: Study, stopped: bool = False) -> None:
        """Refit what a study chose: architectures each as a stage of the run, then rivals.

        Args:
            study: It has ended.
            stopped: Whether it was told to end at once: there is no refit then.
        """
        self.study, self._trials, self._classics = study, study.trials, study.classics
        self.handed = study.winner()  # by the models as they were chosen, which are let go of below
        self._states: dict[int, State] = {}
        self._baselines: dict[str, State] = {}
        self._fitted: dict[str, Fitted] = {}
        self.instance, self.why, self.seconds, self.carried = study.instance, "", 0.0, 0.0
        self.on = refits(study.instance)
        self.why = self._late(stopped) if self.on else ""
        self.rivals = self._standing(self.on and not self.why)
        if not self.on:
            return
        if not self.why:
            self.instance = study.instance.on_both()
            points = [trial for name, trial in self._trials.rivals.items() if name in self.rivals]
            again = (self._trials.best, *points, *self._mixed().values())
            try:
                for trial in {each.number: each for each in again if each is not None}.values():
                    self._train(trial)
                for name in study.baselines.values if study.baselines is not None else ():
                    self._train_baseline(name)
            except SearchError as error:
                self.why = str(error)
        if self.why:
            self.on, self.instance = False, study.instance
        for name in self.tuned if self.on else ():
            self._fitted[name] = self._learnt(name)

    @property
    def judge(self) -> Instance | None:
        """The table that refit models are judged on; None without a refit."""
        return self.instance if self.on else None

    def model(self, rival: str = "") -> tuple[TableInstance, Genotype, State]:
        """Return the table, architecture and trained state of a model (`Trials.model`); its metrics are of the choice.

        Args:
            rival: Whose; empty: the best of all.
        """
        instance, genotype, trained = self._trials.model(rival)
        if not self.on:
            return instance, genotype, trained
        trial = self._trial(rival)
        done = self._states[trial.number]
        again = {"weights": done["weights"], "trace": [*trained["trace"], *done["trace"]]}
        return self._table(trial), genotype, trained | again

    def baseline(self, name: str) -> Network:
        """Return the network of a rival that the study trained or that counts, with its weights.

        Args:
            name: The rival, one of `Baselines.values`.
        """
        baselines = self.study.baselines
        assert baselines is not None
        if not self.on:
            return baselines.network(name)
        return baselines.network(name, self._baselines[name], self.instance)

    def classic(self, name: str) -> Fitted:
        """Return the model of a tuned rival.

        Args:
            name: The rival, one of `Classics.best`.
        """
        assert self._classics is not None
        return self._fitted[name] if self.on else self._classics.model(name)

    def tested(self, name: str) -> dict[str, float]:
        """Return the metrics of a tuned rival on the test part, which is read here."""
        assert self._classics is not None
        if not self.on:
            return self._classics.tested(name)
        task: Any = self.instance.final_task
        return judged_on("test", PairTable.of(task, needs=("train", "test")), task, self.classic(name).scores_of)

    def blend_tree(self) -> State:
        """Return the blend of the study as the tree of a model."""
        if not self.on:
            return self.study.blend.tree()
        return self.study.blend.tree({name: self._member(name) for name in self.study.blend.weights}, self.instance)

    def told(self) -> dict[str, Any] | None:
        """Return what `result.json` says of it (`study.refit`); None where nothing was asked."""
        if not (self.on or self.why):
            return None
        rows = len(self.instance.data.split.train) if self.on else 0
        return {"done": self.on, "why_not": self.why, "rows": rows, "seconds": self.seconds}

    @property
    def tuned(self) -> tuple[str, ...]:
        """The rivals with ways of their own that stand in the table."""
        return tuple(name for name in self.rivals if self._classics is not None and name in self._classics.best)

    def _required(self) -> tuple[str, ...]:
        return required_rivals(self._trials, self._classics, (self.handed, *self.study.blend.weights))

    def _standing(self, refit: bool) -> tuple[str, ...]:
        """Return the rivals of the table: what it cannot be without, then the best for which there is time."""
        study, every, names = self.study, ordered_rivals(self._trials, self._classics), self._required()
        if study.limit.seconds is None or study.steps.closed:
            return tuple(every)

        def seconds(rivals: tuple[str, ...]) -> float:
            return (refit_seconds(study, rivals) if refit else 0.0) + judged_at_the_end(study, rivals)

        left = (1 + _LATE) * study.limit.seconds - study.elapsed()
        for name in every:
            more = (*dict.fromkeys((*names, name)),)
            if seconds(more) <= max(left, seconds(names)):  # what takes no time stands in any case
                names = more
        if out := [name for name in every if name not in names]:
            study.stages.note(f"no time is left to judge these rivals on the test part: {', '.join(out)}")
        return tuple(name for name in every if name in names)

    def _late(self, stopped: bool) -> str:
        """Return why there is no time for it, or an empty string; who asks for it outright gets it."""
        study, budget = self.study, self.study.limit.seconds
        if stopped:
            return "the study was stopped; it has one when it goes on: --resume"
        if study.instance.recipe.study.refit != "auto" or budget is None:
            return ""
        rivals = self._required()
        needed = refit_seconds(study, rivals)
        left = max(0.0, budget - study.elapsed() - judged_at_the_end(study, rivals))
        if needed <= left + _LATE * budget:
            return ""
        return f"it takes about {needed:.1f} s, and {left:.1f} s of the budget are left: --refit, or a larger --budget"

    def _trial(self, rival: str) -> StudyTrial:
        trial = self._trials.rivals[rival] if rival else self._trials.best
        assert trial is not None
        return trial

    def _table(self, trial: StudyTrial) -> TableInstance:
        return self.instance.changed(trial.configuration.settings)

    def _mixed(self) -> dict[str, StudyTrial]:
        """Return the members of the blend that are trials, by name."""
        kept = {f"trial {trial.number}": trial for trial in self._trials.kept}
        return {name: kept[name] for name in self.study.blend.weights if name in kept}

    def _member(self, name: str) -> State:
        """Return a member of the blend as the tree of a model."""
        if (trial := self._mixed().get(name)) is not None:
            _, genotype, chosen = self._trials.model_of(trial)
            table, weights = self._table(trial), self._states[trial.number]["weights"]
            own = again_by(
                self.study.instance.changed(trial.configuration.settings), trial.configuration.settings, chosen["epoch"]
            )
            return task_tree(genotype, weights, table.data.task) | own
        assert self._classics is not None
        settings = dict(self._classics.best[name].settings)
        learnt = LearntRival(name, settings, self.study.instance.recipe.seed)
        return fitted_tree(self.instance, learnt, self.classic(name))

    def _train(self, trial: StudyTrial) -> None:
        """Train an architecture on both parts for the epochs that validation chose, as a stage."""
        chosen, genotype, state = self._trials.model_of(trial)
        instance, training = self._table(trial), _schedule(chosen, at_fidelity(chosen.training({}), trial.fidelity))
        network = instance.build(genotype)
        told = (f"refit trial {trial.number}", genotype.key(), trial.configuration.key)
        task = shortened(instance.final_task, chosen, trial.fidelity)
        self._states[trial.number] = self._again(network, (instance, task), training, state["epoch"], told)

    def _train_baseline(self, name: str) -> None:
        """Train the network of a rival likewise; one that counts counts both parts."""
        baselines = self.study.baselines
        assert baselines is not None
        settings, epoch = dict(baselines.settings(name)), baselines.state(name)["epoch"]
        network = self.instance.rivals()[name].build(settings)
        if epoch is None:
            self._baselines[name] = {"weights": dict(network.state_dict())}
            return
        chosen, told = self.study.instance, (f"refit {name}", f"baseline/{name}", repr(settings))
        training = _schedule(chosen, chosen.training(settings))
        on = self.instance, self.instance.final_task
        self._baselines[name] = self._again(network, on, training, epoch, told)

    def _again(
        self,
        network: Network,
        on: tuple[TableInstance, Task],
        training: Training,
        epoch: int,
        told: tuple[str, str, str],
    ) -> State:
        """Train a network for some epochs of a schedule, as a stage: its name, its key and what it depends on."""
        (stage, key, depends), (instance, task) = told, on
        seed = instance.recipe.seed

        def compute(observer: Observer, resume: State | None) -> State:
            more: dict[str, Any] = {"key": key, "seed": seed, "observer": observer, "resume": resume}
            done = train_genotype(network, task, training, stop=epoch, **more)
            trace = [record | {"refit": True} for record in done.trace]
            return {"weights": dict(network.state_dict()), "trace": trace, "seconds": done.seconds}

        before = time.monotonic()
        made = self.study.stages.run(stage, compute, [depends, key, str(training), epoch, seed])
        self.seconds += made["seconds"]
        self.carried += max(0.0, made["seconds"] - (time.monotonic() - before))
        return made

    def _learnt(self, name: str) -> Fitted:
        """Let a rival learn from both parts what it learnt from one, for as long as validation chose."""
        assert self._classics is not None
        began, settings = time.perf_counter(), self._classics.best[name].settings
        epoch = self._classics.model(name).epoch if "epochs" in settings else None
        settings = settings if epoch is None else {**settings, "epochs": epoch}
        task: Any = self.instance.final_task
        table = PairTable.of(task, needs=("train",)).without_test()
        fitted = METHODS[name].fit(table, settings, self.instance.recipe.seed)
        self._classics.best[name].fitted = None  # one of the two models is enough to hold
        self.seconds += time.perf_counter() - began
        return replace(fitted, epoch=epoch)


def _schedule(chosen: TableInstance, training: Training) -> Training:
    """Return a schedule in epochs as they were on the table that chose, without any validation."""
    steps = len(chosen.final_task.stream("train", training.batch_size, 0))
    blind: dict[str, Any] = {"patience": None, "keep_best": False, "evaluate_every": 0, "average_after": None}
    return replace(training.stretched(steps), min_steps=0, **blind)
