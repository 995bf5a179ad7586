import pytest

from sif.datasets import catalogue, find_entry
from sif.datasets.catalogue import read_entry_file
from sif.errors import DataError
from sif.resources import resource_dir


def test_all_editions_smallest_first():
    editions = ["100k", "1m", "10m", "20m", "25m", "latest-small", "latest"]
    assert list(catalogue()) == [f"movielens-{edition}" for edition in editions]
    assert sorted(path.stem for path in resource_dir("data").glob("*.toml")) == sorted(catalogue())


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.name)
def test_every_entry_is_complete(entry):
    assert entry.url == f"https://files.grouplens.org/datasets/movielens/{entry.archive}"
    assert "Harper" in entry.cite
    assert "research" in entry.licence
    assert (entry.sha256 is None) == ("latest" in entry.name) == (entry.size is None)
    assert abs(sum(entry.split.fractions) - 1) < 1e-9


def test_names_and_aliases_are_unique_and_find_their_entry():
    names = [name for entry in catalogue().values() for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))
    assert find_entry("movielens") == find_entry("ML-100K") == find_entry("movielens-100k")


def test_unknown_name():
    with pytest.raises(
        DataError, match=r'no data set is called "ml-2m"\n  Did you mean ml-[0-9]*m[?] Known: movielens-100k'
    ):
        find_entry("ml-2m")
    with pytest.raises(DataError, match='no data set is called "zzz"\n  Known: movielens-100k'):
        find_entry("zzz")


def test_the_config_is_closed(tmp_path):
    text = (resource_dir("data") / "movielens-1m.toml").read_text()
    path = tmp_path / "bad.toml"
    path.write_text(text.replace("homepage", "homepag").replace("header = false", "header = 3", 1))
    with pytest.raises(DataError) as error:
        read_entry_file(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{path} has 3 problems"
    assert "  homepag  unknown key. Did you mean homepage?" in lines
    assert "  homepage  Field required" in lines
    assert any(line.startswith("  ratings.header  Input should be a valid boolean") for line in lines)


def test_broken_toml(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("name = \n")
    with pytest.raises(DataError, match=r"bad\.toml is not TOML: Invalid value \(at line 1"):
        read_entry_file(path)


@pytest.mark.parametrize("name", ["../up", "/root", "a/b", ".hidden"])
def test_an_entry_cannot_point_outside_the_root(tmp_path, name):
    text = (resource_dir("data") / "movielens-1m.toml").read_text()
    path = tmp_path / "bad.toml"
    path.write_text(text.replace('folder = "ml-1m"', f'folder = "{name}"'))
    with pytest.raises(DataError, match="folder  String should match pattern"):
        read_entry_file(path)
