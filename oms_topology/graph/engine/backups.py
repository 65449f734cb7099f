"""The second supplies of meters: which devices can feed a meter beside its own."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

    Integers = NDArray[np.int32]

__all__ = ["Backups"]


class Backups:
    """For every meter the devices that can feed it too, in their order; 13 bytes a supply.

    Parameters
    ----------
    columns : NetworkColumns
        The network; ``alternate_*`` say who.

    Attributes
    ----------
    has : bool array, one per meter
        Whether there are any. Shorter than the meters where later ones were added.
    is_empty : bool
        Whether no meter has had any so far.
    """

    __slots__ = ("_arrays", "_changed", "_devices", "_meters", "_priorities", "_starts", "has", "is_empty")

    def __init__(self, columns: NetworkColumns) -> None:
        meter = columns.alternate_meter
        sort = np.lexsort((np.arange(len(meter)), columns.alternate_priority, meter))
        self._meters, starts = np.unique(meter[sort], return_index=True)
        self._starts = np.append(starts, len(meter)).astype(np.int32)
        self._devices = columns.alternate_device[sort]
        self._priorities = columns.alternate_priority[sort]
        self._changed: dict[int, tuple[int, ...]] = {}
        self._arrays: tuple[Integers, Integers, Integers, NDArray[np.uint8]] | None = None
        self.has = np.zeros(len(columns.meter_number) if len(meter) else 0, dtype=np.bool_)
        self.has[self._meters] = True
        self.is_empty = not len(meter)

    def __bool__(self) -> bool:
        return not self.is_empty

    def of(self, meter: int) -> tuple[int, ...]:
        """Give the rows of the devices, first choice first; empty when there are none."""
        changed = self._changed.get(meter)
        if changed is not None:
            return changed
        at = bisect_left(self._meters, meter)
        if at == len(self._meters) or self._meters[at] != meter:
            return ()
        return tuple(self._devices[self._starts[at] : self._starts[at + 1]].tolist())

    def meters(self) -> list[int]:
        """List the rows of the meters that have any, ascending."""
        return np.flatnonzero(self.has).tolist()

    def set(self, meter: int, devices: tuple[int, ...]) -> None:
        """Give a meter other second supplies."""
        self._changed[meter], self._arrays = devices, None
        self.is_empty = False
        if meter >= len(self.has):
            longer = np.zeros(max(2 * meter, 16), dtype=np.bool_)
            longer[: len(self.has)] = self.has
            self.has = longer
        self.has[meter] = bool(devices)

    def is_among(self, meters: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell which of the meters have second supplies."""
        if not len(self.has):
            return np.zeros(len(meters), dtype=np.bool_)
        has = self.has.take(meters, mode="clip")
        return has & (meters < len(self.has)) if len(meters) and meters.max() >= len(self.has) else has

    def among(self, meters: NDArray[np.int32]) -> NDArray[np.int32]:
        """Pick those of the meters that have second supplies."""
        return meters[self.is_among(meters)]

    def fork(self) -> Backups:
        """Make a copy that changes on its own."""
        other = object.__new__(Backups)
        other._meters, other._starts, other._devices = self._meters, self._starts, self._devices
        other._priorities, other._arrays = self._priorities, self._arrays
        other._changed, other.has, other.is_empty = dict(self._changed), self.has.copy(), self.is_empty
        return other

    def arrays(self) -> tuple[Integers, Integers, Integers, NDArray[np.uint8]]:
        """Give them all for one pass; made when first asked for after a change.

        Returns
        -------
        ranks, starts, devices : int32 arrays
            Of the ``k``-th meter that has any they are ``devices[starts[k]:starts[k + 1]]``; before the
            meters of byte ``b`` of the bits come ``ranks[b]`` that have.
        bits : uint8 array
            Bit ``m & 7`` of ``bits[m >> 3]`` tells whether meter ``m`` has any. Five bits a meter in all, and
            at the most eight bytes a supply: small, since it is read here and there.
        """
        if self._arrays is None:
            meter, device, priority = self.rows()
            order = np.lexsort((np.arange(len(meter)), priority, meter))
            bits = np.packbits(self.has, bitorder="little")
            starts = np.append(0, np.unique(meter, return_counts=True)[1].cumsum()).astype(np.int32)
            before = np.cumsum(np.bitwise_count(bits), dtype=np.int32) - np.bitwise_count(bits)
            self._arrays = before.astype(np.int32), starts, device[order], bits
        return self._arrays

    def rows(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
        """Give all of them as the columns ``alternate_meter``, ``_device`` and ``_priority``."""
        meter = np.repeat(self._meters, np.diff(self._starts)).astype(np.int32)
        if not self._changed:
            return meter, self._devices, self._priorities
        kept = ~np.isin(meter, list(self._changed))
        more = [
            (row, device, place + 2)
            for row, devices in self._changed.items()
            for place, device in enumerate(devices)
        ]
        table = np.array(more, dtype=np.int32).reshape(-1, 3)
        return (
            np.concatenate((meter[kept], table[:, 0])).astype(np.int32),
            np.concatenate((self._devices[kept], table[:, 1])).astype(np.int32),
            np.concatenate((self._priorities[kept], np.minimum(table[:, 2], 127))).astype(np.int8),
        )
