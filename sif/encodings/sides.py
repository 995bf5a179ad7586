"""What every interaction model shares: one embedding table for all modes, biases, and the penalty on both."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nasp_core.errors import SpaceError
from nasp_core.network import Loss, Network, StepLoss
from nasp_core.rowwise import RowTable, few_rows, looked_up, row_gradient
from nasp_core.types import Batch, Mixture, Stream

__all__ = ["SideSettings", "SidedNetwork"]


@dataclass(frozen=True, kw_only=True)
class SideSettings:
    """How the embeddings and biases of the modes are held.

    - `embedding_dim`: entries of each embedding.
    - `biases`: global, user and item biases beside the function.
    - `init_std`: standard deviation of the embeddings at the start.
    - `penalty`: `frobenius` adds l2 * (||U_B|| + ||V_B||), norms of the batch's rows not squared, as the
      published SIF code does; `squared` adds the batch mean of l2 * ||row||^2 + bias_l2 * bias^2.
    - `l2_frequency`: with `squared`, each row's penalty is scaled by (times seen in training) ** -l2_frequency,
      normalised to 1 on average over the training rows. At 0 a row seen n times is penalised n times a pass;
      at 1 every row is penalised alike.
    """

    embedding_dim: int = 8
    biases: bool = False
    init_std: float = 1.0
    penalty: Literal["frobenius", "squared"] = "frobenius"
    l2: float = 1e-5
    bias_l2: float = 0.0
    l2_frequency: float = 0.0


class _Gather(torch.autograd.Function):
    """Rows of a table by index, and a penalty on them; a hand-written backward adds into one gradient (`row_gradient`).

    The penalty is sum(coefficient * ||row||^2) where `coefficient` (`index`'s shape) is given, else `frobenius` times
    the sum over the first dimension of the Frobenius norms.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, index: Tensor, coefficient: Tensor | None, frobenius: float, sparse: bool
    ) -> tuple[Tensor, Tensor]:
        rows = table.index_select(0, index.reshape(-1)).view(*index.shape, table.shape[1])
        norms = None
        penalty = rows.new_zeros(())
        if coefficient is not None:
            penalty = torch.dot(rows.square().sum(-1).reshape(-1), coefficient.reshape(-1))
        elif frobenius:
            norms = torch.linalg.vector_norm(rows, dim=(1, 2))
            penalty = norms.sum() * frobenius
        ctx.save_for_backward(index, rows, coefficient, norms)
        ctx.shape, ctx.frobenius, ctx.sparse = table.shape, frobenius, sparse
        return rows, penalty

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        index, rows, coefficient, norms = ctx.saved_tensors
        grad, of_penalty = grads
        if coefficient is not None:
            grad = torch.addcmul(grad, rows, (coefficient * (2.0 * of_penalty)).unsqueeze(-1))
        elif norms is not None:
            scale = of_penalty * ctx.frobenius / norms.clamp_min(1e-30)
            grad = torch.addcmul(grad, rows, scale.view(-1, 1, 1))
        values = grad.reshape(index.numel(), ctx.shape[1])
        return row_gradient(index.reshape(-1), values, ctx.shape, ctx.sparse), None, None, None, None


