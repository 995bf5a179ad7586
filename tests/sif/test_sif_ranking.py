"""Rankings: every metric is its expected value over the orders of ties, and a run is ranked by it."""

import importlib
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Iterator
from itertools import permutations, product
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sif_cell_samples import CONV, write_pictures
from sif_samples import TINY, planted_rows
from typer.testing import CliRunner

import sif
from sif.api import rank_run, retrain
from sif.cli import app
from sif.cli.ranking import print_ranking
from sif.errors import DataError, RunError
from sif.metrics import METRICS, rank_metrics, rank_per_user

Rows = list[list[float]]
MONTHS = TINY | {
    "context": "month",
    "space.name": "tensor-interaction",
    "space.operations": ["plus_plus", "max_max"],
    "baselines.names": [],
}


def scorer(scores: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    table = torch.as_tensor(np.asarray(scores))
    return lambda users: table[users]


def reference(order: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """The metrics of one user with one order of the items that may be shown."""
    hit = [item in relevant for item in order[:k]]
    at = [p for p, h in enumerate(hit, 1) if h]
    best = range(1, min(k, len(relevant)) + 1)
    return {
        "ndcg": sum(1 / math.log2(p + 1) for p in at) / sum(1 / math.log2(p + 1) for p in best),
        "recall": len(at) / len(relevant),
        "precision": len(at) / k,
        "hit_rate": float(bool(at)),
        "map": sum(sum(hit[:p]) / p for p in at) / len(best),
        "mrr": 1 / at[0] if at else 0.0,
    }


def orders(scores: list[float], hidden: set[int]) -> Iterator[list[int]]:
    """All orders of the items, best first, in which tied ones are shuffled."""
    shown = [item for item, score in enumerate(scores) if item not in hidden and score > -math.inf]
    levels = sorted({scores[item] for item in shown}, reverse=True)
    groups = [permutations([item for item in shown if scores[item] == level]) for level in levels]
    return ([item for group in chosen for item in group] for chosen in product(*groups))


def expected(scores: Rows, seen: np.ndarray, relevant: np.ndarray, k: int) -> dict[str, float]:
    """Means over users of the mean over orders; an item is covered unless every user's order leaves it out."""
    rows, absent = [], np.ones(relevant.shape[1])
    for user in np.flatnonzero(relevant.any(1)):
        mine = set(np.flatnonzero(relevant[user]).tolist())
        every = list(orders(scores[user], set(np.flatnonzero(seen[user]).tolist()) - mine))
        rows.append([list(reference(order, mine, k).values()) for order in every])
        for item in range(len(absent)):
            absent[item] *= 1 - np.mean([item in order[:k] for order in every])
    means = np.mean([np.mean(one, axis=0) for one in rows], axis=0)
    named = dict(zip(("ndcg", "recall", "precision", "hit_rate", "map", "mrr"), means.tolist(), strict=True))
    return {f"{name}@{k}": value for name, value in (named | {"coverage": 1 - absent.mean()}).items()}


@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 4), st.integers(1, 5))
def test_metrics_are_means_over_all_orders_of_ties(seed: int, k: int, levels: int, batch: int):
    """Seen items, users without relevant ones, items left out by -inf, k beyond the catalogue, any batch."""
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, levels, (5, 6)).astype(np.float32)
    scores[draw.random(scores.shape) < 0.1] = -np.inf
    seen, relevant = draw.random((5, 6)) < 0.2, draw.random((5, 6)) < 0.35
    relevant[0, 0] = True
    result = rank_metrics(scorer(scores), sparse.csr_array(seen), sparse.csr_array(relevant), k=(k,), batch=batch)
    assert result == pytest.approx(expected(scores.tolist(), seen, relevant, k), abs=1e-12)


