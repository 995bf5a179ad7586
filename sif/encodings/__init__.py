"""What a side, a user or an item, brings to a function: encodings, a file each, and element-wise functions."""

from sif.encodings.base import Encoding
from sif.encodings.known import (
    ENCODINGS,
    HISTORY,
    ID,
    encoding,
    encoding_names,
    parts_of,
    reads_history,
)

__all__ = ["ENCODINGS", "HISTORY", "ID", "Encoding", "encoding", "encoding_names", "parts_of", "reads_history"]
