"""Seeds, mixtures, and that importing changes nothing."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nasp_core
from nasp_core.types import ChoiceGroup, Mixture, derive_seed

ROOT = Path(nasp_core.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def test_derived_seeds_are_in_range_and_differ_by_seed_and_word() -> None:
    words = [(), ("a",), ("b",), ("a", "b"), ("b", "a"), ("a", 1), ("a", 2), (1,), (12,)]
    seeds = [derive_seed(seed, *word) for seed in range(50) for word in words]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(3, "train", 7) == derive_seed(3, "train", 7)


def test_derived_seeds_do_not_follow_each_other() -> None:
    bits = torch.tensor([[derive_seed(s, "x") >> i & 1 for i in range(63)] for s in range(500)], dtype=torch.float64)
    assert float((bits.mean(0) - 0.5).abs().max()) < 0.12
    flips = (bits[1:] != bits[:-1]).double().mean()
    assert 0.47 < float(flips) < 0.53
    draws = [torch.rand(3, generator=torch.Generator().manual_seed(derive_seed(0, name))) for name in "abcd"]
    assert all(float((a - b).abs().max()) > 1e-3 for a, b in itertools.combinations(draws, 2))


def test_derived_seeds_of_words_with_a_slash() -> None:
    assert derive_seed(0, "a/b") != derive_seed(0, "a", "b")


def test_mixture_rows() -> None:
    weights = {"g": torch.tensor([[0.25, 0.75], [1.0, 0.0]])}
    active, row = Mixture(active={"g": (1, 0)}, weights=weights).row("g", 0)
    assert active == 1
    assert row is not None
    assert row.tolist() == [0.25, 0.75]
    assert Mixture(active={"g": (1, -1)}).row("g", 1) == (-1, None)
    assert Mixture().row("g", 0) == (None, None)
    assert ChoiceGroup("g", 3, ("a", "b")).shape == (3, 2)


PROBE = """
import os, random, warnings, logging, signal, sys
import torch
def look():
    return (dict(os.environ), random.getstate(), torch.get_rng_state().tolist(), torch.get_default_dtype(),
            torch.get_num_threads(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic,
            torch.get_float32_matmul_precision(), torch.get_default_device(), list(warnings.filters),
            logging.getLogger().level, list(logging.getLogger().handlers), list(sys.argv), os.getcwd(),
            float((torch.full((1,), 1e-39) * 1.0)[0]), signal.getsignal(signal.SIGINT))
before = look()
modules = set(sys.modules)
import MODULES
assert look() == before, [pair for pair in zip(before, look()) if pair[0] != pair[1]]
print("clean")
"""


def test_importing_changes_nothing() -> None:
    names = [".".join(("nasp_core", *path.relative_to(ROOT).with_suffix("").parts)) for path in FILES]
    imports = ", ".join(name.removesuffix(".__init__") for name in names)
    result = subprocess.run(
        [sys.executable, "-c", PROBE.replace("MODULES", imports)],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("clean\n", "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_torch_and_the_standard_library_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports by a relative name"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            assert top in ("torch", "nasp_core") or top in sys.stdlib_module_names, f"line {node.lineno}: {name}"
            own = "testing" in path.relative_to(ROOT).parts
            assert own or not name.startswith("nasp_core.testing"), f"line {node.lineno}: the core needs its tests"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_reads_no_file_argument_or_environment_and_swallows_no_error(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "open", "input", "eval", "exec"), f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {("sys", "argv"), ("os", "environ")}, f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            assert not (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
