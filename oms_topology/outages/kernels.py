"""The loops of inference on a forest: sums upwards, choices and probabilities downwards.

Per node two numbers of evidence, in units: ``dead``, the log-likelihood ratio of all that was heard about
the node if it has no power against if it has, and ``failed``, the same if it failed itself, its prior
log-odds included. Two sums over its children: ``sum_dead`` of their scores when their supply is lost,
``sum_alive`` when it is there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Nodes = NDArray[np.int32]

__all__ = [
    "DEAD",
    "FAILED",
    "NO_LIMIT",
    "belief_at",
    "believe_up",
    "best_down",
    "best_up",
    "blamed_above",
    "change_beliefs",
    "change_best",
    "depth_order",
    "hang_beliefs",
    "hang_best",
    "probabilities_down",
    "report_best",
]

DEAD, FAILED = 1, 2
NO_LIMIT = 1 << 62

_FINER = 24
_UNIT = 2.0**-34
_NOTHING = 26.0


@compiled
def best_up(
    order: Nodes, parent: Nodes, dead: Integers, failed: Integers, sum_dead: Integers, sum_alive: Integers
) -> int:
    """Fill the sums of best scores, which come as zeros; returns the best score of all."""
    total = 0
    for at in range(len(order) - 1, -1, -1):
        node = order[at]
        if_failed = failed[node] + sum_dead[node]
        alive = max(if_failed, sum_alive[node])
        above = parent[node]
        if above < 0:
            total += alive
        else:
            sum_dead[above] += max(dead[node] + sum_dead[node], if_failed)
            sum_alive[above] += alive
    return total


@compiled
def _fails(node: int, failed: Integers, sum_dead: Integers, sum_alive: Integers) -> bool:
    """Tell whether a node with supply is best explained as failed; ties go to it, but not against silence."""
    if_failed, if_not = failed[node] + sum_dead[node], sum_alive[node]
    return bool(if_failed > if_not or (if_failed == if_not and if_not > 0))


@compiled
def best_down(
    order: Nodes,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
    state: NDArray[np.uint8],
) -> int:
    """Write for each node whether it is dead and whether it failed; returns how many failed."""
    count = 0
    for at in range(len(order)):
        node = order[at]
        above = parent[node]
        if above >= 0 and state[above] & DEAD:
            has_failed = failed[node] > dead[node]
            state[node] = DEAD | FAILED if has_failed else DEAD
        else:
            has_failed = _fails(node, failed, sum_dead, sum_alive)
            state[node] = DEAD | FAILED if has_failed else 0
        count += has_failed
    return count


@compiled
def blamed_above(node: int, parent: Nodes, failed: Integers, sum_dead: Integers, sum_alive: Integers) -> int:
    """Find the device that the best explanation blames for a node's loss; -1 where it has supply."""
    blamed = -1
    while node >= 0:
        if _fails(node, failed, sum_dead, sum_alive):
            blamed = node
        node = parent[node]
    return blamed


@compiled
def _climb_best(
    node: int,
    more_dead: int,
    more_alive: int,
    parent: Nodes,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
) -> int:
    """Add what a child's scores changed by, from its parent up; returns what the total changed by."""
    while node >= 0 and (more_dead != 0 or more_alive != 0):
        before = max(failed[node] + sum_dead[node], sum_alive[node])
        sum_dead[node] += more_dead
        sum_alive[node] += more_alive
        more_alive = max(failed[node] + sum_dead[node], sum_alive[node]) - before
        node = parent[node]
    return more_alive if node < 0 else 0


@compiled
def change_best(
    node: int,
    new_dead: int,
    new_failed: int,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
) -> int:
    """Put other evidence at a node; returns what the best score changed by."""
    old_dead = max(dead[node], failed[node])
    old_alive = max(failed[node] + sum_dead[node], sum_alive[node])
    dead[node], failed[node] = new_dead, new_failed
    more_dead = max(new_dead, new_failed) - old_dead
    more_alive = max(new_failed + sum_dead[node], sum_alive[node]) - old_alive
    return _climb_best(parent[node], more_dead, more_alive, parent, failed, sum_dead, sum_alive)


