"""Every snippet of the README and the docs runs."""

from __future__ import annotations

import json
import pkgutil
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUICK = (
    "--set",
    "train.epochs=3",
    "--set",
    "train.min_steps=0",
    "--set",
    'baselines.names=["biases"]',
    "--set",
    "tune.l2=[]",
)
SHORT = ("--set", "train.min_steps=0", "--set", "search.min_steps=0")
QUICK_RANKING = (
    *("--set", "train.epochs=4", "--set", 'baselines.names=["popularity"]', "--set", "baselines.random=false"),
    *("--set", "strategy.settings.finalists=2", "--set", "strategy.settings.trainings=3"),
    *("--set", "space.embedding_dim=4", "--set", "strategy.settings.n_supernet_evals=10"),
)


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page name and number, text) of every fenced block of a language."""
    found = []
    for page in PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
        found += [(f"{page.name}-{number}", text) for number, text in enumerate(texts, 1)]
    return found


def named(language: str) -> dict[str, object]:
    pairs = blocks(language)
    return {"argvalues": [text for _, text in pairs], "ids": [name for name, _ in pairs]}


@pytest.fixture(scope="module")
def snippets() -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Runs jobs (see `snippets.py`) in processes of their own."""
    words = [sys.executable, str(Path(__file__).with_name("snippets.py"))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        to, by = server.stdin, server.stdout

        def ran(job: dict[str, Any]) -> dict[str, Any]:
            print(json.dumps(job), file=to, flush=True)
            answer: dict[str, Any] = json.loads(by.readline())
            return answer

        yield ran
        to.close()


@pytest.fixture
def own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `mine.csv`: half-star ratings, text ids, ISO dates; and `clicks.csv`, the same without ratings."""
    draw = np.random.default_rng(0)
    users = ["ann", *(f"user{number}" for number in range(59))]
    lines = ["user_id,movieId,stars,timestamp"]
    for user in users:
        taste = draw.normal()
        for item in sorted(draw.choice(40, 20, replace=False)):
            stars = np.clip(np.round(2 * (3 + taste * np.cos(item) + 0.3 * draw.normal())) / 2, 0.5, 5)
            lines.append(f"{user},film {item},{stars},2024-01-{1 + int(item) % 28:02d}")
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "clicks.csv").write_text("\n".join(",".join(line.split(",")[:2]) for line in lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("text", **named("python"))
def test_a_python_snippet_runs(text: str, own_table: Path, snippets: Any) -> None:
    done = snippets({"code": text, "folder": str(own_table)})
    assert done["status"] == 0, done["errors"]


@pytest.mark.slow
@pytest.mark.parametrize("text", **named("shell"))
def test_a_shell_snippet_runs(text: str, own_table: Path, snippets: Any) -> None:
    """`sif` lines run in their order (searches on a small budget); `make` lines name a target of the Makefile."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    lines = [shlex.split(line, comments=True) for line in text.splitlines() if line.strip()]
    assert lines
    for program, *words in lines:
        if program == "make":
            assert words
            assert set(words) <= set(targets)
            continue
        assert program == "sif"
        quick = {
            "search": QUICK_RANKING if "clicks" in words else QUICK,
            "benchmark": SHORT,
            "compare": ("--budget", "1"),
        }.get(words[0], ())
        done = snippets({"words": [*words, *quick], "folder": str(own_table)})
        assert done["status"] == 0, (words, done["errors"])


def test_the_readme_names_every_strategy_and_recipe() -> None:
    from nasp_core.methods import STRATEGIES
    from sif.recipes import recipe_names

    readme = (ROOT / "README.md").read_text() + (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in (*STRATEGIES, *recipe_names()) if f"`{name}`" not in readme] == []


def test_the_result_page_names_every_key() -> None:
    from sif.results import Result, Row

    page = (ROOT / "docs" / "result.md").read_text()
    keys = [*Result.model_fields, *Row.model_fields]
    assert [key for key in keys if not re.search(rf"`{key}[`.]", page)] == []


KINDS = "strategies operations cell_operations activations encodings proxies readers problems rivals"
GROUPS = {f"sif.{kind}" for kind in KINDS.split()}
PROSE = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", PROSE, ids=[page.name for page in PROSE])
def test_what_a_page_links_to_is_there(page: Path) -> None:
    """Relative links lead to files; other pages are linked, not only named."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [target.partition("#")[0] for target in targets if not target.startswith(("https://", "#"))]
    assert [target for target in local if not (page.parent / target).is_file()] == []
    prose = re.sub(r"`[^`]*`|\[[^]]*\]\([^)]*\)", "", text)
    assert re.findall(r"\bdocs/[\w-]+\.md", prose) == []


@pytest.mark.parametrize("page", PROSE, ids=[page.name for page in PROSE])
def test_what_a_page_names_is_there(page: Path) -> None:
    """Dotted names of the packages import or are groups of entry points, and paths of the repository exist."""
    text = re.sub(r"https://\S+", "", page.read_text(encoding="utf-8"))
    names = set(re.findall(r"\b(?:sif|nasp_core)(?:\.[A-Za-z_]\w*)+", text))
    paths = set(re.findall(r"\b(?:sif|nasp_core|benchmarks|tests|data|recipes|docs)/[\w./-]*\w", text))
    assert [name for name in sorted(names) if name not in GROUPS and not resolves(name)] == []
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one, and not where it was before it moved."""
    try:
        with warnings.catch_warnings(action="error", category=DeprecationWarning):
            found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, DeprecationWarning):
        return False
    return "_moved" not in str(getattr(found, "__file__", ""))
