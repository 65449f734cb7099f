"""The loops of traces and batches: compiled by numba where it is installed, the same Python where not.

Imported when first needed, as :mod:`~oms_topology.graph.engine.kernels` is. Nothing here writes to a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.compiling import compiled, is_compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int32]

__all__ = [
    "UNKNOWN",
    "climb",
    "common_of",
    "common_of_groups",
    "count_below",
    "count_marked",
    "histogram",
    "histograms",
    "is_compiled",
]

UNKNOWN = -3


@compiled
def climb(device_at: Integers, parent: Integers, marks: NDArray[np.uint8], more: Integers, place: int) -> int:
    """Climb from a place to the first, itself included, whose device is marked; -1 when there is none.

    Devices behind the last mark are marked, and so are those in ``more``, which is sorted.
    """
    while place >= 0:
        device = device_at[place]
        if device >= len(marks) or marks[device]:
            break
        if len(more):
            at = np.searchsorted(more, device)
            if at < len(more) and more[at] == device:
                break
        place = parent[place]
    return place


@compiled
def common_of(position: Integers, size: Integers, parent: Integers, devices: Integers, known: int) -> int:
    """Give the place of the lowest device that feeds all of some device rows; -1 for none.

    Returns
    -------
    int
        :data:`UNKNOWN` when a row is none of the ``known`` ones.
    """
    low, high, dead = -1, -1, False
    for device in devices:
        if device < -1 or device >= known:
            return UNKNOWN
        place = position[device] if device >= 0 else -1
        if place >= len(size):
            return UNKNOWN
        dead = dead or place < 0
        if low < 0 or place < low:
            low = place
        high = max(high, place)
    if dead:
        return -1
    while low >= 0 and low + size[low] <= high:
        low = parent[low]
    return low


@compiled
def common_of_groups(
    size: Integers, parent: Integers, offsets: NDArray[np.int64], places: Integers
) -> Integers:
    """Find for each group of places the place of the lowest device that feeds all; -1 for none."""
    groups = len(offsets) - 1
    found = np.empty(groups, dtype=np.int32)
    for group in range(groups):
        low, high = -1, -1
        for at in range(offsets[group], offsets[group + 1]):
            place = places[at]
            if place < 0:
                low = -1
                break
            if low < 0 or place < low:
                low = place
            high = max(high, place)
        while low >= 0 and low + size[low] <= high:
            low = parent[low]
        found[group] = low
    return found


@compiled
def count_below(
    position: Integers,
    size: Integers,
    tree: Integers,
    layout: NDArray[np.int64],
    first: Integers,
    devices: NDArray[Any],
    known: int,
    counts: Integers,
) -> bool:
    """Count the meters below device rows into ``counts``, 0 for -1 and without supply.

    False when a row is none of the ``known`` ones, or a number leads nowhere: another thread wrote meanwhile.
    """
    known = min(known, len(position))
    for row in range(len(devices)):
        device = devices[row]
        if device < -1 or device >= known:
            return False
        place = position[np.uint32(device)] if device >= 0 else -1
        if place < 0:
            counts[row] = 0
            continue
        at = np.uint32(place)
        if at >= len(size) or np.uint32(tree[at]) >= len(layout):
            return False
        begin = np.uint64(layout[np.uint32(tree[at])] + place)
        end = begin + np.uint64(size[at])
        if begin >= end or end >= len(first):
            return False
        counts[row] = first[end] - first[begin]
    return True


@compiled
def histogram(
    meter_at: Integers, begin: int, end: int, statuses: NDArray[Any], counts: NDArray[np.int64]
) -> bool:
    """Add up in ``counts`` the statuses of ``meter_at[begin:end]``; False when one has no place there."""
    known, kinds = np.uint64(len(statuses)), np.uint64(len(counts))
    for at in range(np.uint64(begin), np.uint64(end)):
        meter = np.uint64(meter_at[at])
        if meter >= known:
            return False
        status = np.uint64(statuses[meter])
        if status >= kinds:
            return False
        counts[status] += 1
    return True


@compiled
def histograms(
    begin: Integers, end: Integers, meter_at: Integers, statuses: NDArray[Any], counts: NDArray[np.int64]
) -> None:
    """Add up in each row of ``counts`` the statuses of ``meter_at[begin:end]``."""
    kinds = counts.shape[1]
    if kinds > 3:
        for row in range(len(begin)):
            for at in range(begin[row], end[row]):
                counts[row, statuses[meter_at[at]]] += 1
        return
    # Of 0, 1 and 2 the two bits tell how many there are: sums that stay in registers. Indices that cannot
    # be negative are read four times as fast.
    for row in range(len(begin)):
        ones, twos, one = np.uint32(0), np.uint32(0), np.uint32(1)
        for at in range(np.uint64(begin[row]), np.uint64(end[row])):
            status = np.uint32(statuses[np.uint32(meter_at[at])])
            ones += status & one
            twos += status >> one
        counts[row, 0] += end[row] - begin[row] - ones - twos
        if kinds > 1:
            counts[row, 1] += ones
        if kinds > 2:
            counts[row, 2] += twos


@compiled
def count_marked(
    bases: Integers,
    offsets: NDArray[np.int64],
    device_at: Integers,
    size: Integers,
    first: Integers,
    meter_at: Integers,
    is_marked: NDArray[np.bool_],
    before: Integers,
    counts: Integers,
) -> None:
    """Count the marked meters below every device of the trees that begin at ``bases``, into ``counts``.

    ``offsets`` lead from the places of each tree to the numbers in ``first``; ``before`` is room for one
    number more than the largest tree has devices.
    """
    for each in range(len(bases)):
        base, offset = bases[each], offsets[each]
        width = size[base]
        total = np.uint32(0)
        for place in range(base, base + width):
            before[place - base] = total
            begin, end = first[place + offset], first[place + offset + 1]
            for at in range(np.uint64(begin), np.uint64(end)):
                total += np.uint32(is_marked[np.uint32(meter_at[at])])
        before[width] = total
        for place in range(base, base + width):
            counts[device_at[place]] = before[place - base + size[place]] - before[place - base]
