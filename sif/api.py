"""The library's face: `search` a table, `load` a run."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.types import State
from sif.checkpoint import load_tree
from sif.data import Prepared, prepare
from sif.datasets import Vocabulary
from sif.errors import DataError, RunError
from sif.evaluate.run import rank_run
from sif.models.build import build_network, is_additive, parameters_of
from sif.models.saved import goal_of
from sif.pipeline import Pipeline, check_recipe
from sif.recipes import Recipe, changes_of, load_rating_recipe
from sif.recommender import Recommender
from sif.report.formula import formula
from sif.report.html import report
from sif.results import SCHEMA_VERSION, Metrics, Result, Row, Seconds, hardware, peak_memory_mb, versions
from sif.retrain import retrain, score
from sif.runs import FinishedRun, Progress, RunDirectory, Stages, write_model
from sif.serve.topk import top_k
from sif.tasks import Scale
from sif.threads import threads_for

__all__ = ["Run", "execute", "load", "rank_run", "retrain", "score", "search"]


class Run(FinishedRun):
    """A finished run: what was found, how good it is, and the model."""

    @property
    def formula(self) -> str:
        """The found function as text."""
        return formula(self.genotype)

    @property
    def additive(self) -> bool:
        """Whether the function is f(user) + g(item), which ranks the items alike for every user."""
        return is_additive(self.genotype)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights the model has."""
        return int(self._model()["epoch"])

    def recommender(self) -> Recommender:
        """Return the model as a `Recommender` over the ids 0..n-1 of this run's vocabularies."""
        if len(self._model()["sizes"]) != 2:
            raise RunError(f"run {self.path} has a context mode; use recommend(..., context=...) of the run")
        return Recommender.load(self.path / "model.safetensors")

    def recommend(
        self, user: Any, k: int = 10, *, context: Any = None, cold_items: bool = True
    ) -> list[dict[str, Any]]:
        """Return the k best items that the user does not have: item (raw id), score, title, and whether it is cold.

        The score is the predicted rating; of a ranking run it is a logit. Cold items, which training never met, are
        ranked by what else their side has (a bias, an untrained embedding); without `cold_items` they are left out.
        Raises `DataError` for an unknown user (or context), naming the nearest known ones, and for k below 1.
        """
        if k < 1:
            raise DataError(f"k = {k}; ask for 1 item or more")
        ids = json.loads(self.directory.file("ids.json").read_text())
        users, items = Vocabulary.from_list(ids["users"]), Vocabulary.from_list(ids["items"])
        row = users.find(str(user), "user")
        seen = sparse.csr_array(sparse.load_npz(self.directory.file("seen.npz")))[[row]]
        tree = self._model()
        if tree.get("counts") is None:
            raise RunError(f"the model of run {self.path} is of an older sif; train it again: sif train {self.path}")
        counts = tree["counts"][tree["sizes"][0] :][: len(items)].numpy()
        excluded = None if cold_items else np.flatnonzero(counts == 0)
        found, scores = top_k(self._scores(row, len(items), ids, context), k, seen=seen, excluded=excluded)
        keep = found[0] >= 0
        raw, cold = items.decode(found[0][keep].astype(np.int64)), counts[found[0][keep]] == 0
        titles: Mapping[str, str] = ids.get("titles") or {}
        goal = goal_of(tree)
        mean, std = (goal.mean, goal.std) if isinstance(goal, Scale) else (0.0, 1.0)
        return [
            {"item": item, "score": float(score) * std + mean, "title": titles.get(str(item)), "cold": bool(unmet)}
            for item, score, unmet in zip(raw, scores[0][keep], cold, strict=True)
        ]

    def _scores(self, row: int, n_items: int, ids: dict[str, Any], context: Any) -> torch.Tensor:
        if not ids.get("contexts"):
            if context is not None:
                raise DataError(f"run {self.path} has no context mode; leave the context out")
            return self.recommender().folded.scores(torch.tensor([row]))
        contexts = Vocabulary.from_list(ids["contexts"])
        mode = len(contexts) - 1 if context is None else contexts.find(str(context), "context")
        tree = self._model()
        network = build_network(self.genotype, None, sizes=tuple(tree["sizes"]))
        network.load_state_dict(tree["weights"])
        items = torch.arange(n_items)
        with torch.no_grad():
            inputs = torch.stack([torch.full_like(items, row), items, torch.full_like(items, mode)])
            scores: torch.Tensor = network(inputs).unsqueeze(0)
        return scores

    def _model(self) -> dict[str, Any]:
        tree: dict[str, Any] = load_tree(self.path / "model.safetensors")
        return tree


