"""No two functions of six lines or more in `nasp_core` are alike but for names."""

import ast
from collections import defaultdict
from pathlib import Path

import nasp_core

LEAST = 6


class _Nameless(ast.NodeTransformer):
    """Replaces every name and every text by one and the same; numbers, operators and structure stay."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Name("_", node.ctx), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        self.generic_visit(node)
        node.arg = "_"
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = "_"
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        node.arg = node.arg and "_"
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.copy_location(ast.Constant("_"), node) if isinstance(node.value, str) else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name = "_"
        return node


def _lines_of_code(function: ast.FunctionDef, source: list[str]) -> int:
    """Return the lines of a function without its docstring, comments and blank lines."""
    body = function.body
    written = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    text = range(body[0].lineno, (body[0].end_lineno or 0) + 1) if written else range(0)
    assert function.end_lineno is not None
    lines = (source[n - 1].strip() for n in range(function.lineno, function.end_lineno + 1) if n not in text)
    return sum(bool(line) and not line.startswith("#") for line in lines)


def _shape(function: ast.FunctionDef) -> str:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    plain = ast.FunctionDef("_", function.args, body, function.decorator_list, function.returns)
    return ast.dump(_Nameless().visit(plain))


def alike(files: dict[str, str]) -> list[list[str]]:
    """Return the groups of functions of `LEAST` lines or more that are alike but for names, as `file:line name`."""
    shapes: dict[str, list[str]] = defaultdict(list)
    for name, text in files.items():
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and _lines_of_code(node, lines) >= LEAST:
                place = f"{name}:{node.lineno} {node.name}"
                shapes[_shape(node)].append(place)
    return [places for places in shapes.values() if len(places) > 1]


def test_no_two_functions_are_alike_but_for_names() -> None:
    root = Path(nasp_core.__file__).parent
    files = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}
    found = alike(files)
    assert found == [], "\n".join(", ".join(places) for places in found)


def test_the_check_finds_functions_that_differ_in_names_alone() -> None:
    one = (
        "def f(a, b):\n    c = a + b\n    d = c * 2\n    e = d.x\n    if e:\n        return g(c, k=e)\n    return 'p'\n"
    )
    two = one.replace("f(", "h(").replace("c", "z").replace(".x", ".y").replace("'p'", "'q'").replace("k=", "m=")
    assert len(alike({"one": one, "two": two})) == 1
    assert alike({"one": one, "two": two.replace("* 2", "* 3")}) == []
    assert alike({"one": one[: one.index("    if")] + "    return 1\n", "two": one}) == []
