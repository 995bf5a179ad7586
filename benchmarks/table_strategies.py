"""How good the find of each trial strategy truly is, on the table of interaction functions.

    python benchmarks/table_strategies.py --seeds 20 --evaluations 50 200 --data movielens

A strategy with a budget of N evaluations asks for the validation metric of N whole trainings (shares summed up); seed s
is answered with the trainings of seed s modulo 3. Its find is the best of those trained whole. The find is judged by
what the strategy never saw: the mean test metric over the table's seeds. `true rank` is that of the find among all
points (1 is the best), `regret` how much worse it is than the best point: means over the search seeds, each ± the
sample standard deviation. `all points` picks by the validation metric of every point: what no budget goes beyond, but
for luck. With `--data`, strategies that look at untrained networks (`screen`) have the task and the supernet of the
table's plan to look at; without, they are refused. The regret of `blind` is that of the mean of all points.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import Timed, arguments, finish
from nasp_core.errors import NaspError
from nasp_core.methods import STRATEGIES
from nasp_core.trials import SearchContext
from nasp_core.trials.explore import TrialResult, explore
from nasp_core.trials.table import TRIALS
from nasp_core.types import Active
from sif.datasets import read
from sif.spaces.wide_settings import OFFERS
from sif.tabular import PLANS, InteractionTable, TaskName, arena_of

_WHOLE = "enumerate"


def found(results: Sequence[TrialResult]) -> Active:
    """Return what a search settles on: the best of its longest trainings, of equals the first."""
    longest = max(each.proposal.fidelity for each in results)
    whole = [each for each in results if each.proposal.fidelity == longest]
    return max(whole, key=lambda each: each.score).proposal.active


def judged(table: InteractionTable, task: TaskName, point: Active) -> dict[str, Any]:
    """Return the true rank and regret of a point."""
    return {"rank": table.rank(task, point), "regret": table.regret(task, point), "point": list(table.key(point))}


def arena(table: InteractionTable, task: TaskName, data: str) -> SearchContext:
    """Return where strategies propose: the table's points, with the task behind them if there are data."""
    if not data:
        return SearchContext(table.space())
    offered = table.space().settings
    missing = {each for name in OFFERS for each in {*OFFERS[name]} - {*getattr(offered, name)}}
    behind, space = arena_of(read(data), PLANS[task].without(missing))
    return SearchContext(space, behind)


def race(
    table: InteractionTable, task: TaskName, where: SearchContext, name: str, evaluations: int, seeds: int
) -> dict[str, Any]:
    """Return the finds of a strategy over seeds, or why it does not run here."""
    runs = []
    with Timed() as timed:
        for seed in range(seeds):
            try:
                strategy = STRATEGIES[name](trials=evaluations)
                judge = table.judge(task, seed)
                results = explore(where, strategy, judge, seed=seed, evaluations=evaluations)
            except NaspError as error:
                return {"refused": str(error)}
            runs.append(judged(table, task, found(results)) | {"asked": len(results)})
    return {"runs": runs, "seconds": timed.seconds / seeds}


def every(table: InteractionTable, task: TaskName) -> dict[str, Any]:
    """Return what each training seed's validation metric picks of all points."""
    picks = []
    with Timed() as timed:
        for seed in table.seeds:
            results = [table.metric(task, point, "valid", seed) for point in table.points]
            signed = [-math.inf if math.isnan(v) else v if table.maximise(task) else -v for v in results]
            picks.append(judged(table, task, table.points[signed.index(max(signed))]) | {"asked": len(results)})
    return {"runs": picks, "seconds": timed.seconds / len(picks)}


def row(task: str, name: str, budget: str, outcome: dict[str, Any]) -> tuple[Any, ...]:
    """Return a line of the table: means, and deviations where there are several seeds."""
    if "refused" in outcome:
        return task, name, budget, "refused", outcome["refused"].splitlines()[0][:40], "", ""
    ranks, regrets = ([run[key] for run in outcome["runs"]] for key in ("rank", "regret"))
    return (
        task,
        name,
        budget,
        f"{statistics.mean(ranks):.1f} ± {_deviation(ranks):.1f}",
        f"{statistics.median(ranks):g}",
        f"{statistics.mean(regrets):.4f} ± {_deviation(regrets):.4f}",
        f"{1000 * outcome['seconds']:.0f}",
    )


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    """Race the trial strategies."""
    parser = arguments(__doc__ or "", seeds=20)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--strategies", default=",".join(name for name in TRIALS if name != _WHOLE))
    parser.add_argument("--tasks", default="", help="names, separated by commas (default: all of the table)")
    parser.add_argument("--data", default="", help="the table's data set, for strategies that look at networks")
    parser.add_argument("--table", type=Path, help="a table of your own (default: the one that ships)")
    options = parser.parse_args()
    table = InteractionTable.load(options.table)
    rows: list[tuple[Any, ...]] = []
    figures: dict[str, Any] = {}
    for task in options.tasks.split(",") if options.tasks else table.tasks:
        where = arena(table, task, options.data)
        figures[task] = {"all points": every(table, task)}
        for evaluations in options.evaluations:
            lines = []
            for name in options.strategies.split(","):
                outcome = race(table, task, where, name, evaluations, options.seeds)
                figures[task].setdefault(name, {})[evaluations] = outcome
                regrets = [run["regret"] for run in outcome.get("runs", [])]
                lines.append((statistics.mean(regrets or [math.inf]), row(task, name, str(evaluations), outcome)))
            rows += [line for _, line in sorted(lines, key=lambda pair: pair[0])]
        rows.append(row(task, "all points", str(len(table.points)), figures[task]["all points"]))
        blind = abs(table.mean(task) - table.metric(task, table.best(task)))
        rows.append((task, "blind", "0", "-", "-", f"{blind:.4f}", "-"))
    columns = ("task", "strategy", "evaluations", "true rank", "median", "regret", "ms a search")
    finish(f"trial strategies, {len(table.points)} points", columns, rows, {"tasks": figures})


if __name__ == "__main__":
    main()
