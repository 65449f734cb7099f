"""Columns of numbers out of the database and into it, by binary COPY: a million rows in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from sqlalchemy import Connection

__all__ = ["copy_in", "copy_out"]

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"


def copy_out(connection: Connection, sql: str, columns: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Read the rows of a query into arrays; numbers only, and no NULL among them.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction.
    sql : str
        A SELECT without parameters.
    columns : mapping of str to str
        Name and type (``"i4"`` for integer, ``"f8"`` for double precision) of each column, in order.

    Returns
    -------
    dict of str to numpy.ndarray
        One array for each column, in the order of the rows.
    """
    with _cursor(connection) as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT binary)") as copy:
        raw = b"".join(bytes(block) for block in copy)
    rows = np.frombuffer(raw[len(_HEADER) : len(raw) - len(_TRAILER)], dtype=_row_type(columns))
    return {name: rows[name].astype(f"={kind}") for name, kind in columns.items()}


def copy_in(connection: Connection, table: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers into a table of ours.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction.
    table : str
        A name of ours, never one from outside.
    columns : mapping of str to numpy.ndarray
        int32 and float64, all of one length, in the order of the table's columns.
    """
    kinds = {name: values.dtype.str[1:] for name, values in columns.items()}
    rows = np.zeros(len(next(iter(columns.values()))), dtype=_row_type(kinds))
    rows["#"] = len(columns)
    for name, values in columns.items():
        rows[f"#{name}"] = values.dtype.itemsize
        rows[name] = values
    with _cursor(connection) as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.write(_HEADER)
        copy.write(rows.tobytes())
        copy.write(_TRAILER)


def _row_type(columns: Mapping[str, str]) -> np.dtype[Any]:
    """Give the layout of a row: the number of fields, then of each field its length and its bytes."""
    fields = [part for name, kind in columns.items() for part in ((f"#{name}", ">i4"), (name, f">{kind}"))]
    return np.dtype([("#", ">i2"), *fields])


def _cursor(connection: Connection) -> Any:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101
    return driver.cursor()
