"""Which column is the user, the item, the rating, the time, the context: given by name or position, or recognised."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from nasp_core.errors import did_you_mean, nearest
from sif.errors import DataError

__all__ = ["ColumnNames", "recognise"]

ROLES = ("user", "item", "rating", "timestamp", "context", "weight", "part")
ASKED = ("context", "weight", "part")  # looked for where the caller says so, and noted else
Door = Literal["text", "parquet", "frame"]
FeedbackKind = Literal["ratings", "counts", "clicks", "impressions", "signed"]
SaidFeedback = Literal[FeedbackKind, ""]

REST = "..."  # after a position: all columns from there on
_PIVOT = (
    "The columns with numbers look like items. Give a row for each user and item: in pandas "
    'frame.melt(USER, var_name="item", value_name="rating").dropna()'
)
_UNNAMED = 'frame.rename_axis("user").reset_index().melt('
_HEADER = {"yes": True, "true": True, "no": False, "false": False}

# What a row says of an interaction that may not have been one: 0 or less is none.
LABELS = (
    *("label", "labels", "click", "clicked", "isclick", "isclicked", "like", "liked", "islike", "isliked", "implicit"),
    *("purchased", "ispurchase", "ispurchased", "bought", "converted", "conversion", "watched"),
)

# Spellings without case, separators and a RecBole type; the first that is present wins.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "user": (
        *("userid", "uid", "user", "users", "userno", "useridx", "customerid", "customer", "reviewerid", "reviewer"),
        *("memberid", "member", "visitorid", "accountid", "account", "username"),
    ),
    "item": (
        *("itemid", "iid", "item", "items", "itemno", "itemidx", "movieid", "movie", "productid", "product", "asin"),
        *("parentasin", "bookid", "isbn", "book", "songid", "song", "trackid", "track", "artistid", "artist"),
        *("businessid", "animeid", "gameid", "game", "recipeid", "articleid", "article", "newsid", "sku"),
    ),
    "rating": (
        *("rating", "ratings", "score", "scores", "stars", "star", "starrating", "overall", "userrating"),
        *("reviewscore", "reviewrating", "bookrating", "preference", *LABELS),
    ),
    "timestamp": (
        *("timestamp", "ts", "unixtime", "unixreviewtime", "time", "datetime", "date", "ratedat", "createdat"),
        *("ratingtimestamp", "eventtime", "reviewdate"),
    ),
    "context": ("context", "contextid"),
    "weight": (  # how often something was met
        *("weight", "weights", "count", "counts", "plays", "playcount", "quantity", "qty", "purchases"),
        *("purchasecount", "frequency", "freq", "listens", "listencount", "views", "viewcount", "clicks", "clickcount"),
        *("implicitweight", "hits", "cnt", "n"),
    ),
    "part": ("split", "subset", "partition", "datasplit", "splitset"),  # training, validation, test
}


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """Say which columns to read: by name, or by position from "1".

    None means "recognise it", an empty string "do not use one". In a text file without a header a number is a
    position. Elsewhere it is a name where there are such names and a position where there are none; where it could be
    either, reading says so. `item = "2..."` takes all fields from the second on for items (lines of a user and items).
    A context is used only where it is named, or True: recognise it; else rows of one user and item are one pair.
    A `part` (training, validation or test) is used only where it is named, and by `read_parts` alone. `part = "fold=1"`
    names the column `fold`, whose rows of the value 1 are the test part and whose other rows are for training.
    A weight too is used only where it is named, or True; rows of 0 or less are then left out, and the weights of
    repeated pairs added up. With `repeats` each row weighs 1 where no column is a weight.
    With `only_met` rows rated 0 or less are left out before repeated pairs are: a later impression undoes no click.
    `header` says whether the first line of a text file names the columns; None decides by that line (docs/data.md).
    `feedback` says what the values are; None or "" tells by the values (`sif.datasets.feedback`).

    Raises DataError for a `header` that is neither true, false, "yes" nor "no", and for a `feedback` there is not.
    """

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    timestamp: str | None = None
    context: str | bool | None = None
    header: bool | str | None = None
    only_met: bool = False
    weight: str | bool | None = None
    repeats: bool = False
    feedback: SaidFeedback | None = None
    part: str | None = None

    def __post_init__(self) -> None:
        for role in ROLES:
            value = getattr(self, role)
            if value is not None and not isinstance(value, str | bool):  # pandas names columns by integers
                object.__setattr__(self, role, str(value))
        if self.header is not None:
            said = _HEADER.get(str(self.header).lower())
            if said is None:
                raise DataError(f'header = "{self.header}" is neither yes nor no\n  Give yes or no.')
            object.__setattr__(self, "header", said)
        kinds = get_args(FeedbackKind)
        if self.feedback and self.feedback not in kinds:
            hint = did_you_mean(str(self.feedback), kinds, "Did you mean {}? ")
            raise DataError(f"feedback = {self.feedback!r} is not known\n  {hint}There are: {', '.join(kinds)}.")

    def given(self) -> dict[str, str]:
        """Return role -> name for the names that were given and are in use."""
        named = {field.name: getattr(self, field.name) for field in fields(self) if field.name in ROLES}
        named["part"] = self.part and self.part.partition("=")[0]
        return {role: name for role, name in named.items() if name and isinstance(name, str)}


def test_value(part: str) -> str:
    """Return the value that `ColumnNames.part` says test rows have: "1" of "fold=1"; "" where it says none."""
    return part.partition("=")[2].strip()


def position(name: str) -> int | None:
    """Return the 0-based place that a number names; None for what is no position."""
    number = name.removesuffix(REST)
    return int(number) - 1 if re.fullmatch(r"[1-9]\d{0,5}", number) else None


def plain(name: str) -> str:
    """Return a column's name without the type that RecBole's atomic files write after it."""
    return re.sub(r":(token|float)(_seq)?$", "", name.strip())


def normal(name: str) -> str:
    """`"User_ID:token"` -> `"userid"`: what recognition compares."""
    return re.sub(r"[\W_]+", "", plain(name).lower())


def recognise(
    names: Sequence[str], columns: ColumnNames | None, where: str, *, door: Door = "frame"
) -> tuple[dict[str, int], list[str]]:
    """Return role -> position of its column, and notes on what was chosen among several.

    `where` says where the names stand ("ratings.csv, line 1"), `door` what has them: a text file without header names
    its columns "1", "2", ... Raises DataError, with every problem and the fix at once, for a given name that is absent
    or ambiguous, a column taken twice, or no user or item column.
    """
    columns = columns or ColumnNames()
    given = columns.given()
    found, notes, problems = dict[str, int](), list[str](), list[str]()
    fix: dict[str, str] = {}
    known = [str(place + 1) for place in range(len(names))] if columns.header is False else names
    if columns.header is None and _two_readings(list(given.values()), names):
        raise DataError("\n  ".join([f"{where}: the columns are {_shown(names)}", *_which(given, names, door)]))
    for role in ROLES:
        if role in given:
            _find(role, given[role], known, found, fix, problems)
        elif role == "rating" and columns.feedback == "clicks":
            continue
        elif role in ASKED and getattr(columns, role) is None:
            if role == "weight":
                _look(found, known, columns)
            notes += [_unused(role, name) for name in names if _worth_a_note(role, name, found, columns)]
        elif getattr(columns, role) in (None, True):
            _choose(role, known, found, fix, notes, problems)
    if "weight" in found and found["weight"] == found.get("rating") and not {"weight", "rating"} <= given.keys():
        del found["weight" if "rating" in given else "rating"]  # what is named goes before what is recognised
    problems.extend(_clashes(found, names))
    if problems:
        if door == "frame" and not given and _is_pivot(names):
            rows = _PIVOT.replace("frame.melt(", _UNNAMED).replace("USER", "'user'")
            raise DataError("\n  ".join([f"{where}: the columns are {_shown(names)}", *problems, rows]))
        if any("user" in spelled(name) for name in names) and "item" not in found and len(_numeric(names)) > 1:
            user = next(name for name in names if "user" in spelled(name))
            problems.append(_PIVOT.replace("USER", repr(user)))
        advice = naming(_example(names, columns, found, fix, door), door != "frame")
        raise DataError("\n  ".join([f"{where}: the columns are {_shown(names)}", *problems, *advice]))
    return found, notes


def _look(found: dict[str, int], names: Sequence[str], columns: ColumnNames) -> None:
    """Find the counts that say what the feedback is, `counted`, where nothing is rated and no weight is asked for."""
    if "rating" in found or columns.feedback == "clicks":
        return
    places = {normal(name): place for place, name in reversed(list(enumerate(names))) if place not in found.values()}
    place = next((places[spelling] for spelling in _SPELLINGS["weight"] if spelling in places), None)
    if place is not None:
        found["counted" if columns.feedback in (None, "", "counts") else "rating"] = place


def _worth_a_note(role: str, name: str, found: dict[str, int], columns: ColumnNames) -> bool:
    """Whether a column that is not asked for could have this role; counts beside ratings are not spoken of."""
    rated = role == "weight" and ("rating" in found or columns.rating is not None)
    return normal(name) in _SPELLINGS[role] and not rated


def _unused(role: str, name: str) -> str:
    if role == "context":
        return f'"{name}" is not used as context'
    if role == "part":
        return f'"{name}" is not used; where it says which rows are for training and test: --set columns.part="{name}"'
    return (
        f'"{name}" is not used: each row is one interaction; to rank with it as confidence: '
        f'--set ranking.weight=confidence --set columns.weight="{name}"; to leave out rows of 0 or less alone: '
        f'--set columns.rating="{name}"'
    )


def _example(
    names: Sequence[str], columns: ColumnNames, found: dict[str, int], fix: dict[str, str], door: Door
) -> dict[str, str]:
    """Names for all roles that want one: those that were right, those that are near, else the next free columns.

    Where the first line may be no header, and for columns that share a name, these are positions.
    """
    given = columns.given()
    said = {} if columns.header is None else {"header": "yes" if columns.header else "no"}
    if "0" in given.values() and all(name.isdigit() for name in given.values()):  # counted from 0
        counted = {role: str(int(name) + 1) for role, name in given.items()}
        return counted | said if all(int(name) <= len(names) for name in counted.values()) else {}
    bare = not recognised(names) and bool(_numeric(names))
    by_place = bare and door == "text" and columns.header is not True
    taken = set(found.values()) | {place for place, name in enumerate(names) if name in fix.values()}
    taken |= set() if bare else {names.index(name) for name in _numeric(names)}
    free = iter([place for place in range(len(names)) if place not in taken])
    wanted = ("user", "item", "rating") if bare and not given and len(names) > 2 else ("user", "item")
    shared = [place for place in found.values() if list(found.values()).count(place) > 1]
    example = {role: name for role, name in given.items() if role in found and found[role] not in shared} | fix
    for role in wanted:
        if role not in example and role not in found and getattr(columns, role) != "":
            if (place := next(free, None)) is None:
                return {}
            example[role] = str(place + 1) if by_place or names.count(names[place]) > 1 else names[place]
    if not by_place and not said and _two_readings(list(example.values()), names):
        said = {"header": "yes"}
    return example | said


def _which(given: dict[str, str], names: Sequence[str], door: Door) -> list[str]:
    """What to write where numbers could be names as well as positions, for either meaning."""
    numbers = ", ".join(f'"{name}"' for name in given.values() if name.isdigit())
    there = {role: names[int(name) - 1] if name.isdigit() else name for role, name in given.items()}
    apart = len(set(there.values())) == len(there)
    return [
        f"{numbers} could be names or positions, and these are not the same columns.",
        *naming(given | {"header": "yes"}, door != "frame", "As names"),
        *naming(there | {"header": "yes"} if apart else {}, door != "frame", "As positions"),
    ]


def _is_pivot(names: Sequence[str]) -> bool:
    """Whether all columns are numbers, more than there are roles, and not such as count a frame's from 0 or 1."""
    return len(_numeric(names)) == len(names) > len(ROLES) and not any(
        list(names) == [str(place) for place in range(first, first + len(names))] for first in (0, 1)
    )


