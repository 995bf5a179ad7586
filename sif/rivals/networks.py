"""The fixed models that a find is compared with, trained on the same split by the same loop, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from nasp_core.network import Network
from sif.encodings.histories import Histories
from sif.encodings.sides import SideSettings
from sif.rivals.fixed import (
    Biases,
    Conv,
    Cp,
    DeepWide,
    InnerProduct,
    Mean,
    Ncf,
    Outer,
    Popularity,
    TensorBiases,
    TensorDeepWide,
    TensorMean,
    TensorNcf,
    Tucker,
)
from sif.spaces.interaction import InteractionNetwork, InteractionSettings
from sif.spaces.tensor import TensorInteractionNetwork
from sif.spaces.wide import WideSpace
from sif.spaces.wide_points import NAMED, named
from sif.spaces.wide_settings import WideSettings, settings_of

__all__ = ["BASELINES", "RANKING_BASELINES", "TENSOR_BASELINES", "Baseline", "baseline_table"]


Maker = Callable[[tuple[int, ...], InteractionSettings, Tensor | None], Network]
Settings = InteractionSettings | WideSettings


@dataclass(frozen=True)
class Baseline:
    """One fixed model, made by `build`; the flags say what there is to train and to tune.

    - `trained`: whether it has weights to train; `embeds`: whether these include embeddings, so that L2 matters.
    - `tuned`: whether its embedding size is tuned too.
    """

    make: Callable[[tuple[int, ...], Settings, Tensor | None, Histories | None], Network]
    trained: bool = True
    embeds: bool = True
    tuned: bool = False
    power_of_two: bool = False

    def build(
        self, sizes: tuple[int, ...], settings: Settings, counts: Tensor | None, histories: Histories | None = None
    ) -> Network:
        """Return the model under the given settings (embedding size, penalties, start)."""
        return self.make(sizes, settings, counts, histories)

    def fits(self, settings: Settings) -> bool:
        """Return whether the model exists at this embedding size (ConvNCF wants a power of two)."""
        dim = settings.embedding_dim
        return not self.power_of_two or dim & (dim - 1) == 0


def _fixed(make: Maker, *, biases: bool | None = None, **flags: bool) -> Baseline:
    """Describe a network of this file; `biases` overrides the settings' where it is defined with or without them."""

    def build(
        sizes: tuple[int, ...], settings: Settings, counts: Tensor | None, histories: Histories | None
    ) -> Network:
        plain = _plain(settings)
        if biases is not None:
            plain = replace(plain, biases=biases, bias_l2=plain.bias_l2 if biases else 0.0)
        if not flags.get("embeds", True):
            plain = replace(plain, embedding_dim=0)
        return make(sizes, plain, counts)

    return Baseline(build, **flags)


def _plain(settings: Settings) -> InteractionSettings:
    """Return settings of the small space: of a wide one's what both have, biases on, the predictor at unit norm."""
    if isinstance(settings, InteractionSettings):
        return settings
    shared = {field.name: getattr(settings, field.name) for field in fields(SideSettings)}
    return InteractionSettings(**shared | {"biases": True}, hidden=0, predictor_start="unit")


def _named(name: str) -> Baseline:
    """Describe a named point of the wide space, with the settings of the recipe."""

    def build(
        sizes: tuple[int, ...], settings: Settings, counts: Tensor | None, histories: Histories | None
    ) -> Network:
        assert isinstance(settings, WideSettings)
        genotype = named(name, settings)
        users, items = sizes
        known = Histories.empty((users, items)) if histories is None else histories
        return WideSpace((users, items), settings_of(genotype), known, counts).build(genotype)

    return Baseline(build, tuned=True)


def _operation(name: str, network: type[InteractionNetwork]) -> Maker:
    def make(sizes: tuple[int, ...], settings: InteractionSettings, counts: Tensor | None) -> Network:
        return network(sizes, replace(settings, operations=(name,), hidden=0), counts)

    return make


BASELINES: Mapping[str, Baseline] = {
    "global-mean": _fixed(Mean, trained=False, embeds=False, biases=False),
    "biases": _fixed(Biases, embeds=False, biases=True),
    "inner-product": _fixed(InnerProduct, biases=False),
    "biased-mf": _fixed(InnerProduct, tuned=True, biases=True),
    "plus": _fixed(_operation("plus", InteractionNetwork)),
    "max": _fixed(_operation("max", InteractionNetwork)),
    "min": _fixed(_operation("min", InteractionNetwork)),
    "deep-wide": _fixed(DeepWide),
    "ncf": _fixed(Ncf),
    "outer": _fixed(Outer),
    "conv-ncf": _fixed(Conv, power_of_two=True),
}
"""Baselines of two modes, by the name under which they stand in tables and in `result.json`."""

TENSOR_BASELINES: Mapping[str, Baseline] = {
    "global-mean": _fixed(TensorMean, trained=False, embeds=False, biases=False),
    "biases": _fixed(TensorBiases, embeds=False, biases=True),
    "cp": _fixed(Cp, biases=False),
    "biased-cp": _fixed(Cp, tuned=True, biases=True),
    "tucker": _fixed(Tucker),
    "plus": _fixed(_operation("plus_plus", TensorInteractionNetwork)),
    "deep-wide": _fixed(TensorDeepWide),
    "ncf": _fixed(TensorNcf),
}
"""Baselines of three modes."""

RATING_POINTS: Mapping[str, Baseline] = {
    name: _named(name) for name in ("gmf", "ncf-mlp", "neumf", "fism", "svd++", "cml", "dmf")
}
"""Named points of the wide space that stand beside a find on ratings; `inner-product` and `biased-mf` are there."""

RANKING_BASELINES: Mapping[str, Baseline] = {
    "popularity": Baseline(
        lambda sizes, settings, counts, histories: Popularity(_item_counts(sizes, counts)), trained=False, embeds=False
    ),
    **{name: _named(name) for name in NAMED},
}
"""What stands beside a find on rankings: popularity, and the named points of the wide space."""


def _item_counts(sizes: tuple[int, ...], counts: Tensor | None) -> Tensor:
    return torch.zeros(sizes[1]) if counts is None else counts[sizes[0] :]


def baseline_table(task: str, space: str) -> Mapping[str, Baseline]:
    """Return the baselines that a recipe of that task and space may name."""
    if task == "ranking":
        return RANKING_BASELINES
    if space == "interaction-wide":
        return {**BASELINES, **RATING_POINTS}
    return TENSOR_BASELINES if space == "tensor-interaction" else BASELINES
