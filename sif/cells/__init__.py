"""Cells of convolutional and recurrent networks: from a recipe to a found cell and its trained network."""

from sif.cells.api import load_cells, search_cells
from sif.cells.data import CellData, prepare_cells
from sif.cells.pipeline import CellPipeline, check_cell_recipe
from sif.cells.retrain import retrain_cells, score_cells
from sif.cells.run import CellRun, execute_cells

__all__ = [
    "CellData",
    "CellPipeline",
    "CellRun",
    "check_cell_recipe",
    "execute_cells",
    "load_cells",
    "prepare_cells",
    "retrain_cells",
    "score_cells",
    "search_cells",
]
