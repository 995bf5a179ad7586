"""Interaction spaces: what their settings do, what they refuse, genotypes."""

import json
from typing import Any

import pytest
import torch

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.types import Mixture
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.tensor import TensorInteractionSpace


def make(**changes: Any) -> InteractionSpace:
    counts = changes.pop("counts", None)
    space = InteractionSpace((4, 3), InteractionSettings(**{"embedding_dim": 2, "hidden": 0, **changes}), counts)
    space.reset(torch.Generator().manual_seed(0))
    return space


def predictors(space: InteractionSpace) -> list[torch.Tensor]:
    return [p for name, p in space.named_parameters() if name.startswith("predictors.")]


def active(index: int) -> Mixture:
    return Mixture(active={"operation": (index,)})


IDS = torch.tensor([[0, 3, 1], [2, 0, 0]])


def test_the_score_is_the_formula() -> None:
    space = make(biases=True)
    with torch.no_grad():
        assert space.bias is not None
        assert space.offset is not None
        space.bias.copy_(torch.arange(7.0).unsqueeze(1))
        space.offset.fill_(0.5)
    users, items = space.embedding[:4][IDS[0]], space.embedding[4:][IDS[1]]
    expected = torch.maximum(users, items) @ predictors(space)[2] + IDS[0] + (4.0 + IDS[1]) + 0.5
    torch.testing.assert_close(space(IDS, active(2)), expected)


def test_penalties() -> None:
    frobenius = make(l2=0.1)
    rows = frobenius.embedding[IDS + torch.tensor([[0], [4]])].detach()
    _, penalty = frobenius.penalised(IDS, active(0))
    assert penalty is not None
    torch.testing.assert_close(penalty.detach(), 0.1 * (rows[0].norm() + rows[1].norm()))
    squared = make(l2=0.1, bias_l2=0.2, biases=True, penalty="squared")
    with torch.no_grad():
        assert squared.bias is not None
        squared.bias.fill_(2.0)
    _, penalty = squared.penalised(IDS, active(0))
    assert penalty is not None
    torch.testing.assert_close(penalty.detach(), 0.1 * rows.square().sum() / 3 + 0.2 * 4 * 2)
    _, none = make(l2=0.0).penalised(IDS, active(0))
    assert none is not None
    assert float(none.detach()) == 0.0


@pytest.mark.parametrize("penalty", ["frobenius", "squared"])
def test_the_gradient_of_the_penalty_is_that_of_autograd(penalty: str) -> None:
    space = make(l2=0.3, penalty=penalty, biases=True, bias_l2=0.2 if penalty == "squared" else 0.0)
    assert space.bias is not None
    with torch.no_grad():
        space.bias.copy_(torch.arange(7.0).unsqueeze(1))
    table, bias = space.embedding.detach().clone().requires_grad_(), space.bias.detach().clone().requires_grad_()
    index = IDS + torch.tensor([[0], [4]])
    if penalty == "frobenius":
        plain = 0.3 * sum(table[ids].norm() for ids in index)
    else:
        plain = (0.3 * table[index].square().sum() + 0.2 * bias[index].square().sum()) / 3
    _, ours = space.penalised(IDS, active(0))
    expected = torch.autograd.grad(plain, [table, bias], allow_unused=True)
    got = torch.autograd.grad(ours, [space.embedding, space.bias], allow_unused=True)
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, torch.zeros_like(mine) if theirs is None else theirs)


def test_row_penalties_average_to_one_over_the_training_rows() -> None:
    counts = torch.tensor([1, 2, 3, 4, 5, 0, 5])
    space = make(l2=0.1, penalty="squared", l2_frequency=0.5, counts=counts)
    assert space.row_penalty is not None
    for scale, seen in zip(torch.split(space.row_penalty, [4, 3]), torch.split(counts, [4, 3]), strict=True):
        assert float((scale * seen).sum() / seen.sum()) == pytest.approx(1.0)
        torch.testing.assert_close(scale / scale[0], (seen[0] / seen.clamp_min(1).float()) ** 0.5)


def test_predictors_are_brought_back_to_their_norm() -> None:
    space = make(max_norm=0.5)
    with torch.no_grad():
        for index, weight in enumerate(predictors(space)):
            weight.fill_(3.0 if index else 0.01)
    before = [w.detach().clone() for w in predictors(space)]
    space.project_weights(active(1))
    norms = [float(w.detach().norm()) for w in predictors(space)]
    assert norms[1] == pytest.approx(0.5)
    assert all(torch.equal(before[i], w) for i, w in enumerate(predictors(space)) if i != 1)
    space.project_weights(None)
    assert [float(w.detach().norm()) for w in predictors(space)][1:] == pytest.approx([0.5] * 4)
    assert torch.equal(before[0], predictors(space)[0]), "a short predictor stays"
    once = [w.detach().clone() for w in predictors(space)]
    space.project_weights(None)
    assert all(torch.allclose(a, w) for a, w in zip(once, predictors(space), strict=True))


