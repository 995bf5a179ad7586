"""Largest: the largest entry of each dimension over what a user or an item met."""

import torch
from torch import Tensor

from sif.encodings import Encoding


class Largest(Encoding):
    """The largest entry of each dimension over the list, 0 where it is empty."""

    formula = "max{mark}({side})"

    def encode(self, table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
        """Encode lists: list i is `members[starts[i]:starts[i + 1]]`, rows of `table`."""
        rows = torch.repeat_interleave(torch.arange(len(starts) - 1, device=starts.device), starts.diff())
        out = table.new_zeros(len(starts) - 1, table.shape[1])
        index = rows.unsqueeze(1).expand(-1, table.shape[1])
        return out.scatter_reduce(0, index, table[members], "amax", include_self=False)
