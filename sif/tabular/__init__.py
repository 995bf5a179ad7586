"""Tables of trained interaction functions: any search is judged on them in milliseconds, and has a true rank."""

from sif.tabular.build import build_table, journal_path, task_and_space
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
    "build_table",
    "journal_path",
    "kendall_tau",
    "spearman",
    "summary",
    "task_and_space",
]
