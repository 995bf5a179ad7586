"""Text of one's own: names of parts, one file, encodings, unknown words, vocabulary limits."""

import codecs
import gzip
import zipfile
from pathlib import Path

import pytest

from sif.datasets import Corpus, read_corpus
from sif.errors import DataError

PARTS = {"train": "the cat sat\n\nthe <unk> ran\n", "valid": "the cat ran\n", "test": "<unk> cat\n"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **names: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for part, text in PARTS.items():
        content = text.encode()
        name = names.get(part, f"{part}.txt")
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(folder)


def spoken(corpus: Corpus, part: str) -> str:
    return " ".join(corpus.words[token] for token in getattr(corpus, part))


@pytest.mark.parametrize(
    "names",
    [
        {"valid": "val.txt"},
        {"valid": "dev.txt", "test": "test.txt.gz"},
        {"train": "my.train.tokens", "valid": "my.validation.tokens", "test": "my.test.tokens"},
        {"train": "Train.TXT", "valid": "VAL.txt", "test": "Test.txt"},
        {"train": "wiki.train.raw.gz", "valid": "wiki.valid.raw", "test": "wiki.test.raw"},
        {"train": "a_train.txt", "valid": "a_dev.txt", "test": "a_test.txt"},
    ],
)
def test_parts_go_by_their_usual_names(here: Path, names: dict[str, str]):
    plain = read_corpus(write(here / "plain"))
    (here / "other").mkdir()
    (here / "other" / "README.md").write_text("about")
    assert read_corpus(write(here / "other", **names)).fingerprint() == plain.fingerprint()


def test_one_of_two_texts_is_not_guessed(here: Path):
    write(here / "mine", train="a.train.txt", valid="a.valid.txt", test="a.test.txt")
    write(here / "mine", train="b.train.txt", valid="b.valid.txt", test="b.test.txt")
    with pytest.raises(DataError, match=r"mine holds 2 texts: a\.\{\}\.txt, b\.\{\}\.txt"):
        read_corpus("mine")


def test_one_part_given_as_a_file_is_told_the_folder(here: Path):
    write(here / "mine")
    with pytest.raises(DataError, match=r"is one of train\.txt, valid\.txt, test\.txt\n  Give .*: --data mine$"):
        read_corpus("mine/train.txt")


def lines(count: int = 100) -> str:
    return "".join(f"line of number {number % 7} and more\n" for number in range(count))


@pytest.mark.parametrize("where", ["book.txt", "book.txt.gz", "folder", "packed.zip"])
def test_one_text_is_cut_at_ends_of_lines(here: Path, where: str):
    (here / "book.txt").write_text(lines())
    (here / "book.txt.gz").write_bytes(gzip.compress(lines().encode()))
    (here / "folder").mkdir()
    (here / "folder" / "a.txt").write_text(lines())
    with zipfile.ZipFile("packed.zip", "w") as opened:
        opened.writestr("a.txt", lines())
        opened.writestr("__MACOSX/._a.txt", "x")
    found = read_corpus(where)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [560, 70, 70]
    assert f"{spoken(found, 'train')} {spoken(found, 'valid')} {spoken(found, 'test')}" == " ".join(
        lines().replace("\n", " <eos> ").split()
    )
    note = "one text: its first 560 words and ends of lines are for training, 70 for validation, 70 for testing"
    assert found.notes == (note,)


def test_one_long_line_is_cut_within(here: Path):
    (here / "book.txt").write_text("a b c d e " * 200)
    found = read_corpus("book.txt")
    assert [len(part) for part in (found.train, found.valid, found.test)] == [801, 101, 101]


def test_strangers_of_one_text_become_unknown(here: Path):
    (here / "book.txt").write_text(lines(99) + "zebra once\n")
    found = read_corpus("book.txt")
    assert spoken(found, "test").endswith("<unk> <unk> <eos>")
    assert found.notes[-1] == ("test has 2 words (3.0 %) that the training part has not: they are read as <unk>"), (
        "it is never trained, but there"
    )
    (here / "short.txt").write_text("a b\n")
    with pytest.raises(DataError, match=r"short\.txt has 3 words and ends of lines, too few for three parts"):
        read_corpus("short.txt")


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marked_encodings_and_ends_of_lines_change_nothing(here: Path, code: str, end: str):
    plain = read_corpus(write(here / "plain"))
    (here / "other").mkdir()
    for part, text in PARTS.items():
        (here / "other" / f"{part}.txt").write_bytes(text.replace("\n", end).encode(code))
    assert read_corpus("other").fingerprint() == plain.fingerprint()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("the café\n".encode("latin-1"), "line 1: not UTF-8\n  Save the file as UTF-8"),
        ("the cat\n".encode("utf-16-le"), "holds zero bytes: it is no text, or UTF-16 without its mark"),
        (codecs.BOM_UTF16_LE + b"a", "line 1: not UTF-16"),
        (b"", "has no words"),
    ],
)
def test_what_is_no_text(here: Path, content: bytes, text: str):
    write(here / "mine")
    (here / "mine" / "train.txt").write_bytes(content)
    with pytest.raises(DataError, match=text):
        read_corpus("mine")


def test_a_damaged_gzip(here: Path):
    write(here / "mine", test="test.txt.gz")
    (here / "mine" / "test.txt.gz").write_bytes(gzip.compress(b"a" * 1000)[:-6])
    with pytest.raises(DataError, match=r"mine/test\.txt\.gz is cut short or damaged"):
        read_corpus("mine")


def test_a_vocabulary_keeps_the_most_frequent_words(here: Path):
    (here / "mine").mkdir()
    for part, text in {"train": "a a a b b c d\n", "valid": "a b c\n", "test": "d e\n"}.items():
        (here / "mine" / f"{part}.txt").write_text(text)
    with pytest.raises(DataError, match=r"--set text\.min_count=2 reads words that training has once as <unk>"):
        read_corpus("mine")
    found = read_corpus("mine", min_count=2)
    assert (found.words, spoken(found, "valid")) == (("a", "b", "<eos>", "<unk>"), "a b <unk> <eos>")
    assert spoken(found, "train") == "a a a b b <unk> <unk> <eos>"
    assert found.notes == (
        "2 rare words of 5 became <unk>: 25.0 % of train, 25.0 % of valid, 33.3 % of test",
        "test has 1 words (33.3 %) that the training part has not: they are read as <unk>",
    )
    assert read_corpus("mine", vocabulary=4).words == found.words
    assert read_corpus("mine", vocabulary=5).words == ("a", "b", "c", "<eos>", "<unk>")
    assert read_corpus(found, vocabulary=3).words == ("a", "<eos>", "<unk>")
    assert read_corpus(found, vocabulary=99) is found
    with pytest.raises(DataError, match="vocabulary = 2: <eos>, <unk> and one word are the least"):
        read_corpus("mine", vocabulary=2)
