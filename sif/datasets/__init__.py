"""Reads and checks data: ratings (`Interactions`, cut by `split`), pictures (`Pictures`), text (`Corpus`).

What knows of data without reading them is imported at once, what reads them when it is first asked for.
"""

from typing import TYPE_CHECKING

from sif.datasets.catalogue import catalogue, find_entry
from sif.datasets.columns import ColumnNames
from sif.datasets.entries import CorpusEntry, Entry, PicturesEntry, RatingsEntry
from sif.datasets.files import data_root, fetch, locate
from sif.lazy import lazy

if TYPE_CHECKING:
    from sif.datasets.corpora import Corpus, read_corpus
    from sif.datasets.feedback import check_rating_task
    from sif.datasets.frames import to_frame
    from sif.datasets.interactions import Interactions
    from sif.datasets.parts import read_parts
    from sif.datasets.pictures import Pictures, read_pictures
    from sif.datasets.reading import is_path, read
    from sif.datasets.splits import Split, split
    from sif.datasets.titles import item_titles
    from sif.datasets.vocabulary import RawId, Vocabulary

__all__ = [
    "ColumnNames",
    "Corpus",
    "CorpusEntry",
    "Entry",
    "Interactions",
    "Pictures",
    "PicturesEntry",
    "RatingsEntry",
    "RawId",
    "Split",
    "Vocabulary",
    "catalogue",
    "check_rating_task",
    "data_root",
    "fetch",
    "find_entry",
    "is_path",
    "item_titles",
    "locate",
    "read",
    "read_corpus",
    "read_parts",
    "read_pictures",
    "split",
    "to_frame",
]

__getattr__ = lazy(
    __name__,
    {
        "Corpus": "sif.datasets.corpora",
        "read_corpus": "sif.datasets.corpora",
        "check_rating_task": "sif.datasets.feedback",
        "to_frame": "sif.datasets.frames",
        "Interactions": "sif.datasets.interactions",
        "read_parts": "sif.datasets.parts",
        "Pictures": "sif.datasets.pictures",
        "read_pictures": "sif.datasets.pictures",
        "is_path": "sif.datasets.reading",
        "read": "sif.datasets.reading",
        "Split": "sif.datasets.splits",
        "split": "sif.datasets.splits",
        "item_titles": "sif.datasets.titles",
        "RawId": "sif.datasets.vocabulary",
        "Vocabulary": "sif.datasets.vocabulary",
    },
)
