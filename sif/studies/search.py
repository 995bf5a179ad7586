"""A search of a table by a study: the budget spent, the best trained model saved, the test part read once for each.

A table of ratings has two goals: what predicts them, and what orders lists, whose run lies inside the first.
"""

import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from nasp_core.loop import Observer
from nasp_core.types import State
from sif.host import shielded
from sif.problems.base import ComparedModel, Instance
from sif.problems.goals import asks_both, ranking_of
from sif.problems.handing import BLEND, fitted_tree, rival_on
from sif.problems.tables import TableInstance
from sif.recipes.limit import NONE, Limit
from sif.results import Row
from sif.rivals.handed import LearntRival
from sif.run_directory import RunDirectory
from sif.runs import engine as engines
from sif.runs.engine import Outcome, conclude, prepared
from sif.serve.model import opened_model
from sif.studies.bought import beforehand, pinned
from sif.studies.judging import judging_some
from sif.studies.lists import ForLists, NoModelYet, add_lists, repeated_lists, share_of
from sif.studies.refit import Refit
from sif.studies.study import Study

__all__ = ["conduct"]


@shielded(draws=True)
def conduct(
    instance: Instance,
    directory: RunDirectory,
    *,
    progress: Observer | None = None,
    checkpoint_seconds: float | None = None,
    repeats: RunDirectory | None = None,
    since: float | None = None,
) -> None:
    """Run an opened recipe to the end: by a study where its recipe has a budget for one, else by its strategy.

    An interrupt (Ctrl-C) ends a study with the best that it trained so far, and the run goes on when it is asked to.

    Args:
        instance: The recipe on its data (`Problem.open`).
        directory: A new run directory, or that of an interrupted run of the same recipe and data.
        progress: Shows stages, steps and lines of the trace.
        checkpoint_seconds: How much work a kill may cost; by default the problem's own.
        repeats: A finished study of the same recipe and data, whose trainings are done again instead of a search.
        since: When a budget in seconds began to be spent, by the monotonic clock; None: now.

    Raises:
        KeyboardInterrupt: Nothing was trained yet, or it is the second one; what is done stays for `--resume`.
        RunError: The data, or values of the recipe that finished work depends on, are not those of the beginning.
    """
    if not isinstance(instance, TableInstance) or instance.recipe.study.budget == NONE:
        engines.execute(instance, directory, progress=progress, checkpoint_seconds=checkpoint_seconds)
        return
    instance = judging_some(instance)
    limit = Limit.parse(instance.recipe.study.budget, len(instance.data.interactions))
    lists, share = None, limit
    if asks_both(instance.recipe):
        lists, share = ranking_of(instance), share_of(limit)
    with prepared(instance, directory, progress, checkpoint_seconds) as engine:
        began = time.perf_counter()
        study = Study(instance, engine.stages, share, repeats, since)
        for each in (beforehand(study), *pinned(instance.recipe), *study.judging.too_long(study.limit)):
            engine.stages.note(each)
        again, interrupted = _ended(study)
        seconds, repeated = study.elapsed() + again.carried, study.repeated()
        told: dict[str, Any] = {"interrupted": interrupted, "seconds": seconds, "repeats": repeated}
        more, ranked = {}, repeated_lists(study)
        if lists is not None and (ranked is not None or not study.steps.closed):
            passing = ForLists(progress)
            search = partial(conduct, progress=passing, checkpoint_seconds=checkpoint_seconds, repeats=ranked)
            more = add_lists(lists, directory, study, limit, told, search)
        _begin_anew(directory, study)
        _handed_over(engine, directory, again, began, told, more)


def _ended(study: Study) -> tuple[Refit, bool]:
    """Spend the budget, and refit what was chosen; return whether an interrupt ended that too."""
    try:
        study.run()
        return Refit(study), False
    except KeyboardInterrupt:
        if not study.trials.has_model:
            study.stages.note("stopped before any training came to its end: there is no model yet")
            raise NoModelYet from None
        study.stages.note("stopping: the best so far is handed over; Ctrl-C again ends at once")
        return Refit(study, stopped=True), True


