"""A run beside the figures that were published under its protocol."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasp_core.loop import Observer
from nasp_core.training import train
from sif.errors import RunError
from sif.host import shielded
from sif.problems.tables import TableInstance
from sif.protocols import PROTOCOLS, PublishedProtocol, protocol
from sif.recipes import load_recipe
from sif.run_directory import RunDirectory
from sif.runs.after import judged, score
from sif.runs.rank import rank_run
from sif.sheet import Line, Table

__all__ = ["judge_run", "protocol_of", "published_remarks", "published_table", "standing"]

HERE = "this run"
_ON_TEST, _ON_VALIDATION = "test file", "validation"


def protocol_of(directory: RunDirectory) -> str:
    """Return the name of the protocol that a run was searched under; empty where there is none.

    Args:
        directory: Of the run.
    """
    file = directory.path / "recipe.toml"
    return str(tomllib.loads(file.read_text(encoding="utf-8")).get("protocol", "")) if file.is_file() else ""


def standing(directory: RunDirectory) -> dict[str, Any] | None:
    """Return a finished run, by the figures of its result, beside the published ones; None without a protocol.

    Args:
        directory: Of the run.
    """
    result = directory.result()
    name = protocol_of(directory) if result["split"] is not None else ""
    if name not in PROTOCOLS or result["metrics"]["test"] is None:
        return None
    row = result["rows"].get("popularity") or {}
    return _beside(protocol(name), result, result["metrics"]["test"], row.get("test"))


@shielded(draws=True)
def judge_run(
    run: str | Path,
    name: str = "",
    *,
    epoch_on_test: bool = False,
    device: str = "auto",
    root: Path | None = None,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Judge the model of a run as a protocol says, and return it beside the published figures.

    Args:
        run: The run directory.
        name: Of the protocol; empty: that of the run.
        epoch_on_test: Whether the architecture is trained once more, on all that is not test, and its epoch picked on
            the test part, as some papers do; that figure stands apart, under `epoch_on_test`.
        device: `auto`, `cpu` or `cuda`.
        root: Folder of data sets.
        progress: Shows that training.

    Returns:
        `protocol`, the `table` (None where no figures are known of one of this size), `metrics`, the `figures` of the
        test part, those of `popularity` (None where ratings are predicted), `published` rows, `epoch_on_test` (None, or
        its `epoch` and `figures`), and `remarks`.

    Raises:
        RunError: The run is of another protocol or task, or of a table that the protocol does not know.
    """
    directory = RunDirectory.open(run, needs="result.json")
    own = protocol_of(directory)
    if not (name or own):
        raise RunError(f"run {run} was not searched under a protocol; name one: sif evaluate {run} --protocol NAME")
    known = protocol(name or own)
    judged_run = directory.lists() if known.places else directory
    result = judged_run.result()
    _refuse_others(known, own, str(run), judged_run, result)
    if known.places:
        part = rank_run(run, k=(known.places,), device=device, root=root)["parts"]["test"]
        told = _beside(known, result, part["model"], part["popularity"])
    else:
        told = _beside(known, result, score(run, device=device, root=root)["test"], None)
    if not own:
        told["remarks"].append("the run was not searched under this protocol: its data are told by their size alone")
    if epoch_on_test:
        told["epoch_on_test"] = _picked_on_test(known, judged_run, device, root, progress)
        if told["epoch_on_test"] is None:
            told["remarks"].append("what the run hands over learns without epochs: there is none to pick")
    return told


def _refuse_others(
    known: PublishedProtocol, own: str, run: str, directory: RunDirectory, result: Mapping[str, Any]
) -> None:
    """Raise RunError where a run cannot be judged by a protocol."""
    if own and own != known.name:
        raise RunError(f"run {run} was searched under protocol {own}, not {known.name}; leave --protocol out")
    if result["task"] != known.task:
        raise RunError(
            f"protocol {known.name} is of task {known.task}, and run {run} of task {result['task']}; search anew: "
            f"sif search --protocol {known.name} --data FOLDER"
        )
    recipe = load_recipe(directory.file("recipe.toml"))
    if known.places and recipe.value("ranking.threshold") is not None:
        raise RunError(
            f"all pairs are relevant in protocol {known.name}, and run {run} says "
            f"ranking.threshold = {recipe.value('ranking.threshold'):g}; search anew without it"
        )
    if not own and _table(known, result) is None:
        tables = "\n".join(f"  {table.title}: {table.sizes()}" for table in known.tables)
        raise RunError(
            f"run {run} is of no table of protocol {known.name}: {_size(result)}\n{tables}\n"
            f"  Search anew: sif search --protocol {known.name} --data FOLDER"
        )


