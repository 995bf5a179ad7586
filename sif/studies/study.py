"""The study: a budget spent on portfolio, rivals, rungs of rising fidelity and full trainings, the best kept."""

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import zip_longest
from typing import Any

from nasp_core.evaluation import better
from sif.errors import RunError
from sif.problems.handing import BLEND
from sif.problems.tables import TableInstance
from sif.recipes.limit import Limit
from sif.run_directory import RunDirectory
from sif.runs.stages import Stages
from sif.studies.baselines import Baselines
from sif.studies.blend import Blending
from sif.studies.bought import missing, priced, used_up
from sif.studies.classics import Classics
from sif.studies.configuration import Configuration
from sif.studies.judging import Judging, judging_of
from sif.studies.leading import leading
from sif.studies.price import affordable
from sif.studies.proposals import rival_points, tried_first
from sif.studies.proposer import Proposer
from sif.studies.refit import kept_back, refits
from sif.studies.rungs import Rungs
from sif.studies.steps import Steps, differing, told_steps
from sif.studies.supernet import ranked_by_supernet
from sif.studies.trials import StudyTrial, Trials

__all__ = ["Study"]

_CLASSICS, _BASELINES = 0.3, 0.15  # of the budget at most
_INSTEAD = 0.6  # of it that classics may have where no network can be trained in full
_SUPERNET = 0.15  # of the seconds that are left is the most that a supernet takes
_SHORT = 0.1  # of the seconds is the most that a training on the lowest rung takes, or three times what the first took
_FIRST = 3  # trainings of the portfolio before the supernet is asked
_FULL = 0.2  # of the seconds that are left is the most that the first full training takes; else rungs go first
_END = 0.9  # of a budget in trials, after which what did best is trained in full


@dataclass(frozen=True)
class _Job:
    configuration: Configuration
    rung: int