def _numeric(names: Sequence[str]) -> list[str]:
    return [name for name in names if re.fullmatch(r"-?\d+(\.\d+)?", name)]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(short, names[:12])) + (", ..." if len(names) > 12 else "")


def spelled(name: str) -> list[str]:
    """Return the roles that a column's name gives away."""
    return [role for role in ROLES if normal(name) in _SPELLINGS[role]]


def spelt(role: str) -> tuple[str, ...]:
    """Return the spellings of a role, as `normal` gives them, the likeliest first."""
    return _SPELLINGS[role]


def recognised(names: Sequence[str]) -> int:
    """Return how many of user and item these column names give away; 2 is a header."""
    known = {normal(name) for name in names}
    return sum(bool(known & set(_SPELLINGS[role])) for role in ("user", "item"))


def valued(names: Sequence[str], found: dict[str, int]) -> str:
    """Return the name of the column that says what the feedback is; "" where there is none."""
    places = (found.get(role) for role in ("rating", "counted", "weight"))
    return next((plain(names[place]) for place in places if place is not None), "")


def naming(names: dict[str, str], file: bool, head: str = "Name columns so") -> list[str]:
    """Return how to name columns, in the words of each door: what to type, and what to write in Python."""
    if not names:
        return []
    typed = " ".join("--set " + shlex.quote(f"columns.{role}={name}") for role, name in names.items())
    written = ", ".join(f"{role}={name!r}" for role, name in names.items())
    keys = {f"columns.{role}": name for role, name in names.items()}
    python = f"sif.read(data, columns=sif.datasets.ColumnNames({written})) or sif.search(data, settings={keys!r})"
    return [f"{head}: {typed}", f"In Python: {python}"] if file else [f"{head}: {python}"]


