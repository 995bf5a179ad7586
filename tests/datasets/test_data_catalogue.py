import re

import pytest

from sif.datasets import catalogue, find_entry
from sif.datasets.catalogue import entries, find, read_entry_file
from sif.datasets.entries import CorpusEntry, PicturesEntry, RatingsEntry
from sif.errors import DataError
from sif.resources import resource_dir


def test_all_editions_smallest_first():
    editions = ["100k", "1m", "10m", "20m", "25m", "latest-small", "latest"]
    assert list(entries(RatingsEntry)) == [f"movielens-{edition}" for edition in editions]
    assert list(entries(PicturesEntry)) == ["cifar10", "cifar100", "fashion-mnist", "tiny-imagenet"]
    assert list(entries(CorpusEntry)) == ["ptb", "wikitext-2"]
    assert list(catalogue()) == [*entries(RatingsEntry), *entries(PicturesEntry), *entries(CorpusEntry)]
    assert sorted(path.stem for path in resource_dir("data").glob("*.toml")) == sorted(catalogue())


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.name)
def test_every_entry_says_whence_and_on_what_terms(entry):
    assert "No data ships with this package" in entry.licence
    assert re.search(r"\b(19|20)\d\d\b", entry.cite)
    assert all(wanted.url.startswith("http") and wanted.url.endswith(wanted.file) for wanted in entry.downloads)
    assert all(wanted.checksum for wanted in entry.downloads) == ("latest" not in entry.name)


@pytest.mark.parametrize("entry", entries(RatingsEntry).values(), ids=lambda entry: entry.name)
def test_every_entry_of_ratings_is_complete(entry):
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


def test_a_data_set_of_another_kind():
    with pytest.raises(DataError) as error:
        find("cifar-10", RatingsEntry)
    assert str(error.value) == (
        "cifar10 (CIFAR-10) holds pictures, not ratings\n"
        f"  Give {', '.join(entries(RatingsEntry))} or data of your own; "
        'sif.datasets.read_pictures("cifar10") reads CIFAR-10.'
    )
    with pytest.raises(DataError, match=r"ptb \(Penn Treebank\) holds text, not pictures\n"):
        find("ptb", PicturesEntry)
    with pytest.raises(DataError, match=r"movielens-1m \(MovieLens 1M\) holds ratings, not text\n"):
        find("ml-1m", CorpusEntry)
    with pytest.raises(DataError, match='no data set is called "cifar11"\n  Did you mean cifar10'):
        find("cifar11", PicturesEntry)


def test_an_entry_has_one_kind_and_one_source(tmp_path):
    text = (resource_dir("data") / "cifar10.toml").read_text()
    path = tmp_path / "bad.toml"
    for before, after, problem in (
        ('kind = "pictures"', "", "kind  Unable to extract tag using discriminator 'kind'"),
        ('kind = "pictures"', 'kind = "music"', "kind  Input tag 'music' found using 'kind' does not match any of"),
        ('archive = "cifar-10-binary.tar.gz"', "", "entry  Value error, give either archive or files"),
        ("marker", "markr", "markr  unknown key. Did you mean marker?"),
    ):
        path.write_text(text.replace(before, after))
        with pytest.raises(DataError, match=re.escape(problem)):
            read_entry_file(path)
