"""The picture of a suite: each arm on each table, as a share of the best, tables in the order of their density."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sif.benchmark.suite_arms import RANDOM_ARM, STUDY
from sif.benchmark.suite_results import Figures, Question, SuiteResults, is_rival, questions_in

__all__ = ["about_tables", "suite_map", "traits"]

_LEFT, _TOP, _CELL, _ROW = 300, 110, 54, 26
_LEAST = 0.6  # of the best value: what has less is white
_STYLE = "text{font:13px system-ui,sans-serif;fill:#1a1a1a}.few{fill:#767676}"


def traits(sizes: Mapping[str, float]) -> dict[str, float]:
    """Return what tells tables apart: rows of a user, share of all pairs that are known, and skew of popularity.

    Args:
        sizes: Of a table, as results have them: `users`, `items`, `train`, and `gini` where it was counted.

    Returns:
        `per_user`, `density`, and `gini` (0: all items are met as often, 1: one alone), what is known of them.
    """
    users, items, rows = (float(sizes.get(key, 0)) for key in ("users", "items", "train"))
    if not (users and items):
        return {}
    known = {"per_user": rows / users, "density": rows / (users * items)}
    return known | ({"gini": float(sizes["gini"])} if "gini" in sizes else {})


def about_tables(suite: SuiteResults, figures: Mapping[Question, Figures]) -> list[list[str]]:
    """Return a row for each question, dense tables first: what the table is like, and the three arms that lead there.

    Args:
        suite: The results.
        figures: Of each question that has some.
    """
    lines = []
    for question in _by_density(suite, figures):
        made, told = figures[question], traits(_sizes(suite, question))
        values = [(arm, _share(made, arm)) for arm in made.test if arm == STUDY or is_rival(arm)]
        first = sorted(values, key=lambda pair: -pair[1])[:3]
        lines.append(
            [
                f"{question[0]}, {question[1]}",
                _number(told, "per_user", "{:.1f}"),
                _number(told, "density", "{:.2%}"),
                _number(told, "gini", "{:.2f}"),
                ", ".join(f"{arm} {100 * share:.1f}" for arm, share in first),
            ]
        )
    return lines


def suite_map(results: Mapping[str, Any], task: str) -> str:
    """Return a picture of a task (SVG, no script, no fonts of its own): arms by tables, dense tables first.

    A cell is the arm's mean test value in per cent of the best that is known of the table; the darker, the nearer.

    Args:
        results: What `results.json` holds.
        task: `ranking` or `rating`.
    """
    suite = SuiteResults.model_validate(results)
    figures = {each: Figures(suite.runs, each, suite.budget) for each in questions_in(suite.runs) if each[1] == task}
    figures = {question: made for question, made in figures.items() if made.test}
    arms = _arms(figures.values())
    rows = _by_density(suite, figures)
    width, height = _LEFT + _CELL * len(arms) + 10, _TOP + _ROW * len(rows) + 10
    parts = [
        f'<text transform="translate({_LEFT + _CELL * place + 30},{_TOP - 8}) rotate(-45)">{html.escape(arm)}</text>'
        for place, arm in enumerate(arms)
    ]
    for number, question in enumerate(rows):
        top, told = _TOP + _ROW * number, traits(_sizes(suite, question))
        more = f"{_number(told, 'per_user', '{:.0f}')} a user, {_number(told, 'density', '{:.2%}')}"
        more += f", Gini {told['gini']:.2f}" if "gini" in told else ""
        parts.append(f'<text x="5" y="{top + 18}">{html.escape(question[0])}</text>')
        parts.append(f'<text class="few" x="{_LEFT - 8}" y="{top + 18}" text-anchor="end">{more}</text>')
        parts += [
            _cell(_LEFT + _CELL * place, top, _share(figures[question], arm))
            for place, arm in enumerate(arms)
            if arm in figures[question].test
        ]
    title = f"{task}: each method on each table, in per cent of the best value known"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{title}"><title>{title}</title><style>{_STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _cell(left: int, top: int, share: float) -> str:
    """Return a square, green where the share is near 1, and its figure."""
    depth = max(0.0, min(1.0, (share - _LEAST) / (1 - _LEAST))) ** 2
    red, green, blue = (round(255 - depth * (255 - full)) for full in (61, 153, 93))
    return (
        f'<rect x="{left}" y="{top}" width="{_CELL - 2}" height="{_ROW - 2}" fill="rgb({red},{green},{blue})"/>'
        f'<text x="{left + _CELL / 2 - 1:.0f}" y="{top + 17}" text-anchor="middle">{100 * share:.0f}</text>'
    )


def _share(made: Figures, arm: str) -> float:
    return 1.0 - (made.regret(arm) or 0.0)


def _arms(figures: Iterable[Figures]) -> Sequence[str]:
    """Return the study, the rivals by their mean share of the best, and random search."""
    every = list(figures)
    means: dict[str, float] = {}
    for arm in dict.fromkeys(arm for made in every for arm in made.test):
        shares = [_share(made, arm) for made in every if arm in made.test]
        means[arm] = sum(shares) / len(shares)
    rivals = sorted((arm for arm in means if is_rival(arm)), key=lambda arm: -means[arm])
    return [arm for arm in (STUDY, *rivals, RANDOM_ARM) if arm in means]


def _by_density(suite: SuiteResults, figures: Mapping[Question, Figures]) -> list[Question]:
    return sorted(figures, key=lambda each: (each[1], -traits(_sizes(suite, each)).get("density", 0.0)))


def _sizes(suite: SuiteResults, question: Question) -> Mapping[str, float]:
    return suite.sizes.get(" ".join(question), {})


def _number(told: Mapping[str, float], key: str, form: str) -> str:
    return form.format(told[key]) if key in told else "-"
