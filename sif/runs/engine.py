"""The engine: searches, trains, compares and writes one run of any problem, stage by stage, each resumable."""

import json
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from nasp_core.evaluation import better
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.search import search
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from nasp_core.types import State
from sif.host import shielded
from sif.problems import problem_of
from sif.problems.base import Changes, ComparedModel, Instance, RivalNetwork
from sif.recipes.limit import NONE
from sif.report.html import report
from sif.results import FOUND, SCHEMA_VERSION, Metrics, Result, Row, Seconds, hardware, peak_memory_mb, versions
from sif.run_directory import RunDirectory
from sif.runs.stages import Stages, searched, trained_stage
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings

__all__ = ["Engine", "Outcome", "conclude", "execute", "found_row", "prepared"]

_FREE = ("dataset", "valid", "test", "table", "titles", "baselines", "tune")
"""The keys of a recipe that may change before a run goes on: the split is checked, and stages are named by these."""


class Engine:
    """Runs the stages of one recipe on its data; a finished stage is read back, an interrupted one goes on."""

    def __init__(self, instance: Instance, stages: Stages) -> None:
        self.instance, self.recipe, self.stages = instance, instance.recipe, stages
        self.task = instance.search_task
        self.own_metric = float("nan")

    def search(
        self, strategy: Strategy | TrialStrategy | None = None, name: str = "search", final: Training | None = None
    ) -> State:
        """Return the outcome of a search: genotype (JSON), validation metric, scores, trace, seconds."""
        chosen = strategy or self.recipe.make_strategy()

        def compute(observer: Observer, resume: State | None) -> State:
            found = search(
                self.instance.space(),
                self.task,
                chosen,
                self.recipe.training("search"),
                final=final or self.recipe.training("train"),
                seed=self.recipe.seed,
                observer=observer,
                resume=resume,
            )
            return searched(found)

        return self.stages.run(name, compute)

    def train(self, name: str, genotype: Genotype) -> State:
        """Return the outcome of the final training of an architecture by the recipe's own settings."""
        return self._train(name, self.instance.build(genotype), genotype.key(), {})

    def train_found(self, genotype: Genotype, done: State | None) -> tuple[Genotype, State]:
        """Train an architecture over the tuning grid; return the one that validation prefers, and its outcome.

        `done` is the outcome of the training by the recipe's own settings, where the search went through with it.
        """
        grid = self.instance.grid()
        if self.instance.search_task is not self.instance.final_task:
            done = None

        def attempt(changes: Changes) -> tuple[Genotype, State]:
            tried = self.instance.configured(genotype, changes)
            if changes == grid[0] and done is not None:
                return tried, done | {"seconds": 0.0}  # the search's seconds have it
            name = f"train {_text(changes)}".strip()
            return tried, self._train(name, self.instance.build(tried), tried.key(), changes)

        best, state = self._best(grid, attempt)
        return best, state

    def rival(self, name: str, rival: RivalNetwork) -> ComparedModel:
        """Train a rival over its grid; return the best by validation."""

        def attempt(changes: Changes) -> tuple[Network, State]:
            network = rival.build(changes)
            if rival.trained:
                return network, self._train(f"baseline {name} {_text(changes)}", network, f"baseline/{name}", changes)
            valid = self.instance.evaluate(network, "valid")
            return network, {"weights": dict(network.state_dict()), "valid": valid, "seconds": 0.0}

        network, state = self._best(rival.grid, attempt, own=False)
        network.load_state_dict(state["weights"])
        return ComparedModel(network, True, state["valid"], state["seconds"], settings=state["tuned"])

    def regret(self, scores: dict[str, float]) -> float:
        """Return how much worse the found architecture is than the best, both trained by the recipe's own settings."""
        best = max(scores.values()) if self.task.maximise else min(scores.values())
        return best - self.own_metric if self.task.maximise else self.own_metric - best

    def _train(self, stage: str, network: Network, key: str, changes: Changes) -> State:
        training = self.instance.training(changes)
        return trained_stage(self.stages, stage, network, self.instance.final_task, training, key, self.recipe.seed)

    def _best(self, grid: list[Changes], attempt: Any, own: bool = True) -> tuple[Any, State]:
        """Return what `attempt` made under the changes that validation prefers, with the seconds of all."""
        best: tuple[Any, State] | None = None
        seconds, metric = 0.0, self.task.metric
        for changes in grid:
            made, state = attempt(changes)
            seconds += state["seconds"]
            value = float((state["valid"] or {}).get(metric, "nan"))
            if own and changes == grid[0]:
                self.own_metric = value
            if best is None or better(self.task, value, best[1]["valid"][metric]):
                best = made, state | {"tuned": changes}
        assert best is not None
        return best[0], best[1] | {"seconds": seconds}


