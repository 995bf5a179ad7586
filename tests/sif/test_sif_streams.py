"""Streams as programs meet them: encodings without the letters, closed ends, full disks. One message, an exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sif_samples import TINY

import sif

ROOT = Path(__file__).parents[2]


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    program = f"{sys.executable} -m sif"
    given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    script = f'set -o pipefail; sif() {{ {program} "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", script], cwd=folder, env=given, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose items are called in letters that few encodings have."""
    folder = tmp_path_factory.mktemp("far")
    rows = [f"u{u},電影 {i},{1 + (u * i) % 5}" for u in range(8) for i in range(8) if (u + i) % 2]
    (folder / "far.csv").write_text("user,item,rating\n" + "\n".join(rows) + "\n", encoding="utf-8")
    sif.search(folder / "far.csv", settings=TINY, out=folder / "run", device="cpu")
    return folder


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8"])
def test_letters_that_the_stream_lacks_are_escaped(encoding: str, far: Path):
    result = shell("sif recommend run --user u3 -k 2", far, PYTHONIOENCODING=encoding)
    assert (result.returncode, b"Error" in result.stderr) == (0, False)
    item = "電影".encode(encoding, "backslashreplace")
    assert item in result.stdout


def test_an_error_with_letters_that_stderr_lacks(far: Path):
    result = shell("sif recommend run --user 電影", far, PYTHONIOENCODING="ascii")
    assert result.returncode == 2
    assert b'DataError: user "\\u96fb\\u5f71" is unknown' in result.stderr


def test_without_utf8_mode_in_the_c_locale(far: Path):
    result = shell("sif recommend run --user u3 -k 2", far, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (result.returncode, b"Error" in result.stderr) == (0, False)


VERBS = ["recommend run --user u3", "evaluate run --json", "recipes cat ptb", "strategies ls", "--help", "doctor"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_stdout_is_no_error(verb: str, far: Path):
    result = shell(f"sif {verb} >&-", far)
    assert (result.returncode, b"Error" in result.stderr) == (0, False)


def test_closed_streams_do_not_reach_the_files_of_a_run(far: Path):
    """The first file that is opened would get the number of a closed stream, and what is printed."""
    sets = " ".join(f"--set {key}={str(value).lower()}" for key, value in TINY.items())
    result = shell(f"sif search far.csv {sets} --out closed <&- >&- 2>&-", far)
    assert result.returncode == 0
    assert sif.load(far / "closed").recommend("u3", 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_one_message(verb: str, far: Path):
    result = shell(f"sif {verb} > /dev/full", far)
    assert (result.returncode, result.stderr) == (1, b"cannot write the output: No space left on device\n")


@pytest.mark.parametrize("verb", ["recipes cat ptb", "strategies ls --json", "strategies ls"])
def test_a_reader_that_goes_is_no_message(verb: str, far: Path):
    result = shell(f"sif {verb} | true", far)
    assert (result.returncode, result.stderr) == (141, b"")


def test_a_folder_that_cannot_be_written_is_one_message(far: Path, monkeypatch: pytest.MonkeyPatch):
    from typer.testing import CliRunner

    from sif.cli import app

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "run/model.safetensors")

    monkeypatch.setattr("sif.problems.tables.save_tree", full)
    result = CliRunner().invoke(app, ["train", str(far / "run")])
    assert result.exit_code == 1
    assert result.stderr == "cannot write run/model.safetensors: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["20", "40"])
def test_a_narrow_window_and_no_colour(columns: str, far: Path):
    result = shell("sif recommend run --user u3 -k 2", far, COLUMNS=columns, NO_COLOR="1", PYTHONIOENCODING="utf-8")
    assert result.returncode == 0
    assert b"\x1b" not in result.stdout
