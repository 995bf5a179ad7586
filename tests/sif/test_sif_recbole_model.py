"""`SIF` in RecBole's own trainer: its losses, its scores, and metrics that equal our evaluator's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.nn import functional

from nasp_core.genotype import Genotype
from sif.datasets import Interactions, read, split
from sif.integrations import IntegrationError
from sif.integrations.recbole_support import module, recbole_ready
from sif.metrics import rank_metrics
from sif.spaces.wide_points import NAMED, named
from sif.spaces.wide_settings import WideSettings

try:
    recbole_ready()
except IntegrationError as error:
    pytest.skip(f"RecBole is not here: {error}", allow_module_level=True)

from sif.integrations.recbole import SIF, RecBoleData, scores_from, to_recbole, train_model

SMALL = {"embedding_dim": 6, "init_std": 0.3, "l2": 0.0}
METRICS = {
    "ndcg": "ndcg",
    "recall": "recall",
    "precision": "precision",
    "hit": "hit_rate",
    "map": "map",
    "mrr": "mrr",
    "itemcoverage": "coverage",
}


def made(data: Interactions, **settings: Any) -> tuple[SIF, RecBoleData]:
    cut = split(data, "random", (0.6, 0.2, 0.2), seed=1)
    result = {"sif_settings": SMALL, "gpu_id": "", "show_progress": False} | settings
    bridge = to_recbole(data, cut, model=SIF, settings={k: v for k, v in result.items() if v is not None})
    return SIF(bridge.config, bridge.train.dataset), bridge


def batch(bridge: RecBoleData) -> Any:
    return next(iter(bridge.train))


def columns(interaction: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return interaction["user_id"], interaction["item_id"], interaction["neg_item_id"]


@pytest.mark.parametrize("point", NAMED)
@pytest.mark.parametrize("loss", ["bpr", "bce", "softmax"])
def test_every_point_trains_with_every_loss(point: str, loss: str, planted: Interactions):
    model, bridge = made(planted, sif_point=point, sif_loss=loss)
    value = model.calculate_loss(batch(bridge))
    value.backward()
    assert value.shape == ()
    assert bool(value.isfinite())
    assert all(weight.grad is not None for weight in model.parameters())
    assert sum(float(weight.grad.abs().sum()) for weight in model.parameters()) > 0


def test_losses_are_their_formulas(planted: Interactions):
    """On a point without histories, where scores of pairs do not depend on what is asked beside them."""
    values = {}
    for loss in ("bpr", "bce", "softmax"):
        model, bridge = made(planted, sif_point="biased-mf", sif_loss=loss)
        interaction = batch(bridge)
        user, positive, negative = columns(interaction)
        every = torch.stack([model.forward(user, torch.full_like(user, item)) for item in range(1, model.n_items)], 1)
        up, down = model.forward(user, positive), model.forward(user, negative)
        values["bpr"] = functional.softplus(down - up).mean()
        values["bce"] = (functional.softplus(-up) + functional.softplus(down)).mean() / 2
        values["softmax"] = functional.cross_entropy(every, positive - 1)
        assert float(model.calculate_loss(interaction)) == pytest.approx(float(values[loss]), abs=1e-6)


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_a_positive_is_hidden_from_the_histories_that_score_it(loss: str, planted: Interactions):
    """With a user's only training item hidden, a history is empty: all items score alike, and the loss is known."""
    rows = np.unique(planted.user, return_index=True)[1]
    model, bridge = made(planted.take(rows), sif_point="fism", sif_loss=loss, eval_args={"split": {"RS": [1, 0, 0]}})
    model.network.bias.data.zero_()
    expected = np.log(2) if loss == "bpr" else np.log(model.n_items - 1)
    assert float(model.calculate_loss(batch(bridge))) == pytest.approx(expected, abs=1e-5)


def test_the_networks_own_penalty_is_in_the_loss(planted: Interactions):
    models = [made(planted, sif_point="mf", sif_settings=SMALL | {"l2": l2})[0] for l2 in (0.0, 0.5, 1.0)]
    interaction = batch(made(planted)[1])
    losses = [float(model.calculate_loss(interaction).detach()) for model in models]
    assert losses[2] - losses[0] == pytest.approx(2 * (losses[1] - losses[0]), rel=1e-4)
    assert losses[1] > losses[0] + 1e-4


