"""RecBole 1.2.1 on current numpy, scipy, pandas and torch: what its files miss there is put back for them alone.

Every mend changes a name inside a module of RecBole; numpy, scipy, pandas and torch stay as they are.
"""

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import sparse

from sif.integrations import IntegrationError

__all__ = ["COMMANDS", "Changed", "module", "recbole_ready", "replaced"]

# RecBole's own requirements ask for a ray without wheels for Python 3.12 and later, so they are named here instead.
COMMANDS = (
    "pip install --no-deps recbole==1.2.1 thop",
    "pip install colorama colorlog pandas pyyaml scikit-learn tensorboard texttable tqdm",
)
_MENDED = "mended_by_sif"
# Models that fill a scipy dictionary of keys by a private method.
_FILLERS = (
    "general_recommender.gcmc",
    "general_recommender.lightgcn",
    "general_recommender.ncl",
    "general_recommender.ngcf",
    "general_recommender.spectralcf",
    "knowledge_aware_recommender.kgin",
    "knowledge_aware_recommender.mcclk",
)


def recbole_ready() -> ModuleType:
    """Import RecBole, mend what current libraries broke, and return its package; a second call does nothing.

    Call it before RecBole's classes are used. `recbole.quick_start` imports ray and is not touched: use
    `recbole.config`, `recbole.data`, `recbole.utils`, `recbole.trainer`. The mends, which stay until the process ends:

    - `numpy.float` and its kin (gone from numpy 1.24 and 2.0): RecBole's Config writes them into numpy, and fails at
      `numpy.float_`. It no longer does; the three modules that read `np.float` see a numpy that has it.
    - `dok_matrix._update` (gone from scipy 1.13): modules of graph models see a scipy.sparse whose `dok_matrix` has it.
    - `frame[column].fillna(inplace=True)` (no effect since pandas 3): missing features are filled as they were; and
      arrays of a frame, read-only since pandas 3, are copied before tensors are made of them. `column.agg(len)`, now
      the length of the column, is the length of each row again: that is how sequences are cut.
    - `torch.load` reads weights alone since torch 2.6, and RecBole's checkpoints hold its Config: its trainer reads
      them whole, as before. Such a file can run code when it is read: give the trainer only files of your own.
    - RecBole's own: its trainer moves all that it collected to the CPU, numbers too, and so fails with `ItemCoverage`,
      `GiniIndex`, `TailPercentage` and `AveragePopularity`. What is no tensor is left where it is.
    - `torch.cuda.amp.GradScaler` (deprecated): its trainer uses `torch.amp.GradScaler`.

    Raises IntegrationError when RecBole, or a package that it imports, is missing.
    """
    try:
        package = importlib.import_module("recbole")
        trainer = importlib.import_module("recbole.trainer.trainer")
    except ImportError as error:
        missing = error.name or str(error)
        raise IntegrationError(
            f"RecBole cannot be imported: {missing} is not installed\n  Install it beside what is here:\n"
            + "\n".join(f"    {command}" for command in COMMANDS)
        ) from error
    if package.__version__ != "1.2.1":
        raise IntegrationError(
            f"RecBole {package.__version__} is installed, and the bridge is made for 1.2.1\n  {COMMANDS[0]}"
        )
    if hasattr(package, _MENDED):
        return package
    _mend(trainer)
    setattr(package, _MENDED, True)
    return package


def _mend(trainer: Any) -> None:
    numbers = Changed(np, float=float)
    for name in ("data.dataset.dataset", "data.interaction", "evaluator.metrics"):
        module(name).np = numbers
    module("config.configurator").Config.compatibility_settings = lambda config: None
    for name in _FILLERS:
        module(f"model.{name}").sp = Changed(sparse, dok_matrix=_Filled)
    dataset = module("data.dataset.dataset")
    dataset.pd = Changed(dataset.pd, read_csv=_sequences_filled(dataset.pd.read_csv))
    dataset.len = _length
    dataset.Dataset._fill_nan = _fill_nan
    dataset.Dataset._dataframe_to_interaction = _writable(dataset.Dataset._dataframe_to_interaction)
    trainer.torch = Changed(torch, load=functools.partial(torch.load, weights_only=False))
    collector = module("evaluator.collector").Collector
    collector.get_data_struct = _tensors_alone(collector.get_data_struct)
    trainer.amp = Changed(trainer.amp, GradScaler=functools.partial(torch.amp.GradScaler, "cuda"))


def module(name: str) -> Any:
    """Return a module of RecBole by its name below the package."""
    return importlib.import_module(f"recbole.{name}")


class Changed(ModuleType):
    """Another module as it is, but for some names."""

    def __init__(self, module: ModuleType, **names: Any) -> None:
        super().__init__(module.__name__)
        vars(self).update(names, _actual=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_actual"], name)


class _Filled(sparse.csr_matrix):  # type: ignore[misc]
    """A sparse matrix made empty, that takes all its entries at once from a dictionary {(row, column): value}."""

    def _update(self, entries: dict[tuple[int, int], float]) -> None:
        places = np.array(list(entries), dtype=np.int64).reshape(-1, 2)
        values = np.fromiter(entries.values(), self.dtype, len(entries))
        made = sparse.csr_matrix((values, (places[:, 0], places[:, 1])), shape=self.shape)
        self.data, self.indices, self.indptr = made.data, made.indices, made.indptr


def _sequences_filled(read_csv: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any, **options: Any) -> Any:
        frame = read_csv(*arguments, **options)
        for column in frame.columns:
            if column.endswith("_seq"):
                frame[column] = frame[column].fillna("")
        return frame

    return read


def _length(of: Any) -> Any:
    """The length, but of a column of a frame those of its rows."""
    return of.map(len) if type(of).__name__ == "Series" else len(of)


def _writable(convert: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def converted(dataset: Any, frame: Any) -> Any:
        return convert(dataset, {name: SimpleNamespace(values=np.array(frame[name].values)) for name in frame})

    return converted


def _tensors_alone(collect: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def collected(collector: Any) -> Any:
        held = collector.data_struct._data_dict
        plain = {name: held.pop(name) for name in list(held) if not isinstance(held[name], torch.Tensor)}
        gathered = collect(collector)
        for struct in (collector.data_struct, gathered):
            struct._data_dict.update(plain)
        return gathered

    return collected


def _fill_nan(dataset: Any) -> None:
    """Fill missing features: token with padding (0), number with the mean, sequence with an empty one."""
    kinds = module("utils").FeatureType
    for name in dataset.feat_name_list:
        frame = getattr(dataset, name)
        for field in frame:
            kind = dataset.field2type[field]
            if kind == kinds.TOKEN:
                frame[field] = frame[field].fillna(0).astype(np.int64)
            elif kind == kinds.FLOAT:
                frame[field] = frame[field].fillna(frame[field].mean())
            else:
                empty = np.array([], dtype=np.int64 if kind == kinds.TOKEN_SEQ else np.float64)
                frame[field] = [empty if isinstance(row, float) else row for row in frame[field]]


@contextmanager
def replaced(owner: Any, **names: Any) -> Iterator[None]:
    """Give attributes of an object other values, and the old ones back at the end."""
    before = {name: getattr(owner, name) for name in names}
    for name, value in names.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
