"""The loop that moves a meter: compiled by numba where it is installed, and the same Python where not.

A tree's meters stand in one run of ``meter_at``, and where those of each device begin in its layout. Where an
answer may still read the layout it is written anew behind all others; where none can, the meters between the
two devices shift by one. Places of ``meter_at`` that nobody owns hold ``FREE``: a few behind every run.
Before a layout that takes the place of another stands the offset of that one, for the answers that are of
its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms_topology.graph.engine.arena import FREE, FULL, SPARE, UNCHANGED, WROTE
from oms_topology.graph.engine.arrays import Arrays, arrays_of
from oms_topology.graph.engine.compiling import compiled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int32]

__all__ = ["copied", "copy", "meters_of", "move_meter", "place_of", "root_of", "spared"]


@compiled
def place_of(position: Any, device: int) -> int:
    """Find where a device stands, with supply or without."""
    at: int = position[device]
    return -2 - at if at < -1 else at


@compiled
def root_of(parent: Integers, place: int) -> int:
    """Climb to the root of a place's tree."""
    while parent[place] >= 0:
        place = parent[place]
    return place


@compiled
def copy(numbers: Integers, to: int, start: int, count: int) -> None:
    """Copy numbers to where they do not overlap; assigning a slice takes ten times as long."""
    old, new = numbers[start : start + count], numbers[to : to + count]
    for step in range(len(old)):
        new[step] = old[step]


@compiled
def copied(meter_at: Integers, to: int, start: int, stop: int) -> int:
    """Copy meters behind others; returns where they end."""
    copy(meter_at, to, start, stop - start)
    return to + stop - start


@compiled
def spared(meter_at: Integers, end: int) -> int:
    """Leave free places behind a run of meters; returns where they end."""
    meter_at[end : end + SPARE] = FREE
    return end + SPARE


@compiled
def meters_of(state: Arrays, base: int) -> int:
    """Count the meters of the tree that begins at a place."""
    at = base + state.layout[state.tree[base]]
    return int(state.first[at + state.size[base]] - state.first[at])


@compiled
def _where(meter_at: Integers, meter: int, start: int, stop: int) -> int:
    """Find where a meter stands, or would stand, among those of one device."""
    while start < stop:
        middle = (start + stop) // 2
        if meter_at[middle] < meter:
            start = middle + 1
        else:
            stop = middle
    return int(start)


@compiled
def _count_on(first: Integers, start: int, stop: int, by: int) -> None:
    numbers = first[start:stop]
    for step in range(len(numbers)):
        numbers[step] += by


@compiled
def _shift_down(meter_at: Integers, start: int, stop: int) -> None:
    """Let the meters behind the first of a run close up to it."""
    run = meter_at[start:stop]
    for step in range(len(run) - 1):
        run[step] = run[step + 1]


@compiled
def _shift_up(meter_at: Integers, start: int, stop: int) -> None:
    """Let the meters before the last of a run close up to it."""
    run = meter_at[start:stop]
    for step in range(len(run) - 1, 0, -1):
        run[step] = run[step - 1]


@compiled
def _shift_between(state: Arrays, offset: int, meter: int, out: int, into: int) -> None:
    """Move a meter within a tree: those between the two devices make way."""
    first, meter_at = state.first, state.meter_at
    cut = _where(meter_at, meter, first[out + offset], first[out + 1 + offset])
    put = _where(meter_at, meter, first[into + offset], first[into + 1 + offset])
    if out < into:
        _shift_down(meter_at, cut, put)
        meter_at[put - 1] = meter
        _count_on(first, out + 1 + offset, into + 1 + offset, -1)
    else:
        _shift_up(meter_at, put, cut + 1)
        meter_at[put] = meter
        _count_on(first, into + 1 + offset, out + 1 + offset, 1)


@compiled
def _close_gap(state: Arrays, base: int, offset: int, meter: int, out: int) -> None:
    """Take a meter out of a tree: the fewer of those before and behind it close up."""
    first, meter_at = state.first, state.meter_at
    start, stop = base + offset, base + offset + state.size[base]
    begin, end = first[start], first[stop]
    cut = _where(meter_at, meter, first[out + offset], first[out + 1 + offset])
    if cut - begin < end - cut:
        _shift_up(meter_at, begin, cut + 1)
        meter_at[begin] = FREE
        _count_on(first, start, out + offset + 1, 1)
    else:
        _shift_down(meter_at, cut, end)
        meter_at[end - 1] = FREE
        _count_on(first, out + offset + 1, stop + 1, -1)


@compiled
def _make_gap(state: Arrays, base: int, offset: int, meter: int, into: int) -> bool:
    """Put a meter into a tree if there is a free place before or behind its meters."""
    first, meter_at = state.first, state.meter_at
    start, stop = base + offset, base + offset + state.size[base]
    begin, end = first[start], first[stop]
    is_free_before = begin > 0 and meter_at[begin - 1] == FREE
    is_free_behind = end < state.used[2] and meter_at[end] == FREE
    put = _where(meter_at, meter, first[into + offset], first[into + 1 + offset])
    if is_free_before and (put - begin < end - put or not is_free_behind):
        _shift_down(meter_at, begin - 1, put)
        meter_at[put - 1] = meter
        _count_on(first, start, into + offset + 1, -1)
        return True
    if is_free_behind:
        _shift_up(meter_at, put, end + 1)
        meter_at[put] = meter
        _count_on(first, into + offset + 1, stop + 1, 1)
        return True
    return False