@shielded(draws=True)
def execute(
    instance: Instance,
    directory: RunDirectory,
    *,
    progress: Observer | None = None,
    checkpoint_seconds: float | None = None,
) -> None:
    """Run an opened recipe to the end, into `directory`; picks up there what an interrupted run left.

    Args:
        instance: the recipe on its data (`Problem.open`).
        directory: a new run directory, or that of an interrupted run of the same recipe and data.
        progress: shows stages, steps and lines of the trace.
        checkpoint_seconds: how much work a kill may cost; by default the problem's own.

    Raises:
        RunError: the data, or values of the recipe that a finished stage depends on, are not those of the beginning.
    """
    with prepared(instance, directory, progress, checkpoint_seconds) as engine:
        _execute(engine, directory)


@contextmanager
def prepared(
    instance: Instance, directory: RunDirectory, progress: Observer | None, checkpoint_seconds: float | None
) -> Iterator[Engine]:
    """Have the directory alone for a block, with its recipe written and checked; arguments as in `execute`."""
    with directory.alone("searching"), instance.threads():
        directory.write_recipe(instance.recipe.resolved())
        every = instance.checkpoint_seconds if checkpoint_seconds is None else checkpoint_seconds
        stages = Stages(directory, progress or Observer(), every)
        stages.journal.check({"split": instance.fingerprint, "recipe": _kept(directory)})
        yield Engine(instance, stages)


def _defaults(table: str, settings: type[WideSettings | RankingSettings], *names: str) -> dict[str, Any]:
    return {f"{table}.{each.name}": each.default for each in fields(settings) if each.name in names}


_SINCE: Mapping[str, Any] = {
    "protocol": "",
    "study.pinned": [],
    **_defaults("space", WideSettings, "history_half_life", "propagation_steps"),
    **_defaults("ranking", RankingSettings, "margin", "negative_weight", "degree_weight"),
}
"""Keys that recipes of earlier runs do not have, with what these runs did."""


def _kept(directory: RunDirectory) -> dict[str, Any]:
    """Return the values of a run's recipe that must stay: where the data lie and what stands beside may change."""
    values = tomllib.loads(directory.file("recipe.toml").read_text(encoding="utf-8"))
    if values.get("study", {}).get("budget", NONE) != NONE:
        values["study"]["budget"] = "any"  # it may be raised
    for key, default in _SINCE.items():  # runs that were begun before there was the key have none
        table, _, name = key.rpartition(".")
        held = values.get(table, {}) if table else values
        if held.get(name, default) == default:
            held.pop(name, None)
    return {key: value for key, value in values.items() if key not in _FREE}


def _execute(engine: Engine, directory: RunDirectory) -> None:
    began = time.perf_counter()
    instance = engine.instance
    found = engine.search()
    genotype, trained = Genotype.from_json(found["genotype"]), None
    directory.write("genotype.json", genotype.to_json())
    if instance.retrains:
        genotype, trained = engine.train_found(genotype, found["trained"])
        instance.save_model(directory, genotype, trained)
    others = {name: engine.rival(name, rival) for name, rival in instance.rivals().items()}
    every = instance.enumeration()
    enumerated = None if every is None else engine.search(every, "enumerate")
    others |= instance.random(engine, found)
    conclude(engine, directory, Outcome(instance, genotype, found, trained, others, enumerated), began)


@dataclass(frozen=True)
class Outcome:
    """What a search, or a study, came to before any test part is read.

    Attributes:
        instance: The table, pictures or text under the settings of the best architecture.
        genotype: The best architecture.
        found: The outcome of its search (`searched`).
        trained: That of its training; None where it was not trained.
        others: The models beside it.
        enumerated: The outcome of the search that trained every architecture.
        rows: Makes the rows of models that are no networks; called once the test part may be read.
        facts: Keys of the result that stand instead of the engine's own.
        handed: The name of the rival that is handed over, if it is one; its model lies in the run.
        refit: What all models were trained on once more, training and validation part together, and are judged on.
    """

    instance: Instance
    genotype: Genotype
    found: State
    trained: State | None
    others: Mapping[str, ComparedModel]
    enumerated: State | None = None
    rows: Callable[[], Mapping[str, Row]] = dict
    facts: Mapping[str, Any] = field(default_factory=dict)
    handed: str = ""
    refit: Instance | None = None


