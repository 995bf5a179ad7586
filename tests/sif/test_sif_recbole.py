"""RecBole made ready, and interactions to it and back: ids, parts, ratings and times are the same."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from sif.datasets import Interactions, Vocabulary, read, split
from sif.datasets.interactions import pair_key
from sif.errors import DataError
from sif.integrations import IntegrationError
from sif.integrations.recbole_config import config_of
from sif.integrations.recbole_data import (
    from_recbole,
    given_dataset,
    split_from_recbole,
    to_recbole,
    write_atomic,
)
from sif.integrations.recbole_support import COMMANDS, recbole_ready

try:
    recbole_ready()
except IntegrationError as error:
    pytest.skip(f"RecBole is not here: {error}", allow_module_level=True)

PARTS = ("train", "valid", "test")


@pytest.fixture
def timeless(planted: Interactions) -> Interactions:
    """Built data sets of RecBole hold times in 32 bits, which would not come back."""
    return replace(planted, timestamp=None)


def pairs(dataset: Any) -> set[tuple[str, str]]:
    """Raw ids of a RecBole data set, by RecBole's own tables."""
    user, item = dataset.uid_field, dataset.iid_field
    columns = (dataset.id2token(field, dataset.inter_feat[field].numpy()) for field in (user, item))
    return set(zip(*(map(str, column) for column in columns), strict=True))


def own(data: Interactions, rows: np.ndarray) -> set[tuple[str, str]]:
    return {
        (str(user), str(item))
        for user, item in zip(data.users.decode(data.user[rows]), data.items.decode(data.item[rows]), strict=True)
    }


def test_the_parts_are_those_of_the_split(planted: Interactions):
    cut = split(planted, "random", (0.8, 0.1, 0.1), seed=3)
    data = to_recbole(planted, cut)
    for part in PARTS:
        rows = getattr(cut, part)
        dataset = getattr(data, part).dataset
        assert len(dataset) == len(rows)
        assert pairs(dataset) == own(planted, rows)
    first = data.train.dataset.inter_feat
    assert first["rating"].tolist() == planted.rating[cut.train].tolist()
    assert first["user_id"].tolist() == (planted.user[cut.train] + 1).tolist()
    assert first["item_id"].tolist() == (planted.item[cut.train] + 1).tolist()
    assert (data.dataset.user_num, data.dataset.item_num) == (planted.n_users + 1, planted.n_items + 1)
    assert data.dataset.id2token("item_id", 0) == "[PAD]"
    assert data.dataset.token2id("item_id", str(planted.items.to_list()[4])) == 5


def test_loaders_give_positives_of_training_with_negatives_of_no_part_before_it(planted: Interactions):
    cut = split(planted, "random", (0.8, 0.1, 0.1), seed=3)
    data = to_recbole(planted, cut, settings={"train_batch_size": 64})
    batches = list(data.train)
    met = set(zip(planted.user[cut.train] + 1, planted.item[cut.train] + 1, strict=True))
    positives = [pair for b in batches for pair in zip(b["user_id"].tolist(), b["item_id"].tolist(), strict=True)]
    negatives = [pair for b in batches for pair in zip(b["user_id"].tolist(), b["neg_item_id"].tolist(), strict=True)]
    assert sorted(positives) == sorted(met)
    assert not met & set(negatives)
    assert min(item for _, item in negatives) > 0
    users, (_, masked), *_ = next(iter(data.test))
    known = {
        item for user, item in zip(planted.user, planted.item, strict=True) if user + 1 == int(users["user_id"][0])
    }
    assert {int(item) - 1 for item in masked[: len(known)]} <= known | set(range(planted.n_items))
    assert len(data.test) > 0


def test_there_and_back_is_the_same(timeless: Interactions):
    cut = split(timeless, "user", (0.6, 0.2, 0.2), seed=1)
    data = to_recbole(timeless, cut)
    back, parts = split_from_recbole(data.train, data.valid, data.test, name=timeless.name)
    assert back.fingerprint() == timeless.fingerprint()
    for part in PARTS:
        assert set(pair_key(back)[getattr(parts, part)]) == set(pair_key(timeless)[getattr(cut, part)])
    assert parts.describe()["kind"] == "files"
    assert "the parts are RecBole's" in parts.notes


def test_a_data_set_that_is_not_built_keeps_times(planted: Interactions):
    data = to_recbole(planted)
    assert from_recbole(data.dataset).n_users == planted.n_users  # built by then: times in 32 bits
    back = from_recbole(given_dataset(config_of("BPR"), planted), name=planted.name)
    assert back.fingerprint() == planted.fingerprint()
    np.testing.assert_array_equal(back.timestamp, planted.timestamp)


