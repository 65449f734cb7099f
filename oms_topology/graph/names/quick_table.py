"""A code table for single look-ups in large networks: every code has its row beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.names.code_bytes import PAD
from oms_topology.graph.names.code_table import CodeTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["QuickTable"]

_SIZES = (16, 32, 64)  # none of them straddles a line of the cache
_ROW_BYTES = 4


class QuickTable(CodeTable):
    """A :class:`~oms_topology.graph.names.code_table.CodeTable` that finds one code in one line of the cache.

    For it every code is stored once more, in slots that are searched from Python's own hash of the code: 24
    to 48 bytes a code of up to 12 bytes, twice that up to 28, and so on; none of more than 60 bytes.

    Parameters
    ----------
    codes : object array of str
        The codes, mostly distinct; of equal ones the first is found.

    Examples
    --------
    >>> table = QuickTable(np.array(["DP1", "DP22"], dtype=object))
    >>> table.row("DP22"), table.row("DP2"), table.row("DP23")
    (1, -1, -1)
    """

    _key_beside: Callable[[int], bytes] | None
    _row_beside: memoryview[int]

    __slots__ = ("_key_beside", "_mask", "_records", "_row_beside")

    def __init__(self, codes: NDArray[np.object_]) -> None:
        super().__init__(codes)
        self._key_beside = None
        size = next((size for size in _SIZES if self._width + _ROW_BYTES <= size), 0)
        if size and len(codes):
            self._put_beside(codes.tolist(), size)

    def _put_beside(self, codes: Sequence[str], size: int) -> None:
        """Write the records, of ``size`` bytes each: a code and its row; free ones read as the empty code."""
        slots = 1 << (3 * len(codes) // 2).bit_length()
        marks = np.fromiter(map(hash, codes), np.int64, len(codes)) & (slots - 1)
        is_first = self._matrix[:, 0] != 0
        is_first[self.duplicate_rows] = False
        is_empty = is_first & (self._matrix[:, 0] == PAD)
        rows = np.flatnonzero(is_first & ~is_empty).astype(np.int32)
        holder = np.full(slots, -1, dtype=np.int32)
        at = _filled(marks.take(rows), rows, holder)
        key = np.dtype(f"S{self._width}")
        gap = size - _ROW_BYTES - self._width
        self._records = np.zeros(slots, dtype=np.dtype([("key", key), ("", f"V{gap}"), ("row", np.int32)]))
        holder[holder < 0] = np.flatnonzero(is_empty)[0] if is_empty.any() else -1
        self._records["row"] = holder
        spelled = self._matrix[:, : self._width].copy()
        spelled[spelled == PAD] = 0  # which a field that is read leaves out by itself
        self._records["key"][at] = spelled.view(key)[rows, 0]
        self._mask = slots - 1
        self._key_beside, self._row_beside = self._records["key"].item, self._records["row"].data

    def row(self, code: str) -> int:
        """Give the row of a code, -1 when there is none, and for what is no text; about 0.3 us."""
        key_at = self._key_beside
        try:
            if key_at is None:
                return super().row(code)
            key = code.encode()
        except UnicodeEncodeError:
            return self._apart.get(code, -1)
        except AttributeError:
            return -1
        slot = hash(code) & self._mask
        while (found := key_at(slot)) != key:
            if not found:
                return self._apart.get(code, -1)
            slot = slot + 1 & self._mask
        return self._row_beside[slot]

    @property
    def nbytes(self) -> int:
        """Bytes of the table in all, the codes included twice."""
        return super().nbytes + (self._records.nbytes if self._key_beside else 0)

    def __reduce__(self) -> tuple[Any, ...]:
        # A string hashes to something else in every process.
        return QuickTable, (self.codes(range(self._count)),)


def _filled(marks: NDArray[np.int64], rows: NDArray[np.int32], slots: NDArray[Any]) -> NDArray[np.int64]:
    """Put rows into empty slots, each into the first from its mark on that is free; give where they stand."""
    at, left = marks, np.arange(len(marks))
    while len(left):
        wanted = at.take(left)
        free = np.flatnonzero(slots.take(wanted) < 0)
        slots[wanted.take(free)] = rows.take(left.take(free))
        left = left.take(np.flatnonzero(slots.take(wanted) != rows.take(left)))
        at[left] = (at.take(left) + 1) & (len(slots) - 1)
    return at
