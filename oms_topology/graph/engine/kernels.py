"""The loops that change supply trees: compiled by numba where it is installed, and the same Python where not.

Imported when the first change is made, never with the package: loading the compiler takes half a second.
Every function here reads old blocks of an :class:`~oms_topology.graph.engine.arena.Arena`, appends new
ones and points ``position`` and ``layout`` at them; a negative result of :data:`FULL` says that the arena
needs more room and that nothing was changed. ``position[d]`` is the place of device row ``d``;
``-2 - place`` in a tree without supply, -1 for a device that is gone. ``layout[tree[p]]`` leads from place
``p`` to its number in ``first``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.compiling import compiled, is_compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int32]

__all__ = [
    "FULL",
    "adopt",
    "graft",
    "held_up",
    "is_compiled",
    "lowest_common",
    "move_meter",
    "prune",
    "repack",
]

FULL = -1


@compiled
def _place(position: Any, device: int) -> int:
    at: int = position[device]
    return -2 - at if at < -1 else at


@compiled
def _root(parent: Integers, place: int) -> int:
    while parent[place] >= 0:
        place = parent[place]
    return place


@compiled
def _copied(meter_at: Integers, to: int, start: int, stop: int) -> int:
    meter_at[to : to + stop - start] = meter_at[start:stop]
    return to + stop - start


@compiled
def _meters_of(size: Integers, tree: Integers, first: Integers, layout: NDArray[np.int64], base: int) -> int:
    at = base + layout[tree[base]]
    return int(first[at + size[base]] - first[at])


@compiled
def _meter_among(meter_at: Integers, meter: int, start: int, stop: int) -> int:
    """Find where a meter stands, or would stand, among those of one device."""
    while start < stop and meter_at[start] < meter:
        start += 1
    return int(start)


@compiled
def _with_meters(
    size: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    layout: NDArray[np.int64],
    base: int,
    meter: int,
    out: int,
    into: int,
) -> None:
    """Write a tree's layout with the meter taken from place ``out`` and put at ``into``, -1 for none."""
    count, offset = size[base], layout[tree[base]]
    begin, end = first[base + offset], first[base + count + offset]
    to, to_meter = used[1], used[2]
    shift = to_meter - begin
    for step in range(count + 1):
        first[to + step] = first[base + offset + step] + shift
    if out >= 0:
        for step in range(out + 1 - base, count + 1):
            first[to + step] -= 1
    if into >= 0:
        for step in range(into + 1 - base, count + 1):
            first[to + step] += 1
    cut = _meter_among(meter_at, meter, first[out + offset], end) if out >= 0 else -1
    put = _meter_among(meter_at, meter, first[into + offset], first[into + 1 + offset]) if into >= 0 else -1
    write, read = to_meter, begin
    if 0 <= cut < put or put < 0:
        write = _copied(meter_at, write, read, cut)
        read = cut + 1
    if put >= 0:
        write = _copied(meter_at, write, read, put)
        meter_at[write] = meter
        write, read = write + 1, put
    if 0 <= put <= cut:
        write = _copied(meter_at, write, read, cut)
        read = cut + 1
    used[1] = to + count + 1
    used[2] = _copied(meter_at, write, read, end)
    layout[tree[base]] = to - base


@compiled
def move_meter(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    layout: NDArray[np.int64],
    twin: Integers,
    twin_layout: NDArray[np.int64],
    meter: int,
    source: int,
    target: int,
) -> int:
    """Take a meter from one device and hang it on another, -1 for neither.

    Returns
    -------
    int
        Bit 1: the twin did not share the tree it was taken from; bit 2: nor the one it was put into.
    """
    out = _place(position, source) if source >= 0 else -1
    into = _place(position, target) if target >= 0 else -1
    out_root = _root(parent, out) if out >= 0 else -1
    into_root = _root(parent, into) if into >= 0 else -1
    numbers, meters = 2, 2
    if out >= 0:
        numbers += size[out_root]
        meters += _meters_of(size, tree, first, layout, out_root)
    if into >= 0 and into_root != out_root:
        numbers += size[into_root]
        meters += _meters_of(size, tree, first, layout, into_root)
    if used[1] + numbers > len(first) or used[2] + meters > len(meter_at):
        return FULL
    apart = 0
    for turn in range(2):
        base = out_root if turn == 0 else into_root
        if base < 0 or (turn == 1 and out_root == into_root):
            continue
        device, number = device_at[base], tree[base]
        shared = (
            device < len(twin) and twin[device] == position[device] and twin_layout[number] == layout[number]
        )
        is_one = out_root == into_root
        _with_meters(
            size,
            tree,
            first,
            meter_at,
            used,
            layout,
            base,
            meter,
            out if turn == 0 else -1,
            into if turn == 1 or is_one else -1,
        )
        if shared:
            twin_layout[number] = layout[number]
        else:
            apart += 3 if is_one else turn + 1
    return apart