def search(
    data: Any = None,
    strategy: str | None = None,
    *,
    recipe: str | Path | Recipe = "ratings",
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    root: Path | None = None,
) -> Run:
    """Find the interaction function that fits a table of ratings best, and return the finished run.

    `data`: a path, frame, sparse matrix, `Interactions`, or name of a data set; None takes the recipe's own.
    `settings` overrides the recipe by dotted key (`{"search.epochs": 5}`). Without `out` the run lies in a temporary
    folder that lives as long as the returned object. Raises `DataError` or `RecipeError` before anything is written.
    """
    changes = changes_of(settings, strategy, seed)
    if isinstance(recipe, Recipe):
        if changes:
            raise DataError("give settings with a recipe by name or file; change a Recipe value with model_copy")
        resolved = recipe
    else:
        resolved = load_rating_recipe(recipe, changes)
    if isinstance(data, str | Path):
        resolved, data = resolved.model_copy(update={"dataset": str(data)}), None
    prepared = prepare(resolved, source=data, device=device, root=root)
    check_recipe(resolved)
    keep = tempfile.TemporaryDirectory(prefix="sif-") if out is None else None
    path = Path(keep.name) if keep is not None else Path(out or "")
    directory = RunDirectory.create(path, prepared.interactions.name)
    execute(resolved, prepared, directory)
    return Run(directory, keep)


def load(path: str | Path) -> Run:
    """Open a finished run directory; raises `RunError` saying what is missing."""
    directory = RunDirectory.open(path, needs="result.json")
    if directory.result()["task"] not in ("rating", "ranking"):
        raise RunError(f"run {path} is of cells; use sif.load_cells")
    return Run(directory)


def execute(
    recipe: Recipe,
    data: Prepared,
    directory: RunDirectory,
    *,
    progress: Progress | None = None,
    checkpoint_seconds: float = 2.0,
) -> None:
    """Run a recipe on prepared data to the end, into `directory`; picks up there what an interrupted run left."""
    with threads_for(recipe, data.task.device):
        directory.write_recipe(recipe)
        stages = Stages(directory, progress or Progress(), checkpoint_seconds)
        stages.check(data.split.fingerprint)
        _execute(Pipeline(recipe, data, stages), directory)


def _execute(pipeline: Pipeline, directory: RunDirectory) -> None:
    began = time.perf_counter()
    found = pipeline.search()
    genotype, trained = pipeline.train(Genotype.from_json(found["genotype"]), found["trained"])
    network = pipeline.build(genotype)
    network.load_state_dict(trained["weights"])
    write_model(directory, genotype, trained["weights"], trained["epoch"], pipeline.data)
    trace = [*found["trace"], *trained["trace"]]
    directory.write("trace.jsonl", "".join(json.dumps(record) + "\n" for record in trace))

    rows = pipeline.baselines()
    enumerated = pipeline.enumerate()
    drawn = pipeline.random(pipeline.search_epochs(found))
    evaluating = time.perf_counter()
    test = _test(pipeline, network)
    baselines = {name: _row(pipeline, net, state) for name, (net, state) in rows.items()}
    if drawn is not None:
        chosen = Genotype.from_json(drawn["genotype"])
        net = pipeline.build(chosen)
        net.load_state_dict(drawn["weights"])
        state = drawn | {"valid": evaluate(net, pipeline.task), "settings": {"genotype": chosen.key()}}
        baselines["random-search"] = _row(pipeline, net, state)
    ended = time.perf_counter()
    scores = None if enumerated is None else enumerated["scores"]
    baseline_seconds = sum(row.seconds for row in baselines.values()) + (enumerated["seconds"] if enumerated else 0.0)
    result = Result(
        schema_version=SCHEMA_VERSION,
        task=pipeline.recipe.task,
        dataset=pipeline.data.interactions.describe() | {"fingerprint": pipeline.data.interactions.fingerprint()},
        strategy={"name": pipeline.recipe.strategy.name, "parts": pipeline.recipe.make_strategy().describe()},
        recipe="recipe.toml",
        seed=pipeline.recipe.seed,
        genotype=json.loads(genotype.to_json()),
        formula=formula(genotype),
        metric=pipeline.task.metric,
        maximise=pipeline.task.maximise,
        metrics=Metrics(valid=trained["valid"], test=test),
        baselines=baselines,
        enumeration=scores,
        regret=None if scores is None else pipeline.regret(scores),
        seconds=Seconds(
            search=found["seconds"],
            train=trained["seconds"],
            evaluate=ended - evaluating,
            baselines=baseline_seconds,
            total=ended - began,
        ),
        peak_memory_mb=peak_memory_mb(pipeline.task.device),
        parameters=parameters_of(network),
        tuned=trained["tuned"],
        epochs={"best": trained["epoch"], "most": pipeline.most_epochs},
        split_fingerprint=pipeline.data.split.fingerprint,
        split=pipeline.data.split.describe(),
        scale=pipeline.data.scale,
        test_reads=pipeline.task.test_reads,
        retrained=None,
        versions=versions(),
        hardware=hardware(pipeline.task.device),
    )
    dumped = result.model_dump()
    directory.write("report.html", report(dumped, trace))
    directory.write_json("result.json", dumped)
    directory.clear()


def _test(pipeline: Pipeline, network: Any) -> dict[str, float] | None:
    """Read the test part for one final model; None when the split has none."""
    if not len(pipeline.data.split.test):
        return None
    return evaluate(network, pipeline.task, split="test")


def _row(pipeline: Pipeline, network: Any, state: State) -> Row:
    return Row(
        valid=state["valid"],
        test=_test(pipeline, network),
        seconds=state["seconds"],
        parameters=parameters_of(network),
        settings=state.get("settings", {}),
    )
