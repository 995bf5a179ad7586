"""Does what an error says: what it prints to be typed is typed, what it prints as Python is run."""

import json
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

import sif
from sif.cli import app
from sif.datasets import ColumnNames, Interactions, read


def described(source: str | Path, *options: str) -> dict:
    """What `sif datasets describe` prints, as the user types it."""
    done = CliRunner().invoke(app, ["datasets", "describe", str(source), *options, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def followed(message: str, data, head: str = "Name columns so") -> Interactions:
    """What comes of reading `data` as the error says; every door that it names gives the same."""
    _, _, advice = message.partition(f"  {head}: ")
    first, *rest = advice.split("\n")
    python = first
    if first.startswith("--set"):
        python = rest[0].strip().removeprefix("In Python: ")
    found, settings = re.fullmatch(r"(sif\.read\(.*\)) or sif\.search\(data, settings=(\{.*\})\)", python).groups()
    made = eval(found, {"sif": sif, "data": data, "ColumnNames": ColumnNames})
    said = {key.removeprefix("columns."): name for key, name in eval(settings).items()}
    assert read(data, columns=ColumnNames(**said)).fingerprint() == made.fingerprint()
    if first.startswith("--set"):
        assert described(data, *shlex.split(first))["fingerprint"] == made.fingerprint()
    return made