def _begin_anew(directory: RunDirectory, study: Study) -> None:
    """Take back the result of a study that goes on, so that no kill leaves it beside another model."""
    if directory.finished:
        study.steps.test_reads = directory.result()["test_reads"]
        directory.file("result.json").unlink()
    task: Any = study.instance.final_task
    task.test_reads += study.steps.test_reads


def _handed_over(
    engine: engines.Engine,
    directory: RunDirectory,
    again: Refit,
    began: float,
    told: Mapping[str, Any],
    more: Mapping[str, Any],
) -> None:
    study, handed, instance = again.study, again.handed, again.instance
    best, genotype, trained = again.model()
    tree, model = _rival_tree(again), None
    if tree is None:
        best.save_model(directory, genotype, trained)
    else:
        instance.hand_over(directory, tree)
        directory.write("genotype.json", genotype.to_json())  # what was found stands beside what is handed over
        model = opened_model(tree)
    done = study.trials.done
    directory.write("trials.jsonl", "".join(json.dumps(line) + "\n" for line in study.lines()))
    chosen = study.trials.best
    assert chosen is not None
    found = {
        "genotype": genotype.to_json(),
        "metric": chosen.value,
        "scores": {trial.configuration.key: trial.value for trial in done if trial.value is not None},
        "trace": [],
        "seconds": max(0.0, sum(trial.seconds for trial in done) - trained["seconds"]),
    }
    trained = trained | {"tuned": dict(chosen.configuration.settings)}
    others: dict[str, ComparedModel] = {}
    for name in study.baselines.values if study.baselines is not None else ():
        assert study.baselines is not None
        others[name] = study.baselines.compared(name, again.baseline(name))
    for name in (each for each in again.rivals if each in study.trials.rivals):
        others[name] = _compared(again, name)
    if study.blend.weights:
        mixture = opened_model(again.blend_tree())
        network, settings = rival_on(instance, mixture), dict(mixture.rival or {})["settings"]
        others[BLEND] = ComparedModel(network, True, study.blend.valid, study.blend.seconds, settings=settings)

    def rows() -> dict[str, Row]:
        classics = study.classics
        if classics is None:
            return {}
        return {
            name: Row(
                valid=tuned.valid,
                test=again.tested(name) if instance.has("test") else None,
                seconds=tuned.seconds,
                parameters=again.classic(name).parameters or 0,
                settings=dict(tuned.settings),
                trials=tuned.trials,
            )
            for name in again.tuned
            for tuned in (classics.best[name],)
        }

    spent = {
        "budget": str(study.limit),
        "asked": study.instance.recipe.study.budget,
        "trials": len(done),
        "rival_trials": study.rival_trials,
        "best": chosen.plain(),
        "refit": again.told(),
        **told,
    }
    facts: dict[str, Any] = {"study": spent, "tuned": dict(chosen.configuration.settings)} | dict(more)
    if model is not None:
        facts |= {"handed": model.handed(), "formula": model.formula}
    outcome = Outcome(best, genotype, found, trained, others, None, rows, facts, handed, again.judge)
    conclude(engine, directory, outcome, began)


def _rival_tree(again: Refit) -> State | None:
    """Return the blend, or the rival, that is handed over as the tree of a model; None of an architecture."""
    study, handed, instance = again.study, again.handed, again.instance
    if handed == BLEND:
        return again.blend_tree()
    if study.classics is not None and handed in study.classics.best:
        learnt = LearntRival(handed, dict(study.classics.best[handed].settings), instance.recipe.seed)
        return fitted_tree(instance, learnt, again.classic(handed))
    if handed and study.baselines is not None:
        return study.baselines.tree(handed, again.baseline(handed), instance)
    return None


def _compared(again: Refit, rival: str) -> ComparedModel:
    """Return a rival that is a point of the space at its best training."""
    trials = again.study.trials
    trial = trials.rivals[rival]
    instance, genotype, trained = again.model(rival)
    network = instance.build(genotype)
    network.load_state_dict(trained["weights"])
    own = [each for each in trials.done if each.configuration.choices == trial.configuration.choices]
    return ComparedModel(
        network,
        True,
        trained["valid"],
        sum(each.seconds for each in own),
        trials=len(own),
        settings=dict(trial.configuration.settings)
        | ({} if trial.fidelity == 1 else {"share_of_schedule": round(trial.fidelity, 3)}),
    )
