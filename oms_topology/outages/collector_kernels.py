"""The loops of inference with collectors: per node one table over the states of those that straddle it.

A collector is *open* at a node when it has members at or below it and members elsewhere. A node's table
goes over the collectors that are open at it or end at it, bit by bit: those still open first. All members'
lowest common device, where a collector ends, takes the better or the sum of its two states. A last row
after the nodes stands above all sources.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from oms_topology.graph.engine.compiling import compiled
from oms_topology.outages.kernels import DEAD, FAILED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Nodes = NDArray[np.int32]

__all__ = ["MOST_AT_ONCE", "Layout", "Tables", "best_down", "layout_of", "probabilities_down", "tables_up"]

MOST_AT_ONCE = 10
_IMPOSSIBLE = -1e18


class Layout(NamedTuple):
    """Where each node's table stands and which collectors it goes over.

    Attributes
    ----------
    items : int32 array, shape (nodes + 1, MOST_AT_ONCE)
        The collectors of each table, those open above first.
    width, kept : int32 arrays
        How many there are, and how many of them are open above.
    offset : int64 array
        Where the table begins.
    """

    items: NDArray[np.int32]
    width: Nodes
    kept: Nodes
    offset: NDArray[np.int64]


class Tables(NamedTuple):
    """What was summed from below: before a node takes its own evidence, and what it passes up.

    ``dead``, ``alive`` and ``calm`` stand for: supply lost, supply there, supply there and nothing failed.
    """

    sum_dead: Numbers
    sum_alive: Numbers
    sum_calm: Numbers
    out_dead: Numbers
    out_alive: Numbers
    out_calm: Numbers


@compiled
def _find(items: Nodes, width: int, wanted: int) -> int:
    for at in range(width):
        if items[at] == wanted:
            return at
    return -1


@compiled
def _count_in(items: Nodes, counts: Nodes, width: Nodes, node: int, found: int, more: int) -> bool:
    """Count members of a collector at a node; False when there is no room for one more collector."""
    at = _find(items, width[node], found)
    if at < 0:
        at = width[node]
        if at == len(items):
            return False
        items[at], counts[at] = found, 0
        width[node] = at + 1
    counts[at] += more
    return True


@compiled
def _open_first(items: Nodes, counts: Nodes, width: int, members: Nodes) -> int:
    """Put the collectors with members elsewhere before those that end here; returns how many."""
    kept = 0
    for at in range(width):
        if counts[at] < members[items[at]]:
            items[at], items[kept] = items[kept], items[at]
            counts[at], counts[kept] = counts[kept], counts[at]
            kept += 1
    return kept


@compiled
def _above(node: int, parent: Nodes) -> int:
    return int(parent[node]) if parent[node] >= 0 else len(parent)


@compiled
def _gather(
    parent: Nodes,
    collector: Nodes,
    members: Nodes,
    items: NDArray[np.int32],
    counts: NDArray[np.int32],
    width: Nodes,
    kept: Nodes,
) -> bool:
    """Find each node's collectors from the leaves up; False when there are too many at one."""
    nodes = len(parent)
    for step in range(nodes + 1):
        node = nodes - 1 - step if step < nodes else nodes
        if (
            node < nodes
            and collector[node] >= 0
            and not _count_in(items[node], counts[node], width, node, collector[node], 1)
        ):
            return False
        kept[node] = _open_first(items[node], counts[node], width[node], members)
        if node == nodes:
            break
        above = _above(node, parent)
        for bit in range(kept[node]):
            more = counts[node, bit]
            if not _count_in(items[above], counts[above], width, above, items[node, bit], more):
                return False
    return True


def layout_of(parent: Nodes, collector: Nodes, collectors: int) -> Layout | None:
    """Lay out the tables; None when more than ``MOST_AT_ONCE`` collectors meet at one node."""
    rows = len(parent) + 1
    members = np.bincount(collector[collector >= 0], minlength=collectors).astype(np.int32)
    items = np.full((rows, MOST_AT_ONCE), -1, dtype=np.int32)
    counts = np.zeros((rows, MOST_AT_ONCE), dtype=np.int32)
    width, kept = np.zeros(rows, dtype=np.int32), np.zeros(rows, dtype=np.int32)
    if not _gather(parent, collector, members, items, counts, width, kept):
        return None
    sizes = np.int64(1) << width.astype(np.int64)
    return Layout(items, width, kept, np.cumsum(sizes) - sizes)


