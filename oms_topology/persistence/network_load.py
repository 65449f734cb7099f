"""Reads the network from the tables into columns, at near the speed of the server's own COPY."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import text

from oms_topology.model import NetworkColumns
from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

__all__ = ["load_network"]

_SETTLE = text("SELECT oms_topology.settle()")
_VERSION = text("SELECT COALESCE(max(topology_version), 0) FROM oms_topology.topology_change")
_SNAPSHOT = text("SELECT pg_export_snapshot()")
_PAGES = text("SELECT (pg_relation_size('public.oms_meters') / current_setting('block_size')::int)::int")
_DEVICES = text(
    """
    SELECT d.device_no, d.kind, d.code, COALESCE(d.name, ''),
           d.is_source, COALESCE(d.longitude, 'NaN'), COALESCE(d.latitude, 'NaN')
    FROM oms_topology.device d ORDER BY d.device_no
    """
)
# A device that no drawn branch joins to its feeding device hangs on it directly.
_BRANCHES = text(
    """
    SELECT b.from_no, b.to_no, b.kind, COALESCE(b.code, ''), b.is_switch, b.normally_open, b.is_open,
           b.branch_no
    FROM oms_topology.branch b
    UNION ALL
    SELECT d.normal_parent_no, d.device_no, 'direct', '', false, false, false, 2147483647
    FROM oms_topology.device d
    WHERE d.normal_parent_no IS NOT NULL
      AND NOT EXISTS (SELECT FROM oms_topology.branch b
                      WHERE b.to_no = d.device_no AND b.from_no = d.normal_parent_no)
      AND NOT EXISTS (SELECT FROM oms_topology.branch b
                      WHERE b.from_no = d.device_no AND b.to_no = d.normal_parent_no)
    ORDER BY branch_no, 2
    """
)
_ALTERNATES = text(
    """
    SELECT a.meter_no, a.device_no, GREATEST(LEAST(a.priority, 127), -128)
    FROM oms_topology.alternate_supply a
    JOIN public.oms_meters m ON m.meter_no = a.meter_no
    WHERE COALESCE(m.status, 'active') = 'active'
    ORDER BY a.meter_no, a.priority, a.device_no
    """
)
# network_substation_meters.priority is criticality; only what is not low needs to travel.
_PRIORITIES = text(
    """
    SELECT m.meter_no, min(s.priority) FROM public.network_substation_meters s
    JOIN public.oms_meters m ON m.id = s.meter_id
    WHERE s.priority BETWEEN 1 AND 3 GROUP BY m.meter_no
    """
)
_METERS = text(
    """
    SELECT string_agg(m.meter_number, E'\\x1f'), string_agg(COALESCE(c.customer_id, ''), E'\\x1f'),
           array_send(array_agg(m.meter_no)), array_send(array_agg(COALESCE(m.device_no, -1))),
           array_send(array_agg(COALESCE(m.location_lng::float8, 'NaN'))),
           array_send(array_agg(COALESCE(m.location_lat::float8, 'NaN')))
    FROM public.oms_meters m LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    WHERE COALESCE(m.status, 'active') = 'active'
      AND m.ctid >= CAST(:first AS tid) AND m.ctid < CAST(:past AS tid)
    """
)
_METER_ROWS = text(
    """
    SELECT m.meter_number, COALESCE(c.customer_id, ''), m.meter_no, COALESCE(m.device_no, -1),
           COALESCE(m.location_lng::float8, 'NaN'), COALESCE(m.location_lat::float8, 'NaN')
    FROM public.oms_meters m LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    WHERE COALESCE(m.status, 'active') = 'active'
      AND m.ctid >= CAST(:first AS tid) AND m.ctid < CAST(:past AS tid)
    """
)
_CONNECTIONS = 2
_PAGES_A_CHUNK = 8192
_METER_TYPES = (">i4", ">i4", ">f8", ">f8")


def load_network(engine: Engine) -> NetworkColumns:
    """Read devices, branches, active meters and alternate supplies, all of one instant.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        A database with the schema of this version.

    Returns
    -------
    NetworkColumns
        Devices in the order of their numbers, meters in the order of the table. A meter that no
        device feeds has -1.

    Raises
    ------
    StoreUnavailableError
        The database cannot be reached.

    Notes
    -----
    Whole columns travel as one value each, on two connections that share a snapshot, so the cost is
    the server's scan; see ``benchmarks/README.md``.
    """
    with translated_errors():
        with engine.begin() as connection:
            connection.execute(_SETTLE)
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            return _columns(engine, connection)


def _columns(engine: Engine, connection: Connection) -> NetworkColumns:
    snapshot = connection.execute(_SNAPSHOT).scalar_one()
    version = int(connection.execute(_VERSION).scalar_one())
    devices = _transposed(connection.execute(_DEVICES).all(), 7)
    device_nos = np.array(devices[0], dtype=np.int64)
    branches = _transposed(connection.execute(_BRANCHES).all(), 8)
    alternates = _transposed(connection.execute(_ALTERNATES).all(), 3)
    numbers, customers, meter_nos, feeding, longitude, latitude = _meters(engine, connection, snapshot)
    priority = np.zeros(len(numbers), dtype=np.int8)
    prioritised = _transposed(connection.execute(_PRIORITIES).all(), 2)
    rows = _rows_of(meter_nos, prioritised[0])
    priority[rows[rows >= 0]] = np.array(prioritised[1], dtype=np.int8)[rows >= 0]
    return NetworkColumns(
        device_kind=_texts(devices[1]),
        device_code=_texts(devices[2]),
        device_name=_texts(devices[3]),
        device_is_source=np.array(devices[4], dtype=np.bool_),
        device_longitude=np.array(devices[5], dtype=np.float64),
        device_latitude=np.array(devices[6], dtype=np.float64),
        branch_from=_rows_of(device_nos, branches[0]),
        branch_to=_rows_of(device_nos, branches[1]),
        branch_kind=_texts(branches[2]),
        branch_code=_texts(branches[3]),
        branch_is_switch=np.array(branches[4], dtype=np.bool_),
        branch_normally_open=np.array(branches[5], dtype=np.bool_),
        branch_is_open=np.array(branches[6], dtype=np.bool_),
        meter_number=numbers,
        meter_customer=customers,
        meter_device=_rows_of(device_nos, feeding),
        meter_priority=priority,
        meter_longitude=longitude,
        meter_latitude=latitude,
        alternate_meter=_rows_of(meter_nos, alternates[0]),
        alternate_device=_rows_of(device_nos, alternates[1]),
        alternate_priority=np.array(alternates[2], dtype=np.int8),
        topology_version=version,
    )


def _transposed(rows: Any, width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) or [() for _ in range(width)]


def _texts(values: tuple[str, ...] | list[str]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _rows_of(numbers: NDArray[np.int64], wanted: Any) -> NDArray[np.int32]:
    """Rows at which the wanted numbers stand, -1 for those that do not."""
    wanted = np.asarray(wanted, dtype=np.int64)
    if not len(numbers) or not len(wanted):
        return np.full(len(wanted), -1, dtype=np.int32)
    row_of = np.full(int(max(numbers.max(), wanted.max())) + 2, -1, dtype=np.int32)
    row_of[numbers] = np.arange(len(numbers), dtype=np.int32)
    rows: NDArray[np.int32] = row_of[wanted]
    return rows


def _meters(engine: Engine, connection: Connection, snapshot: str) -> tuple[NDArray[Any], ...]:
    pages = int(connection.execute(_PAGES).scalar_one())
    chunks = [(first, min(first + _PAGES_A_CHUNK, pages)) for first in range(0, pages, _PAGES_A_CHUNK)]
    if len(chunks) <= 1:
        parts = [_chunk(connection, 0, max(pages, 1))]
    else:
        shares = [chunks[start::_CONNECTIONS] for start in range(_CONNECTIONS)]
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            done = list(pool.map(lambda share: _share(engine, snapshot, share), shares))
        parts = [done[number % _CONNECTIONS][number // _CONNECTIONS] for number in range(len(chunks))]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _share(engine: Engine, snapshot: str, chunks: list[tuple[int, int]]) -> list[tuple[NDArray[Any], ...]]:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # SET takes no parameters; the snapshot's name comes from the server itself.
        connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        return [_chunk(connection, first, past) for first, past in chunks]


def _chunk(connection: Connection, first: int, past: int) -> tuple[NDArray[Any], ...]:
    pages = {"first": f"({first},0)", "past": f"({past},0)"}
    row = connection.execute(_METERS, pages).one()
    numbers, customers = (joined.split("\x1f") if joined is not None else [] for joined in row[:2])
    columns = [_from_binary(column, dtype) for column, dtype in zip(row[2:], _METER_TYPES, strict=True)]
    if not len(numbers) == len(customers) == len(columns[0]):
        # A code holds the separator itself: row by row, then.
        rows = _transposed(connection.execute(_METER_ROWS, pages).all(), 6)
        numbers, customers, columns = list(rows[0]), list(rows[1]), [np.array(each) for each in rows[2:]]
    return _texts(numbers), _texts(customers), *_native(columns)


def _native(columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
    return [column.astype(dtype) for column, dtype in zip(columns, ("i8", "i8", "f8", "f8"), strict=True)]


def _from_binary(array: bytes | None, dtype: str) -> NDArray[Any]:
    """Values of a one-dimensional array without NULLs, as ``array_send`` writes it; none for None."""
    if array is None:
        return np.empty(0, dtype)
    element = np.dtype([("length", ">i4"), ("value", dtype)])
    return np.frombuffer(array, dtype=element, offset=20)["value"]
