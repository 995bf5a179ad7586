"""What the scores share: a copy to work on, its weights and gradients, the codes of its rectifiers, its samples."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network
from nasp_core.types import Batch

__all__ = [
    "Codes",
    "NormsOff",
    "Watch",
    "apart",
    "autograd_graph",
    "continuous_inputs",
    "gradients",
    "loss_gradients",
    "lowest",
    "one_of_ones",
    "relu_codes",
    "samples_of",
    "scored_weights",
]

_NO_PRODUCT = frozenset({"bias", "offset"})


@contextmanager
def apart(network: Network, dtype: torch.dtype | None = None) -> Iterator[Network]:
    """Yield a copy in training mode to work on; it begins with no gradients.

    With `dtype` its floats are cast. What the block draws (dropout) is drawn from seed 0, and the global generators
    are afterwards as they were.
    """
    generators = [torch.default_generator]
    for index in sorted({p.device.index or 0 for p in network.parameters() if p.device.type == "cuda"}):
        generators.append(torch.cuda.default_generators[index])
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(0)
        with torch.enable_grad():
            copied = copy.deepcopy(network).train()
            copied.zero_grad(set_to_none=True)
            copied.requires_grad_(True)
            yield copied if dtype is None else copied.to(dtype)
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def scored_weights(network: Network) -> list[nn.Parameter]:
    """Return the trained weights that multiply something: kernels, matrices, embeddings.

    Left out are the scale and shift of batch norms, and parameters named `bias` or `offset`, as in the published code
    (Abdelfattah et al. 2021), which looks at the weights of convolutions and linear layers alone.
    """
    trained = {id(parameter) for parameter in network.weights()}
    chosen = []
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if name not in _NO_PRODUCT and id(parameter) in trained:
                chosen.append(parameter)
                trained.discard(id(parameter))
    if not chosen:
        raise ProxyError(f"{type(network).__name__} has no weights but biases: nothing to take a gradient in")
    return chosen


def loss_gradients(network: Network, batch: Batch, loss: Loss, wanted: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of a batch's training loss, without penalty, in each of `wanted`; zeros where it has none."""
    value = network.training_loss(batch, None, loss).loss
    return gradients(value, wanted)


def gradients(value: Tensor, wanted: Sequence[Tensor], *, twice: bool = False, keep: bool = False) -> list[Tensor]:
    """Return the gradient of a scalar in each of `wanted`, zeros where it has none.

    With `twice` the gradients have a graph of their own; `keep` keeps the scalar's graph.
    """
    if not value.requires_grad:  # it depends on no weight at all
        return [torch.zeros_like(each) for each in wanted]
    found = torch.autograd.grad(
        value, wanted, allow_unused=True, create_graph=twice, retain_graph=True if keep or twice else None
    )
    return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]


def continuous_inputs(batch: Batch, what: str) -> Tensor:
    """Return the inputs, float `[batch, ...]`; raises `ProxyError` where they are ids or words."""
    inputs = batch.inputs
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise ProxyError(
            f"the inputs are ids, and {what}; use a score of gradients in the weights instead: grad-norm, snip, ntk"
        )
    return inputs


def one_of_ones(inputs: Any) -> Any:
    """Return one sample of ones float64 in place of float inputs `[batch, ...]`; ids and words as they are."""
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        return torch.ones_like(inputs[:1], dtype=torch.float64)
    return inputs


def samples_of(output: Tensor, batch: Batch) -> Tensor:
    """Return the output with the samples in front: pictures and ratings have them there, text in the second place."""
    inputs = batch.inputs
    words = isinstance(inputs, Tensor) and not inputs.is_floating_point() and output.dim() == 3
    return output.transpose(0, 1) if words and output.shape[:2] == inputs.shape else output


def lowest(value: float) -> float:
    """Return a score that can be ranked: what is not a number becomes -inf."""
    return -math.inf if math.isnan(value) else value


class NormsOff(TorchFunctionMode):
    """Within the block a batch norm passes its input on."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call what is asked for, batch norms apart."""
        if func is functional.batch_norm:
            return args[0] if args else (kwargs or {})["input"]
        return func(*args, **(kwargs or {}))


_RECTIFIERS = frozenset({functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_})
_LAYERS = frozenset({functional.conv2d, torch.conv2d, functional.linear})


class Watch(TorchFunctionMode):
    """Within the block, keep what ReLUs and layers (convolutions, linear layers) give, however the network calls them.

    Modules, functions, methods and in-place forms are seen, also those within a hand-written autograd function.
    - `relus`, `layers`: outputs in the order of the calls.
    - `readers`: by the id of a ReLU's output, how many layers read it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.relus: list[Tensor] = []
        self.layers: list[Tensor] = []
        self.readers: dict[int, int] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call what is asked for, and keep what it gave."""
        out = func(*args, **(kwargs or {}))
        if func in _RECTIFIERS:
            self.relus.append(out)
            self.readers[id(out)] = 0
        elif func in _LAYERS:
            self.layers.append(out)
            if args and id(args[0]) in self.readers:
                self.readers[id(args[0])] += 1
        return out


class Codes(NamedTuple):
    """The binary code of a ReLU layer: bool `[batch, units]`, where it is above 0; and how many layers read it."""

    on: Tensor
    layers: int


def relu_codes(network: Network, inputs: Any, batch: Batch) -> list[Codes]:
    """Return the codes of all ReLUs that the output depends on, each with the number of layers that read it (or 1).

    A network may rectify once what several convolutions read; in the published networks each has a ReLU of its own.
    ReLUs that see something else than the samples one by one are left out. Raises `ProxyError` where none remains.
    """
    with Watch() as seen:
        output, _ = network.step(inputs)
    samples = len(samples_of(output, batch))
    reached = autograd_graph(output)
    codes = []
    for out in seen.relus:
        alive = out.grad_fn is None or out.grad_fn in reached
        if alive and out.dim() and out.shape[0] == samples:
            codes.append(Codes(out.detach().flatten(1) > 0, max(1, seen.readers[id(out)])))
    if not codes:
        raise ProxyError(
            f"{type(network).__name__} has no ReLU that sees the samples of a batch, so there are no binary codes; "
            "use a score of gradients: grad-norm, snip, ntk"
        )
    return codes


def autograd_graph(output: Tensor) -> set[Any]:
    """Return all nodes of the graph that made a tensor."""
    seen: set[Any] = set()
    waiting = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [source for source, _ in node.next_functions]
    return seen
