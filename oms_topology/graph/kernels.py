"""The loops that change supply trees: compiled by numba where it is installed, and the same Python where not.

Imported when the first change is made, never with the package: loading the compiler takes half a second.
Every function here reads old blocks of an :class:`~oms_topology.graph.arena.Arena`, appends new ones and
points ``position`` at them; a negative result of :data:`FULL` says that the arena needs more room and that
nothing was changed. ``position[d]`` is the place of device row ``d``; ``-2 - place`` in a tree without
supply, -1 for a device that is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Integers = NDArray[np.int32]
    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = [
    "FULL",
    "adopt",
    "graft",
    "is_compiled",
    "lowest_common",
    "move_meter",
    "prune",
    "refeed",
    "repack",
]

FULL = -1

try:
    from numba import njit
except ImportError:
    is_compiled = False

    def _compiled(function: _Function) -> _Function:
        return function
else:
    is_compiled = True

    def _compiled(function: _Function) -> _Function:
        compiled: Any = njit(cache=True)(function)
        return cast("_Function", compiled)


@_compiled
def _place(position: Any, device: int) -> int:
    at: int = position[device]
    return -2 - at if at < -1 else at


@_compiled
def _root(parent: Integers, place: int) -> int:
    while parent[place] >= 0:
        place = parent[place]
    return place


@_compiled
def _copied(meter_at: Integers, to: int, start: int, stop: int) -> int:
    meter_at[to : to + stop - start] = meter_at[start:stop]
    return to + stop - start


@_compiled
def _with_meters(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    twin: Integers,
    meter: int,
    out: int,
    into: int,
) -> bool:
    """Write a block with the meter taken from place ``out`` and put at place ``into`` (-1 for neither).

    Tells whether ``twin``, the other state, shared the block and now shares the new one.
    """
    base = _root(parent, out if out >= 0 else into)
    count, begin, end = size[base], first[base], first[base + size[base]]
    to, to_meter = used[0], used[1]
    sign = -1 if position[device_at[base]] < 0 else 1
    offset = -2 if sign < 0 else 0
    shared = twin[device_at[base]] == position[device_at[base]]
    for place in range(base, base + count):
        at = to + place - base
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - base + to if parent[place] >= 0 else -1
        moved = (1 if 0 <= into < place else 0) - (1 if 0 <= out < place else 0)
        first[at] = first[place] - begin + to_meter + moved
        position[device_at[place]] = sign * at + offset
        if shared:
            twin[device_at[place]] = sign * at + offset
    moved = (1 if into >= 0 else 0) - (1 if out >= 0 else 0)
    first[to + count] = end - begin + to_meter + moved
    cut, put = -1, -1
    if out >= 0:
        cut = first[out]
        while meter_at[cut] != meter:
            cut += 1
    if into >= 0:
        put = first[into]
        while put < first[into + 1] and meter_at[put] < meter:
            put += 1
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
    write = _copied(meter_at, write, read, end)
    used[0] += count + 1
    used[1] = write
    return bool(shared)


@_compiled
def move_meter(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    twin: Integers,
    meter: int,
    source: int,
    target: int,
) -> int:
    """Take a meter from one device and hang it on another, -1 for neither.

    Returns
    -------
    int
        Bit 1: ``twin`` did not share the block it was taken from; bit 2: nor the one it was put into.
    """
    out = _place(position, source) if source >= 0 else -1
    into = _place(position, target) if target >= 0 else -1
    out_root = _root(parent, out) if out >= 0 else -1
    into_root = _root(parent, into) if into >= 0 else -1
    places, meters = 2, 2
    if out >= 0:
        places += size[out_root]
        meters += first[out_root + size[out_root]] - first[out_root]
    if into >= 0 and into_root != out_root:
        places += size[into_root]
        meters += first[into_root + size[into_root]] - first[into_root]
    if used[0] + places > len(device_at) or used[1] + meters > len(meter_at):
        return FULL
    apart = 0
    if out >= 0 and out_root == into_root:
        if not _with_meters(device_at, size, parent, first, meter_at, used, position, twin, meter, out, into):
            apart = 3
        return apart
    if out >= 0 and not _with_meters(
        device_at, size, parent, first, meter_at, used, position, twin, meter, out, -1
    ):
        apart += 1
    if into >= 0 and not _with_meters(
        device_at, size, parent, first, meter_at, used, position, twin, meter, -1, into
    ):
        apart += 2
    return apart


@_compiled
def _cut_out(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    top: int,
) -> None:
    """Write the block of a place without its subtree, and the subtree as a block without supply."""
    base, width = _root(parent, top), size[top]
    count, begin, end = size[base], first[base], first[base + size[base]]
    low, high = first[top], first[top + width]
    to, to_meter = used[0], used[1]
    sign = -1 if position[device_at[base]] < 0 else 1
    offset = -2 if sign < 0 else 0
    for place in range(base, top):
        at = to + place - base
        device_at[at] = device_at[place]
        size[at] = size[place] - width if top < place + size[place] else size[place]
        parent[at] = parent[place] - base + to if parent[place] >= 0 else -1
        first[at] = first[place] - begin + to_meter
        position[device_at[at]] = sign * at + offset
    for place in range(top + width, base + count):
        at = to + place - base - width
        device_at[at] = device_at[place]
        size[at] = size[place]
        above = parent[place]
        parent[at] = (above if above < top else above - width) - base + to
        first[at] = first[place] - (high - low) - begin + to_meter
        position[device_at[at]] = sign * at + offset
    first[to + count - width] = end - (high - low) - begin + to_meter
    write = _copied(meter_at, to_meter, begin, low)
    write = _copied(meter_at, write, high, end)
    to = to + count - width + 1
    for place in range(top, top + width):
        at = to + place - top
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - top + to if place > top else -1
        first[at] = first[place] - low + write
        position[device_at[at]] = -2 - at
    first[to + width] = high - low + write
    used[1] = _copied(meter_at, write, low, high)
    used[0] = to + width + 1


@_compiled
def prune(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    device: int,
) -> int:
    """Cut a device and all below it from what feeds it; returns how many meters it has below."""
    top = _place(position, device)
    base = _root(parent, top)
    meters = first[base + size[base]] - first[base]
    if used[0] + size[base] + 2 > len(device_at) or used[1] + meters > len(meter_at):
        return FULL
    _cut_out(device_at, size, parent, first, meter_at, used, position, top)
    return int(first[top + size[top]] - first[top])


@_compiled
def _moved_run(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    to: int,
    to_meter: int,
    start: int,
    stop: int,
    above: int,
) -> tuple[int, int]:
    """Copy whole subtrees that stand one after another and hang on the same new parent."""
    start_meter = first[start]
    for place in range(start, stop):
        at = to + place - start
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - start + to if parent[place] >= start else above
        first[at] = first[place] - start_meter + to_meter
    return to + stop - start, _copied(meter_at, to_meter, start_meter, first[stop])


@_compiled
def _turn(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    top: int,
) -> int:
    """Write a block anew with another of its places as the root; returns where it begins.

    What was above the new root hangs below it: on the way up each device gets its old parent as one more
    child, among its others by device row.
    """
    base = _root(parent, top)
    count = size[base]
    to, to_meter = used[0], used[1]
    new_base = int(to)
    way = np.empty(count, dtype=np.int64)
    new_place = np.empty(count, dtype=np.int64)
    rest = np.empty(count, dtype=np.int64)
    steps, place, below = 0, top, -1
    while place >= 0:
        way[steps], new_place[steps] = place, to
        device_at[to] = device_at[place]
        size[to] = count - (size[below] if below >= 0 else 0)
        parent[to] = new_place[steps - 1] if steps else -1
        first[to] = to_meter
        to += 1
        to_meter = _copied(meter_at, to_meter, first[place], first[place + 1])
        above = parent[place]
        child, stop = place + 1, place + size[place]
        while child < stop and above >= 0 and device_at[child] < device_at[above]:
            after = child + size[child]
            if child != below:
                to, to_meter = _moved_run(
                    device_at, size, parent, first, meter_at, to, to_meter, child, after, new_place[steps]
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
                    device_at, size, parent, first, meter_at, to, to_meter, child, after, new_place[step]
                )
            child = after
    first[to] = to_meter
    for place in range(new_base, to):
        position[device_at[place]] = -2 - place
    used[0], used[1] = to + 1, to_meter
    return new_base


@_compiled
def _hang(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    top: int,
    above: int,
) -> None:
    """Write the block of place ``above`` with the block that begins at ``top`` as one more child of it."""
    base, width = _root(parent, above), size[top]
    count, begin, end = size[base], first[base], first[base + size[base]]
    gap = above + 1
    while gap < above + size[above] and device_at[gap] < device_at[top]:
        gap += size[gap]
    to, to_meter = used[0], used[1]
    sign = -1 if position[device_at[base]] < 0 else 1
    offset = -2 if sign < 0 else 0
    more = first[top + width] - first[top]
    for place in range(base, gap):
        at = to + place - base
        device_at[at] = device_at[place]
        size[at] = size[place] + width if place <= above < place + size[place] else size[place]
        parent[at] = parent[place] - base + to if parent[place] >= 0 else -1
        first[at] = first[place] - begin + to_meter
        position[device_at[at]] = sign * at + offset
    split = first[gap]
    for place in range(top, top + width):
        at = to + gap - base + place - top
        device_at[at] = device_at[place]
        size[at] = size[place]
        parent[at] = parent[place] - top + to + gap - base if place > top else above - base + to
        first[at] = first[place] - first[top] + split - begin + to_meter
        position[device_at[at]] = sign * at + offset
    for place in range(gap, base + count):
        at = to + place - base + width
        device_at[at] = device_at[place]
        size[at] = size[place]
        over = parent[place]
        parent[at] = (over if over < gap else over + width) - base + to
        first[at] = first[place] - begin + more + to_meter
        position[device_at[at]] = sign * at + offset
    first[to + count + width] = end - begin + more + to_meter
    write = _copied(meter_at, to_meter, begin, split)
    write = _copied(meter_at, write, first[top], first[top + width])
    used[1] = _copied(meter_at, write, split, end)
    used[0] = to + count + width + 1


@_compiled
def graft(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
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
    meters = first[island + size[island]] - first[island]
    all_meters = 2 * meters + first[base + size[base]] - first[base]
    if used[0] + 2 * size[island] + size[base] + 3 > len(device_at) or used[1] + all_meters > len(meter_at):
        return FULL
    if top != island:
        top = _turn(device_at, size, parent, first, meter_at, used, position, top)
    _hang(device_at, size, parent, first, meter_at, used, position, top, above)
    return int(meters)


@_compiled
def refeed(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    used: NDArray[np.int64],
    position: Integers,
    device: int,
    target: int,
) -> int:
    """Hang a device and all below it on another device, which is not among them.

    Returns
    -------
    int
        How many meters moved.
    """
    top, above = _place(position, device), _place(position, target)
    base, other = _root(parent, top), _root(parent, above)
    places = size[base] + size[other] + size[top] + 4
    meters = first[base + size[base]] - first[base] + first[top + size[top]] - first[top]
    meters += first[other + size[other]] - first[other]
    if used[0] + 2 * places > len(device_at) or used[1] + 2 * meters > len(meter_at):
        return FULL
    if top != base:
        _cut_out(device_at, size, parent, first, meter_at, used, position, top)
    top, above = _place(position, device), _place(position, target)
    _hang(device_at, size, parent, first, meter_at, used, position, top, above)
    return int(first[top + size[top]] - first[top])


@_compiled
def adopt(
    device_at: Integers, size: Integers, parent: Integers, position: Integers, twin: Integers, device: int
) -> None:
    """Let another state share the block in which a device stands."""
    base = _root(parent, _place(position, device))
    for place in range(base, base + size[base]):
        twin[device_at[place]] = position[device_at[place]]


@_compiled
def lowest_common(size: Integers, parent: Integers, low: int, high: int) -> int:
    """Climb from the place ``low`` to the first that has the later place ``high`` below it; -1 for none."""
    while low >= 0 and low + size[low] <= high:
        low = parent[low]
    return low


@_compiled
def repack(
    device_at: Integers,
    size: Integers,
    parent: Integers,
    first: Integers,
    meter_at: Integers,
    position: Integers,
    twin: Integers,
    new_device_at: Integers,
    new_size: Integers,
    new_parent: Integers,
    new_first: Integers,
    new_meter_at: Integers,
    used: NDArray[np.int64],
    new_position: Integers,
    new_twin: Integers,
) -> None:
    """Copy the trees of two states to another arena; those that they share stay shared.

    ``new_position`` and ``new_twin`` begin with -1 everywhere.
    """
    for turn in range(2):
        old = position if turn == 0 else twin
        new = new_position if turn == 0 else new_twin
        for device in range(len(old)):
            if new[device] != -1 or old[device] == -1:
                continue
            base = _root(parent, _place(old, device))
            count, begin, end = size[base], first[base], first[base + size[base]]
            to, to_meter = used[0], used[1]
            new_device_at[to : to + count] = device_at[base : base + count]
            new_size[to : to + count] = size[base : base + count]
            new_parent[to : to + count] = parent[base : base + count] + (to - base)
            new_parent[to] = -1
            new_first[to : to + count + 1] = first[base : base + count + 1] + (to_meter - begin)
            used[1] = _copied_between(meter_at, new_meter_at, to_meter, begin, end)
            used[0] = to + count + 1
            places = np.arange(to, to + count).astype(np.int32)
            if old[device] < 0:
                places = (-2 - places).astype(np.int32)
            rows = device_at[base : base + count]
            is_shared = turn == 0 and twin[device] == position[device]
            new[rows] = places
            if is_shared:
                new_twin[rows] = places


@_compiled
def _copied_between(source: Integers, target: Integers, to: int, start: int, stop: int) -> int:
    target[to : to + stop - start] = source[start:stop]
    return to + stop - start
