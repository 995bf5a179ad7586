"""What every strategy must keep on every space; each check raises AssertionError with the figures when it is broken.

`checks_of(strategy)` gives the checks that a strategy of its kind has to pass; call each with the strategy and a
`Case`. A new strategy is covered by one line in a test that loops over the name table.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nasp_core.errors import SearchError
from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.search import Found, search
from nasp_core.state import pack
from nasp_core.strategy import StepContext, Strategy
from nasp_core.testing.cases import Case, fresh_space
from nasp_core.trials import Arena, TrialStrategy
from nasp_core.types import Alpha, Mixture, Phase, State, group_names

__all__ = ["Check", "checks_of", "refusal", "same"]

AnyStrategy = Strategy | TrialStrategy
Check = Callable[[Any, Case], None]

_TRAINING = Training(epochs=3, batch_size=24, optimiser=Optimiser(learning_rate=0.05, clip=5.0))
_PHASES: tuple[Phase, ...] = ("arch", "weight", "valid")


class _Recorder(Observer):
    """Keeps the packed state after the steps in `at` and after every finalist, each as it would come from a file."""

    def __init__(self, at: tuple[int, ...]) -> None:
        self.at, self.asked, self.finals, self.saved = at, 0, False, list[State]()

    def logged(self, record: dict[str, Any]) -> None:
        self.finals = record["phase"] == "finalist"

    def checkpoint_due(self) -> bool:
        self.asked += 1
        return self.finals or self.asked in self.at

    def save(self, packed: State) -> None:
        file = io.BytesIO()
        torch.save(packed, file)
        file.seek(0)
        self.saved.append(torch.load(file, weights_only=True))


def same(first: Any, second: Any) -> bool:
    """Return whether two packed values are equal bit for bit."""
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        return isinstance(first, Tensor) and isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def _run(
    strategy: AnyStrategy, case: Case, observer: Observer | None = None, resume: State | None = None
) -> tuple[Found, Space]:
    """Return the find of a short search and the space it was made on."""
    space = case.space()
    return search(space, case.task(), strategy, _TRAINING, seed=3, observer=observer, resume=resume), space


def _outcome(found: Found, space: Space, strategy: AnyStrategy) -> State:
    """Return all that a search is judged by; the supernet's weights only where the strategy trains one."""
    network = {} if found.network is None else found.network.state_dict()
    supernet = space.state_dict() if isinstance(strategy, Strategy) else {}
    plain = {"metric": found.metric, "trace": found.trace, "scores": found.scores, "genotype": found.genotype.to_json()}
    return {**plain, "network": pack(network), "space": pack(supernet)}


def _assert_same(first: State, second: State, what: str) -> None:
    wrong = [key for key in first if not same(first[key], second[key])]
    assert not wrong, f"{what}: {', '.join(wrong)} differ: {[(first[key], second[key]) for key in wrong[:1]]}"


def _alpha(strategy: Strategy, space: Space, seed: int = 1) -> Alpha:
    return strategy.domain.init(space, torch.Generator().manual_seed(seed), torch.device("cpu"))


def _supernet(strategy: Strategy, case: Case) -> Space:
    """Return the case's space with the strategy's hooks and drawn weights."""
    space = case.space()
    space.attached = tuple(hook.attach(space) for hook in strategy.hooks)
    space.reset(torch.Generator().manual_seed(0))
    return space


def _context(strategy: Strategy, case: Case, space: Space, alpha: Alpha) -> StepContext:
    task, state, optimiser = case.task(), strategy.relax.init(), _TRAINING.optimiser

    def paths() -> tuple[Mixture, ...]:
        return strategy.relax.paths(alpha, space, "arch", state, torch.Generator().manual_seed(5))

    train, valid = (task.stream(split, 24, 0).batch(0) for split in ("train", "valid"))
    weights = space.weights()
    for hook in strategy.hooks:
        weights = hook.trained(space, weights)
    return StepContext(
        space,
        task,
        alpha,
        lambda: paths()[0],
        train,
        valid,
        optimiser,
        optimiser.create(weights),
        optimiser.learning_rate,
        weights,
        paths=paths,
        relax_state=state,
    )


