"""From the codes of devices to rows: those of which there are few in a dictionary, all others in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.names.quick_table import QuickTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["ABSENT", "FEW", "DeviceRows"]

ABSENT = -1
"""The row of a code that no device has for itself."""
FEW = 1 << 15
"""A dictionary of so many codes is still found in the cache; beyond, a table is faster and smaller."""
_MANY = 1_000


class DeviceRows(MutableMapping[str, int]):
    """Row of each device whose code nothing else has, and which of these codes are known to be shared.

    Up to :data:`FEW` codes, :attr:`few` has them all. Of more it has the kinds that have few devices,
    substations and feeders before distribution points, and whatever changed since; the others stand in a
    :class:`~oms_topology.graph.names.quick_table.QuickTable`.

    Parameters
    ----------
    codes, kinds : object arrays of str, one per device
        Of a code that stands here twice the first row counts; it is among :attr:`doubled`.

    Attributes
    ----------
    few : dict of str to int
        Where to look first: :data:`ABSENT` for a code that the table has and no device any more.
        For one that does not stand here :attr:`far` tells.
    far : callable
        Gives the row of a code that is not among the few, :data:`ABSENT` when there is none.
    table : QuickTable or None
        All codes as they were given, where there are many.
    changed : set of str
        The codes of which the table says something else than :attr:`few`.
    doubled : set of str
        The codes that several of the devices have.

    Examples
    --------
    >>> rows = DeviceRows(np.array(["SS1", "F1"], object), np.array(["substation", "feeder"], object))
    >>> del rows["F1"]
    >>> rows["SS1"], rows.get("F1"), rows.rows(["F1", "SS1"]).tolist()
    (0, None, [-1, 0])
    """

    __slots__ = ("_count", "changed", "doubled", "far", "few", "table")

    def __init__(self, codes: NDArray[np.object_], kinds: NDArray[np.object_]) -> None:
        count = len(codes)
        self.changed: set[str] = set()
        self.table: QuickTable | None = None
        self.far: Callable[[Any], int] = _nowhere
        if count <= FEW:
            listed = codes.tolist()
            self.few = dict(zip(listed, range(count), strict=True))
            self.doubled = set() if len(self.few) == count else _doubled(listed)
            self.few.update((code, listed.index(code)) for code in self.doubled)
        else:
            self.table = QuickTable(codes)
            self.far = self.table.row
            first = np.ones(count, dtype=np.bool_)
            first[self.table.duplicate_rows] = False
            self.doubled = set(codes[~first].tolist())
            of_few = np.flatnonzero(_is_of_few(kinds) & first)
            self.few = dict(zip(codes[of_few].tolist(), of_few.tolist(), strict=True))
        self._count = len(self.few) if self.table is None else int(first.sum())

    def row(self, code: object) -> int:
        """Give the row of a code, :data:`ABSENT` when there is none."""
        row = self.few.get(code)
        return self.far(code) if row is None else row

    def rows(self, codes: Sequence[str]) -> NDArray[np.int32]:
        """Give the rows of many codes, :data:`ABSENT` for those that are not here; some 0.1 us each."""
        if self.table is None:
            return np.fromiter(map(self.few.get, codes, repeat(ABSENT)), np.int32, len(codes))
        if len(codes) < _MANY:
            return np.fromiter(map(self.row, codes), np.int32, len(codes))
        found = self.table.rows(codes)
        if self.changed:
            for at in [at for at, code in enumerate(codes) if code in self.changed]:
                found[at] = self.few[codes[at]]
        return found

    def fork(self) -> DeviceRows:
        """Make a copy that learns on its own."""
        other = object.__new__(DeviceRows)
        other.few, other.changed, other.doubled = dict(self.few), set(self.changed), self.doubled
        other.table, other.far, other._count = self.table, self.far, self._count
        return other

    def __getitem__(self, code: str) -> int:
        row = self.row(code)
        if row == ABSENT:
            raise KeyError(code)
        return row

    def __contains__(self, code: object) -> bool:
        return self.row(code) != ABSENT

    def __setitem__(self, code: str, row: int) -> None:
        self._count += code not in self
        self.few[code] = row
        if self.table is not None:
            self.changed.add(code)

    def __delitem__(self, code: str) -> None:
        if code not in self:
            raise KeyError(code)
        self._count -= 1
        if self.table is None:
            del self.few[code]
        else:
            self.few[code] = ABSENT
            self.changed.add(code)

    def __iter__(self) -> Iterator[str]:
        yield from [code for code, row in self.few.items() if row != ABSENT]
        if self.table is not None:
            seen = dict.fromkeys(self.few)
            for code in self.table:
                if code not in seen:
                    seen[code] = None
                    yield code

    def __len__(self) -> int:
        return self._count


def _nowhere(_: object) -> int:
    return ABSENT


def _doubled(codes: list[str]) -> set[str]:
    return {code for code, times in Counter(codes).items() if times > 1}


def _is_of_few(kinds: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Tell which devices are of the kinds that, rarest first, make up the few."""
    is_of_few, room = np.zeros(len(kinds), dtype=np.bool_), FEW
    for kind, count in sorted(Counter(kinds.tolist()).items(), key=lambda pair: (pair[1], pair[0])):
        room -= count
        if room >= 0:
            is_of_few |= kinds == kind
    return is_of_few
