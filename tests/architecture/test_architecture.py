"""What holds of the tree as a whole: how many files a part stands in, no circle, no name with two meanings."""

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
from docstrings import missing
from files_to_touch import PARTS, ROOT, touched
from public_names import clashes

OTHERS = {
    "operation": 0,
    "encoding": 0,
    "one-shot strategy": 0,
    "multi-trial strategy": 0,
    "proxy": 1,  # the package hands it on
    "rival": 0,
    "task on tables": 0,
    "space of cells": 0,
}
"""How many files know a part, besides its own and that of the table with its line."""
WHOLE = {kind: 2 + others for kind, others in OTHERS.items()}
CLASHES = {"search"}
"""The public names that two modules define: the core's search, and the library's, which runs it."""


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_is_one_file_and_a_line_in_a_table(kind: str):
    part = PARTS[kind]
    assert (ROOT / part.own).is_file()
    others = [path for path in touched(part) if path != part.table]
    limit = kind.partition(" (")[0]
    assert len(others) <= OTHERS[limit], others
    assert len({part.own, *touched(part)}) <= WHOLE[limit]


def test_no_circle_of_files():
    graph = grimp.build_graph("sif", "nasp_core", exclude_type_checking_imports=True, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imported).prepare()  # raises CycleError with the circle


def test_no_more_names_have_two_meanings():
    found = clashes()
    assert set(found) <= CLASHES, found


def test_public_functions_describe_their_arguments():
    assert not missing()


@pytest.mark.parametrize("module", ["nasp_core.search", "nasp_core.methods", "nasp_core.trials", "nasp_core.proxies"])
def test_the_core_imports_torch_and_the_standard_library_alone(module: str):
    script = (
        "import torch, sys; before = set(sys.modules); import importlib\n"
        f"importlib.import_module({module!r})\n"
        "rooms = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "print(*sorted(rooms))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) <= {"nasp_core", "torch"}


def test_the_scripts_say_what_is_counted():
    for script in ("files_to_touch.py", "public_names.py"):
        result = subprocess.run([sys.executable, script], cwd=Path(__file__).parent, capture_output=True, text=True)
        assert result.returncode == 0
        assert result.stdout
