"""Operations of cells by name, from inside and outside the package, and how one of a stranger stands on an edge."""

import itertools
from collections.abc import Callable, Iterable
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nasp_core.errors import SpaceError
from sif.cells.convolution.operations import CONV_OPERATIONS, EdgePlace, EdgeSource
from sif.encodings.lookup import name_of
from sif.extend import resolve
from sif.host import shielded

__all__ = ["OwnOperation", "cell_operation", "cell_operation_names"]

KIND = "cell operation"
_CHANNELS, _SIZES = 16, ((8, 8), (7, 5))
_Make = Callable[[EdgePlace], nn.Module]


def cell_operation(name: str) -> _Make:
    """Return what builds the operation of a name at a place: built in, an entry point, or `package.module:object`.

    Raises `SpaceError` where there is none, and where what it makes cannot stand on an edge.
    """
    if name in CONV_OPERATIONS:
        return CONV_OPERATIONS[name]
    _own(name)
    return partial(OwnOperation, name)


def cell_operation_names(operations: Iterable[object]) -> tuple[str, ...]:
    """Return names or objects as names; raises `SpaceError` for an object that no name finds again."""
    return tuple(name_of(KIND, each, CONV_OPERATIONS, object) for each in operations)


class OwnOperation(nn.Module):
    """A module of one's own on an edge: it sees the source as a tensor, and is made anew where weights are drawn."""

    def __init__(self, name: str, place: EdgePlace) -> None:
        super().__init__()
        self.name, self.place = name, place
        self.module = _made(name, _own(name), place)

    def forward(self, source: EdgeSource) -> Tensor:
        """Return what the module makes of the source's value."""
        out: Tensor = self.module(source.value)
        return out

    def reset(self, generator: torch.Generator) -> None:
        """Take the weights of a new module, whatever it draws being seeded by the generator's next number."""
        seed = int(torch.randint(2**62, (), generator=generator))
        with shielded(draws=True):
            torch.default_generator.manual_seed(seed)
            fresh = _made(self.name, _own(self.name), self.place)
        self.module.load_state_dict(fresh.state_dict())


@cache
def _own(name: str) -> _Make:
    """Return what makes an operation of one's own, after a look at what it makes."""
    found = resolve(KIND, name, CONV_OPERATIONS, SpaceError)
    if isinstance(found, type) and not issubclass(found, nn.Module):
        try:
            found = found()
        except TypeError as error:
            raise SpaceError(f"{KIND} {name} cannot be made without arguments: {error}") from error
    if isinstance(found, nn.Module) or not callable(found):
        raise SpaceError(
            f"{KIND} {name} is {type(found).__name__}, which is the same on every edge; give what makes a "
            "torch.nn.Module of a sif.cells.convolution.operations.EdgePlace: a class, a function"
        )
    make: _Make = found
    with shielded(draws=True):
        for stride, affine in itertools.product((1, 2), (False, True)):
            _check(name, make, EdgePlace(_CHANNELS, stride, affine))
    return make


def _made(name: str, make: _Make, place: EdgePlace) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # to make a network draws no number of the program around it
        try:
            made = make(place)
        except Exception as error:
            raise SpaceError(f"{KIND} {name} cannot be made at {place}: {error}") from error
    if not isinstance(made, nn.Module):
        raise SpaceError(f"{KIND} {name} makes a {type(made).__name__} at {place}; it must make a torch.nn.Module")
    if any(map(is_lazy, made.parameters())):
        raise SpaceError(f"{KIND} {name} has weights without a shape at {place}; make them of place.channels")
    return made


def _check(name: str, make: _Make, place: EdgePlace) -> None:
    """Raise `SpaceError` unless a module keeps shapes, leaves its input as it is, and is its saved weights alone."""
    module = _made(name, make, place)
    torch.default_generator.manual_seed(1)
    again = _made(name, make, place)
    if again is module:
        raise SpaceError(f"{KIND} {name} makes one module for all edges; make a new one at each place")
    for size in _SIZES:
        x = torch.randn(2, place.channels, *size)
        before, wanted = x.clone(), (2, place.channels, *(-(-side // place.stride) for side in size))
        try:
            out = module(x)
        except Exception as error:
            raise SpaceError(f"{KIND} {name} cannot take pictures {tuple(x.shape)} at {place}: {error}") from error
        if not isinstance(out, Tensor) or tuple(out.shape) != wanted or out.dtype != x.dtype:
            got = f"{out.dtype} {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
            raise SpaceError(
                f"{KIND} {name} makes {got} of pictures {tuple(x.shape)} at {place}; it must be float32 {wanted}: "
                "keep place.channels, pad by half a kernel, and take place.stride"
            )
        if not torch.equal(x, before):
            raise SpaceError(f"{KIND} {name} changes its input in place, which other edges read; leave it as it is")
        again.load_state_dict(module.state_dict())
        if not torch.allclose(module.eval()(x), again.eval()(x)):
            raise SpaceError(
                f"{KIND} {name} gives another result when its saved weights are loaded; "
                "what it draws must be in parameters or buffers, and it may draw nothing once it is in eval mode"
            )
        module.train(), again.train()
