from collections.abc import Callable
from pathlib import Path

import pytest

from sif.datasets import Interactions, find_entry, locate, read


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write a file into an empty working directory; return its bare name, so that error texts are short."""
    monkeypatch.chdir(tmp_path)

    def _write(content: str | bytes, name: str = "ratings.csv") -> str:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return _write


@pytest.fixture(scope="session")
def movielens() -> Interactions:
    if locate(find_entry("movielens")) is None:
        pytest.skip("MovieLens 100K is not here: `sif datasets fetch movielens`, or install RecBole 1.2.1")
    return read("movielens")
