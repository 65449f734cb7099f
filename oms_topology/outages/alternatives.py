"""The k best explanations of a forest: lists of the best scores, merged from the leaves up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.compiling import compiled
from oms_topology.outages.kernels import DEAD, FAILED, NO_LIMIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Nodes = NDArray[np.int32]
    Marks = NDArray[np.int8]

__all__ = ["best_states"]

_NONE = -NO_LIMIT


@compiled
def _insert(scores: Integers, first: Marks, second: Marks, score: int, one: int, two: int) -> None:
    """Put a candidate into a list that is sorted, best first, behind its equals."""
    at = len(scores) - 1
    if score <= scores[at]:
        return
    while at > 0 and scores[at - 1] < score:
        scores[at], first[at], second[at] = scores[at - 1], first[at - 1], second[at - 1]
        at -= 1
    scores[at], first[at], second[at] = score, one, two


@compiled
def _add_child(scores: Integers, child: Integers, before: Marks, own: Marks, room: Integers) -> None:
    """Replace a list by the best sums of one of it and one of a child's; remember which those were."""
    count = len(scores)
    room[:] = _NONE
    for one in range(count):
        if scores[one] == _NONE:
            break
        for two in range(count // (one + 1)):
            if child[two] == _NONE:
                break
            _insert(room, before, own, scores[one] + child[two], one, two)
    scores[:] = room


@compiled
def _choose(
    if_not: Integers, if_failed: Integers, extra: int, more: int, scores: Integers, rank: Marks, fails: Marks
) -> None:
    """Merge the lists of a node that did not fail and of one that did."""
    for at in range(len(scores)):
        if if_not[at] != _NONE:
            _insert(scores, rank, fails, if_not[at] + extra, at, 0)
        if if_failed[at] != _NONE:
            _insert(scores, rank, fails, if_failed[at] + more, at, 1)


@compiled
def _lists_up(
    order: Nodes,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sums: NDArray[np.int64],
    picked: NDArray[np.int8],
    merged: NDArray[np.int8],
) -> None:
    """Fill the lists of every node; those of the roots gather in the row after the last node."""
    count = sums.shape[2]
    own = np.empty((2, count), dtype=np.int64)
    room = np.empty(count, dtype=np.int64)
    for at in range(len(order) - 1, -1, -1):
        node = order[at]
        own[:] = _NONE
        _choose(sums[node, 0], sums[node, 1], 0, failed[node], own[0], picked[node, 0], picked[node, 1])
        _choose(
            sums[node, 1],
            sums[node, 1],
            dead[node],
            failed[node],
            own[1],
            picked[node, 2],
            picked[node, 3],
        )
        above = parent[node] if parent[node] >= 0 else len(order)
        for lost in range(2):
            before, mine = merged[node, 2 * lost], merged[node, 2 * lost + 1]
            _add_child(sums[above, lost], own[lost], before, mine, room)


@compiled
def _read_down(
    order: Nodes,
    parent: Nodes,
    picked: NDArray[np.int8],
    merged: NDArray[np.int8],
    rank: int,
    state: NDArray[np.uint8],
) -> None:
    """Mark the nodes of the explanation of one rank; children were merged last first."""
    current = np.zeros(len(order) + 1, dtype=np.int8)
    current[len(order)] = rank
    for at in range(len(order)):
        node = order[at]
        above = parent[node] if parent[node] >= 0 else len(order)
        lost = 1 if parent[node] >= 0 and state[parent[node]] & DEAD else 0
        mine = merged[node, 2 * lost + 1, current[above]]
        current[above] = merged[node, 2 * lost, current[above]]
        fails = picked[node, 2 * lost + 1, mine]
        current[node] = picked[node, 2 * lost, mine]
        state[node] = (DEAD if lost or fails else 0) | (FAILED if fails else 0)


def best_states(
    order: Nodes, parent: Nodes, dead: Integers, failed: Integers, count: int
) -> tuple[list[int], list[NDArray[np.uint8]]]:
    """Give scores and marks of the ``count`` best explanations, best first."""
    nodes = len(order)
    width = max(1, min(count, 100))
    sums = np.full((nodes + 1, 2, width), _NONE, dtype=np.int64)
    sums[:, :, 0] = 0
    picked = np.zeros((nodes, 4, width), dtype=np.int8)
    merged = np.zeros((nodes, 4, width), dtype=np.int8)
    _lists_up(order, parent, dead, failed, sums, picked, merged)
    scores = [int(score) for score in sums[nodes, 0] if score != _NONE]
    states = []
    for rank in range(len(scores)):
        state = np.zeros(nodes, dtype=np.uint8)
        _read_down(order, parent, picked, merged, rank, state)
        states.append(state)
    return scores, states
