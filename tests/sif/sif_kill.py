"""Runs one search to the end, then again with kills at random moments; prints what each left, as one line of JSON.

Usage: python sif_kill.py RECIPE DATA FOLDER KILLS SEED SETTINGS search|train.  With `train`, it is the training of a
finished run's best architecture that is killed. Processes are forks of this one: the libraries load once.
"""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sif.api import execute
from sif.cli.app import app
from sif.problems import open_recipe
from sif.recipes import load_recipe
from sif.run_directory import RunDirectory
from sif.runs.after import retrain

KEPT = (".toml", ".json", ".jsonl", ".safetensors", ".npz")
NOT_COMPARED = ("recipe.toml", "result.json")  # they hold a path, seconds and memory


def begin(recipe: str, data: Path, folder: Path, changes: list[str]) -> None:
    """Start a run that saves its state after every step."""
    given = load_recipe(recipe, [f"dataset={json.dumps(str(data))}", *changes])
    execute(open_recipe(given, device="cpu"), RunDirectory.create(folder, "run"), checkpoint_seconds=0.0)


def resume(folder: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        app(["search", "--resume", str(folder), "--device", "cpu", "--json"], standalone_mode=False)


def train(folder: Path) -> None:
    """Train the best architecture of a finished run again, saving the state after every step."""
    retrain(folder, epochs=4, seed=3, device="cpu", checkpoint_seconds=0.0)


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
    for table in (result, *result.get("rows", {}).values()):
        table.pop("seconds")
    (result.get("retrained") or {}).pop("seconds", None)
    del result["peak_memory_mb"]
    kept = [p for p in folder.iterdir() if p.suffix in KEPT and p.name not in NOT_COMPARED]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(kept)}
    return {"result": result, "files": files, "names": sorted(path.name for path in folder.iterdir())}


def killed_and_resumed(
    path: Path, work: Callable[[], None], go_on: Callable[[bool], None], moment: float, seconds: float
) -> dict[str, Any]:
    """Fork `work`, kill it at `moment` of its length, go on, and say what is left."""
    child = fork(work)
    time.sleep(moment * seconds)
    os.kill(child, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    saved = (path / "recipe.toml").is_file()
    state = sorted(file.name for kept in ("checkpoint", "retraining") for file in (path / kept).glob("*"))
    finish(fork(lambda: go_on(saved)))
    return {"moment": moment, "killed": killed, "saved": saved, "state": state, "left": left(path)}


def main() -> None:
    recipe, data, folder, kills, seed = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:6])
    changes: list[str] = json.loads(sys.argv[6])
    retraining = sys.argv[7] == "train"
    moments, runs = random.Random(seed), []
    whole = folder / "whole"
    began = time.perf_counter()
    finish(fork(lambda: begin(recipe, data, whole, changes)))
    if retraining:
        shutil.copytree(whole, folder / "found")
        began = time.perf_counter()
        finish(fork(lambda: train(whole)))
    seconds = time.perf_counter() - began
    for number in range(kills):
        path, moment = folder / f"killed-{number}", moments.random()
        if retraining:
            shutil.copytree(folder / "found", path)
            outcome = killed_and_resumed(
                path, lambda path=path: train(path), lambda saved, path=path: train(path), moment, seconds
            )
        else:
            outcome = killed_and_resumed(
                path,
                lambda path=path: begin(recipe, data, path, changes),
                lambda saved, path=path: resume(path) if saved else begin(recipe, data, path, changes),
                moment,
                seconds,
            )
        runs.append(outcome)
    print(json.dumps({"seconds": seconds, "whole": left(whole), "runs": runs}))


if __name__ == "__main__":
    main()
