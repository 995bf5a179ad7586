"""Points of the wide space: the classics by name, which are additive, which are one and the same, and as a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from nasp_core.errors import GenotypeError, nearest
from nasp_core.genotype import Genotype
from sif.operations.functions import OPERATIONS
from sif.spaces.wide_settings import ADDITIVE_PAIRS, NAME, OFFERS, VERSION, WideSettings

__all__ = ["NAMED", "NamedPoint", "additive", "additive_reason", "family_of", "named", "wide_formula", "wide_genotype"]

Choices = Mapping[str, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class NamedPoint:
    """A published model as a point: per branch (encoding of the user, of the item, operation, predictor), and biases.

    `history_power` is the model's own; None where the settings decide.
    """

    branches: tuple[tuple[str, str, str, str], ...]
    biases: str
    source: str
    history_power: float | None = None


_MULTIPLY, _CONCAT_MLP = ("id", "id", "multiply"), ("id", "id", "concat", "mlp")

NAMED: Mapping[str, NamedPoint] = {
    "mf": NamedPoint(((*_MULTIPLY, "sum"),), "off", "Koren, Bell & Volinsky, IEEE Computer 2009, eq. 1"),
    "biased-mf": NamedPoint(((*_MULTIPLY, "sum"),), "on", "Koren, Bell & Volinsky, IEEE Computer 2009, eq. 4"),
    "gmf": NamedPoint(((*_MULTIPLY, "linear"),), "off", "He et al., WWW 2017, eq. 9"),
    "ncf-mlp": NamedPoint((_CONCAT_MLP,), "off", "He et al., WWW 2017, eq. 10"),
    "neumf": NamedPoint(((*_MULTIPLY, "linear"), _CONCAT_MLP), "off", "He et al., WWW 2017, eq. 12"),
    "fism": NamedPoint((("history", "id", "multiply", "sum"),), "on", "Kabbur, Ning & Karypis, KDD 2013, eq. 6"),
    "svd++": NamedPoint((("id+history", "id", "multiply", "sum"),), "on", "Koren, KDD 2008, eq. 15", 0.5),
    "cml": NamedPoint((("id", "id", "minus", "distance"),), "off", "Hsieh et al., WWW 2017, eq. 1, squared"),
    "dmf": NamedPoint(
        (("history", "history", "multiply", "sum"),), "off", "Xue et al., IJCAI 2017, one linear layer a tower", 0.0
    ),
}
"""Published models that are points of the space. Histories leave out the pair that is predicted."""


def wide_genotype(choices: Choices, settings: WideSettings) -> Genotype:
    """Return the genotype of named choices under settings."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(settings).items()}
    return Genotype(NAME, VERSION, dict(choices), plain)


def named(name: str, settings: WideSettings | None = None) -> Genotype:
    """Return a model of `NAMED` as a genotype; its settings are `settings`, widened by what the model needs.

    Raises `GenotypeError` naming the nearest model when there is none of that name.
    """
    if name not in NAMED:
        near = nearest(name, NAMED)
        hint = f"; did you mean {near!r}?" if near else "."
        raise GenotypeError(f"unknown model {name!r}{hint} There are: {', '.join(NAMED)}")
    point = NAMED[name]
    choices: Choices = {
        "encoding": tuple(side for branch in point.branches for side in branch[:2]),
        "elementwise": ("identity",) * len(point.branches),
        "operation": tuple(branch[2] for branch in point.branches),
        "predictor": tuple(branch[3] for branch in point.branches),
        "biases": (point.biases,),
    }
    base = settings or WideSettings()
    offered = {}
    for setting, group in zip(OFFERS, choices, strict=True):
        wanted = {*getattr(base, setting), *choices[group]}
        offered[setting] = tuple(each for each in OFFERS[setting] if each in wanted)
    power = base.history_power if point.history_power is None else point.history_power
    whole = replace(base, branches=len(point.branches), history_power=power, **offered)  # type: ignore[arg-type]
    return wide_genotype(choices, whole)


def _pairs(choices: Choices) -> list[tuple[str, str]]:
    return list(zip(map(str, choices["operation"]), map(str, choices["predictor"]), strict=True))


