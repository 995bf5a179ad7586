"""RecBole's Config for a general model and data in memory: closed, and deaf to the process it is made in."""

from collections.abc import Mapping
from typing import Any

from nasp_core.errors import did_you_mean
from sif.integrations import IntegrationError
from sif.integrations.recbole_support import Changed, module, recbole_ready, replaced

__all__ = ["config_of"]

_NAME = "sif"


def config_of(model: Any, settings: Mapping[str, Any] | None = None) -> Any:
    """Return RecBole's Config for a general model and our data in memory.

    RecBole would read the arguments of this process and set its CUDA_VISIBLE_DEVICES; both are kept from it. Raises
    IntegrationError for a model that RecBole does not have or that needs more than users and items, and for a key that
    neither RecBole nor the model knows.
    """
    recbole_ready()
    configurator = module("config.configurator")
    _check_general(model)
    given = dict(settings or {})
    aside = {"os": Changed(configurator.os, environ={}), "sys": Changed(configurator.sys, argv=[""])}
    try:
        with replaced(configurator, **aside):
            config = configurator.Config(model=model, dataset=_NAME, config_dict=given)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        name = model if isinstance(model, str) else model.__name__
        raise IntegrationError(f"RecBole's Config refuses the settings of {name}: {error}") from error
    known = {*config.internal_config_dict, *getattr(config.model_class, "settings", ())}
    if unknown := sorted(set(given) - known):
        hint = did_you_mean(unknown[0], known, otherwise="RecBole's documentation lists them.")
        raise IntegrationError(f"{config['model']} of RecBole has no setting {unknown[0]}\n  {hint}")
    return config


def _check_general(model: Any) -> None:
    """Users and items alone are what a general model needs; of a class its type says so."""
    general, kinds = module("model.general_recommender"), module("utils").ModelType
    found = getattr(general, model, None) if isinstance(model, str) else model
    if getattr(found, "type", None) not in (kinds.GENERAL, kinds.TRADITIONAL):
        names = sorted(name for name, value in vars(general).items() if isinstance(value, type))
        hint = did_you_mean(str(model), names, otherwise="Did you mean BPR?")
        raise IntegrationError(
            f"{model} is no general model of RecBole, and sif brings users and items alone\n"
            f"  {hint} There are {', '.join(names)}."
        )
