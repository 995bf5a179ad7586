"""What a wide space offers, by name, and the checks of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.types import ChoiceGroup
from sif.encodings import ENCODINGS, encoding, encoding_names, parts_of
from sif.encodings.elementwise import FIXED
from sif.encodings.lookup import problems_of
from sif.encodings.sides import SideSettings
from sif.extend import names_of
from sif.operations import OPERATIONS, PREDICTORS, additive, operation, operation_names, size_problems

__all__ = ["BRANCHES", "BRANCH_KEY", "NAME", "OFFERS", "VERSION", "WideSettings", "groups_of", "settings_of"]

NAME, VERSION = "interaction-wide", 1
BRANCHES = (1, 2)
"""How many functions may be added."""
BRANCH_KEY = "space.branches"
"""The key of a recipe that says how many are."""

OFFERS: Mapping[str, tuple[str, ...]] = {
    "encodings": ("id", "history", "id+history"),
    "elementwise": ("identity", *FIXED),
    "operations": ("plus", "minus", "multiply", "max", "min", "concat"),
    "predictors": ("sum", "linear", "mlp", "distance"),
    "biases": ("off", "on"),
}
"""The candidates of a space that names none, by the setting that offers them; encodings may be other sums too, and
there are more predictors (`PREDICTORS`), operations (`OPERATIONS`) and, as the papers have it, the `network`."""
_MORE: Mapping[str, tuple[str, ...]] = {
    "encodings": tuple(ENCODINGS),
    "elementwise": (*OFFERS["elementwise"], "network"),
    "operations": tuple(OPERATIONS),
    "predictors": tuple(PREDICTORS),
}

_BEFORE = ("identity", "network")  # the element-wise functions of genotypes that do not name them


@dataclass(frozen=True, kw_only=True)
class WideSettings(SideSettings):
    """What a wide space offers, and how its weights are held (see also `SideSettings`).

    - `branches`: functions that are added, each with embeddings of its own: 1 or 2.
    - `encodings`, `elementwise`, `operations`, `predictors`, `biases`: the candidates offered, by name (`OFFERS`; the
      element-wise `network` and the operations of blocks only where they are asked for); encodings and operations of
      your own as objects, or as `package.module:object`.
    - `hidden`: hidden units of the element-wise networks.
    - `mlp`: hidden units of the MLP predictor's layers, each followed by a ReLU.
    - `history_power`: a history is the sum of its embeddings / (how many) ** history_power; 1 is the mean, 0.5 that
      of SVD++, 0 the sum.
    - `history_half_life`: days in which the weight of an entry of a decayed history halves.
    - `propagation_steps`: layers of a propagated encoding beside the ids themselves.
    - `additive`: whether points whose score is f(user) + g(item) are in the space; they rank all users alike.
    - `penalty`: `squared` alone: l2 times the batch mean of ||row||^2 over id rows, and l2 times the mean over each
      table that histories are made of (measured better than shrinking the encoded history: docs/benchmarks.md).
    """

    biases: tuple[str, ...] = OFFERS["biases"]  # type: ignore[assignment]  # a choice here, not a switch
    penalty: Literal["frobenius", "squared"] = "squared"
    branches: int = 1
    encodings: tuple[str, ...] = OFFERS["encodings"]
    elementwise: tuple[str, ...] = OFFERS["elementwise"]
    operations: tuple[str, ...] = OFFERS["operations"]
    predictors: tuple[str, ...] = OFFERS["predictors"]
    hidden: int = 8
    mlp: tuple[int, ...] = (32,)
    history_power: float = 1.0
    history_half_life: float = 30.0
    propagation_steps: int = 2
    additive: bool = True

    def __post_init__(self) -> None:
        """Take encodings and operations as objects too, and keep their names."""
        object.__setattr__(self, "encodings", encoding_names(self.encodings))
        object.__setattr__(self, "operations", operation_names(self.operations))

    def check(self) -> None:
        """Raise `SpaceError` with all that is wrong."""
        problems = [problem for name in OFFERS for problem in _offer_problems(name, getattr(self, name))]
        parts = [part for name in self.encodings for part in parts_of(name)]
        problems += problems_of(parts, encoding) + problems_of(self.operations, operation) + _number_problems(self)
        problems += [] if problems else size_problems(self.operations, self.embedding_dim)
        if not problems and not self.additive and self._all_additive():
            problems.append(
                "every point is additive in user and item, and additive = false leaves those out; "
                "offer an operation that is not (multiply, max, min), or a predictor (mlp)"
            )
        if problems:
            raise SpaceError("; ".join(problems))

    def _all_additive(self) -> bool:
        return all(additive(operation, predictor) for operation in self.operations for predictor in self.predictors)


def _offer_problems(name: str, offered: tuple[str, ...]) -> list[str]:
    open_to_others = name in ("encodings", "operations")
    known = names_of(name.removesuffix("s"), dict.fromkeys(OFFERS[name])) if open_to_others else OFFERS[name]
    known = tuple(dict.fromkeys((*known, *_MORE.get(name, ()))))
    parts = {each: parts_of(each) if name == "encodings" else [each] for each in offered}
    unknown = [each for each in offered if each not in known and not (open_to_others and _named(parts[each], known))]
    problems = []
    if not offered:
        problems.append(f"{name} offers nothing to choose from; there are {', '.join(known)}")
    if unknown:
        problems.append(f"unknown {name} {', '.join(unknown)}; there are {', '.join(known)}")
    if len(set(offered)) < len(offered):
        twice = sorted({each for each in offered if offered.count(each) > 1})
        problems.append(f"{name} {', '.join(twice)} given twice; name each once")
    return problems


def _named(parts: list[str], known: Collection[str]) -> bool:
    """Return whether each part of a sum is known, or of one's own; no part twice."""
    return all(part in known or ":" in part for part in parts) and len(set(parts)) == len(parts)


