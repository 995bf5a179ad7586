"""Tables of trained interaction functions: any search is judged on them in milliseconds, any find by its true rank."""

from sif.tabular.build import arena_of, build_table, journal_path
from sif.tabular.measures import kendall_tau, spearman
from sif.tabular.plans import PLANS, TASKS, TablePlan, TaskName
from sif.tabular.summary import summary
from sif.tabular.table import InteractionTable

__all__ = [
    "PLANS",
    "TASKS",
    "InteractionTable",
    "TablePlan",
    "TaskName",
    "arena_of",
    "build_table",
    "journal_path",
    "kendall_tau",
    "spearman",
    "summary",
]
