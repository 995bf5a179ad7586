"""Interactions to RecBole's data sets and back, with our split or RecBole's own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sif.datasets import Interactions, Split, Vocabulary, read
from sif.datasets.ids import ids_from_text
from sif.datasets.interactions import canonical_order, dropped_note, last_of_each, pair_key
from sif.datasets.splits import from_labels
from sif.errors import DataError
from sif.integrations import IntegrationError
from sif.integrations.recbole_config import config_of
from sif.integrations.recbole_support import module, recbole_ready

__all__ = [
    "RecBoleData",
    "from_recbole",
    "given_dataset",
    "split_from_recbole",
    "to_recbole",
    "write_atomic",
]

IntArray = NDArray[np.int64]
PARTS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class RecBoleData:
    """What RecBole trains from: its Config, Dataset, and the three data loaders of its `data_preparation`.

    Number k of a user or item of sif is RecBole's id k + 1; RecBole's id 0 is padding, and nobody's.
    """

    config: Any
    dataset: Any
    train: Any
    valid: Any
    test: Any


def to_recbole(
    interactions: Interactions,
    split: Split | None = None,
    *,
    model: Any = "BPR",
    settings: Mapping[str, Any] | None = None,
) -> RecBoleData:
    """Return RecBole's data set and loaders, in memory: with exactly `split`, or cut by RecBole's own `eval_args`.

    Raw ids become RecBole's tokens (text), ratings and times its float columns `rating` and `timestamp`. All users and
    items of the vocabularies are known to RecBole, those without interactions too. Rows that RecBole's filters drop
    (`user_inter_num_interval` and the like) are dropped only where it splits itself, as is its way.

    Args:
        interactions: The rows.
        split: The parts; None: RecBole cuts.
        model: A name of RecBole (general models) or a class, such as `SIF`.
        settings: Keys of RecBole's Config.

    Raises:
        DataError: The interactions have contexts.
        IntegrationError: A model or setting is unknown, a user has all items (RecBole then has no negative to draw), or
            RecBole is missing.
    """
    recbole_ready()
    config = config_of(model, settings)
    dataset = given_dataset(config, interactions, split)
    built = dataset.build()
    return RecBoleData(config, dataset, *_loaders(config, dataset, built))


def _loaders(config: Any, dataset: Any, built: Any) -> list[Any]:
    """Loaders as RecBole's `data_preparation` makes them, but never read back from a pickle of an earlier process."""
    data = module("data")
    try:
        samplers = data.create_samplers(config, dataset, built)
    except ValueError as error:
        raise IntegrationError(
            f"RecBole cannot draw negatives from {dataset.inter_num} interactions: {error}"
        ) from error
    made = []
    for name, part, sampler in zip(PARTS, built, samplers, strict=True):
        shuffle = bool(config["shuffle"]) and name == "train"
        made.append(module("data.utils").get_dataloader(config, name)(config, part, sampler, shuffle=shuffle))
    return made


def given_dataset(config: Any, interactions: Interactions, split: Split | None = None) -> Any:
    """Return a RecBole Dataset of these interactions; its `build()` gives the parts of `split` where there is one.

    Args:
        config: RecBole's Config.
        interactions: The rows.
        split: The parts that `build()` gives; None: RecBole cuts.
    """
    base = module("data.dataset").Dataset
    frame, sizes = _frame(config, interactions, split)
    types, sources = module("utils").FeatureType, module("utils").FeatureSource
    user, item = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    ids = {user: interactions.users, item: interactions.items}

    class Given(base):  # type: ignore[misc, valid-type]
        """RecBole's Dataset, with its two steps of files and of ids replaced by arrays."""

        def _load_data(self, token: str, dataset_path: str) -> None:
            self.inter_feat, self.user_feat, self.item_feat = frame, None, None
            for field in frame:
                kind = types.TOKEN if field in ids else types.FLOAT
                self.set_field_property(field, kind, sources.INTERACTION, 1)
            if sizes is not None:
                self.benchmark_filename_list, self.file_size_list = list(PARTS), sizes

        def _remap_ID_all(self) -> None:
            for field, vocabulary in ids.items():
                tokens = ["[PAD]", *map(str, vocabulary.to_list())]
                self.field2id_token[field] = np.array(tokens)
                self.field2token_id[field] = {token: number for number, token in enumerate(tokens)}

    Given.__name__ = base.__name__
    return Given(config)


