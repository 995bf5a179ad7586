"""What a recurrent cell space offers, and how the language model around the cell is made."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nasp_core.errors import GenotypeError, SpaceError
from sif.cells.recurrent.activations import ACTIVATIONS, activation, activation_names
from sif.encodings.lookup import unfound

__all__ = ["DARTS_EVALUATION", "RecurrentSettings"]


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings:
    """The cell, the language model around it, and what keeps it from over-fitting; defaults as in DARTS' search on PTB.

    - `vocabulary`: words; `steps`: nodes of the cell; `activations`: the candidates of each edge: names, and functions
      of your own, which are kept by name.
    - `embedding_dim`, `hidden`: entries of a word's vector and of a state; equal where `tied`.
    - `tied`: the decoder's matrix is the embedding (Press and Wolf 2017).
    - `batch_norm`: normalise every state, without learnt scale, as the supernet needs; off in the final network.
    - `init_range`: embedding and matrices start uniform within it, the decoder's bias at zero.

    Dropout by its names in AWD-LSTM (Merity et al. 2018) and DARTS, all probabilities of zero; masks are drawn once a
    sequence and column and stay for all its time steps (variational, Gal and Ghahramani 2016):

    - `dropoute`: whole words, in all columns at once, where they are looked up (not in the decoder).
    - `dropouti`: the embedded words, before the cell. `dropoutx`: the same once more, inside the cell.
    - `dropouth`: states before each matrix of the cell, one mask for all nodes.
    - `dropout`: the cell's outputs, before the decoder.
    - `weight_dropout`: entries of the matrix from the last state to the next, once a sequence (AWD-LSTM's `wdrop`).
      DARTS masks states instead, so it is 0 as published.

    Penalties on the outputs, in the weight step alone: `activation_penalty` times their mean square after dropout
    (AWD-LSTM's alpha), `slowness_penalty` times the mean squared difference of consecutive ones before it (beta).

    Fails when: without `batch_norm`, states of a cell of relu and identity alone can grow without bound over a long
    text (seen on PTB within 200 steps of Adam); an `activation_penalty` keeps them small. A dense mixture of many
    edges needs `batch_norm`, as its states add up.
    """

    vocabulary: int
    steps: int = 8
    activations: tuple[str, ...] = tuple(ACTIVATIONS)
    embedding_dim: int = 300
    hidden: int = 300
    tied: bool = True
    batch_norm: bool = True
    init_range: float = 0.04
    dropout: float = 0.75
    dropouth: float = 0.25
    dropoutx: float = 0.75
    dropouti: float = 0.2
    dropoute: float = 0.0
    weight_dropout: float = 0.0
    activation_penalty: float = 0.0
    slowness_penalty: float = 1e-3

    def __post_init__(self) -> None:
        """Check the settings; raises `SpaceError` with all that cannot be built."""
        problems = [
            f"{name} = {getattr(self, name)}; it must be 1 or more"
            for name in ("vocabulary", "steps", "embedding_dim", "hidden")
            if getattr(self, name) < 1
        ]
        problems += self._of_activations()
        problems += [
            f"{field.name} = {getattr(self, field.name)}; a share of zeros must be at least 0 and below 1"
            for field in fields(self)
            if "dropout" in field.name and not 0 <= getattr(self, field.name) < 1
        ]
        problems += [
            f"{name} = {getattr(self, name)}; it must be 0 or more"
            for name in ("init_range", "activation_penalty", "slowness_penalty")
            if getattr(self, name) < 0
        ]
        if self.tied and self.embedding_dim != self.hidden:
            problems.append(
                f"embedding_dim = {self.embedding_dim} and hidden = {self.hidden} with tied = true; "
                "make them equal, or set tied = false"
            )
        if problems:
            raise SpaceError("; ".join(problems))

    def _of_activations(self) -> list[str]:
        names = activation_names(self.activations)
        object.__setattr__(self, "activations", names)
        problems = unfound(names, activation)
        if not set(names) - {"none"}:
            problems.append(f"activations = {list(names)} leave nothing to select; name one that is not none")
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            problems.append(f"activation(s) {', '.join(twice)} given twice; name each once")
        return problems

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "RecurrentSettings":
        """Return the settings a genotype holds; raises `GenotypeError` when they are of something else."""
        try:
            return cls(**{**values, "activations": tuple(values["activations"])})
        except (KeyError, TypeError, ValueError, SpaceError) as error:
            raise GenotypeError(f"genotype settings do not fit space 'recurrent-cell': {error}") from None


DARTS_EVALUATION: Mapping[str, Any] = {
    "embedding_dim": 850,
    "hidden": 850,
    "batch_norm": False,
    "dropout": 0.75,
    "dropouth": 0.25,
    "dropoutx": 0.75,
    "dropouti": 0.2,
    "dropoute": 0.1,
    "slowness_penalty": 1e-3,
}
"""What DARTS changes for the final network on PTB (on WikiText-2: 700 units and `dropouth` 0.15)."""
