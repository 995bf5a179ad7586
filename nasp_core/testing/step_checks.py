"""What the one-shot strategies must keep in a single step, on every space: gradients, mixtures, domains.

Each check raises AssertionError with the figures when it is broken; `nasp_core.testing.conformance` collects them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.strategy import StepContext, Strategy
from nasp_core.testing.cases import Case, fresh_space
from nasp_core.types import Alpha, Mixture, Phase, group_names

__all__ = ["SHORT", "StepCheck", "drawn_alpha", "step_checks", "step_context", "step_supernet"]

StepCheck = Callable[[Strategy, Case], None]

SHORT = Training(epochs=3, batch_size=24, optimiser=Optimiser(learning_rate=0.05, clip=5.0))
"""The schedule of the conformance suite."""
_PHASES: tuple[Phase, ...] = ("arch", "weight", "valid")


def drawn_alpha(strategy: Strategy, space: Space, seed: int = 1) -> Alpha:
    """Return alpha as the strategy's domain starts it."""
    return strategy.domain.init(space, torch.Generator().manual_seed(seed), torch.device("cpu"))


def step_supernet(strategy: Strategy, case: Case) -> Space:
    """Return the case's space with the strategy's hooks and drawn weights."""
    space = case.space()
    space.attached = tuple(hook.attach(space) for hook in strategy.hooks)
    space.reset(torch.Generator().manual_seed(0))
    return space


def step_context(strategy: Strategy, case: Case, space: Space, alpha: Alpha) -> StepContext:
    """Return what the strategy's gradient sees in a step on the case's first batches."""
    task, state, optimiser = case.task(), strategy.relax.init(), SHORT.optimiser

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


def _receiving(space: Space, name: str) -> list[int]:
    """Return the candidates of a group that a gradient must reach: no zero operation, no lone one."""
    (group,) = (group for group in space.groups if group.name == name)
    names = group.candidates if len(group.candidates) > 1 else ()
    return [index for index, candidate in enumerate(names) if candidate not in space.zero_operations]


def gradient_reaches_alpha(strategy: Strategy, case: Case) -> None:
    """The validation loss has a finite gradient in every alpha and continuous parameter.

    It is not zero for any candidate but zero operations; where mixtures are drawn, or candidates compete in
    groups (a lone one has no rival), not for all of them.
    """
    space = step_supernet(strategy, case)
    alpha = drawn_alpha(strategy, space)
    groups = {name: alpha[name] for name in group_names(alpha)}
    tensors = {**groups, **{f"continuous[{i}]": p for i, p in enumerate(space.continuous())}}
    with _same_dropout():
        loss = step_context(strategy, case, space, alpha).validation_loss()
    grads = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    drawn = not strategy.gives.isdisjoint({"random", "stages"})
    reached = [name for name, grad in zip(tensors, grads, strict=True) if grad is not None and bool((grad != 0).any())]
    assert set(reached) & set(groups), f"no gradient in any of {', '.join(groups)}"
    for name, grad in zip(tensors, grads, strict=True):
        assert grad is not None, f"no gradient reaches {name}"
        assert bool(grad.isfinite().all()), f"gradient of {name} is {grad}"
        receiving = _receiving(space, name) if name in groups else [0]
        moved = name in reached if name not in groups else bool((grad[:, receiving] != 0).all())
        assert moved or (drawn and name in groups) or not receiving, f"gradient of {name} is {grad}"


def step_moves_alpha(strategy: Strategy, case: Case) -> None:
    """An architecture step changes every continuous parameter and no weight.

    Along the path-wise gradient of mixtures that are not drawn it changes every alpha too.
    """
    space = step_supernet(strategy, case)
    alpha = drawn_alpha(strategy, space)
    weights = [w.detach().clone() for w in space.weights()]
    before = {name: alpha[name].detach().clone() for name in group_names(alpha)}
    continuous = [p.detach().clone() for p in space.continuous()]
    with _same_dropout():
        strategy.gradient.step(step_context(strategy, case, space, alpha), strategy.gradient.init(alpha, space))
    assert all(map(torch.equal, weights, space.weights())), "the architecture step changed a weight"
    for name, old in before.items():
        assert bool(alpha[name].isfinite().all()), f"alpha {name} became {alpha[name]}"
        moved = (alpha[name] != old)[:, _receiving(space, name)]
        if "pathwise" in strategy.gives and strategy.gives.isdisjoint({"random", "stages"}):
            assert bool(moved.all()), f"alpha {name} stayed at {old} in part: {alpha[name]}"
    for old, new in zip(continuous, space.continuous(), strict=True):
        assert not torch.equal(old, new), "a continuous parameter did not move"


def mixtures_are_valid(strategy: Strategy, case: Case) -> None:
    """Every mixture is a point of the space or weights, and where it is both, the two agree.

    Weights sum to one where the relaxation says so (`convex`), and are zero for candidates that take no part.
    """
    space = step_supernet(strategy, case)
    alpha, state, generator = drawn_alpha(strategy, space), strategy.relax.init(), torch.Generator().manual_seed(2)
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
    alpha = drawn_alpha(strategy, space)
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
    alpha = drawn_alpha(strategy, space)
    orders = {name: [old for old in order if old < tensor.shape[1]] for name, tensor in alpha.items()}
    moved = {
        name: tensor.detach()[:, orders[name]].clone().requires_grad_(tensor.requires_grad)
        for name, tensor in alpha.items()
    }
    pairs = ((space, alpha), (other, moved))
    for at, values in pairs:
        with _same_dropout():
            strategy.gradient.step(step_context(strategy, case, at, values), strategy.gradient.init(values, at))
        strategy.domain.retract(values)
    for name, tensor in alpha.items():
        expected = tensor.detach()[:, orders[name]]
        error = float((moved[name].detach() - expected).abs().max())
        assert error < 1e-5, f"alpha {expected} became {moved[name]}"
    plain = [{name: t.detach() for name, t in values.items()} for _, values in pairs]
    scores = [strategy.domain.scores(a, at) for (at, _), a in zip(pairs, plain, strict=True)]
    chosen = [at.genotype(at.constrain(score)) for (at, _), score in zip(pairs, scores, strict=True)]
    assert chosen[0].key() == chosen[1].key(), f"{chosen[0].key()} became {chosen[1].key()}"


_GRADIENT: Mapping[str, StepCheck] = {"gradient_reaches_alpha": gradient_reaches_alpha}
_ALL: Mapping[str, StepCheck] = {
    "step_moves_alpha": step_moves_alpha,
    "mixtures_are_valid": mixtures_are_valid,
    "domain_is_a_projection": domain_is_a_projection,
    "permuting_candidates_permutes_the_step": permuting_candidates_permutes_the_step,
}


def step_checks(strategy: Strategy) -> Mapping[str, StepCheck]:
    """Return the checks of a step that a one-shot strategy must pass on every case, by name."""
    return {**_ALL, **(_GRADIENT if "gradient" in strategy.gives else {})}
