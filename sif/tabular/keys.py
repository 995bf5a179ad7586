"""A point of the wide space by the names of its choices, whatever the sizes of the space."""

from nasp_core.network import Space
from nasp_core.types import Active

__all__ = ["KEY_COLUMNS", "Key", "table_key_of"]

KEY_COLUMNS = ("encoding_user", "encoding_item", "elementwise", "operation", "predictor", "biases")
"""The columns of a table that name a point, in the order of a key."""
Key = tuple[str, ...]
"""The names of a point's choices, in the order of `KEY_COLUMNS`."""


def table_key_of(space: Space, active: Active) -> Key:
    """Return the names that a selection of a wide space of one branch makes; of two branches, all of both."""
    return tuple(str(group.candidates[index]) for group in space.groups for index in active[group.name])
