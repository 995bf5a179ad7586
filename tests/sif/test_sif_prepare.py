"""From raw columns to what a task learns from: contexts, rows that are no interaction, titles; and printed fixes."""

import re
import shlex

import numpy as np
import polars as pl
import pytest
from scipy import sparse

import sif
from sif.datasets import ColumnNames, Interactions, Vocabulary, read, split
from sif.errors import DataError
from sif.problems.data import prepare
from sif.problems.recipes import load_rating_recipe
from sif.tasks import RankingTask

PARTS = ("train", "valid", "test")


def ready(source, recipe="ratings-operations", *changes, **values):
    return prepare(load_rating_recipe(recipe, changes).model_copy(update=values), source=source, device="cpu")


def fixes(text):
    """The `--set KEY=VALUE` in a message, as a shell passes them."""
    return [shlex.split(found)[1] for found in re.findall(r'--set [\w.]+=(?:"[^"]*"|[^\s;,]+)', text)]


def twice(column="context"):
    """Every (user, item) pair in two sessions."""
    pairs = [(user, item, session) for session in "ab" for user in range(10) for item in range(20)]
    frame = pl.DataFrame(pairs, schema=["user", "item", column], orient="row")
    return frame.with_columns(rating=(pl.col("user") * 7 + pl.col("item") * 3) % 5 + 1.0)


def in_train_too(data, cut):
    pairs = data.user * data.n_items + data.item
    return int(np.isin(pairs[cut.test], pairs[cut.train]).sum())


@pytest.mark.parametrize("recipe", ["ratings-operations", "clicks"])
@pytest.mark.parametrize("kind", ["random", "user"])
@pytest.mark.parametrize("source", [
    twice(), twice("Context_ID"), read(twice(), columns=ColumnNames(context="context")),
    read(twice("session"), columns=ColumnNames(context="session"))])  # fmt: skip
def test_a_context_that_the_recipe_does_not_use_lets_no_pair_into_two_parts(source, recipe, kind):
    made = ready(source, recipe, f'split.kind="{kind}"')
    assert (len(made.interactions), made.interactions.context) == (200, None)
    assert in_train_too(made.interactions, made.split) == 0
    assert any("200 duplicate (user, item) pairs dropped" in note for note in made.interactions.notes)
    assert any("not used" in note for note in made.interactions.notes)


def test_a_context_is_used_where_the_recipe_or_the_caller_says_so():
    tensor = ['space.name="tensor-interaction"', 'space.operations=["plus_plus"]', 'context="column"']
    assert len(ready(twice(), "ratings-operations", *tensor).interactions) == 400
    assert len(ready(twice("session"), "ratings-operations", *tensor, 'columns.context="session"').interactions) == 400
    made = ready(twice("session"), "ratings-operations", 'columns.context="session"').interactions
    assert (len(made), made.context) == (200, None)
    assert '"session" is not used as context: the recipe says context = "none"' in made.notes
    with pytest.raises(DataError, match="has no context column"):
        ready(twice("session"), "ratings-operations", *tensor)
    assert read(twice()).context is None
    assert read(twice(), columns=ColumnNames(context=True)).contexts.to_list() == ["a", "b"]
    assert '"context" is not used as context' not in read(twice(), columns=ColumnNames(context="")).notes


def test_contexts_of_parts(tmp_path):
    frame = twice().with_columns(part=pl.int_range(pl.len()) % 5)
    one = frame.filter(pl.col("context") == "a")
    one.filter(pl.col("part") > 0).write_csv(tmp_path / "train.csv")
    one.filter(pl.col("part") == 0).write_csv(tmp_path / "test.csv")
    names = {"dataset": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}
    assert in_train_too(*(lambda made: (made.interactions, made.split))(ready(None, **names))) == 0
    frame.filter(pl.col("context") == "b").write_csv(tmp_path / "test.csv")
    with pytest.raises(DataError, match="pairs are in more than one part"):
        ready(None, **names)


