"""What a full training costs on a large catalogue, and what it reaches: the whole catalogue against some of its items.

    python benchmarks/ranking_large.py CLICKS.csv [CLICKS.csv ...]      (recipe clicks, each entry of the portfolio)

Before: a batch is asked about all items, and every validation judges all users. After: what `ranking.drawn = "auto"`
asks about, and validations on a sample of users. Each training is by the recipe's own schedule, and ends when patience
does; its ndcg@10 is of all users of the validation part, either way. The two take turns, first one and then the other
first; seconds are of the processor, which others on the machine disturb least.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from common import arguments, finish
from nasp_core.evaluation import evaluate
from nasp_core.search import train_genotype
from sif.problems.data import prepare
from sif.problems.recipes import load_rating_recipe
from sif.problems.tables import TableInstance
from sif.studies.configuration import Configuration
from sif.studies.portfolio import entries_of
from sif.studies.proposals import portfolio
from sif.tasks import watched


def trained(table: TableInstance, configuration: Configuration, users: int) -> dict[str, Any]:
    """Return seconds, epochs and validation metric of one full training."""
    changed = table.changed(configuration.settings)
    task, genotype = changed.final_task, changed.genotype(configuration.choices)
    judge = watched(task, users) if users else task
    began = time.process_time()
    training, key = changed.training({}), genotype.key()
    done = train_genotype(changed.build(genotype), judge, training, key=key, seed=changed.recipe.seed)
    metrics = done.metrics if judge is task else evaluate(done.network, task)
    return {"seconds": time.process_time() - began, "epochs": len(done.trace), "ndcg@10": metrics["ndcg@10"]}


def formula(configuration: Configuration) -> str:
    """Return a short name of a configuration."""
    encodings, _, operation, predictor, biases = configuration.choices.values()
    settings = " ".join(f"{key.rpartition('.')[2]} {value:g}" for key, value in configuration.settings.items())
    shown = f"{' x '.join(encodings)}: {operation[0]}, {predictor[0]}"
    return " ".join(filter(None, [shown, "" if biases[0] == "on" else "no biases", settings]))


def main() -> None:
    """Train each entry on each table, before and after in turns."""
    parser = arguments(__doc__ or "", seeds=1)
    parser.add_argument("tables", type=Path, nargs="+", help="files of users and items")
    parser.add_argument("--entries", type=int, nargs="*", help="numbers of entries of the portfolio (default: all)")
    parser.add_argument("--users", type=int, default=2000, help="users that validations judge (default 2000)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows, figures = [], []
    for path in options.tables:
        recipe = load_rating_recipe("clicks", [f"dataset={path}"])
        after = TableInstance(recipe, prepare(recipe, device="cpu"))
        before = after.changed({"ranking.drawn": 0})
        held = portfolio(after, entries_of("ranking"))
        for turn, number in enumerate(options.entries if options.entries else range(len(held))):
            kinds = [("before", before, 0), ("after", after, options.users)]
            turned = kinds[:: -1 if turn % 2 else 1]
            made = {name: trained(table, held[number], users) for name, table, users in turned}
            old, new = made["before"], made["after"]
            name = formula(held[number])
            each = (old["seconds"], new["seconds"], old["seconds"] / new["seconds"], old["epochs"], new["epochs"])
            rows.append((path.stem, name, *each, old["ndcg@10"], new["ndcg@10"]))
            figures.append({"table": path.stem, "entry": number, **made})
            print(*rows[-1], flush=True)
    columns = ("table", "function", "before, s", "after, s", "ratio", "epochs", "after", "ndcg@10", "after")
    finish("ranking_large", columns, rows, {"setting": {"users": options.users}, "trainings": figures})


if __name__ == "__main__":
    main()