@pytest.mark.parametrize("point", ["mf", "neumf", "svd++", "cml", "dmf"])
def test_pairs_and_whole_rows_score_alike(point: str, planted: Interactions):
    """But for training pairs, which `predict` leaves out of the histories that score them."""
    model, bridge = made(planted, sif_point=point)
    model.eval()
    interaction, train = module("data.interaction").Interaction, bridge.train.dataset.inter_matrix("csr").toarray() > 0
    users, items = (side.reshape(-1) for side in np.nonzero(~train[1:, 1:]))
    pairs = {"user_id": torch.from_numpy(users + 1), "item_id": torch.from_numpy(items + 1)}
    rows = model.full_sort_predict(interaction({"user_id": torch.arange(model.n_users)})).view(-1, model.n_items)
    np.testing.assert_allclose(model.predict(interaction(pairs)).detach(), rows[users + 1, items + 1], atol=1e-5)


def test_folded_tables_follow_the_weights(planted: Interactions):
    model, bridge = made(planted)
    asked = module("data.interaction").Interaction({"user_id": torch.arange(3)})
    before = model.eval().full_sort_predict(asked)
    assert torch.equal(model.full_sort_predict(asked), before)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2.0)
    np.testing.assert_allclose(model.eval().full_sort_predict(asked), 4 * before, rtol=1e-5)
    model.calculate_loss(batch(bridge))
    assert model._folded is None


def trained(data: Interactions, model: Any, folder: Path, **settings: Any) -> tuple[Any, Any, RecBoleData, Any]:
    """A model from RecBole's trainer, with the trainer, the bridge and the split."""
    cut = split(data, "random", (0.8, 0.1, 0.1), seed=2020)
    result = {
        "epochs": 2,
        "learning_rate": 0.005,
        "train_batch_size": 1024,
        "eval_batch_size": 1 << 17,
        "metrics": ["NDCG", "Recall", "Precision", "Hit", "MAP", "MRR", "ItemCoverage"],
        "metric_decimal_place": 12,
        "topk": [1, 10, 20],
        "valid_metric": "NDCG@10",
        "checkpoint_dir": str(folder),
        "show_progress": False,
        "gpu_id": "",
    }
    bridge = to_recbole(data, cut, model=model, settings=result | settings)
    module("utils").init_seed(1, True)
    network = bridge.config.model_class(bridge.config, bridge.train.dataset).to(bridge.config["device"])
    trainer = module("trainer").Trainer(bridge.config, network)
    trainer.fit(bridge.train, bridge.valid, verbose=False, show_progress=False)
    return network, trainer, bridge, cut