def conclude(engine: Engine, directory: RunDirectory, outcome: Outcome, began: float) -> None:
    """Read the test part once for each model, and write the result and the report: the run is finished.

    Args:
        engine: Of the run.
        directory: Of the run, in which the model lies.
        outcome: What there is to judge.
        began: When the process began, by `time.perf_counter`.
    """
    found, trained, enumerated = outcome.found, outcome.trained, outcome.enumerated
    trace = [*found["trace"], *(trained["trace"] if trained else [])]
    directory.write("trace.jsonl", "".join(json.dumps(record) + "\n" for record in trace))
    evaluating = time.perf_counter()  # the first time that a test part is read
    rows = {FOUND: found_row(outcome.instance, outcome.genotype, found, trained)}
    judge = outcome.refit or engine.instance
    rows |= {name: _row(judge, candidate) for name, candidate in outcome.others.items()}
    rows |= outcome.rows()
    if outcome.refit is not None:
        rows = {name: row.model_copy(update={"refit": True}) for name, row in rows.items()}
    ended = time.perf_counter()
    seconds = Seconds(
        search=found["seconds"],
        train=trained["seconds"] if trained else 0.0,
        rivals=sum(row.seconds for name, row in rows.items() if name != FOUND)
        + (enumerated["seconds"] if enumerated else 0.0),
        evaluate=ended - evaluating,
        total=ended - began,
    )
    scores = None if enumerated is None else enumerated["scores"]
    result = _result(engine, rows, seconds, trained, scores).model_dump() | dict(outcome.facts)
    result["test_reads"] = engine.instance.test_reads(outcome.instance, judge)
    if outcome.handed:
        row = rows[outcome.handed]
        result |= {"metrics": {"valid": row.valid, "test": row.test}, "parameters": row.parameters}
    directory.write("report.html", report(problem_of(engine.recipe), result, trace))
    directory.write_json("result.json", result)
    directory.clear()


def _result(
    engine: Engine, rows: dict[str, Row], seconds: Seconds, trained: State | None, scores: dict[str, float] | None
) -> Result:
    instance, recipe, own = engine.instance, engine.recipe, rows[FOUND]
    described: dict[str, Any] = {"split": None, "scale": None, "truth": None, "budget": None} | instance.describe()
    return Result(
        schema_version=SCHEMA_VERSION,
        task=recipe.task,
        strategy=recipe.strategy.describe(),
        recipe="recipe.toml",
        seed=recipe.seed,
        genotype=own.genotype or {},
        formula=own.formula or "",
        metric=engine.task.metric,
        maximise=engine.task.maximise,
        metrics=Metrics(valid=own.valid, test=own.test),
        rows=rows,
        enumeration=scores,
        regret=None if scores is None else engine.regret(scores),
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(instance.device),
        parameters=own.parameters,
        multiply_adds=own.multiply_adds,
        tuned=trained["tuned"] if trained else {},
        epochs={"best": trained["epoch"], "most": instance.most_epochs()} if trained else None,
        fingerprint=instance.fingerprint,
        test_reads=instance.test_reads(),
        retrained=None,
        versions=versions(),
        hardware=hardware(instance.device),
        **described,
    )


def found_row(instance: Instance, genotype: Genotype, found: State, trained: State | None) -> Row:
    """Return the row of what a search found; reads the test part once if its network was trained."""
    network = instance.build(genotype)
    if trained is not None:
        network.load_state_dict(trained["weights"])
    candidate = ComparedModel(
        network,
        trained is not None,
        trained["valid"] if trained else None,
        found["seconds"] + (trained["seconds"] if trained else 0.0),
        genotype,
        found["metric"],
        len(found["scores"] or ()) or None,
        trained["tuned"] if trained else {},
    )
    return _row(instance, candidate)


def _row(instance: Instance, candidate: ComparedModel) -> Row:
    """Return the row of a candidate; reads the test part once if its network was trained."""
    genotype = candidate.genotype
    row = Row(
        valid=candidate.valid or None,
        test=instance.evaluate(candidate.network, "test") if candidate.trained else None,
        seconds=candidate.seconds,
        settings=candidate.settings,
        genotype=None if genotype is None else json.loads(genotype.to_json()),
        formula=None if genotype is None else instance.formula(genotype),
        searched=candidate.searched,
        trials=candidate.trials,
        **instance.cost(candidate.network),  # type: ignore[arg-type]
    )
    return row.model_copy(update=instance.facts(candidate))


def _text(changes: Changes) -> str:
    return " ".join(f"{key}={value!r}" for key, value in changes.items())
