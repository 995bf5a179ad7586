"""Seconds of this tree beside those of another commit, script by script, in turns.

    git worktree add /tmp/old 1a5986c
    python benchmarks/against.py /tmp/old                                    (all four scripts, 5 turns)
    python benchmarks/against.py /tmp/old --scripts serving --rounds 3 --pairs pairs.csv

Each script of `--scripts` is run by a process of its own, with the benchmarks and the packages of its tree: old, new,
new, old, old, ... so that what drifts on the machine falls on both. A figure is the median over the turns; `new / old`
is of seconds (of triples a second, of their inverse), so that more than 1 is slower. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import polars as pl

from common import finish
from sif.datasets import read

HERE = Path(__file__).resolve().parent.parent
PAIRS = "PAIRS"
SCRIPTS: dict[str, tuple[str, ...]] = {
    "interaction_search": ("--seeds", "1"),
    "cell_step": ("--rounds", "5"),
    "ranking_step": (PAIRS, "--rounds", "3"),
    "serving": (PAIRS, "--rounds", "3"),
}
"""The scripts with the arguments of a turn."""
TIMES = ("seconds_per_epoch", "mean_seconds", "seconds", "triples")
"""The keys of a script's last line under which times stand."""


def pairs_of(folder: Path) -> Path:
    """Write the pairs of MovieLens 100K."""
    data, path = read("movielens"), folder / "pairs.csv"
    columns = {"user": data.users.decode(data.user), "item": data.items.decode(data.item)}
    pl.DataFrame(columns).write_csv(path)
    return path


def times_of(figures: Any, key: str = "", path: str = "") -> dict[str, float]:
    """Return the seconds in a script's figures by a name; rates as the seconds of one."""
    found: dict[str, float] = {}
    for name, value in figures.items() if isinstance(figures, dict) else ():
        where = f"{path} {name}".strip()
        if isinstance(value, dict):
            found |= times_of(value, name if name in TIMES else key, where)
        elif isinstance(value, int | float) and (name if name in TIMES else key):
            found[where] = 1 / value if "triples" in where else float(value)
    return found


def turn(tree: Path, script: str, pairs: Path, threads: int) -> dict[str, float]:
    """Run a script of a tree, and return its times."""
    words = [str(pairs) if word == PAIRS else word for word in SCRIPTS[script]]
    command = [sys.executable, str(tree / "benchmarks" / f"{script}.py"), *words, "--threads", str(threads)]
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} of {tree} failed:\n{done.stderr}")
    return times_of(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, help="the other tree")
    parser.add_argument("--scripts", default=",".join(SCRIPTS), help="names with commas between (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each tree (default 5)")
    parser.add_argument("--pairs", type=Path, help="file of users and items (default: MovieLens 100K's)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--within", type=float, default=0.05, help="ratios further from 1 are marked (default 0.05)")
    options = parser.parse_args()
    trees = {"old": options.old.resolve(), "new": HERE}
    wanted = options.scripts.split(",")
    if unknown := [name for name in wanted if name not in SCRIPTS]:
        parser.error(f"no script {', '.join(unknown)}; there are {', '.join(SCRIPTS)}")
    rows: list[tuple[Any, ...]] = []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        needed = any(PAIRS in SCRIPTS[name] for name in wanted)
        pairs = (options.pairs.resolve() if options.pairs else pairs_of(Path(folder))) if needed else Path()
        for script in wanted:
            taken: dict[str, list[dict[str, float]]] = {"old": [], "new": []}
            for number in range(options.rounds):
                for which in ("old", "new") if number % 2 == 0 else ("new", "old"):
                    taken[which].append(turn(trees[which], script, pairs, options.threads))
            for name in taken["old"][0]:
                old, new = (median(each[name] for each in taken[which]) for which in ("old", "new"))
                mark = "" if abs(new / old - 1) <= options.within else "slower" if new > old else "faster"
                rows.append((script, name, old, new, new / old, mark))
                figures.setdefault(script, {})[name] = {"old": old, "new": new, "ratio": new / old}
            whole = geometric_mean(each["ratio"] for each in figures[script].values())
            rows.append((script, "all, geometric mean", "", "", whole, ""))
    columns = ("script", "what", "old: seconds", "new: seconds", "new / old", f"beyond {options.within:.0%}")
    finish("against", columns, rows, {"rounds": options.rounds, "scripts": figures})


if __name__ == "__main__":
    main()
