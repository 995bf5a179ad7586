"""The image task: name the class of a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.stream import Passes
from nasp_core.types import Batch, Stream, derive_seed
from sif.datasets.pictures import Pictures
from sif.errors import DataError

__all__ = ["Augment", "Cut", "ImageTask", "PictureStream", "cut_training"]

_CHUNK = 512  # pictures that one call of `predict` gets in an evaluation


@dataclass(frozen=True, slots=True)
class Augment:
    """How training pictures are varied, each by its own draw.

    - `crop`: shift by -crop..crop pixels down and across; what comes in from outside is black.
    - `flip`: mirror left and right, half of the time.
    - `cutout`: blank a square of this side, its centre anywhere in the picture (so it may hang over the edge), to the
      mean colour (DeVries and Taylor 2017, arXiv:1708.04552). 0 is none.
    """

    crop: int = 4
    flip: bool = True
    cutout: int = 0

    def __post_init__(self) -> None:
        for name in ("crop", "cutout"):
            if getattr(self, name) < 0:
                raise DataError(f"augment.{name} = {getattr(self, name)} is negative\n  Give 0 for none.")

    def draw(self, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """Return int64 [5, count]: top and left of the crop, flipped or not, centre row and column of the cutout."""
        down, across = self._shifts(height, width)
        ends = (2 * down + 1, 2 * across + 1, 2 if self.flip else 1, height, width)
        return torch.stack([torch.randint(end, (count,), generator=generator) for end in ends])

    def _shifts(self, height: int, width: int) -> tuple[int, int]:
        """How far a picture goes down and across at most: some of it stays, so that a series does not move down."""
        return min(self.crop, height - 1), min(self.crop, width - 1)

    def shift(self, pictures: Tensor, draws: Tensor) -> Tensor:
        """Return pictures [B, C, H, W] cropped and flipped as `draws` int64 [5, B] say."""
        top, left, mirrored = draws[0], draws[1], draws[2]
        if self.crop:
            # A view of all crops of all pictures, of which one copy takes one each: 64 pictures of 3 x 32 x 32 in
            # 0.4 ms on one CPU thread; 1.1 ms with flip and normalisation, 1.5 ms with cutout.
            height, width = pictures.shape[2:]
            down, across = self._shifts(height, width)
            padded = functional.pad(pictures, (across, across, down, down))
            rows = torch.arange(len(pictures), device=pictures.device)
            pictures = padded.unfold(2, height, 1).unfold(3, width, 1)[rows, :, top, left]
        if self.flip:
            pictures = torch.where(mirrored[:, None, None, None] == 1, pictures.flip(-1), pictures)
        return pictures

    def blank(self, pictures: Tensor, draws: Tensor) -> Tensor:
        """Return normalised float32 [B, C, H, W] with the squares of the cutout set to 0, the mean colour."""
        if not self.cutout:
            return pictures
        hit = []
        for centre, length in ((draws[3], pictures.shape[2]), (draws[4], pictures.shape[3])):
            first = (centre - self.cutout // 2)[:, None]
            place = torch.arange(length, device=pictures.device)
            hit.append((place >= first) & (place < first + self.cutout))
        return pictures.masked_fill((hit[0][:, :, None] & hit[1][:, None, :])[:, None], 0.0)


class Cut(NamedTuple):
    """Disjoint numbers of training pictures, int64: those that train weights, architecture, and those held out."""

    weights: Tensor
    architecture: Tensor
    held_out: Tensor


def cut_training(pictures: Pictures, seed: int, share: float = 0.5, limit: int | None = None, holdout: int = 0) -> Cut:
    """Cut the training pictures, shuffled by `seed`, for a search and the final training after it.

    Of `limit` pictures (all by default) `holdout` are held out to judge the final training; `share` of the rest train
    the weights of the search, the remainder its architecture (none with `share` 1). Raises DataError for a share
    outside (0, 1], a limit that is not between 2 and the number of training pictures, and a holdout that leaves less
    than two.
    """
    count = len(pictures.train)
    if not 0 < share <= 1:
        raise DataError(f"share = {share} of the training pictures\n  Give a number above 0 and up to 1.")
    if limit is not None and not 2 <= limit <= count:
        raise DataError(f"limit = {limit}, and {pictures.name} has {count} training pictures\n  Give 2 to {count}.")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed(seed, "cut")))[:limit]
    if not 0 <= holdout <= len(order) - 2:
        raise DataError(f"holdout = {holdout} of {len(order)} training pictures\n  Give 0 to {max(len(order) - 2, 0)}.")
    held_out, rest = order[:holdout], order[holdout:]
    cut = min(max(round(share * len(rest)), 1), len(rest))
    return Cut(rest[:cut], rest[cut:], held_out)


class PictureStream:
    """An endless, seekable sequence of augmented batches, reshuffled and varied anew on every pass.

    Shapes: pictures uint8 or float32 [n, C, H, W], labels int64 [n]; a batch is float32 [B, C, H, W], int64 [B],
    the last of a pass smaller. Batch `i` depends on the seed and `i` alone. The permutation and the draws of a pass
    reach the device once, so that no step waits for it.
    """

    def __init__(self, task: "ImageTask", part: tuple[Tensor, Tensor], batch_size: int, seed: int) -> None:
        self._task, (self._pictures, self._labels) = task, part
        self._passes = Passes(len(self._labels), batch_size, seed, self._drawn)

    def _drawn(self, order: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        count, device, (height, width) = len(self._labels), self._labels.device, self._pictures.shape[2:]
        draws = self._task.augment.draw(count, height, width, generator)
        return order.to(device), draws.to(device)

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return len(self._passes)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        if not len(self):
            raise DataError("no pictures were set aside for this part\n  Give a share below 1 to cut_training.")
        (order, draws), offset = self._passes.at(step)
        rows, augment = self._passes.part(offset), self._task.augment
        order, draws = order[rows], draws[:, rows]
        chosen = self._pictures[order]
        if chosen.dtype == torch.uint8:  # bytes move faster, and what comes in is black; in numbers it is the mean
            inputs = self._task.normalise(augment.shift(chosen, draws))
        else:
            inputs = augment.shift(self._task.normalise(chosen), draws)
        return Batch(augment.blank(inputs, draws), self._labels[order])


class ImageTask:
    """Cross-entropy over classes; the share of pictures whose class is named first (`top1`, `top5`).

    The chosen pictures lie on `device` as they are; a batch is made of them there. Channels are normalised by the mean
    and standard deviation of the pictures of `train`. Both streams are augmented alike, as both halves of the training
    set are in the published searches; evaluations are not. The test part is in no stream and lies on the CPU; an
    `evaluate(..., "test")` reads it, and `test_reads` counts how often.
    """

    metric = "top1"
    maximise = True

    def __init__(
        self,
        pictures: Pictures,
        *,
        train: Tensor | Sequence[int],
        valid: Tensor | Sequence[int] = (),
        device: torch.device | str = "cpu",
        augment: Augment = Augment(),
        label_smoothing: float = 0.0,
    ) -> None:
        """Put the pictures numbered `train` and `valid` of the training part on `device`.

        Raises DataError where numbers are outside the training part, repeated or in both, where `train` is empty, and
        for a label smoothing outside [0, 1).
        """
        if not 0 <= label_smoothing < 1:
            raise DataError(f"label_smoothing = {label_smoothing}\n  Give a number from 0 up to, but not, 1.")
        self.device, self.augment, self.label_smoothing = torch.device(device), augment, label_smoothing
        self.classes, self.shape = len(pictures.classes), pictures.shape
        self.test_reads = 0
        rows = {"train": _rows(train, pictures, "train"), "valid": _rows(valid, pictures, "valid")}
        both = len(torch.unique(torch.cat([*rows.values()])))
        if both < len(rows["train"]) + len(rows["valid"]):
            raise DataError(
                f"{pictures.name}: a picture is in train and valid, or twice in one\n  Cut them with cut_training."
            )
        if not len(rows["train"]):
            raise DataError(f"{pictures.name}: no pictures to train on\n  Give their numbers, or cut_training.")
        self._parts = {
            name: (pictures.train[chosen].to(self.device), pictures.train_labels[chosen].to(self.device))
            for name, chosen in rows.items()
        }
        self._parts["test"] = (pictures.test, pictures.test_labels)
        self.mean, self.std = _moments(self._parts["train"][0])

    def normalise(self, pictures: Tensor) -> Tensor:
        """Return pictures [B, C, H, W] as float32 with mean 0 and standard deviation 1 per channel over `train`."""
        factor = (1 / ((255 if pictures.dtype == torch.uint8 else 1) * self.std))[:, None, None]
        return torch.addcmul((-self.mean / self.std)[:, None, None], pictures.float(), factor)

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the augmented batches of the training or validation part."""
        if split not in ("train", "valid"):
            raise ValueError(f"no batches are made of the {split} part")
        return PictureStream(self, self._parts[split], batch_size, seed)

    def largest_batch(self, split: str) -> int:
        """Return how many pictures a part has."""
        return len(self._parts[split][1])

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits [B, classes], in nats, with label smoothing."""
        return functional.cross_entropy(output, target, label_smoothing=self.label_smoothing)

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `top1`, `top5` (of more than five classes), both in [0, 1], and `cross_entropy` (no smoothing)."""
        if split == "test":
            self.test_reads += 1
        pictures, labels = self._parts[split]
        if not len(labels):
            raise DataError(f"no pictures were set aside for {split}\n  Give a share below 1 to cut_training.")
        totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        for some, target in zip(torch.split(pictures, _CHUNK), torch.split(labels, _CHUNK), strict=True):
            target = target.to(self.device)
            output = predict(self.normalise(some.to(self.device))).detach()
            ranked = output.topk(min(5, self.classes), dim=1).indices == target[:, None]
            loss = functional.cross_entropy(output.double(), target, reduction="sum")
            totals += torch.stack([ranked[:, 0].sum().double(), ranked.sum().double(), loss])
        top1, top5, loss = (totals / len(labels)).tolist()
        return {"top1": top1, **({"top5": top5} if self.classes > 5 else {}), "cross_entropy": loss}


