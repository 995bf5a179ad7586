"""Building a portfolio: the same configurations trained on every table of a suite, each training kept at once."""

import hashlib
import itertools
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import sif
from nasp_core.loop import Observer
from sif.encodings import parts_of
from sif.errors import DataError
from sif.host import shielded
from sif.journal import Journal
from sif.recipes.problems import problem
from sif.spaces.wide_points import NAMED
from sif.spaces.wide_settings import BRANCH_KEY
from sif.studies.configuration import Configuration
from sif.studies.portfolio import entries_of
from sif.studies.portfolio_table import PortfolioTable, write_portfolio
from sif.studies.portfolio_tables import LONGEST, OpenedTable, recipes_tried, trained_once
from sif.studies.proposals import point_entry, portfolio
from sif.studies.proposer import Proposer
from sif.studies.suite_file import SuiteTable
from sif.studies.trials import StudyTrial

__all__ = ["build_portfolio", "trainings_path"]

_FIRST, _FULL = 1 / 9, 1.0
_KEPT = 1 / 5  # of the configurations on a table, trained in full there
_BEFORE = "portfolio"
_SHARES = (1 / 4, 4 / 7, 1.0)  # of the seconds, at which short trainings, full ones and what these promise end


def trainings_path(out: Path) -> Path:
    """Return the folder beside a portfolio's table in which its trainings are kept.

    Args:
        out: The Parquet file.
    """
    return out.with_name(out.name + ".trainings")


@shielded(draws=True)
def build_portfolio(
    tables: Sequence[SuiteTable],
    folder: Path,
    out: Path,
    *,
    configurations: int = 100,
    seconds: float | None = None,
    begin: PortfolioTable | None = None,
    tasks: Sequence[str] = (),
    progress: Observer | None = None,
) -> Path:
    """Train configurations on each table of a suite, and write the table of what they came to; return `out`.

    All configurations are trained on a ninth of the schedule on every table, and the best fifth of a table in full
    there. Then what one table's trainings promise most of is tried on all tables in the same way. A training is kept
    beside `out` as soon as it has ended: a build that was stopped goes on where it was. No test part is read.

    A build that begins with an earlier table takes its trainings over, and tries what is new: the portfolio's entries
    with one of their encodings exchanged for one that no entry has, and draws.

    Args:
        tables: Of the suite.
        folder: Where their files are.
        out: The Parquet file.
        configurations: How many, for each task: the present portfolio, published models, exchanged encodings, and
            draws; and as many that trainings promise most of.
        seconds: Of one processor core, after which no training begins, those of earlier calls included; None: all.
        begin: An earlier table, whose trainings are taken over.
        tasks: Those that are tried; of others that table is kept as it is. None: all.
        progress: Is shown the trainings.

    Raises:
        DataError: A table cannot be used, there is none, the trainings are of another portfolio, or those of the
            earlier table are of other tables, cuts or recipes.
    """
    if not tables or configurations < 2:
        raise DataError(
            f"a portfolio of {len(tables)} tables and {configurations} configurations\n  Give 1 and 2 or more."
        )
    fix = "give another --out, or remove the folder to begin again"
    header = _header(tables)
    before = _begun(begin, header)
    journal = Journal(trainings_path(out), "portfolio", fix, DataError)
    with journal.opened(
        header | {"begin": _fingerprint(begin)} if begin is not None else header, "building a portfolio"
    ):
        asked = [name for name in recipes_tried() if not tasks or name in tasks]
        built = [_Task(name, journal, tables, folder, progress or Observer()) for name in asked]
        built = [task for task in built if task.fields]
        if not built:
            raise DataError(
                f"none of the tables is of task {', '.join(asked)}\n  Give --tasks of theirs, or leave it out."
            )
        kept = [row for name in before if name not in {task.name for task in built} for row in before[name]]
        for task in built:
            task.take(before.get(task.name, ()))
        parts = sum(task.price for task in built)
        for phase in range(len(_SHARES)):
            for task in built:
                share = _SHARES[phase] * task.price / parts
                with task.fields[0].instance.threads():
                    task.run(phase, configurations, None if seconds is None else share * seconds)
            spent = (begin.made["seconds"] if begin is not None else 0.0) + sum(task.seconds for task in built)
            made = header | {"versions": _versions(), "seconds": spent}
            write_portfolio([*(row for task in built for row in task.rows()), *kept], made, out)
    return out