@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 4), st.integers(1, 5))
def test_each_user_has_the_metrics_that_it_would_have_alone(seed: int, k: int, levels: int, batch: int):
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, levels, (5, 6)).astype(np.float32)
    seen, relevant = draw.random((5, 6)) < 0.2, draw.random((5, 6)) < 0.35
    relevant[1, 0] = True
    given_ = scorer(scores), sparse.csr_array(seen), sparse.csr_array(relevant)
    users, result = rank_per_user(*given_, k=(k, 2), batch=batch)
    assert users.tolist() == np.flatnonzero(relevant.any(1)).tolist()
    for place, user in enumerate(users):
        alone = expected([scores[user].tolist()], seen[[user]], relevant[[user]], k)
        del alone[f"coverage@{k}"]
        assert {name: result[name][place] for name in alone} == pytest.approx(alone, abs=1e-12)
    means = rank_metrics(*given_, k=(k, 2), batch=batch)
    assert result.keys() == {name for name in means if not name.startswith("coverage")}
    assert {name: values.mean() for name, values in result.items()} == pytest.approx({n: means[n] for n in result})


def test_coverage_is_of_users_whose_orders_are_independent():
    """Every pair of orders of two users, spelt out."""
    scores = [[1.0, 1.0, 0.0, 0.0], [2.0, 1.0, 1.0, 1.0]]
    pairs = product(*(list(orders(row, set())) for row in scores))
    covered = [len({*first[:3], *second[:3]}) / 4 for first, second in pairs]
    ones = sparse.csr_array(np.eye(2, 4))
    result = rank_metrics(scorer(scores), sparse.csr_array((2, 4)), ones, k=(3,))
    assert result["coverage@3"] == pytest.approx(np.mean(covered), abs=1e-12)


