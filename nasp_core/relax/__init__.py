"""How alpha becomes a mixture: one relaxation a file."""

from nasp_core.relax.fair_turns import FairTurns
from nasp_core.relax.one_hot import OneHot, on_host
from nasp_core.relax.pinned import Pinned
from nasp_core.relax.softmax import Softmax

__all__ = ["FairTurns", "OneHot", "Pinned", "Softmax", "on_host"]
