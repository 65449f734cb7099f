"""Reads the statuses of meters into columns: of all of them at near the speed of a scan, or of some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from oms_topology.model import CommunicationStatus, PowerStatus

if TYPE_CHECKING:
    import psycopg
    from numpy.typing import NDArray

__all__ = ["COMMUNICATION_STATUSES", "POWER_STATUSES", "MeterStatuses", "numbers_of", "read_statuses"]

POWER_STATUSES: Final = (PowerStatus.UNKNOWN, PowerStatus.ON, PowerStatus.OFF)
"""The power status that each code of a column stands for."""
COMMUNICATION_STATUSES: Final = (
    CommunicationStatus.UNKNOWN,
    CommunicationStatus.ONLINE,
    CommunicationStatus.OFFLINE,
)
"""The communication status that each code of a column stands for."""

_MOST_LOOKED_UP = 100_000
_PAGES_A_CHUNK = 16_384
_PAGES = (
    "SELECT (pg_relation_size('public.oms_meters') / current_setting('block_size')::int)::int,"
    " set_config('jit', 'off', true)"
)
_COLUMNS = """
    SELECT array_agg(m.meter_number), array_send(array_agg(m.meter_no)),
           string_agg(CASE m.power_status WHEN 'on' THEN '1' WHEN 'off' THEN '2' ELSE '0' END, ''),
           string_agg(CASE m.communication_status
                      WHEN 'online' THEN '1' WHEN 'offline' THEN '2' ELSE '0' END, '')
    FROM public.oms_meters m
"""
_OF_PAGES = _COLUMNS + "WHERE m.ctid >= %s::tid AND m.ctid < %s::tid"
_OF_SOME = _COLUMNS + "WHERE m.meter_no = ANY (%s::int[])"


def _no_numbers() -> NDArray[np.int32]:
    return np.empty(0, dtype=np.int32)


def _no_codes() -> NDArray[np.uint8]:
    return np.empty(0, dtype=np.uint8)


def _no_texts() -> NDArray[np.object_]:
    return np.empty(0, dtype=object)


@dataclass(slots=True, kw_only=True)
class MeterStatuses:
    """The present statuses of some meters, one array per column, in no particular order.

    Attributes
    ----------
    meter_no : int32 array, one per meter
        The dense number of the meter in its database (``oms_meters.meter_no``).
    meter_number : object array, one per meter
        The meter's number as ``str``.
    power_status, communication_status : uint8 arrays, one per meter
        Places in :data:`POWER_STATUSES` and :data:`COMMUNICATION_STATUSES`: 0 unknown, 1 on or online,
        2 off or offline.
    gone : int32 array
        ``meter_no`` of the meters asked for that do not exist any more.
    """

    meter_no: NDArray[np.int32] = field(default_factory=_no_numbers)
    meter_number: NDArray[np.object_] = field(default_factory=_no_texts)
    power_status: NDArray[np.uint8] = field(default_factory=_no_codes)
    communication_status: NDArray[np.uint8] = field(default_factory=_no_codes)
    gone: NDArray[np.int32] = field(default_factory=_no_numbers)

    def __len__(self) -> int:
        return len(self.meter_no)


def read_statuses(
    connection: psycopg.Connection[Any], meter_nos: NDArray[np.int32] | None = None
) -> MeterStatuses:
    """Read the statuses of all meters, or of those that are wanted.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction whose snapshot stands, where several answers are to fit.
    meter_nos : int32 array, optional
        Distinct numbers of meters; all meters when left out.

    Returns
    -------
    MeterStatuses
        One row a meter; the numbers that no meter has are ``gone``.

    Notes
    -----
    Some 0.6 us a meter; from 100,000 wanted meters on, the whole table is read.
    """
    if meter_nos is not None and not len(meter_nos):
        return MeterStatuses()
    if meter_nos is not None and len(meter_nos) <= _MOST_LOOKED_UP:
        found = _joined(connection.execute(_OF_SOME, (meter_nos.tolist(),), binary=True).fetchall())
    else:
        found = _read_all(connection)
        if meter_nos is not None:
            found = _picked(found, meter_nos)
    if meter_nos is not None and len(found) < len(meter_nos):
        found.gone = np.setdiff1d(meter_nos, found.meter_no)
    return found


def _read_all(connection: psycopg.Connection[Any]) -> MeterStatuses:
    (pages, _) = connection.execute(_PAGES).fetchone() or (0, "")
    return _joined(
        [
            row
            for first in range(0, max(pages, 1), _PAGES_A_CHUNK)
            for row in connection.execute(
                _OF_PAGES, (f"({first},0)", f"({first + _PAGES_A_CHUNK},0)"), binary=True
            )
        ]
    )


def _joined(parts: list[tuple[Any, ...]]) -> MeterStatuses:
    held = [part for part in parts if part[0] is not None]
    if not held:
        return MeterStatuses()
    numbers = [number for part in held for number in part[0]]
    texts = np.empty(len(numbers), dtype=object)
    texts[:] = numbers
    return MeterStatuses(
        meter_no=np.concatenate([numbers_of(part[1][20:]) for part in held]),
        meter_number=texts,
        power_status=np.concatenate([_codes(part[2]) for part in held]),
        communication_status=np.concatenate([_codes(part[3]) for part in held]),
    )


def _picked(statuses: MeterStatuses, meter_nos: NDArray[np.int32]) -> MeterStatuses:
    wanted = np.zeros(int(max(meter_nos.max(), statuses.meter_no.max(initial=0))) + 1, dtype=np.bool_)
    wanted[meter_nos] = True
    rows = np.flatnonzero(wanted[statuses.meter_no])
    return MeterStatuses(
        meter_no=statuses.meter_no[rows],
        meter_number=statuses.meter_number[rows],
        power_status=statuses.power_status[rows],
        communication_status=statuses.communication_status[rows],
    )


def numbers_of(elements: bytes) -> NDArray[np.int32]:
    """Give the values of an ``integer[]`` without NULLs, from what ``array_send`` writes after its head.

    Examples
    --------
    >>> numbers_of(bytes([0, 0, 0, 4, 0, 0, 1, 1])).tolist()
    [257]
    """
    element = np.dtype([("length", ">i4"), ("value", ">i4")])
    return np.frombuffer(elements, dtype=element)["value"].astype(np.int32)


def _codes(digits: str) -> NDArray[np.uint8]:
    codes: NDArray[np.uint8] = np.frombuffer(digits.encode("ascii"), dtype=np.uint8) - np.uint8(ord("0"))
    return codes
