"""Joint search on third-party tables: the regret of samplers after 20, 50 and 100 configurations.

    python benchmarks/autocf.py ml-100k_implicit.json.xz ml-1m.json.xz yelp.json.xz
    python benchmarks/autocf.py ml-1m.json.xz yelp.json.xz --settings grid --samplers random,tpe,study --first 100

A table is of AutoCF (Gao et al., KDD 2021, arXiv 2106.07453): 135 architectures x 25 settings, (Recall@20, NDCG@20) of
each. Regret is the best Recall@20 of the table minus the best of what was tried. An architecture is four choices: how
each side is encoded (by id; by history, with a matrix or an MLP), the operation, the predictor. The table does not say
what the 25 settings are: `names` takes them as 25 names, `grid` as two ordered settings of 5 values each, which their
means show. All samplers see the same space.

`tpe` models parameters each alone, `tpe-multivariate` together, `gp` is Optuna's Gaussian process (slow): Optuna's own
loops, repeats counted. `study` is `sif.studies.sampler.ConfigurationSampler`, alone; `study-portfolio` first tries
`--entries` configurations that cover the other tables of the command best, chosen greedily, so that no table helps
itself; `portfolio` goes on at random after them.
"""

from __future__ import annotations

import ast
import json
import lzma
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch

from common import Timed, arguments, finish
from sif.ranges import AnyOf, Int
from sif.studies.configuration_space import ConfigurationSpace, PlainConfiguration
from sif.studies.optuna_trials import configuration_of, distributions_of
from sif.studies.sampler import ConfigurationSampler

AT = (20, 50, 100)
DEFAULT = "random,tpe,tpe-multivariate,study,portfolio,study-portfolio"


