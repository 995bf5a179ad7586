"""Turns what evolves during a search into plain tensors and numbers, and back, so that it can be saved."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nasp_core.errors import ResumeError
from nasp_core.types import State

__all__ = ["pack", "restore", "resumed"]


def pack(value: Any) -> Any:
    """Return a copy of `value` made of dicts, lists, tensors (on the CPU), numbers, strings and None alone.

    Generators, modules, optimisers and dataclasses become their state. Dict keys become strings.
    """
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, nn.Module | torch.optim.Optimizer):
        return pack(value.state_dict())
    if is_dataclass(value):
        return {field.name: pack(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a search state may not hold a {type(value).__name__}")


def resumed(state: State, packed: State) -> None:
    """Put a packed state back into that of a search or training which begins.

    Both say in `made_by` what must be the same for one to go on from the other; raises `ResumeError` where it is not.
    """
    if packed.get("made_by") != state["made_by"]:
        raise ResumeError(
            "the saved state is of another search; start afresh, or give its own settings\n"
            f"  saved: {packed.get('made_by')}\n  now:   {state['made_by']}"
        )
    restore(state, packed)


def restore(target: Any, packed: Any, where: str = "state") -> Any:
    """Put `packed` back into `target` and return it: tensors, modules, optimisers, dataclasses, generators in place.

    Raises `ResumeError` when the two do not have the same shape.
    """
    if isinstance(target, Tensor):
        if not isinstance(packed, Tensor) or packed.shape != target.shape:
            raise ResumeError(
                f"saved {where} does not fit: it is of another search; start afresh, or give its own settings"
            )
        with torch.no_grad():
            return target.copy_(packed)
    if isinstance(target, torch.Generator):
        target.set_state(packed)
        return target
    if isinstance(target, nn.Module):
        try:
            target.load_state_dict(packed)
        except RuntimeError as error:
            raise ResumeError(
                f"saved {where} does not fit the network: {str(error).splitlines()[-1].strip()}"
            ) from None
        return target
    if isinstance(target, torch.optim.Optimizer):
        groups = packed["param_groups"]
        state = {int(key): pack(value) for key, value in packed["state"].items()}  # torch keeps what it is given
        target.load_state_dict({"state": state, "param_groups": pack(groups)})
        return target
    if is_dataclass(target):
        for field in fields(target):
            there = f"{where}.{field.name}"
            if field.name not in packed:
                raise ResumeError(f"saved {there} is missing: it is of another search; start afresh")
            setattr(target, field.name, restore(getattr(target, field.name), packed[field.name], there))
        return target
    if isinstance(target, dict):
        for key, item in packed.items():
            target[key] = restore(target[key], item, f"{where}.{key}") if key in target else pack(item)
        return target
    return pack(packed)