def test_predictor_starts() -> None:
    unit = make(predictor_start="unit", embedding_dim=4)
    signs = {n: w.sign().tolist() for n, w in zip(unit.settings.operations, predictors(unit), strict=True)}
    assert signs["multiply"] == [1.0] * 4
    assert signs["max"] == [1.0, -1.0] * 2
    assert all(float(w.detach().norm()) == pytest.approx(1.0) for w in predictors(unit))
    uniform = make(embedding_dim=4)
    assert all(0 < float(w.detach().abs().max()) <= w.numel() ** -0.5 for w in predictors(uniform))


def test_a_unit_start_meets_the_norm_bound() -> None:
    space = make(predictor_start="unit", max_norm=0.5)
    assert max(float(w.detach().norm()) for w in predictors(space)) <= 0.5 + 1e-6


KNOWN = "plus, minus, multiply, max, min, concat, block-complex, block-analogy, block-simple"
IGNORED = 'bias_l2 and l2_frequency go with penalty = "squared"; frobenius would ignore them'
SPACE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"operations": ("plus", "div")}, f"unknown operation(s) div; there are {KNOWN}"),
    ({"hidden": -1}, "hidden = -1; it must be 0 (no element-wise networks) or more"),
    (
        {"residual": True},
        "residual = true without element-wise networks (hidden = 0); set hidden, or leave it out",
    ),
    ({"predictor_start": "one"}, "predictor_start = 'one'; there are uniform, unit"),
    ({"penalty": "l1"}, "penalty = 'l1'; there are frobenius, squared"),
    ({"bias_l2": 0.1}, IGNORED),
    ({"l2_frequency": 0.5}, IGNORED),
    (
        {"operations": ("plus", "div", "plus", "pow", "div"), "hidden": -2, "embedding_dim": 0, "predictor_start": ""},
        f"unknown operation(s) div, pow, div; there are {KNOWN}; "
        "operation(s) div, plus given twice; name each once; "
        "embedding_dim = 0; an interaction function needs 1 or more; "
        "hidden = -2; it must be 0 (no element-wise networks) or more; "
        "predictor_start = ''; there are uniform, unit",
    ),
    ({"embedding_dim": 0}, "embedding_dim = 0; an interaction function needs 1 or more"),
    ({"embedding_dim": -1}, "embedding_dim = -1; it must be 1 or more (0: biases alone)"),
    (
        {"penalty": "squared", "l2_frequency": 0.5},
        "l2_frequency = 0.5 needs counts: how often each id occurs in training",
    ),
]


@pytest.mark.parametrize(("changes", "text"), SPACE_ERRORS)
def test_spaces_that_cannot_be_built(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SpaceError) as error:
        make(**changes)
    assert str(error.value) == text


def test_modes_and_sizes_must_agree() -> None:
    with pytest.raises(SpaceError) as error:
        InteractionSpace((1, 2, 3), InteractionSettings())
    assert str(error.value) == "3 sizes given, but this space has 2: user, item"
    with pytest.raises(SpaceError) as error:
        TensorInteractionSpace((1, 2), InteractionSettings(operations=("max_max",)))
    assert str(error.value) == "2 sizes given, but this space has 3: user, item, context"


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        (("plus", "max", "plus"), "operation(s) plus given twice; name each once"),
        ((), f"no operation to choose from; there are {KNOWN}"),
    ],
)
def test_operations_given_twice_or_not_at_all(operations: tuple[str, ...], text: str) -> None:
    with pytest.raises(SpaceError) as error:
        make(operations=operations)
    assert str(error.value) == text