@compiled
def report_best(
    nodes: Nodes,
    weights: Integers,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
    blamed: Nodes,
) -> int:
    """Take reports one after the other, deciding after each; returns what the best score changed by."""
    change = 0
    for at in range(len(nodes)):
        node = nodes[at]
        new_dead, new_failed = dead[node] + weights[at], failed[node] + weights[at]
        change += change_best(node, new_dead, new_failed, parent, dead, failed, sum_dead, sum_alive)
        blamed[at] = blamed_above(node, parent, failed, sum_dead, sum_alive)
    return change


@compiled
def hang_best(
    node: int,
    new_parent: int,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
) -> int:
    """Hang a node on another parent; returns what the best score changed by."""
    if_dead = max(dead[node], failed[node]) + sum_dead[node]
    if_alive = max(failed[node] + sum_dead[node], sum_alive[node])
    old = parent[node]
    change = _climb_best(old, -if_dead, -if_alive, parent, failed, sum_dead, sum_alive)
    return change + _climb_best(new_parent, if_dead, if_alive, parent, failed, sum_dead, sum_alive)


# Probabilities: the same sums over all explanations. Messages are whole numbers of 2**-34 nat, so that what
# was added can be taken away again without a trace, and a change leaves what a fresh start would give.


@compiled
def _log_one_plus(fine: int) -> int:
    """Give log(1 + exp(x)), in and out as whole numbers of 2**-34 nat."""
    size = abs(fine) * _UNIT
    extra = math.floor(math.log1p(math.exp(-size)) / _UNIT + 0.5) if size < _NOTHING else 0
    return max(fine, 0) + extra


@compiled
def _share(fine: int) -> float:
    """Give exp(x) / (1 + exp(x)) of a whole number of 2**-34 nat."""
    x = fine * _UNIT
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    raised = math.exp(x)
    return raised / (1.0 + raised)


@compiled
def _if_dead(node: int, dead: Integers, failed: Integers) -> int:
    """Log-sum of a node's own two ways to be dead when its supply is lost, in fine units."""
    return int(dead[node] << _FINER) + _log_one_plus((failed[node] - dead[node]) << _FINER)


@compiled
def _if_alive(node: int, failed: Integers, sum_dead: Integers, sum_alive: Integers) -> int:
    """Log-sum over a subtree when its supply is there, in fine units."""
    return int(sum_alive[node]) + _log_one_plus((failed[node] << _FINER) + sum_dead[node] - sum_alive[node])


@compiled
def believe_up(
    order: Nodes, parent: Nodes, dead: Integers, failed: Integers, sum_dead: Integers, sum_alive: Integers
) -> int:
    """Fill the sums of log-sums, which come as zeros, in fine units; returns that of the whole."""
    total = 0
    last, last_soft = -1, _log_one_plus(-1 << _FINER)
    for at in range(len(order) - 1, -1, -1):
        node = order[at]
        alive = _if_alive(node, failed, sum_dead, sum_alive)
        above = parent[node]
        if above < 0:
            total += alive
            continue
        apart = failed[node] - dead[node]
        if apart != last:
            last, last_soft = apart, _log_one_plus(apart << _FINER)
        sum_dead[above] += (dead[node] << _FINER) + last_soft + sum_dead[node]
        sum_alive[above] += alive
    return total


@compiled
def probabilities_down(
    order: Nodes,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
    is_failed: NDArray[np.float64],
    is_dead: NDArray[np.float64],
) -> int:
    """Write the probabilities that each node failed and that it is dead."""
    last, last_share = -1, _share(-1 << _FINER)
    for at in range(len(order)):
        node = order[at]
        above = parent[node]
        lost = is_dead[above] if above >= 0 else 0.0
        apart = failed[node] - dead[node]
        if apart != last:
            last, last_share = apart, _share(apart << _FINER)
        own = (1.0 - lost) * _share((failed[node] << _FINER) + sum_dead[node] - sum_alive[node])
        is_failed[node] = own + lost * last_share
        is_dead[node] = own + lost
    return len(order)


