"""Published one-shot methods, each in one file with the parts that it alone uses; and the name table.

`from nasp_core.methods.darts import darts` makes a strategy; `make_strategy("darts")` makes it by name.
"""

from nasp_core.methods.table import STRATEGIES, make_strategy

__all__ = ["STRATEGIES", "make_strategy"]
