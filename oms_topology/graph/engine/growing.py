"""Columns that can grow by a row without being copied each time."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["Growing"]

_NOT_KNOWN = object()


class Growing:
    """The spare room behind the columns of one network.

    Arrays that were handed out before stay as they are: they end where they ended, and what stood in
    them is never written again. Two networks that share columns need a ``Growing`` each.

    Examples
    --------
    >>> from oms_topology.model import NetworkColumns
    >>> columns = NetworkColumns(
    ...     device_kind=np.array(["feeder"], object), device_code=np.array(["F1"], object)
    ... )
    >>> longer = Growing().append(columns, "device", {"device_kind": "section", "device_code": "L1"})
    >>> columns.device_code.tolist(), longer.device_code.tolist(), longer.device_name.tolist()
    (['F1'], ['F1', 'L1'], ['', ''])
    """

    __slots__ = ("_room",)

    def __init__(self) -> None:
        self._room: dict[tuple[str, str], NDArray[Any]] = {}

    def append(self, columns: NetworkColumns, table: str, values: Mapping[str, Any]) -> NetworkColumns:
        """Add a row to one table (``"device"``, ``"branch"``, ``"meter"``, ``"alternate"``).

        Parameters
        ----------
        columns : NetworkColumns
            The network so far.
        table : str
            Which of its tables.
        values : mapping of column name to value
            What is not named is empty: "" for text, nan, False, 0.

        Returns
        -------
        NetworkColumns
            The network with the row; a few microseconds a column, whatever its length.
        """
        parts: dict[str, Any] = {}
        for each in fields(columns):
            if not each.name.startswith(f"{table}_"):
                continue
            column = getattr(columns, each.name)
            if each.name.endswith("_attributes"):
                parts[each.name] = {
                    name: self._appended((each.name, name), _roomy(array), _NOT_KNOWN)
                    for name, array in column.items()
                }
            else:
                parts[each.name] = self._appended((each.name, ""), column, values.get(each.name))
        return replace(columns, **parts)

    def _appended(self, key: tuple[str, str], column: Any, value: Any) -> Any:
        if not isinstance(column, np.ndarray):
            return column  # a column of codes, which its table makes longer
        count = len(column)
        room = self._room.get(key)
        if room is None or len(room) <= count or column.base is not room:
            room = np.empty(max(2 * count, 16), dtype=column.dtype)
            room[:count] = column
            self._room[key] = room
        if value is None:
            value = _empty(column.dtype)
        room[count] = None if value is _NOT_KNOWN else value
        return room[: count + 1]


def _roomy(array: NDArray[Any]) -> NDArray[Any]:
    """Let a further column hold "not known", whatever its type: integers become objects for it."""
    return array if array.dtype.kind in "fO" else array.astype(object)


def _empty(dtype: np.dtype[Any]) -> Any:
    return {"O": "", "f": np.nan, "b": False}.get(dtype.kind, 0)
