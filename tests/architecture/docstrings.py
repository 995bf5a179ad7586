"""Public functions whose docstring leaves an argument out: those that a package hands on, and those that the docs name.

Run it to see them: python tests/architecture/docstrings.py.  A function counts when it has two arguments or more, or
one that is a tensor or an array; a method that a base class or a protocol documents is said there, once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TENSOR = re.compile(r"\b(Tensor|ndarray)\b")
SECTION = re.compile(r"^Args:\n((?:[ ]{4}.*\n?|\n)*)", re.MULTILINE)


@cache
def tree(module: str) -> ast.Module | None:
    """Return the syntax of a module of the two packages, None if there is none."""
    path = ROOT / module.replace(".", "/")
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file() and module.partition(".")[0] in ("sif", "nasp_core"):
            return ast.parse(file.read_text(encoding="utf-8"))
    return None


def defined(module: str, name: str) -> tuple[str, ast.FunctionDef | ast.ClassDef] | None:
    """Return where a name that is imported from a module is defined, and how; None for values and strangers."""
    found = tree(module)
    for node in ast.walk(found) if found else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            return defined(node.module, name)
    return None


def named(source: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield what a source imports from the two packages."""
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom) and node.module and tree(node.module):
            yield from ((node.module, alias.name) for alias in node.names)


def surface() -> dict[tuple[str, str], ast.FunctionDef | ast.ClassDef]:
    """Return the public functions and classes: of each package's `__all__`, of the docs and of the sample package."""
    names: set[tuple[str, str]] = set()
    for room in ("sif", "nasp_core"):
        for file in (ROOT / room).rglob("__init__.py"):
            module = ".".join(file.relative_to(ROOT).parent.parts)
            for node in tree(module).body if tree(module) else ():
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                    names |= {(module, name) for name in ast.literal_eval(node.value)}
    for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for block in re.findall(r"^```python\n(.*?)^```", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            names |= set(named(ast.parse(block)))
    for file in (ROOT / "tests" / "plugin" / "sif_plugin_sample").glob("*.py"):
        names |= set(named(ast.parse(file.read_text(encoding="utf-8"))))
    places = {(module, name): defined(module, name) for module, name in names if not module.startswith("sif.cli")}
    return {(where[0], where[1].name): where[1] for where in places.values() if where}


if __name__ == "__main__":
    s = surface()
    import sys

    sys.path.insert(0, "/tmp/words")
    n = m = 0

    def args(f):
        a = f.args
        return [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs) if x.arg not in ("self", "cls")] + [
            v.arg for v in (a.vararg, a.kwarg) if v
        ]

    for (mod, name), node in sorted(s.items()):
        fs = (
            [("", node)]
            if isinstance(node, ast.FunctionDef)
            else [("." + k.name, k) for k in node.body if isinstance(k, ast.FunctionDef) and not k.name.startswith("_")]
        )
        for q, f in fs:
            a = args(f)
            if len(a) >= 2 or (a and TENSOR.search(ast.unparse(f.args))):
                n += 1
                if "Args:" not in (ast.get_docstring(f) or ""):
                    m += 1
                    print(mod, name + q, ast.unparse(f.args))
    print(len(s), n, m)
