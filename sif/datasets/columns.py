"""Which column is the user, the item, the rating, the time, the context: given by name, or recognised."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from sif.errors import DataError

__all__ = ["ColumnNames", "recognise"]

ROLES = ("user", "item", "rating", "timestamp", "context")

# What a row says of an interaction that may not have been one: 0 or less is none.
LABELS = (
    *("label", "labels", "click", "clicked", "isclick", "isclicked", "like", "liked", "islike", "isliked", "implicit"),
    *("purchased", "ispurchase", "ispurchased", "bought", "converted", "conversion", "watched"),
)

# How often something was met; noted where it is not used.
COUNTS = (
    *("weight", "weights", "count", "counts", "plays", "playcount", "quantity", "qty", "purchases", "purchasecount"),
    *("frequency", "freq", "listens", "listencount", "views", "viewcount", "clicks", "clickcount", "implicitweight"),
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
}


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """Names of the columns; None means "recognise it", an empty string "do not use one".

    A context is used only where it is named, or True: recognise it. Rows of one user and item are one pair else. In a
    text file without header the names are the positions, from "1". With `only_met` rows rated 0 or less are left out,
    before repeated pairs are: a later impression does not undo a click.
    """

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    timestamp: str | None = None
    context: str | bool | None = None
    only_met: bool = False

    def given(self) -> dict[str, str]:
        """Return role -> name for the names that were given and are in use."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: name for role, name in named.items() if name and isinstance(name, str)}


def normal(name: str) -> str:
    """`"User_ID:token"` -> `"userid"`: what recognition compares."""
    return re.sub(r"[\W_]+", "", name.split(":")[0].lower())


def recognise(names: Sequence[str], columns: ColumnNames | None, where: str) -> tuple[dict[str, int], list[str]]:
    """Return role -> position of its column, and notes on what was chosen among several.

    Raises DataError, with every problem at once, for a given name that is absent, a name taken twice, or no user or
    item column. `where` says where the names stand ("ratings.csv, line 1").
    """
    columns = columns or ColumnNames()
    found: dict[str, int] = {}
    notes: list[str] = []
    problems: list[str] = []
    for role in ROLES:
        wanted = getattr(columns, role)
        if isinstance(wanted, str) and wanted:
            matches = [place for place, name in enumerate(names) if wanted in (name, name.split(":")[0])]
            if len(matches) == 1:
                found[role] = matches[0]
            else:
                problems.append(_not_given(role, wanted, names, len(matches)))
        elif role == "context" and wanted is None:
            notes += [f'"{name}" is not used as context' for name in names if normal(name) in _SPELLINGS[role]]
        elif wanted is None or wanted is True:
            _choose(role, names, found, notes, problems)
    if "rating" not in found and columns.rating is None:
        notes += [
            f'"{name}" is not used: each row is one interaction; to leave out rows of 0 or less: '
            f'--set columns.rating="{name}"'
            for name in names
            if normal(name) in COUNTS
        ]
    problems.extend(_clashes(found, names))
    if problems and any(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names):
        problems.append('If there is no header, name the columns by position: user = "1", item = "2", rating = "3".')
    if problems:
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise DataError("\n  ".join([f"{where}: the columns are {shown}", *problems]))
    return found, notes


def spelt(role: str) -> tuple[str, ...]:
    """The spellings of a role, as `normal` gives them, the likeliest first."""
    return _SPELLINGS[role]


def recognised(names: Sequence[str]) -> int:
    """How many of user and item these column names give away; 2 is a header."""
    plain = {normal(name) for name in names}
    return sum(bool(plain & set(_SPELLINGS[role])) for role in ("user", "item"))


def _choose(role: str, names: Sequence[str], found: dict[str, int], notes: list[str], problems: list[str]) -> None:
    plain = [normal(name) for name in names]
    spellings = [spelling for spelling in _SPELLINGS[role] if spelling in plain]
    if not spellings:
        if role in ("user", "item"):
            problems.append(_not_recognised(role, names))
        elif like := _alike(role, names):
            problems.append(f'is "{like}" the {role}? Name it, {role} = "{like}", or say there is none, {role} = "".')
        return
    places = [place for place, name in enumerate(plain) if name == spellings[0]]
    if len(places) > 1:
        same = " and ".join(f'"{names[place]}"' for place in places)
        problems.append(f"{same} could both be the {role}: name one, {role} = ...")
        return
    found[role] = places[0]
    if spellings[0] in LABELS:
        notes.append(f'"{names[places[0]]}" was taken as rating')
    if len(spellings) > 1:
        others = ", ".join(f'"{names[plain.index(spelling)]}"' for spelling in spellings[1:])
        notes.append(f'"{names[places[0]]}" was taken as {role}, not {others}')


def _not_recognised(role: str, names: Sequence[str]) -> str:
    if like := _alike(role, names):
        return (
            f'no {role} column. Is it "{like}"? Then name it: --set columns.{role}="{like}", or rename it to {role}_id.'
        )
    return f'no {role} column. Name it: --set columns.{role}="...", or rename it to {role}_id.'


def _alike(role: str, names: Sequence[str]) -> str | None:
    """The first column whose name is nearly a spelling of the role, and no spelling of another."""
    taken = {spelling for spellings in _SPELLINGS.values() for spelling in spellings}
    for name in names:
        plain = normal(name)
        if plain not in taken and difflib.get_close_matches(plain, _SPELLINGS[role], n=1, cutoff=0.8):
            return name
    return None


def _not_given(role: str, wanted: str, names: Sequence[str], matches: int) -> str:
    if matches:
        return f'{role} = "{wanted}" names {matches} columns; rename one of them.'
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    hint = f' Did you mean "{close[0]}"?' if close else " Give one of the columns above."
    return f'{role} = "{wanted}" is not a column.{hint}'


def _clashes(found: dict[str, int], names: Sequence[str]) -> list[str]:
    roles: dict[int, list[str]] = {}
    for role, place in found.items():
        roles.setdefault(place, []).append(role)
    return [
        f'"{names[place]}" is taken as {" and as ".join(taken)}: name another column for one of them.'
        for place, taken in roles.items()
        if len(taken) > 1
    ]
