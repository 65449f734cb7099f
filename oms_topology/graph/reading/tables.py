"""Reading tables of any make: dictionaries of columns, lists of rows, pandas, polars, Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.errors import TopologyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Table"]

_NO_WORDS = frozenset({"", "0", "false", "f", "no", "n", "none", "nan", "null", "closed"})


class Table:
    """A table as columns, whatever library it came from; none is imported for it.

    Parameters
    ----------
    source : mapping of column name to values, sequence of row mappings, data frame, Arrow table, or None
        The data. Data frames of pandas and polars and tables of Arrow are read by their interfaces.
    name : str
        What the table is called in messages.

    Raises
    ------
    TopologyError
        The source is nothing that can be read, or its columns differ in length.

    Examples
    --------
    >>> Table({"dp_id": [" DP1", 7, 8.0, None]}, "distribution_points").codes("dp_id").tolist()
    ['DP1', '7', '8', '']
    """

    __slots__ = ("_columns", "name")

    def __init__(self, source: Any, name: str) -> None:
        self.name = name
        self._columns = {str(key): values for key, values in _read(source, name).items()}
        lengths = {key: len(values) for key, values in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise TopologyError(f"The columns of {name} differ in length: {lengths}.")

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __contains__(self, column: str) -> bool:
        return column in self._columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(self._columns)

    def need(self, *columns: str) -> None:
        """Raise TopologyError unless an empty table or one with all these columns."""
        missing = [column for column in columns if column not in self._columns]
        if missing and self._columns:
            have = ", ".join(self._columns)
            raise TopologyError(f"{self.name} lacks the column {missing[0]!r}; it has: {have}.")

    def codes(self, *names: str) -> NDArray[np.object_]:
        """Read a column of codes as stripped text; numbers lose a ``.0``, missing values are ``""``.

        Parameters
        ----------
        *names : str
            The names the column may have; the first present one is read. Without any, all ``""``.
        """
        values = self._first(names)
        if values is None:
            return np.full(len(self), "", dtype=object)
        return _objects(map(_code, values), len(values))

    def numbers(self, *names: str) -> NDArray[np.float64]:
        """Read a column as floats, nan for what is missing or no number."""
        values = self._first(names)
        if values is None:
            return np.full(len(self), np.nan)
        return np.fromiter(map(_number, values), dtype=np.float64, count=len(values))

    def flags(self, *names: str) -> NDArray[np.bool_]:
        """Read a column of yes and no: booleans, 0 and 1, or words; missing is no."""
        return np.fromiter(
            (code.casefold() not in _NO_WORDS for code in self.codes(*names)), dtype=np.bool_, count=len(self)
        )

    def has_any(self, *names: str) -> bool:
        """Tell whether one of the columns is there."""
        return self._first(names) is not None

    def rest(self, *used: str) -> dict[str, NDArray[Any]]:
        """Give the columns that were not named, as object arrays."""
        return {
            name: _objects(values, len(values)) for name, values in self._columns.items() if name not in used
        }

    def _first(self, names: Iterable[str]) -> Sequence[Any] | None:
        return next((self._columns[name] for name in names if name in self._columns), None)


def _objects(values: Iterable[Any], count: int) -> NDArray[np.object_]:
    column = np.empty(count, dtype=object)
    column[:] = list(values)
    return column


def _code(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return "" if text in ("<NA>", "NaT") else text


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _read(source: Any, name: str) -> dict[str, Any]:
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return {key: _values(values) for key, values in source.items()}
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        return _from_rows(source, name)
    if hasattr(source, "to_pydict"):
        return dict(source.to_pydict())
    if hasattr(source, "columns") and hasattr(source, "__getitem__"):
        return {key: _values(source[key]) for key in source.columns}
    if hasattr(source, "__arrow_c_stream__"):
        return _from_arrow(source)
    raise TopologyError(
        f"{name} cannot be read from {type(source).__name__}; give a data frame, an Arrow table, "
        "a dictionary of columns or a list of row dictionaries."
    )


def _from_rows(rows: Sequence[Any], name: str) -> dict[str, Any]:
    if not all(isinstance(row, Mapping) for row in rows):
        raise TopologyError(
            f"{name} is a sequence, so each of its rows has to be a mapping of column to value."
        )
    columns = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key) for row in rows] for key in columns}


def _from_arrow(source: Any) -> dict[str, Any]:
    import pyarrow as pa

    return dict(pa.table(source).to_pydict())


def _values(values: Any) -> Any:
    """Plain Python values, which compare and print the same whatever held them."""
    for method in ("tolist", "to_pylist", "to_list"):
        if hasattr(values, method):
            return getattr(values, method)()
    return list(values)