def matrix(data: Interactions, rows: np.ndarray) -> sparse.csr_array:
    entries = np.ones(len(rows)), (data.user[rows], data.item[rows])
    return sparse.csr_array(entries, shape=(data.n_users, data.n_items))


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (SIF, {"sif_point": "mf", "sif_settings": {"embedding_dim": 16, "init_std": 0.1}}),
        (SIF, {"sif_point": "fism", "sif_loss": "softmax", "epochs": 1}),
        ("BPR", {"embedding_size": 16}),
    ],
    ids=["mf", "fism", "RecBole's BPR"],
)
def test_recboles_metrics_are_ours(
    model: Any, settings: dict[str, Any], movielens: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Trained by RecBole's trainer on all of MovieLens 100K, evaluated by RecBole and by `rank_metrics`, to 1e-6."""
    monkeypatch.chdir(tmp_path)
    data = read(movielens)
    network, trainer, bridge, cut = trained(data, model, tmp_path, **settings)
    scores_of, before = scores_from(network.eval(), bridge.dataset), cut.train
    for part, loader in (("valid", bridge.valid), ("test", bridge.test)):
        theirs = trainer.evaluate(loader, load_best_model=part == "test", show_progress=False)
        seen, relevant = matrix(data, before), matrix(data, getattr(cut, part))
        ours = rank_metrics(scores_of, seen, relevant, k=(1, 10, 20))
        assert_no_ties(scores_of, seen, relevant)
        for name, own in METRICS.items():
            for k in (1, 10, 20):
                value = float(theirs[f"{name}@{k}"])
                if name == "itemcoverage":  # RecBole counts its padding item as one that could be covered
                    value *= bridge.dataset.item_num / data.n_items
                assert value == pytest.approx(ours[f"{own}@{k}"], abs=1e-6), (part, name, k)
        before = np.concatenate([before, getattr(cut, part)])
    assert ours["ndcg@10"] > 0.05


def assert_no_ties(scores_of: Any, seen: sparse.csr_array, relevant: sparse.csr_array) -> None:
    """RecBole breaks ties by whatever its sort does, so the two can be compared only where there are none."""
    users = torch.from_numpy(np.flatnonzero(np.diff(relevant.indptr)))
    hidden = torch.from_numpy(seen[users.numpy()].toarray() > 0)
    top = scores_of(users).masked_fill(hidden, -torch.inf).topk(21, dim=1).values
    assert bool((top[:, 1:] < top[:, :-1]).all())


def test_a_checkpoint_of_recboles_trainer_brings_the_weights_back(
    planted: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    of_numbers = ["ItemCoverage", "GiniIndex", "TailPercentage", "AveragePopularity"]
    settings = {"sif_point": "svd++", "topk": [5], "valid_metric": "NDCG@5", "metrics": ["NDCG", *of_numbers]}
    network, trainer, bridge, _ = trained(planted, SIF, tmp_path, **settings)
    best = trainer.evaluate(bridge.valid, show_progress=False)
    assert {f"{name.lower()}@5" for name in settings["metrics"]} == set(best)
    expected = network.full_sort_predict(next(iter(bridge.valid))[0])
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    network.eval()
    assert float(network.full_sort_predict(next(iter(bridge.valid))[0]).abs().sum()) == 0
    assert trainer.evaluate(bridge.valid, show_progress=False) == best
    assert torch.equal(network.full_sort_predict(next(iter(bridge.valid))[0]), expected)


def test_a_genotype_comes_as_value_table_text_or_file(planted: Interactions, tmp_path: Path):
    genotype = named("neumf", WideSettings(embedding_dim=5))
    file = tmp_path / "genotype.json"
    file.write_text(genotype.to_json())
    for form in (genotype, json.loads(genotype.to_json()), genotype.to_json(), file, str(file)):
        model, _ = made(planted, sif_genotype=form, sif_settings=None)
        assert model.genotype.key() == genotype.key()
        assert model.network.settings.embedding_dim == 5
    first, again = made(planted)[0], made(planted)[0]
    other = made(planted, seed=7)[0]
    weights = [torch.cat([w.flatten() for w in m.parameters()]) for m in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.genotype.key() == named("mf").key()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sif_point": "mff"}, "unknown model 'mff'; did you mean 'mf'"),
        ({"sif_settings": {"embeding_dim": 3}}, "unexpected keyword argument 'embeding_dim'"),
        ({"sif_loss": "hinge"}, "sif_loss = 'hinge'; there are bpr, bce and softmax"),
        ({"sif_genotype": "no/such/genotype.json", "sif_settings": None}, "there is no file no/such/genotype.json"),
        ({"sif_genotype": named("mf"), "sif_point": "mf"}, "sif_genotype holds its own settings"),
        ({"sif_genotype": {"space": "x"}, "sif_settings": None}, "it lacks version, choices, settings"),
        ({"sif_pont": "mf"}, "SIF of RecBole has no setting sif_pont\n  Did you mean sif_point"),
    ],
)
def test_what_cannot_be_built_says_why(settings: dict[str, Any], text: str, planted: Interactions):
    with pytest.raises(IntegrationError, match=text):
        made(planted, **settings)


def test_an_additive_function_is_refused(planted: Interactions):
    genotype = named("mf")
    additive = Genotype(
        genotype.space, genotype.version, dict(genotype.choices) | {"operation": ("plus",)}, genotype.settings
    )
    with pytest.raises(IntegrationError, match="it ranks the items alike for every user"):
        made(planted, sif_genotype=additive, sif_settings=None)


def test_losses_of_pairs_need_negatives_and_that_over_all_does_not(planted: Interactions):
    none = {"train_neg_sample_args": {"distribution": None}}
    model, bridge = made(planted, **none)
    with pytest.raises(IntegrationError, match="sif_loss = 'bpr' needs negatives"):
        model.calculate_loss(batch(bridge))
    model, bridge = made(planted, sif_loss="softmax", **none)
    assert bool(model.calculate_loss(batch(bridge)).isfinite())


def test_histories_are_of_the_training_part(planted: Interactions):
    model, bridge = made(planted, sif_point="fism")
    assert int(model.network.histories.user_starts[-1]) == len(bridge.train.dataset)
    whole = to_recbole(planted, split(planted, "random", (0.6, 0.2, 0.2), seed=1), model=SIF)
    from sif.integrations.recbole_data import given_dataset

    with pytest.raises(IntegrationError, match=r"Make it with the training part: SIF\(config, train_data\.dataset\)"):
        SIF(whole.config, given_dataset(whole.config, planted))


def test_it_is_trained_by_name_of_the_class_too():
    """`train_model` takes the class, as RecBole's Config does."""
    draw = np.random.default_rng(0)
    mine = (np.arange(40)[:, None] < 20) == (np.arange(30)[None] < 15)
    part = draw.random((40, 30))
    settings = {"sif_settings": SMALL, "epochs": 60, "learning_rate": 0.02, "train_batch_size": 64}
    scores = train_model(SIF, sparse.csr_array(mine & (part < 0.6)), sparse.csr_array(mine & (part > 0.8)), settings, 0)
    halves = scores(torch.arange(40)).view(40, 2, 15).mean(2)
    assert float(((halves[:, 0] > halves[:, 1]) == (torch.arange(40) < 20)).float().mean()) > 0.9
