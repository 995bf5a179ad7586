"""The page of a suite's results, docs/suite.md: every table, ranks and regrets, what pays, smaller budgets, losses."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sif.benchmark.suite_arms import RANDOM_ARM, STUDY, WITHOUT, changed_part
from sif.benchmark.suite_map import about_tables
from sif.benchmark.suite_results import BEST, Figures, Question, SuiteResults, SuiteVersus, is_rival, questions_in

__all__ = ["suite_page"]

_HOW = """
Every arm runs in a process of its own, on one thread, with the same seconds of the clock after the table is read.
All seeds share the split of a table and the cut of it; a seed decides weights, batches and draws. Validation alone
chooses what is handed over; the test part is read once for that.

- `study`: a study as recipes have it. `study without X`: the same with X added to `study.without`; `study with X`:
  with a part that recipes leave out since it does not pay.
- The study of a table begins with the portfolio that the other tables give: this one is left out of it, and so are
  those that are cut from the same file.
- `random`: random search of configurations: drawn evenly from the study's own space, each trained in full one after
  another, with the recipe's early stopping. Where none came to its end in the seconds, one is trained on a ninth of
  its schedule, whatever it takes.
- A rival alone has the same seconds: those of `sif compare` go through their grid until it ends; those that are
  networks are trained under the recipe's settings, then under settings drawn from the study's ranges, thirty in all.
- *Regret*: the distance to the best test value that any arm, seed and budget of this page has on the table, as a
  share of that value.
- *Rank*: among the study, random search and the rivals of the task, by the mean over seeds; equal values share
  their places.
- *Difference*: the study less its opponent, of means over seeds: NDCG over the users of the test part; for ratings
  the opponent's squared errors less the study's, over ratings. Above 0 the study is better. The interval is the
  percentile bootstrap's (95 %), p the sign-flip test's, corrected by Holm over the tables of a list.