def _frame(config: Any, interactions: Interactions, split: Split | None) -> tuple[Any, list[int] | None]:
    """Rows as pandas, part after part where there is a split, with RecBole's numbers; and the sizes of the parts."""
    import pandas

    _check_two_modes(interactions)
    rows = None if split is None else [getattr(split, part) for part in PARTS]
    taken = interactions if rows is None else interactions.take(np.concatenate(rows))
    columns = {config["USER_ID_FIELD"]: taken.user + 1, config["ITEM_ID_FIELD"]: taken.item + 1}
    if taken.rating is not None:
        columns[config["RATING_FIELD"]] = taken.rating.astype(np.float64)
    if taken.timestamp is not None:
        columns[config["TIME_FIELD"]] = taken.timestamp.astype(np.float64)
    return pandas.DataFrame(columns), None if rows is None else [len(part) for part in rows]


def _check_two_modes(interactions: Interactions) -> None:
    if interactions.context is not None:
        raise DataError(
            f"{interactions.name} has contexts, and RecBole's general models know users and items alone\n"
            "  Read it without them: interactions.without_context()."
        )


def write_atomic(interactions: Interactions, folder: str | Path, split: Split | None = None) -> dict[str, Any]:
    """Write RecBole's atomic files and return the settings with which RecBole reads them; needs no RecBole.

    Its ids come from the order of the rows there, and only what occurs in a row is known.

    Args:
        interactions: The rows.
        folder: Gets `NAME.inter`, or with a split `NAME.train.inter`, `NAME.valid.inter` and `NAME.test.inter`; NAME is
            the folder's.
        split: The parts; None: one file.

    Returns:
        `dataset`, `data_path`, and `benchmark_filename` where there is a split.
    """
    _check_two_modes(interactions)
    target = Path(folder).resolve()
    target.mkdir(parents=True, exist_ok=True)
    names = {"": np.arange(len(interactions))} if split is None else {f".{p}": getattr(split, p) for p in PARTS}
    for name, rows in names.items():
        part = interactions.take(rows)
        columns: dict[str, Any] = {
            "user_id:token": part.users.decode(part.user),
            "item_id:token": part.items.decode(part.item),
        }
        if part.rating is not None:
            columns["rating:float"] = part.rating
        if part.timestamp is not None:
            columns["timestamp:float"] = part.timestamp
        frame = pl.DataFrame(columns)
        for column in ("user_id:token", "item_id:token"):
            texts = frame[column].cast(pl.String)
            if bad := texts.filter(texts.str.contains(r"[\t\n\r\"]")).to_list()[:1]:
                raise DataError(f"the id {bad[0]!r} has a tab, quote or line break, which an atomic file cannot hold")
        frame.write_csv(target / f"{target.name}{name}.inter", separator="\t", quote_style="never")
    settings: dict[str, Any] = {"dataset": target.name, "data_path": str(target.parent)}
    return settings if split is None else settings | {"benchmark_filename": list(PARTS)}


def from_recbole(source: Any, *, name: str | None = None) -> Interactions:
    """Return the interactions of RecBole's data.

    Tokens come back as raw ids, typed as a text file's are (integers where all are plainly written ones); padding is no
    id. RecBole keeps the floats of a built data set in 32 bits, so times that passed through one are exact to about two
    minutes only; values that it normalised (`normalize_all`, its own default for ml-100k) stay so, which is noted.
    Repeated pairs keep the last, as in any table.

    Args:
        source: A Dataset (built or not) or data loader of RecBole, or an atomic file or its folder, which need no
            RecBole.
        name: What messages call it; None: RecBole's name.

    Raises:
        DataError: Rows lack a user or an item (RecBole fills them with padding).
    """
    if isinstance(source, str | Path):
        return read(source, name=name)
    dataset = _dataset(source)
    return _joined([dataset], name or str(dataset.dataset_name))[0]


