"""Where supply trees are written: blocks of arrays that are appended and never changed again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Arena"]


class Arena:
    """Append-only storage of supply trees, shared by all states and versions that descend from one network.

    A *block* is one tree in preorder: ``size[base]`` places for its devices and one more that ends the
    last of them. A change writes the block anew behind all others and then points the devices at it; who
    still holds the old block reads on undisturbed.

    Parameters
    ----------
    places, meters : int
        How many places and meters there shall be room for at the beginning. Room that is not used
        costs address space only.

    Attributes
    ----------
    device_at : int32 array
        Row of the device at each place.
    size : int32 array
        Devices in the subtree of each place, itself included.
    parent : int32 array
        Place of what feeds it; -1 at a root.
    first : int32 array
        ``meter_at[first[p]:first[p + size[p]]]`` are the meters below place ``p``, and those before
        ``first[p + 1]`` hang on it directly.
    meter_at : int32 array
        Meter rows, in preorder within a block, by row at one device.
    used : int64 array of two
        Places and meters written so far.
    lock : threading.RLock
        Held by whoever writes.
    """

    __slots__ = ("device_at", "first", "lock", "meter_at", "parent", "size", "used")

    def __init__(self, places: int, meters: int) -> None:
        self.device_at = np.empty(places, dtype=np.int32)
        self.size = np.empty(places, dtype=np.int32)
        self.parent = np.empty(places, dtype=np.int32)
        self.first = np.empty(places, dtype=np.int32)
        self.meter_at = np.empty(meters, dtype=np.int32)
        self.used = np.zeros(2, dtype=np.int64)
        self.lock = threading.RLock()

    def append(
        self,
        device_at: NDArray[np.int32],
        size: NDArray[np.int32],
        parent: NDArray[np.int32],
        first: NDArray[np.int32],
        meter_at: NDArray[np.int32],
    ) -> int:
        """Write whole blocks, ends included, whose places and meters count from 0.

        Returns
        -------
        int
            The place at which they begin. Somebody else's blocks may follow at once: the caller
            holds the lock.
        """
        places, meters = len(device_at), len(meter_at)
        self.reserve(places, meters)
        base, begin = self.used.tolist()
        stop = base + places
        self.device_at[base:stop] = device_at
        self.size[base:stop] = size
        self.parent[base:stop] = np.where(parent < 0, np.int32(-1), parent + np.int32(base))
        self.first[base:stop] = first + np.int32(begin)
        self.meter_at[begin : begin + meters] = meter_at
        self.used += (places, meters)
        return int(base)

    def reserve(self, places: int, meters: int) -> None:
        """Make room for so many more; arrays that were handed out keep what was in them."""
        used_places, used_meters = self.used.tolist()
        if used_places + places > len(self.device_at):
            room = max(2 * len(self.device_at), used_places + 2 * places)
            for name in ("device_at", "size", "parent", "first"):
                setattr(self, name, _with_room(getattr(self, name), used_places, room))
        if used_meters + meters > len(self.meter_at):
            room = max(2 * len(self.meter_at), used_meters + 2 * meters)
            self.meter_at = _with_room(self.meter_at, used_meters, room)

    @property
    def nbytes(self) -> int:
        """Bytes of what has been written."""
        places, meters = self.used.tolist()
        return int(16 * places + 4 * meters)


def _with_room(array: NDArray[np.int32], used: int, room: int) -> NDArray[np.int32]:
    longer = np.empty(room, dtype=np.int32)
    longer[:used] = array[:used]
    return longer
