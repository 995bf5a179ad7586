"""What the catalogue says of a data set: closed and typed, one class for each kind of data."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["AnyEntry", "CorpusEntry", "Download", "Entry", "FilesEntry", "PicturesEntry", "RatingsEntry", "TitlesFile"]

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
# A bare file name: what an entry writes stays inside its own folder.
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Download(_Closed):
    """One file to fetch, and the checksum to hold it against: the one that its publisher states, where there is one."""

    file: FileName
    url: str
    sha256: Sha256 | None = None
    md5: Md5 | None = None

    @property
    def checksum(self) -> str | None:
        """The checksum with its algorithm ("sha256:..."); None where nothing is stated."""
        if self.sha256 is not None:
            return f"sha256:{self.sha256}"
        return None if self.md5 is None else f"md5:{self.md5}"


class Entry(_Closed):
    """One data set: where it comes from, on what terms, and how a copy is known."""

    what: ClassVar[str]

    name: str
    title: str
    aliases: tuple[str, ...]
    homepage: str
    url: str
    folder: FileName
    licence: str
    cite: str

    @property
    @abstractmethod
    def downloads(self) -> tuple[Download, ...]:
        """The files to fetch: one archive, or the files of the folder with the one that marks it last."""

    @property
    @abstractmethod
    def marks(self) -> str:
        """The file that a folder must hold to count as a copy."""

    @property
    @abstractmethod
    def weight(self) -> float:
        """How large the data set is, to sort by; infinite where it grows."""


class RatingsFile(_Closed):
    """The file of the archive that holds the ratings."""

    file: FileName
    delimiter: Literal["\t", "::", ","]
    header: bool
    columns: tuple[Literal["user", "item", "rating", "timestamp"], ...]


class TitlesFile(_Closed):
    """The file of the archive that holds the titles of the items: id first, title second."""

    file: FileName
    delimiter: Literal["|", "::", ","]
    header: bool
    encoding: Literal["utf-8", "latin-1"]


class SplitDefault(_Closed):
    """The split that recipes use unless they say otherwise."""

    kind: Literal["random", "user", "leave-last-out", "temporal"]
    fractions: tuple[float, float, float]
    seed: int


class Size(_Closed):
    """What a whole copy holds; reading checks it."""

    users: int
    items: int
    interactions: int


class RecBoleCopy(_Closed):
    """The copy that RecBole installs with its example data."""

    folder: FileName
    ratings: FileName
    titles: FileName
    sha256: Sha256


class RatingsEntry(Entry):
    """Ratings of items by users."""

    what = "ratings"

    kind: Literal["ratings"]
    archive: FileName
    sha256: Sha256 | None = None
    ratings: RatingsFile
    titles: TitlesFile
    split: SplitDefault
    size: Size | None = None
    recbole: RecBoleCopy | None = None

    @property
    def downloads(self) -> tuple[Download, ...]:
        """The archive."""
        return (Download(file=self.archive, url=self.url, sha256=self.sha256),)

    @property
    def marks(self) -> str:
        """The file of ratings."""
        return self.ratings.file

    @property
    def weight(self) -> float:
        """Number of interactions."""
        return float("inf") if self.size is None else self.size.interactions


class NamedFile(_Closed):
    """A file that lies at `url` + its name."""

    file: FileName
    sha256: Sha256 | None = None
    md5: Md5 | None = None


class FilesEntry(Entry):
    """Data read where they lie: from one archive that is not unpacked, or from a folder of files."""

    marker: FileName
    archive: FileName | None = None
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    files: tuple[NamedFile, ...] = ()
    members: dict[FileName, Sha256] = {}  # what a whole copy holds; reading notes the files that differ
    packaged: str | None = None  # the folder where a distribution's package puts the files

    @model_validator(mode="after")
    def _one_source(self) -> "FilesEntry":
        if (self.archive is None) == (not self.files):
            raise ValueError("give either archive or files")
        return self

    @property
    def downloads(self) -> tuple[Download, ...]:
        """The archive or the files; the file that marks the folder comes last, so that it marks a whole one."""
        if self.archive is not None:
            return (Download(file=self.archive, url=self.url, sha256=self.sha256, md5=self.md5),)
        ordered = sorted(self.files, key=lambda named: named.file == self.marker)
        return tuple(Download(url=self.url + named.file, **named.model_dump()) for named in ordered)

    @property
    def known(self) -> dict[str, str]:
        """The SHA-256 of the files that are read, by name, where they are known."""
        return {**{named.file: named.sha256 for named in self.files if named.sha256}, **self.members}

    @property
    def marks(self) -> str:
        """The marker."""
        return self.marker


class PicturesSize(_Closed):
    """What a whole copy holds; reading checks it."""

    train: int
    test: int
    classes: int
    shape: tuple[int, int, int]


class PicturesEntry(FilesEntry):
    """Pictures with one class each."""

    what = "pictures"

    kind: Literal["pictures"]
    classes: tuple[str, ...] = ()  # names, where the files hold numbers alone
    pickled: tuple[FileName, ...] = ()  # names of copies that are never read, because reading them runs code
    size: PicturesSize

    @property
    def weight(self) -> float:
        """Number of training pictures."""
        return self.size.train


class CorpusSize(_Closed):
    """What a whole copy holds, in tokens with the ends of lines, and in words; reading checks it."""

    words: int
    train: int
    valid: int
    test: int


class CorpusEntry(FilesEntry):
    """Text in three parts."""

    what = "text"

    kind: Literal["corpus"]
    size: CorpusSize

    @property
    def weight(self) -> float:
        """Number of training tokens."""
        return self.size.train


AnyEntry = Annotated[RatingsEntry | PicturesEntry | CorpusEntry, Field(discriminator="kind")]
