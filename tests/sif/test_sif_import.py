"""Importing sif changes nothing: no seed, environment, logging, warnings; and brings no optional package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sif

SCRIPT = """
import json, logging, os, random, signal, sys, warnings
# What the dependencies do to numpy, warnings and the environment is theirs.
import numpy, pooch, polars, pydantic, safetensors.torch, scipy.sparse, torch
def state():
    return {
        "python": repr(random.getstate()), "numpy": repr(numpy.random.get_state()),
        "torch": torch.get_rng_state().tolist(), "environment": dict(os.environ), "argv": list(sys.argv),
        "handlers": [repr(h) for h in logging.getLogger().handlers], "level": logging.getLogger().level,
        "loggers": sorted(n for n, l in logging.Logger.manager.loggerDict.items()
                          if isinstance(l, logging.Logger) and (l.handlers or l.level)),
        "filters": repr(warnings.filters), "threads": torch.get_num_threads(), "dtype": str(torch.get_default_dtype()),
        "deterministic": torch.are_deterministic_algorithms_enabled(), "hook": repr(sys.excepthook),
        "interrupt": repr(signal.getsignal(signal.SIGINT)), "cwd": os.getcwd(), "path": sys.path,
        "numpy_names": sorted(vars(numpy)), "flush": float((torch.full((1,), 1e-39) * 1.0)[0]),
    }
before = state()
import MODULE
after = state()
changed = sorted(key for key in before if before[key] != after[key])
optional = ("pandas", "pyarrow", "implicit", "recbole", "matplotlib", "optuna", "IPython", "sklearn")
print(json.dumps({"changed": changed, "loaded": [name for name in optional if name in sys.modules]}))
"""


def imported(module: str, folder: Path) -> dict[str, list[str]]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("MODULE", module)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    result: dict[str, list[str]] = json.loads(done.stdout)
    return result


def test_importing_the_library_has_no_side_effects(tmp_path: Path):
    assert imported("sif", tmp_path) == {"changed": [], "loaded": []}


def test_importing_the_command_line_brings_no_optional_package(tmp_path: Path):
    assert imported("sif.cli", tmp_path)["loaded"] == []


LISTING = ["--help", "strategies ls", "recipes ls", "recipes cat ptb", "recipes cp ptb .", "datasets ls"]


@pytest.mark.parametrize("words", LISTING)
def test_what_only_lists_imports_nothing_heavy(words: str, tmp_path: Path):
    """Counted in modules, not in seconds: these are what makes the program slow to start."""
    heavy = ("torch", "scipy", "polars", "numpy", "sif.recipes.load", "pandas")
    script = (
        f"import sys; sys.argv = ['sif', *{words.split()!r}]\n"
        "from sif.cli import main\ntry: main()\nexcept SystemExit as left: assert not left.code, left.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_the_help_says_of_every_verb_what_the_verb_says():
    from typer.testing import CliRunner

    from sif.cli import app
    from sif.cli.verbs import VERBS

    for name, verb in VERBS.items():
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0
        assert " ".join(verb.help.split()[:2]) in " ".join(result.output.split()), name


def test_the_face_of_the_library():
    runs = ["CellRun", "Run", "load", "load_cells", "search", "search_cells"]
    assert sorted(sif.__all__) == sorted([*runs, "Interactions", "Recommender", "SifError", "__version__", "read"])
    for name in sif.__all__:
        assert getattr(sif, name) is not None


def test_the_version_is_that_of_the_package():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == sif.__version__


def test_every_error_is_one_the_command_line_catches():
    from nasp_core.errors import NaspError
    from sif import errors

    for name in errors.__all__:
        assert issubclass(getattr(errors, name), NaspError)
        assert getattr(errors, name).__doc__


def test_only_the_command_line_prints_and_reads_argv_and_environment():
    import re

    for path in (Path(__file__).parents[2] / "sif").rglob("*.py"):
        if "cli" in path.relative_to(path.parents[2]).parts:
            continue
        assert not re.search(r"^\s*print\(|sys\.argv|os\.environ|getenv|basicConfig", path.read_text(), re.M), path
