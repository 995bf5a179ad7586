"""A bilevel problem with quadratic losses, whose hypergradients have a closed form."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nasp_core.choice import mix
from nasp_core.genotype import Genotype
from nasp_core.network import Network, Space
from nasp_core.testing.stream import ShuffledStream
from nasp_core.types import Active, ChoiceGroup, Mixture, Stream, derive_seed

__all__ = ["QuadraticNetwork", "QuadraticSettings", "QuadraticSpace", "QuadraticTask"]


@dataclass(frozen=True)
class QuadraticSettings:
    """The blocks of an input row: `size` entries for the weights, `continuous` for the shift, then columns.

    - `columns`: which columns of the last block are candidates, in which order.
    """

    size: int = 4
    continuous: int = 2
    columns: tuple[int, ...] = (0, 1, 2)

    @property
    def width(self) -> int:
        """Return the least number of entries of an input row."""
        return self.size + self.continuous + max(self.columns) + 1


class _Column(nn.Module):
    """One candidate: a column of the input."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, self.index]


class _Quadratic(Network):
    """output = A w + E c + the chosen column, for an input row (A, E, B)."""

    def __init__(self, settings: QuadraticSettings) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(torch.zeros(settings.size))
        self.shift = nn.Parameter(torch.zeros(settings.continuous)) if settings.continuous else None
        offset = settings.size + settings.continuous
        self.columns = nn.ModuleList(_Column(offset + column) for column in settings.columns)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights and the continuous parameters from a standard normal."""
        for parameter in self.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def continuous(self) -> list[nn.Parameter]:
        """Return the shift."""
        return [] if self.shift is None else [self.shift]

    def fixed(self, inputs: Tensor) -> Tensor:
        """Return A w + E c."""
        size = self.settings.size
        known = inputs[:, :size] @ self.weight
        return known if self.shift is None else known + inputs[:, size : size + self.settings.continuous] @ self.shift


class QuadraticNetwork(_Quadratic):
    """The plain network of one column; the shift stays as the genotype gave it."""

    def load_architecture(self, shift: list[float]) -> None:
        """Set the shift."""
        self._given = torch.tensor(shift)
        self._set_shift()

    @torch.no_grad()
    def _set_shift(self) -> None:
        if self.shift is not None:
            self.shift.copy_(self._given)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew; the shift stays."""
        super().reset(generator)
        self._set_shift()

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return `[rows]` for inputs `[rows, width]`.

        Args:
            inputs: float64 `[rows, width]`.
            mixture: What a space runs; None of a plain network.
        """
        column: Tensor = self.columns[0](inputs)
        return self.fixed(inputs) + column


class QuadraticSpace(_Quadratic, Space):
    """One choice among columns: output = A w + E c + B m, linear in weights w, shift c and mixture m."""

    name: ClassVar[str] = "quadratic"
    version: ClassVar[int] = 1

    def __init__(self, settings: QuadraticSettings) -> None:
        super().__init__(settings)
        self.groups = (ChoiceGroup("column", 1, tuple(f"c{column}" for column in settings.columns)),)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return `[rows]` for inputs `[rows, width]`."""
        active, weights = (mixture or Mixture()).row("column", 0)
        return self.fixed(inputs) + mix(list(self.columns), active, weights, inputs)

    def genotype(self, active: Active) -> Genotype:
        """Return the column and the shift as it stands."""
        chosen = self.groups[0].candidates[active["column"][0]]
        settings = asdict(self.settings) | {"columns": list(self.settings.columns)}
        shift = {} if self.shift is None else {"shift": self.shift.tolist()}
        return Genotype(self.name, self.version, {"column": (chosen,)}, settings, shift)

    def build(self, genotype: Genotype) -> QuadraticNetwork:
        """Return the plain network of a genotype."""
        (index,) = self.selection(genotype)["column"]
        columns = (self.settings.columns[index],)
        network = QuadraticNetwork(QuadraticSettings(self.settings.size, self.settings.continuous, columns))
        network.load_architecture(genotype.parameters.get("shift", []))
        return network.to(self.weight.device)


class QuadraticTask:
    """Half the mean squared distance of the output from a target, on random training and validation matrices.

    Shapes: inputs float32 `[rows, width]` standard normal, target `[rows]`.
    """

    metric = "loss"
    maximise = False

    def __init__(self, settings: QuadraticSettings, *, rows: int = 16, seed: int = 0) -> None:
        self.settings = settings
        self.parts: dict[str, tuple[Tensor, Tensor]] = {}
        for split in ("train", "valid", "test"):
            generator = torch.Generator().manual_seed(derive_seed(seed, "quadratic", split))
            inputs = torch.randn(rows, settings.width, generator=generator)
            self.parts[split] = inputs, torch.randn(rows, generator=generator)

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the batches of a part."""
        return ShuffledStream(*self.parts[split], batch_size, seed)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return half the mean squared error."""
        return 0.5 * (output - target).square().mean()

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `loss` on a part."""
        inputs, target = self.parts[split]
        return {"loss": float(self.loss(predict(inputs).double(), target.double()))}

    def _blocks(self, split: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return A `[n, size]`, E `[n, continuous]`, B `[n, columns]` and the target `[n]`, all float64."""
        inputs, target = self.parts[split]
        size, extra = self.settings.size, self.settings.continuous
        a, e, b = torch.split(inputs.double(), [size, extra, inputs.shape[1] - size - extra], dim=1)
        return a, e, b[:, list(self.settings.columns)], target.double()

    def hypergradient(
        self, space: QuadraticSpace, mixture: Tensor, rate: float, drift: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the gradient of the validation loss after one weight step, in the mixture and in the shift, float64.

        With w' = w - rate (A'(A w + E c + B m - y) / n + drift) and the validation residual r at w': dm = D' r / n -
        rate B' A g / n, g = C' r / n (validation matrices C, D), and alike for c.

        Args:
            space: The space with its weights and shift.
            mixture: Weights of the candidates, `[candidates]`.
            rate: Learning rate of the weight step; 0 gives the first order.
            drift: What the step adds that does not depend on m and c (weight decay, momentum), of the weights' shape.
        """
        w = space.weight.detach().double()
        c = torch.zeros(0, dtype=w.dtype) if space.shift is None else space.shift.detach().double()
        m = mixture.detach().double()
        a, e, b, y = self._blocks("train")
        step = a.T @ (a @ w + e @ c + b @ m - y) / len(y)
        w = w - rate * (step if drift is None else step + drift.double())
        va, ve, vb, vy = self._blocks("valid")
        residual = (va @ w + ve @ c + vb @ m - vy) / len(vy)
        through = a @ (va.T @ residual) * (rate / len(y))
        return vb.T @ residual - b.T @ through, ve.T @ residual - e.T @ through