- The *best rival* of a table is the one that is best on validation.
""".strip()


def suite_page(results: Mapping[str, Any], notes: str = "") -> str:
    """Return the page as Markdown.

    Args:
        results: What `results.json` holds.
        notes: What a person has to say of what wins where, as Markdown.
    """
    suite = SuiteResults.model_validate(results)
    figures = {each: Figures(suite.runs, each, suite.budget) for each in questions_in(suite.runs)}
    figures = {question: made for question, made in figures.items() if made.test}
    parts = [
        "# The suite",
        _about(suite, figures),
        "## In short",
        _short(suite, figures),
        "## What wins where",
        _where(suite, figures),
        notes.strip(),
        *(text for task in _tasks(figures) for text in _values(task, figures)),
        "## Against the best rival",
        _versus(suite, BEST),
        "## Against random search",
        _versus(suite, RANDOM_ARM),
        *_pays(suite, figures),
        *_budgets(suite, figures),
        "## What was spent",
        _spent(suite),
        "## What the study handed over",
        _handed(suite),
        *_not_run(suite),
        "## How",
        _HOW,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(suite: SuiteResults, figures: Mapping[Question, Figures]) -> str:
    seeds = sorted({run.seed for run in suite.runs})
    machine = ", ".join(f"{key} {value}" for key, value in suite.hardware.items())
    programs = ", ".join(f"{key} {value}" for key, value in suite.versions.items())
    tables = len({table for table, _ in figures})
    command = f"\n\n```text\n{suite.command}\n```" if suite.command else ""
    return (
        f"The study against random search of configurations and against each rival alone, at equal seconds "
        f"({suite.budget} each), on {tables} table{'s' * (tables != 1)}, seeds {', '.join(map(str, seeds))}."
        f"{command}\n\n"
        f"This page is written by the command from its `results.json`. Machine: {machine}. Versions: {programs}."
    )


def _short(suite: SuiteResults, figures: Mapping[Question, Figures]) -> str:
    lines = []
    for task in _tasks(figures):
        own = [made for (_, of), made in figures.items() if of == task]
        arms = _arms(own, whole=True)
        placed = [made.ranks(arms) for made in own]
        for arm in arms:
            ranks = [each[arm] for each in placed if arm in each]
            regrets = _regrets(own, arm)
            lines.append([task, arm, str(len(ranks)), f"{_mean(ranks):.2f}", _share(_mean(regrets))])
    text = _table(("task", "arm", "tables", "mean rank", "mean regret"), lines, text=2)
    return "\n\n".join([text, *_claims(suite, figures)])


def _claims(suite: SuiteResults, figures: Mapping[Question, Figures]) -> list[str]:
    both = [made for made in figures.values() if STUDY in made.test and RANDOM_ARM in made.test]
    claims = []
    if both:
        ours, theirs = _mean(_regrets(both, STUDY)), _mean(_regrets(both, RANDOM_ARM))
        ratio = f", {ours / theirs:.2f} of it" if theirs else ""
        claims.append(f"Mean regret of the study {_share(ours)}, of random search {_share(theirs)}{ratio}.")
    met = [each for each in suite.versus if each.against == BEST]
    lost = [f"{each.table} ({each.task}, {each.theirs})" for each in met if each.high < 0]
    won, sure = sum(each.low > 0 for each in met), sum(each.low > 0 and each.p_holm < 0.05 for each in met)
    if met:
        where = f"; worse on {', '.join(lost)}" if lost else ""
        claims.append(
            f"Not worse than the best rival, within the interval, on {len(met) - len(lost)} of {len(met)}{where}; "
            f"better on {won}, {sure} of them after Holm's correction."
        )
    return claims


def _where(suite: SuiteResults, figures: Mapping[Question, Figures]) -> str:
    pictures = [f"![{task}: methods by tables](suite-{task}.svg)" for task in _tasks(figures)]
    heads = ("table", "rows a user", "density", "Gini of popularity", "first three, in % of the best known")
    said = "Dense tables first; a cell of the picture is a mean of the test part in per cent of the best value known."
    return "\n\n".join([said, *pictures, _table(heads, about_tables(suite, figures), text=1)])


def _values(task: str, figures: Mapping[Question, Figures]) -> list[str]:
    own = {table: made for (table, of), made in figures.items() if of == task}
    arms, lines = _arms(own.values(), whole=True), []
    for table, made in own.items():
        there = {arm: value for arm, value in made.test.items() if arm in arms}
        top = (max if made.maximise else min)(there.values())
        cells = [_value(made, arm, there.get(arm) == top) for arm in arms]
        lines.append([table, made.metric, f"{made.best:.4f}", *cells, _share(made.regret(STUDY))])
    better = "more is better" if all(made.maximise for made in own.values()) else "less is better"
    heads = ("table", "metric", "best known", *arms, "regret of the study")
    return [
        f"## {task.capitalize()}",
        f"Test part, mean over seeds ± sample standard deviation; {better}.",
        _table(heads, lines),
    ]


def _versus(suite: SuiteResults, against: str) -> str:
    met = [each for each in suite.versus if each.against == against]
    if not met:
        return "Not run."
    lines = [
        [
            f"{each.table}, {each.task}",
            each.theirs,
            _verdict(each),
            f"{each.difference:+.5f}",
            f"[{each.low:+.5f}, {each.high:+.5f}]",
            f"{each.p:.4f}",
            f"{each.p_holm:.4f}",
        ]
        for each in met
    ]
    heads = ("table", "opponent", "the study is", "difference", "95 % interval", "p", "p (Holm)")
    return _table(heads, lines, text=3)


def _verdict(each: SuiteVersus) -> str:
    """Return in a word what the interval says; a difference that holds after Holm in bold."""
    word = "better" if each.low > 0 else "worse" if each.high < 0 else "not told apart"
    return f"**{word}**" if each.p_holm < 0.05 and word != "not told apart" else word


def _pays(suite: SuiteResults, figures: Mapping[Question, Figures]) -> list[str]:
    """Return the study beside itself with a part less, or more."""
    less = [arm for arm in _arms(figures.values(), whole=False) if changed_part(arm)]
    if not less:
        return []
    arms, lines = [STUDY, *less], []
    for (table, task), made in figures.items():
        top = made.ranks(arms)
        cells = [_value(made, arm, top.get(arm) == min(top.values())) for arm in arms]
        lines.append([f"{table}, {task}", *cells])
    every = list(figures.values())
    placed = [made.ranks(arms) for made in every]
    rank = [f"{_mean([each[arm] for each in placed if arm in each]):.2f}" for arm in arms]
    lines += [["**mean rank**", *rank], ["**mean regret**", *(_share(_mean(_regrets(every, arm))) for arm in arms)]]
    for word, wanted in (("better", True), ("worse", False)):
        told = [
            [each for each in suite.versus if each.against == arm and (each.low > 0 if wanted else each.high < 0)]
            for arm in less
        ]
        lines.append([f"**tables on which the study is {word}**", "", *(str(len(each)) for each in told)])
    said = []
    for arm in less:
        shared = [made for made in every if STUDY in made.test and arm in made.test]
        ours, theirs = _mean(_regrets(shared, STUDY)), _mean(_regrets(shared, arm))
        lacks = arm.startswith(WITHOUT)
        without, having = (theirs, ours) if lacks else (ours, theirs)
        verb = "pays" if without > having else "does not pay here"
        said.append(f"- `{changed_part(arm)}` {verb}: mean regret {_share(without)} without, {_share(having)} with.")
    text = "Test part, means over seeds. Better and worse are told by the interval of the paired difference."
    return ["## What pays", text, _table(("table", *arms), lines), "\n".join(said)]


def _budgets(suite: SuiteResults, figures: Mapping[Question, Figures]) -> list[str]:
    """Return what the study comes to in smaller budgets."""
    budgets = list(dict.fromkeys([suite.budget, *(run.budget for run in suite.runs)]))
    if len(budgets) < 2:
        return []
    at = {budget: {each: Figures(suite.runs, each, budget) for each in figures} for budget in budgets}
    lines = []
    for table, task in figures:
        values = [at[budget][table, task].test.get(STUDY) for budget in budgets]
        lines.append([f"{table}, {task}", *("-" if value is None else f"{value:.4f}" for value in values)])
    lines.append(["**mean regret**", *(_share(_mean(_regrets(at[budget].values(), STUDY))) for budget in budgets)])
    return ["## Smaller budgets", "The study, test part, means over seeds.", _table(("table", *budgets), lines)]


def _spent(suite: SuiteResults) -> str:
    lines = []
    for table, task in questions_in(suite.runs):
        for arm in (STUDY, RANDOM_ARM):
            own = [run for run in suite.runs if (run.table, run.task, run.arm) == (table, task, arm)]
            done = [run for run in own if run.seconds is not None and run.budget == suite.budget]
            if done:
                size = suite.sizes.get(f"{table} {task}", {})
                seconds = [run.seconds or 0.0 for run in done]
                lines.append(
                    [
                        f"{table}, {task}",
                        f"{size.get('users', 0):,} x {size.get('items', 0):,}",
                        f"{size.get('train', 0):,} / {size.get('valid', 0):,} / {size.get('test', 0):,}",
                        arm,
                        f"{_mean(seconds):.1f} (most {max(seconds):.1f})",
                        f"{_mean([run.trials or 0 for run in done]):.0f}",
                        f"{max(run.peak_memory_mb or 0.0 for run in done):,.0f}",
                    ]
                )
    return _table(("table", "size", "train / valid / test", "arm", "seconds", "trainings", "peak MiB"), lines)


def _handed(suite: SuiteResults) -> str:
    lines = []
    for table, task in questions_in(suite.runs):
        own = [run for run in suite.runs if (run.table, run.task, run.arm) == (table, task, STUDY)]
        times = Counter(run.handed for run in own if run.budget == suite.budget and run.handed)
        lines += [[f"{table}, {task}", f"`{handed}`", str(number)] for handed, number in times.most_common()]
    return _table(("table", "model", "seeds"), lines, text=2)


def _not_run(suite: SuiteResults) -> list[str]:
    failed = dict.fromkeys(
        f"- {run.table}, {run.task}, {run.arm} at {run.budget}: {run.reason}" for run in suite.runs if run.reason
    )
    return ["## What did not run", "\n".join(failed)] if failed else []


def _tasks(figures: Iterable[Question]) -> list[str]:
    return sorted({task for _, task in figures})


def _arms(figures: Iterable[Figures], *, whole: bool) -> list[str]:
    """Return the arms that there are, in order; `whole`: without those that change a part of the study."""
    every = dict.fromkeys(arm for made in figures for arm in made.test)
    return [arm for arm in every if not whole or arm in (STUDY, RANDOM_ARM) or is_rival(arm)]


def _regrets(figures: Iterable[Figures], arm: str) -> list[float]:
    return [found for made in figures if (found := made.regret(arm)) is not None]


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else float("nan")


def _share(value: float | None) -> str:
    return "-" if value is None or value != value else f"{100 * value:.2f} %"


def _value(made: Figures, arm: str, top: bool) -> str:
    if arm not in made.test:
        return "-"
    values = [run.test or 0.0 for run in made.runs[arm]]
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    text = f"{made.test[arm]:.4f}"
    return (f"**{text}**" if top else text) + spread


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], text: int = 1) -> str:
    """Return a table whose first columns are text, the others figures."""
    lines = [heads, ["---"] * text + ["--:"] * (len(heads) - text), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
