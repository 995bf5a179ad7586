"""What lies on disk: whole files or none, no pickle, and errors that say what is missing."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sif
from nasp_core.loop import Observer
from sif.checkpoint import load_tree, save_tree, write_atomically
from sif.errors import RunError
from sif.run_directory import RunDirectory
from sif.runs.stages import Stages


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "state"
    save_tree(path, {"step": 1})
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    for name in ("os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(name, full)
            with pytest.raises(OSError, match="no space left"):
                save_tree(path, {"step": 2, "large": torch.zeros(1000)})
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["state"]
    save_tree(path, {"step": 2})
    assert load_tree(path) == {"step": 2}


def test_a_killed_write_leaves_the_old_file(tmp_path: Path):
    """SIGKILL when the new content is written, but not yet in its place."""
    path = tmp_path / "state"
    path.write_text("old")
    script = (
        "import os, signal, sys; from pathlib import Path; from sif.checkpoint import write_atomically\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_atomically(Path({str(path)!r}), 'new' * 1000)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
trees = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@settings(max_examples=30, deadline=None)
@given(trees, st.lists(st.integers(0, 3), max_size=3))
def test_a_tree_comes_back(tmp_path_factory: pytest.TempPathFactory, tree: Any, shape: list[int]):
    path = tmp_path_factory.mktemp("tree") / "state"
    tensors = [torch.randn(shape), torch.arange(4).view(2, 2).T, torch.tensor(True), torch.zeros((), dtype=torch.uint8)]
    save_tree(path, {"plain": tree, "tensors": tensors})
    back = load_tree(path)
    assert back["plain"] == tree
    for one, two in zip(tensors, back["tensors"], strict=True):
        assert one.dtype == two.dtype
        assert torch.equal(one, two)


def test_garbage_is_no_state(tmp_path: Path):
    from safetensors.torch import save

    path = tmp_path / "state"
    for content in (b"", b"garbage", b"\x80\x04pickle", os.urandom(4096), b"\xff" * 16):
        path.write_bytes(content)
        with pytest.raises(RunError, match=f"cannot read {path}"):
            load_tree(path)
    path.write_bytes(save({"a": torch.zeros(2)}))
    with pytest.raises(RunError, match="is not a saved state of sif: it has no tree in its header"):
        load_tree(path)
    for tree in ("{", '{"a": {"__tensor__": "7"}}'):
        path.write_bytes(save({"0": torch.zeros(2)}, metadata={"tree": tree}))
        with pytest.raises(RunError, match="the tree in its header is damaged"):
            load_tree(path)
    save_tree(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RunError, match="cannot read"):
        load_tree(path)
    with pytest.raises(RunError, match="cannot read"):
        load_tree(tmp_path / "gone")


def test_no_file_of_a_run_is_a_pickle(finished: sif.Run):
    for path in finished.path.iterdir():
        content = path.read_bytes()
        assert not content.startswith(b"\x80")
        assert b"torch._utils" not in content


def test_stages_run_once(tmp_path: Path):
    calls: list[Any] = []

    def compute(observer: Any, resume: Any) -> dict[str, Any]:
        calls.append(resume)
        observer.save({"step": 3})
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {"answer": torch.ones(2)}

    directory = RunDirectory.create(tmp_path / "run", "run")
    with pytest.raises(KeyboardInterrupt):
        Stages(directory, Observer()).run("train l2=0.03", compute)
    for _ in range(2):
        outcome = Stages(directory, Observer()).run("train l2=0.03", compute)
        assert outcome["answer"].tolist() == [1.0, 1.0]
    assert calls == [None, {"step": 3}]
    (name,) = [path.name for path in (tmp_path / "run" / "checkpoint").iterdir()]
    assert re.fullmatch(r"train-l2=0\.03-[0-9a-f]{12}\.safetensors", name)


def test_settings_that_agree_in_six_digits_are_two_stages():
    from sif.runs.engine import _text

    assert _text({"l2": 0.03}) != _text({"l2": 0.03000001})


def test_what_a_run_directory_lacks(run_copy: Path):
    (run_copy / "result.json").write_text("{")
    with pytest.raises(RunError, match=r"result\.json is damaged at line 1"):
        sif.load(run_copy)
    (run_copy / "result.json").unlink()
    with pytest.raises(RunError, match=r"did not finish\. Go on with: sif search --resume"):
        sif.load(run_copy)
    (run_copy / "recipe.toml").unlink()
    with pytest.raises(RunError, match="is not a run directory"):
        sif.load(run_copy)


@pytest.mark.parametrize("name", ["ids.json", "seen.npz", "genotype.json", "model.safetensors"])
def test_a_lost_file(name: str, run_copy: Path):
    (run_copy / name).unlink()
    with pytest.raises(RunError, match=rf"lacks its {name}|cannot read .*{name}"):
        sif.load(run_copy).recommend("u03", 3)


def test_a_damaged_genotype(run_copy: Path):
    (run_copy / "genotype.json").write_text("{}")
    with pytest.raises(RunError, match=r"genotype\.json: not a genotype: it lacks space"):
        sif.load(run_copy)


def test_create_refuses_what_is_there(tmp_path: Path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    for name in ("file", "full"):
        with pytest.raises(RunError, match="exists and is not empty; give another --out, or go on with --resume"):
            RunDirectory.create(tmp_path / name, "run")
    (tmp_path / "empty").mkdir()
    assert RunDirectory.create(tmp_path / "empty", "run").path.is_dir()


def test_write_atomically_replaces_text_and_bytes(tmp_path: Path):
    for content in ("text é\n", b"\x00bytes", ""):
        write_atomically(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == (content.encode() if isinstance(content, str) else content)


def test_ids_and_seen_are_what_serving_needs(finished: sif.Run):
    from scipy import sparse

    ids = json.loads((finished.path / "ids.json").read_text())
    assert ids["users"] == sorted(ids["users"])
    assert len(ids["items"]) == 18
    seen = sparse.load_npz(finished.path / "seen.npz")
    assert (seen.shape, seen.nnz, set(seen.data)) == ((24, 18), 300, {1.0})
