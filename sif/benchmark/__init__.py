"""The fair race of strategies: one arena, one budget, one final training, random search in every table."""

from sif.benchmark.budget import Budget
from sif.benchmark.entrants import Entrant, entrants_of, strategy_settings
from sif.benchmark.on_recipe import RecipeArena
from sif.benchmark.on_tables import CellTableArena, InteractionTableArena
from sif.benchmark.race import race
from sif.benchmark.scores import ScoreRace
from sif.benchmark.setup import TABLES, folder_of, recipe_arena, table_arena

__all__ = [
    "TABLES",
    "Budget",
    "CellTableArena",
    "Entrant",
    "InteractionTableArena",
    "RecipeArena",
    "ScoreRace",
    "entrants_of",
    "folder_of",
    "race",
    "recipe_arena",
    "strategy_settings",
    "table_arena",
]
