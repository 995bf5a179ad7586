"""How often each strategy finds one of the best points, against enumeration, on MovieLens 100K.

    python benchmarks/regret.py --recipe movielens --seeds 10
    python benchmarks/regret.py --recipe movielens --seeds 10 --strategies all

The regret of a search is the validation RMSE (standard units) of what it found in the enumeration of the same seed and
split, minus the best of that enumeration: no strategy is judged by its own supernet. Success: regret at most 0.003.
The recipe's strategy runs as the recipe says; the others search for `--one-shot-epochs` and read their own alpha
(`nasp` is the paper's form: the winner alone trains); those that train points alone get `--trials` of them. Budgets are
not equal here: `sif benchmark` is the race under one (docs/strategies.md).
"""

from __future__ import annotations

import inspect
import statistics
from typing import Any

import torch

from common import Timed, arguments, finish, load, run_search
from nasp_core.errors import NaspError
from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.recipes import load_recipe

DEFAULT = ("nasp-ranked", "nasp", "darts", "darts-2nd", "random")


def strategy_of(name: str, trials: int) -> Strategy | TrialStrategy:
    """Return a strategy by name, with that many trials if it has such a setting."""
    known = "trials" in inspect.signature(STRATEGIES[name]).parameters
    return make_strategy(name, **({"trials": trials} if known else {}))


def main() -> None:
    """Race the strategies."""
    parser = arguments(__doc__ or "", seeds=10)
    parser.add_argument("--recipe", default="movielens-operations")
    parser.add_argument(
        "--one-shot-epochs", type=int, default=12, help="search epochs of all but the recipe's strategy"
    )
    parser.add_argument("--strategies", default=",".join(DEFAULT), help="names with commas between, or all")
    parser.add_argument("--trials", type=int, default=2, help="points that multi-trial strategies train (default 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    every = [name for name in STRATEGIES if name != "enumerate"]
    names = every if options.strategies == "all" else options.strategies.split(",")
    outcomes: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    enumeration, failed = [], []
    for seed in range(options.seeds):
        recipe, data = load(options.recipe, seed)
        strategy = recipe.make_strategy()
        with Timed() as whole:
            truth = run_search(recipe, data, make_strategy("enumerate", gradient=strategy.gradient))
        best = min(truth.scores.values())
        enumeration.append({"seed": seed, "scores": truth.scores, "seconds": whole.seconds})
        for name in names:
            own = name == recipe.strategy.name
            longer = load_recipe(options.recipe, [f"seed={seed}", f"search.epochs={options.one_shot_epochs}"])
            with Timed() as timed:
                try:
                    raced = strategy if own else strategy_of(name, options.trials)
                    key = run_search(recipe if own else longer, data, raced).genotype.key()
                except NaspError as error:
                    failed.append((name, seed, str(error)))
                    continue
            outcomes[name].append(
                {
                    "seed": seed,
                    "found": key,
                    "regret": truth.scores[key] - best,
                    "share": timed.seconds / whole.seconds,
                }
            )
    rows, figures = [], {}
    for name, runs in outcomes.items():
        if not runs:
            rows.append((name, f"0/{options.seeds}", "failed", "failed", "-"))
            continue
        regrets = [run["regret"] for run in runs]
        hits = sum(regret <= 0.003 for regret in regrets)
        share = statistics.median(run["share"] for run in runs)
        rows.append((name, f"{hits}/{options.seeds}", statistics.mean(regrets), max(regrets), share))
        figures[name] = {"hits": hits, "mean_regret": statistics.mean(regrets), "share": share, "runs": runs}
    columns = ("strategy", "within 0.003", "mean regret", "worst regret", "time / enumeration")
    finish(
        f"regret {options.recipe}", columns, rows, {"strategies": figures, "enumeration": enumeration, "failed": failed}
    )


if __name__ == "__main__":
    main()
