"""Seeds, mixtures, and that importing changes nothing."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path

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


def test_the_core_imports_torch_and_the_standard_library_alone() -> None:
    wrong = []
    for path in FILES:
        own = "testing" in path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if node.level == 0 else ["a relative name"]
            for name in names:
                top = name.split(".")[0]
                good = top in ("torch", "nasp_core") or top in sys.stdlib_module_names
                if not good or (name.startswith("nasp_core.testing") and not own):
                    wrong.append(f"{path}:{node.lineno} imports {name}")
    assert not wrong


def test_the_core_reads_no_file_argument_or_environment_and_swallows_no_error() -> None:
    wrong = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="print" | "open" | "input" | "eval" | "exec")):
                    wrong.append(f"{path}:{node.lineno} calls {ast.unparse(node.func)}")
                case (
                    ast.Attribute(value=ast.Name(id="sys"), attr="argv")
                    | ast.Attribute(value=ast.Name(id="os"), attr="environ")
                ):
                    wrong.append(f"{path}:{node.lineno} reads {ast.unparse(node)}")
                case ast.ExceptHandler(type=None | ast.Name(id="Exception" | "BaseException")):
                    wrong.append(f"{path}:{node.lineno} catches everything")
    assert not wrong