def _number_problems(settings: WideSettings) -> list[str]:
    problems = []
    if settings.branches not in BRANCHES:
        problems.append(f"branches = {settings.branches}; there can be {' or '.join(map(str, BRANCHES))}")
    if settings.embedding_dim < 1:
        problems.append(f"embedding_dim = {settings.embedding_dim}; an interaction function needs 1 or more")
    if settings.hidden < 1 and "network" in settings.elementwise:
        problems.append(f"hidden = {settings.hidden}; an element-wise network needs 1 or more, or offer identity alone")
    if "mlp" in settings.predictors and (not settings.mlp or min(settings.mlp) < 1):
        problems.append(f"mlp = {settings.mlp}; an MLP needs at least one layer of 1 or more units")
    if settings.history_power < 0:
        problems.append(f"history_power = {settings.history_power}; it must be 0 (the sum) or more (1: the mean)")
    if not settings.history_half_life > 0:
        problems.append(f"history_half_life = {settings.history_half_life}; give days, more than 0, such as 30")
    if settings.propagation_steps < 1:
        problems.append(
            f"propagation_steps = {settings.propagation_steps}; give 1 or more (without steps, propagated is id)"
        )
    if settings.penalty != "squared":
        problems.append(
            f"penalty = {settings.penalty!r}; a history is no row that a norm could shrink with the batch's, "
            "so there is squared alone"
        )
    if settings.bias_l2 and "on" not in settings.biases:
        problems.append(f"bias_l2 = {settings.bias_l2} without biases; offer biases on, or leave it out")
    if settings.init_std < 0 or settings.l2 < 0 or settings.bias_l2 < 0:
        problems.append("init_std, l2 and bias_l2 must be 0 or more")
    return problems


def groups_of(settings: WideSettings) -> tuple[ChoiceGroup, ...]:
    """Return the choices of a space: the encodings of user, item (of a second branch: again), and so on."""
    branches = settings.branches
    return (
        ChoiceGroup("encoding", 2 * branches, settings.encodings),
        ChoiceGroup("elementwise", branches, settings.elementwise),
        ChoiceGroup("operation", branches, settings.operations),
        ChoiceGroup("predictor", branches, settings.predictors),
        ChoiceGroup("biases", 1, settings.biases),
    )


def settings_of(genotype: Genotype) -> WideSettings:
    """Return the settings that a genotype carries; raises `GenotypeError` when they are not those of a wide space."""
    known = {field.name for field in fields(WideSettings)}
    unknown = [key for key in genotype.settings if key not in known]
    if unknown:
        raise GenotypeError(f"genotype settings {', '.join(unknown)} are not settings of space {NAME!r}")
    values: dict[str, Any] = {"elementwise": _BEFORE} | dict(genotype.settings)
    values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    try:
        settings = WideSettings(**values)
        settings.check()
    except (SpaceError, TypeError) as error:
        raise GenotypeError(f"genotype settings do not fit space {NAME!r}: {error}") from None
    return settings
