"""Seconds per search epoch and quality of the paper's protocol and of the default recipe, on MovieLens 100K.

    python benchmarks/interaction_search.py

Prints (1) seconds per search epoch of each strategy (batch 512, dim 8; strategies interleaved, medians), (2) search
plus training of `movielens-paper` at dim 8, (3) the default recipe beside biased matrix factorisation tuned on
validation. RMSE in standard units on the test part, mean of the seeds. The published code took 348 s for (2), with
0.8453.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import torch

from common import Timed, arguments, finish, load, run_search, train_found
from nasp_core.evaluation import evaluate
from nasp_core.loop import Loop
from nasp_core.methods import make_strategy
from nasp_core.optimise import Training
from sif.problems.tables import TableInstance
from sif.runs.engine import Engine
from sif.spaces.build import build_network, make_space

STRATEGIES = ("nasp", "nasp-ranked", "darts", "darts-2nd")


def seconds_per_epoch(rounds: int = 7) -> dict[str, float]:
    """Return the median seconds of one search epoch by strategy; strategies take turns."""
    recipe, data = load("movielens-paper", 0)
    training: Training = replace(recipe.training("search"), epochs=1)
    times: dict[str, list[float]] = {name: [] for name in STRATEGIES}
    for _ in range(rounds + 1):
        for name in STRATEGIES:
            space = make_space("interaction", data.task, recipe.settings())
            loop = Loop(space, data.task, training, strategy=make_strategy(name), seed=0)
            with Timed() as timed:
                loop.run()
            times[name].append(timed.seconds)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


def paper(seeds: int, *changes: str) -> dict[str, Any]:
    """Return seconds and test RMSE of the paper's protocol, per seed."""
    runs = []
    for seed in range(seeds):
        recipe, data = load("movielens-paper", seed, *changes)
        with Timed() as timed:
            found = run_search(recipe, data)
            done = train_found(recipe, data, found)
        test = evaluate(done.network, data.task, split="test")["rmse_standardised"]
        runs.append({"seed": seed, "found": found.genotype.key(), "seconds": timed.seconds, "test": test})
    return {"runs": runs, **_means(runs, "seconds", "test")}


def default(seeds: int) -> dict[str, Any]:
    """Return test RMSE of the default recipe and of tuned biased matrix factorisation, per seed."""
    runs = []
    for seed in range(seeds):
        recipe, data = load("movielens-operations", seed)
        engine = Engine(TableInstance(recipe, data), _Once())  # type: ignore[arg-type]
        with Timed() as timed:
            found = run_search(recipe, data)
            genotype, trained = engine.train_found(found.genotype, None)
        network = build_network(genotype, data.task)
        network.load_state_dict(trained["weights"])
        factorised = engine.rival("biased-mf", engine.instance.rivals()["biased-mf"]).network
        runs.append(
            {
                "seed": seed,
                "found": genotype.key(),
                "seconds": timed.seconds,
                "test": evaluate(network, data.task, split="test")["rmse_standardised"],
                "biased_mf": evaluate(factorised, data.task, split="test")["rmse_standardised"],
            }
        )
    return {"runs": runs, **_means(runs, "seconds", "test", "biased_mf")}


class _Once:
    """Stages that keep nothing: for a pipeline without a run directory."""

    def run(self, name: str, compute: Any, depends: Any = None) -> Any:
        """Compute the stage."""
        from nasp_core.loop import Observer

        return compute(Observer(), None)


def _means(runs: list[dict[str, Any]], *keys: str) -> dict[str, float]:
    return {f"mean_{key}": statistics.mean(run[key] for run in runs) for key in keys}


def main() -> None:
    """Run all three parts."""
    options = arguments(__doc__ or "", seeds=3).parse_args()
    torch.set_num_threads(options.threads)
    epochs = seconds_per_epoch()
    published, best = paper(options.seeds), default(options.seeds)
    lottery = paper(options.seeds, "strategy.name=nasp")
    rows: list[tuple[Any, ...]] = [
        (f"{name}: seconds per search epoch", seconds, "") for name, seconds in epochs.items()
    ]
    parts = {"movielens-paper": published, "movielens-paper, strategy nasp": lottery, "movielens-operations": best}
    for title, part in parts.items():
        for run in part["runs"]:
            rows.append((f"{title}, seed {run['seed']}: {run['found']}", run["seconds"], run["test"]))
        rows.append((f"{title}: mean", part["mean_seconds"], part["mean_test"]))
    rows.append(("biased matrix factorisation, tuned: mean", "", best["mean_biased_mf"]))
    figures = {"seconds_per_epoch": epochs, "paper": published, "paper_nasp": lottery, "default": best}
    finish("interaction_search", ("what", "seconds", "test RMSE (std)"), rows, figures)


if __name__ == "__main__":
    main()
