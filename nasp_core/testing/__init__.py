"""A conformance suite and planted problems: what a new strategy or space is held against; needs no test runner."""

from nasp_core.testing.cases import CASES, Case
from nasp_core.testing.conformance import Check, checks_of, refusal
from nasp_core.testing.pictures import PlantedPictures
from nasp_core.testing.planted import PlantedTask
from nasp_core.testing.quadratic import QuadraticNetwork, QuadraticSettings, QuadraticSpace, QuadraticTask
from nasp_core.testing.space_checks import space_checks
from nasp_core.testing.stream import ShuffledStream
from nasp_core.testing.text import PlantedText

__all__ = [
    "CASES",
    "Case",
    "Check",
    "PlantedPictures",
    "PlantedTask",
    "PlantedText",
    "QuadraticNetwork",
    "QuadraticSettings",
    "QuadraticSpace",
    "QuadraticTask",
    "ShuffledStream",
    "checks_of",
    "refusal",
    "space_checks",
]
