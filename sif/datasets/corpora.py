"""Text as numbered words: the Penn Treebank, WikiText-2, folders of one's own."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sif.datasets.bundle import Bundle, altered, located
from sif.datasets.entries import CorpusEntry
from sif.errors import DataError

__all__ = ["EOS", "UNKNOWN", "Corpus", "read_corpus"]

EOS = "<eos>"
UNKNOWN = "<unk>"
PARTS = ("train", "valid", "test")
_PATTERNS = ("ptb.{}.txt", "wiki.{}.tokens", "{}.txt")
_SHOWN = 5  # unknown words that one error lists


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """A text in three parts as numbers of words; `words[i]` is word i.

    Shapes: train, valid, test int64 [n] in 0..len(words)-1, each of two tokens or more.
    `notes` say, one sentence each, what reading found odd but usable.
    Raises DataError where a part has another type, is too short, or holds numbers that no word has.
    """

    name: str
    words: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor
    source: str = "memory"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in PARTS:
            tokens: Tensor = getattr(self, part)
            has = f"{tokens.dtype} {list(tokens.shape)}"
            if tokens.dtype != torch.int64 or tokens.ndim != 1 or len(tokens) < 2:
                raise DataError(f"{self.name}: {part} is {has}, a text is int64 [n] of 2 tokens or more")
            if int(tokens.min()) < 0 or int(tokens.max()) >= len(self.words):
                raise DataError(f"{self.name}: {part} holds numbers outside 0..{len(self.words) - 1}")

    def describe(self) -> dict[str, Any]:
        """Return counts of words and tokens as plain data, ready for JSON."""
        return {
            "name": self.name,
            "source": self.source,
            "notes": list(self.notes),
            "words": len(self.words),
            "train": len(self.train),
            "valid": len(self.valid),
            "test": len(self.test),
        }

    def fingerprint(self) -> str:
        """Return 16 hex digits of a BLAKE2b over the words and the tokens of all parts, in order."""
        digest = hashlib.blake2b(json.dumps([*self.words], ensure_ascii=True).encode(), digest_size=8)
        for part in PARTS:
            tokens = getattr(self, part).cpu().numpy().astype("<i8")
            digest.update(f"\n{len(tokens)}\n".encode())
            digest.update(tokens.data)
        return digest.hexdigest()


def read_corpus(source: "str | Path | Corpus", root: Path | None = None) -> Corpus:
    """Read a text in three parts and number its words.

    `source` is a folder or a zip or tar archive with `{train,valid,test}.txt` (or `ptb.train.txt`, ... or
    `wiki.train.tokens`, ...), or the name of a catalogued data set when no file has it (fetched if need be, under
    `root`). Words stand between blanks, in UTF-8; the end of each line, an empty one too, is the word `<eos>`.

    Words are numbered as the training part first shows them. A word of the other parts that is not among them becomes
    `<unk>` where the training part has that word. Raises DataError where it has not (with words and lines), and for a
    part that is missing, empty or not UTF-8.
    """
    if isinstance(source, Corpus):
        return source
    path, entry = located(source, CorpusEntry, root)
    with Bundle(path) as bundle:
        files = _files(bundle)
        lines = [_lines(bundle, file) for file in files]
        numbers: dict[str, int] = {}
        train = _numbered(lines[0], numbers)
        rest = [_looked_up(part, numbers, bundle.where(file)) for part, file in zip(lines[1:], files[1:], strict=True)]
        notes = () if entry is None else altered(bundle, entry)
    name = entry.name if entry is not None else path.resolve().name.split(".")[0]
    made = Corpus(name, tuple(numbers), train, rest[0], rest[1], str(path), notes)
    return made if entry is None else _check_whole(made, entry)


def _files(bundle: Bundle) -> list[str]:
    """The files of train, valid and test."""
    names = set(bundle.names())
    for pattern in _PATTERNS:
        wanted = [pattern.format(part) for part in PARTS]
        missing = [name for name in wanted if name not in names]
        if not missing:
            return wanted
        if len(missing) < len(wanted):
            raise DataError(
                f"{bundle.path} lacks {', '.join(missing)}\n  Put the missing in: all three parts are needed."
            )
    raise DataError(
        f"{bundle.path} holds no text in a form that is known here\n"
        f"  Give a folder with {', '.join(_PATTERNS[-1].format(part) for part in PARTS)}: words with blanks between."
    )


def _lines(bundle: Bundle, name: str) -> list[list[str]]:
    try:
        text = bundle.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{bundle.where(name)}, line {line}: not UTF-8\n  Save the file as UTF-8.") from error
    lines = [line.split() for line in text.removesuffix("\n").split("\n")]
    if not any(lines):
        raise DataError(f"{bundle.where(name)} has no words\n  Put text there, with blanks between the words.")
    return lines


def _numbered(lines: list[list[str]], numbers: dict[str, int]) -> Tensor:
    """Tokens int64 [n] of the training part; `numbers` takes its words up in the order of first sight."""
    return _tensor([numbers.setdefault(word, len(numbers)) for line in lines for word in (*line, EOS)])


def _looked_up(lines: list[list[str]], numbers: dict[str, int], where: str) -> Tensor:
    unknown = numbers.get(UNKNOWN, -1)
    tokens = _tensor([numbers.get(word, unknown) for line in lines for word in (*line, EOS)])
    if unknown >= 0 or int(tokens.min()) >= 0:
        return tokens
    strangers = dict[str, int]()
    for place, line in enumerate(lines, 1):
        for word in line:
            if word not in numbers:
                strangers.setdefault(word, place)
    shown = [f'\n  line {place}  "{word[:60]}"' for word, place in list(strangers.items())[:_SHOWN]]
    more = f"\n  and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""
    one = len(strangers) == 1
    raise DataError(
        f"{where} has {len(strangers)} word{'' if one else 's'} that the training part has not, and there is no "
        f"{UNKNOWN} to stand for {'it' if one else 'them'}{''.join(shown)}{more}\n"
        f"  Write {UNKNOWN} for rare words in all parts, the training part first."
    )


def _tensor(tokens: list[int]) -> Tensor:
    return torch.from_numpy(np.array(tokens, np.int64))


def _check_whole(made: Corpus, entry: CorpusEntry) -> Corpus:
    """A copy that was cut short, or edited, must not pass for the data set."""
    size = entry.size
    has = (len(made.words), len(made.train), len(made.valid), len(made.test))
    if has == (size.words, size.train, size.valid, size.test):
        return made
    raise DataError(
        f"{made.source} is not {entry.title}: it has {has[0]} words and {has[1]}, {has[2]} and {has[3]} tokens, the "
        f"data set has {size.words} and {size.train}, {size.valid} and {size.test}\n"
        f"  Fetch {entry.url} again; text of your own reads from a folder of another name."
    )
