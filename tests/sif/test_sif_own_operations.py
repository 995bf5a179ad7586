"""Operations and encodings from outside: served exactly whatever rules they have, refused where they cannot be."""

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import own_parts
import pytest
import torch

from nasp_core.errors import SpaceError
from sif.datasets import Vocabulary
from sif.encodings import ENCODINGS
from sif.errors import RunError
from sif.operations import OPERATIONS, PREDICTORS, additive, operation_names
from sif.operations.tables import FoldedSide, MlpFactor, Tables
from sif.serve.export import Export, load_export
from sif.serve.folding import Folded
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.wide_settings import WideSettings
from sif.testing.operations import check_encoding, check_operation


def _name(given: Any) -> str:
    """A name that is the same in every process: that of an object has its address."""
    return given if isinstance(given, str) else type(given).__name__


@pytest.mark.parametrize("given", [*OPERATIONS, own_parts.DISTANCE, own_parts.Both(), "own_parts:Third"], ids=_name)
def test_what_holds_of_every_operation(given: Any):
    check_operation(given)


@pytest.mark.parametrize("given", [*ENCODINGS, own_parts.LAST, own_parts.Borrowed()], ids=_name)
def test_what_holds_of_every_encoding(given: Any):
    check_encoding(given)


def test_what_is_additive():
    pairs = {(name, predictor) for name in OPERATIONS for predictor in PREDICTORS if additive(name, predictor)}
    sums = {(name, predictor) for name in ("plus", "minus", "concat") for predictor in ("sum", "linear", "cosine")}
    assert pairs == sums | {("concat", "distance")}
    third = {predictor: additive("own_parts:Third", predictor) for predictor in PREDICTORS}
    assert third == {"sum": True, "linear": True, "mlp": False, "distance": False, "cosine": True}
    assert not any(additive("own_parts:Distance", predictor) for predictor in PREDICTORS)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("plus", "own_parts:NoForward"), "operation own_parts:NoForward has no method forward"),
        (("own_parts:Narrow",), r"makes \(3, 3, 8\) of vectors .* with width = 1 it must be \(3, 3, 4\)"),
        (("own_parts:WrongFold",), "the scores of many pairs under sum is not that of its forward; mend the rule"),
        (("own_parts:WrongGradient",), "the gradient is not that of its forward"),
        (("own_parts:Gone",), "operation 'own_parts:Gone': module own_parts has no Gone"),
        (("no_such_module:Gone",), "there is no module no_such_module; install its package"),
        (("own_parts:LAST",), "make it an object of a subclass of sif.operations.Operation"),
        ((torch.add,), "is neither a name nor a sif.operations.base.Operation"),
    ],
)
def test_what_is_no_operation(given: Any, words: str):
    with pytest.raises(SpaceError, match=words):
        InteractionSpace((2, 2), InteractionSettings(operations=given))
    with pytest.raises(SpaceError, match=words):
        WideSettings(operations=given).check()


def test_an_object_that_no_name_finds_is_refused():
    class Local(own_parts.Distance):
        pass

    with pytest.raises(SpaceError, match=r"cannot be found again by name.*as MINE = .*Local\(...\)"):
        operation_names((Local(),))


def test_an_export_whose_operation_is_gone_says_so(tmp_path: Path):
    nothing = torch.zeros(2, 0)
    side = FoldedSide(torch.zeros(2), nothing, nothing, nothing, (torch.ones(2, 3),))
    tables = Tables(side, side, (MlpFactor("own_gone:Gap", ()),))
    path = Export(Folded(tables), Vocabulary(range(2)), Vocabulary(range(2)), {}, {}).write(tmp_path / "m.npz", "npz")
    with pytest.raises(RunError, match="there is no module own_gone; install its package"):
        load_export(path)


def test_an_operation_of_an_installed_package(monkeypatch: pytest.MonkeyPatch):
    point = EntryPoint("gap", "own_parts:Distance", "sif.operations")
    monkeypatch.setattr("nasp_core.lookup.points_of", lambda kind: [point] if kind == "operation" else [])
    space = InteractionSpace((2, 2), InteractionSettings(operations=("plus", "gap"), hidden=0))
    WideSettings(operations=("gap",)).check()
    assert space.equivalence_class({"operation": (1,)}) == "gap"


def test_an_encoding_must_be_finite():
    with pytest.raises(SpaceError, match="must be finite"):
        WideSettings(encodings=("id", own_parts.Infinite())).check()


def test_an_encoding_is_tied_to_known_tables():
    with pytest.raises(SpaceError, match="own_parts:Misread has tied = 'mine'; there are '', 'other', 'both'"):
        WideSettings(encodings=("id", own_parts.Misread())).check()


def test_an_operation_of_ones_own_in_the_small_space():
    """It is a candidate by object, stands in the genotype by name, and the network is built from that and folds."""
    settings = InteractionSettings(operations=("plus", own_parts.DISTANCE), embedding_dim=3)
    space = InteractionSpace((4, 5), settings)
    space.reset(torch.Generator().manual_seed(0))
    genotype = space.genotype({"operation": (1,)})
    assert genotype.choices["operation"] == ("own_parts:DISTANCE",)
    assert InteractionSpace.formula(genotype) == "w . |p(u) - q(v)|"
    network = space.build(type(genotype).from_json(genotype.to_json()))
    network.reset(torch.Generator().manual_seed(1))
    users, items = torch.arange(4), torch.arange(5)
    with torch.no_grad():
        every = network(torch.cartesian_prod(users, items).T).view(4, 5)
    folded = Folded(network)
    assert (folded.scores(users) - every).abs().max() < 1e-5
    assert folded.describe() == "a weighted sum on own_parts:DISTANCE of 3 dimensions"
