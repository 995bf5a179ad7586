"""Public names that two modules define: each means two things to whoever reads it.

Run it to see them: python tests/architecture/public_names.py.  Names of `__all__` count where they are defined, so that
a name which a package hands on is counted once.  Left out: the PAPER of each method, and functions of `sif.cli`, which
are named as their verbs.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def clashes() -> dict[str, list[str]]:
    """Return each public name that more than one module of sif and nasp_core defines, with those modules."""
    where: dict[str, list[str]] = defaultdict(list)
    for room in ("sif", "nasp_core"):
        for file in sorted((ROOT / room).rglob("*.py")):
            path, tree = file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))
            defined = set(_defined(tree)) - {"__all__", "__version__", "PAPER"}
            if not path.startswith("sif/cli/"):
                for name in defined.intersection(_exported(tree)):
                    where[name].append(path)
    return {name: paths for name, paths in sorted(where.items()) if len(paths) > 1}


if __name__ == "__main__":
    for name, paths in clashes().items():
        print(f"{name}: {', '.join(paths)}")
