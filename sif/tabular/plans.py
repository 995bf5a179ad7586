"""The tasks that have tables of interaction functions, and the plan of each."""

from __future__ import annotations

from collections.abc import Mapping

from sif.problems.plan import TablePlan
from sif.recipes.problems import ON_TABLES, problem

__all__ = ["PLANS", "TASKS", "TablePlan", "TaskName"]

TaskName = str
PLANS: Mapping[TaskName, TablePlan] = {name: problem(name).plan for name in ON_TABLES if problem(name).plan is not None}
"""The plans of the table that ships. Chosen for a fair training within a second or two on one processor core."""
TASKS: tuple[TaskName, ...] = tuple(PLANS)
