"""A found function as a model of implicit, where it is an inner product: `recommend`, indexes, GPU as there."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sif.errors import DataError, RunError
from sif.integrations import IntegrationError
from sif.serve.folding import Folded
from sif.tasks import Scale

try:
    from implicit.cpu.matrix_factorization_base import MatrixFactorizationBase
except ImportError as _error:
    raise IntegrationError("implicit is not installed\n  pip install implicit") from _error

__all__ = ["FoldedModel", "factors_model", "to_implicit"]

Floats = NDArray[np.float32]


class FoldedModel(MatrixFactorizationBase):  # type: ignore[misc]
    """A trained function as factors whose inner products are its scores.

    `user_factors` float32 `[users, d]` and `item_factors` `[items, d]`; the first `vectors` columns are what the
    function joins, the rest are biases, each beside a column of ones. `similar_items` and `similar_users` compare the
    first columns alone: a bias says how much an item is liked, not what it is like, and in a cosine it would pull all
    popular items together. An index of all columns (`AnnoyModel(model, approximate_similar_items=False)`) ranks right;
    one for similar items would see the biases.
    """

    def __init__(self, num_threads: int = 0) -> None:
        """Hold nothing yet; `to_implicit`, `factors_model` and `load` fill it."""
        super().__init__(num_threads=num_threads)
        self.vectors = 0
        self._without_biases: FoldedModel | None = None

    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Train nothing: the factors are those of the function. It is here for implicit's indexes, which call it.

        Raises DataError for a matrix of another size.
        """
        shape = (len(self.user_factors), len(self.item_factors))
        if tuple(user_items.shape) != shape:
            raise DataError(f"user_items has shape {tuple(user_items.shape)}, the factors are those of {shape}")

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> Any:
        """Return ids and cosine similarities of the N nearest items, biases apart; see implicit."""
        if recalculate_item or item_users is not None:
            raise IntegrationError(
                "a model of implicit cannot solve for items of another function; fit again with them"
            )
        return MatrixFactorizationBase.similar_items(self._bare(), itemid, N, filter_items=filter_items, items=items)

    def similar_users(self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None) -> Any:
        """Return ids and cosine similarities of the N nearest users, biases apart, with the predictor's weights."""
        return MatrixFactorizationBase.similar_users(self._bare(), userid, N, filter_users, users)

    def _bare(self) -> "FoldedModel":
        """The same without biases, made once."""
        if not self.vectors:
            raise IntegrationError("the function is f(user) + g(item): it has no vectors that could be similar")
        if self._without_biases is None:
            users, items = self.user_factors[:, : self.vectors], self.item_factors[:, : self.vectors]
            self._without_biases = factors_model(users, items, num_threads=self.num_threads)
        return self._without_biases

    def recalculate_user(self, userid: Any, user_items: Any) -> Any:
        """Raise: implicit solves least squares here, and this function was not trained by them.

        Args:
            userid: Not used.
            user_items: Not used.

        Raises:
            IntegrationError: Always; with what to use instead.
        """
        raise IntegrationError(
            "a model of implicit cannot solve for users of another function\n"
            "  Use sif.Recommender.recommend(..., recalculate_user=True)."
        )

    def save(self, file: Any) -> None:
        """Write an .npz that `FoldedModel.load` reads, and for ranking `implicit.cpu.als.AlternatingLeastSquares.load`.

        The latter needs no sif; its `similar_items` sees the biases, and its `recalculate_user` is of another function.
        """
        np.savez(
            file,
            user_factors=self.user_factors,
            item_factors=self.item_factors,
            vectors=self.vectors,
            num_threads=self.num_threads,
        )

    def to_gpu(self) -> Any:
        """Return implicit's GPU model with these factors; its `similar_items` sees the biases.

        Raises IntegrationError where implicit has no GPU: it says itself which package it lacks.
        """
        import implicit.gpu

        if not implicit.gpu.HAS_CUDA:
            raise IntegrationError(
                "implicit has no GPU here: it needs an NVIDIA device, and the package rmm of its CUDA version "
                "(rmm-cu13 for 0.7.3)\n  The model ranks on the CPU as it is."
            )
        import implicit.gpu.als

        model = implicit.gpu.als.AlternatingLeastSquares(factors=self.item_factors.shape[1])
        model.user_factors = implicit.gpu.Matrix(self.user_factors)
        model.item_factors = implicit.gpu.Matrix(self.item_factors)
        return model


