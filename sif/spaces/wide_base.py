"""What the wide supernet and the networks built from it share: the forward pass under a mixture."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from nasp_core.choice import mix
from nasp_core.errors import SpaceError
from nasp_core.network import Loss, Network, StepLoss
from nasp_core.rowwise import RowTable, few_rows
from nasp_core.types import Batch, Mixture, Stream
from sif.encodings import HISTORY, ID, encoding, parts_of, reads_history
from sif.encodings.base import Lookup
from sif.encodings.elementwise import FIXED, Elementwise
from sif.encodings.entrywise import entrywise, start_near_identity
from sif.encodings.histories import Histories
from sif.encodings.rows import Rows
from sif.encodings.side import SIDES, SideEncoder, SidePass, branch_passes, ids_read
from sif.encodings.sides import gather
from sif.encodings.sums import lists_of_rows
from sif.spaces.branch import WideBranch
from sif.spaces.lookups import BatchPlan, Shares, held, plan_pairs, plan_queries
from sif.spaces.wide_settings import WideSettings
from sif.tasks.queries import Queries

__all__ = ["WideBase"]

Offers = Mapping[str, tuple[tuple[str, ...], ...]]


class WideBase(Network):
    """Score = sum over branches of predictor(operation(p(user), q(item))), plus biases where they are on.

    `offers`: per group and choice the names of its candidates, one each in a built network.
    Inputs are `Queries`, or pairs int64 `[2, n]`; outputs float32 `[n, k + m]`, or `[n]`. Histories are buffers that
    a state dict leaves out: whoever saves a network saves them beside it. `counts` int64 `[users + items]`, how often
    each id occurs in training, weigh the penalty; by default those of the histories.
    """

    user_starts: Tensor
    user_items: Tensor
    item_starts: Tensor
    item_users: Tensor
    by_pair: Tensor
    by_row: Tensor
    _keys: Tensor | None

    def __init__(
        self,
        sizes: tuple[int, int],
        settings: WideSettings,
        offers: Offers,
        histories: Histories,
        counts: Tensor | None = None,
    ) -> None:
        super().__init__()
        settings.check()
        if histories.sizes != tuple(sizes):
            raise SpaceError(f"histories of {histories.sizes} users and items given to a space of {tuple(sizes)}")
        self.sizes, self.settings, self.counts, self.offers = tuple(sizes), settings, counts, offers
        histories = histories.lean(self._needs(histories))
        for name, part in zip(histories._fields, histories, strict=True):
            self.register_buffer(name, part, persistent=False)
        self.register_buffer("_keys", None, persistent=False)
        counted = histories.counts() if counts is None else counts
        scales = _scales(counted, self.sizes, settings.l2_frequency)
        for name, scale in zip(("by_pair", "by_row"), scales, strict=True):
            self.register_buffer(name, scale.to(histories.user_starts.device), persistent=False)
        dim, branches = settings.embedding_dim, range(settings.branches)
        self.encoders = nn.ModuleList(
            SideEncoder(
                sizes[side],
                sizes[1 - side],
                dim,
                self._held(branch, side),
                settings.history_power,
                settings.history_half_life,
            )
            for branch in branches
            for side in (0, 1)
        )
        self.elementwise = nn.ModuleDict(
            {
                f"{branch}-{side}": Elementwise(1, settings.hidden)
                for branch in branches
                for side in SIDES
                if "network" in offers["elementwise"][branch]
            }
        )
        self.heads = nn.ModuleList(
            nn.ModuleDict(
                {
                    _head(o, p): WideBranch(o, p, settings)
                    for o in offers["operation"][b]
                    for p in offers["predictor"][b]
                }
            )
            for b in branches
        )
        biased = "on" in offers["biases"][0]
        self.bias = nn.Parameter(torch.zeros(sum(self.sizes), 1)) if biased else None
        self.offset = nn.Parameter(torch.zeros(())) if biased else None

    @property
    def histories(self) -> Histories:
        """The training pairs that histories are made of."""
        return Histories(*(getattr(self, name) for name in Histories._fields))

    def _held(self, branch: int, side: int) -> tuple[str, ...]:
        """Return what has a table of a side in a branch: its candidates, and `id` where others read that."""
        both = self.offers["encoding"][2 * branch : 2 * branch + 2]
        read = side in ids_read(both, 0) | ids_read(both, 1)
        return both[side] + (ID.name,) * read

    def _needs(self, histories: Histories) -> set[str]:
        """Return what the encodings read of the pairs; raises `SpaceError` where these have it not."""
        wanted = {part for names in self.offers["encoding"] for name in names for part in parts_of(name)}
        has = {"": True, "values": histories.user_values is not None, "ages": histories.user_ages is not None}
        lacks = [name for name in sorted(wanted) if not has[encoding(name).needs]]
        if lacks and len(histories.user_items):
            words = {"values": "ratings", "ages": "times"}
            said = [f"encoding {name} needs {words[encoding(name).needs]}, and these pairs have none" for name in lacks]
            others = 'offer encodings without: --set \'space.encodings=["id", "history", "id+history"]\''
            raise SpaceError("; ".join([*said, others]))
        return {encoding(name).needs for name in wanted}

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw embeddings N(0, init_std^2), networks near the identity, predictors as they say; set biases to zero."""
        for encoder in self.encoders:
            encoder.reset(self.settings.init_std, generator)  # type: ignore[operator]
        for network in self.elementwise.values():
            assert isinstance(network, Elementwise)
            start_near_identity(network, generator)
        for heads in self.heads:
            for head in heads.values():  # type: ignore[operator]
                head.reset(generator)
        if self.bias is not None and self.offset is not None:
            self.bias.zero_()
            self.offset.zero_()

    def forward(self, inputs: Queries | Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return the scores of queries float32 `[n, k + m]`, of pairs `[n]`."""
        return self._answer(inputs, mixture, None)[0]

    def row_tables(self, stream: Stream) -> list[RowTable]:
        """Return tables of ids and of histories, and biases, where a batch touches few of them (`few_rows`).

        Ids that a branch is tied to are read as a whole.
        """
        if not few_rows(0, sum(self.sizes)):
            return []
        plan = self._plan(stream.batch(0).inputs, None)
        asked = [torch.unique(plan.users.ids), torch.unique(torch.cat([lookup.ids for lookup, _ in plan.merged]))]
        held = [] if self.bias is None else [(self.bias, len(asked[0]) + len(asked[1]), 0.0)]
        for place, encoder in enumerate(self.encoders):
            assert isinstance(encoder, SideEncoder)
            side = place % 2
            tied = any(cast("SideEncoder", self.encoders[place - side + each]).tied for each in (0, 1))
            for name, table in encoder.tables.items():
                if name == ID.name and not tied:
                    held.append((table, len(asked[side]), 0.0))
                elif name == HISTORY.name:
                    met = torch.unique(lists_of_rows(self.histories.side(side), asked[side])[1])
                    held.append((table, len(met), 2.0 * self.settings.l2 / len(table)))
        return [RowTable(table, shrink) for table, touched, shrink in held if few_rows(touched, len(table), shrink)]

    def training_loss(
        self, batch: Batch, mixture: Mixture | None, loss: Loss, hidden: Tensor | None = None
    ) -> StepLoss:
        """Return the loss of a batch, and the penalty on its rows."""
        scores, penalty = self.penalised(batch.inputs, mixture)
        return StepLoss(loss(scores, batch.target), penalty)

    def penalised(self, inputs: Queries | Tensor, mixture: Mixture | None = None) -> tuple[Tensor, Tensor | None]:
        """Return scores and the penalty on the batch's rows, None where the settings have none.

        The penalty is l2 times a mean of ||row||^2 over users plus one over items, of id rows, and one over the rows of
        each table that histories are made of; and bias_l2 times that of biases. Users weigh alike; items are the users'
        own, or where there are none the shared ones. Id rows that are asked about pair by pair are met as often as they
        occur; rows asked about once for all their pairs (users without own items, shared items) weigh by their count,
        so that one l2 shrinks a row alike, per training pair, whichever way the batches are made. `l2_frequency` scales
        both.
        """
        shares = Shares(self.by_pair, self.by_row, self.sizes[0])
        wanted = self.settings.l2 > 0 or self.settings.bias_l2 > 0
        return self._answer(inputs, mixture, shares if wanted else None)

    def _mixture(self, mixture: Mixture | None) -> Mixture:
        if mixture is None:
            raise SpaceError("a space has no output of its own: give a mixture, or build a genotype")
        return mixture

    def _plan(self, inputs: Queries | Tensor, shares: Shares | None) -> BatchPlan:
        if isinstance(inputs, Queries):
            return plan_queries(inputs, self.histories, shares)
        if all(encoding(part).whole for names in self.offers["encoding"] for name in names for part in parts_of(name)):
            return plan_pairs(inputs, None, shares)
        if self._keys is None:
            users = torch.repeat_interleave(
                torch.arange(self.sizes[0], device=self.user_starts.device), self.user_starts.diff()
            )
            self._keys = users * self.sizes[1] + self.user_items
        return plan_pairs(inputs, held(self._keys, inputs, self.sizes[1]), shares)

    def _answer(
        self, inputs: Queries | Tensor, mixture: Mixture | None, shares: Shares | None
    ) -> tuple[Tensor, Tensor | None]:
        mixture = self._mixture(mixture)
        plan, penalties = self._plan(inputs, shares), list[Tensor]()
        total = self._biases(plan, mixture, penalties)
        for branch in range(self.settings.branches):
            scores = self._branch(branch, plan, mixture, penalties)
            total = scores if total is None else total + scores
        assert total is not None
        penalty = sum(penalties[1:], penalties[0]) if penalties else None
        return (total if isinstance(inputs, Queries) else total.squeeze(1)), penalty

    def _branch(self, branch: int, plan: BatchPlan, mixture: Mixture, penalties: list[Tensor]) -> Tensor:
        """Return the scores `[n, k + m]` of one branch."""
        user, item = self._passes(branch)
        u = self._side(branch, 0, user, plan.users, mixture)
        active, weights = mixture.row("encoding", 2 * branch + 1)
        names = self.offers["encoding"][2 * branch + 1]
        alone = weights is None and active is not None and all(encoding(part).whole for part in parts_of(names[active]))
        scores = [
            self._join(branch, u, self._side(branch, 1, item, lookup, mixture), width, mixture)
            for lookup, width in (plan.merged if alone else plan.blocks)
        ]
        penalties += [penalty * self.settings.l2 for penalty in user.penalties + item.penalties]
        return scores[0] if len(scores) == 1 else torch.cat(scores, 1)

    def _passes(self, branch: int) -> list[SidePass]:
        """Return the encodings of users and items of a branch for one forward pass."""
        encoders = [cast("SideEncoder", self.encoders[2 * branch + side]) for side in (0, 1)]
        lists = [self.histories.side(side) for side in (0, 1)]
        return branch_passes(encoders, lists, self.settings.propagation_steps)

    def _side(self, branch: int, side: int, made: SidePass, lookup: Lookup, mixture: Mixture) -> Rows:
        """Return the vectors of one side after its encoding and its element-wise function."""
        names = self.offers["encoding"][2 * branch + side]
        active, weights = mixture.row("encoding", 2 * branch + side)
        if weights is None and active is not None:
            rows = made.rows(names[active], lookup)
        else:
            present = mixture.present("encoding", 2 * branch + side)
            rows = Rows(mix([partial(made.full, name, lookup) for name in names], active, weights, present=present))
        known = [reads_history(name) for name in names]
        share = known[active] if weights is None and active is not None else _share(known, weights)
        names = self.offers["elementwise"][branch]
        active, weights = mixture.row("elementwise", branch)
        candidates = [partial(self._lift, name, branch, side, share) for name in names]
        present = mixture.present("elementwise", branch)
        return Rows(mix(candidates, active, weights, rows.values, present=present), rows.index)

    def _lift(self, name: str, branch: int, side: int, share: Tensor | float, values: Tensor) -> Tensor:
        """Return the values of an element-wise function; `share`: how much of the encoding reads a history."""
        if name == "identity" or (name in FIXED and isinstance(share, bool) and not share):
            return values
        if name in FIXED:
            bent = FIXED[name](values)
            return bent if isinstance(share, bool) else torch.lerp(values, bent, share)
        network = self.elementwise[f"{branch}-{SIDES[side]}"]
        assert isinstance(network, Elementwise)
        return entrywise(network, values)

    def _join(self, branch: int, u: Rows, v: Rows, width: int, mixture: Mixture) -> Tensor:
        """Return the scores of one block: the choice of the operation outside, of its predictor inside."""
        heads = self.heads[branch]
        assert isinstance(heads, nn.ModuleDict)

        def predicted(head: str, a: Tensor, b: Tensor) -> Tensor:
            module = heads[head]
            assert isinstance(module, WideBranch)
            return module.scores(Rows(a, u.index), Rows(b, v.index), width)

        def joined(operation: str, a: Tensor, b: Tensor) -> Tensor:
            names = [_head(operation, predictor) for predictor in self.offers["predictor"][branch]]
            candidates = [partial(predicted, name) for name in names]
            present = mixture.present("predictor", branch)
            return mix(candidates, *mixture.row("predictor", branch), a, b, present=present)

        operations = [partial(joined, operation) for operation in self.offers["operation"][branch]]
        present = mixture.present("operation", branch)
        return mix(operations, *mixture.row("operation", branch), u.values, v.values, present=present)

    def _biases(self, plan: BatchPlan, mixture: Mixture, penalties: list[Tensor]) -> Tensor | None:
        """Return the biases `[n, k + m]`, None where they are off and need no gradient."""
        names = self.offers["biases"][0]
        active, weights = mixture.row("biases", 0)
        if weights is None and active is not None and names[active] == "off":
            return None
        count = len(plan.users.ids)
        width = sum(width or len(lookup.ids) for lookup, width in plan.merged)

        def add(name: str) -> Tensor:
            if name == "off" or self.bias is None or self.offset is None:
                return self.by_pair.new_zeros(count, width)
            parts = [self._bias(plan.users, 0, penalties).view(-1, 1)]
            items = [
                self._bias(lookup, self.sizes[0], penalties).view(-1, width or len(lookup.ids))
                for lookup, width in plan.merged
            ]
            wide = items[0] if len(items) == 1 else torch.cat([part.expand(count, -1) for part in items], 1)
            return parts[0] + wide + self.offset

        return mix([partial(add, name) for name in names], active, weights, present=mixture.present("biases", 0))

    def _bias(self, lookup: Lookup, start: int, penalties: list[Tensor]) -> Tensor:
        assert self.bias is not None
        rows, penalty = gather(self.bias, lookup.ids + start, lookup.share)
        if lookup.share is not None:
            penalties.append(penalty * self.settings.bias_l2)
        return rows


def _share(known: Sequence[bool], weights: Tensor | None) -> Tensor:
    """Return the weight of the candidates that are `known`."""
    assert weights is not None
    return (weights * weights.new_tensor(known)).sum()


def _head(operation: str, predictor: str) -> str:
    """Return the key of a branch; a module's name has no dots."""
    return f"{operation}-{predictor}".replace(".", "/")


def _scales(counts: Tensor, sizes: Sequence[int], power: float) -> tuple[Tensor, Tensor]:
    """Return what scales the penalty of rows met with every pair and of rows met once, float32 `[users + items]` each.

    Both stand for a penalty per training pair of count ** -power, 1 on average over the training pairs.
    """
    by_pair, by_row = [], []
    for counted in torch.split(counts.cpu().double(), list(sizes)):
        seen = counted.clamp_min(1.0)
        scale = seen**-power
        by_pair.append(scale * seen.sum() / (scale * seen).sum().clamp_min(1e-12))
        by_row.append(scale * seen / (scale * seen).mean().clamp_min(1e-12))
    return torch.cat(by_pair).float(), torch.cat(by_row).float()