@compiled
def _join(one: float, two: float, is_hard: bool) -> float:
    """Take the better of two scores, or their log-sum."""
    high, low = max(one, two), min(one, two)
    return high if is_hard or low <= _IMPOSSIBLE else high + math.log1p(math.exp(low - high))


@compiled
def _below(full: int, node: int, above: int, layout: Layout) -> int:
    """Read off a parent's state of collectors the state of those that are open at its child."""
    state = 0
    for bit in range(layout.kept[node]):
        at = _find(layout.items[above], layout.width[above], layout.items[node, bit])
        state |= ((full >> at) & 1) << bit
    return state


@compiled
def _ended(full: int, node: int, layout: Layout, prior: Numbers) -> float:
    """Sum the priors of the dead ones among the collectors that end at a node."""
    total = 0.0
    for bit in range(layout.kept[node], layout.width[node]):
        if (full >> bit) & 1:
            total += prior[layout.items[node, bit]]
    return total


@compiled
def _is_deaf(full: int, node: int, collector: Nodes, layout: Layout) -> int:
    """Tell whether a node's own collector is dead in a state of the table's collectors."""
    if node >= len(collector) or collector[node] < 0:
        return 0
    return (full >> _find(layout.items[node], layout.width[node], collector[node])) & 1


@compiled
def _own(node: int, is_deaf: int, evidence: NDArray[np.float64]) -> tuple[float, float, float]:
    """Give a node's own likelihoods, alive, dead and failed; what stands above all sources cannot fail."""
    if node >= len(evidence):
        return 0.0, 0.0, _IMPOSSIBLE
    own = evidence[node, is_deaf]
    return own[0], own[1], own[2]


@compiled
def _sum_up(
    parent: Nodes,
    collector: Nodes,
    layout: Layout,
    evidence: NDArray[np.float64],
    prior: Numbers,
    is_hard: bool,
    tables: Tables,
) -> None:
    nodes = len(parent)
    for step in range(nodes + 1):
        node = nodes - 1 - step if step < nodes else nodes
        base, passed = layout.offset[node], (1 << layout.kept[node]) - 1
        for full in range(1 << layout.width[node]):
            alive, dead, failed = _own(node, _is_deaf(full, node, collector, layout), evidence)
            extra, at, to = _ended(full, node, layout, prior), base + full, base + (full & passed)
            if_failed = failed + tables.sum_dead[at]
            if_dead = _join(dead + tables.sum_dead[at], if_failed, is_hard) + extra
            if_alive = _join(if_failed, alive + tables.sum_alive[at], is_hard) + extra
            if_calm = alive + tables.sum_calm[at] + extra
            tables.out_dead[to] = _join(tables.out_dead[to], if_dead, is_hard)
            tables.out_alive[to] = _join(tables.out_alive[to], if_alive, is_hard)
            tables.out_calm[to] = max(tables.out_calm[to], if_calm)
        if node == nodes:
            break
        above = _above(node, parent)
        for full in range(1 << layout.width[above]):
            at, mine = layout.offset[above] + full, base + _below(full, node, above, layout)
            tables.sum_dead[at] += tables.out_dead[mine]
            tables.sum_alive[at] += tables.out_alive[mine]
            tables.sum_calm[at] += tables.out_calm[mine]


def tables_up(
    parent: Nodes,
    collector: Nodes,
    layout: Layout,
    evidence: NDArray[np.float64],
    prior: Numbers,
    *,
    is_hard: bool,
) -> Tables:
    """Fill the tables of all nodes, with best scores or with log-sums."""
    size = int(layout.offset[-1]) + (1 << int(layout.width[-1]))
    sums = [np.zeros(size) for _ in range(3)]
    tables = Tables(*sums, *(np.full(size, 2 * _IMPOSSIBLE) for _ in range(3)))
    _sum_up(parent, collector, layout, evidence, prior, is_hard, tables)
    return tables


