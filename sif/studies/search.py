"""A search of a table by a study: the budget spent, the best trained model saved, the test part read once for each.

A table of ratings has two goals: what predicts them, and what orders lists, whose run lies inside the first.
"""

import json
import math
import time
from collections.abc import Mapping
from typing import Any

from nasp_core.loop import Observer, Passing
from sif.host import shielded
from sif.problems.base import ComparedModel, Instance
from sif.problems.goals import asks_both, ranking_of, summary_of
from sif.problems.handing import fitted_tree
from sif.problems.tables import TableInstance
from sif.recipes.limit import NONE, Limit
from sif.results import Row
from sif.rivals.handed import LearntRival
from sif.run_directory import RANKING_FOLDER, RunDirectory
from sif.runs import engine as engines
from sif.runs.engine import Outcome, conclude, prepared
from sif.serve.model import opened_model
from sif.spaces.wide_points import NAMED
from sif.studies.study import Study

__all__ = ["conduct"]

_RATINGS = 0.5  # of the budget is spent on what predicts ratings where lists are searched too; these have what is left
_END = 0.03  # of the seconds, for the end of the first: its test part, and writing


@shielded(draws=True)
def conduct(
    instance: Instance,
    directory: RunDirectory,
    *,
    progress: Observer | None = None,
    checkpoint_seconds: float | None = None,
) -> None:
    """Run an opened recipe to the end: by a study where its recipe has a budget for one, else by its strategy.

    Args:
        instance: The recipe on its data (`Problem.open`).
        directory: A new run directory, or that of an interrupted run of the same recipe and data.
        progress: Shows stages, steps and lines of the trace.
        checkpoint_seconds: How much work a kill may cost; by default the problem's own.

    Raises:
        RunError: The data, or values of the recipe that finished work depends on, are not those of the beginning.
    """
    if not isinstance(instance, TableInstance) or instance.recipe.study.budget == NONE:
        engines.execute(instance, directory, progress=progress, checkpoint_seconds=checkpoint_seconds)
        return
    limit = Limit.parse(instance.recipe.study.budget, len(instance.data.interactions))
    lists = ranking_of(instance) if asks_both(instance.recipe) else None
    with prepared(instance, directory, progress, checkpoint_seconds) as engine:
        began, more = time.perf_counter(), dict[str, Any]()
        study = Study(instance, engine.stages, limit if lists is None else _share(limit))
        study.run()
        spent = study.elapsed()
        if lists is not None:
            rest = engine.stages.journal.once("lists", lambda: {"budget": str(_rest(limit, study))}, str(limit))
            budgeted = TableInstance(lists.recipe.changed({"study.budget": rest["budget"]}), lists.data)
            more["ranking"] = _ranked(budgeted, directory, progress, checkpoint_seconds)
        _handed_over(engine, directory, study, began, spent, more)


def _share(limit: Limit) -> Limit:
    """Return the share of a budget that goes into what predicts ratings."""
    if limit.trials is not None:
        return Limit(trials=math.ceil(_RATINGS * limit.trials))
    return Limit(seconds=_RATINGS * (limit.seconds or 0.0))


def _rest(limit: Limit, study: Study) -> Limit:
    """Return what is left for the lists of a budget, after the study of the ratings; at least a training, or 1 s."""
    if limit.trials is not None:
        used = len(study.trials.done) + _rival_trials(study) + 1  # the supernet
        return Limit(trials=max(1, limit.trials - min(used, math.ceil(_RATINGS * limit.trials))))
    seconds = limit.seconds or 0.0
    return Limit(seconds=max(1.0, round(seconds * (1 - _END) - study.elapsed(), 1)))


def _ranked(
    lists: TableInstance, directory: RunDirectory, progress: Observer | None, checkpoint_seconds: float | None
) -> dict[str, Any]:
    """Search what orders the lists, as a run of its own inside the first; return what the first says of it."""
    path = directory.path / RANKING_FOLDER
    path.mkdir(exist_ok=True)
    inner = RunDirectory(path)
    if not inner.finished:
        conduct(lists, inner, progress=_Lists(progress or Observer()), checkpoint_seconds=checkpoint_seconds)
    inner.clear()  # of what a kill left that came after its result
    return summary_of(inner.result())


class _Lists(Passing):
    """Says of each stage that it is of the lists."""

    def stage(self, name: str) -> None:
        self.outer.stage(f"lists: {name}")


def _rival_trials(study: Study) -> int:
    return sum(tuned.trials for tuned in study.classics.best.values()) if study.classics else 0


def _handed_over(
    engine: engines.Engine,
    directory: RunDirectory,
    study: Study,
    began: float,
    spent: float,
    more: Mapping[str, Any],
) -> None:
    best, genotype, trained = study.trials.model()
    handed = study.winner()
    model = None
    if handed and study.classics is not None:
        instance, tuned = study.instance, study.classics.best[handed]
        learnt = LearntRival(handed, dict(tuned.settings), instance.recipe.seed)
        tree = fitted_tree(instance, learnt, study.classics.model(handed))
        instance.hand_over(directory, tree)
        directory.write("genotype.json", genotype.to_json())  # what was found stands beside what is handed over
        model = opened_model(tree)
    else:
        best.save_model(directory, genotype, trained)
    done = study.trials.done
    directory.write("trials.jsonl", "".join(json.dumps(trial.plain()) + "\n" for trial in done))
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
    points = set(NAMED)
    fixed = {name: rival for name, rival in study.instance.rivals().items() if name not in points}
    others = {name: engine.rival(name, rival) for name, rival in fixed.items() if not rival.trained}

    for name in study.trials.rivals:
        others[name] = _compared(study, name)

    def rows() -> dict[str, Row]:
        classics = study.classics
        if classics is None:
            return {}
        return {
            name: Row(
                valid=tuned.valid,
                test=classics.tested(name) if study.instance.has("test") else None,
                seconds=tuned.seconds,
                parameters=classics.model(name).parameters or 0,
                settings=dict(tuned.settings),
                trials=tuned.trials,
            )
            for name, tuned in classics.best.items()
        }

    told = {
        "budget": str(study.limit),
        "asked": study.instance.recipe.study.budget,
        "seconds": spent,
        "trials": len(done),
        "rival_trials": _rival_trials(study),
        "best": chosen.plain(),
    }
    facts: dict[str, Any] = {"study": told, "tuned": dict(chosen.configuration.settings)} | dict(more)
    if model is not None:
        facts |= {"handed": model.handed(), "formula": model.formula}
    conclude(engine, directory, Outcome(best, genotype, found, trained, others, None, rows, facts, handed), began)


def _compared(study: Study, rival: str) -> ComparedModel:
    """Return a rival that is a point of the space at its best full training."""
    trial = study.trials.rivals[rival]
    instance, genotype, trained = study.trials.model(rival)
    network = instance.build(genotype)
    network.load_state_dict(trained["weights"])
    own = [each for each in study.trials.done if each.configuration.choices == trial.configuration.choices]
    return ComparedModel(
        network,
        True,
        trained["valid"],
        sum(each.seconds for each in own),
        trials=len(own),
        settings=dict(trial.configuration.settings),
    )
