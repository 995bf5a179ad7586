"""The fair race of strategies on one problem, and the suite: the study against random search and rivals on tables."""

from sif.benchmark.budget import Budget
from sif.benchmark.entrants import Entrant, entrants_of, strategy_settings
from sif.benchmark.on_recipe import RecipeBenchmark
from sif.benchmark.on_tables import CellTableBenchmark, InteractionTableBenchmark
from sif.benchmark.race import race
from sif.benchmark.scores import ScoreRace
from sif.benchmark.setup import TABLES, folder_of, recipe_benchmark, table_benchmark
from sif.benchmark.suite import SuiteOptions, run_suite
from sif.benchmark.suite_map import suite_map
from sif.benchmark.suite_report import suite_page

__all__ = [
    "TABLES",
    "Budget",
    "CellTableBenchmark",
    "Entrant",
    "InteractionTableBenchmark",
    "RecipeBenchmark",
    "ScoreRace",
    "SuiteOptions",
    "entrants_of",
    "folder_of",
    "race",
    "recipe_benchmark",
    "run_suite",
    "strategy_settings",
    "suite_map",
    "suite_page",
    "table_benchmark",
]
