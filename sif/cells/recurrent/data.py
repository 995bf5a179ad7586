"""From a recipe of cells in a language model to its data and its two tasks."""

from pathlib import Path
from typing import Any

import torch

from sif.cells.data import CellData
from sif.cells.recipes import TextCellRecipe
from sif.cells.recurrent.task import TextTask
from sif.datasets.corpora import Corpus, read_corpus

__all__ = ["read_words"]


def read_words(recipe: TextCellRecipe, given: Any, where: torch.device, root: Path | None) -> CellData:
    """Return the corpus that a recipe names (or `given` is) as windows of words, on a device."""
    corpus = read_corpus(given, root, vocabulary=recipe.text.vocabulary, min_count=recipe.text.min_count)
    text = recipe.text
    return CellData(
        name=corpus.name,
        search=_task(recipe, corpus, where),
        final=_task(recipe, corpus, where, random_windows=text.random_windows),
        facts={"vocabulary": len(corpus.words)},
        example=torch.zeros(text.window, 1, dtype=torch.int64, device=where),
        per=text.window,
        description=corpus.describe(),
        fingerprint=corpus.fingerprint(),
        device=where,
        preparation={"words": list(corpus.words)},
    )


def _task(recipe: TextCellRecipe, corpus: Corpus, device: torch.device, random_windows: bool = False) -> TextTask:
    cut = recipe.text
    return TextTask(
        corpus,
        device=device,
        window=cut.window,
        random_windows=random_windows,
        limit=cut.limit,
        evaluation_limit=cut.evaluation_limit,
    )
