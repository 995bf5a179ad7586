"""Files of text: which is which part, their encoding and lines, and one text cut into three parts."""

import codecs
import gzip
import re
from bisect import bisect_left
from itertools import accumulate

from sif.datasets.bundle import PARTS as NAMES
from sif.datasets.bundle import Bundle
from sif.datasets.content import BROKEN
from sif.datasets.kinds import other_kind
from sif.errors import DataError

__all__ = ["TEXT_PARTS", "cut_lines", "find_parts", "lines_of"]

TEXT_PARTS = ("train", "valid", "test")
_FIRST = ("ptb.{}.txt", "wiki.{}.tokens", "{}.txt")  # where several texts lie together
_TEXTS = (".txt", ".text", ".tokens", ".raw", ".md")
_CUTS = (0.8, 0.9)  # where the validation and the test part of one text begin
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def find_parts(bundle: Bundle) -> list[str]:
    """Return the files of train, valid and test, or the one file of text there is; DataError where it is neither."""
    if bundle.plain:
        return [_alone(bundle)]
    texts = dict[str, dict[str, str]]()
    plain = [name for name in bundle.names() if not bundle.is_folder(name)]
    for name in plain:
        words = re.split(r"([._-])", name.casefold().removesuffix(".gz"))
        place = next((place for place, word in enumerate(words) if word in NAMES), None)
        if place is not None and (words[-1] in ("txt", "text", "tokens", "raw", "md") or len(words) == 1):
            pattern = "".join([*words[:place], "{}", *words[place + 1 :]])
            texts.setdefault(pattern, {}).setdefault(NAMES[words[place]], name)
    whole = [pattern for pattern, files in texts.items() if len(files) == len(TEXT_PARTS)]
    chosen = next((pattern for pattern in _FIRST if pattern in whole), whole[0] if len(whole) == 1 else None)
    if chosen is not None:
        return [texts[chosen][part] for part in TEXT_PARTS]
    if whole:
        raise DataError(
            f"{bundle.path} holds {len(whole)} texts: {', '.join(sorted(whole))}\n  Leave the parts of one there."
        )
    single = [name for name in plain if name.casefold().removesuffix(".gz").endswith(_TEXTS)]
    if not texts and len(single) == 1:
        return single
    if texts:
        pattern, files = max(texts.items(), key=lambda pair: len(pair[1]))
        lacking = ", ".join(pattern.format(part) for part in TEXT_PARTS if part not in files)
        raise DataError(f"{bundle.path} lacks {lacking}\n  Put the missing in: all three parts are needed.")
    raise DataError(
        f"{bundle.path} holds no text in a form that is known here{other_kind(bundle.path, 'text')}\n"
        "  Give a folder with train.txt, valid.txt, test.txt, or one text file: words with blanks between."
    )


def _alone(bundle: Bundle) -> str:
    """The one file; DataError where it is no text, and where the other two parts lie beside it."""
    (name,) = bundle.names()
    path = bundle.path / name
    if other := other_kind(path, "text"):
        raise DataError(f"{path} is no text{other}")
    with Bundle(bundle.path) as folder:
        try:
            beside = find_parts(folder)
        except DataError:
            return name
    if name in beside and len(beside) > 1:
        raise DataError(f"{path} is one of {', '.join(beside)}\n  Give the folder of the three: --data {bundle.path}")
    return name


def lines_of(bundle: Bundle, name: str) -> list[list[str]]:
    """Return the words of each line of a file, gzipped or not; DataError where it is damaged, empty or not UTF-8."""
    content, where = bundle.read(name), bundle.where(name)
    if name.casefold().endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except BROKEN as error:
            raise DataError(f"{where} is cut short or damaged: {error}\n  Fetch or write it again.") from error
    code = next((code for mark, code in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(code).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where}, line {line}: not {code.removesuffix('-sig').upper()}\n  Save the file as UTF-8."
        ) from error
    if "\0" in text:
        raise DataError(f"{where} holds zero bytes: it is no text, or UTF-16 without its mark\n  Save it as UTF-8.")
    lines = [line.split() for line in text.removesuffix("\n").split("\n")]
    if not any(lines):
        raise DataError(f"{where} has no words\n  Put text there, with blanks between the words.")
    return lines


def cut_lines(lines: list[list[str]], where: str) -> tuple[list[list[list[str]]], str]:
    """Cut one text into its first 80 %, and twice 10 %, at ends of lines (within a line where lines are too long)."""
    ends = list(accumulate(len(line) + 1 for line in lines))
    total = ends[-1]
    if total < 6:
        raise DataError(f"{where} has {total} words and ends of lines, too few for three parts\n  Give 6 or more.")
    wanted = [min(max(round(share * total), 2 + 2 * k), total - 4 + 2 * k) for k, share in enumerate(_CUTS)]
    places = [bisect_left(ends, value) + 1 for value in wanted]
    off = max(abs(ends[place - 1] - value) for place, value in zip(places, wanted, strict=True))
    if off > total / 50 or places[1] >= len(lines):
        words = [word for line in lines for word in line]
        wanted = [max(1, value * len(words) // total) for value in wanted]
        wanted[1] = min(max(wanted[1], wanted[0] + 1), len(words) - 1)
        lines, places = [words], wanted
        cut = [[words[: wanted[0]]], [words[wanted[0] : wanted[1]]], [words[wanted[1] :]]]
    else:
        cut = [lines[: places[0]], lines[places[0] : places[1]], lines[places[1] :]]
    sizes = [sum(len(line) + 1 for line in part) for part in cut]
    if not all(any(part) for part in cut):
        raise DataError(
            f"{where} is too short, or too empty, for three parts\n  Give the parts as files: train.txt, ..."
        )
    return (
        cut,
        "one text: its first {} words and ends of lines are for training, {} for validation, {} for testing".format(
            *sizes
        ),
    )
