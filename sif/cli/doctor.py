"""`sif doctor`: what is installed, what is missing, and the command that fixes it."""

import importlib.util

import torch

from sif.cli.app import JsonOption, console, data_root, emit, guarded
from sif.cli.tables import print_table
from sif.datasets import catalogue, find_entry, locate
from sif.datasets import data_root as data_folder
from sif.integrations.recbole_support import COMMANDS
from sif.results import hardware, versions
from sif.sheet import Line, Table

__all__ = ["doctor"]

EXTRAS = {
    "implicit": ("implicit", "to compare with its models; optional"),
    "recbole": ("recbole", "its copy of MovieLens 100K; optional"),
    "optuna": ("optuna", "for the strategies tpe and asha; optional"),
    "scikit-learn": ("sklearn", "for the strategy weak-predictor; optional"),
    "plot": ("matplotlib", "to plot results; optional"),
    "pandas": ("pandas", "pandas frames as data; optional"),
    "images": ("PIL", "JPEG and PNG pictures as data; optional"),
}


@guarded
def doctor(as_json: JsonOption = False) -> None:
    """Show versions, device and data; name what is missing and the command that brings it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts = versions() | {key: str(value) for key, value in hardware(device).items()}
    missing = {
        extra: {"for": use, "fix": _fix(extra)}
        for extra, (module, use) in EXTRAS.items()
        if importlib.util.find_spec(module) is None
    }
    found = locate(find_entry("movielens"), data_root())
    facts["movielens-100k"] = str(found) if found else "not here"
    here = [entry.name for entry in catalogue().values() if locate(entry, data_root())]
    facts["data sets here"] = ", ".join(here) or "none"
    facts["data folder"] = str(data_folder(data_root()))
    if found is None:
        missing["movielens-100k"] = {"for": "sif search movielens", "fix": "sif datasets fetch movielens"}
    if as_json:
        emit({"facts": facts, "missing": missing})
        return
    print_table(Table(("", ""), tuple(map(Line, facts.items())), text=(0, 1)))
    for name, entry in missing.items():
        console.print(f"missing {name} ({entry['for']}): {entry['fix']}")
    if not missing:
        console.print("nothing is missing")


def _fix(extra: str) -> str:
    if extra == "recbole":
        return "; ".join(COMMANDS)
    return f"pip install 'sif-nas[{extra}]'"
