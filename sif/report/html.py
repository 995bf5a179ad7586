"""report.html: one self-contained page with the best architecture, the comparison and the course of the training."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from sif.problems.base import Problem
from sif.report.retrained import retrained_remark
from sif.sheet import Table

__all__ = ["html_table", "page", "report"]

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}tr.best{font-weight:600;background:#eef6ee}
code{background:#f3f3f3;padding:.1rem .3rem}svg{background:#fafafa;border:1px solid #eee}
"""


_BEST = ' class="best"'


def report(problem: Problem, result: Mapping[str, Any], trace: Sequence[Mapping[str, Any]]) -> str:
    """Return the page for a result and its trace; it needs no network and no script."""
    sheet = problem.sheet(result)
    remarks = [*sheet.remarks, *retrained_remark(result)]
    body = f"""
<h1>{html.escape(sheet.title)}</h1>
{f"<p><strong>{html.escape(sheet.warning)}</strong></p>" if sheet.warning else ""}
<p>{html.escape(sheet.facts)}. Strategy <code>{html.escape(result["strategy"]["name"])}</code>.
{html.escape(sheet.cost)}.</p>
{"".join(f"<p><strong>{html.escape(sentence)}</strong></p>" for sentence in remarks)}
{html_table(sheet.table)}
<p>{html.escape(sheet.explained)}</p>
{"".join(f"<h2>{html.escape(table.title)}</h2>{html_table(table)}" for table in sheet.also)}
{problem.figures(result)}
{_curve(trace, result["metric"])}
<ul>{"".join(f"<li>{html.escape(note)}</li>" for note in sheet.notes)}</ul>"""
    return page(f"sif: {result['dataset']['name']}", body)


def html_table(table: Table) -> str:
    """Return a table as HTML, its best rows set off."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    rows = "".join(
        f"<tr{_BEST if row.best else ''}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row.cells)}</tr>"
        for row in table.rows
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def page(title: str, body: str) -> str:
    """Return a whole HTML page of a title (text) and a body (HTML)."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _curve(trace: Sequence[Mapping[str, Any]], metric: str, width: int = 640, height: int = 220) -> str:
    """Return an SVG of the validation metric over the epochs of the final training."""
    last = trace[-1]["phase"] if trace else ""
    points = [record["valid"] for record in trace if record["phase"] == last and "valid" in record]
    if len(points) < 2:
        return ""
    values = [point[metric] for point in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = (width - 80) / (len(values) - 1)
    path = " ".join(
        f"{60 + index * step:.1f},{20 + (height - 50) * (high - value) / span:.1f}"
        for index, value in enumerate(values)
    )
    return f"""<figure><svg width="{width}" height="{height}" role="img" aria-label="validation {metric} by epoch">
<polyline fill="none" stroke="#2a6f3c" stroke-width="2" points="{path}"/>
<text x="5" y="25" font-size="12">{high:.4f}</text><text x="5" y="{height - 28}" font-size="12">{low:.4f}</text>
<text x="60" y="{height - 8}" font-size="12">epoch 1</text>
<text x="{width - 70}" y="{height - 8}" font-size="12">epoch {len(values)}</text></svg>
<figcaption>Validation {metric} over the final training.</figcaption></figure>"""
