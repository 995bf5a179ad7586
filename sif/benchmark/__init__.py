"""The fair race of strategies: one problem, one budget, one final training, random search in every table."""

from sif.benchmark.budget import Budget
from sif.benchmark.entrants import Entrant, entrants_of, strategy_settings
from sif.benchmark.on_recipe import RecipeBenchmark
from sif.benchmark.on_tables import CellTableBenchmark, InteractionTableBenchmark
from sif.benchmark.race import race
from sif.benchmark.scores import ScoreRace
from sif.benchmark.setup import TABLES, folder_of, recipe_benchmark, table_benchmark

__all__ = [
    "TABLES",
    "Budget",
    "CellTableBenchmark",
    "Entrant",
    "InteractionTableBenchmark",
    "RecipeBenchmark",
    "ScoreRace",
    "entrants_of",
    "folder_of",
    "race",
    "recipe_benchmark",
    "strategy_settings",
    "table_benchmark",
]
