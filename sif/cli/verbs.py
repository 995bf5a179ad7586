"""The verbs of the command line, each imported when it is called: help alone imports none."""

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["VERBS", "LazyGroup", "Verb"]


class Verb(NamedTuple):
    """Where a verb is, as `module:function` below `sif.cli`, and its line in the help."""

    at: str
    help: str


VERBS = {
    "search": Verb("search:search", "Find the interaction function that fits a table, or the cell of a network."),
    "show": Verb("show:show", "Show what a finished run found, beside what it was compared with."),
    "train": Verb("runs:train", "Train what a run found again, and put the new model in its place."),
    "evaluate": Verb("runs:evaluate", "Evaluate the model of a run on its validation and test parts."),
    "recommend": Verb("recommend:recommend", "Recommend items that the user does not have yet, best first."),
    "compare": Verb("compare:compare", "Compare what a run found with other recommenders, tuned, on its split."),
    "export": Verb("export:export", "Write the model of a run as folded tables, for other programs to serve."),
    "score": Verb("score:score", "Rank untrained networks by training-free scores on one batch."),
    "benchmark": Verb("benchmark:benchmark", "Race strategies under one budget, random search among them."),
    "table": Verb("table:table", "Tables of interaction functions, each trained: make one, show one."),
    "portfolio": Verb(
        "portfolio:portfolio", "Configurations that searches try first: train them on tables, show them."
    ),
    "strategies": Verb("strategies:strategies", "List the search strategies, and show what one is made of."),
    "recipes": Verb("catalogue:recipes", "List, print, copy and check recipes."),
    "protocols": Verb("protocols:protocols", "List published protocols, and the figures that stand under them."),
    "datasets": Verb("catalogue:datasets", "List, fetch and describe data sets."),
    "doctor": Verb("doctor:doctor", "Show versions, device and data; name what is missing and what brings it."),
}
"""All verbs, in the order of the help."""


class LazyGroup(TyperGroup):
    """The group of all verbs."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the verbs."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a verb, imported now; in the help of the group a name with its line alone."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=verb.help)
        module, _, function = verb.at.partition(":")
        found = getattr(import_module(f"sif.cli.{module}"), function)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command(cmd_name)(found)
            found = alone
        return typer.main.get_command(found)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the group without importing a verb."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False