def factors_model(users: Floats, items: Floats, *, vectors: int | None = None, num_threads: int = 0) -> FoldedModel:
    """Return a model of implicit whose scores are the products of factors.

    Args:
        users: Floats `[users, d]`.
        items: Floats `[items, d]`.
        vectors: How many columns come before the biases; None: all.
        num_threads: implicit's; 0 is all cores.

    Raises:
        DataError: The factors do not fit each other.
    """
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1]:
        raise DataError(f"factors of shape {users.shape} and {items.shape}; both are [number, d], with one d")
    model = FoldedModel(num_threads=num_threads)
    model.user_factors = np.ascontiguousarray(users, dtype=np.float32)
    model.item_factors = np.ascontiguousarray(items, dtype=np.float32)
    model.vectors = users.shape[1] if vectors is None else vectors
    return model


class Trained(Protocol):
    """What is taken of a `sif.Recommender`: its tables, and from scores to ratings."""

    @property
    def folded(self) -> Folded:
        """The tables the scores come from."""
        ...

    @property
    def scale(self) -> Scale:
        """Mean and deviation of the ratings."""
        ...


def to_implicit(source: Trained | Folded, *, num_threads: int = 0) -> FoldedModel:
    """Return a trained function as a model of implicit whose `recommend` gives its ids and scores (to 1e-5).

    The function must fold to an inner product: any number of `multiply` with `sum` or `linear` (or `distance`), of
    `plus`, `minus` and `concat` with these, and of `distance` of `plus` or `minus`, with any encodings and with biases,
    which become columns. All items are ranked, those that training never met too; give `filter_items` to leave them
    out.

    Args:
        source: A Recommender, whose scores are in the unit of its ratings, or `Folded`, in standard units.
        num_threads: implicit's; 0 is all cores.

    Raises:
        IntegrationError: The function is no inner product (`max`, `min`, an MLP), or the model is no function of
            vectors (EASE, a blend); with the reason.
    """
    getattr(source, "model", None)  # says what it is, where it was not trained yet
    try:
        folded = source if isinstance(source, Folded) else source.folded
    except RunError as error:  # what did best may be a rival that weighs items by items, or a blend
        raise IntegrationError(
            f"no factors make these scores, and implicit knows nothing else: {error}\n"
            "  Recommend with sif.Recommender, or export it: sif export RUN --to npz."
        ) from error
    factors = folded.inner_product()
    if factors is None:
        tables = folded.tables.users
        part = "an MLP" if folded.tables.mlps else "max or min, or an MLP on a sum,"
        columns = tables.l1_plus.shape[1] + tables.l1_minus.shape[1]
        why = "no table replaces it" if folded.tables.mlps else f"it is L1 distances of {columns} columns"
        raise IntegrationError(
            f"the function is no inner product, and implicit knows nothing else: {part} is in it, and {why}\n"
            "  Recommend with sif.Recommender, or export it: sif export RUN --to npz."
        )
    users, items = (np.asarray(table.cpu(), dtype=np.float32) for table in factors)
    if not isinstance(source, Folded):
        scale = source.scale
        users = users * np.float32(scale.std)
        if scale.mean:
            users = np.c_[users, np.full(len(users), scale.mean, np.float32)]
            items = np.c_[items, np.ones(len(items), np.float32)]
    return factors_model(users, items, vectors=folded.tables.items.product.shape[1], num_threads=num_threads)
