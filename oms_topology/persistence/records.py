"""What is read from a database to be shown: outages, dark meters, the audit of a meter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oms_topology.errors import UnknownDeviceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from sqlalchemy import Engine

__all__ = [
    "AuditRow",
    "DarkMeter",
    "OutageDetail",
    "OutageRow",
    "OutageSource",
    "OutageStep",
    "audit_of",
    "dark_by_distribution_point",
    "dark_meters",
    "outage_detail",
    "outage_rows",
    "power_counts",
]

_OUTAGE = """
    SELECT e.event_id, e.id::text AS outage_event_id, e.event_type, e.status, e.severity,
           e.confidence_score AS confidence, replace(b.kind, '_', ' ') AS device_kind, b.code AS device_code,
           e.affected_customers_count AS affected_customers,
           COALESCE(oms_topology.outage_critical_meters(e.id), 0) AS critical_meters,
           e.first_detected_at AS started_at, e.estimated_restoration_time AS estimated_at,
           t.earliest_at, t.latest_at, t.basis AS estimate_basis, e.actual_restoration_time AS restored_at,
           (SELECT count(*) FROM oms_topology.outage_meters(e.id) x
            JOIN public.oms_meters m ON m.meter_no = x.meter_no AND m.power_status = 'off') AS dark_meters
    FROM public.oms_outage_events e
    LEFT JOIN oms_topology.outage_estimate t ON t.outage_event_id = e.id
    LEFT JOIN oms_topology.outage_blame b ON b.outage_event_id = e.id
"""
_IS_OPEN = "e.status IN ('detected', 'confirmed', 'in_progress')"
_OUTAGES = (
    _OUTAGE
    + f"""
    WHERE %(closed)s OR {_IS_OPEN}
    ORDER BY {_IS_OPEN} DESC,
             CASE WHEN {_IS_OPEN} THEN oms_topology.outage_critical_meters(e.id) > 0 ELSE false END DESC,
             e.first_detected_at DESC, e.event_id LIMIT %(limit)s
    """
)
_ONE_OUTAGE = _OUTAGE + "WHERE e.event_id = %(code)s OR e.id::text = %(code)s"
_DESCRIPTION = "SELECT description FROM public.oms_outage_events WHERE id = %(id)s::uuid"
_SOURCES = """
    SELECT source_type AS source, source_event_id, detected_at, correlation_weight AS weight
    FROM public.oms_event_sources
    WHERE outage_event_id = %(id)s::uuid ORDER BY detected_at, source_event_id
"""
_TIMELINE = """
    SELECT "timestamp" AS at, event_type AS what, status, description FROM public.oms_event_timeline
    WHERE outage_event_id = %(id)s::uuid ORDER BY "timestamp", id
"""
_DARK = """
    SELECT m.meter_number, c.customer_id, p.dp_id AS distribution_point, f.feeder_id AS feeder,
           m.last_power_change AS since
    FROM public.oms_meters m
    LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    LEFT JOIN public.network_distribution_points p ON p.id = m.dp_id
    LEFT JOIN public.network_feeders f ON f.id = m.feeder_id
    WHERE m.power_status = 'off' AND m.status = 'active'
      AND (%(outage)s::uuid IS NULL
           OR m.meter_no IN (SELECT x.meter_no FROM oms_topology.outage_meters(%(outage)s::uuid) x))
    ORDER BY m.segment_no, m.position_no, m.meter_no
"""
_DARK_BY_POINT = """
    SELECT COALESCE(p.dp_id, '') AS code, count(*) AS meters
    FROM public.oms_meters m LEFT JOIN public.network_distribution_points p ON p.id = m.dp_id
    WHERE m.power_status = 'off' AND m.status = 'active'
    GROUP BY 1 ORDER BY 2 DESC, 1
"""
_POWER = """
    SELECT COALESCE(power_status, 'unknown') AS status, count(*) AS meters
    FROM public.oms_meters WHERE status = 'active' GROUP BY 1
