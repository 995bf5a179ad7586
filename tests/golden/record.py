"""Record what shipped recipes find, so that a change of the code can be held against a commit before it.

    python tests/golden/record.py --tree OLD --out before.json       # a checkout of the old commit
    python tests/golden/record.py --tree .   --out after.json --against before.json

Each recipe runs in a process of its own on one thread. What is kept: the genotype, the trace without clocks, the
metrics, the rows of the comparison, and a digest of the weights. Floating point differs between machines, so both
sides are recorded on one. Recipes of cells need their data below SIF_DATA; a recipe without data is left out by name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RECIPES: dict[str, list[str]] = {
    "movielens-operations": [],
    "movielens-wide": [],
    "movielens-ranking": ["--set", "study.budget=none"],
    "movielens-paper": [],
    "cifar10": ["--budget", "smoke"],
    "ptb": ["--budget", "smoke"],
    "cifar10-nb201": ["--budget", "smoke"],
}
_CLOCKS = {"seconds", "total", "search", "train", "evaluate", "baselines", "random_search"}


def main() -> int:
    """Record, and compare where a record is given; return 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tree", type=Path, required=True, help="the checkout to record")
    parser.add_argument("--out", type=Path, required=True, help="the record to write (JSON)")
    parser.add_argument("--against", type=Path, help="a record to compare with")
    parser.add_argument("--only", nargs="*", default=list(RECIPES), choices=list(RECIPES), help="some of the recipes")
    given = parser.parse_args()
    record = json.loads(given.out.read_text()) if given.out.is_file() else {}
    for name in given.only:
        record[name] = run(given.tree.resolve(), name, RECIPES[name])
        given.out.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{name}: recorded", flush=True)
    if given.against is None:
        return 0
    wrong = differences(json.loads(given.against.read_text()), record, given.only)
    print("\n".join(wrong) or "all equal")
    return bool(wrong)


def run(tree: Path, recipe: str, more: list[str]) -> dict[str, Any]:
    """Return the record of one recipe, run by the code in `tree`."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "sif", "search", recipe, *more, "--out", str(out)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{recipe}: {done.stderr[-2000:]}")
        return record_of(out)


def record_of(run: Path) -> dict[str, Any]:
    """Return what is compared of a finished run directory."""
    result = json.loads((run / "result.json").read_text())
    kept = ("genotype", "metrics", "enumeration", "regret", "tuned", "epochs")
    rows = {name: row for name, row in (result.get("rows") or result["baselines"]).items() if name != "found"}
    trace = [json.loads(line) for line in (run / "trace.jsonl").read_text().splitlines()]
    model = run / "model.safetensors"
    return {
        "genotype.json": json.loads((run / "genotype.json").read_text()),
        "result": {key: result[key] for key in kept if result.get(key)},
        "rivals": {name: {key: row[key] for key in ("valid", "test", "parameters")} for name, row in rows.items()},
        "trace": [timeless(line) for line in trace],
        "weights": _weights(model) if model.is_file() else None,
    }


def timeless(data: Any) -> Any:
    """Return plain data without what a clock wrote."""
    if isinstance(data, dict):
        return {key: timeless(value) for key, value in data.items() if not _is_clock(key, value)}
    return [timeless(value) for value in data] if isinstance(data, list) else data


def _is_clock(key: str, value: Any) -> bool:
    return key == "seconds" or (key in _CLOCKS and isinstance(value, float))


def _weights(path: Path) -> str:
    from safetensors import safe_open

    digest = hashlib.sha256()
    with safe_open(path, "pt") as opened:
        for name in sorted(opened.keys()):
            tensor = opened.get_tensor(name)
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()


def differences(before: dict[str, Any], after: dict[str, Any], names: list[str]) -> list[str]:
    """Return a line for each recorded value that differs, down to the first difference of each list."""
    found: list[str] = []
    for name in names:
        found += _differ(name, before.get(name), after.get(name))
    return found


def _differ(place: str, before: Any, after: Any) -> list[str]:
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [line for key in keys for line in _differ(f"{place}.{key}", before.get(key), after.get(key))]
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            return [f"{place}: {len(before)} entries, now {len(after)}"]
        pairs = enumerate(zip(before, after, strict=True))
        return next((_differ(f"{place}[{row}]", old, new) for row, (old, new) in pairs if old != new), [])
    return [f"{place}: {before!r}, now {after!r}"]


if __name__ == "__main__":
    sys.exit(main())