@compiled
def _begin(used: NDArray[np.int64], layout: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Begin a new block and its layout: place, number in ``first``, meter and tree."""
    layout[used[3]] = used[1] - used[0]
    return int(used[0]), int(used[1]), int(used[2]), int(used[3])


@compiled
def _end(first: Integers, used: NDArray[np.int64], places: int, meters: int) -> None:
    """Close the block that was begun: so many places, and the meters up to this one."""
    first[used[1] + places] = meters
    used[0] += places
    used[1] += places + 1
    used[2] = meters
    used[3] += 1


@compiled
def _cut_out(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    layout: NDArray[np.int64],
    top: int,
) -> None:
    """Write the block of a place without its subtree, and the subtree as a block without supply."""
    base, width = _root(parent, top), size[top]
    count, offset = size[base], layout[tree[base]]
    begin, end = first[base + offset], first[base + count + offset]
    low, high = first[top + offset], first[top + width + offset]
    to, number, to_meter, new_tree = _begin(used, layout)
    sign = -1 if position[device_at[base]] < 0 else 1
    shift = -2 if sign < 0 else 0
    for place in range(base, base + count):
        if top <= place < top + width:
            continue
        step = place - base if place < top else place - base - width
        at, above = to + step, parent[place]
        device_at[at] = device_at[place]
        size[at] = size[place] - width if place < top < place + size[place] else size[place]
        parent[at] = -1 if above < 0 else (above if above < top else above - width) - base + to
        tree[at] = new_tree
        gone = 0 if place < top else high - low
        first[number + step] = first[place + offset] - gone - begin + to_meter
        position[device_at[at]] = sign * at + shift
    write = _copied(meter_at, to_meter, begin, low)
    _end(first, used, count - width, _copied(meter_at, write, high, end))
    to, number, to_meter, new_tree = _begin(used, layout)
    for place in range(top, top + width):
        at = to + place - top
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - top + to if place > top else -1
        tree[at] = new_tree
        first[number + place - top] = first[place + offset] - low + to_meter
        position[device_at[at]] = -2 - at
    _end(first, used, width, _copied(meter_at, to_meter, low, high))


@compiled
def _has_room(
    device_at: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    places: int,
    meters: int,
) -> bool:
    return bool(
        used[0] + places <= len(device_at)
        and used[1] + places + 4 <= len(first)
        and used[2] + meters <= len(meter_at)
    )


@compiled
def prune(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    layout: NDArray[np.int64],
    device: int,
) -> int:
    """Cut a device and all below it from what feeds it; returns how many meters it has below."""
    top = _place(position, device)
    base = _root(parent, top)
    meters = _meters_of(size, tree, first, layout, base)
    if not _has_room(device_at, first, meter_at, used, size[base], meters):
        return FULL
    at = top + layout[tree[top]]
    below = first[at + size[top]] - first[at]
    _cut_out(device_at, size, parent, tree, first, meter_at, used, position, layout, top)
    return int(below)


@compiled
def _moved_run(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    offset: int,
    to: int,
    to_meter: int,
    start: int,
    stop: int,
    above: int,
) -> tuple[int, int]:
    """Copy whole subtrees that stand one after another and hang on the same new parent."""
    start_meter = first[start + offset]
    for place in range(start, stop):
        at = to + place - start
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - start + to if parent[place] >= start else above
        tree[at] = used[3]
        first[at - used[0] + used[1]] = first[place + offset] - start_meter + to_meter
    return to + stop - start, _copied(meter_at, to_meter, start_meter, first[stop + offset])


@compiled
def _turn(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    layout: NDArray[np.int64],
    top: int,
) -> int:
    """Write a block anew with another of its places as the root; returns where it begins.

    What was above the new root hangs below it: on the way up each device gets its old parent as one more
    child, among its others by device row.
    """
    base = _root(parent, top)
    count, offset = size[base], layout[tree[base]]
    to, number, to_meter, new_tree = _begin(used, layout)
    new_base = to
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
        to_meter = _copied(meter_at, to_meter, first[place + offset], first[place + 1 + offset])
        above = parent[place]
        child, stop = place + 1, place + size[place]
        while child < stop and above >= 0 and device_at[child] < device_at[above]:
            after = child + size[child]
            if child != below:
                to, to_meter = _moved_run(
                    device_at,
                    size,
                    parent,
                    tree,
                    first,
                    meter_at,
                    used,
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
                    device_at,
                    size,
                    parent,
                    tree,
                    first,
                    meter_at,
                    used,
                    offset,
                    to,
                    to_meter,
                    child,
                    after,
                    new_place[step],
                )
            child = after
    for place in range(new_base, to):
        position[device_at[place]] = -2 - place
    _end(first, used, count, to_meter)
    return new_base


@compiled
def _hang(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    layout: NDArray[np.int64],
    top: int,
    above: int,
) -> None:
    """Write the block of place ``above`` with the block that begins at ``top`` as one more child of it."""
    base, width = _root(parent, above), size[top]
    count, offset, top_offset = size[base], layout[tree[base]], layout[tree[top]]
    begin, end = first[base + offset], first[base + count + offset]
    low, high = first[top + top_offset], first[top + width + top_offset]
    gap = above + 1
    while gap < above + size[above] and device_at[gap] < device_at[top]:
        gap += size[gap]
    to, number, to_meter, new_tree = _begin(used, layout)
    sign = -1 if position[device_at[base]] < 0 else 1
    shift = -2 if sign < 0 else 0
    for place in range(base, base + count):
        step = place - base if place < gap else place - base + width
        at, over = to + step, parent[place]
        device_at[at] = device_at[place]
        size[at] = size[place] + width if place <= above < place + size[place] else size[place]
        parent[at] = -1 if over < 0 else (over if over < gap else over + width) - base + to
        tree[at] = new_tree
        more = 0 if place < gap else high - low
        first[number + step] = first[place + offset] + more - begin + to_meter
        position[device_at[at]] = sign * at + shift
    split = first[gap + offset]
    for place in range(top, top + width):
        step = gap - base + place - top
        at = to + step
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - top + to + gap - base if place > top else above - base + to
        tree[at] = new_tree
        first[number + step] = first[place + top_offset] - low + split - begin + to_meter
        position[device_at[at]] = sign * at + shift
    write = _copied(meter_at, to_meter, begin, split)
    write = _copied(meter_at, write, low, high)
    _end(first, used, count + width, _copied(meter_at, write, split, end))


@compiled
def graft(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    layout: NDArray[np.int64],
    device: int,
    target: int,
) -> int:
    """Feed a tree without supply from ``target``, over a branch that ends at its device ``device``.

    Returns
    -------
    int
        How many meters it has.
    """
    top, above = _place(position, device), _place(position, target)
    island, base = _root(parent, top), _root(parent, above)
    meters = _meters_of(size, tree, first, layout, island)
    all_meters = 2 * meters + _meters_of(size, tree, first, layout, base)
    if not _has_room(device_at, first, meter_at, used, 2 * size[island] + size[base], all_meters):
        return FULL
    if top != island:
        top = _turn(device_at, size, parent, tree, first, meter_at, used, position, layout, top)
    _hang(device_at, size, parent, tree, first, meter_at, used, position, layout, top, above)
    return int(meters)


@compiled
def adopt(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    position: Integers,
    layout: NDArray[np.int64],
    twin: Integers,
    twin_layout: NDArray[np.int64],
    device: int,
) -> None:
    """Let another state share the tree in which a device stands."""
    base = _root(parent, _place(position, device))
    for place in range(base, base + size[base]):
        twin[device_at[place]] = position[device_at[place]]
    twin_layout[tree[base]] = layout[tree[base]]


@compiled
def lowest_common(size: Integers, parent: Integers, low: int, high: int) -> int:
    """Climb from the place ``low`` to the first that has the later place ``high`` below it; -1 for none."""
    while low >= 0 and low + size[low] <= high:
        low = parent[low]
    return low


@compiled
def held_up(
    size: Integers,
    position: Integers,
    normal: Integers,
    meters: Integers,
    meter_device: Integers,
    has: NDArray[np.bool_],
    starts: Integers,
    devices: Integers,
    fallen: NDArray[np.int64],
    held: NDArray[np.bool_],
) -> int:
    """Mark the meters that some supply outside the fallen places holds up; returns how many they are.

    ``fallen`` has a row of first place and end for each subtree that falls; ``held`` begins False.
    """
    count = 0
    for step in range(len(meters)):
        meter = meters[step]
        if meter >= len(has) or not has[meter]:
            continue
        own = meter_device[meter]
        for number in range(starts[meter] - 1, starts[meter + 1]):
            device = own if number < starts[meter] else devices[number]
            place = position[device] if device >= 0 else -1
            if place < 0:
                continue
            is_fallen = False
            for row in range(len(fallen)):
                is_fallen = is_fallen or fallen[row, 0] <= place < fallen[row, 1]
            if is_fallen:
                continue
            if number >= starts[meter]:
                low = normal[own] if own >= 0 else -1
                high = normal[device]
                if own == device or (low >= 0 and 0 <= high <= low < high + size[high]):
                    continue
            held[step] = True
            count += 1
            break
    return count


@compiled
def repack(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    tree: Integers,
    first: Integers,
    meter_at: Integers,
    position: Integers,
    layout: NDArray[np.int64],
    twin: Integers,
    twin_layout: NDArray[np.int64],
    new_device_at: Integers,
    new_size: Integers,
    new_parent: Integers,
    new_tree: Integers,
    new_first: Integers,
    new_meter_at: Integers,
    used: NDArray[np.int64],
    new_position: Integers,
    new_layout: NDArray[np.int64],
    new_twin: Integers,
    new_twin_layout: NDArray[np.int64],
) -> None:
    """Copy the trees of two states to another arena; those that they share stay shared.

    ``new_position`` and ``new_twin`` begin with -1 everywhere.
    """
    for turn in range(2):
        old = position if turn == 0 else twin
        new = new_position if turn == 0 else new_twin
        offsets = layout if turn == 0 else twin_layout
        for device in range(len(old)):
            if new[device] != -1 or old[device] == -1:
                continue
            base = _root(parent, _place(old, device))
            count, number = size[base], tree[base]
            start = base + offsets[number]
            begin, end = first[start], first[start + count]
            to, to_number, to_meter, to_tree = _begin(used, new_layout if turn == 0 else new_twin_layout)
            new_device_at[to : to + count] = device_at[base : base + count]
            new_size[to : to + count] = size[base : base + count]
            new_parent[to : to + count] = parent[base : base + count] + (to - base)
            new_parent[to] = -1
            new_tree[to : to + count] = to_tree
            new_first[to_number : to_number + count] = first[start : start + count] + (to_meter - begin)
            new_meter_at[to_meter : to_meter + end - begin] = meter_at[begin:end]
            _end(new_first, used, count, to_meter + end - begin)
            places = np.arange(to, to + count).astype(np.int32)
            if old[device] < 0:
                places = (-2 - places).astype(np.int32)
            rows = device_at[base : base + count]
            new[rows] = places
            if (
                turn == 0
                and device < len(twin)
                and twin[device] == position[device]
                and twin_layout[number] == layout[number]
            ):
                new_twin[rows] = places
                new_twin_layout[to_tree] = new_layout[to_tree]