"""
_AUDIT = """
    SELECT s.event_timestamp AS at, s.event_type AS what, s.previous_status AS before, s.new_status AS after,
           s.source_type AS source, s.source_event_id, s.confidence_score AS confidence
    FROM public.oms_meter_status_events s JOIN public.oms_meters m ON m.id = s.meter_id
    WHERE m.meter_number = %(meter)s
    ORDER BY s.event_timestamp, s.created_at, s.event_type, s.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageRow:
    """One outage, as the list shows it.

    Attributes
    ----------
    event_id, outage_event_id : str
        Its readable id, and the uuid that receipts name.
    event_type : str
        ``outage``, ``momentary_interruption``, ``planned_outage``, or what an older service wrote.
    status, severity : str
        As stored.
    confidence : Decimal or None
        From 0 to 1, rounded down.
    device_kind, device_code : str or None
        The device it blames, or the ``meter`` by its number; None for an outage that an older service wrote.
    affected_customers : int
        Distinct customers who lost supply with the device.
    critical_meters : int
        Meters of critical customers at or below the device.
    started_at, restored_at : aware datetime, UTC
        ``restored_at`` is None while it is open.
    estimated_at, earliest_at, latest_at : aware datetime or None
        When supply should be back, and between what times in four of five cases; None where nobody can say.
    estimate_basis : str or None
        What the estimate rests on; None for one that another service wrote.
    dark_meters : int
        Meters at or below the device without power now.
    """

    event_id: str
    outage_event_id: str
    event_type: str
    status: str
    severity: str
    confidence: Decimal | None
    device_kind: str | None
    device_code: str | None
    affected_customers: int
    critical_meters: int
    started_at: datetime
    estimated_at: datetime | None
    earliest_at: datetime | None
    latest_at: datetime | None
    estimate_basis: str | None
    restored_at: datetime | None
    dark_meters: int


@dataclass(frozen=True, slots=True)
class OutageSource:
    """A report that supports an outage, and what it weighs."""

    source: str
    source_event_id: str
    detected_at: datetime
    weight: Decimal | None


@dataclass(frozen=True, slots=True)
class OutageStep:
    """A line of an outage's timeline."""

    at: datetime
    what: str
    status: str
    description: str | None


@dataclass(frozen=True, slots=True)
class DarkMeter:
    """A meter without power: whose it is, where, and since when."""

    meter_number: str
    customer_id: str | None
    distribution_point: str | None
    feeder: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class OutageDetail:
    """An outage in words, what supports it, how it went, and who below its device is without power now."""

    outage: OutageRow
    description: str | None
    sources: tuple[OutageSource, ...]
    timeline: tuple[OutageStep, ...]
    dark: tuple[DarkMeter, ...]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A status event of a meter, as it was appended."""

    at: datetime
    what: str
    before: str | None
    after: str
    source: str
    source_event_id: str | None
    confidence: Decimal | None


def _rows(engine: Engine, statement: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        result = connection.exec_driver_sql(statement, dict(values or {}))
        return [dict(row) for row in result.mappings()]


def outage_rows(engine: Engine, *, closed: bool = False, limit: int = 50) -> list[OutageRow]:
    """List outages: the open ones, those with critical customers first, then the closed; newest first.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.
    closed : bool
        Closed ones too.
    limit : int
        At most so many.
    """
    return [OutageRow(**row) for row in _rows(engine, _OUTAGES, {"closed": closed, "limit": limit})]


def outage_detail(engine: Engine, code: str) -> OutageDetail:
    """Give one outage by its readable id or its uuid.

    Raises
    ------
    UnknownDeviceError
        There is none.
    """
    found = _rows(engine, _ONE_OUTAGE, {"code": code})
    if not found:
        raise UnknownDeviceError(code, kind="outage")
    outage = OutageRow(**found[0])
    key = {"id": outage.outage_event_id}
    (told,) = _rows(engine, _DESCRIPTION, key)
    return OutageDetail(
        outage,
        told["description"],
        tuple(OutageSource(**row) for row in _rows(engine, _SOURCES, key)),
        tuple(OutageStep(**row) for row in _rows(engine, _TIMELINE, key)),
        tuple(dark_meters(engine, outage_event_id=outage.outage_event_id)),
    )


def dark_meters(engine: Engine, *, outage_event_id: str | None = None) -> list[DarkMeter]:
    """List the active meters without power, in the order in which they hang in the network.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.
    outage_event_id : str, optional
        Only those below the device of this outage (a uuid).
    """
    return [DarkMeter(**row) for row in _rows(engine, _DARK, {"outage": outage_event_id})]


def dark_by_distribution_point(engine: Engine) -> dict[str, int]:
    """Count the active meters without power by distribution point, most first; ``""`` for none."""
    return {row["code"]: row["meters"] for row in _rows(engine, _DARK_BY_POINT)}


def power_counts(engine: Engine) -> dict[str, int]:
    """Count the active meters by power status: keys ``on``, ``off``, ``unknown``."""
    counts = {row["status"]: row["meters"] for row in _rows(engine, _POWER)}
    return {status: counts.get(status, 0) for status in ("on", "off", "unknown")}


def audit_of(engine: Engine, meter_number: str) -> list[AuditRow]:
    """List the status events of a meter in the order in which things happened; empty for an unknown one."""
    return [AuditRow(**row) for row in _rows(engine, _AUDIT, {"meter": meter_number})]
