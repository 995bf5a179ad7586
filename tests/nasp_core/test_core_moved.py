"""Programs that know modules under their old names still run, and are told the new ones."""

import importlib

import pytest

OLD = {
    "nasp_core.domain": ("Logits", "nasp_core.parts"),
    "nasp_core.gradient": ("FirstOrder", "nasp_core.parts"),
    "nasp_core.relax": ("OneHot", "nasp_core.parts"),
    "nasp_core.select": ("Ranking", "nasp_core.methods.nasp_ranked"),
    "nasp_core.schedule": ("Prune", "nasp_core.parts"),
    "nasp_core.strategies": ("STRATEGIES", "nasp_core.methods"),
    "nasp_core.scores": ("Naswot", "nasp_core.proxies"),
    "nasp_core.spaces": ("ConvCellSpace", "sif.cells.convolution.space"),
}


@pytest.mark.parametrize("old", OLD)
def test_a_name_is_found_where_it_is_now(old: str):
    name, new = OLD[old]
    module = importlib.import_module(old)
    with pytest.warns(DeprecationWarning, match=f"from {new}.* import {name}"):
        assert getattr(module, name) is getattr(importlib.import_module(new), name)


def test_a_name_that_never_was():
    with pytest.raises(AttributeError, match=r"has moved to nasp_core\.parts and nasp_core\.methods, and none of them"):
        importlib.import_module("nasp_core.domain").Nothing  # noqa: B018
