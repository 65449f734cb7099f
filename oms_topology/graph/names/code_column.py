"""The numbers of very many meters, read from the table that finds them instead of kept a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from oms_topology.graph.names.codes import CodeTable

__all__ = ["CodeColumn"]


class CodeColumn:
    """A column of codes that behaves like an object array of ``str`` and is read from a code table.

    Parameters
    ----------
    table : CodeTable
        Where the codes are.
    count : int
        How many of its rows the column has.

    Notes
    -----
    Reading 1,000 codes takes some 50 us; an array of ten million Python strings takes 700 MB.

    Examples
    --------
    >>> from oms_topology.graph.names.codes import CodeTable
    >>> column = CodeColumn(CodeTable(["M1", "M2", "M3"]), 3)
    >>> column[1], column[np.array([2, 0])].tolist(), len(column)
    ('M2', ['M3', 'M1'], 3)
    """

    __slots__ = ("_count", "_table")

    dtype = np.dtype(object)

    def __init__(self, table: CodeTable, count: int) -> None:
        self._table, self._count = table, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            return self._table.code(int(key) if key >= 0 else self._count + int(key))
        if isinstance(key, slice):
            return self._table.codes(np.arange(*key.indices(self._count)))
        key = np.asarray(key)
        return self._table.codes(np.flatnonzero(key) if key.dtype == np.bool_ else key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.object_]:
        codes: NDArray[np.object_] = self[:]
        return codes

    def tolist(self) -> list[str]:
        """Give all codes."""
        codes: list[str] = self[:].tolist()
        return codes
