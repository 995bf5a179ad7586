"""Points as labelled graphs, and what the Weisfeiler-Lehman kernel sees of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.types import Active

__all__ = ["Graph", "cell_graph", "graph_of", "kernel", "star_graph", "wl_features"]

Graph = tuple[list[str], list[tuple[int, int]]]
"""The labels of the nodes, and the edges (source, target) by their numbers."""


def graph_of(space: Space, active: Active) -> Graph:
    """Return a point as a graph: the space's own (`space.graph(active)`) where it has one.

    Else spaces of cells give the cell with operations as nodes (`cell_graph`), and all others a star (`star_graph`).
    """
    own = getattr(space, "graph", None)
    if own is not None:
        graph: Graph = own(active)
        return graph
    if space.cell_form is not None:
        return cell_graph(space, active, *space.cell_form)
    return star_graph(space, active)


def star_graph(space: Space, active: Active) -> Graph:
    """Return a node per group, and to each a node per choice, labelled with place and candidate.

    Two points share as many labels as they have choices in common, and those of the groups: the kernel without
    iterations counts equal choices (Hamming); with one, whole groups in common count too.
    """
    labels: list[str] = []
    edges: list[tuple[int, int]] = []
    for group in space.groups:
        centre = len(labels)
        labels.append(group.name)
        for choice, pick in enumerate(active[group.name]):
            edges.append((len(labels), centre))
            labels.append(f"{group.name}[{choice}]={_name(group.candidates, pick)}")
    return labels, edges


def cell_graph(space: Space, active: Active, inputs: int, all_nodes: bool) -> Graph:
    """Return cells whose operations sit on edges as graphs of operations, each group a cell of its own.

    A group's choices are the edges into the first inner node, then those into the second, and so on, each from all
    earlier states in order. Every live operation is a node from its state to its state; `Space.zero_operations` ones
    and those that lead nowhere or come from nowhere are left out: they change no function. Inner states have one label,
    so that renumbering them changes nothing.
    """
    labels: list[str] = []
    edges: list[tuple[int, int]] = []
    for group in space.groups:
        states = [f"{group.name}:input {number}" for number in range(inputs)]
        live: list[tuple[int, int, str]] = []
        picks = iter(active[group.name])
        while (step := len(states)) and (block := [pick for _, pick in zip(range(step), picks, strict=False)]):
            named = [(source, _name(group.candidates, pick), pick) for source, pick in enumerate(block)]
            live += [
                (source, step, name) for source, name, pick in named if pick >= 0 and name not in space.zero_operations
            ]
            states.append(f"{group.name}:sum")
        ends = range(inputs, len(states)) if all_nodes else range(len(states) - 1, len(states))
        live += [(state, len(states), f"{group.name}:join") for state in ends]
        states.append(f"{group.name}:output")
        kept = _useful(live, inputs, len(states) - 1)
        numbers = {
            state: len(labels) + place
            for place, state in enumerate(sorted({len(states) - 1, *(s for e in kept for s in e[:2])}))
        }
        labels += [states[state] for state in numbers]
        for source, target, name in kept:
            edges += [(numbers[source], len(labels)), (len(labels), numbers[target])]
            labels.append(name if name.startswith(group.name) else f"{group.name}:{name}")
    return labels, edges


def _name(candidates: Sequence[str], pick: int) -> str:
    return "-" if pick < 0 else candidates[pick]


def _useful(live: Sequence[tuple[int, int, str]], inputs: int, output: int) -> list[tuple[int, int, str]]:
    """Return the edges on some way from an input to the output."""
    reached, receiving = set(range(inputs)), {output}
    for source, target, _ in sorted(live, key=lambda edge: edge[1]):
        if source in reached:
            reached.add(target)
    for source, target, _ in sorted(live, key=lambda edge: -edge[0]):
        if target in receiving:
            receiving.add(source)
    return [edge for edge in live if edge[0] in reached and edge[1] in receiving]


def wl_features(graph: Graph, iterations: int) -> list[Counter[str]]:
    """Return how often each label occurs: at first, and after each of `iterations` Weisfeiler-Lehman refinements.

    A refinement joins a node's label with the sorted labels of the nodes before it (Ru et al. 2021, section 3.1), so
    the order in which nodes are numbered never shows.
    """
    labels, edges = graph
    before: list[list[int]] = [[] for _ in labels]
    for source, target in edges:
        before[target].append(source)
    found = [Counter(labels)]
    for _ in range(iterations):
        labels = [f"{label}({'|'.join(sorted(labels[s] for s in before[n]))})" for n, label in enumerate(labels)]
        found.append(Counter(labels))
    return found


def kernel(features: Sequence[Sequence[Counter[Any]]], iterations: int) -> Tensor:
    """Return the kernel between graphs, 1 on the diagonal: float64 `[graphs, graphs]`, symmetric and positive.

    The inner product of the counts of all labels up to an iteration, by the two graphs' norms.
    """
    number: dict[tuple[int, str], int] = {}
    places: list[list[int]] = [[], []]
    values: list[float] = []
    for row, levels in enumerate(features):
        for level, counts in enumerate(levels[: iterations + 1]):
            for label, count in counts.items():
                places[0].append(row)
                places[1].append(number.setdefault((level, label), len(number)))
                values.append(float(count))
    table = torch.zeros(len(features), max(1, len(number)), dtype=torch.float64)
    table[torch.tensor(places[0]), torch.tensor(places[1])] = torch.tensor(values, dtype=torch.float64)
    table = torch.nn.functional.normalize(table, dim=1)
    return table @ table.T
