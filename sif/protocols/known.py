"""The protocols, each one entry of a table."""

from typing import Any

from sif.protocols.base import PublishedFigure, PublishedProtocol, PublishedTable
from sif.protocols.layouts import PairNamed, SplitIndex, TableNamed, TrainTestPair

__all__ = ["PROTOCOLS"]

_BARS = "BARS (openbenchmark.github.io/BARS)"
_INFINITE = "github.com/noveens/infinite_ae_cf"
_NO_VALIDATION = (
    "a fifth of the training file is cut for validation and chooses here, before a refit on the whole file; "
    "papers choose epochs and settings on the test file"
)


def _lists(metric: str, k: int) -> dict[str, Any]:
    """Every pair is a positive, whatever its value; judged on k places."""
    return {"feedback": "clicks", "ranking.metric": metric, "ranking.k": k}


def _graph(name: str, title: str, url: str, tables: tuple[PublishedTable, ...]) -> PublishedProtocol:
    """A pair of files, Recall@20 and NDCG@20 over the full catalogue: LightGCN's way, which many follow."""
    names = tuple(table.title.lower() for table in tables)
    return PublishedProtocol(
        name=name,
        title=title,
        recipe="clicks",
        task="ranking",
        values=_lists("recall", 20),
        metrics=("recall@20", "ndcg@20"),
        layouts=(TrainTestPair(names), TableNamed(names, part="split")),
        url=url,
        masked="pairs of the training file",
        chosen=_NO_VALIDATION,
        tables=tables,
    )


_LIGHTGCN = _graph(
    "lightgcn",
    "LightGCN's files of Gowalla, Yelp2018, Amazon-Book: Recall@20, NDCG@20 of all items",
    "https://github.com/gusye1234/LightGCN-PyTorch (folder data)",
    (
        PublishedTable(
            "Yelp2018",
            31_668,
            38_048,
            1_561_406,
            324_147,
            (
                PublishedFigure("MF-BPR", (0.0576, 0.0468), _BARS, True),
                PublishedFigure("LightGCN", (0.0653, 0.0532), _BARS, True),
                PublishedFigure("EASE", (0.0657, 0.0552), _BARS, True),
                PublishedFigure("UltraGCN", (0.0683, 0.0561), "arXiv 2110.15114", True),
                PublishedFigure("Turbo-CF", (0.0693, 0.0574), "arXiv 2404.14243", True),
                PublishedFigure("GF-CF", (0.0697, 0.0571), _BARS, True),
                PublishedFigure("SimpleX", (0.0701, 0.0575), "arXiv 2109.12613", True),
                PublishedFigure("BSPM", (0.0720, 0.0593), "arXiv 2211.09324", True),
            ),
        ),
        PublishedTable(
            "Gowalla",
            29_858,
            40_981,
            1_027_370,
            217_242,
            (PublishedFigure("LightGCN", (0.1824, 0.1547), "github.com/gusye1234/LightGCN-PyTorch", True),),
        ),
    ),
)
_ULTRAGCN = _graph(
    "ultragcn",
    "UltraGCN's files of Amazon-CDs and others: Recall@20, NDCG@20 of all items",
    "https://github.com/xue-pai/UltraGCN (folder data)",
    (
        PublishedTable(
            "Amazon-CDs",
            43_169,
            35_648,
            777_426,
            172_951,
            (PublishedFigure("UltraGCN", (0.1622, 0.1043), "arXiv 2110.15114", True),),
        ),
    ),
)
_INFINITE_AE = PublishedProtocol(
    name="infinite-ae",
    title="MovieLens 1M as the infinite-AE paper cuts it (80/10/10 by user): NDCG@10 of all items",
    recipe="clicks",
    task="ranking",
    values=_lists("ndcg", 10),
    metrics=("ndcg@10",),
    layouts=(
        SplitIndex("ratings.dat", "index.npz", "sif.protocols.indexed:INDEXED"),
        TableNamed(("ml-1m",), part="split", times=False),
    ),
    url="https://files.grouplens.org/datasets/movielens/ml-1m.zip (ratings.dat) and "
    f"https://{_INFINITE} (data/ml-1m/index.npz)",
    masked="pairs of the training and validation part",
    chosen="the validation part of the split chooses, here as there; nothing is trained on it",
    tables=(
        PublishedTable(
            "MovieLens 1M",
            6_040,
            3_706,
            1_000_209,
            108_799,
            (
                PublishedFigure("popularity", (0.1384,), _INFINITE),
                PublishedFigure("Mult-VAE", (0.2214,), _INFINITE),
                PublishedFigure("NeuMF", (0.2444,), _INFINITE),
                PublishedFigure("MF", (0.2565,), _INFINITE),
                PublishedFigure("LightGCN", (0.2885,), _INFINITE),
                PublishedFigure("EASE", (0.2988,), _INFINITE),
                PublishedFigure("infinite-AE", (0.3282,), _INFINITE),
                PublishedFigure("SVD-AE", (0.3355,), "arXiv 2405.04746"),
            ),
        ),
    ),
)
_RATINGS: dict[str, Any] = {"study.goal": "rating"}
_U1 = (
    PublishedFigure("IGMC", (0.905,), "arXiv 1904.12058", True),
    PublishedFigure("IMC-GAE", (0.897,), "arXiv 2108.11124", True),
    PublishedFigure("SparseFC", (0.895,), "ICML 2018", True),
    PublishedFigure("GLocal-K", (0.889,), "arXiv 2108.12184", True),
)


def _fold(number: int) -> PublishedProtocol:
    """One of the five official folds of MovieLens 100K."""
    return PublishedProtocol(
        name=f"ml-u{number}",
        title=f"MovieLens 100K, official fold u{number}: RMSE",
        recipe="ratings",
        task="rating",
        values=_RATINGS,
        metrics=("rmse",),
        layouts=(
            PairNamed(f"u{number}.base", f"u{number}.test"),
            TableNamed(("ml-100k-folds",), part=f"fold={number}"),
        ),
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        chosen=_NO_VALIDATION,
        tables=(PublishedTable("MovieLens 100K", 943, 1_682, 100_000, 20_000, _U1 if number == 1 else ()),),
    )


_RANDOM = PublishedProtocol(
    name="random-90-10",
    title="MovieLens 1M, a random tenth as test part (--seed draws another): RMSE",
    recipe="ratings",
    task="rating",
    values=_RATINGS | {"split.kind": "random", "split.fractions": [0.8, 0.1, 0.1], "study.refit": True},
    metrics=("rmse",),
    layouts=(TableNamed(("ratings", "ml-1m"), times=False),),
    url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
    chosen="a tenth of all rows chooses here, before a refit on the nine tenths that are not test; "
    "some papers choose the epoch on the test part",
    tables=(
        PublishedTable(
            "MovieLens 1M",
            6_040,
            3_706,
            1_000_209,
            100_021,
            (
                PublishedFigure("GC-MC", (0.832,), "arXiv 1706.02263"),
                PublishedFigure("I-AutoRec", (0.831,), "WWW 2015"),
                PublishedFigure("CF-NADE", (0.829,), "arXiv 1605.09477"),
                PublishedFigure("SparseFC", (0.824,), "ICML 2018", True),
                PublishedFigure("GLocal-K", (0.8227,), "arXiv 2108.12184", True),
            ),
        ),
    ),
)

PROTOCOLS: dict[str, PublishedProtocol] = {
    each.name: each for each in (_INFINITE_AE, _LIGHTGCN, _ULTRAGCN, *map(_fold, range(1, 6)), _RANDOM)
}
"""The protocols by name."""
