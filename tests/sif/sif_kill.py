"""Runs one search to the end, then again with kills at random moments; prints what each left, as one line of JSON.

Usage: python sif_kill.py CSV FOLDER KILLS SEED SETTINGS.  Processes are forks of this one: the libraries load once.
"""

import contextlib
import hashlib
import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sif.api import execute
from sif.cli.app import app
from sif.data import prepare
from sif.recipes import load_recipe
from sif.runs import RunDirectory

FILES = ("trace.jsonl", "genotype.json", "model.safetensors", "ids.json", "seen.npz")


def begin(csv: Path, folder: Path, changes: list[str]) -> None:
    """Start a run that saves its state after every step."""
    recipe = load_recipe("ratings", [f"dataset={json.dumps(str(csv))}", *changes])
    execute(recipe, prepare(recipe, device="cpu"), RunDirectory.create(folder, "run"), checkpoint_seconds=0.0)


def resume(folder: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        app(["search", "--resume", str(folder), "--device", "cpu", "--json"], standalone_mode=False)


def fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        torch.set_num_threads(1)
        work()
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def finish(child: int) -> None:
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a run failed")


def left(folder: Path) -> dict[str, Any]:
    """What should not depend on kills: files byte by byte, the result without seconds and memory."""
    result = json.loads((folder / "result.json").read_text())
    del result["seconds"], result["peak_memory_mb"]
    for row in result["baselines"].values():
        del row["seconds"]
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    return {"result": result, "files": files, "names": sorted(path.name for path in folder.iterdir())}


def main() -> None:
    csv, folder, kills, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    changes: list[str] = json.loads(sys.argv[5])
    began = time.perf_counter()
    finish(fork(lambda: begin(csv, folder / "whole", changes)))
    seconds = time.perf_counter() - began
    moments, runs = random.Random(seed), []
    for number in range(kills):
        path, moment = folder / f"killed-{number}", moments.random()
        child = fork(lambda path=path: begin(csv, path, changes))
        time.sleep(moment * seconds)
        os.kill(child, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        saved = (path / "recipe.toml").is_file()
        state = sorted(file.name for file in (path / "checkpoint").glob("*")) if saved else []
        finish(fork(lambda path=path, saved=saved: resume(path) if saved else begin(csv, path, changes)))
        runs.append({"moment": moment, "killed": killed, "saved": saved, "state": state, "left": left(path)})
    print(json.dumps({"seconds": seconds, "whole": left(folder / "whole"), "runs": runs}))


if __name__ == "__main__":
    main()
