"""The saved network of a run of cells."""

from typing import Any

import torch

from nasp_core.genotype import Genotype
from nasp_core.network import Network
from sif.cells.networks import build_cells
from sif.cells.notation import cell_text
from sif.checkpoint import load_tree
from sif.errors import RunError
from sif.host import shielded
from sif.run_directory import FinishedRun, RunDirectory

__all__ = ["CELL_MODEL_FORMAT", "CellRun", "load_cell_model"]

CELL_MODEL_FORMAT = "sif-cells-1"


class CellRun(FinishedRun):
    """A finished run of cells: what was found, how good it is, and its network."""

    @property
    def cell(self) -> str:
        """The found cell as text."""
        return cell_text(self.genotype)

    def network(self) -> Network:
        """Return the trained network on the CPU, ready to answer; raises `RunError` when it was not trained yet."""
        return load_cell_model(self.directory)[0].eval()


@shielded(draws=True)
def load_cell_model(directory: RunDirectory, device: torch.device | str = "cpu") -> tuple[Network, dict[str, Any]]:
    """Return the network of a run with its trained weights, and the tree of its file."""
    path = directory.path / "model.safetensors"
    if not path.is_file():
        raise RunError(f"run {directory.path} has a found cell, but no trained network yet: sif train {directory.path}")
    tree = load_tree(path)
    if tree.get("format") != CELL_MODEL_FORMAT:
        raise RunError(f"{path} is not a network of cells; search again")
    network = build_cells(Genotype.from_json(tree["genotype"]), tree["network"], tree["facts"])
    network.load_state_dict(tree["weights"])
    return network.to(device), tree
