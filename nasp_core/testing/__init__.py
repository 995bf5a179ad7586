"""A conformance suite and planted problems: what a new strategy or space is held against; needs no test runner."""

from nasp_core.testing.cases import Case
from nasp_core.testing.conformance import Check, Subject, checks_of, conform, unsupported_reason
from nasp_core.testing.quadratic import QuadraticNetwork, QuadraticSettings, QuadraticSpace, QuadraticTask
from nasp_core.testing.space_checks import space_checks
from nasp_core.testing.stream import ShuffledStream

__all__ = [
    "Case",
    "Check",
    "QuadraticNetwork",
    "QuadraticSettings",
    "QuadraticSpace",
    "QuadraticTask",
    "ShuffledStream",
    "Subject",
    "checks_of",
    "conform",
    "space_checks",
    "unsupported_reason",
]
