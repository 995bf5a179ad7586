"""A number for an untrained network: what a training-free score is."""

from typing import ClassVar, Protocol

from nasp_core.network import Loss, Network
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["Proxy"]


class Proxy(Protocol):
    """A frozen value that judges an untrained network by one batch; larger is better.

    - `name`: its name in the table of scores; `papers`: where it comes from.

    The caller brings a network whose weights were just drawn (`Network.reset`), and the batch; the score brings no
    random numbers of its own. Networks, their gradients and statistics, and the global random numbers are left as
    they were. A network whose output depends on nothing gets the lowest score, `-inf` or 0.
    """

    name: ClassVar[str]
    papers: ClassVar[tuple[Paper, ...]]

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the score; larger is better.

        Args:
            network: Untrained, with freshly drawn weights; it is left as it was.
            batch: A training batch, on the network's device.
            loss: The task's loss, `loss(output, target)`.

        Raises:
            ProxyError: The score has no meaning for the network; with the reason.
        """
        ...
