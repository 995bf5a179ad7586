"""Published protocols by name: which files they take, how those are cut, what is judged, and the published figures."""

from sif.protocols.ask import ProtocolData, ask, protocol, protocol_problems
from sif.protocols.base import PublishedFigure, PublishedProtocol, PublishedTable
from sif.protocols.known import PROTOCOLS

__all__ = [
    "PROTOCOLS",
    "ProtocolData",
    "PublishedFigure",
    "PublishedProtocol",
    "PublishedTable",
    "ask",
    "protocol",
    "protocol_problems",
]