@contextmanager
def _same_dropout() -> Iterator[None]:
    """Give what a network draws within the block the same random numbers each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        yield


def _audible(space: Space, name: str) -> list[int]:
    """Return the candidates of a group that a slope must reach (see `Space.silent`); a lone one has no rival."""
    (group,) = (group for group in space.groups if group.name == name)
    names = group.candidates if len(group.candidates) > 1 else ()
    return [index for index, candidate in enumerate(names) if candidate not in space.silent]


def describes_itself(strategy: AnyStrategy, case: Case) -> None:
    """A strategy has a name and says, part by part, what it is made of; equal strategies say the same."""
    described = strategy.describe()
    assert strategy.name, "the strategy has no name"
    assert described, "describe() is empty"
    assert all(isinstance(text, str) and text for text in described.values()), described
    if isinstance(strategy, Strategy):
        for role in ("domain", "relax", "gradient", "select"):
            part = type(getattr(strategy, role)).__name__
            assert described[role].startswith(f"{part}("), f"{role} is a {part}, described as {described[role]!r}"


def same_seed_same_search(strategy: AnyStrategy, case: Case) -> None:
    """The same seed gives the same trace, genotype, metric and weights, bit for bit, whatever the global generator."""
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = _outcome(*_run(strategy, case), strategy)
    assert torch.equal(before, torch.get_rng_state()), "the search moved torch's global generator"
    torch.manual_seed(12)
    _assert_same(first, _outcome(*_run(strategy, case), strategy), "two searches with one seed")
    assert first["trace"], "the trace is empty"


def resuming_equals_not_stopping(strategy: AnyStrategy, case: Case) -> None:
    """A search that goes on from a state saved at any step or finalist ends bit-equal to one never stopped."""
    recorder = _Recorder(at=(1, 2, 5, 7))
    whole = _outcome(*_run(strategy, case, recorder), strategy)
    assert recorder.saved, "the search never asked whether a checkpoint is due"
    for packed in recorder.saved:
        at = f"{packed.get('step', len(packed['trace']))}, finalist {len(packed.get('finals', {}))}"
        _assert_same(whole, _outcome(*_run(strategy, case, None, packed), strategy), f"resumed at step {at}")


def state_is_plain(strategy: AnyStrategy, case: Case) -> None:
    """A saved state holds plain tensors, numbers and text alone, under keys that are text."""
    recorder = _Recorder(at=(2,))
    _run(strategy, case, recorder)

    def walk(value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                assert isinstance(key, str), f"{where} has the key {key!r}"
                walk(item, f"{where}.{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, f"{where}[{index}]")
        else:
            plain = value is None or isinstance(value, Tensor | bool | int | float | str)
            assert plain, f"{where} is a {type(value).__name__}"
            assert not isinstance(value, Tensor) or not value.requires_grad, f"{where} carries a graph"

    assert recorder.saved, "no state was saved"
    for packed in recorder.saved:
        walk(packed, "state")


def found_belongs_to_space(strategy: AnyStrategy, case: Case) -> None:
    """The find can be written, read, built, and has the metric reported for it; scores are those of the trace."""
    found, space = _run(strategy, case)
    genotype = Genotype.from_json(found.genotype.to_json())
    assert genotype == found.genotype, "the genotype changes on its way through JSON"
    assert space.genotype(space.selection(genotype)).key() == genotype.key()
    task, key = case.task(), genotype.key()
    alone = [record for record in found.trace if record["phase"] in ("finalist", "trial")]
    traced = {record["genotype"]: record["valid"][task.metric] for record in alone}
    assert found.scores == traced, f"scores {found.scores}, but the trace has {traced}"
    if found.network is not None:
        metric = evaluate(found.network, task)[task.metric]
    elif key in found.scores:
        metric = found.scores[key]
    else:
        metric = evaluate(space, task, Mixture(active=space.selection(genotype)))[task.metric]
    assert abs(metric - found.metric) <= 1e-6 * abs(metric), f"reported {found.metric}, measured {metric}"


def gradient_reaches_alpha(strategy: Strategy, case: Case) -> None:
    """The validation loss has a finite slope in every alpha and continuous parameter.

    It is not zero for any candidate but those that are silent; where mixtures are drawn, or candidates compete in
    groups (a lone one has no rival), not for all of them.
    """
    space = _supernet(strategy, case)
    alpha = _alpha(strategy, space)
    groups = {name: alpha[name] for name in group_names(alpha)}
    tensors = {**groups, **{f"continuous[{i}]": p for i, p in enumerate(space.continuous())}}
    with _same_dropout():
        loss = _context(strategy, case, space, alpha).validation_loss()
    grads = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    drawn = not strategy.gives.isdisjoint({"random", "stages"})
    reached = [name for name, grad in zip(tensors, grads, strict=True) if grad is not None and bool((grad != 0).any())]
    assert set(reached) & set(groups), f"no slope in any of {', '.join(groups)}"
    for name, grad in zip(tensors, grads, strict=True):
        assert grad is not None, f"no gradient reaches {name}"
        assert bool(grad.isfinite().all()), f"gradient of {name} is {grad}"
        heard = _audible(space, name) if name in groups else [0]
        moved = name in reached if name not in groups else bool((grad[:, heard] != 0).all())
        assert moved or (drawn and name in groups) or not heard, f"gradient of {name} is {grad}"


def step_moves_alpha(strategy: Strategy, case: Case) -> None:
    """An architecture step changes every continuous parameter and no weight.

    Along the path-wise gradient of mixtures that are not drawn it changes every alpha too.
    """
    space = _supernet(strategy, case)
    alpha = _alpha(strategy, space)
    weights = [w.detach().clone() for w in space.weights()]
    before = {name: alpha[name].detach().clone() for name in group_names(alpha)}
    continuous = [p.detach().clone() for p in space.continuous()]
    with _same_dropout():
        strategy.gradient.step(_context(strategy, case, space, alpha), strategy.gradient.init(alpha, space))
    assert all(map(torch.equal, weights, space.weights())), "the architecture step changed a weight"
    for name, old in before.items():
        assert bool(alpha[name].isfinite().all()), f"alpha {name} became {alpha[name]}"
        moved = (alpha[name] != old)[:, _audible(space, name)]
        if "pathwise" in strategy.gives and strategy.gives.isdisjoint({"random", "stages"}):
            assert bool(moved.all()), f"alpha {name} stayed at {old} in part: {alpha[name]}"
    for old, new in zip(continuous, space.continuous(), strict=True):
        assert not torch.equal(old, new), "a continuous parameter did not move"


def mixtures_are_valid(strategy: Strategy, case: Case) -> None:
    """Every mixture is a point of the space or weights, and where it is both, the two agree.

    Weights sum to one where the relaxation says so (`convex`), and are zero for candidates that take no part.
    """
    space = _supernet(strategy, case)
    alpha, state, generator = _alpha(strategy, space), strategy.relax.init(), torch.Generator().manual_seed(2)
    for phase in _PHASES * 4:
        made = alpha, space, phase, state, generator
        for mixture in (strategy.relax.mixture(*made), *strategy.relax.paths(*made)):
            _check_mixture(strategy, space, phase, mixture)


def _check_mixture(strategy: Strategy, space: Space, phase: Phase, mixture: Mixture) -> None:
    assert mixture.active is not None or mixture.weights is not None, f"empty mixture in {phase}"
    for group in space.groups:
        for choice in range(group.choices):
            active, row = mixture.row(group.name, choice)
            weights = None if row is None else row.detach()
            assert active is None or -1 <= active < len(group.candidates), f"candidate {active} in {phase}"
            if weights is None:
                continue
            total = 0.0 if active == -1 else 1.0
            if "convex" in strategy.relax.gives or active is not None:
                assert abs(float(weights.sum()) - total) < 1e-5, (
                    f"{phase} weights {weights} sum to {float(weights.sum())}"
                )
            assert bool((weights >= 0).all()) or "switches" in strategy.gives, f"{phase} weights {weights}"
            present = mixture.present(group.name, choice)
            absent = [i for i in range(len(group.candidates)) if present is not None and i not in present]
            assert bool((weights[absent] == 0).all()), f"{phase} weights {weights}, though only {present} take part"
            if active is not None:
                assert active == -1 or float(weights[active]) == 1.0, f"{active} is live, but weighs {weights}"
    if mixture.weights is not None and phase == "weight":
        assert not any(w.requires_grad for w in mixture.weights.values()), "the weight step carries alpha's graph"


def domain_is_a_projection(strategy: Strategy, case: Case) -> None:
    """Alpha starts inside its domain, and bringing it back twice is bringing it back once."""
    space = case.space()
    alpha = _alpha(strategy, space)
    for group in space.groups:
        assert tuple(alpha[group.name].shape) == group.shape
        assert alpha[group.name].requires_grad, "alpha must be a leaf that takes a gradient"
    inside = {name: tensor.detach().clone() for name, tensor in alpha.items()}
    strategy.domain.retract(alpha)
    assert all(torch.equal(alpha[name], inside[name]) for name in alpha), "alpha starts outside its domain"
    with torch.no_grad():
        for tensor in alpha.values():
            tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(4)) * 3)
    strategy.domain.retract(alpha)
    once = {name: tensor.detach().clone() for name, tensor in alpha.items()}
    strategy.domain.retract(alpha)
    assert all(torch.equal(alpha[name], once[name]) for name in alpha), "retract is not idempotent"


def permuting_candidates_permutes_the_step(strategy: Strategy, case: Case) -> None:
    """With candidates, weights and alpha in another order, one step gives the same alpha in that order."""
    if case.permuted is None or "random" in strategy.gives or strategy.hooks:  # draws are tied to the order
        return
    space = fresh_space(case)
    (count,) = {len(group.candidates) for group in space.groups} - {1}
    order = (*range(1, count), 0)  # no candidate keeps its place
    other = case.permuted(space, order)
    alpha = _alpha(strategy, space)
    orders = {name: [old for old in order if old < tensor.shape[1]] for name, tensor in alpha.items()}
    moved = {
        name: tensor.detach()[:, orders[name]].clone().requires_grad_(tensor.requires_grad)
        for name, tensor in alpha.items()
    }
    pairs = ((space, alpha), (other, moved))
    for at, values in pairs:
        with _same_dropout():
            strategy.gradient.step(_context(strategy, case, at, values), strategy.gradient.init(values, at))
        strategy.domain.retract(values)
    for name, tensor in alpha.items():
        expected = tensor.detach()[:, orders[name]]
        error = float((moved[name].detach() - expected).abs().max())
        assert error < 1e-5, f"alpha {expected} became {moved[name]}"
    plain = [{name: t.detach() for name, t in values.items()} for _, values in pairs]
    scores = [strategy.domain.scores(a, at) for (at, _), a in zip(pairs, plain, strict=True)]
    chosen = [at.genotype(at.constrain(score)) for (at, _), score in zip(pairs, scores, strict=True)]
    assert chosen[0].key() == chosen[1].key(), f"{chosen[0].key()} became {chosen[1].key()}"


_COMMON: Mapping[str, Check] = {
    "describes_itself": describes_itself,
    "same_seed_same_search": same_seed_same_search,
    "resuming_equals_not_stopping": resuming_equals_not_stopping,
    "state_is_plain": state_is_plain,
    "found_belongs_to_space": found_belongs_to_space,
}
_SLOPED: Mapping[str, Check] = {"gradient_reaches_alpha": gradient_reaches_alpha}
_RELAXING: Mapping[str, Check] = {
    "step_moves_alpha": step_moves_alpha,
    "mixtures_are_valid": mixtures_are_valid,
    "domain_is_a_projection": domain_is_a_projection,
    "permuting_candidates_permutes_the_step": permuting_candidates_permutes_the_step,
}


def refusal(strategy: AnyStrategy, case: Case) -> str | None:
    """Return why a strategy does not begin on a case's space (to enumerate too many points), None where it does."""
    if isinstance(strategy, Strategy):
        return None
    try:
        strategy.init(Arena(case.space(), case.task()), torch.Generator().manual_seed(0))
    except SearchError as error:
        return str(error)
    return None


def checks_of(strategy: AnyStrategy) -> Mapping[str, Check]:
    """Return the checks that a strategy must pass on every case, by name."""
    if not isinstance(strategy, Strategy):
        return _COMMON
    return {**_COMMON, **_RELAXING, **(_SLOPED if "slope" in strategy.gives else {})}
