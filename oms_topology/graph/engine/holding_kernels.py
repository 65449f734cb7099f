"""The loop that finds who has another supply: compiled by numba where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.arrays import bytes_at, numbers_at, supplies_of
from oms_topology.graph.engine.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int32]

__all__ = ["held_up"]


@compiled
def _is_among(place: int, fallen: NDArray[np.int64]) -> bool:
    is_among = False
    for at in range(0, len(fallen), 2):
        is_among = is_among or fallen[at] <= place < fallen[at + 1]
    return is_among


@compiled
def _is_same_way(size: Integers, low: int, high: int) -> bool:
    """Tell whether a device that normally stands at ``high`` stands at or above one at ``low``."""
    return low >= 0 and 0 <= high <= low < high + size[high]


@compiled
def _ones(bits: int) -> int:
    """Count the ones among eight bits."""
    bits -= (bits >> 1) & 0x55
    bits = (bits & 0x33) + ((bits >> 2) & 0x33)
    return (bits + (bits >> 4)) & 0x0F


@compiled
def held_up(
    supplies: Any, begin: int, count: int, fallen_at: Any, tops: int, held_at: Any, own_feeds: int
) -> int:
    """Mark the meters that some supply outside the fallen places holds up; returns how many they are.

    What is far apart in memory is read by one short loop for all the meters before it is looked at one by
    one: so the reads wait for memory together, not each for itself.

    Parameters
    ----------
    supplies : handle
        Of :class:`~oms_topology.graph.engine.arrays.Supplies`.
    begin, count : int
        Step ``s`` is the meter ``meter_at[begin + s]``.
    fallen_at : address
        Of first place and end of each subtree that falls.
    tops : int
        How many fall.
    held_at : address
        Of a byte for each step, written here.
    own_feeds : int
        Whether all meters stand at their own devices, below one device that falls, and normally stand in the
        same tree: then nobody's own device need be looked at, for the way to it is that to what falls.
    """
    size, position, normal, meter_at, meter_device, ranks, starts, devices, has = supplies_of(supplies)
    fallen, held = numbers_at(fallen_at, 2 * tops), bytes_at(held_at, count)
    known = 8 * len(has)
    meters = meter_at[begin : begin + count]
    steps, some = np.empty(count, dtype=np.int32), 0
    for step in range(len(meters)):
        held[step] = 0
        meter = np.uint32(meters[step])
        steps[some] = step
        some += (has[meter >> np.uint32(3)] >> (meter & np.uint32(7))) & 1 if meter < known else 0
    own, first, last, own_place, place, low, high = np.empty((7, some), dtype=np.int32)
    for at in range(some):
        meter = np.uint32(meters[steps[at]])
        byte = meter >> np.uint32(3)
        rank = ranks[byte] + _ones(has[byte] & ((1 << (meter & np.uint32(7))) - 1))
        first[at], last[at] = starts[rank], starts[rank + 1]
        own[at] = -1 if own_feeds else meter_device[meter]
    for at in range(some):
        device = devices[first[at]]
        place[at], high[at] = position[device], normal[device]
        own_place[at] = position[own[at]] if own[at] >= 0 else -1
        low[at] = normal[own[at]] if own[at] >= 0 else fallen[0] if own_feeds else -1
        if own[at] == device:
            place[at] = -1
    found = 0
    for at in range(some):
        is_held = own_place[at] >= 0 and not _is_among(own_place[at], fallen)
        if not is_held and place[at] >= 0 and not _is_among(place[at], fallen):
            is_held = not _is_same_way(size, low[at], high[at])
        number = first[at] + 1
        while not is_held and number < last[at]:
            device = devices[number]
            other = position[device]
            is_held = (
                other >= 0
                and device != own[at]
                and not _is_among(other, fallen)
                and not _is_same_way(size, low[at], normal[device])
            )
            number += 1
        held[steps[at]] = is_held
        found += is_held
    return found