def _rows(chosen: Tensor | Sequence[int], pictures: Pictures, part: str) -> Tensor:
    rows = torch.as_tensor(chosen, dtype=torch.int64).cpu()
    count = len(pictures.train)
    bad = next((row for row in rows.tolist() if not 0 <= row < count), None)
    if bad is not None:
        raise DataError(f"{pictures.name}: {part} names picture {bad}, the training part has 0 to {count - 1}")
    return rows


def _moments(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation float32 [C] of float32 [n, C, H, W], or of uint8 as fractions of 255 from exact sums.

    A channel that is the same everywhere gets the standard deviation of one grey level (1 of numbers), to divide by.
    """
    if pictures.dtype != torch.uint8:
        channels = pictures.double().transpose(0, 1).flatten(1)
        mean, std = channels.mean(1), channels.std(1, correction=0)
        return mean.float(), torch.where(std > 1e-6 * mean.abs(), std, 1.0).float()
    sums = torch.zeros(2, pictures.shape[1], dtype=torch.int64, device=pictures.device)
    for some in torch.split(pictures, 1024):
        values = some.int()
        sums += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
    first, second = sums.double() / (pictures.numel() // pictures.shape[1])
    std = (second - first.square()).clamp(min=1.0).sqrt()
    return (first / 255).float(), (std / 255).float()
