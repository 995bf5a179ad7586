"""Reads and checks data: ratings (`Interactions`, cut by `split`), pictures (`Pictures`), text (`Corpus`)."""

from sif.datasets.catalogue import catalogue, find_entry
from sif.datasets.columns import ColumnNames
from sif.datasets.corpora import Corpus, read_corpus
from sif.datasets.entries import CorpusEntry, Entry, PicturesEntry, RatingsEntry
from sif.datasets.feedback import check_rating_task
from sif.datasets.files import data_root, fetch, locate
from sif.datasets.frames import to_frame
from sif.datasets.interactions import Interactions
from sif.datasets.parts import read_parts
from sif.datasets.pictures import Pictures, read_pictures
from sif.datasets.read import is_path, read
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
