"""Where alpha lives: one domain a file."""

from nasp_core.domain.box import Box
from nasp_core.domain.gaussian import Gaussian
from nasp_core.domain.logits import Logits
from nasp_core.domain.simplex import Simplex
from nasp_core.domain.switches import Gated, Switches
from nasp_core.domain.topology import EdgeLogits, PairLogits

__all__ = ["Box", "EdgeLogits", "Gated", "Gaussian", "Logits", "PairLogits", "Simplex", "Switches"]