@compiled
def _choose(
    node: int,
    passed: int,
    is_lost: bool,
    collector: Nodes,
    layout: Layout,
    evidence: NDArray[np.float64],
    prior: Numbers,
    tables: Tables,
) -> tuple[int, bool]:
    """Choose the best state of the collectors that end at a node, and whether it fails."""
    best, chosen, fails = 3 * _IMPOSSIBLE, passed, False
    for ended in range(1 << (layout.width[node] - layout.kept[node])):
        full = passed | (ended << layout.kept[node])
        at = layout.offset[node] + full
        alive, dead, failed = _own(node, _is_deaf(full, node, collector, layout), evidence)
        extra = _ended(full, node, layout, prior)
        if_failed = failed + tables.sum_dead[at]
        if is_lost:
            if_not = dead + tables.sum_dead[at]
            may_fail = if_failed > if_not
        else:
            if_not = alive + tables.sum_alive[at]
            may_fail = if_failed > if_not or (if_failed == if_not and if_not > alive + tables.sum_calm[at])
        score = (if_failed if may_fail else if_not) + extra
        if score > best:
            best, chosen, fails = score, full, may_fail
    return chosen, fails


@compiled
def best_down(
    parent: Nodes,
    collector: Nodes,
    layout: Layout,
    evidence: NDArray[np.float64],
    prior: Numbers,
    tables: Tables,
    state: NDArray[np.uint8],
) -> float:
    """Mark the nodes of the best explanation; returns its score."""
    nodes = len(parent)
    chosen = np.zeros(nodes + 1, dtype=np.int64)
    chosen[nodes], _ = _choose(nodes, 0, False, collector, layout, evidence, prior, tables)
    for node in range(nodes):
        above = _above(node, parent)
        is_lost = parent[node] >= 0 and (state[parent[node]] & DEAD) != 0
        passed = _below(chosen[above], node, above, layout)
        chosen[node], fails = _choose(node, passed, is_lost, collector, layout, evidence, prior, tables)
        state[node] = (DEAD if is_lost or fails else 0) | (FAILED if fails else 0)
    return float(tables.out_alive[layout.offset[nodes]])


@compiled
def probabilities_down(
    parent: Nodes,
    collector: Nodes,
    layout: Layout,
    evidence: NDArray[np.float64],
    prior: Numbers,
    tables: Tables,
    is_failed: Numbers,
    is_dead: Numbers,
    is_deaf: Numbers,
) -> None:
    """Write the probabilities of nodes and collectors; the sums of the tables become joint probabilities."""
    nodes = len(parent)
    size = len(tables.sum_dead)
    lost, there = np.zeros(size), np.zeros(size)
    for step in range(nodes + 1):
        node = nodes if step == 0 else step - 1
        base = layout.offset[node]
        if node == nodes:
            there[base] = 1.0
        else:
            above = _above(node, parent)
            for full in range(1 << layout.width[above]):
                at, mine = layout.offset[above] + full, base + _below(full, node, above, layout)
                lost[mine] += tables.sum_dead[at]
                there[mine] += tables.sum_alive[at]
        passed = (1 << layout.kept[node]) - 1
        for full in range(1 << layout.width[node]):
            alive, dead, failed = _own(node, _is_deaf(full, node, collector, layout), evidence)
            extra, at, mine = _ended(full, node, layout, prior), base + full, base + (full & passed)
            if_failed = failed + tables.sum_dead[at] + extra
            nested = lost[mine] * math.exp(if_failed - tables.out_dead[mine])
            own = there[mine] * math.exp(if_failed - tables.out_alive[mine])
            only_lost = lost[mine] * math.exp(dead + tables.sum_dead[at] + extra - tables.out_dead[mine])
            kept_on = there[mine] * math.exp(alive + tables.sum_alive[at] + extra - tables.out_alive[mine])
            tables.sum_dead[at], tables.sum_alive[at] = nested + own + only_lost, kept_on
            if node < nodes:
                is_failed[node] += nested + own
                is_dead[node] += nested + own + only_lost
        for bit in range(layout.kept[node], layout.width[node]):
            found = 0.0
            for full in range(1 << layout.width[node]):
                if (full >> bit) & 1:
                    found += tables.sum_dead[base + full] + tables.sum_alive[base + full]
            is_deaf[layout.items[node, bit]] = found
