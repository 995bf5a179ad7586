"""Points of the wide space: the classics by name, which are additive, which are one and the same, and as a formula."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from nasp_core.errors import GenotypeError, did_you_mean
from nasp_core.genotype import Genotype
from sif import operations
from sif.encodings import encoding, parts_of, reads_history
from sif.encodings.elementwise import FIXED
from sif.encodings.side import ids_read
from sif.spaces.wide_settings import NAME, OFFERS, VERSION, WideSettings

__all__ = [
    "NAMED",
    "NamedPoint",
    "additive_reason",
    "class_of_choices",
    "is_additive_point",
    "named",
    "plain_branch",
    "wide_formula",
    "wide_genotype",
]

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
    "lightgcn": NamedPoint(
        (("propagated", "propagated", "multiply", "sum"),), "off", "He et al., SIGIR 2020, eq. 3, 4, 9"
    ),
}
"""Published models that are points of the space. Histories leave out the pair that is predicted, graphs do not."""

_READ_BY: Mapping[str, str] = {"history_half_life": "decayed-history", "propagation_steps": "propagated"}


def wide_genotype(choices: Choices, settings: WideSettings) -> Genotype:
    """Return the genotype of named choices under settings."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(settings).items()}
    offered = {part for name in settings.encodings for part in parts_of(name)}
    for key, reader in _READ_BY.items():
        if reader not in offered:
            del plain[key]
    return Genotype(NAME, VERSION, dict(choices), plain)


def named(name: str, settings: WideSettings | None = None) -> Genotype:
    """Return a model of `NAMED` as a genotype; its settings are `settings`, widened by what the model needs.

    Raises `GenotypeError` naming the nearest model when there is none of that name.
    """
    if name not in NAMED:
        hint = did_you_mean(name, NAMED, "; did you mean {!r}?", ".")
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
        order = (*OFFERS[setting], *getattr(base, setting))
        wanted = {*getattr(base, setting), *choices[group]}
        offered[setting] = tuple(sorted(wanted, key=lambda each: (*order, each).index(each)))
    power = base.history_power if point.history_power is None else point.history_power
    whole = replace(base, branches=len(point.branches), history_power=power, **offered)  # type: ignore[arg-type]
    return wide_genotype(choices, whole)


def _pairs(choices: Choices) -> list[tuple[str, str]]:
    return list(zip(map(str, choices["operation"]), map(str, choices["predictor"]), strict=True))


def is_additive_point(genotype: Genotype) -> bool:
    """Return whether the score is f(user) + g(item), which ranks the items alike for all users.

    A branch is additive exactly when it is `plus`, `minus` or `concat` with `sum`, `linear` or `cosine`, or `concat`
    with `distance` (of operations of one's own, see `operations.additive`), whatever encodes the sides and however
    entries are transformed; a point when all its branches are.
    """
    return all(operations.additive(*pair) for pair in _pairs(genotype.choices))


def additive_reason(genotype: Genotype) -> str:
    """Return why an additive genotype is no recommender, and the smallest change that makes it one."""
    parts = " and ".join(f"{operation} with {predictor}" for operation, predictor in _pairs(genotype.choices))
    return (
        f"{parts} scores f(user) + g(item): it ranks the items alike for every user, as popularity does; "
        "take an operation such as multiply or max, or the predictor mlp"
    )


def class_of_choices(choices: Choices) -> str:
    """Return one name for points that are the same set of functions (free tables, free predictors).

    Encodings are linear in their tables, so a linear map of an encoding is again one (its tables mapped); an
    element-wise network can be negated (its outer layer) but not scaled entry by entry, a tanh likewise, a sigmoid
    neither. Each operation says what follows for it (`Operation.canonical`); where both sides read one table, a map of
    one side is a map of the other, and nothing follows. Two branches are added, so their order does not matter.
    """
    branches = []
    for index in range(len(choices["operation"])):
        operation, predictor, elementwise = plain_branch(choices, index)
        encodings = map(str, choices["encoding"][2 * index : 2 * index + 2])
        branches.append(",".join([*encodings, elementwise, operation, predictor]))
    return " + ".join([*sorted(branches), f"biases {choices['biases'][0]}"])


def plain_branch(choices: Choices, branch: int) -> tuple[str, str, str]:
    """Return the operation, predictor and element-wise function that stand for a branch.

    Args:
        choices: Of a genotype.
        branch: Number of the branch.
    """
    functions = _functions(choices, branch)
    operation, predictor = _pairs(choices)[branch]
    elementwise = str(choices["elementwise"][branch])
    plain = elementwise if elementwise in functions else "identity"
    sides = [(str(name),) for name in choices["encoding"][2 * branch : 2 * branch + 2]]
    if "network" not in functions and ids_read(sides, 0) & ids_read(sides, 1):
        return operation, predictor, plain
    return *operations.canonical(operation, predictor, functions), plain


def _functions(choices: Choices, branch: int) -> tuple[str, str]:
    """Return the element-wise function of either side: a fixed one leaves a side of ids as it is."""
    name, sides = str(choices["elementwise"][branch]), choices["encoding"][2 * branch : 2 * branch + 2]
    user, item = ("identity" if name in FIXED and not reads_history(str(side)) else name for side in sides)
    return user, item


_SIDES = {"user": "u", "item": "v"}


def _encoded(name: str, letter: str, known: str, mark: str) -> str:
    parts = [encoding(part).formula.format(vector=letter + mark, side=known, mark=mark) for part in parts_of(name)]
    return parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"


def wide_formula(genotype: Genotype) -> str:
    """Return the function as a person writes it: `b + b_user + b_item + w . (p((u + h(user))) * q(v))`.

    u and v are the embeddings of user and item, h(.) the embedding of a history, n(.) that of a node in the graph (see
    `Encoding.formula` of each), p and q element-wise networks (sigmoid and tanh go by their names), w a linear
    predictor, sum(.) the sum of the entries, mlp(.) a multi-layer perceptron, cos(.) / t a cosine over a temperature,
    unit(.) a vector brought to length 1; a second branch has its own (u2).
    """
    terms = ["b + b_user + b_item"] if genotype.choices["biases"][0] == "on" else []
    for index, (operation, predictor) in enumerate(_pairs(genotype.choices)):
        mark = "" if index == 0 else str(index + 1)
        sides = []
        for side, (known, letter) in enumerate(_SIDES.items()):
            text = _encoded(str(genotype.choices["encoding"][2 * index + side]), letter, known, mark)
            if (function := _functions(genotype.choices, index)[side]) != "identity":
                bent = function if function in FIXED else f"{'pq'[side]}{mark}"
                text = f"{bent}({text.removeprefix('(').removesuffix(')') if '+' in text else text})"
            sides.append(text)
        terms.append(operations.PREDICTORS[predictor].written(operations.operation(operation), sides, mark))
    return " + ".join(terms).replace("+ -", "- ")
