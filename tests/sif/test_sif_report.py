"""The page, the comparison and the formula."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

import sif
from nasp_core.genotype import Genotype
from sif.operations import OPERATIONS
from sif.operations.tensor import TENSOR_OPERATIONS
from sif.problems import problem
from sif.report.html import report
from sif.report.retrained import retrained_remark
from sif.results import upgraded
from sif.spaces.known import formula


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
        result["fingerprint"],
        "24 users, 18 items, 300 ratings",
        *result["rows"],
    ):
        assert text in page.text
    assert f"{result['metrics']['test']['rmse']:.4f}" in page.text
    assert [tag for tag, _ in page.tags].count("polyline") == 1


def test_names_from_outside_are_escaped(finished: sif.Run):
    evil = "<script>alert(1)</script>&\"'"
    result: dict[str, Any] = finished.result | {"dataset": finished.result["dataset"] | {"name": evil, "notes": [evil]}}
    page = report(problem("rating"), result, [])
    assert "<script" not in page
    assert evil in parsed(page).text


def test_the_find_and_its_baselines_stand_best_first(finished: sif.Run):
    table = problem("rating").sheet(finished.result).table
    assert len(table.rows) == 5
    assert [row.cells[0] for row in table.rows if row.best] == [f"found: {finished.genotype.choices['operation'][0]}"]
    figures = [float(row.cells[1]) for row in table.rows]
    assert figures == sorted(figures)
    assert all(len(row.cells) == len(table.columns) for row in table.rows)


def test_the_course_of_the_training_is_a_curve(finished: sif.Run):
    trace = [{"phase": "train", "valid": {"rmse_standardised": x}} for x in (1.0, 0.5)]
    assert "<svg" in report(problem("rating"), finished.result, trace)


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
    assert len(OPERATIONS) == 9


def test_remarks_say_what_a_reader_should_not_miss(finished: sif.Run):
    def row(value: float) -> dict[str, Any]:
        return finished.result["rows"]["biases"] | {"valid": {"rmse_standardised": value}}

    rows = {"found": row(0.9), "biased-mf": row(0.8), "max": row(0.85)}
    result = finished.result | {"rows": rows, "epochs": {"best": 12, "most": 12}}
    sheet = problem("rating").sheet(result)
    assert sheet.warning == "biased-mf does better than what was found, by 0.1000 on validation"
    assert sheet.remarks == ("the best epoch was the last (12): more may help, raise train.epochs",)
    fine = result | {"rows": {"found": row(0.9)}, "epochs": {"best": 5, "most": 12}}
    assert (problem("rating").sheet(fine).warning, problem("rating").sheet(fine).remarks) == ("", ())


def test_a_later_training_is_told_beside_the_rows_of_the_search():
    facts = {"epochs": 3, "seed": 0, "all_data": False, "budget": "full", "seconds": 1.0}
    result = {"metric": "top1", "metrics": {"valid": {"top1": 0.5}, "test": None}, "retrained": facts}
    assert retrained_remark(result) == [
        "the model has since been trained again for 3 epochs (budget full): valid top1 0.5000"
    ]
    (sentence,) = retrained_remark(result | {"retrained": facts | {"all_data": True}})
    assert "trained on all data" in sentence
    assert retrained_remark(result | {"retrained": None}) == []


def test_results_of_schema_version_1_are_read(finished: sif.Run):
    now = dict(finished.result)
    rows = {
        name: {key: row[key] for key in ("valid", "test", "seconds", "parameters", "settings")}
        for name, row in now["rows"].items()
        if name != "found"
    }
    old = {
        key: value
        for key, value in now.items()
        if key not in ("rows", "budget", "truth", "multiply_adds", "fingerprint")
    }
    seconds = {key: value for key, value in now["seconds"].items() if key != "rivals"}
    old |= {
        "schema_version": 1,
        "baselines": rows,
        "split_fingerprint": now["fingerprint"],
        "seconds": seconds | {"baselines": now["seconds"]["rivals"]},
    }
    read = upgraded(old)
    assert read.keys() == now.keys()
    for key in ("fingerprint", "metrics", "seconds", "genotype"):
        assert read[key] == now[key]
    for name in rows:
        assert {key: read["rows"][name][key] for key in rows[name]} == rows[name]
    assert upgraded(now) == now
