"""What a later training of the model came to, in a sentence."""

from collections.abc import Mapping
from typing import Any

__all__ = ["retrained_remark"]


def retrained_remark(result: Mapping[str, Any]) -> list[str]:
    """Return a sentence on what `sif train` did since the search; the rows stay those of the search."""
    facts = result["retrained"]
    if facts is None:
        return []
    if facts.get("all_data"):
        return ["the model has since been trained on all data: there is nothing left to judge it by"]
    metric = result["metric"]
    parts = ((part, (result["metrics"][part] or {}).get(metric)) for part in ("valid", "test"))
    figures = ", ".join(f"{part} {metric} {value:.4f}" for part, value in parts if value is not None)
    budget = f" (budget {facts['budget']})" if facts.get("budget") else ""
    text = figures or "not evaluated yet"
    epochs = "" if facts["epochs"] is None else f" for {facts['epochs']} epochs"
    return [f"the model has since been trained again{epochs}{budget}: {text}"]
