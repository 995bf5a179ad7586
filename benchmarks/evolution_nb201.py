"""Trial strategies on the true accuracies of NAS-Bench-201: what is found with a number of evaluations, over seeds.

    python benchmarks/evolution_nb201.py --table nas-bench-201.csv.xz
    python benchmarks/evolution_nb201.py --table nas-bench-201.csv.xz --evaluations 50 --strategies all

A point is judged by its CIFAR-10 accuracy of the table; random search of the same budget stands beside every other.
`asha` asks for parts of trainings, which the table does not have, so it is not among them, nor is `screen`, which needs
a task. The last columns are the share of seeds that found the best of all 15,625 cells, and the processor's seconds a
search takes.
"""

from __future__ import annotations

import time

import torch

from common import arguments, finish
from nasp_core.errors import StrategyError
from nasp_core.methods import STRATEGIES
from nasp_core.trials import TRIALS, Proposal, SearchContext, explore
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space
from sif.cells.truth import TrueAccuracies

_JUDGED = "cifar10"
_LEFT_OUT = ("enumerate", "asha", "screen")


def wanted(names: str) -> list[str]:
    """Return the strategies to run, random search first."""
    known = [name for name in TRIALS if name not in _LEFT_OUT]
    chosen = known if names == "all" else [name for name in names.split(",") if name]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise StrategyError(f"this benchmark has no {', '.join(unknown)}; it has {', '.join(known)}")
    return ["random", *(name for name in chosen if name != "random")]


def main() -> None:
    parser = arguments("trial strategies on the table of NAS-Bench-201", seeds=20)
    parser.add_argument("--table", required=True, help="CSV file of the true accuracies (docs/cells.md)")
    parser.add_argument("--evaluations", type=int, default=300, help="look-ups a search may make (default 300)")
    parser.add_argument("--strategies", default="random,evolution", help="names, or all (default random,evolution)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    truth = TrueAccuracies.read(options.table)
    space = NasBench201Space(NasBench201Settings(channels=1, cells_per_stage=1))
    best = truth.best()[_JUDGED]

    def judge(proposal: Proposal) -> float:
        return truth.of(space.arch_string(proposal.active))[_JUDGED]

    rows, figures = [], {}
    for name in wanted(options.strategies):
        strategy = STRATEGIES[name](trials=options.evaluations)
        began = time.process_time()
        results = [explore(SearchContext(space), strategy, judge, seed=seed) for seed in range(options.seeds)]
        seconds = (time.process_time() - began) / options.seeds
        found = torch.tensor([max(each.score for each in search) for search in results], dtype=torch.float64)
        figures[name] = {
            "accuracies": found.tolist(),
            "mean": float(found.mean()),
            "deviation": float(found.std(correction=0)),
            "seconds": seconds,
            "evaluations": len(results[0]),
            "settings": strategy.describe()["trials"],
        }
        row = figures[name]
        hits = float((found >= best - 1e-9).double().mean())
        rows.append((name, row["evaluations"], row["mean"], row["deviation"], float(found.min()), hits, seconds))
    columns = ("strategy", "evaluations", "CIFAR-10 %", "deviation", "worst", "found the best", "seconds")
    facts = {"seeds": options.seeds, "best": best, "mean of all": truth.mean()[_JUDGED], "strategies": figures}
    finish(f"NAS-Bench-201, true accuracies, {options.seeds} seeds (best {best:.3f} %)", columns, rows, facts)


if __name__ == "__main__":
    main()