def _begun(begin: PortfolioTable | None, header: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of an earlier table by task."""
    if begin is None:
        return {}
    then, now = ({each["name"]: each for each in made["tables"]} for made in (begin.made, header))
    if then.keys() != now.keys():
        other = ", ".join(sorted(then.keys() ^ now.keys()))
        raise DataError(f"the earlier table is not of the same tables: {other}\n  Leave --begin out, or give them all.")
    for each in header["tables"]:
        if then[each["name"]] != json.loads(json.dumps(each)):
            raise DataError(
                f"table {each['name']} is cut or split otherwise there\n  Leave --begin out, or use its suite."
            )
    if _terms(begin.made) != _terms(header):
        raise DataError("its trainings are by other recipes, or were dropped after other seconds\n  Leave --begin out.")
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in begin.frame.iter_rows(named=True):
        plain = row | {"choices": json.loads(row["choices"]), "settings": json.loads(row["settings"])}
        rows.setdefault(row["task"], []).append(plain)
    return rows


def _terms(made: Mapping[str, Any]) -> list[Any]:
    """Return what a training depends on besides its configuration; not which encodings were offered."""
    recipes = {
        task: [name, {key: value for key, value in changes.items() if key != "space.encodings"}]
        for task, (name, changes) in made["recipes"].items()
    }
    return [recipes, made["longest"]]


def _fingerprint(table: PortfolioTable) -> str:
    return hashlib.sha256(table.frame.write_csv().encode()).hexdigest()[:16]


class _Task:
    """The tables of one task, and the configurations that are tried on all of them."""

    def __init__(
        self, name: str, journal: Journal, tables: Sequence[SuiteTable], folder: Path, progress: Observer
    ) -> None:
        self.name, self._journal, self._progress = name, journal, progress
        parts = journal.folder / "tables"
        self.fields = [OpenedTable.of(each, name, folder, parts) for each in tables if name in each.tasks]
        self.price = len(self.fields) * (2 if problem(name).ranks else 1)  # a ranking takes about twice as long
        self.tried: list[Configuration] = []
        self.seconds = 0.0
        self._taken = set[str]()
        self._proposers = {
            each.name: Proposer(each.instance, each.instance.problem.settings_space) for each in self.fields
        }

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over trainings of an earlier table.

        Args:
            rows: Its rows of this task.
        """
        fields = {each.name: each for each in self.fields}
        for row in rows:
            configuration = Configuration.of(row)
            if configuration.key not in self._taken:
                self._taken.add(configuration.key)
                self.tried.append(configuration)
            if (here := fields.get(row["table"])) is not None:
                fidelity = min((_FIRST, _FULL), key=lambda each: abs(each - row["fidelity"]))
                known = row["value"], row["seconds"], row["epochs"]
                here.done.append(StudyTrial(len(here.done), configuration, fidelity, *known))

    def run(self, phase: int, count: int, end: float | None) -> None:
        """Go through one phase until so many seconds were spent: short trainings, full ones, or what these promise."""
        (self._short, self._full, self._near)[phase](count, end)

    def _short(self, count: int, end: float | None) -> None:
        for configuration in islice(self._proposed(count), count):
            if self._over(end):
                return
            self._try(configuration)

    def _full(self, count: int, end: float | None) -> None:
        """Train the best of each table in full there, in turns with the present portfolio, which is judged beside."""
        before = [each for each in self.tried if each.by == _BEFORE]
        for place in range(max(len(before), _kept(len(self.tried)))):
            for each in self.fields:
                ranked = [trial.configuration for trial in each.ranked(_FIRST)][: _kept(len(self.tried))]
                for configuration in (*ranked[place : place + 1], *before[place : place + 1]):
                    if not self._over(end):
                        self._train(each, configuration, _FULL)

    def _near(self, count: int, end: float | None) -> None:
        for number in range(count):
            here = self.fields[number % len(self.fields)]
            if self._over(end):
                return
            self._refine(here)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each training."""
        numbers = {configuration.key: number for number, configuration in enumerate(self.tried)}
        task = self.fields[0].instance.final_task
        for each in self.fields:
            for trial in each.done:
                told = self.tried[numbers[trial.configuration.key]].plain()
                yield {
                    "task": self.name,
                    "table": each.name,
                    "metric": task.metric,
                    "maximise": task.maximise,
                    "configuration": numbers[trial.configuration.key],
                    **told,
                    "fidelity": trial.fidelity,
                    "value": trial.value,
                    "seconds": trial.seconds,
                    "epochs": trial.epochs,
                }

    def _over(self, end: float | None) -> bool:
        return end is not None and self.seconds > end

    def _proposed(self, count: int) -> Iterator[Configuration]:
        """Yield the present portfolio, published models, exchanged encodings, then draws; every setting is said."""
        instance = self.fields[0].instance
        settings = instance.problem.settings_space
        own = {key: instance.recipe.value(key) for key in settings}
        named = [point_entry(name) for name in NAMED]
        held = portfolio(instance, entries_of(self.name))
        held += [Configuration(each.choices, each.settings, "published") for each in portfolio(instance, named)]
        held += _exchanged(held, getattr(instance.recipe.space, "encodings", ()))
        known = set(self._taken)
        for each in held:
            made = Configuration(each.choices, own | _branched(each), each.by)
            if made.key not in known:
                known.add(made.key)
                yield made
        for number in range(10 * count):  # of an earlier table the first draws are known
            drawn = self._proposers[self.fields[0].name].drawn(number)
            made = Configuration(drawn.choices, _branched(drawn), drawn.by)
            if made.key not in known:
                known.add(made.key)
                yield made

    def _try(self, configuration: Configuration) -> None:
        """Train a configuration for a short time on every table."""
        self.tried.append(configuration)
        for each in self.fields:
            self._train(each, configuration, _FIRST)

    def _refine(self, here: OpenedTable) -> None:
        """Try on all tables what one table's trainings promise most of, in full where it is among the first fifth."""
        known, maximise = {each.key for each in self.tried}, here.instance.final_task.maximise
        found = self._proposers[here.name].ask(here.done, maximise, known | set(map(_bare, self.tried)))
        if found is None:
            return
        made = Configuration(found.choices, _branched(found), f"near {here.name}")
        if made.key in known:
            return
        self._try(made)
        for each in self.fields:
            ranked = each.ranked(_FIRST)
            if made.key in {trial.configuration.key for trial in ranked[: _kept(len(ranked))]}:
                self._train(each, made, _FULL)

    def _train(self, here: OpenedTable, configuration: Configuration, fidelity: float) -> None:
        def make() -> dict[str, Any]:
            self._progress.stage(f"{self.name} {here.name}")
            return trained_once(here.instance, configuration, fidelity, self._progress)

        if any(each.fidelity == fidelity and each.configuration.key == configuration.key for each in here.done):
            return
        depends = [configuration.key, fidelity]
        made = self._journal.once(f"{self.name} {here.name}", make, depends)
        self.seconds += made["seconds"]
        number = len(here.done)
        here.done.append(StudyTrial(number, configuration, fidelity, made["value"], made["seconds"], made["epochs"]))


def _exchanged(held: Sequence[Configuration], offered: Sequence[str]) -> list[Configuration]:
    """Return the entries of a portfolio with one of their encodings exchanged for one that no entry has.

    Of a sum of encodings one part is exchanged: of id+history comes id+value-history, where that is offered.
    """
    entries = [each for each in held if each.by == _BEFORE]
    new = [name for name in offered if not any(name in each.choices["encoding"] for each in entries)]
    made = []
    for each, name in itertools.product(entries, new):
        for place, old in enumerate(each.choices["encoding"]):
            parts, others = set(parts_of(name)), set(parts_of(old))
            if len(parts - others) == len(others - parts) == 1:
                encoding = (*each.choices["encoding"][:place], name, *each.choices["encoding"][place + 1 :])
                made.append(Configuration({**each.choices, "encoding": encoding}, each.settings, "exchanged"))
    return made


def _kept(count: int) -> int:
    return max(1, round(count * _KEPT))


def _branched(configuration: Configuration) -> dict[str, Any]:
    """Return the settings of a configuration with the number of its added functions."""
    return dict(configuration.settings) | {BRANCH_KEY: len(configuration.choices["operation"])}


def _bare(configuration: Configuration) -> str:
    """Return the key of a configuration that does not say how many functions are added, as proposals may not."""
    settings = {key: value for key, value in configuration.settings.items() if key != BRANCH_KEY}
    return Configuration(configuration.choices, settings).key


def _header(tables: Sequence[SuiteTable]) -> dict[str, Any]:
    return {"tables": [each.model_dump() for each in tables], "recipes": recipes_tried(), "longest": LONGEST}


def _versions() -> dict[str, str]:
    return {"sif": sif.__version__, "torch": torch.__version__, "python": platform.python_version()}
