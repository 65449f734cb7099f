"""The loop that finds who has another supply: compiled by numba where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int32]

__all__ = ["held_up"]


@compiled
def _is_among(place: int, fallen: NDArray[np.int64]) -> bool:
    is_among = False
    for row in range(len(fallen)):
        is_among = is_among or fallen[row, 0] <= place < fallen[row, 1]
    return is_among


@compiled
def _is_same_way(size: Integers, normal: Integers, own: int, device: int) -> bool:
    """Tell whether a device normally stands at or above a meter's own, and so is no second way."""
    low = normal[own] if own >= 0 else -1
    high = normal[device]
    return own == device or (low >= 0 and 0 <= high <= low < high + size[high])


@compiled
def held_up(
    size: Integers,
    position: Integers,
    normal: Integers,
    meter_at: Integers,
    begin: int,
    meter_device: Integers,
    has: NDArray[np.bool_],
    starts: Integers,
    devices: Integers,
    fallen: NDArray[np.int64],
    held: NDArray[np.bool_],
) -> int:
    """Mark the meters that some supply outside the fallen places holds up; returns how many they are.

    Step ``s`` is the meter ``meter_at[begin + s]``. ``fallen`` has a row of first place and end for each
    subtree that falls; ``held`` begins False. What is far apart in memory is read by one short loop for all
    the meters before it is looked at one by one: so the reads wait for memory together, not each for itself.
    """
    steps, count = np.empty(len(held), dtype=np.int32), 0
    for step in range(len(held)):
        meter = meter_at[begin + step]
        steps[count] = step
        count += 1 if meter < len(has) and has[np.uint32(meter)] else 0
    own, first, last = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    for at in range(count):
        meter = np.uint32(meter_at[begin + steps[at]])
        own[at], first[at], last[at] = meter_device[meter], starts[meter], starts[meter + np.uint32(1)]
    own_place, place = np.empty(count, np.int32), np.empty(count, np.int32)
    for at in range(count):
        own_place[at] = position[own[at]] if own[at] >= 0 else -1
        place[at] = position[devices[first[at]]]
    found = 0
    for at in range(count):
        is_held = own_place[at] >= 0 and not _is_among(own_place[at], fallen)
        number = first[at]
        while not is_held and number < last[at]:
            other = place[at] if number == first[at] else position[devices[number]]
            is_held = (
                other >= 0
                and not _is_among(other, fallen)
                and not _is_same_way(size, normal, own[at], devices[number])
            )
            number += 1
        held[steps[at]] = is_held
        found += is_held
    return found