def gather(
    table: Tensor, index: Tensor, coefficient: Tensor | None = None, frobenius: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return rows float `[*index.shape, dim]` of a table `[rows, dim]`, and their penalty (see `_Gather`), a scalar."""
    rows, penalty = _Gather.apply(table, index, coefficient, frobenius, looked_up(table, index))  # type: ignore[no-untyped-call]
    return rows, penalty


class SidedNetwork(Network):
    """A score from one embedding a mode: `join` makes it, biases are added.

    Inputs are ids int64 `[modes, batch]`, each counted from 0 in its own mode; outputs float32 `[batch]`.
    `counts` int64 `[sum(sizes)]`, how often each id occurs in training, is needed for `l2_frequency` alone.
    """

    modes: ClassVar[tuple[str, ...]] = ("user", "item")
    starts: Tensor
    row_penalty: Tensor | None

    def __init__(self, sizes: tuple[int, ...], settings: SideSettings, counts: Tensor | None = None) -> None:
        super().__init__()
        if len(sizes) != len(self.modes):
            raise SpaceError(f"{len(sizes)} sizes given, but this space has {len(self.modes)}: {', '.join(self.modes)}")
        if settings.embedding_dim < 0:
            raise SpaceError(f"embedding_dim = {settings.embedding_dim}; it must be 1 or more (0: biases alone)")
        if settings.penalty not in ("frobenius", "squared"):
            raise SpaceError(f"penalty = {settings.penalty!r}; there are frobenius, squared")
        if settings.penalty == "frobenius" and (settings.bias_l2 or settings.l2_frequency):
            raise SpaceError('bias_l2 and l2_frequency go with penalty = "squared"; frobenius would ignore them')
        if settings.bias_l2 and not settings.biases:
            raise SpaceError(f"bias_l2 = {settings.bias_l2} without biases; set biases = true, or leave it out")
        if settings.init_std < 0 or settings.l2 < 0 or settings.bias_l2 < 0:
            raise SpaceError("init_std, l2 and bias_l2 must be 0 or more")
        self.sizes, self.settings, self.counts = tuple(sizes), settings, counts
        self.embedding = nn.Parameter(torch.zeros(sum(sizes), settings.embedding_dim))
        self.bias = nn.Parameter(torch.zeros(sum(sizes), 1)) if settings.biases else None
        self.offset = nn.Parameter(torch.zeros(())) if settings.biases else None
        starts = torch.tensor([sum(sizes[:mode]) for mode in range(len(sizes))])
        self.register_buffer("starts", starts.unsqueeze(-1), persistent=False)
        self.register_buffer("row_penalty", self._row_penalty(), persistent=False)

    def _row_penalty(self) -> Tensor | None:
        power = self.settings.l2_frequency
        if not power or self.settings.penalty != "squared":
            return None
        if self.counts is None:
            raise SpaceError(f"l2_frequency = {power} needs counts: how often each id occurs in training")
        scales = []
        for counts in torch.split(self.counts.cpu().double(), list(self.sizes)):
            scale = counts.clamp_min(1.0) ** -power
            scales.append(scale * counts.sum() / (scale * counts).sum().clamp_min(1e-12))
        return torch.cat(scales).float()

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw embeddings N(0, init_std^2) and set biases to zero."""
        self.embedding.copy_(torch.randn(self.embedding.shape, generator=generator) * self.settings.init_std)
        if self.bias is not None and self.offset is not None:
            self.bias.zero_()
            self.offset.zero_()

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]`, without biases.

        Args:
            rows: Embeddings float `[modes, batch, dim]`.
            mixture: What a space runs; None of a plain network.
        """
        raise NotImplementedError

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return predictions float32 `[batch]`.

        Args:
            inputs: Ids int64 `[modes, batch]`.
            mixture: What a space runs; None of a plain network.
        """
        index = inputs + self.starts
        rows, _ = gather(self.embedding, index)
        score = self.join(rows, mixture)
        if self.bias is None or self.offset is None:
            return score
        biases, _ = gather(self.bias, index)
        return score + biases.sum((0, 2)) + self.offset

    def row_tables(self, stream: Stream) -> list[RowTable]:
        """Return embeddings and biases where a batch touches few of them (`few_rows`)."""
        if not few_rows(0, len(self.embedding)):
            return []
        touched = torch.unique(stream.batch(0).inputs + self.starts)
        held = (each for each in (self.embedding, self.bias) if each is not None)
        return [RowTable(each) for each in held if few_rows(len(touched), len(each))]

    def training_loss(
        self, batch: Batch, mixture: Mixture | None, loss: Loss, hidden: Tensor | None = None
    ) -> StepLoss:
        """Return the loss of a batch, and the penalty on its rows."""
        scores, penalty = self.penalised(batch.inputs, mixture)
        return StepLoss(loss(scores, batch.target), penalty)

    def penalised(self, inputs: Tensor, mixture: Mixture | None) -> tuple[Tensor, Tensor]:
        """Return predictions and the penalty on the batch's rows (see `SideSettings`).

        Args:
            inputs: Ids int64 `[modes, batch]`.
            mixture: What a space runs; None of a plain network.
        """
        index = inputs + self.starts
        if self.settings.penalty == "frobenius":
            share, frobenius = None, self.settings.l2
        else:
            each = inputs.new_full(index.shape, 1.0 / inputs.shape[1], dtype=self.embedding.dtype)
            share, frobenius = each if self.row_penalty is None else each * self.row_penalty[index], 0.0
        rows, penalty = gather(self.embedding, index, None if share is None else share * self.settings.l2, frobenius)
        score = self.join(rows, mixture)
        if self.bias is None or self.offset is None:
            return score, penalty
        biases, of_biases = gather(self.bias, index, None if share is None else share * self.settings.bias_l2)
        return score + biases.sum((0, 2)) + self.offset, penalty + of_biases