class Study:
    """Spends a budget on one table.

    Every training is a trial: a configuration at a fidelity. The first of the portfolio is trained in full at once, so
    that there is a model; then come the other proposals on the lowest rung, of which a third goes on to the next, up to
    the whole schedule. Rivals have a share of the time. What is left goes into full trainings, and a blend.
    """

    def __init__(
        self,
        instance: TableInstance,
        stages: Stages,
        limit: Limit,
        repeats: RunDirectory | None = None,
        since: float | None = None,
    ) -> None:
        """Prepare; nothing is trained yet.

        Args:
            instance: The table, with the recipe whose values configurations change.
            stages: Of the run: what is done is read back.
            limit: The budget.
            repeats: A finished study whose trainings are done again instead.
            since: When the budget began to be spent, by the monotonic clock; None: now.
        """
        self.instance, self.stages, self.limit = instance, stages, limit
        self.trials = Trials(instance, stages)
        self.maximise = instance.final_task.maximise
        task: Any = instance.final_task
        self._without = frozenset(instance.recipe.study.without)
        shares = (1.0,) if "rungs" in self._without else instance.problem.rungs
        self.rungs = Rungs(self.trials, shares, self.maximise)
        ranks = instance.problem.ranks and "rivals" not in self._without
        self.classics = Classics(task, stages, instance.recipe.seed) if ranks else None
        self._began, self._carried = time.monotonic() if since is None else since, 0.0
        self.baselines = Baselines(instance, stages) if "rivals" not in self._without else None
        if self.baselines is not None:
            self.baselines.leave(*(self.classics.names if self.classics is not None else ()))
        self._told: list[dict[str, Any]] = []
        self.blend = Blending(instance, stages, self.trials, self.classics)
        self._proposer = Proposer(instance, {} if "settings" in self._without else instance.problem.settings_space)
        self._used, self._rivals_alone = 0, False
        self.steps = Steps(stages.journal.folder, limit, repeats)

    def run(self) -> None:
        """Spend the budget; the best is in `trials` and `classics` afterwards."""
        points = self._points()
        ranked = self._followed()
        if not self.steps.closed:
            self._spend(points, ranked)
        if "blend" not in self._without and not self.steps.stopped:
            before = time.monotonic()
            self._spent(before, self.blend.run())

    def _spend(self, points: Sequence[Configuration], ranked: list[Configuration] | None) -> None:
        tried = {trial.configuration.key for trial in self.trials.done}
        held = tried_first(self.instance, partial(self._proposer.drawn, 0))
        if not (self.classics is None or self.classics.best):
            self._classic()  # popularity, beside which a ranking always stands
        if held and not tried:  # so that there is a model, and a price
            first, share = affordable(self.trials, held, self.rungs.shares[0], self._remaining())
            held = [first, *(each for each in held if each is not first)]
            self._train_at(first, share, ends=False)
        elif held:
            first = self.trials.done[0].configuration
            held = [first, *(each for each in held if each.key != first.key)]
        others = (*held[1:], *points) if self._no_full() else (*points, *held[1:])
        queue = self._queue(ranked or (), others, tried)
        for _ in self.classics.names if self.classics is not None else ():  # the first point of each, unless it is dear
            if self._classics_due():
                self._classic()
        while len(self._told) < _FIRST and self._baseline():
            pass
        if held and all(trial.fidelity < 1 for trial in self.trials.done):
            full = self._full(held[0])
            if self._soon(full) and (self.limit.trials is None or self._used < self.limit.trials):
                self._train(full)
            if not self.steps.known:  # an earlier process has said it
                self.stages.note(priced(self._cost(full), self._remaining()))
        while self._rival():
            pass
        asked = ranked is not None
        while self._open():
            if not asked and (not queue or len(self.trials.done) >= _FIRST):
                asked, queue = True, self._queue(self._supernet() or (), [job.configuration for job in queue])
                continue
            if self._rival():
                continue
            risen = self.rungs.promoted()
            job = None if risen is None else _Job(*risen)
            if job is None or not self._fits(job):
                job = self._whole_rival(queue.pop(0), len(points)) if queue else self._proposed()
            if job is None or not self._fits(job):
                break
            self._train(job)
        self._finish()
        self._rivals_alone |= self.limit.seconds is not None  # no training fits that is worth it
        while self._rivals_alone and self._rival():  # no share holds them back any more
            pass

    def _whole_rival(self, job: _Job, rivals: int) -> _Job:
        """Return the job in full where it is a rival's, which is to stand in the table, if all of them have a share."""
        full, remaining = self._full(job.configuration), self._remaining()
        short = remaining is not None and rivals * self._cost(full) > _BASELINES * remaining
        return job if short or not job.configuration.by.startswith("rival ") else full

    def _queue(
        self, ranked: Sequence[Configuration], others: Sequence[Configuration], tried: Set[str] = frozenset()
    ) -> list[_Job]:
        """Return what is tried first, in turns."""
        pairs = zip_longest(ranked, others)
        return [_Job(each, 0) for pair in pairs for each in pair if each is not None and each.key not in tried]

    def _followed(self) -> list[Configuration] | None:
        """Take the steps of an earlier process, or of a run that is repeated; return what a supernet proposed."""
        ranked = None
        for step in self.steps.past:
            if "supernet" in step:
                ranked = self._asked(step["supernet"])
            elif "rival" in step:
                self._trained_rival(step["rival"], step["settings"])
            elif not step.get("epochs", 1):
                self.trials.skip(Configuration.of(step), step["fidelity"])
            else:
                self._trained(Configuration.of(step), step["fidelity"], ends=bool(self.trials.done))
        return ranked

    def _points(self) -> list[Configuration]:
        """Return the rivals of the recipe that are points of the space: they are trained as what they are."""
        found = {} if "rivals" in self._without else rival_points(self.instance)
        for name, each in found.items():
            self.trials.name(name, each.choices)
            if self.baselines is not None:
                self.baselines.leave(name)
        return [*found.values()]

    def winner(self) -> str:
        """Return the rival that is better on validation than all that was trained here; empty where none is."""
        single, value = leading(self.trials, self.baselines, self.classics)
        mixed = self.blend.valid.get(self.trials.task.metric)
        if mixed is not None and (value is None or better(self.trials.task, mixed, value)):
            return BLEND
        return single

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of trials.jsonl: each training in order, rivals included."""
        return told_steps(self.steps.taken, [trial.plain() for trial in self.trials.done], self._told)

    @property
    def rival_trials(self) -> int:
        """How many points of rivals were trained."""
        return len(self._told)

    def repeated(self) -> dict[str, Any] | None:
        """Return whether each training has the value of the run that is repeated; None where none is."""
        if not self.steps.closed:
            return None
        differs = differing(self.steps.past, self.lines())
        return {"trainings": len(self.steps.past), "equal": not differs, "differs": differs or None}

    # what is left

    @cached_property
    def judging(self) -> Judging:
        """What it takes to judge a model on all users; nothing where the clock decides nothing."""
        if self.limit.seconds is None or self.steps.closed:
            return Judging()
        first = tried_first(self.instance, partial(self._proposer.drawn, 0))[0]
        return judging_of(self.trials.instance_of(first), first)

    def elapsed(self) -> float:
        """Return the seconds that the study took, those of earlier processes included."""
        return time.monotonic() - self._began + self._carried

    def _remaining(self) -> float | None:
        seconds = self.limit.seconds
        return None if seconds is None else seconds - self.elapsed() - kept_back(self)

    def _open(self) -> bool:
        if self.limit.trials is not None:
            return self._used < max(1, int(self.limit.trials * _END))
        return (self._remaining() or 0.0) > 0

    def _cost(self, job: _Job) -> float:
        """Return the seconds that a training may take, from those before it; of the same configuration, if any."""
        done = [trial for trial in self.trials.done if trial.value is not None and trial.epochs]
        if not done:
            return 0.0
        own = [trial for trial in done if trial.configuration.key == job.configuration.key]
        if own:
            done = own[-1:]
        judged, share = self.judging.valid, self.rungs.shares[job.rung]  # on all users, however long it is trained
        whole = sorted(max(0.0, trial.seconds - judged) / trial.fidelity for trial in done)
        return judged + whole[len(whole) // 2] * share

    def _fits(self, job: _Job) -> bool:
        """Return whether a training fits, and after a short one a full training of the best still does, if it could."""
        remaining = self._remaining()
        if remaining is None:
            return True
        last = 0.0 if job.rung == len(self.rungs.shares) - 1 else self._last_cost()
        more = last if last <= remaining else 0.0  # where no full training fits, short ones may have what is left
        return self._cost(job) + more <= remaining

    def _soon(self, full: _Job) -> bool:
        """Return whether a full training of what was first tried leaves most of the time to others."""
        remaining = self._remaining()
        return self._fits(full) and (remaining is None or self._cost(full) <= _FULL * remaining)

    def _last_cost(self) -> float:
        best = self.rungs.unfinished()
        return self._cost(self._full(best)) if best is not None else 0.0

    def _full(self, configuration: Configuration) -> _Job:
        return _Job(configuration, len(self.rungs.shares) - 1)

    # what is trained

    def _train(self, job: _Job) -> StudyTrial:
        return self._train_at(job.configuration, self.rungs.shares[job.rung], ends=True)

    def _train_at(self, configuration: Configuration, fidelity: float, ends: bool) -> StudyTrial:
        self.steps.take({**configuration.plain(), "fidelity": fidelity}, self.elapsed())
        return self._trained(configuration, fidelity, ends)

    def _trained(self, configuration: Configuration, fidelity: float, ends: bool) -> StudyTrial:
        seconds = None if self.steps.closed or not ends else self.limit.seconds
        before, deadline = time.monotonic(), None
        if seconds is not None:
            end = self._began - self._carried + seconds - kept_back(self) - self.judging.valid
            deadline = min(end, before + self._most(fidelity))
        trial = self.trials.run(configuration, fidelity, deadline)
        self._spent(before, trial.seconds)
        return trial

    def _most(self, fidelity: float) -> float:
        """Return the seconds that a training may take: what takes far more than others cannot win in time."""
        seconds = self.limit.seconds or 0.0
        if fidelity == 1 or not self.trials.done:
            return seconds
        own = 3 * self.trials.done[0].seconds / self.trials.done[0].fidelity
        return fidelity / self.rungs.shares[0] * max(_SHORT * seconds, own * self.rungs.shares[0])

    def _rival(self) -> bool:
        """Train the next point of a rival; return whether one was due: classics have a share, and so have baselines."""
        if self.limit.trials is not None and self._used >= self.limit.trials:
            return False
        return (self._classic() if self._classics_due() else False) or self._baseline()

    def _baseline(self) -> bool:
        first = leading(self.trials, self.baselines, self.classics)[0]
        point = self.baselines.due(first) if self.baselines is not None and self._baselines_due() else None
        remaining, full = self._remaining(), self._full(self.trials.done[0].configuration)
        if point is None or (remaining is not None and self._cost(full) / 2 > remaining):  # these are small networks
            return False
        self._take_rival(*point)
        return True

    def _baselines_due(self) -> bool:
        names = self.baselines.names if self.baselines is not None else ()
        spent = [float(line["seconds"]) for line in self._told if line["rival"] in names]
        if self._rivals_alone:
            return True
        if self.limit.seconds is not None:
            return sum(spent) < _BASELINES * self.limit.seconds
        first = len(spent) < min(len(names), (self.limit.trials or 0) // 2)
        return first or len(spent) <= _BASELINES * self._used

    def _classics_due(self) -> bool:
        if self.classics is None or self._rivals_alone:
            return self.classics is not None
        if self.limit.seconds is not None:
            spent = self.classics.seconds
            if self._no_full():
                return spent < _INSTEAD * self.limit.seconds
            return spent < _CLASSICS * self.limit.seconds and spent <= self.elapsed() / 2
        return sum(tuned.trials for tuned in self.classics.best.values()) <= self._used / 3

    def _no_full(self) -> bool:
        """Return whether no full training fits any more, and there was none: a point of a rival is the better buy."""
        remaining, done = self._remaining(), self.trials.done
        if remaining is None or not done or any(trial.fidelity == 1 for trial in done):
            return False
        return self._cost(self._full(done[0].configuration)) > remaining

    def _classic(self) -> bool:
        remaining = self._remaining()
        if remaining is not None and refits(self.instance):
            remaining /= 2  # it learns once more in the end
        point = self.classics.due(remaining, alone=self._rivals_alone) if self.classics is not None else None
        if point is None:
            return False
        self._take_rival(*point)
        return True

    def _take_rival(self, name: str, settings: Mapping[str, Any]) -> None:
        self.steps.take({"rival": name, "settings": dict(settings)}, self.elapsed())
        self._trained_rival(name, settings)

    def _trained_rival(self, name: str, settings: Mapping[str, Any]) -> None:
        before = time.monotonic()
        if self.classics is not None and name in self.classics.names:
            spent = self.classics.seconds
            self.classics.train(name, settings)
            self._told.append(self.classics.done[-1])
            self._spent(before, self.classics.seconds - spent)
        elif self.baselines is not None and name in self.baselines.names:
            self._spent(before, self.baselines.train(name, settings))
            self._told.append(self.baselines.done[-1])
        else:
            raise RunError(missing(name))

    def _spent(self, before: float, seconds: float) -> None:
        """Count a piece of work; what an earlier process did counts with the seconds that it took there."""
        self._used += 1
        self._carried += max(0.0, seconds - (time.monotonic() - before))

    # what is proposed

    def _proposed(self) -> _Job | None:
        """Return what the surrogate proposes; None, and say so, where every configuration was tried."""
        known = {trial.configuration.key for trial in self.trials.done}
        made = self._proposer.ask(self.trials.done, self.maximise, known)
        if made is None:
            self._rivals_alone = True
            self.stages.note(used_up(len(known)))
        return None if made is None else _Job(made, 0)

    def _finish(self) -> None:
        """Train the best in full, then rivals, as long as the budget holds."""
        while True:
            best = (
                self.rungs.unfinished()
                if self.trials.best is None or self.trials.best.fidelity < 1
                else self._next_last()
            )
            if best is None or (self.limit.trials is not None and self._used >= self.limit.trials):
                return
            job = self._full(best)
            if not self._fits(job):
                return
            self._train(job)

    def _next_last(self) -> Configuration | None:
        """Return what is trained in full next, in turns: the best that was not, or a rival that was not."""
        full = {trial.configuration.key for trial in self.trials.done if trial.fidelity == 1 and not trial.cut}
        rivals = [each for each in self._points() if each.key not in full]
        return rivals[0] if rivals else self.rungs.unfinished()

    def _supernet(self) -> list[Configuration] | None:
        """Return the points that a supernet ranks first on this table; None where the time is short."""
        late = self.limit.seconds is not None and self.elapsed() > 0.5 * self.limit.seconds
        if late or "supernet" in self._without:
            return None
        self.steps.take({"supernet": str(self.limit)}, self.elapsed())
        return self._asked(str(self.limit))

    def _asked(self, budget: str) -> list[Configuration] | None:
        """Return the points that a supernet ranks first, trained in a share of what is left; None: too short a time."""
        remaining, before = self._remaining(), time.monotonic()
        deadline = None if remaining is None else before + _SUPERNET * remaining
        choices, seconds = ranked_by_supernet(self.instance, self.stages, budget, deadline)
        self._spent(before, seconds)
        made = (Configuration({name: tuple(names) for name, names in each.items()}, {}, "supernet") for each in choices)
        known = {each.key: each for each in made}
        done = {trial.configuration.key for trial in self.trials.done}
        return [each for key, each in known.items() if key not in done] if known else None
