"""`sif protocols`: what papers agree on, and the figures that stand under it."""

from typing import Any

import typer

from sif.cli.app import JsonOption, console, emit, guarded
from sif.cli.tables import print_table
from sif.protocols import PROTOCOLS, PublishedProtocol, protocol
from sif.sheet import Line, Table

__all__ = ["protocols"]

protocols = typer.Typer(help="List published protocols, and the figures that stand under them.", no_args_is_help=True)


@protocols.command("ls")
@guarded
def list_protocols(as_json: JsonOption = False) -> None:
    """List the protocols, each with what it is."""
    about = {name: known.title for name, known in PROTOCOLS.items()}
    if as_json:
        emit(about)
        return
    print_table(Table(("protocol", "about"), tuple(map(Line, about.items())), text=(0, 1)))


@protocols.command("show")
@guarded
def show_protocol(name: str, as_json: JsonOption = False) -> None:
    """Show what a protocol says: files, parts, what is masked, metrics, how models are chosen, published figures."""
    known = protocol(name)
    if as_json:
        emit(_plain(known))
        return
    console.print(f"{known.name}: {known.title}\n")
    lines = [Line(("files", "\n".join(layout.wanted for layout in known.layouts))), Line(("data", known.url))]
    lines += [Line(("recipe", known.recipe)), Line(("sets", _values(known)))]
    lines += [Line(("not ranked", known.masked))] if known.masked else []
    lines += [Line(("metrics", ", ".join(known.metrics))), Line(("chosen", known.chosen))]
    print_table(Table(("", ""), tuple(lines), text=(0, 1)))
    for table in known.tables:
        rows = (
            Line((each.method, *(f"{value:.4f}" for value in each.values), _chosen(each.on_test), each.source))
            for each in table.figures
        )
        columns = ("method", *known.metrics, "chosen on", "source")
        title, text = f"{table.title}: {table.sizes()}", (0, len(columns) - 2, len(columns) - 1)
        print_table(Table(columns, tuple(rows), text=text, title=title))
    console.print(f"next    sif search --protocol {known.name} --data FOLDER")


def _chosen(on_test: bool) -> str:
    return "test file" if on_test else "validation"


def _values(known: PublishedProtocol) -> str:
    return ", ".join(f"{key} = {value}" for key, value in known.values.items())


def _plain(known: PublishedProtocol) -> dict[str, Any]:
    tables = [
        {"title": table.title, "users": table.users, "items": table.items, "rows": table.rows, "test": table.test}
        | {"figures": [dict(zip(known.metrics, each.values, strict=True)) | _of(each) for each in table.figures]}
        for table in known.tables
    ]
    texts = ("name", "title", "recipe", "task", "url", "masked", "chosen")
    told: dict[str, Any] = {key: getattr(known, key) for key in texts}
    told |= {"values": dict(known.values), "metrics": list(known.metrics)}
    return told | {"files": [layout.wanted for layout in known.layouts], "tables": tables}


def _of(each: Any) -> dict[str, Any]:
    return {"method": each.method, "source": each.source, "chosen_on": _chosen(each.on_test)}