def test_recboles_own_split_comes_back_as_ours(planted: Interactions):
    args = {"split": {"RS": [0.5, 0.25, 0.25]}, "group_by": None, "order": "RO"}
    data = to_recbole(planted, settings={"eval_args": args, "seed": 7})
    made, parts = split_from_recbole(data.train, data.valid, data.test)
    for part in PARTS:
        rows = getattr(parts, part)
        assert own(made, rows) == pairs(getattr(data, part).dataset)
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [150, 75, 75]


@pytest.mark.parametrize("ids", [["7", "8", "10"], ["007", "8", "x"]])
def test_raw_ids_are_typed_as_those_of_a_file(ids: list[str]):
    users, items = Vocabulary(ids), Vocabulary([f"i{n}" for n in range(12)])
    user, item = (side.reshape(-1) for side in np.meshgrid(np.arange(3), np.arange(12), indexing="ij"))
    made = Interactions(user, item, None, None, None, users, items)
    back = from_recbole(given_dataset(config_of("BPR"), made))
    assert [str(raw) for raw in back.users.decode(back.user)] == [str(raw) for raw in users.decode(user)]
    assert back.users.kind == ("int" if ids[0] == "7" else "str")
    assert back.items.decode(back.item) == items.decode(item)


def test_atomic_files_are_read_by_sif_and_by_recbole(planted: Interactions, tmp_path: Path):
    from recbole.config import Config
    from recbole.data import create_dataset

    whole = write_atomic(planted, tmp_path / "whole")
    back = from_recbole(tmp_path / "whole", name=planted.name)
    assert whole == {"dataset": "whole", "data_path": str(tmp_path)}
    assert back.fingerprint() == planted.fingerprint()
    cut = split(planted, "random", (0.8, 0.1, 0.1), seed=3)
    result = write_atomic(planted, tmp_path / "cut", cut)
    config = Config(model="BPR", config_dict=result | {"load_col": None, "checkpoint_dir": str(tmp_path)})
    built = create_dataset(config).build()
    for part, dataset in zip(PARTS, built, strict=True):
        assert pairs(dataset) == own(planted, getattr(cut, part))


def test_a_row_without_an_item_is_an_error(planted: Interactions, tmp_path: Path):
    from recbole.config import Config
    from recbole.data import create_dataset

    result = write_atomic(planted, tmp_path / "cut", split(planted, "random", (0.8, 0.1, 0.1), seed=3))
    file = tmp_path / "cut" / "cut.train.inter"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].split("\t")[0] + "\t\t3\t1", *lines[2:]]) + "\n")
    config = Config(model="BPR", config_dict=result | {"checkpoint_dir": str(tmp_path)})
    with pytest.raises(DataError, match="cut has 1 rows without a user or an item"):
        split_from_recbole(*create_dataset(config).build())


def test_what_cannot_cross_is_refused(planted: Interactions, tmp_path: Path):
    months = planted.with_month_context()
    with pytest.raises(DataError, match="planted has contexts, and RecBole's general models know users and items"):
        to_recbole(months)
    tab = Vocabulary(["a\tb", "c"])
    bad = Interactions(np.array([0, 1]), np.array([0, 0]), None, None, None, tab, Vocabulary([1]))
    with pytest.raises(DataError, match=r"the id 'a\\tb' has a tab, quote or line break"):
        write_atomic(bad, tmp_path / "x")
    greedy = Interactions.from_csr(sparse.csr_array(np.ones((4, 3))))
    with pytest.raises(IntegrationError, match="cannot draw negatives from 12 interactions: Some users have interact"):
        to_recbole(greedy)
    with pytest.raises(IntegrationError, match="a dict holds no interactions of RecBole"):
        from_recbole({})


@pytest.mark.parametrize(
    ("model", "settings", "text"),
    [
        ("BPRR", {}, "BPRR is no general model of RecBole, .*\n  Did you mean BPR"),
        ("GRU4Rec", {}, "GRU4Rec is no general model of RecBole"),
        ("BPR", {"embeding_size": 8}, "BPR of RecBole has no setting embeding_size\n  Did you mean embedding_size"),
        ("BPR", {"topk": 0}, "RecBole's Config refuses the settings of BPR: topk must be"),
        ("BPR", {"metrics": ["nDCGG"]}, "There is no metric named 'nDCGG'"),
    ],
)
def test_a_wrong_setting_has_one_clear_error(model: str, settings: dict[str, Any], text: str):
    with pytest.raises(IntegrationError, match=text):
        config_of(model, settings)


def test_arguments_and_environment_of_the_process_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["sif", "--learning_rate=9", "compare"])
    before = dict(os.environ)
    assert config_of("BPR")["learning_rate"] == 0.001
    assert dict(os.environ) == before


