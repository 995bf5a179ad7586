"""Public functions whose docstring leaves an argument out: `Args` names each, with the shape of a tensor.

Run it to see them: python tests/architecture/docstrings.py.  Public is what a package hands on in `__all__`, what the
docs and the sample package import, what the modules of `MORE` have in `__all__`, and the bases of all that.  A function
counts when it has two arguments or more, or a tensor; a method that a base or protocol has with these arguments is
described there, once.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MORE = (
    *(f"nasp_core.{name}" for name in ("evaluation", "network", "optimise", "search", "strategy", "training", "types")),
    *(
        f"sif.{name}"
        for name in ("api", "metrics", "recommender", "run", "scoring", "problems.base", "benchmark.problem")
    ),
    *(f"sif.serve.{name}" for name in ("asked", "export", "folding", "lists", "new_users", "opened", "topk")),
    *(f"sif.integrations.{name}" for name in ("implicit", "recbole", "recbole_data", "recbole_train")),
)
TENSOR = re.compile(r"(Tensor|NDArray\[.*\]|FloatArray|ArrayLike)( \| None)?")
SHAPED = re.compile(r"`\[.*\]`|scalar|shape")
Definition = ast.FunctionDef | ast.ClassDef


@cache
def tree(module: str) -> ast.Module | None:
    """Return the syntax of a module of the two packages, None if there is none."""
    path = ROOT / module.replace(".", "/")
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file() and module.partition(".")[0] in ("sif", "nasp_core"):
            return ast.parse(file.read_text(encoding="utf-8"))
    return None


def definition(module: str, name: str) -> tuple[str, Definition] | None:
    """Return the module that defines a name which another one has, and how; None for values and strangers."""
    found = tree(module)
    for node in ast.walk(found) if found else ():
        if isinstance(node, Definition) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            return definition(node.module, name)
    return None


def exported(module: str) -> Iterator[tuple[str, str]]:
    """Yield the names of a module's `__all__`."""
    for node in found.body if (found := tree(module)) else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from ((module, name) for name in ast.literal_eval(node.value))


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Yield what a source imports from the two packages."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and tree(node.module):
            yield from ((node.module, alias.name) for alias in node.names)


def surface() -> dict[tuple[str, str], Definition]:
    """Return the public functions and classes by module and name."""
    names: set[tuple[str, str]] = set()
    packages = [file.parent for room in ("sif", "nasp_core") for file in (ROOT / room).rglob("__init__.py")]
    for module in (*(".".join(path.relative_to(ROOT).parts) for path in packages), *MORE):
        names.update(exported(module))
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            names.update(imported(block))
    for file in (ROOT / "tests" / "plugin" / "sif_plugin_sample").glob("*.py"):
        names.update(imported(file.read_text(encoding="utf-8")))
    found: dict[tuple[str, str], Definition] = {}
    waiting = sorted(name for name in names if not name[0].startswith(("sif.cli", "nasp_core._moved")))
    while waiting:
        place = definition(*waiting.pop())
        if place and (place[0], place[1].name) not in found:
            found[place[0], place[1].name] = place[1]
            if isinstance(place[1], ast.ClassDef):
                waiting += [(place[0], base.id) for base in place[1].bases if isinstance(base, ast.Name)]
    return {name: node for name, node in found.items() if not node.name.startswith("_")}


def functions(node: Definition) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield a function, or the public methods of a class."""
    if isinstance(node, ast.FunctionDef):
        yield node.name, node
        return
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            yield f"{node.name}.{each.name}", each


def arguments(function: ast.FunctionDef) -> dict[str, str]:
    """Return the arguments and their types as written, without `self` and `cls`."""
    given = function.args
    several = [each for each in (given.vararg, given.kwarg) if each]
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *several]
    return {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in every if a.arg not in ("self", "cls")}


def described(function: ast.FunctionDef) -> dict[str, str]:
    """Return what the section `Args` says, by argument."""
    section = re.search(r"^Args:\n((?:    .*\n?)+)", ast.get_docstring(function) or "", re.MULTILINE)
    parts = re.split(r"^    \*{0,2}(\w+): ", section[1], flags=re.MULTILINE)[1:] if section else []
    return dict(zip(parts[::2], parts[1::2], strict=True))


def missing() -> list[str]:
    """Return what is not described: `module.name: argument`."""
    public = surface()
    every = [(module, *each) for (module, _), node in sorted(public.items()) for each in functions(node)]
    once = {(name.rpartition(".")[2], *arguments(function)) for _, name, function in every if described(function)}
    out = []
    for module, name, function in every:
        given, said = arguments(function), described(function)
        inherited = "." in name and not said and (name.rpartition(".")[2], *given) in once
        if inherited or (len(given) < 2 and not any(TENSOR.fullmatch(kind) for kind in given.values())):
            continue
        for argument, kind in given.items():
            if argument not in said:
                out.append(f"{module}.{name}: {argument} is not described")
            elif TENSOR.fullmatch(kind) and not SHAPED.search(said[argument]):
                out.append(f"{module}.{name}: {argument} is described without its shape")
    return out


if __name__ == "__main__":
    print("\n".join(missing()))
