"""Text as numbered words: the Penn Treebank, WikiText-2, folders of one's own."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sif.datasets.bundle import Bundle, altered, located
from sif.datasets.entries import CorpusEntry
from sif.datasets.texts import TEXT_PARTS, cut_lines, find_parts, lines_of
from sif.errors import DataError

__all__ = ["EOS", "TEXT_PARTS", "UNKNOWN", "Corpus", "limited", "read_corpus"]

EOS = "<eos>"
UNKNOWN = "<unk>"
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
        for part in TEXT_PARTS:
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
        for part in TEXT_PARTS:
            tokens = getattr(self, part).cpu().numpy().astype("<i8")
            digest.update(f"\n{len(tokens)}\n".encode())
            digest.update(tokens.data)
        return digest.hexdigest()


def read_corpus(
    source: "str | Path | Corpus", root: Path | None = None, *, vocabulary: int | None = None, min_count: int = 1
) -> Corpus:
    """Read a text in three parts and number its words.

    Words stand between blanks, in UTF-8 (or UTF-16 with its mark); the end of each line, an empty one too, is the word
    `<eos>`. Words are numbered as the training part first shows them. A word of the other parts that is not among them
    becomes `<unk>` where the training part has that word.

    Args:
        source: A folder or a zip or tar archive with `train.txt`, `valid.txt` and `test.txt` (or `ptb.train.txt`,
            `wiki.train.tokens`, `dev.txt.gz`, ...); one file of text, of which the last fifth becomes the other two
            parts; or the name of a catalogued data set when no file has it.
        root: Where the files of a catalogued data set lie, or are fetched to.
        vocabulary: How many words there are at most, `<eos>` and `<unk>` among them: the most frequent of the training
            part, the first seen where counts are equal. The others become `<unk>`.
        min_count: Words that the training part has less often become `<unk>`.

    Returns:
        The text; `notes` say how it was cut and what became `<unk>`.

    Raises:
        DataError: Where parts are missing, empty or not UTF-8, and (with words and lines) where they have words that
            the training part has not and there is no `<unk>` in it.
    """
    if isinstance(source, Corpus):
        return limited(source, vocabulary, min_count)
    path, entry = located(source, CorpusEntry, root)
    with Bundle(path, plain=True) as bundle:
        files = find_parts(bundle)
        texts = [lines_of(bundle, file) for file in files]
        where = [bundle.where(file) for file in files]
        notes = () if entry is None else altered(bundle, entry)
    if one := len(files) == 1:
        texts, note = cut_lines(texts[0], where[0])
        where, notes = [f"{where[0]} ({part})" for part in TEXT_PARTS], (note,)
    numbers, tokens = dict[str, int](), list[Tensor]()
    for lines in texts:
        listed = [numbers.setdefault(word, len(numbers)) for line in lines for word in (*line, EOS)]
        tokens.append(torch.from_numpy(np.array(listed, np.int64)))
    name = entry.name if entry is not None else path.resolve().name.split(".")[0]
    made = Corpus(name, tuple(numbers), tokens[0], tokens[1], tokens[2], str(path), notes)
    if entry is not None:
        return limited(_check_whole(_known(made, 1), entry), vocabulary, min_count)
    if one and UNKNOWN not in numbers and min_count == 1 and int(tokens[0].max()) < len(numbers) - 1:
        min_count = 2  # the cut is ours, so its strangers are too
    made = limited(made, vocabulary, min_count)
    try:
        return _known(made, min_count)
    except _StrangersError as error:
        raise DataError(_strangers(texts, where, error.words)) from None


class _StrangersError(Exception):
    """The training part lacks these words, and has no `<unk>`."""

    def __init__(self, words: set[str]) -> None:
        self.words = words


def limited(corpus: Corpus, vocabulary: int | None, min_count: int) -> Corpus:
    """Return a text with its rare words as `<unk>`, and notes on how many; see `read_corpus`."""
    if vocabulary is not None and vocabulary < 3:
        raise DataError(f"vocabulary = {vocabulary}: {EOS}, {UNKNOWN} and one word are the least\n  Give 3 or more.")
    counts = torch.bincount(corpus.train, minlength=len(corpus.words))
    always = torch.tensor([word in (EOS, UNKNOWN) for word in corpus.words])
    keep = always | (counts >= min_count) | (counts == 0)  # what the training part lacks has its own rule
    needed = UNKNOWN not in corpus.words and bool((~keep | (counts == 0)).any())
    known = int((keep & (counts > 0)).sum()) + needed
    if vocabulary is not None and known > vocabulary:
        ranked = torch.where(always, torch.iinfo(torch.int64).max, counts * keep).argsort(descending=True, stable=True)
        most = vocabulary - (UNKNOWN not in corpus.words)
        keep = torch.zeros_like(keep).scatter_(0, ranked[:most], True)
    if bool(keep.all()):
        return corpus
    made, shares = _renumbered(corpus, keep), list[str]()
    for part in TEXT_PARTS:
        lost = int((~keep[getattr(corpus, part)]).sum())
        shares.append(f"{100 * lost / len(getattr(corpus, part)):.1f} % of {part}")
    rare = int((~keep & (counts > 0)).sum())
    note = f"{rare} rare words of {int((counts > 0).sum())} became {UNKNOWN}: {', '.join(shares)}"
    return replace(made, notes=(*corpus.notes, note))


def _known(corpus: Corpus, min_count: int) -> Corpus:
    """Give words that the training part has not to `<unk>`, with a note on how many tokens they are."""
    counts = torch.bincount(corpus.train, minlength=len(corpus.words))
    strangers = counts == 0
    unknown = corpus.words.index(UNKNOWN) if UNKNOWN in corpus.words else None
    if unknown is not None and min_count > 1:
        strangers[unknown] = False
    if not bool(strangers.any()):
        return corpus
    words = {word for word, strange in zip(corpus.words, strangers.tolist(), strict=True) if strange}
    if min_count == 1 and (unknown is None or bool(strangers[unknown])):
        raise _StrangersError(words)
    notes = list(corpus.notes)
    for part in TEXT_PARTS[1:]:
        tokens = getattr(corpus, part)
        lost = int(strangers[tokens].sum())
        if lost:
            share = f"{100 * lost / len(tokens):.1f} %"
            notes.append(
                f"{part} has {lost} words ({share}) that the training part has not: they are read as {UNKNOWN}"
            )
    return replace(_renumbered(corpus, ~strangers), notes=tuple(notes))


def _renumbered(corpus: Corpus, keep: Tensor) -> Corpus:
    """Return the text with the kept words alone, in the order they had, and `<unk>` for the others."""
    words = [word for word, kept in zip(corpus.words, keep.tolist(), strict=True) if kept]
    if UNKNOWN not in words:
        words.append(UNKNOWN)
    numbers = torch.full((len(keep),), words.index(UNKNOWN))
    numbers[keep] = torch.arange(int(keep.sum()))
    train, valid, test = (numbers[getattr(corpus, part)] for part in TEXT_PARTS)
    return replace(corpus, words=tuple(words), train=train, valid=valid, test=test)


def _strangers(texts: list[list[list[str]]], where: list[str], words: set[str]) -> str:
    problems = []
    for place, lines in zip(where[1:], texts[1:], strict=True):
        found = dict[str, int]()
        for number, line in enumerate(lines, 1):
            for word in line:
                if word in words:
                    found.setdefault(word, number)
        if found:
            shown = [f'\n  line {line}  "{word[:60]}"' for word, line in found.items()]
            more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            one = len(found) == 1
            problems.append(
                f"{place} has {len(found)} word{'' if one else 's'} that the training part has not, and there is no "
                f"{UNKNOWN} to stand for {'it' if one else 'them'}{''.join(shown[:_SHOWN])}{more}"
            )
    fix = (
        f"  --set text.min_count=2 reads words that training has once as {UNKNOWN}; or write {UNKNOWN} for rare words."
    )
    return "\n".join([*problems, fix])


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