class Table:
    """The results of one file, by configuration."""

    def __init__(self, path: Path, settings: str) -> None:
        data = json.loads(lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes())
        self.name = path.name.split(".")[0]
        points = {self._architecture(ast.literal_eval(key)): values for key, values in data.items()}
        columns = list(zip(*points, strict=True))
        names = ("user", "item", "operation", "predictor")
        choices = {name: AnyOf(tuple(sorted({*each}))) for name, each in zip(names, columns, strict=True)}
        grid = settings == "grid"
        self.space = ConfigurationSpace(
            choices, {"first": Int(0, 4), "second": Int(0, 4)} if grid else {"setting": AnyOf(tuple(range(25)))}
        )
        self.values: dict[str, float] = {}
        for architecture, values in points.items():
            chosen = dict(zip(names, architecture, strict=True))
            for place, (recall, _) in enumerate(values):
                setting = {"first": place // 5, "second": place % 5} if grid else {"setting": place}
                self.values[self.space.key(self.space.check({"architecture": chosen, "settings": setting}))] = recall
        assert len(self.values) == self.space.size
        self.best = max(self.values.values())

    def __call__(self, configuration: PlainConfiguration) -> float:
        """Return the Recall@20 of a configuration."""
        return self.values[self.space.key(self.space.check(configuration))]

    @staticmethod
    def _architecture(key: dict[str, Any]) -> tuple[str, ...]:
        coded = zip(key["cf"], "ui", strict=True)
        sides = ("id" if letter == side else f"history-{key['emb'][side]}" for letter, side in coded)
        return (*sides, key["ifc"], key["pred"])


def by_optuna(make: Callable[[int], Any], table: Table, seed: int, count: int) -> list[float]:
    """Return what a sampler of Optuna finds in Optuna's own loop."""
    study, found = optuna.create_study(direction="maximize", sampler=make(seed)), []
    for _ in range(count):
        trial = study.ask(distributions_of(table.space))
        found.append(table(configuration_of(trial.params)))
        study.tell(trial, found[-1])
    return found


def by_study(table: Table, seed: int, count: int, portfolio: Sequence[str] = ()) -> list[float]:
    """Return what the study's sampler finds, after a portfolio."""
    sampler, found = ConfigurationSampler(table.space, seed), list[float]()
    first = [json.loads(key) for key in portfolio]
    for place in range(count):
        configuration = first[place] if place < len(first) else sampler.ask()
        assert configuration is not None
        found.append(table(configuration))
        sampler.tell(configuration, found[-1])
    return found


def by_portfolio(table: Table, seed: int, count: int, portfolio: Sequence[str]) -> list[float]:
    """Return what a portfolio finds, and random draws after it."""
    return [table.values[key] for key in portfolio] + by_optuna(
        lambda seed: optuna.samplers.RandomSampler(seed=seed), table, seed, count - len(portfolio)
    )


def portfolio_of(tables: Sequence[Table], count: int) -> list[str]:
    """Return the configurations that cover tables best, each chosen for what those before it leave.

    Where the best of every table is among them, the cover begins anew with the rest.
    """
    keys = list(tables[0].values)
    scores = np.array([[table.values[key] / table.best for key in keys] for table in tables])
    covered, chosen = np.zeros((len(tables), 1)), list[str]()
    for _ in range(count):
        if (scores.max(axis=1, keepdims=True) <= covered).all():
            covered = np.zeros_like(covered)
        place = int(np.maximum(scores, covered).sum(axis=0).argmax())
        chosen.append(keys[place])
        covered = np.maximum(covered, scores[:, [place]])
        scores[:, place] = 0.0
    return chosen


def samplers(entries: int, tables: Sequence[Table]) -> dict[str, Callable[[Table, int], list[float]]]:
    """Return the samplers by name."""
    own = optuna.samplers
    engines: dict[str, Callable[[int], Any]] = {
        "random": lambda seed: own.RandomSampler(seed=seed),
        "tpe": lambda seed: own.TPESampler(seed=seed, multivariate=False),
        "tpe-multivariate": lambda seed: own.TPESampler(seed=seed, multivariate=True),
        "gp": lambda seed: own.GPSampler(seed=seed),
    }
    found: dict[str, Callable[[Table, int], list[float]]] = {
        name: lambda table, seed, make=make: by_optuna(make, table, seed, max(AT)) for name, make in engines.items()
    }
    rest = {each.name: [other for other in tables if other is not each] for each in tables}
    portfolios = {name: portfolio_of(others, entries) for name, others in rest.items() if others}
    found["study"] = lambda table, seed: by_study(table, seed, max(AT))
    if portfolios:
        found["portfolio"] = lambda table, seed: by_portfolio(table, seed, max(AT), portfolios[table.name])
        found["study-portfolio"] = lambda table, seed: by_study(table, seed, max(AT), portfolios[table.name])
    return found


def main() -> None:
    """Race the samplers on each table."""
    parser = arguments(__doc__ or "", seeds=30)
    parser.add_argument("files", nargs="+", type=Path, help="AutoCF's tables, .json or .json.xz")
    parser.add_argument("--settings", choices=("names", "grid"), default="names")
    parser.add_argument("--samplers", default=DEFAULT, help=f"names with commas between (default {DEFAULT})")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--entries", type=int, default=8, help="of the portfolio (default 8)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tables = [Table(path, options.settings) for path in options.files]
    known = samplers(options.entries, tables)
    rows, figures = [], []
    for table in tables:
        for name in [each for each in options.samplers.split(",") if not each.endswith("portfolio") or each in known]:
            with Timed() as timed:
                runs = [known[name](table, seed) for seed in range(options.first, options.first + options.seeds)]
            bests = [list(accumulate(run, max)) for run in runs]
            regrets = {count: [table.best - best[count - 1] for best in bests] for count in AT}
            means = [statistics.mean(regrets[count]) for count in AT]
            errors = [statistics.stdev(regrets[count]) / len(runs) ** 0.5 if len(runs) > 1 else 0.0 for count in AT]
            milliseconds = 1000 * timed.seconds / len(runs) / max(AT)
            cells = (f"{mean:.4f} ± {error:.4f}" for mean, error in zip(means, errors, strict=True))
            rows.append((table.name, name, *cells, f"{milliseconds:.0f}"))
            figures.append({"table": table.name, "sampler": name, "regrets": regrets, "ms": milliseconds})
            print(*rows[-1], file=sys.stderr, flush=True)  # the whole takes minutes
    columns = ("table", "sampler", *(f"regret at {count}" for count in AT), "ms a proposal")
    finish(
        f"autocf settings={options.settings} seeds={options.seeds} from {options.first}",
        columns,
        rows,
        {"results": figures},
    )


if __name__ == "__main__":
    main()
