"""Studies: a budget spent on one table, on functions and settings together; the best by validation is handed over."""

from sif.recipes.limit import Limit
from sif.studies.configuration import Configuration
from sif.studies.search import conduct
from sif.studies.steps import goes_on, refuse_spent, schedule_of

__all__ = ["Configuration", "Limit", "conduct", "goes_on", "refuse_spent", "schedule_of"]
