"""Published methods as compositions, one a file, and the name table."""

from nasp_core.strategies.darts import darts
from nasp_core.strategies.darts_2nd import darts_2nd
from nasp_core.strategies.nasp import nasp
from nasp_core.strategies.nasp_ranked import nasp_ranked
from nasp_core.strategies.nasp_shortlist import nasp_shortlist
from nasp_core.strategies.table import STRATEGIES, make_strategy

__all__ = ["STRATEGIES", "darts", "darts_2nd", "make_strategy", "nasp", "nasp_ranked", "nasp_shortlist"]
