"""Small pictures whose class can be seen, so that a cell has something to learn."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.testing.stream import ShuffledStream
from nasp_core.types import Stream, derive_seed

__all__ = ["PlantedPictures"]


class PlantedPictures:
    """Tell stripes apart by their direction and width, whatever their phase, under Gaussian noise.

    Class k has waves of angle pi k / classes and a period of 3 or 4 pixels by turns; the phase is uniform, so that no
    single pixel tells anything. Classes are equally frequent.
    Shapes: pictures float32 `[rows, channels, size, size]`, targets int64 `[rows]`, `rows` in each split.
    """

    metric = "top1"
    maximise = True

    def __init__(
        self, *, rows: int = 48, size: int = 8, classes: int = 3, channels: int = 1, noise: float = 0.3, seed: int = 0
    ) -> None:
        self.parts: dict[str, tuple[Tensor, Tensor]] = {}
        place = torch.arange(size, dtype=torch.float32)
        for split in ("train", "valid", "test"):
            generator = torch.Generator().manual_seed(derive_seed(seed, "pictures", split))
            target = torch.arange(rows) % classes
            angle = (torch.pi * target / classes).view(-1, 1, 1)
            across = place.view(1, -1, 1) * angle.sin() + place.view(1, 1, -1) * angle.cos()
            phase = 2 * torch.pi * torch.rand(rows, 1, 1, generator=generator)
            waves = torch.sin(2 * torch.pi * across / (3 + target % 2).view(-1, 1, 1) + phase)
            drawn = noise * torch.randn(rows, channels, size, size, generator=generator)
            self.parts[split] = waves.unsqueeze(1) + drawn, target

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the batches of a split."""
        return ShuffledStream(*self.parts[split], batch_size, seed)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits `[batch, classes]`."""
        return functional.cross_entropy(output, target)

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `top1`, the share of pictures whose class has the largest logit."""
        inputs, target = self.parts[split]
        return {"top1": float((predict(inputs).argmax(1) == target).float().mean())}