@compiled
def belief_at(
    node: int, parent: Nodes, dead: Integers, failed: Integers, sum_dead: Integers, sum_alive: Integers
) -> tuple[float, float]:
    """Give the probabilities that one node failed and that it is dead, by a climb to its root."""
    has_supply, above = 1.0, parent[node]
    while above >= 0:
        has_supply *= _share(sum_alive[above] - (failed[above] << _FINER) - sum_dead[above])
        above = parent[above]
    own = has_supply * _share((failed[node] << _FINER) + sum_dead[node] - sum_alive[node])
    lost = 1.0 - has_supply
    return own + lost * _share((failed[node] - dead[node]) << _FINER), own + lost


@compiled
def _climb_beliefs(
    node: int,
    more_dead: int,
    more_alive: int,
    parent: Nodes,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
) -> int:
    while node >= 0 and (more_dead != 0 or more_alive != 0):
        before = _if_alive(node, failed, sum_dead, sum_alive)
        sum_dead[node] += more_dead
        sum_alive[node] += more_alive
        more_alive = _if_alive(node, failed, sum_dead, sum_alive) - before
        node = parent[node]
    return more_alive if node < 0 else 0


@compiled
def change_beliefs(
    node: int,
    old_dead: int,
    old_failed: int,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
) -> int:
    """Let the sums follow evidence that was already put at a node; returns what the whole changed by."""
    new_dead, new_failed = dead[node], failed[node]
    dead[node], failed[node] = old_dead, old_failed
    before_dead = _if_dead(node, dead, failed)
    before_alive = _if_alive(node, failed, sum_dead, sum_alive)
    dead[node], failed[node] = new_dead, new_failed
    more_dead = _if_dead(node, dead, failed) - before_dead
    more_alive = _if_alive(node, failed, sum_dead, sum_alive) - before_alive
    return _climb_beliefs(parent[node], more_dead, more_alive, parent, failed, sum_dead, sum_alive)


@compiled
def hang_beliefs(
    node: int,
    new_parent: int,
    parent: Nodes,
    dead: Integers,
    failed: Integers,
    sum_dead: Integers,
    sum_alive: Integers,
) -> int:
    """Let the sums follow a node to another parent; returns what the whole changed by."""
    if_dead = _if_dead(node, dead, failed) + sum_dead[node]
    if_alive = _if_alive(node, failed, sum_dead, sum_alive)
    change = _climb_beliefs(parent[node], -if_dead, -if_alive, parent, failed, sum_dead, sum_alive)
    return change + _climb_beliefs(new_parent, if_dead, if_alive, parent, failed, sum_dead, sum_alive)


@compiled
def depth_order(parent: Nodes) -> Any:
    """List the nodes so that each comes after its parent: by depth, then by number."""
    count = len(parent)
    depth = np.full(count, -1, dtype=np.int32)
    deepest = 0
    for start in range(count):
        node, steps = start, 0
        while node >= 0 and depth[node] < 0:
            node, steps = parent[node], steps + 1
        below = (depth[node] if node >= 0 else -1) + steps
        deepest = max(deepest, below)
        node = start
        while node >= 0 and depth[node] < 0:
            depth[node] = below
            node, below = parent[node], below - 1
    begins = np.zeros(deepest + 2, dtype=np.int64)
    for node in range(count):
        begins[depth[node] + 1] += 1
    begins = np.cumsum(begins)
    order = np.empty(count, dtype=np.int32)
    for node in range(count):
        order[begins[depth[node]]] = node
        begins[depth[node]] += 1
    return order
