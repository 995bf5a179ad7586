"""The found function as a formula that a person reads."""

from __future__ import annotations

from nasp_core.genotype import Genotype
from sif.operations.functions import OPERATIONS, TENSOR_OPERATIONS
from sif.spaces.wide_points import wide_formula

__all__ = ["formula"]


def formula(genotype: Genotype) -> str:
    """Return the score in standard units: `b + b_user + b_item + w . (u * v)`.

    u, v (and c for a context) are the embeddings; p, q, r the element-wise networks where the space has them.
    """
    if genotype.space == "interaction-wide":
        return wide_formula(genotype)
    (operation,) = genotype.choices["operation"]
    tensor = genotype.space == "tensor-interaction"
    table = TENSOR_OPERATIONS if tensor else OPERATIONS
    vectors = ("u", "v", "c")
    networks = ("p", "q", "r")
    names = [
        f"{network}({vector})" if genotype.settings.get("hidden") else vector
        for network, vector in zip(networks, vectors, strict=True)
    ]
    joined = table[str(operation)].formula.format(*names)
    joined = joined if joined.startswith(("(", "[")) else f"({joined})" if "(" not in joined else joined
    biases = ["b", "b_user", "b_item"] + (["b_context"] if tensor else [])
    head = " + ".join(biases) + " + " if genotype.settings.get("biases") else ""
    return f"{head}w . {joined}"