def _size(result: Mapping[str, Any]) -> str:
    data, sizes = result["dataset"], result["split"]["sizes"]
    rows = f"{data['interactions']:,} rows, {sizes['test']:,} of them test"
    return f"{data['users']:,} users, {data['items']:,} items, {rows}"


def _table(known: PublishedProtocol, result: Mapping[str, Any]) -> Any:
    data, sizes = result["dataset"], result["split"]["sizes"]
    return known.table_of(data["users"], data["items"], data["interactions"], sizes["test"])


def _beside(
    known: PublishedProtocol,
    result: Mapping[str, Any],
    figures: Mapping[str, float],
    popularity: Mapping[str, float] | None,
) -> dict[str, Any]:
    """Return the figures of a run beside the published ones of its table."""
    table, remarks = _table(known, result), [f"{known.name}: {known.chosen}"]
    if table is None:
        remarks.append(f"no figures are known of a table of {_size(result)}: of {_titles(known)} they are")
    rows = [
        {"method": each.method, "figures": dict(zip(known.metrics, each.values, strict=True))}
        | {"source": each.source, "chosen_on": _ON_TEST if each.on_test else _ON_VALIDATION}
        for each in (table.figures if table is not None else ())
    ]
    return {
        "protocol": known.name,
        "table": None if table is None else table.title,
        "metrics": list(known.metrics),
        "figures": {metric: figures[metric] for metric in known.metrics},
        "popularity": None if popularity is None else {metric: popularity[metric] for metric in known.metrics},
        "published": rows,
        "epoch_on_test": None,
        "remarks": remarks,
    }


def _titles(known: PublishedProtocol) -> str:
    return ", ".join(table.title for table in known.tables)


def published_table(told: Mapping[str, Any]) -> Table:
    """Return what `judge_run` or `standing` returned as a table, best first by the first metric.

    Args:
        told: What it returned.
    """
    metrics, sign = told["metrics"], -1.0 if protocol(told["protocol"]).places else 1.0
    rows = [(each["method"], each["figures"], each["chosen_on"], each["source"]) for each in told["published"]]
    rows.append((HERE, told["figures"], _ON_VALIDATION, "here"))
    if told["popularity"] is not None:
        rows.append(("popularity", told["popularity"], "-", "here"))
    if told["epoch_on_test"] is not None:
        rows.append((f"{HERE}, their way", told["epoch_on_test"]["figures"], _ON_TEST, "here"))
    rows.sort(key=lambda row: sign * row[1][metrics[0]])
    lines = (
        Line((method, *(f"{figures[metric]:.4f}" for metric in metrics), chosen, source), method == HERE)
        for method, figures, chosen, source in rows
    )
    title = f"protocol {told['protocol']}, {told['table'] or 'a table without published figures'}, test part"
    columns = ("method", *metrics, "chosen on", "source")
    return Table(columns, tuple(lines), text=(0, len(columns) - 2, len(columns) - 1), title=title)


def published_remarks(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a reader of the table must not miss.

    Args:
        told: What `judge_run` or `standing` returned.
    """
    theirs = told["epoch_on_test"]
    more = (
        ()
        if theirs is None
        else (f"{HERE}, their way: epoch {theirs['epoch']} was picked on the test part; no result",)
    )
    return (*told["remarks"], *more)


def _picked_on_test(
    known: PublishedProtocol, directory: RunDirectory, device: str, root: Path | None, progress: Observer | None
) -> dict[str, Any] | None:
    """Train what a run hands over on all that is not test, and pick the epoch on the test part; None without epochs."""
    instance = judged(directory, device, root)
    assert isinstance(instance, TableInstance)
    instance = instance.judged_by_test()
    trainee = instance.trainee(directory)
    if trainee.fit is not None:
        return None
    training = instance.training(trainee.tuned)
    every = max(1, training.evaluate_every)
    training = replace(training, keep_best=True, patience=None, average_after=None, evaluate_every=every)
    with instance.threads():
        done = train(
            trainee.network, instance.final_task, training, seed=instance.recipe.seed, observer=progress or Observer()
        )
    return {"epoch": done.epoch, "figures": {metric: done.metrics[metric] for metric in known.metrics}}
