"""Reads and checks data: files, frames and matrices to `Interactions`, and their cuts into train, validation, test."""

from sif.datasets.catalogue import catalogue, find_entry
from sif.datasets.columns import ColumnNames
from sif.datasets.entries import Entry
from sif.datasets.files import data_root, fetch, locate
from sif.datasets.frames import to_frame
from sif.datasets.interactions import Interactions, check_rating_task
from sif.datasets.parts import read_parts
from sif.datasets.read import read
from sif.datasets.splits import Split, split
from sif.datasets.titles import item_titles
from sif.datasets.vocabulary import RawId, Vocabulary

__all__ = [
    "ColumnNames",
    "Entry",
    "Interactions",
    "RawId",
    "Split",
    "Vocabulary",
    "catalogue",
    "check_rating_task",
    "data_root",
    "fetch",
    "find_entry",
    "item_titles",
    "locate",
    "read",
    "read_parts",
    "split",
    "to_frame",
]