def without_ties(seed: int = 1, users: int = 60, items: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    part = draw.random((users, items))
    scores = draw.permuted(np.tile(np.arange(items, dtype=np.float32), (users, 1)), axis=1)
    return scores, part < 0.2, (part > 0.93) & (draw.random((users, 1)) < 0.8)


def test_metrics_without_ties_are_those_of_a_sort():
    scores, seen, relevant = without_ties()
    result = rank_metrics(scorer(scores), sparse.csr_array(seen), sparse.csr_array(relevant), k=(1, 5, 20))
    assert [name.split("@")[0] for name in result] == 3 * list(METRICS)
    for k in (1, 5, 20):
        for name, value in expected(scores.tolist(), seen, relevant, k).items():
            assert result[name] == pytest.approx(value, abs=1e-12), name


@pytest.fixture
def recbole(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """RecBole's ranking classes, from their file alone: what it imports for other things need not be here."""
    spec, known = importlib.util.find_spec("recbole"), set(sys.modules)
    if spec is None:
        pytest.skip("RecBole is not installed")
    others: dict[str, dict[str, Any]] = {
        "recbole.evaluator": {"__path__": [f"{spec.submodule_search_locations[0]}/evaluator"]},
        "recbole.utils": {"EvaluatorType": SimpleNamespace(RANKING=1, VALUE=2)},
        "sklearn": {},
        "sklearn.metrics": dict.fromkeys(("auc", "mean_absolute_error", "mean_squared_error")),
    }
    for name, values in others.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(np, "float", float, raising=False)  # numpy dropped it; RecBole uses it
    yield importlib.import_module("recbole.evaluator.metrics")
    for name in [name for name in set(sys.modules) - known if name.startswith("recbole")]:
        del sys.modules[name]


def test_metrics_without_ties_are_recboles(recbole: Any):
    """RecBole's own classes, on the same top 20."""
    scores, seen, relevant = without_ties(2)
    rows = relevant.any(1)
    order = np.argsort(-np.where(seen, -np.inf, scores), axis=1)[rows, :20]
    found = np.take_along_axis(relevant[rows], order, axis=1)
    collected = {
        "rec.topk": torch.from_numpy(np.c_[found, relevant[rows].sum(1)].astype(np.int64)),
        "rec.items": torch.from_numpy(order),
        "data.num_items": relevant.shape[1],
    }
    config = {"topk": [1, 5, 20], "metric_decimal_place": 12}
    names = {
        "NDCG": "ndcg",
        "Recall": "recall",
        "Precision": "precision",
        "Hit": "hit_rate",
        "MAP": "map",
        "MRR": "mrr",
    }
    result = rank_metrics(scorer(scores), sparse.csr_array(seen), sparse.csr_array(relevant), k=(1, 5, 20))
    for theirs, ours in (names | {"ItemCoverage": "coverage"}).items():
        values = getattr(recbole, theirs)(config).calculate_metric(collected).values()
        assert [result[f"{ours}@{k}"] for k in (1, 5, 20)] == pytest.approx(list(values), abs=1e-11), theirs


@pytest.mark.parametrize("batch", [1, 7, 60])
def test_the_batch_does_not_matter(batch: int):
    scores, seen, relevant = without_ties(3)
    given_ = scorer(scores // 4), sparse.csr_array(seen), sparse.csr_array(relevant)
    assert rank_metrics(*given_, batch=batch) == pytest.approx(rank_metrics(*given_), abs=1e-14)


def test_scores_are_left_alone_and_asked_for_relevant_users_only():
    scores, asked = torch.arange(6.0).view(2, 3), []

    def scores_of(users: torch.Tensor) -> torch.Tensor:
        asked.append(users.tolist())
        return scores[1:]  # a view: masking it in place would show

    seen, relevant = sparse.csr_array([[1, 0, 1], [0, 1, 0]]), sparse.csr_array([[0, 0, 0], [1, 0, 0]])
    assert rank_metrics(scores_of, seen, relevant, k=(2,))["mrr@2"] == 0.5
    assert asked == [[1]]
    assert scores.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_a_relevant_item_is_ranked_although_it_is_seen():
    both = sparse.csr_array([[0, 1, 0]])
    assert rank_metrics(scorer([[1.0, 3.0, 2.0]]), both, both, k=(1,))["recall@1"] == 1.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": (0,)}, "k = 0; ask for 1 item or more"),
        ({"k": ()}, "no k is given; ask for the metrics of 1 item or more"),
        ({"batch": 0}, "batch = 0; give 1 user or more"),
        ({"seen": sparse.csr_array((2, 4))}, r"seen has shape \[2, 4\], relevant \[2, 3\]; both are \[users, items\]"),
        ({"relevant": sparse.csr_array((2, 3))}, "no user has a relevant item"),
        ({"scores_of": lambda users: torch.zeros(1, 3)}, r"scores of shape \[1, 3\]; expected \[2, 3\]"),
        ({"scores_of": scorer([[0.0, 1, 2], [0, math.nan, 1]])}, r"the scores of user 1 are not all numbers \(nan\)"),
    ],
)
def test_what_cannot_be_ranked_is_refused(changed: dict[str, Any], message: str):
    result: dict[str, Any] = {"scores_of": scorer(np.zeros((2, 3))), "seen": sparse.csr_array((2, 3))}
    result |= {"relevant": sparse.csr_array(np.ones((2, 3)))} | changed
    with pytest.raises(DataError, match=message):
        rank_metrics(result.pop("scores_of"), result.pop("seen"), result.pop("relevant"), **result)


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def parts_of(finished: sif.Run) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Ratings [24, 18] of each part of the run's split (0 where there is none), cut again from the planted rows."""
    from sif.problems.data import prepare
    from sif.recipes import load_recipe

    recipe = load_recipe(finished.path / "recipe.toml")
    data = prepare(recipe, device="cpu")
    tables = {}
    for part in ("train", "valid", "test"):
        rows = getattr(data.split, part)
        tables[part] = np.zeros((24, 18), np.float32)
        tables[part][data.interactions.user[rows], data.interactions.item[rows]] = data.interactions.rating[rows]
    assert sum((table > 0).sum() for table in tables.values()) == len(planted_rows())
    return tables, finished.recommender().folded.scores(torch.arange(24)).numpy()


@pytest.mark.parametrize("threshold", [None, 3.5])
def test_a_run_is_ranked_on_both_parts_beside_popularity(finished: sif.Run, threshold: float | None):
    result = rank_run(finished.path, k=(3, 5), threshold=threshold, device="cpu")
    tables, scores = parts_of(finished)
    popular = np.tile((tables["train"] > 0).sum(0).astype(np.float32), (24, 1))
    before = tables["train"] > 0
    for part in ("valid", "test"):
        relevant = tables[part] >= (threshold or 0.5)
        assert result["parts"][part]["users"] == relevant.any(1).sum()
        for name, table in (("model", scores), ("popularity", popular)):
            given_ = scorer(table), sparse.csr_array(before), sparse.csr_array(relevant)
            assert result["parts"][part][name] == pytest.approx(rank_metrics(*given_, k=(3, 5)), abs=1e-9)
        before = before | (tables[part] > 0)
    facts = (result["k"], result["threshold"], result["items"], result["additive"])
    assert facts == ([3, 5], threshold, 18, finished.additive)


def test_the_command_line_prints_a_table_or_json(finished: sif.Run):
    line = run("evaluate", finished.path, "--ranking", "-k", 3, "-k", 5, "--threshold", 3.5, "--json")
    assert line.exit_code == 0, line.output
    ranked = json.loads(line.stdout)
    assert ranked == rank_run(finished.path, k=(3, 5), threshold=3.5)
    table = run("evaluate", finished.path, "--ranking", "-k", 3, "-k", 5, "--threshold", 3.5)
    assert table.exit_code == 0, table.output
    rows = [line for line in table.stdout.splitlines() if "model" in line or "popularity" in line]
    assert len(rows) == 8
    assert [f"{ranked['parts']['valid']['model'][f'{name}@3']:.4f}" for name in METRICS] == [
        word for word in rows[0].split() if word[0].isdigit() and "." in word
    ]
    assert "full catalogue of 18 items, ratings of 3.5 and above are relevant; users valid" in table.stdout
    assert list(json.loads(run("evaluate", finished.path, "--ranking", "--json").stdout)["k"]) == [10]
    assert "every rating is relevant" in run("evaluate", finished.path, "--ranking").stdout


def test_a_model_that_popularity_beats_is_told_so(capsys: pytest.CaptureFixture[str]):
    low, high = ({f"{name}@10": value for name in METRICS} for value in (0.1, 0.2))
    valid, test = ({"users": 3, "model": one, "popularity": two} for one, two in ((low, high), (high, low)))
    facts = {"task": "rating", "k": [10], "threshold": None, "items": 9, "additive": False}
    print_ranking(facts | {"parts": {"valid": valid, "test": test}})
    assert capsys.readouterr().err == (
        "note: on valid, popularity ranks no worse: ndcg@10 0.2000, the model 0.1000; it was trained to predict "
        "ratings, not to rank\n"
    )


@pytest.mark.parametrize("operation", ["plus", "multiply"])
def test_an_additive_find_is_noted(ratings: str, operation: str):
    sif.search(ratings, settings=TINY | {"space.operations": [operation]}, out="run", device="cpu")
    result = run("evaluate", "run", "--ranking")
    assert ("it ranks the items alike for every user" in result.stderr) == (operation == "plus")
    assert json.loads(run("evaluate", "run", "--ranking", "--json").stdout)["additive"] == (operation == "plus")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ranking", "-k", 0], "DataError: k = 0; ask for 1 item or more\n"),
        (["--ranking", "--threshold", 9], "DataError: no rating of the valid part is 9 or more; the highest is 5\n"),
        (["--ranking", "--threshold", "nan"], "DataError: threshold = nan; give a rating, such as 4\n"),
        (["-k", 5], "RunError: -k is of rankings; add --ranking, or leave it out\n"),
        (["--threshold", 4], "RunError: --threshold is of rankings; add --ranking, or leave it out\n"),
    ],
)
def test_options_that_make_no_sense_get_one_message(finished: sif.Run, words: list[object], message: str):
    result = run("evaluate", finished.path, *words)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_runs_that_cannot_be_ranked_say_why(ratings: str, tmp_path: Path):
    sif.search(ratings, recipe="ratings-operations", settings=MONTHS, out="months", device="cpu")
    result = run("evaluate", "months", "--ranking")
    assert result.exit_code == 2
    assert result.stderr == (
        "RunError: run months has a context mode, and rankings are of two modes; evaluate it without them\n"
    )
    write_pictures(tmp_path / "pictures")
    sif.search_cells("cifar10", data="pictures", budget="full", settings=CONV, out="cells", device="cpu")
    result = run("evaluate", "cells", "--ranking")
    assert result.exit_code == 2
    assert result.stderr == "RunError: run cells is of cells, and rankings are of ratings; evaluate it without them\n"


def test_a_model_of_all_data_is_not_ranked(run_copy: Path):
    retrain(run_copy, all_data=True, epochs=1, device="cpu")
    with pytest.raises(RunError, match="was trained on every rating; nothing is left to evaluate it on"):
        rank_run(run_copy)
