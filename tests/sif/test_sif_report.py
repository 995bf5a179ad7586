"""The page, the comparison and the formula."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

import sif
from nasp_core.genotype import Genotype
from sif.operations.functions import OPERATIONS, TENSOR_OPERATIONS
from sif.report.formula import formula
from sif.report.html import report
from sif.report.table import comparison, headings


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Page:
    parser = Page()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_needs_no_network_and_no_script(finished: sif.Run):
    page = (finished.path / "report.html").read_text()
    assert not re.search(r"https?:|//\w|url\(|@import|javascript:", page)
    for tag, attributes in parsed(page).tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "href", "srcset", "xlink:href"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]


def test_the_page_says_what_was_found(finished: sif.Run):
    page = parsed((finished.path / "report.html").read_text())
    result = finished.result
    for text in (
        finished.formula,
        result["split_fingerprint"],
        "24 users, 18 items, 300 ratings",
        *result["baselines"],
    ):
        assert text in page.text
    assert f"{result['metrics']['test']['rmse']:.4f}" in page.text
    assert [tag for tag, _ in page.tags].count("polyline") == 1


def test_names_from_outside_are_escaped(finished: sif.Run):
    evil = "<script>alert(1)</script>&\"'"
    result: dict[str, Any] = finished.result | {"dataset": finished.result["dataset"] | {"name": evil, "notes": [evil]}}
    page = report(result, [])
    assert "<script" not in page
    assert evil in parsed(page).text


def test_the_find_and_its_baselines_stand_best_first(finished: sif.Run):
    rows = comparison(finished.result)
    assert len(rows) == 5
    assert [row.name for row in rows if row.found] == [f"found: {finished.genotype.choices['operation'][0]}"]
    figures = [float(row.cells[0]) for row in rows]
    assert figures == sorted(figures)
    assert all(len(row.cells) == len(headings(finished.result)) for row in rows)


def test_a_model_of_all_data_has_no_figures(finished: sif.Run):
    result = finished.result | {"metrics": {"valid": None, "test": None}}
    (row,) = (row for row in comparison(result) if row.found)
    assert row.cells[:4] == ("-", "-", "-", "-")
    assert "<svg" in report(result, [{"phase": "train", "valid": {"rmse_standardised": x}} for x in (1.0, 0.5)])


@pytest.mark.parametrize(
    ("operation", "hidden", "biases", "expected"),
    [
        ("multiply", 0, False, "w . (u * v)"),
        ("multiply", 8, True, "b + b_user + b_item + w . (p(u) * q(v))"),
        ("plus", 0, True, "b + b_user + b_item + w . (u + v)"),
        ("minus", 0, False, "w . (u - v)"),
        ("max", 0, False, "w . max(u, v)"),
        ("min", 8, False, "w . min(p(u), q(v))"),
        ("concat", 0, False, "w . [u; v]"),
    ],
)
def test_formulas_of_two_modes(operation: str, hidden: int, biases: bool, expected: str):
    settings = {"hidden": hidden, "biases": biases}
    assert formula(Genotype("interaction", 1, {"operation": (operation,)}, settings)) == expected


def test_formulas_of_three_modes():
    def of(operation: str) -> str:
        settings = {"hidden": 4, "biases": True}
        return formula(Genotype("tensor-interaction", 1, {"operation": (operation,)}, settings))

    assert of("plus_plus") == "b + b_user + b_item + b_context + w . ((p(u) + q(v)) + r(c))"
    assert of("1_multiply_max") == "b + b_user + b_item + b_context + w . max((p(u) * r(c)), q(v))"
    assert len({of(operation) for operation in TENSOR_OPERATIONS}) == len(TENSOR_OPERATIONS)
    assert len(OPERATIONS) == 6


def test_verdicts_say_what_a_reader_should_not_miss():
    from sif.report.table import verdicts

    result = {
        "task": "rating",
        "metric": "rmse_standardised",
        "maximise": False,
        "metrics": {"valid": {"rmse_standardised": 0.9}},
        "baselines": {
            "biased-mf": {"valid": {"rmse_standardised": 0.8}},
            "max": {"valid": {"rmse_standardised": 0.85}},
        },
        "epochs": {"best": 12, "most": 12},
        "retrained": {"all_data": True},
    }
    assert verdicts(result) == [
        "biased-mf does better than the find, by 0.1000 on validation",
        "the best epoch was the last (12): more may help, raise train.epochs",
        "the model has since been trained on every rating",
    ]
    fine = result | {"baselines": {}, "epochs": {"best": 5, "most": 12}, "retrained": None}
    assert verdicts(fine) == []