def additive(genotype: Genotype) -> bool:
    """Return whether the score is f(user) + g(item), which ranks the items alike for all users.

    A branch is additive exactly when it is `plus`, `minus` or `concat` with `sum` or `linear`, or `concat` with
    `distance`, whatever encodes the sides and however entries are transformed; a point when all its branches are.
    """
    return set(_pairs(genotype.choices)) <= ADDITIVE_PAIRS


def additive_reason(genotype: Genotype) -> str:
    """Return why an additive genotype is no recommender, and the smallest change that makes it one."""
    parts = " and ".join(f"{operation} with {predictor}" for operation, predictor in _pairs(genotype.choices))
    return (
        f"{parts} scores f(user) + g(item): it ranks the items alike for every user, as popularity does; "
        "take an operation such as multiply or max, or the predictor mlp"
    )


def family_of(choices: Choices, settings: WideSettings) -> str:
    """Return one name for points that are the same set of functions (free tables, free predictors).

    Encodings are linear in their tables, so a linear map of an encoding, entry by entry, is again one (its tables
    mapped); an element-wise network can be negated (its outer layer) but not scaled entry by entry. So:

    - `minus` is `plus` with q(v) negated, under every predictor.
    - `concat` with `sum` is `plus` with `sum`: both add all entries. Without networks `linear` joins them: `plus`
      weighted is `sum` of weighted tables, `concat` too with each half's weights in its side's tables.
    - `multiply` with `linear` is `sum` with the weights in the user's tables, without networks.
    - `min` is the mirror of `max`: max(u, v) = -min(-u, -v), and the sign goes into the weights of `linear`, of the
      MLP's first layer, or is lost in `distance`; the sum of entries has no weight to take it, and stays apart.
    - Two branches are added, so their order does not matter.
    """
    branches = []
    for index, (operation, predictor) in enumerate(_pairs(choices)):
        elementwise = choices["elementwise"][index]
        operation = {"minus": "plus"}.get(operation, operation)
        if operation == "min" and predictor != "sum":
            operation = "max"
        if operation == "concat" and predictor == "sum":
            operation = "plus"
        if elementwise == "identity" and predictor == "linear" and operation in ("plus", "concat", "multiply"):
            operation, predictor = ("multiply" if operation == "multiply" else "plus"), "sum"
        branches.append(",".join([*map(str, choices["encoding"][2 * index : 2 * index + 2]), str(elementwise)]))
        branches[-1] += f",{operation},{predictor}"
    return " + ".join([*sorted(branches), f"biases {choices['biases'][0]}"])


_SIDES = {"user": "u", "item": "v"}


def _encoded(name: str, letter: str, known: str) -> str:
    return {"id": letter, "history": f"h({known})", "id+history": f"({letter} + h({known}))"}[name]


def wide_formula(genotype: Genotype) -> str:
    """Return the function as a person writes it: `b + b_user + b_item + w . (p((u + h(user))) * q(v))`.

    u and v are the embeddings of user and item, h(.) the embedding of a history, p and q element-wise networks, w a
    linear predictor, sum(.) the sum of the entries, mlp(.) a multi-layer perceptron; a second branch has its own (u2).
    """
    terms = ["b + b_user + b_item"] if genotype.choices["biases"][0] == "on" else []
    for index, (operation, predictor) in enumerate(_pairs(genotype.choices)):
        mark = "" if index == 0 else str(index + 1)
        sides = []
        for side, (known, letter) in enumerate(_SIDES.items()):
            text = _encoded(str(genotype.choices["encoding"][2 * index + side]), letter + mark, known)
            text = text.replace("h(", f"h{mark}(")
            if genotype.choices["elementwise"][index] == "network":
                text = f"{'pq'[side]}{mark}({text.removeprefix('(').removesuffix(')') if '+' in text else text})"
            sides.append(text)
        joined = OPERATIONS[operation].formula.format(*sides)
        terms.append(_predicted(predictor, joined, mark))
    return " + ".join(terms).replace("+ -", "- ")


def _predicted(predictor: str, joined: str, mark: str) -> str:
    bare = joined[1:-1] if joined.startswith("(") and joined.endswith(")") else joined
    if predictor == "linear":
        return f"w{mark} . {joined}"
    if predictor == "mlp":
        return f"mlp{mark}({bare})" if not joined.startswith("[") else f"mlp{mark}{joined}"
    return f"sum({bare})" if predictor == "sum" else f"-||{bare}||^2"
