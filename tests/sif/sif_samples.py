"""Small planted ratings, and budgets under which a whole run takes a second."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

TINY: dict[str, Any] = {
    "space.embedding_dim": 4,
    "search.epochs": 2,
    "search.batch_size": 128,
    "search.min_steps": 0,
    "train.epochs": 3,
    "train.batch_size": 128,
    "train.min_steps": 0,
    "tune.l2": [],
    "baselines.names": [],
    "baselines.enumerate": False,
    "baselines.random": False,
}
"""Overrides of the recipe `ratings`: a search and a training, nothing beside them."""

HEADER = "user_id,movie_id,rating,timestamp\n"


def sets(settings: dict[str, Any]) -> list[str]:
    """The settings as arguments of the command line."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def planted_rows(
    users: int = 24, items: int = 18, count: int = 300, seed: int = 0
) -> list[tuple[str, str, float, int]]:
    """Half-star ratings made by `max`, with string ids and times."""
    generator = np.random.default_rng(seed)
    left, right = generator.normal(size=(users, 2)), generator.normal(size=(items, 2))
    cells = generator.permutation(users * items)[:count]
    user, item = cells // items, cells % items
    truth = 3 + 1.2 * np.maximum(left[user], right[item]) @ [1, -1] + 0.1 * generator.normal(size=count)
    stars = np.clip(np.round(truth * 2) / 2, 0.5, 5.0)
    return [
        (f"u{u:02d}", f"m{i:02d}", float(r), 978300000 + int(c) * 86_400)
        for u, i, r, c in zip(user, item, stars, cells, strict=True)
    ]


def text_of(rows: list[tuple[str, str, float, int]]) -> str:
    return HEADER + "".join(f"{user},{item},{rating},{time}\n" for user, item, rating, time in rows)


def write_ratings(path: Path, **planted: Any) -> Path:
    path.write_text(text_of(planted_rows(**planted)))
    return path


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted keys of all values of a recipe."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += leaves(kind, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