def test_a_second_derivative_through_the_embeddings_is_refused() -> None:
    space = make()
    (gradient,) = torch.autograd.grad(space(IDS, active(1)).square().sum(), space.embedding, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


def test_a_space_has_no_output_of_its_own() -> None:
    with pytest.raises(SpaceError) as error:
        make()(IDS)
    assert str(error.value) == "a space has no output of its own: give a mixture, or build a genotype"


def test_family_depends_on_the_elementwise_networks() -> None:
    names = [make().equivalence_class({"operation": (i,)}) for i in range(5)]
    assert names == ["plus", "multiply", "max", "max", "plus"]
    assert [make(hidden=2).equivalence_class({"operation": (i,)}) for i in range(5)] == list(make().settings.operations)


def test_genotype_is_readable_json_and_keeps_every_bit() -> None:
    space = make(hidden=3)
    genotype = space.genotype({"operation": (1,)})
    data = json.loads(genotype.to_json())
    assert (data["space"], data["version"], data["choices"]) == ("interaction", 1, {"operation": ["multiply"]})
    assert genotype.key() == "operation=multiply"
    again = Genotype.from_json(genotype.to_json())
    assert again == genotype
    assert space.elementwise is not None
    for name, parameter in space.elementwise.named_parameters():
        assert torch.equal(torch.tensor(again.parameters[name]), parameter)


def test_a_built_network_keeps_the_architecture_through_reset_and_does_not_train_it() -> None:
    space = make(hidden=3)
    network = space.build(space.genotype({"operation": (4,)}))
    network.reset(torch.Generator().manual_seed(5))
    assert space.elementwise is not None
    assert network.elementwise is not None
    assert all(map(torch.equal, space.elementwise.parameters(), network.elementwise.parameters()))
    trained = {id(p) for p in network.weights()}
    assert not trained & {id(p) for p in network.elementwise.parameters()}
    assert trained == {id(network.embedding), id(network.predictors[0].weight)}
    assert {id(p) for p in space.weights()}.isdisjoint({id(p) for p in space.continuous()})
    assert len(space.weights()) + len(space.continuous()) == len(list(space.parameters()))
    assert network.branches[0].operation == "concat"


GENOTYPE = Genotype("interaction", 1, {"operation": ("plus",)})


@pytest.mark.parametrize(
    ("genotype", "text"),
    [
        (
            Genotype("interaction", 2, {"operation": ("plus",)}),
            "genotype of space 'interaction' version 2 given to space 'interaction' version 1; "
            "build it with its own space",
        ),
        (
            Genotype("interaction", 1, {"operation": ("minus",)}),
            "genotype choice operation = ['minus'] does not fit: this space has 1 choice(s) among "
            "plus, multiply, max, min, concat",
        ),
        (
            Genotype("interaction", 1, {}),
            "genotype choice operation = [] does not fit: this space has 1 choice(s) among "
            "plus, multiply, max, min, concat",
        ),
    ],
)
def test_genotypes_of_another_space(genotype: Genotype, text: str) -> None:
    with pytest.raises(GenotypeError) as error:
        make().selection(genotype)
    assert str(error.value) == text


def test_text_that_is_no_genotype() -> None:
    with pytest.raises(GenotypeError, match=r"^not a genotype: line 2 is not JSON \("):
        Genotype.from_json("{\n oops")
    with pytest.raises(GenotypeError) as error:
        Genotype.from_json('{"space": "x", "version": 1}')
    assert str(error.value) == (
        "not a genotype: it lacks choices, settings, parameters; a genotype has "
        "space, version, choices, settings, parameters"
    )
    with pytest.raises(GenotypeError, match=r"^not a genotype: it lacks space, version, choices, "):
        Genotype.from_json("[1]")


@pytest.mark.parametrize(
    "change",
    [{"choices": 3}, {"choices": ["plus"]}, {"choices": {"operation": "plus"}}, {"settings": []}, {"parameters": 0.5}],
)
def test_choices_settings_and_parameters_that_are_no_table(change: dict[str, Any]) -> None:
    data = json.loads(GENOTYPE.to_json())
    with pytest.raises(GenotypeError) as error:
        Genotype.from_json(json.dumps(data | change))
    assert str(error.value) == (
        "not a genotype: choices must be a table of lists of names, settings and parameters must be tables"
    )


SHAPES = "{'inner': (2, 3, 2), 'outer': (2, 1, 4)}"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"settings": {"embeding_dim": 2}},
            "genotype settings do not fit space 'interaction': "
            "InteractionSettings.__init__() got an unexpected keyword argument 'embeding_dim'",
        ),
        (
            {"parameters": {"inner": [1.0]}},
            f"genotype parameters have shapes {{'inner': (1,)}}; these settings need {SHAPES}",
        ),
        (
            {"settings": {"embedding_dim": 2, "hidden": 0}},
            f"genotype parameters have shapes {SHAPES}; these settings need {{}}",
        ),
    ],
)
def test_genotypes_that_cannot_be_built(change: dict[str, Any], text: str) -> None:
    space = make(hidden=3)
    data = json.loads(space.genotype({"operation": (0,)}).to_json())
    with pytest.raises(GenotypeError) as error:
        space.build(Genotype.from_json(json.dumps(data | change)))
    assert str(error.value) == text