def short(text: str, most: int = 60) -> str:
    """Return a value as an error shows it: never as long as the file."""
    return text if len(text) <= most else text[: most - 3] + "..."


def _two_readings(given: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the numbers among the given names are names of columns as well as positions of others."""
    numbers = [name for name in given if name.isdigit()]
    places = [position(number) for number in numbers]
    named = [names.index(number) if number in names else None for number in numbers]
    possible = all(place is not None and place < len(names) for place in places)
    return bool(numbers) and possible and None not in named and places != named


def _find(
    role: str, wanted: str, names: Sequence[str], found: dict[str, int], fix: dict[str, str], problems: list[str]
) -> None:
    """Find the column of a name that was given, or say what is wrong with it."""
    matches = [place for place, name in enumerate(names) if wanted.strip() in (name.strip(), plain(name))]
    place = position(wanted)
    if len(matches) == 1:
        found[role] = matches[0]
    elif len(matches) > 1:
        problems.append(
            f'{role} = "{short(wanted)}" names {len(matches)} columns; name one by its position, or rename.'
        )
        fix[role] = str(matches[0] + 1)
    elif place is not None and place < len(names):
        found[role] = place
    elif wanted.isdigit():
        problems.append(f'{role} = "{short(wanted)}" is not a column. Positions go from 1 to {len(names)}.')
    else:
        alike = (name for name in names if normal(name) and normal(name) == normal(wanted))
        close = next(alike, "") or nearest(wanted, names)
        hint = f'Did you mean "{short(close)}"?' if close else "Give one of the columns above."
        problems.append(f'{role} = "{short(wanted)}" is not a column. {hint}')
        if close:
            fix[role] = close


def _choose(
    role: str, names: Sequence[str], found: dict[str, int], fix: dict[str, str], notes: list[str], problems: list[str]
) -> None:
    plain_names = [normal(name) for name in names]
    spellings = [spelling for spelling in _SPELLINGS[role] if spelling in plain_names]
    if not spellings:
        like = _alike(role, names)
        if like:
            fix[role] = like
        is_it = f' Is it "{short(like)}"?' if like else ""
        if role in ("user", "item"):
            problems.append(f"no {role} column.{is_it} Name it, or call it {role}_id.")
        elif like:
            problems.append(f'is "{short(like)}" the {role}? Name it, or say that there is none: {role} = "".')
        return
    places = [place for place, name in enumerate(plain_names) if name == spellings[0]]
    if len(places) > 1:
        same = " and ".join(f'"{names[place]}"' for place in places)
        problems.append(f"{same} could both be the {role}: name one.")
        fix[role] = names[places[0]] if names.count(names[places[0]]) == 1 else str(places[0] + 1)
        return
    found[role] = places[0]
    if spellings[0] in LABELS:
        notes.append(f'"{names[places[0]]}" was taken as rating')
    if len(spellings) > 1:
        others = ", ".join(f'"{names[plain_names.index(spelling)]}"' for spelling in spellings[1:])
        notes.append(f'"{names[places[0]]}" was taken as {role}, not {others}')


def _alike(role: str, names: Sequence[str]) -> str | None:
    """The first column whose name is nearly a spelling of the role, and no spelling of another."""
    taken = {spelling for spellings in _SPELLINGS.values() for spelling in spellings}
    for name in names:
        known = normal(name)
        if known not in taken and nearest(known, _SPELLINGS[role], cutoff=0.8):
            return name
    return None


def _clashes(found: dict[str, int], names: Sequence[str]) -> list[str]:
    roles: dict[int, list[str]] = {}
    for role, place in found.items():
        roles.setdefault(place, []).append(role)
    return [
        f'"{short(names[place])}" is taken as {" and as ".join(taken)}: name another column for one of them.'
        for place, taken in roles.items()
        if len(taken) > 1
    ]
