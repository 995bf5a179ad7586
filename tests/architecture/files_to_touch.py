"""Counts on the tree in how many files a part of each kind stands: its own, lines of tables, and all others.

Run it to see them: python tests/architecture/files_to_touch.py.  What is counted is read from the code's syntax: files
of `sif` and `nasp_core` that import the part's module, or decide by its name (compare with it, or have it as a key of a
table) or by one of its classes (`isinstance`). A new part of the kind may have to stand in each of them; what merely
offers a name by default need not change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Part(NamedTuple):
    """A part that ships: the file that defines it, the name users know it by, and the table it has a line in.

    `classes` are those of other files that are the part's own; those of its file are counted anyway.
    """

    own: str
    name: str
    table: str
    classes: tuple[str, ...] = ()


PARTS = {
    "operation (minus)": Part("sif/operations/minus.py", "minus", "sif/operations/tensor.py"),
    "encoding (history)": Part("sif/encodings/history.py", "history", "sif/encodings/known.py"),
    "one-shot strategy (gdas)": Part("nasp_core/methods/gdas.py", "gdas", "nasp_core/methods/table.py"),
    "multi-trial strategy (nao)": Part("nasp_core/trials/nao.py", "nao", "nasp_core/trials/__init__.py"),
    "proxy (jacob-cov)": Part("nasp_core/proxies/jacob_cov.py", "jacob-cov", "nasp_core/proxies/table.py"),
    "rival (item-kNN)": Part("sif/rivals/from_implicit.py", "itemknn", "sif/rivals/known.py"),
    "task on tables (ranking)": Part(
        "sif/problems/ranking.py", "ranking", "sif/recipes/problems.py", ("RankingTask", "RankingSettings")
    ),
    "space of cells (recurrent-cell)": Part("sif/cells/recurrent/space.py", "recurrent-cell", "sif/cells/networks.py"),
    "space of cells (nas-bench-201)": Part(
        "sif/cells/convolution/nas_bench_201.py", "nas-bench-201", "sif/cells/networks.py"
    ),
}


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax of every file of the two packages, by its path below the root."""
    files = (file for room in ("sif", "nasp_core") for file in sorted((ROOT / room).rglob("*.py")))
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def decided(tree: ast.Module) -> Iterator[str]:
    """Yield every text that code compares with, or that is the key of a table: what decides by a part's name."""
    for node in ast.walk(tree):
        tested: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            tested = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            tested = list(node.keys)
        elif isinstance(node, ast.MatchValue):
            tested = [node.value]
        for each in tested:
            inner = each.elts if isinstance(each, ast.Tuple | ast.Set | ast.List) else [each]
            yield from (one.value for one in inner if isinstance(one, ast.Constant) and isinstance(one.value, str))


def asked_for(tree: ast.Module) -> Iterator[str]:
    """Yield every class that an `isinstance` asks for: what decides by a part's type."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            yield from (name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name))


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield every module that is imported from, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@cache
def known_by(path: str) -> tuple[set[str], set[str], set[str]]:
    """Return the modules that a file imports, the texts and the classes by which it decides."""
    tree = trees()[path]
    return set(imports(tree)), set(decided(tree)), set(asked_for(tree))


def touched(part: Part) -> list[str]:
    """Return the files that know a part, besides its own."""
    module = part.own.removesuffix(".py").replace("/", ".")
    classes = {node.name for node in trees()[part.own].body if isinstance(node, ast.ClassDef)} | {*part.classes}
    rivals = part.own.startswith("sif/problems/")  # they say for which kinds of table they are, whatever the tasks
    others = (path for path in trees() if path != part.own and not (rivals and path.startswith("sif/rivals/")))
    found = []
    for path in others:
        imported, texts, asked = known_by(path)
        if module in imported or part.name in texts or classes & asked:
            found.append(path)
    return found


def main() -> None:
    """Print the counts."""
    for kind, part in PARTS.items():
        others = touched(part)
        table = [path for path in others if path == part.table]
        rest = [path for path in others if path != part.table]
        print(f"{kind}: own file {part.own}, lines in tables {table or 'none'}, others {len(rest)}: {', '.join(rest)}")


if __name__ == "__main__":
    main()
