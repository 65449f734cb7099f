"""The loops that change supply trees: compiled by numba where it is installed, and the same Python where not.

Imported when the first change is made, never with the package: loading the compiler takes half a second.
The functions that change something read old blocks of an :class:`~oms_topology.graph.engine.arena.Arena`,
append new ones and point ``position`` and ``layout`` at them; ``FULL`` says that the arena needs more
room and that nothing was changed. ``position[d]`` is the place of device row ``d``; ``-2 - place`` in a
tree without supply, -1 for a device that is gone. ``layout[tree[p]]`` leads from place ``p`` to its number
in ``first``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.arena import FULL, NOT_PLAIN, SPARE
from oms_topology.graph.engine.arrays import Arrays, arrays_of
from oms_topology.graph.engine.compiling import compiled, is_compiled
from oms_topology.graph.engine.meter_kernels import (
    copied,
    copy,
    meters_of,
    move_meter,
    place_of,
    root_of,
    spared,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int32]

__all__ = [
    "adopt",
    "graft",
    "is_compiled",
    "lowest_common",
    "move_meter",
    "prune",
    "refeed",
    "repack",
    "switch",
]


@compiled
def _begin(state: Arrays) -> tuple[int, int]:
    """Begin a new block and its layout; returns its first place, and where its meters begin."""
    used = state.used
    state.layout[used[3]] = used[1] - used[0]
    return int(used[0]), int(used[2])


@compiled
def _end(state: Arrays, places: int, meters: int) -> None:
    """Close the block that was begun: so many places, and the meters up to this one."""
    used = state.used
    state.first[used[1] + places] = meters
    used[0] += places
    used[1] += places + 1
    used[2] = spared(state.meter_at, meters)
    used[3] += 1


@compiled
def _has_room(state: Arrays, places: int, meters: int) -> bool:
    used = state.used
    return bool(
        used[0] + places <= len(state.device_at)
        and used[1] + places + 4 <= len(state.first)
        and used[2] + meters + 4 * SPARE <= len(state.meter_at)
        and used[3] + 4 <= len(state.layout)
    )


@compiled
def _copy_places(
    state: Arrays, start: int, count: int, to: int, split: int, before: int, behind: int, meters: int
) -> None:
    """Copy places into the block that was begun, with their numbers in the layout.

    Parents shift by ``before``, those from ``split`` on by ``behind``, and where meters begin by ``meters``.
    """
    used, offset = state.used, state.layout[state.tree[start]] if count else 0
    copy(state.device_at, to, start, count)
    copy(state.size, to, start, count)
    trees = state.tree[to : to + count]
    for step in range(len(trees)):
        trees[step] = used[3]
    old, new = state.parent[start : start + count], state.parent[to : to + count]
    for step in range(count):
        new[step] = old[step] + (before if old[step] < split else behind)
    number = to - used[0] + used[1]
    old, new = state.first[start + offset : start + offset + count], state.first[number : number + count]
    for step in range(count):
        new[step] = old[step] + meters


@compiled
def _stand(state: Arrays, base: int, is_dead: bool) -> None:
    """Let the devices of a block stand where it has them."""
    position = state.position
    rows = state.device_at[base : base + state.size[base]]
    if is_dead:
        for step in range(len(rows)):
            position[rows[step]] = -2 - base - step
    else:
        for step in range(len(rows)):
            position[rows[step]] = base + step


@compiled
def _widen(state: Arrays, place: int, shift: int, width: int) -> None:
    """Let the copies of a place and of all above it have more below them; places shifted in copying."""
    while place >= 0:
        state.size[place + shift] += width
        place = state.parent[place]


@compiled
def _without(state: Arrays, top: int) -> int:
    """Write the block of a place without its subtree; returns where it begins."""
    base, width, first = root_of(state.parent, top), state.size[top], state.first
    count, offset = state.size[base], state.layout[state.tree[base]]
    begin, end = first[base + offset], first[base + count + offset]
    low, high = first[top + offset], first[top + width + offset]
    to, to_meter, rest = *_begin(state), top + width
    shift, meters = to - base, to_meter - begin
    _copy_places(state, base, top - base, to, top, shift, shift, meters)
    left, meters = base + count - rest, meters - (high - low)
    _copy_places(state, rest, left, top + shift, top, shift, shift - width, meters)
    state.parent[to] = -1
    _widen(state, state.parent[top], shift, -width)
    write = copied(state.meter_at, to_meter, begin, low)
    _end(state, count - width, copied(state.meter_at, write, high, end))
    return to


@compiled
def _alone(state: Arrays, top: int) -> int:
    """Write the subtree of a place as a block of its own; returns where it begins."""
    width, offset = state.size[top], state.layout[state.tree[top]]
    low, high = state.first[top + offset], state.first[top + width + offset]
    to, to_meter = _begin(state)
    _copy_places(state, top, width, to, top, to - top, to - top, to_meter - low)
    state.parent[to] = -1
    _end(state, width, copied(state.meter_at, to_meter, low, high))
    return to


@compiled
def _pruned(state: Arrays, device: int) -> int:
    """Cut a device and all below it from what feeds it; returns how many meters it has below."""
    top = place_of(state.position, device)
    base = root_of(state.parent, top)
    if not _has_room(state, state.size[base], meters_of(state, base)):
        return FULL
    at = top + state.layout[state.tree[top]]
    below = state.first[at + state.size[top]] - state.first[at]
    is_dead = state.position[device] < 0
    _stand(state, _without(state, top), is_dead)
    _stand(state, _alone(state, top), True)
    return int(below)


@compiled
def prune(state: Any, device: int) -> int:
    """Cut a device and all below it from what feeds it; returns how many meters it has below."""
    return _pruned(arrays_of(state), device)


@compiled
def _moved_run(
    state: Arrays, offset: int, to: int, to_meter: int, start: int, stop: int, above: int
) -> tuple[int, int]:
    """Copy whole subtrees that stand one after another and hang on the same new parent."""
    device_at, size, parent, tree, first, meter_at, used, _, _ = state
    start_meter = first[start + offset]
    for place in range(start, stop):
        at = to + place - start
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - start + to if parent[place] >= start else above
        tree[at] = used[3]
        first[at - used[0] + used[1]] = first[place + offset] - start_meter + to_meter
    return to + stop - start, copied(meter_at, to_meter, start_meter, first[stop + offset])


@compiled
def _turn(state: Arrays, top: int) -> int:
    """Write a block anew with another of its places as the root; returns where it begins.

    What was above the new root hangs below it: on the way up each device gets its old parent as one more
    child, among its others by device row.
    """
    device_at, size, parent, tree, first, meter_at, _, _, layout = state
    base = root_of(parent, top)
    count, offset = size[base], layout[tree[base]]
    to, to_meter = _begin(state)
    new_base, number, new_tree = to, state.used[1], state.used[3]
    way = np.empty(count, dtype=np.int64)
    new_place = np.empty(count, dtype=np.int64)
    rest = np.empty(count, dtype=np.int64)
    steps, place, below = 0, top, -1
    while place >= 0:
        way[steps], new_place[steps] = place, to
        device_at[to] = device_at[place]
        size[to] = count - (size[below] if below >= 0 else 0)
        parent[to] = new_place[steps - 1] if steps else -1
        tree[to] = new_tree
        first[number + to - new_base] = to_meter
        to += 1
        to_meter = copied(meter_at, to_meter, first[place + offset], first[place + 1 + offset])
        above = parent[place]
        child, stop = place + 1, place + size[place]
        while child < stop and above >= 0 and device_at[child] < device_at[above]:
            after = child + size[child]
            if child != below:
                to, to_meter = _moved_run(
                    state,
                    offset,
                    to,
                    to_meter,
                    child,
                    after,
                    new_place[steps],
                )
            child = after
        rest[steps] = child
        place, below, steps = above, place, steps + 1
    for step in range(steps - 1, -1, -1):
        below = way[step - 1] if step else -1
        child, stop = rest[step], way[step] + size[way[step]]
        while child < stop:
            after = child + size[child]
            if child != below:
                to, to_meter = _moved_run(
                    state,
                    offset,
                    to,
                    to_meter,
                    child,
                    after,
                    new_place[step],
                )
            child = after
    _end(state, count, to_meter)
    _stand(state, new_base, True)
    return new_base


@compiled
def _gap(state: Arrays, above: int, device: int) -> int:
    """Find the place at which a device would stand among the children of another, by row."""
    place, stop = above + 1, above + state.size[above]
    while place < stop and state.device_at[place] < device:
        place += state.size[place]
    return place


@compiled
def _with(state: Arrays, top: int, above: int) -> int:
    """Write the block of place ``above`` with the subtree at ``top`` below it; returns where it begins."""
    base, width, first = root_of(state.parent, above), state.size[top], state.first
    count, offset = state.size[base], state.layout[state.tree[base]]
    begin, end = first[base + offset], first[base + count + offset]
    at = top + state.layout[state.tree[top]]
    low, high = first[at], first[at + width]
    gap = _gap(state, above, state.device_at[top])
    split = first[gap + offset]
    to, to_meter = _begin(state)
    shift, meters = to - base, to_meter - begin
    _copy_places(state, base, gap - base, to, gap, shift, shift, meters)
    _copy_places(state, top, width, gap + shift, top, 0, gap + shift - top, meters + split - low)
    left, meters = base + count - gap, meters + high - low
    _copy_places(state, gap, left, gap + shift + width, gap, shift, shift + width, meters)
    state.parent[to] = -1
    state.parent[gap + shift] = above + shift
    _widen(state, above, shift, width)
    write = copied(state.meter_at, to_meter, begin, split)
    write = copied(state.meter_at, write, low, high)
    _end(state, count + width, copied(state.meter_at, write, split, end))
    return to


@compiled
def _grafted(state: Arrays, device: int, target: int) -> int:
    """Feed a tree without supply from ``target``; returns how many meters it has."""
    size, parent = state.size, state.parent
    top, above = place_of(state.position, device), place_of(state.position, target)
    island, base = root_of(parent, top), root_of(parent, above)
    meters = meters_of(state, island)
    if not _has_room(state, 2 * size[island] + size[base], 2 * meters + meters_of(state, base)):
        return FULL
    if top != island:
        top = _turn(state, top)
    _stand(state, _with(state, top, above), state.position[target] < 0)
    return int(meters)


@compiled
def graft(state: Any, device: int, target: int) -> int:
    """Feed a tree without supply from ``target``, over a branch that ends at its device ``device``.

    Returns
    -------
    int
        How many meters it has.
    """
    return _grafted(arrays_of(state), device, target)


@compiled
def _is_fed_by(state: Arrays, device: int, other: int) -> bool:
    above = state.parent[place_of(state.position, device)]
    return bool(above >= 0 and state.device_at[above] == other)


@compiled
def _is_same_tree(state: Arrays, base: int, twin: Arrays, home: int) -> bool:
    """Tell whether two states have the same devices in the same tree, and the same meters on them."""
    device_at, size, first, meter_at = state.device_at, state.size, state.first, state.meter_at
    count = size[base]
    one, other = base + state.layout[state.tree[base]], home + twin.layout[twin.tree[home]]
    shift = first[other] - first[one]
    if size[home] != count or first[other + count] - first[one + count] != shift:
        return False
    difference = 0  # in one number, not by leaving the loop: so many are compared at once
    for step in range(count):
        difference |= device_at[base + step] ^ device_at[home + step]
        difference |= size[base + step] ^ size[home + step]
        difference |= first[other + step] - first[one + step] - shift
    if difference:
        return False
    mine, others = meter_at[first[one] : first[one + count]], meter_at[first[other] : first[other + count]]
    for step in range(len(mine)):
        difference |= mine[step] ^ others[step]
    return difference == 0


@compiled
def _reunited(state: Arrays, twin: Arrays, device: int) -> bool:
    """Let a state share the tree of a device with its twin again, if they are the same."""
    base = root_of(state.parent, place_of(state.position, device))
    home = twin.position[state.device_at[base]]
    if home < 0 or state.position[device] < 0 or twin.parent[home] >= 0:
        return False
    number = twin.tree[home]
    if number >= len(state.layout) or not _is_same_tree(state, base, twin, home):
        return False
    _stand(state, home, False)
    state.layout[number] = twin.layout[number]
    return True


@compiled
def switch(state: Any, twin: Any, start: int, end: int, is_open: int) -> int:
    """Open or close a branch between two devices where no closed branch is left out of the trees.

    A tree that by closing becomes the one of the twin, the normal state, is shared with it from then on.

    Returns
    -------
    int
        How many meters lost or gained supply, or ``NOT_PLAIN``: the branch closes a loop, joins two
        sources, or feeds nothing.
    """
    arrays = arrays_of(state)
    position = arrays.position
    if position[start] == -1 or position[end] == -1:
        return NOT_PLAIN
    if is_open:
        if _is_fed_by(arrays, end, start):
            device = end
        elif _is_fed_by(arrays, start, end):
            device = start
        else:
            return NOT_PLAIN
        has_supply = position[device] >= 0
        done = _pruned(arrays, device)
    else:
        if position[start] >= 0 and position[end] < 0:
            device, target = end, start
        elif position[end] >= 0 and position[start] < 0:
            device, target = start, end
        else:
            return NOT_PLAIN
        has_supply = True
        places, numbers, meters, trees = arrays.used
        done = _grafted(arrays, device, target)
        if done >= 0 and _reunited(arrays, arrays_of(twin), target):
            used = arrays.used
            used[0], used[1], used[2], used[3] = places, numbers, meters, trees
    return done if has_supply or done < 0 else 0


@compiled
def _adopted(state: Arrays, twin: Arrays, device: int) -> None:
    device_at, base = state.device_at, root_of(state.parent, place_of(state.position, device))
    for place in range(base, base + state.size[base]):
        twin.position[device_at[place]] = state.position[device_at[place]]
    twin.layout[state.tree[base]] = state.layout[state.tree[base]]


@compiled
def adopt(state: Any, twin: Any, device: int) -> int:
    """Let another state share the tree in which a device stands."""
    _adopted(arrays_of(state), arrays_of(twin), device)
    return 0


@compiled
def _is_alike(state: Arrays, twin: Arrays, device: int) -> bool:
    """Tell whether two states share the tree of a device, with supply or without."""
    number = state.tree[place_of(state.position, device)]
    return bool(
        twin.position[device] == state.position[device] and twin.layout[number] == state.layout[number]
    )


@compiled
def _can_move(state: Arrays, device: int, target: int) -> bool:
    """Tell whether a fed subtree and what shall feed it both have supply, and stand apart."""
    top, above = state.position[device], state.position[target]
    if top < 0 or above < 0 or state.parent[top] < 0:
        return False
    return bool(not top <= above < top + state.size[top])


@compiled
def _room_to_move(state: Arrays, device: int, target: int) -> tuple[int, int]:
    """Count the places and meters that moving a subtree writes at the most."""
    old = root_of(state.parent, state.position[device])
    new = root_of(state.parent, state.position[target])
    return 2 * state.size[old] + state.size[new], 2 * meters_of(state, old) + meters_of(state, new)


@compiled
def _moved(state: Arrays, device: int, target: int) -> tuple[int, int]:
    """Feed a subtree from another device; returns where the tree that it left and its new one begin."""
    top, above = state.position[device], state.position[target]
    old, new = root_of(state.parent, top), root_of(state.parent, above)
    rest = _without(state, top)
    if new == old:
        above += rest - old - (state.size[top] if above > top else 0)
    base = _with(state, top, above)
    if new != old:
        _stand(state, rest, False)
    _stand(state, base, False)
    return rest if new != old else base, base


@compiled
def refeed(state: Any, twin: Any, device: int, target: int) -> int:
    """Feed a subtree with supply from another device with supply, in two states; shared trees stay so.

    Returns
    -------
    int
        0; ``NOT_PLAIN`` where one has no supply, the states feed the device from different sides, or the
        new feed stands in the subtree.
    """
    mine, other = arrays_of(state), arrays_of(twin)
    if not (_can_move(mine, device, target) and _can_move(other, device, target)):
        return NOT_PLAIN
    if (
        mine.device_at[mine.parent[mine.position[device]]]
        != (other.device_at[other.parent[other.position[device]]])
    ):
        return NOT_PLAIN
    places, meters = _room_to_move(mine, device, target)
    more_places, more_meters = _room_to_move(other, device, target)
    places, meters = places + more_places, meters + more_meters
    if not _has_room(mine, places, meters) or mine.used[3] + 4 > len(other.layout):
        return FULL
    if _is_alike(mine, other, device) and _is_alike(mine, other, target):
        for block in _moved(mine, device, target):
            _stand(other, block, False)
            other.layout[mine.tree[block]] = mine.layout[mine.tree[block]]
    else:
        _moved(mine, device, target)
        _moved(other, device, target)
    return 0


@compiled
def lowest_common(size: Integers, parent: Integers, low: int, high: int) -> int:
    """Climb from the place ``low`` to the first that has the later place ``high`` below it; -1 for none."""
    while low >= 0 and low + size[low] <= high:
        low = parent[low]
    return low


@compiled
def repack(state: Any, twin: Any, new_state: Any, new_twin: Any) -> int:
    """Copy the trees of two states to another arena; those that they share stay shared.

    The positions in the new ones begin with -1 everywhere.
    """
    old, old_twin = arrays_of(state), arrays_of(twin)
    new, newer = arrays_of(new_state), arrays_of(new_twin)
    for turn in range(2):
        source, target = (old, new) if turn == 0 else (old_twin, newer)
        for device in range(len(source.position)):
            if target.position[device] != -1 or source.position[device] == -1:
                continue
            base = root_of(source.parent, place_of(source.position, device))
            to, to_tree = _copied_tree(source, target, base, source.position[device] < 0)
            if turn == 0 and device < len(old_twin.position) and _is_alike(old, old_twin, device):
                for place in range(to, to + source.size[base]):
                    row = target.device_at[place]
                    newer.position[row] = target.position[row]
                newer.layout[to_tree] = target.layout[to_tree]
    return 0


@compiled
def _copied_tree(source: Arrays, target: Arrays, base: int, is_dead: bool) -> tuple[int, int]:
    """Copy the tree that begins at a place to another arena; returns its place and number there."""
    count, start = source.size[base], base + source.layout[source.tree[base]]
    begin, end = source.first[start], source.first[start + count]
    to, to_meter = _begin(target)
    number, to_tree = target.used[1], target.used[3]
    for step in range(count):
        at, place, above = to + step, base + step, source.parent[base + step]
        row = source.device_at[place]
        target.device_at[at] = row
        target.size[at] = source.size[place]
        target.parent[at] = above - base + to if step else -1
        target.tree[at] = to_tree
        target.first[number + step] = source.first[start + step] - begin + to_meter
        target.position[row] = -2 - at if is_dead else at
    old, new = source.meter_at[begin:end], target.meter_at[to_meter : to_meter + end - begin]
    for step in range(len(old)):
        new[step] = old[step]
    _end(target, count, to_meter + end - begin)
    return to, to_tree