def split_from_recbole(train: Any, valid: Any, test: Any, *, name: str | None = None) -> tuple[Interactions, Split]:
    """Return all interactions, and the split of them that three loaders or built data sets of RecBole stand for.

    Args:
        train: A loader or a built data set.
        valid: The same of the validation part.
        test: The same of the test part.
        name: What messages call it; None: RecBole's name.

    Raises:
        DataError: As `from_recbole`, and where a pair is in two parts.
    """
    parts = [_dataset(part) for part in (train, valid, test)]
    made, part_of = _joined(parts, name or str(parts[0].dataset_name))
    order = canonical_order(made)
    return made, from_labels(made, order, part_of[order], ("files", 0, None), ["the parts are RecBole's"])


def _dataset(source: Any) -> Any:
    for found in (source, getattr(source, "_dataset", None)):
        if hasattr(found, "field2id_token") and hasattr(found, "inter_feat"):
            return found
    raise IntegrationError(
        f"a {type(source).__name__} holds no interactions of RecBole\n"
        "  Give a Dataset, a data loader, or the path of an atomic file."
    )


def _joined(datasets: list[Any], name: str) -> tuple[Interactions, NDArray[np.int8]]:
    """Interactions of data sets with shared ids, and the data set that each row is from."""
    first = datasets[0]
    config = first.config
    users, user_place = _vocabulary(first, first.uid_field)
    items, item_place = _vocabulary(first, first.iid_field)
    rows = {field: np.concatenate([_column(d, field) for d in datasets]) for field in first.inter_feat.columns}
    user, item = user_place[rows[first.uid_field]], item_place[rows[first.iid_field]]
    if (user < 0).any() or (item < 0).any():
        raise DataError(f"{name} has {int(((user < 0) | (item < 0)).sum())} rows without a user or an item (padding)")
    rating, time = rows.get(config["RATING_FIELD"]), rows.get(config["TIME_FIELD"])
    normal = config["normalize_all"] or config["normalize_field"]
    made = Interactions(
        user=user,
        item=item,
        rating=None if rating is None else rating.astype(np.float32),
        timestamp=None if time is None else time.astype(np.float64),
        context=None,
        users=users,
        items=items,
        name=name,
        source=f"RecBole's {name}",
        notes=("RecBole has normalised values: normalize_all or normalize_field is set",) if normal else (),
    )
    part_of = np.repeat(np.arange(len(datasets), dtype=np.int8), [len(d.inter_feat) for d in datasets])
    kept = last_of_each(pair_key(made), made.timestamp)
    if len(kept) == len(made):
        return made, part_of
    if len(datasets) > 1:
        raise DataError(f"{name} has {len(made) - len(kept)} repeated (user, item) pairs, within parts or across them")
    note = dropped_note(len(made) - len(kept), made.timestamp is not None)
    return replace(made.take(kept), notes=(*made.notes, note)), part_of[kept]


def _vocabulary(dataset: Any, field: str) -> tuple[Vocabulary, IntArray]:
    """The raw ids of a field, and the number of each of RecBole's ids among them (-1: padding)."""
    raw = ids_from_text(pl.Series([str(token) for token in dataset.field2id_token[field][1:]], dtype=pl.String)).series
    vocabulary = Vocabulary(raw)
    return vocabulary, np.concatenate([[-1], vocabulary.encode(raw)]).astype(np.int64)


def _column(dataset: Any, field: str) -> NDArray[Any]:
    values = dataset.inter_feat[field]
    return np.asarray(values if hasattr(values, "numpy") else values.to_numpy())
