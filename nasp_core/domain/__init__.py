"""Where alpha lives: one domain a file."""

from nasp_core.domain.box import Box
from nasp_core.domain.gaussian import Gaussian
from nasp_core.domain.logits import Logits
from nasp_core.domain.simplex import Simplex
from nasp_core.domain.switches import Switches
from nasp_core.domain.topology import Topology

__all__ = ["Box", "Gaussian", "Logits", "Simplex", "Switches", "Topology"]
