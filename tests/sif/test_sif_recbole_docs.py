"""The snippets of docs/pipelines.md that need RecBole or implicit run; they are skipped where it is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sif_samples import write_ratings

from sif.integrations import IntegrationError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python needs=(\w+)\n(.*?)^```", PAGE, re.M | re.S)


def test_the_page_has_snippets_of_both():
    assert {package for package, _ in SNIPPETS} == {"recbole", "implicit"}


@pytest.mark.slow
@pytest.mark.parametrize(("package", "text"), SNIPPETS, ids=[f"{p}-{n}" for n, (p, _) in enumerate(SNIPPETS, 1)])
def test_a_snippet_runs(package: str, text: str, tmp_path: Path):
    if package == "recbole":
        from sif.integrations.recbole_support import recbole_ready

        try:
            recbole_ready()
        except IntegrationError as error:
            pytest.skip(f"RecBole is not here: {error}")
    else:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
    write_ratings(tmp_path / "mine.csv", users=60, items=40, count=900)
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=known, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_page_names_the_commands_of_the_error():
    from sif.integrations.recbole_support import COMMANDS

    assert [command for command in COMMANDS if command not in PAGE] == []


def test_the_page_counts_recboles_general_models():
    """ "Each of the other 32": RecBole has 33, and the page names the one that needs a package."""
    from sif.integrations.recbole_support import module, recbole_ready

    try:
        recbole_ready()
    except IntegrationError as error:
        pytest.skip(f"RecBole is not here: {error}")
    general = [name for name, value in vars(module("model.general_recommender")).items() if isinstance(value, type)]
    assert len(general) == 33
    assert "NCL" in general
