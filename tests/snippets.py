"""Runs snippets of the docs, each in a process of its own that is forked after the libraries loaded, but for sif.

Each line of standard input is a job as JSON: `folder`, and `code` to run or `words` of a `sif` command. The answer is a
line of JSON: `status`, and what it wrote as `errors`. To load torch anew takes longer than most snippets.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy  # noqa: F401
import polars  # noqa: F401
import pydantic.json_schema  # noqa: F401
import rich.table  # noqa: F401
import scipy.sparse  # noqa: F401
import torch
import torch._dynamo
import typer  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent


def run(job: dict[str, Any]) -> None:
    """Run code as a script of its own, or the command line."""
    os.chdir(job["folder"])
    torch.set_num_threads(1)
    if "words" in job:
        sys.argv = ["sif", *job["words"]]
        runpy.run_module("sif", run_name="__main__", alter_sys=True)
        return
    script = ModuleType("__main__")
    sys.modules["__main__"] = script
    sys.path[0] = ""
    exec(compile(job["code"], "<snippet>", "exec"), vars(script))


def forked(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job in a fork; return how it ended, and what it wrote on standard error."""
    with tempfile.TemporaryFile() as errors, open(os.devnull, "wb") as nowhere:
        child = os.fork()
        if not child:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            status = 1
            try:
                run(job)
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:  # noqa: BLE001 (whatever it was, it is told, and this process ends)
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        errors.seek(0)
        return {"status": status, "errors": errors.read().decode(errors="replace")}


def main() -> None:
    """Answer jobs to the end of standard input."""
    sys.path.insert(1, str(ROOT))
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
