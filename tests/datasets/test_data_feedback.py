"""What the values of a table are: each kind by its spread, by the words of its name, where it is not sure, and said."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from sif.datasets import ColumnNames, Interactions, Vocabulary, read
from sif.datasets.feedback import NotRatings, check_rating_task, feedback_of
from sif.errors import DataError

N = 2000
DRAW = np.random.default_rng(0)
PLAYS = np.ceil(np.exp(DRAW.normal(2, 1.5, N)))
STARS = DRAW.choice(5, N, p=[0.06, 0.11, 0.27, 0.35, 0.21]) + 1

# values, column -> kind, sure
KINDS: dict[str, tuple[Any, str, str, bool]] = {
    "log-normal plays": (PLAYS, "plays", "counts", True),
    "log-normal plays without a name": (PLAYS, "", "counts", True),
    "log-normal plays called ratings": (PLAYS, "rating", "counts", True),
    "geometric": (DRAW.geometric(0.2, N), "", "counts", True),
    "geometric of few levels": (DRAW.geometric(0.8, N), "", "counts", False),
    "geometric of few levels by name": (DRAW.geometric(0.8, N), "cnt", "counts", True),
    "geometric of few levels called ratings": (DRAW.geometric(0.8, N), "rating", "ratings", False),
    "poisson": (1 + DRAW.poisson(6, N), "", "counts", True),
    "1 to 3 times": (DRAW.choice([1, 2, 3], N, p=[0.75, 0.18, 0.07]), "quantity", "counts", True),
    "1 to 3 times without a name": (DRAW.choice([1, 2, 3], N, p=[0.75, 0.18, 0.07]), "", "counts", False),
    "1 to 3 evenly": (DRAW.choice([1, 2, 3], N), "", "ratings", False),
    "nearly all once": (np.where(np.arange(N) % 300, 1, 2), "", "counts", False),
    "seconds": (np.exp(DRAW.normal(4, 1.2, N)), "watch_seconds", "counts", True),
    "seconds without a name": (np.exp(DRAW.normal(4, 1.2, N)), "", "counts", True),
    "bought and returned": (np.where(DRAW.random(N) < 0.02, -1, 1) * PLAYS, "Quantity", "counts", True),
    "stars": (STARS, "", "ratings", True),
    "harsh stars": (DRAW.choice(5, N, p=[0.5, 0.2, 0.13, 0.1, 0.07]) + 1, "", "ratings", True),
    "nearly all 5": (np.where(np.arange(N) % 300, 5, 1 + np.arange(N) // 300 % 4), "", "ratings", True),
    "a slip of the pen": (np.where(np.arange(N) == 7, 55, STARS), "stars", "ratings", True),
    "half stars": (np.clip(np.round(6.6 + DRAW.normal(0, 2, N)) / 2, 0.5, 5), "", "ratings", True),
    "half stars and slips": (np.where(np.arange(N) % 50, STARS / 2, STARS * 9.5), "", "ratings", False),
    "0 to 10, most 0": (np.where(DRAW.random(N) < 0.6, 0, DRAW.integers(5, 11, N)), "Book-Rating", "ratings", True),
    "0 to 100": (np.clip(np.round(60 + DRAW.normal(0, 22, N)), 0, 100), "", "ratings", True),
    "-10 to 10": (np.clip(DRAW.normal(1, 5, N), -10, 10), "", "ratings", True),
    "review_score": (STARS, "review_score", "ratings", True),  # "view" is in it
    "0 and 1": (DRAW.integers(0, 2, N), "rating", "impressions", True),
    "-1 and 1": (DRAW.choice([-1, 1], N), "", "signed", True),
    "-1, 0 and 1": (DRAW.choice([-1, 0, 1], N), "thumbs", "signed", True),
    "all 3": (np.full(N, 3.0), "rating", "clicks", True),
    "none": (None, "", "clicks", True),
}


@pytest.mark.parametrize("what", KINDS)
def test_what_values_are(what: str):
    values, column, kind, sure = KINDS[what]
    found = feedback_of(None if values is None else np.asarray(values, np.float32), column)
    assert (found.kind, found.sure) == (kind, sure)
    assert ("not sure" in str(found)) is not sure


def test_what_is_said_of_them():
    told = str(feedback_of(np.append(np.minimum(PLAYS, 32_768), 32_768).astype(np.float32), "plays"))
    assert told == "feedback: counts (plays: 1 to 32,768); weights of implicit feedback, ranked"
    assert (
        str(feedback_of(STARS.astype(np.float32))) == "feedback: ratings (1 to 5); how much each was liked, on a scale"
    )
    assert str(feedback_of(np.array([-1, 1.0]), "up")) == "feedback: signed (up: -1 and 1); above 0 was liked, ranked"
    assert "sure" not in str(feedback_of(DRAW.geometric(0.8, N), "", "counts")), "somebody said so"


def table(values: Any = PLAYS, column: str = "plays") -> pl.DataFrame:
    cells = np.random.default_rng(1).permutation(80 * 50)[:N]
    return pl.DataFrame({"user": cells // 50, "item": cells % 50, column: np.asarray(values, float)})


@pytest.mark.parametrize(
    "door",
    ["a.csv", "a.jsonl", "a.parquet", "parts", "bare.csv", "a.npz", "polars", "pandas", "matrix", "made", "table"],
)
@pytest.mark.parametrize("column", ["plays", "rating"])
def test_every_door_looks(door: str, column: str, tmp_path: Path):
    frame, path = table(column=column), tmp_path / door
    matrix = sparse.csr_array((frame[column].to_numpy(), (frame["user"].to_numpy(), frame["item"].to_numpy())))
    source: Any = {"polars": frame, "pandas": None, "matrix": matrix, "table": frame.to_arrow()}.get(door, path)
    if door == "pandas":
        import pandas as pd

        source = pd.DataFrame(frame.to_dict(as_series=False))
    if door == "made":
        names = (Vocabulary(np.arange(80)), Vocabulary(np.arange(50)))
        ids = (frame["user"].to_numpy(), frame["item"].to_numpy())
        source = Interactions(*ids, frame[column].to_numpy().astype(np.float32), None, None, *names)
    if door == "parts":
        path.mkdir()
        frame[:900].write_csv(path / "part-0.csv")
        frame[900:].write_csv(path / "part-1.csv")
    elif source is path:
        write = {"a.jsonl": frame.write_ndjson, "a.parquet": frame.write_parquet}.get(door)
        if door == "a.npz":
            sparse.save_npz(path, matrix)
        elif write is not None:
            write(path)
        else:
            frame.write_csv(path, include_header=door != "bare.csv")
    found = read(source).feedback
    assert (found.kind, found.low, found.high) == ("counts", 1.0, PLAYS.max())
    assert found.column == ("" if door in ("bare.csv", "a.npz", "matrix", "made") else column)
    assert read(source).describe()["feedback"]["kind"] == "counts"
    for kind in ("ratings", "counts", "clicks"):
        said = read(source, columns=ColumnNames(feedback=kind))
        assert (said.feedback.kind, said.feedback.sure) == (kind, True)
        assert (said.rating is None) == (
            kind == "clicks" or (kind == "counts" and column == "plays" and len(found.column) > 0)
        )


def test_what_a_label_says_is_kept_when_its_zeros_are_left_out():
    data = read(table(np.arange(N) % 3 > 0, "clicked"), columns=ColumnNames(only_met=True))
    assert set(data.rating.tolist()) == {1.0}
    assert str(data.feedback) == "feedback: impressions (clicked: 0 and 1); 1 was met, 0 was shown, ranked"


def test_counts_that_are_not_used_may_hold_anything():
    frame = table().with_columns(plays=pl.when(pl.col("plays") > 2).then(pl.col("plays").cast(pl.String)))
    assert read(frame).feedback.kind == "counts"
    assert read(frame.with_columns(plays=pl.lit("many"))).feedback.kind == "clicks"


def test_another_column_may_have_values_under_a_name_of_its_own():
    odd = read(table(STARS, "verdict")).feedback
    assert (odd.kind, odd.sure) == ("clicks", False)
    assert "if another column has ratings or counts: --set columns.rating=NAME" in str(odd)
    assert read(table(STARS, "verdict"), columns=ColumnNames(rating="verdict")).feedback.kind == "ratings"
    assert read(table(), columns=ColumnNames(rating="")).feedback.column == "plays"


def test_counts_cannot_be_predicted_as_ratings():
    data = read(table(column="rating"))
    with pytest.raises(NotRatings, match=r"has counts \(rating: 1 to [\d,]+\), not ratings") as error:
        check_rating_task(data)
    assert '--set feedback=ratings (in Python feedback="ratings")' in str(error.value)
    check_rating_task(read(data, columns=ColumnNames(feedback="ratings")))
    check_rating_task(read(table(DRAW.geometric(0.8, N), "rating")))  # not sure, so that a recipe of ratings is heeded


def test_a_kind_that_there_is_not():
    with pytest.raises(DataError, match=r"feedback = 'count' is not known\n  Did you mean counts\?"):
        ColumnNames(feedback="count")  # type: ignore[arg-type]
