"""Where supply trees are written: blocks of arrays that nobody changes while somebody may read them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FREE", "FULL", "NOT_PLAIN", "SPARE", "UNCHANGED", "WROTE", "Arena"]

FREE = -1
"""Stands in ``meter_at`` where nobody owns the place."""
SPARE = 4
"""How many such places a tree that is written leaves behind its meters."""
FULL = -1
"""What a kernel returns when the arena needs more room; nothing was changed."""
NOT_PLAIN = -2
"""What it returns when the change is not one of a single subtree; nothing was changed."""
UNCHANGED, WROTE = 4, 16
"""What moving a meter returns when none gained or lost supply, and what it adds when it wrote anew."""


class Arena:
    """Storage of supply trees, shared by all states and versions that descend from one network.

    A *block* is one tree in preorder: a run of places, one a device. Beside it stands a *layout*, a run of
    numbers that say where in ``meter_at`` the meters of each place begin; a state knows for every tree the
    offset from place to layout. A change writes a block, or only a layout, anew behind all others and then
    points the state at it; who still holds the old one reads on undisturbed. Only a layout that was
    written since the last answer was given is changed where it stands. A layout that takes the place of
    another has that one's offset before its first number.

    Parameters
    ----------
    places, meters : int
        How many places and meters there shall be room for at the beginning. Room that is not used
        costs address space, and what large pages round up.

    Attributes
    ----------
    device_at : int32 array
        Row of the device at each place.
    size : int32 array
        Devices in the subtree of each place, itself included.
    parent : int32 array
        Place of what feeds it; -1 at a root.
    tree : int32 array
        Number of the tree of each place.
    first : int32 array
        With ``o`` the state's offset for the tree of place ``p``,
        ``meter_at[first[p + o]:first[p + size[p] + o]]`` are the meters below it, and those before
        ``first[p + 1 + o]`` hang on it directly.
    meter_at : int32 array
        Meter rows, in preorder within a tree, by row at one device.
    sizes, parents, trees, firsts : memoryviews
        The same, quicker to read one by one; other ones as soon as an array is another.
    used, counts : int64 array of four and memoryview of it
        Places, layout numbers, meters and trees written so far.
    lock : threading.RLock
        Held by whoever writes.
    """

    __slots__ = (
        "counts",
        "device_at",
        "first",
        "firsts",
        "lock",
        "meter_at",
        "parent",
        "parents",
        "size",
        "sizes",
        "tree",
        "trees",
        "used",
    )

    def __init__(self, places: int, meters: int) -> None:
        # In one piece, so that large pages serve it: a fault for every 4 kB costs more than what is written.
        piece = np.empty(5 * places + meters, dtype=np.int32)
        of_places = piece[: 5 * places].reshape(5, places)
        self.device_at, self.size, self.parent, self.tree, self.first = of_places
        self.meter_at = piece[5 * places :]
        self.used = np.zeros(4, dtype=np.int64)
        self.counts = self.used.data
        self.lock = threading.RLock()
        self._view()

    def _view(self) -> None:
        self.sizes, self.parents = self.size.data, self.parent.data
        self.trees, self.firsts = self.tree.data, self.first.data

    def append(
        self,
        device_at: NDArray[np.int32],
        size: NDArray[np.int32],
        parent: NDArray[np.int32],
        tree: NDArray[np.int32],
        first: NDArray[np.int32],
        meter_at: NDArray[np.int32],
    ) -> tuple[int, int, int]:
        """Write whole blocks and one layout for all of them, everything counted from 0.

        ``first`` is as long as the others: each block ends with one place more, for the end of its last
        device's meters.

        Returns
        -------
        base, tree, offset : int
            The place and the number of the tree with which they begin, and the offset of them all.
        """
        places, meters = len(device_at), len(meter_at)
        self.reserve(places, places, meters)
        base, begin, begin_meter, tree_base = self.used.tolist()
        stop = base + places
        self.device_at[base:stop] = device_at
        self.size[base:stop] = size
        self.parent[base:stop] = np.where(parent < 0, np.int32(-1), parent + np.int32(base))
        self.tree[base:stop] = tree + np.int32(tree_base)
        self.first[begin : begin + places] = first + np.int32(begin_meter)
        self.meter_at[begin_meter : begin_meter + meters] = meter_at
        self.used += (places, places, meters, int(tree.max(initial=-1)) + 1)
        return base, tree_base, begin - base

    def reserve(self, places: int, numbers: int, meters: int) -> None:
        """Make room for so many more; arrays that were handed out keep what was in them."""
        used = self.used.tolist()
        tables = (("device_at", "size", "parent", "tree"), ("first",), ("meter_at",))
        for names, more, stop in zip(tables, (places, numbers, meters), used, strict=False):
            if stop + more > len(getattr(self, names[0])):
                room = max(2 * len(getattr(self, names[0])), stop + 2 * more)
                for name in names:
                    setattr(self, name, _with_room(getattr(self, name), stop, room))
                self._view()

    @property
    def nbytes(self) -> int:
        """Bytes of what has been written."""
        places, numbers, meters, _ = self.used.tolist()
        return int(16 * places + 4 * numbers + 4 * meters)


def _with_room(array: NDArray[np.int32], used: int, room: int) -> NDArray[np.int32]:
    longer = np.empty(room, dtype=np.int32)
    longer[:used] = array[:used]
    return longer
