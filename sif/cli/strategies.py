"""`sif strategies`: what searches there are, what each is made of, where it runs and what a step costs."""

from typing import Annotated, Any

import typer

from sif.cli.app import JsonOption, console, emit, guarded
from sif.cli.tables import print_table
from sif.sheet import Line, Table
from sif.strategy_rows import describe_strategy, parts_in_short, strategy_rows

__all__ = ["strategies"]

strategies = typer.Typer(help="List the search strategies, and show what one is made of.", no_args_is_help=True)


@strategies.command("ls")
@guarded
def list_strategies(
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as docs/strategies.md has it.")] = False,
) -> None:
    """List the strategies: paper, parts, the spaces they run on, and what a step costs beside one of nasp."""
    rows = strategy_rows()
    if as_json:
        emit(rows)
        return
    if markdown:
        lines = [(f"`{row['name']}`", _linked(row), parts_in_short(row), _spaces(row), _cost(row)) for row in rows]
        head = [("strategy", "paper", "parts", "spaces", "step"), ("---", "---", "---", "---", "--:")]
        console.out("\n".join(f"| {' | '.join(line)} |" for line in [*head, *lines]), highlight=False)
        return
    shown = (Line((row["name"], _paper(row), parts_in_short(row), _spaces(row), _cost(row))) for row in rows)
    print_table(Table(("strategy", "paper", "parts", "spaces", "step"), tuple(shown), text=(0, 1, 2, 3)))
    console.print(
        "step: operations of a search's step, that of nasp is 1, with 8 candidates a choice (-: trains points alone)\n"
        "next    sif strategies show NAME",
    )


@strategies.command("show")
@guarded
def show_strategy(name: str, as_json: JsonOption = False) -> None:
    """Show one strategy: its parts with their settings, where it departs and fails, where it runs, and its BibTeX."""
    row = describe_strategy(name)
    if as_json:
        emit(row)
        return
    console.print(f"{row['name']}: {row['about']}", style="bold")
    settings = "\n".join(f"{key} = {value!r}" for key, value in row["settings"].items())
    facts = [*row["parts"].items(), ("settings", settings or "none"), ("spaces", _spaces(row))]
    if row["kind"] == "one-shot":
        facts.append(("step", "not counted" if row["step_cost"] is None else f"{_cost(row)} of nasp's operations"))
    print_table(Table(("", ""), tuple(map(Line, facts)), text=(0, 1)))
    for note in row["notes"]:
        console.print(note)
    for space, reasons in row["refused"].items():
        for reason in dict.fromkeys(reasons):
            console.print(f"Does not run on {space}: {reason}")
    console.print(f"\n{row['bibtex']}" if row["bibtex"] else "\nno paper: nothing to cite")


def _paper(row: dict[str, Any]) -> str:
    if not row["papers"]:
        return "-"
    paper = row["papers"][0]
    names = paper["authors"].split(", ")
    others = " et al." if len(names) > 1 else ""
    return f"{names[0].split()[-1]}{others} {paper['year']}"


def _linked(row: dict[str, Any]) -> str:
    arxiv = row["papers"][0]["arxiv"] if row["papers"] else ""
    return f"[{_paper(row)}](https://arxiv.org/abs/{arxiv})" if arxiv else _paper(row)


def _spaces(row: dict[str, Any]) -> str:
    """Return the spaces that a strategy runs on, by the shorter of two lists."""
    runs = [space for space, fits in row["spaces"].items() if fits]
    refused = [space for space, fits in row["spaces"].items() if not fits]
    if not refused:
        return "all"
    return ", ".join(runs) if len(runs) <= len(refused) else f"all but {', '.join(refused)}"


def _cost(row: dict[str, Any]) -> str:
    return "-" if row["step_cost"] is None else f"{row['step_cost']:.2f}"
