"""What changes as a search goes on, and what is penalised: one schedule a file."""

from nasp_core.schedule.complexity import Complexity

__all__ = ["Complexity"]