@pytest.mark.slow
def test_the_libraries_stay_as_they_are():
    """In a process of its own: names of numpy, scipy, pandas and torch before and after."""
    script = """
import numpy, pandas, scipy.sparse, torch, sklearn.linear_model, torch.utils.tensorboard
def names(): return {m.__name__: {k: id(v) for k, v in vars(m).items() if not hasattr(v, "__path__")}
                     for m in (numpy, pandas, scipy.sparse, torch, torch.cuda.amp)}
before = names()
from sif.integrations.recbole_support import recbole_ready
from sif.integrations.recbole_config import config_of
assert recbole_ready() is recbole_ready()
config_of("LightGCN")
after = names()
print([(m, k) for m in before for k in before[m] if after[m].get(k) != before[m][k]])
print([(m, k) for m in before for k in set(after[m]) - set(before[m]) if not k.startswith("_")])
"""
    known = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=known, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "[]\n[]\n"), done.stderr


def test_missing_recbole_is_said_with_the_commands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "recbole", None)
    with pytest.raises(IntegrationError) as result:
        recbole_ready()
    assert str(result.value).startswith("RecBole cannot be imported: recbole is not installed")
    assert all(command in str(result.value) for command in COMMANDS)


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch):
    import recbole

    monkeypatch.setattr(recbole, "__version__", "1.2.0")
    with pytest.raises(IntegrationError, match=r"RecBole 1\.2\.0 is installed, and the bridge is made for 1\.2\.1"):
        recbole_ready()


def graph_matrix() -> Any:
    module = sys.modules["recbole.model.general_recommender.lightgcn"]
    made = module.sp.dok_matrix((3, 4), dtype=np.float32)
    made._update({(0, 1): 1, (2, 3): 1, (2, 0): 1})
    return made


def test_the_matrix_of_graph_models_takes_a_dictionary():
    np.testing.assert_array_equal(graph_matrix().toarray(), [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]])
    np.testing.assert_array_equal((graph_matrix() > 0).sum(axis=1), [[1], [0], [2]])
    assert not hasattr(sparse.dok_matrix((1, 1)), "_update")


def test_missing_features_are_filled(tmp_path: Path):
    """A number with the mean, a token with padding, a sequence with an empty one; pandas 3 would fill none of them."""
    from recbole.config import Config
    from recbole.data import create_dataset

    folder = tmp_path / "few"
    folder.mkdir()
    rows = "".join(f"u{n % 4}\ti{n % 5}\n" for n in range(20))
    (folder / "few.inter").write_text("user_id:token\titem_id:token\n" + rows)
    features = "i0\t2\tred\ta b\ni1\t\tblue\ti2\t4\t\tc\n".replace("blue\ti2", "blue\t\ni2")
    (folder / "few.item").write_text("item_id:token\tprice:float\tcolour:token\tkinds:token_seq\n" + features)
    result = {"dataset": "few", "data_path": str(tmp_path), "load_col": None, "checkpoint_dir": str(tmp_path)}
    result["eval_args"] = {"split": {"RS": [1, 0, 0]}}
    dataset = create_dataset(Config(model="BPR", config_dict=result))
    dataset.build()
    table = dataset.item_feat
    row = {token: number for number, token in enumerate(dataset.field2id_token["item_id"])}
    assert table["price"][[row["i0"], row["i1"], row["i2"], 0]].tolist() == [2.0, 3.0, 4.0, 3.0]
    assert table["colour"][row["i2"]] == 0
    assert table["colour"][row["i1"]] > 0
    assert (table["kinds"][row["i1"]] == 0).all()
    assert (table["kinds"][row["i0"]] > 0).sum() == 2


STATES: dict[str, Callable[[], Any]] = {
    "python": random.getstate,
    "numpy": lambda: np.random.get_state()[1].tolist(),
    "torch": lambda: torch.get_rng_state().tolist(),
}


def test_data_sets_draw_nothing(planted: Interactions):
    before = {name: state() for name, state in STATES.items()}
    to_recbole(planted, split(planted, "random", (0.8, 0.1, 0.1), seed=3))
    assert {name: state() for name, state in STATES.items()} == before


def test_ratings_of_movielens_come_back_from_recboles_own_copy(movielens: str):
    """RecBole's reader and ours, on the files in its wheel."""
    from recbole.config import Config
    from recbole.data import create_dataset

    ours, made = read(movielens), []
    for result in ({"normalize_all": False}, {}):
        made.append(from_recbole(create_dataset(Config(model="BPR", dataset="ml-100k", config_dict=result))))
    assert made[0].fingerprint() == ours.fingerprint()
    assert made[0].notes == ()
    assert made[1].rating.max() == 1.0
    assert made[1].notes == ("RecBole has normalised values: normalize_all or normalize_field is set",)
