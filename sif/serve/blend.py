"""A blend: the weighted sum of what several models score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from scipy import sparse
from torch import Tensor

from sif.encodings.side import Side
from sif.errors import DataError
from sif.serve.forms import Asked, Served, form_of

__all__ = ["Blend", "standard_scores"]


def standard_scores(scores: Tensor) -> Tensor:
    """Return scores of mean 0 and standard deviation 1 in each row; a row of equal scores becomes zeros.

    Args:
        scores: Of all items, float `[users, items]`.
    """
    centred = scores - scores.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1, keepdim=True).sqrt()
    return centred / torch.where(spread > 0, spread, torch.ones_like(spread))


@dataclass(frozen=True, eq=False)
class _Together:
    """Users as each member holds them."""

    parts: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def rows(self, ids: slice) -> _Together:
        return _Together(tuple(part.rows(ids) for part in self.parts))


class Blend(Served):
    """A weighted sum of the scores of other forms (Caruana et al. 2004).

    Models that order lists score on scales of their own, so that their scores are standardised, for each user over all
    items, before they are added; predictions of ratings are added as they are.
    """

    format = "sif-blend-1"

    def __init__(self, members: Sequence[Served], weights: Sequence[float], *, standardised: bool) -> None:
        """Take what is added.

        Args:
            members: Forms of the same users and items.
            weights: One for each.
            standardised: Whether scores are standardised first.
        """
        self.members, self.weights, self.standardised = tuple(members), tuple(weights), standardised
        self.n_users, self.n_items = members[0].n_users, members[0].n_items

    @property
    def additive(self) -> bool:
        """Whether each member ranks the items alike for every user."""
        return all(member.additive for member in self.members)

    def describe(self) -> str:
        """Return the members in words, each with its weight."""
        parts = (f"{w:g} of {m.describe()}" for w, m in zip(self.weights, self.members, strict=True))
        return "a sum of " + "; ".join(parts)

    def at(self, context: int) -> Blend:
        """Return the sum in a context, of members that know contexts."""
        members: list[Any] = [*self.members]
        return Blend([member.at(context) for member in members], self.weights, standardised=self.standardised)

    def users(self, numbers: Tensor) -> Asked:
        """Return known users by their numbers, int64 `[n]`."""
        return _Together(tuple(member.users(numbers) for member in self.members))

    def new_users(self, rows: sparse.csr_array) -> Asked:
        """Return users of whom only a row is known; raises `DataError` where a member makes none of it."""
        return _Together(tuple(member.new_users(rows) for member in self.members))

    def scorer(self, items: Tensor | None = None) -> Callable[[_Together], Tensor]:
        """Return what makes scores of all items, or of those given."""
        within = None if self.standardised else items  # what is standardised is the whole catalogue
        scorers = [member.scorer(within) for member in self.members]

        def scores(asked: _Together) -> Tensor:
            total: Tensor | None = None
            for weight, score, part in zip(self.weights, scorers, asked.parts, strict=True):
                made = score(part).float()
                made = weight * (standard_scores(made) if self.standardised else made)
                total = made if total is None else total + made
            assert total is not None
            return total if items is None or not self.standardised else total[:, items.to(total.device)]

        return scores

    def arrays(self) -> dict[str, Tensor]:
        """Return the arrays of the members, each under its number; raises `RunError` where one is none of arrays."""
        made: dict[str, Tensor] = {}
        for number, member in enumerate(self.members):
            made |= {f"{number}.{name}": array for name, array in member.arrays().items()}
        return made

    def facts(self) -> dict[str, Any]:
        """Return the formats and facts of the members, the weights, and whether scores are standardised."""
        members = [{"format": member.format, "facts": member.facts()} for member in self.members]
        return {"members": members, "weights": list(self.weights), "standardised": self.standardised}

    @classmethod
    def of_arrays(cls, arrays: dict[str, Tensor], facts: dict[str, Any]) -> Self:
        """Return what `arrays` and `facts` were of."""
        members = []
        for number, told in enumerate(facts.pop("members")):
            start = f"{number}."
            own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
            members.append(form_of(told["format"], own, dict(told["facts"])))
        return cls(members, facts.pop("weights"), standardised=facts.pop("standardised"))

    def vectors(self, side: Side) -> Tensor:
        """Return the vectors of the heaviest member that has some; raises `DataError` where none has."""
        for _, member in sorted(zip(self.weights, self.members, strict=True), key=lambda pair: -pair[0]):
            try:
                return member.vectors(side)
            except DataError:
                continue
        return super().vectors(side)
