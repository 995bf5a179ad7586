"""Configurations as Optuna's parameters, and their results as its trials."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from nasp_core.trials.from_optuna import quiet
from sif.ranges import AnyOf, Dimension, Int
from sif.studies.configuration_space import ConfigurationSpace, PlainConfiguration

__all__ = ["FIDELITY", "configuration_of", "distributions_of", "draw", "give_up", "optuna_values", "record"]

FIDELITY = "fidelity"
"""The attribute of a trial that says on what share of the full schedule its value was measured; 1 where it has none."""


def distributions_of(space: ConfigurationSpace) -> dict[str, BaseDistribution]:
    """Return a space as Optuna's parameters, named `part.name`."""
    return {f"{part}.{name}": _distribution(each) for (part, name), each in space.dimensions.items()}


def optuna_values(configuration: PlainConfiguration) -> dict[str, Any]:
    """Return a configuration as the values of Optuna's parameters."""
    return {f"{part}.{name}": value for part, values in configuration.items() for name, value in values.items()}


def configuration_of(parameters: dict[str, Any]) -> PlainConfiguration:
    """Return the values of Optuna's parameters as a configuration."""
    found: PlainConfiguration = {"architecture": {}, "settings": {}}
    for key, value in parameters.items():
        part, name = key.split(".", 1)
        found[part][name] = value
    return found


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, AnyOf):
        return CategoricalDistribution(dimension.choices)
    if isinstance(dimension, Int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def draw(study: optuna.Study, space: ConfigurationSpace) -> PlainConfiguration:
    """Return what the study's sampler proposes; its trial is given up, for what is trained is put on record."""
    with quiet(optuna):
        trial = study.ask(distributions_of(space))
    give_up(study, trial.number)
    return space.check(configuration_of(trial.params), "a proposed configuration")


def record(
    study: optuna.Study,
    space: ConfigurationSpace,
    configuration: PlainConfiguration,
    value: float | None,
    fidelity: float,
) -> int:
    """Put a result on record, or with None a trial that waits for one; return its number."""
    trial = create_trial(
        state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
        value=value,
        params=optuna_values(configuration),
        distributions=distributions_of(space),
        user_attrs={FIDELITY: fidelity},
    )
    with quiet(optuna):
        study.add_trial(trial)
    return len(study.get_trials(deepcopy=False)) - 1


def give_up(study: optuna.Study, number: int) -> None:
    """Let a trial that waits for its result wait no longer."""
    with quiet(optuna):
        study.tell(number, state=TrialState.FAIL)