def shown(column="rating", values=(0, 0, 0, 1)):
    rows = [(k % 30, k // 30, values[k % len(values)]) for k in range(600)]
    return pl.DataFrame(rows, schema=["user", "item", column], orient="row")


NONE = "450 of 600 ratings are 0 or less and are left out"


@pytest.mark.parametrize(
    ("frame", "notes"),
    [
        (shown(), [NONE]),
        (shown(values=(-1, -1, -1, 1)), [NONE]),
        (shown(values=(-2, 0, 0, 3)), [NONE]),
        (shown("label"), ['"label" was taken as rating', NONE]),
        (shown("is_click"), ['"is_click" was taken as rating', NONE]),
        (shown("clicked").with_columns(pl.col("clicked").cast(pl.Boolean)), ['"clicked" was taken as rating', NONE]),
    ],
)
def test_what_was_not_met_is_no_positive(frame, notes):
    made = ready(frame, "clicks")
    assert [note.split(";")[0] for note in made.interactions.notes] == notes
    assert len(made.interactions) == sum(made.task.positives(part).nnz for part in PARTS) == 150
    assert made.interactions.n_users == 30


def test_the_fixes_of_the_note_work():
    note = ready(shown(values=(0, 2, -1, 3)), "clicks").interactions.notes[-1]
    threshold, every = fixes(note)
    assert threshold == "ranking.threshold=2"
    assert len(ready(shown(values=(0, 2, -1, 3)), "clicks", threshold).interactions) == 600
    made = ready(shown(values=(0, 2, -1, 3)), "clicks", every)
    assert sum(made.task.positives(part).nnz for part in PARTS) == 600


@pytest.mark.parametrize("values", [(0,), (-1,), (-1, 0)])
def test_nothing_but_zeros_is_refused_and_the_fixes_work(values):
    with pytest.raises(DataError, match="all 600 ratings are 0 or less, so that nothing was met") as error:
        ready(shown(values=values), "clicks")
    found = fixes(str(error.value))
    assert len(found) == 2
    for fix in found:
        assert len(ready(shown(values=values), "clicks", fix).interactions) == 600


def test_a_file_and_a_matrix_say_the_same():
    frame = shown()
    matrix = sparse.coo_matrix((frame["rating"].to_numpy(), (frame["user"].to_numpy(), frame["item"].to_numpy())))
    one, other = ready(frame, "clicks"), ready(matrix, "clicks")
    assert one.split.fingerprint == other.split.fingerprint
    assert [(one.task.positives(p) != other.task.positives(p)).nnz for p in PARTS] == [0, 0, 0]


def test_zeros_in_parts(tmp_path):
    frame = shown().with_columns(part=pl.int_range(pl.len()) // 30 % 5)
    for name, kept in (("train", frame["part"] > 1), ("valid", frame["part"] == 1), ("test", frame["part"] == 0)):
        frame.filter(kept).drop("part").write_csv(tmp_path / f"{name}.csv")
    names = {"valid": str(tmp_path / "valid.csv"), "test": str(tmp_path / "test.csv")}
    made = ready(None, "clicks", dataset=str(tmp_path / "train.csv"), **names)
    assert [len(getattr(made.split, part)) for part in PARTS] == [90, 30, 30]
    frame.filter(frame["part"] == 0).with_columns(rating=pl.lit(0)).write_csv(tmp_path / "test.csv")
    with pytest.raises(DataError, match=r"test\.csv: all 120 ratings are 0 or less"):
        ready(None, "clicks", dataset=str(tmp_path / "train.csv"), **names)


def test_the_task_itself_takes_no_zeros():
    data = read(shown())
    cut = split(data, "random", (0.5, 0.25, 0.25))
    task = RankingTask(data, cut)
    positive = [len(part) - int((data.rating[part] == 0).sum()) for part in (cut.train, cut.valid, cut.test)]
    assert [task.positives(part).nnz for part in PARTS] == positive
    assert task.seen("valid").nnz == positive[0]


def test_a_later_impression_does_not_undo_a_click(tmp_path):
    rows = [(k % 10, k // 10, 1, 1_600_000_000 + k) for k in range(100)]
    rows += [(user, item, 0, time + 1000) for user, item, _, time in rows[:50]]
    frame = pl.DataFrame(rows, schema=["user", "item", "click", "time"], orient="row")
    assert len(ready(frame, "clicks").interactions) == 100
    frame.filter(pl.col("item") < 8).write_csv(tmp_path / "train.csv")
    frame.filter(pl.col("item") >= 8).write_csv(tmp_path / "test.csv")
    names = {"dataset": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}
    assert len(ready(None, "clicks", **names).interactions) == 100


def test_ratings_are_not_touched():
    made = ready(shown(values=(-2, 0, 0, 3)))
    assert len(made.interactions) == 600
    assert not any("left out" in note for note in made.interactions.notes)


def test_counts_are_noted_and_the_fix_works():
    frame = shown("plays", values=(0, 5, 2, 1))
    note = next(note for note in ready(frame, "clicks").interactions.notes if "plays" in note)
    *weighed, rated = fixes(note)
    made = ready(frame, "clicks", rated)
    assert (len(made.interactions), made.interactions.weight) == (450, None)
    made = ready(frame, "clicks", *weighed).interactions
    assert (len(made), made.rating, sorted(set(made.weight))) == (450, None, [1, 2, 5])


@pytest.mark.parametrize(
    ("rating", "said"),
    [
        ("1,011", "has a comma that may mark thousands or decimals."),
        ("-12,345", "has a comma that may mark thousands or decimals."),
        ("3,5", "has a decimal comma. Write 3.5"),
        ("0,125", "has a decimal comma. Write 0.125"),
        ("1.234,5", "has marks of thousands. Write 1234.5"),
        ("1,234.5", "has marks of thousands. Write 1234.5"),
        ("1,234,567", "has marks of thousands. Write 1234567"),
    ],
)
def test_commas_in_ratings(rating, said):
    with pytest.raises(DataError) as error:
        read(shown().with_columns(rating=pl.lit(rating)))
    assert f'row 0  rating "{rating}" {said}' in str(error.value)
    assert "1.011" not in str(error.value)
    if written := re.search(r"Write (-?[\d.]+)\n", str(error.value)):
        assert float(written[1]) == {"3,5": 3.5, "0,125": 0.125, "1,234,567": 1234567}.get(rating, 1234.5)


@pytest.mark.parametrize("column", [
    pl.Series([[4.0]] * 600), pl.Series([b"x"] * 600), pl.Series([{"a": 1}] * 600), pl.Series(["good"] * 600),
    pl.Series([object()] * 600, dtype=pl.Object)])  # fmt: skip
def test_ratings_that_are_no_numbers_are_refused_and_the_fix_works(column):
    with pytest.raises(DataError, match=r"row 0  rating .* is not a number") as error:
        ready(shown().with_columns(rating=column))
    made = ready(shown().with_columns(rating=column), "clicks", fixes(str(error.value))[0])
    assert made.interactions.rating is None


@pytest.mark.parametrize("column", [
    pl.Series(["4.5"] * 600).cast(pl.Decimal(10, 2)), pl.Series([b"4.5"] * 600), pl.Series(["4.5"] * 600),
    pl.Series(["4.5"] * 600, dtype=pl.Categorical), pl.Series([4.5] * 600, dtype=pl.Object)])  # fmt: skip
def test_types_of_ratings(column):
    assert set(read(shown().with_columns(rating=column)).rating.tolist()) == {4.5}


KINDS = [f"{form}_{what}" for form in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr") for what in ("matrix", "array")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "int8", "uint64", "bool"])
def test_sparse_forms(kind, dtype):
    data = read(getattr(sparse, kind)(np.arange(20.0).reshape(4, 5).astype(dtype)))
    assert (len(data), data.n_users, data.n_items, data.rating is None) == (19, 4, 5, dtype == "bool")


def test_sparse_forms_that_are_refused():
    grid = np.arange(20.0).reshape(4, 5)
    half = sparse.csr_array(grid)
    half.data = half.data.astype(np.float16)
    for matrix, why in (
        (sparse.coo_array(grid.ravel()), "has 1 dimensions"),
        (sparse.csr_array(grid * 1j), "holds complex numbers"),
        (half, "holds values of type float16"),
        (sparse.csr_array(np.where(grid == 3, np.inf, grid)), "row 0, column 3 is inf"),
    ):
        with pytest.raises(DataError, match=why):
            read(matrix)


def test_a_matrix_without_values_is_refused():
    made = Interactions.from_csr(sparse.csr_matrix(-np.ones((4, 5))), users=Vocabulary(list("abcd")))
    with pytest.raises(DataError, match="all 20 ratings are 0 or less"):
        ready(made, "clicks")


def movies(tmp_path, text="movieId,title,genres\n1,Heat (1995),Crime\n2,Up,Comedy\n99,Other,Drama\n"):
    (tmp_path / "movies.csv").write_text(text)
    return tmp_path / "movies.csv"


def artists(tmp_path, header="user,artist,rating"):
    path = tmp_path / "ratings.csv"
    path.write_text(header + "\n" + "".join(f"{k % 4},{k // 4},{k % 5 + 1}\n" for k in range(16)))
    return path


def test_films_beside_artists_are_not_their_titles(tmp_path):
    movies(tmp_path)
    for header in ("user,artist,rating", "userId,movieId,rating"):
        assert ready(None, dataset=str(artists(tmp_path, header))).titles is None


def test_titles_where_the_user_says(tmp_path):
    made = ready(None, dataset=str(artists(tmp_path)), titles=str(movies(tmp_path)))
    assert made.titles == {1: "Heat (1995)", 2: "Up"}
    assert made.interactions.notes == (
        f"2 of 4 items have titles, from {tmp_path}/movies.csv",
        f"1 ids of {tmp_path}/movies.csv are no items of the data",
    )


@pytest.mark.parametrize("text", [
    "id;name\n1;Heat\n", "item_id\ttitle\n1\tHeat\n", "\ufeffartist_id|artist_name\n1|Heat\n",
    '"id","name"\n"1","Heat"\n',
    "item_id:token\tmovie_title:token_seq\n1\tHeat\n", "id,name\n1.0,Heat\n"])  # fmt: skip
def test_tables_of_titles(tmp_path, text):
    path = movies(tmp_path, text)
    assert ready(None, dataset=str(artists(tmp_path)), titles=str(path)).titles == {1: "Heat"}


def test_titles_in_parquet_and_in_published_files(tmp_path):
    data = str(artists(tmp_path))
    pl.DataFrame({"item": [1], "title": ["Heat"]}).write_parquet(tmp_path / "t.parquet")
    (tmp_path / "movies.dat").write_bytes("1::L\u00e9on (1994)::Crime\n".encode("latin-1"))
    (tmp_path / "u.item").write_bytes("1|L\u00e9on (1994)|01-Jan-1994\n".encode("latin-1"))
    assert ready(None, dataset=data, titles=str(tmp_path / "t.parquet")).titles == {1: "Heat"}
    for name in ("movies.dat", "u.item"):
        assert ready(None, dataset=data, titles=str(tmp_path / name)).titles == {1: "L\u00e9on (1994)"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1,Heat\n2,Up\n", r"no column of item ids and no column of titles"),
        ("movieId,genres\n1,Crime\n", "no column of titles"),
        ("movieId,title\n77,Heat\n", "names no item of .*: its ids are 77, ..., the items 0, 1, 2"),
        (b"movieId,title\n1,L\xe9on\n", "is no table of titles"),
        ("", "is empty"),
        ("movieId,title\n", "names no item of"),
    ],
)
def test_titles_that_cannot_be_used(tmp_path, text, why):
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=why):
        ready(None, dataset=str(artists(tmp_path)), titles=str(tmp_path / "t.csv"))


def test_titles_of_no_file(tmp_path):
    with pytest.raises(DataError, match=r"titles = nowhere\.csv: there is no such file"):
        ready(None, dataset=str(artists(tmp_path)), titles="nowhere.csv")


def test_search_takes_titles(tmp_path):
    rows = [(k % 12, k // 12, k % 5 + 1) for k in range(144)]
    frame = pl.DataFrame(rows, schema=["user", "item", "rating"], orient="row")
    settings = {"search.epochs": 1, "train.epochs": 1, "baselines.names": [], "baselines.enumerate": False,
                "baselines.random": False, "tune.l2": [], "train.min_steps": 0}  # fmt: skip
    run = sif.search(frame.filter(pl.col("item") != pl.col("user")), settings=settings, titles=movies(tmp_path))
    assert {row["item"]: row["title"] for row in run.recommend(1)} == {1: "Heat (1995)"}
