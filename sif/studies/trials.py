"""Trials of a study: configurations trained at a fidelity, each one piece of the run's journal."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasp_core.errors import SearchError
from nasp_core.evaluation import better, evaluate
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer, Passing
from nasp_core.optimise import Training
from nasp_core.search import train_genotype
from nasp_core.types import State
from sif.checkpoint import load_tree, save_tree
from sif.errors import DataError, RunError
from sif.problems.tables import TableInstance
from sif.runs.stages import Stages
from sif.studies.configuration import Configuration
from sif.studies.part_of_epoch import shortened
from sif.tasks import watched

__all__ = ["OutOfTime", "StudyTrial", "Trials", "Until", "at_fidelity"]

_USERS, _USERS_OF_RUNGS = 2000, 1000  # whom validations judge while a training goes on; its value is of all

_SHOWN = 1 / 3  # of the schedule at least, for a rival to stand in the table
_KEPT = 5  # models of different architectures, of which a blend may be made


class OutOfTime(Exception):
    """The budget is spent in the middle of a training."""


@dataclass(frozen=True)
class StudyTrial:
    """What a training came to.

    Attributes:
        number: Of the trial, from 0.
        configuration: What was trained.
        fidelity: The share of the schedule's epochs, in (0, 1].
        value: The task's validation metric; None where the budget ended in the middle, or the loss diverged.
        seconds: Of the training with its evaluations.
        epochs: That were trained; 0 where the budget ended in the middle.
    """

    number: int
    configuration: Configuration
    fidelity: float
    value: float | None
    seconds: float
    epochs: int

    @property
    def cut(self) -> bool:
        """Whether the budget ended in the middle of it."""
        return not self.epochs

    def plain(self) -> dict[str, Any]:
        """Return a line of trials.jsonl."""
        return {
            "trial": self.number,
            **self.configuration.plain(),
            "fidelity": self.fidelity,
            "value": self.value,
            "seconds": round(self.seconds, 3),
            "epochs": self.epochs,
        }


class Until(Passing):
    """Ends a training, or a search, when the time is up; saves what it is told to save."""

    def __init__(self, outer: Observer, deadline: float | None) -> None:
        """Take whom to tell, and the end.

        Args:
            outer: Is told all, and saves.
            deadline: Of the monotonic clock; None for none.
        """
        super().__init__(outer)
        self._deadline = deadline
        self.checkpoint_due, self.save = outer.checkpoint_due, outer.save  # type: ignore[method-assign]

    def stepped(self) -> None:
        """Pass it on; raises `OutOfTime` after the deadline."""
        super().stepped()
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise OutOfTime


def at_fidelity(training: Training, fidelity: float) -> Training:
    """Return the schedule in a share of its epochs, at least one."""
    if fidelity >= 1:
        return training
    epochs, steps = max(1, round(training.epochs * fidelity)), round(training.min_steps * fidelity)
    every = min(training.evaluate_every, epochs)
    return replace(training, epochs=epochs, min_steps=steps, evaluate_every=every)


class Trials:
    """Trains configurations, and keeps the model of the best.

    The model lies in the journal's folder beside the trials, so that a study that was killed goes on with it.
    """

    def __init__(self, instance: TableInstance, stages: Stages) -> None:
        """Begin without any trial.

        Args:
            instance: The table with the recipe whose settings configurations change.
            stages: Of the run.
        """
        self.instance, self.task = instance, instance.final_task
        self.done: list[StudyTrial] = []
        self._named: dict[str, str] = {}
        self._stages, self._folder = stages, stages.journal.folder
        self._changed: dict[str, TableInstance] = {}

    def name(self, rival: str, choices: Mapping[str, tuple[str, ...]]) -> None:
        """Say that an architecture is a rival's: the model of its best training is kept too.

        Args:
            rival: Its name.
            choices: Of the architecture.
        """
        self._named[_architecture(choices)] = rival

    @property
    def best(self) -> StudyTrial | None:
        """The first of the best of all trials; None where none came to its end."""
        return self._first_best(self.done)

    @property
    def has_model(self) -> bool:
        """Whether the best trial's model can be handed over."""
        return self.best is not None and self._file(self.best.number).is_file()

    @property
    def rivals(self) -> dict[str, StudyTrial]:
        """Of each rival that is a point its best trial on a third of the schedule or more: less flatters the find."""
        long = [trial for trial in self.done if trial.fidelity >= _SHOWN]
        own = {
            name: [trial for trial in long if _architecture(trial.configuration.choices) == architecture]
            for architecture, name in self._named.items()
        }
        best = {name: self._first_best(trials) for name, trials in own.items()}
        return {name: trial for name, trial in best.items() if trial is not None}

    @property
    def kept(self) -> list[StudyTrial]:
        """The best full trainings of different architectures, best first, a few: of them a blend may be made.

        Where no training was full, the best of all.
        """
        best = self.best
        return self._kept_of(self.done) or ([] if best is None else [best])

    def _kept_of(self, trials: Sequence[StudyTrial]) -> list[StudyTrial]:
        sign = -1.0 if self.task.maximise else 1.0
        best: dict[str, StudyTrial] = {}
        full = [trial for trial in trials if trial.fidelity == 1 and trial.value is not None]
        for trial in sorted(full, key=lambda one: sign * (one.value or 0.0)):
            best.setdefault(_architecture(trial.configuration.choices), trial)
        return [*best.values()][:_KEPT]

    def _first_best(self, trials: Sequence[StudyTrial]) -> StudyTrial | None:
        best = None
        for trial in trials:
            best = trial if self._leads(trial.value, best) else best
        return best

    def skip(self, configuration: Configuration, fidelity: float) -> None:
        """Count a training that the end of a budget cut, without beginning it.

        Args:
            configuration: What was begun.
            fidelity: The share of its schedule.
        """
        self.done.append(StudyTrial(len(self.done), configuration, fidelity, None, 0.0, 0))

    def run(self, configuration: Configuration, fidelity: float, deadline: float | None = None) -> StudyTrial:
        """Train a configuration, or read what an earlier process made of it.

        Args:
            configuration: What to train.
            fidelity: The share of its schedule.
            deadline: Of the monotonic clock; a training that meets it ends without a value.
        """
        number = len(self.done)

        def compute(observer: Observer, resume: State | None) -> State:
            began = time.perf_counter()
            try:
                value, epochs = self._train(number, configuration, fidelity, Until(observer, deadline), resume)
            except OutOfTime:
                value, epochs = None, 0
            except (SearchError, DataError) as error:  # it diverged; an epoch, so that it does not count as cut
                self._stages.note(f"trial {number} has no value: {error}")
                value, epochs = None, 1
            return {"value": value, "epochs": epochs, "seconds": time.perf_counter() - began}

        name = f"trial {number}"
        made = self._stages.run(name, compute, [configuration.key, fidelity])
        trial = StudyTrial(number, configuration, fidelity, made["value"], made["seconds"], made["epochs"])
        self.done.append(trial)
        self._tidy()
        return trial

    def _tidy(self) -> None:
        """Remove the models of the trials so far that are the best of nothing any more."""
        kept = {trial.number for trial in (self.best, *self.rivals.values(), *self.kept) if trial is not None}
        for number in {trial.number for trial in self.done} - kept:
            self._file(number).unlink(missing_ok=True)

    def _leads(self, value: float | None, other: StudyTrial | None) -> bool:
        """Return whether a value is better than that of the best so far, if there is one."""
        return value is not None and (other is None or better(self.task, value, other.value or 0.0))

    def instance_of(self, configuration: Configuration) -> TableInstance:
        """Return the table under the settings of a configuration."""
        key = repr(sorted(configuration.settings.items()))
        if key not in self._changed:
            self._changed = {key: self.instance.changed(configuration.settings)}  # the last alone: they hold tensors
        return self._changed[key]

    def model(self, rival: str = "") -> tuple[TableInstance, Genotype, State]:
        """Return a best trial's table, architecture and trained state.

        Args:
            rival: Whose; empty: the best of all.

        Raises:
            RunError: There is none.
        """
        return self.model_of(self.rivals.get(rival) if rival else self.best)

    def model_of(self, trial: StudyTrial | None) -> tuple[TableInstance, Genotype, State]:
        """Return the table, architecture and trained state of a trial whose model is kept.

        Args:
            trial: One of `best`, `rivals` or `kept`.

        Raises:
            RunError: There is none.
        """
        if trial is None or not self._file(trial.number).is_file():
            raise RunError(self._why_none())
        tree = load_tree(self._file(trial.number))
        return self.instance_of(trial.configuration), Genotype.from_json(tree["genotype"]), tree["trained"]

    def _why_none(self) -> str:
        """Return why no training has a model."""
        if all(trial.cut for trial in self.done):
            return "no training of the study came to its end; give it more time: --budget"
        pinned = self.instance.recipe.pinned
        held = f"leave out what is pinned ({', '.join(pinned)})" if pinned else "change what the recipe trains with"
        return f"the loss of every training left the finite numbers; {held}, such as a lower learning rate"

    def _file(self, number: int) -> Path:
        """Return where a trial's model lies while it is the best of all, or of a rival."""
        return self._folder / f"incumbent-{number}.safetensors"

    def _train(
        self, number: int, configuration: Configuration, fidelity: float, observer: Observer, resume: State | None
    ) -> tuple[float | None, int]:
        changed = self.instance_of(configuration)
        genotype = changed.genotype(configuration.choices)
        training = at_fidelity(changed.training({}), fidelity)
        task = changed.final_task
        watch = watched(task, _USERS if fidelity == 1 else _USERS_OF_RUNGS)
        watch = shortened(watch, changed, fidelity)
        done = train_genotype(
            changed.build(genotype),
            watch,
            training,
            key=genotype.key(),
            seed=changed.recipe.seed,
            observer=observer,
            resume=resume,
        )
        metrics = done.metrics if watch is task else evaluate(done.network, task, precision=training.precision)
        value = float(metrics[self.task.metric])
        if value != value:
            return None, len(done.trace)
        rival = self._named.get(_architecture(configuration.choices)) if fidelity >= _SHOWN else None
        kept = self._leads(value, self.best)
        kept |= rival is not None and self._leads(value, self.rivals.get(rival))
        own = StudyTrial(number, configuration, fidelity, value, 0.0, len(done.trace))
        kept |= own in self._kept_of([*self.done, own])
        trained: Mapping[str, Any] = {
            "weights": dict(done.network.state_dict()),
            "valid": metrics,
            "trace": done.trace,
            "epoch": done.epoch,
            "seconds": done.seconds,
        }
        if kept:
            save_tree(self._file(number), {"genotype": genotype.to_json(), "trained": trained})
        return value, len(done.trace)


def _architecture(choices: Mapping[str, tuple[str, ...]]) -> str:
    return json.dumps({group: list(names) for group, names in choices.items()}, sort_keys=True)