@compiled
def _write_anew(state: Arrays, base: int, meter: int, out: int, into: int) -> None:
    """Write a tree's layout behind all others, without the meter at place ``out`` and with it at ``into``."""
    first, meter_at, used = state.first, state.meter_at, state.used
    count, offset = state.size[base], state.layout[state.tree[base]]
    begin, end = first[base + offset], first[base + count + offset]
    first[used[1]] = offset
    to, to_meter = used[1] + 1, used[2]
    shift = to_meter - begin
    for step in range(count + 1):
        first[to + step] = first[base + offset + step] + shift
    if out >= 0:
        _count_on(first, to + out + 1 - base, to + count + 1, -1)
    if into >= 0:
        _count_on(first, to + into + 1 - base, to + count + 1, 1)
    cut = _where(meter_at, meter, first[out + offset], first[out + 1 + offset]) if out >= 0 else -1
    put = _where(meter_at, meter, first[into + offset], first[into + 1 + offset]) if into >= 0 else -1
    write, read = to_meter, begin
    if 0 <= cut < put or put < 0:
        write = copied(meter_at, write, read, cut)
        read = cut + 1
    if put >= 0:
        write = copied(meter_at, write, read, put)
        meter_at[write] = meter
        write, read = write + 1, put
    if 0 <= put <= cut:
        write = copied(meter_at, write, read, cut)
        read = cut + 1
    used[1] = to + count + 1
    used[2] = spared(meter_at, copied(meter_at, write, read, end))
    state.layout[state.tree[base]] = to - base


@compiled
def _change_tree(state: Arrays, base: int, meter: int, out: int, into: int, held: int) -> None:
    """Change the layout of one tree; those that begin before ``held`` may still be read."""
    offset = state.layout[state.tree[base]]
    if base + offset >= held:
        if out >= 0 and into >= 0:
            _shift_between(state, offset, meter, out, into)
            return
        if out >= 0:
            _close_gap(state, base, offset, meter, out)
            return
        if _make_gap(state, base, offset, meter, into):
            return
    _write_anew(state, base, meter, out, into)


@compiled
def _rehang(state: Arrays, meter: int, out: int, into: int, held: int) -> None:
    """Take a meter from one place and hang it on another, -1 for neither."""
    out_base = root_of(state.parent, out) if out >= 0 else -1
    into_base = root_of(state.parent, into) if into >= 0 else -1
    if out_base == into_base:
        if out >= 0:
            _change_tree(state, out_base, meter, out, into, held)
        return
    if out >= 0:
        _change_tree(state, out_base, meter, out, -1, held)
    if into >= 0:
        _change_tree(state, into_base, meter, -1, into, held)


@compiled
def _has_room(state: Arrays, twin: Arrays, places: tuple[int, int, int, int]) -> bool:
    """Tell whether the layouts of all these places could be written anew."""
    numbers = meters = 0
    for at in range(4):
        place = places[at]
        if place >= 0:
            layout = state.layout if at < 2 else twin.layout
            base = root_of(state.parent, place)
            start = base + layout[state.tree[base]]
            numbers += state.size[base] + 2
            meters += state.first[start + state.size[base]] - state.first[start] + 1 + SPARE
    used = state.used
    return bool(used[1] + numbers <= len(state.first) and used[2] + meters <= len(state.meter_at))


@compiled
def move_meter(state: Any, twin: Any, meter: int, source: int, target: int, held: int) -> int:
    """Take a meter from one device and hang it on another, in two states.

    Parameters
    ----------
    state, twin : handle
        The states; they stand in one arena. Layouts that they share stay shared.
    meter, source, target : int
        Rows; negative for no device.
    held : int
        Layouts that begin before this number may still be read.

    Returns
    -------
    int
        ``UNCHANGED``, more or less by 1 as the meter gained or lost supply in the state, by 3 for
        the twin, and by ``WROTE`` more when layouts were written anew.
    """
    mine, other = arrays_of(state), arrays_of(twin)
    out = place_of(mine.position, source) if source >= 0 else -1
    into = place_of(mine.position, target) if target >= 0 else -1
    other_out = place_of(other.position, source) if source >= 0 else -1
    other_into = place_of(other.position, target) if target >= 0 else -1
    tree, layout = mine.tree, mine.layout
    out_tree, into_tree = tree[out] if out >= 0 else -1, tree[into] if into >= 0 else -1
    if out >= 0 and out == other_out and layout[out_tree] == other.layout[out_tree]:
        other_out = -1
    if into >= 0 and into == other_into and layout[into_tree] == other.layout[into_tree]:
        other_into = -1
    if not _has_room(mine, other, (out, into, other_out, other_into)):
        return FULL
    before = mine.used[1]
    _rehang(mine, meter, out, into, held)
    if out >= 0 and other_out < 0:
        other.layout[out_tree] = layout[out_tree]
    if into >= 0 and other_into < 0:
        other.layout[into_tree] = layout[into_tree]
    _rehang(other, meter, other_out, other_into, held)
    change = UNCHANGED + (WROTE if mine.used[1] != before else 0)
    if target >= 0:
        change += (1 if mine.position[target] >= 0 else 0) + (3 if other.position[target] >= 0 else 0)
    if source >= 0:
        change -= (1 if mine.position[source] >= 0 else 0) + (3 if other.position[source] >= 0 else 0)
    return change
