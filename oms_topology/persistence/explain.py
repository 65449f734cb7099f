"""Why a meter is off: the reports behind its status, and the outages above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from oms_topology.errors import UnknownDeviceError
from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

__all__ = ["Evidence", "Explanation", "explain_meter"]

_METER = text(
    """
    SELECT m.meter_no, m.meter_number, m.power_status, m.last_power_change,
           m.own_power_status, m.own_power_at, m.supply_lost_at
    FROM public.oms_meters m WHERE m.meter_number = :meter_number
    """
)
# What the meter itself last said, and what an old service last did to it.
_OWN = text(
    """
    (SELECT r.power_status, r.occurred_at, r.source, r.source_event_id, false AS is_foreign
     FROM oms_topology.meter_report r LEFT JOIN oms_topology.source_setting s ON s.source = r.source
     WHERE r.meter_no = :meter_no AND r.occurred_at = :own_power_at AND r.power_status = :own_power_status
       AND NOT (r.source = 'system' AND r.power_status = 'off')
     ORDER BY s.reliability DESC, r.source_event_id COLLATE "C" DESC LIMIT 1)
    UNION ALL
    (SELECT r.power_status, r.occurred_at, r.source, r.source_event_id, true
     FROM oms_topology.meter_report r
     WHERE r.meter_no = :meter_no AND r.source = 'system' AND r.power_status = 'off'
     ORDER BY r.occurred_at DESC LIMIT 1)
    """
)
_PLACES = """
    WITH place AS (
        SELECT m.segment_no, m.position_no FROM public.oms_meters m WHERE m.meter_no = :meter_no
        UNION
        SELECT a.segment_no, a.position_no FROM oms_topology.alternate_supply a WHERE a.meter_no = :meter_no
    )
"""
_DEVICES = text(
    f"""
    {_PLACES}
    SELECT DISTINCT d.kind, d.code, s.depth, s.is_dead, s.reported_at, g.source, g.source_event_id
    FROM place p
    JOIN oms_topology.device_state s
        ON s.segment_no = p.segment_no AND p.position_no BETWEEN s.position_no AND s.last_position_no
    JOIN oms_topology.device d ON d.device_no = s.device_no
    JOIN oms_topology.signal g ON g.signal_no = s.signal_no
    ORDER BY s.depth DESC, d.code
    """  # noqa: S608
)
_OUTAGES = text(
    f"""
    {_PLACES}
    SELECT DISTINCT e.event_id, d.depth
    FROM place p
    JOIN oms_topology.device d
        ON d.segment_no = p.segment_no AND p.position_no BETWEEN d.position_no AND d.last_position_no
    JOIN oms_topology.outage_device o ON o.device_no = d.device_no AND o.ended_at IS NULL
    JOIN public.oms_outage_events e ON e.id = o.outage_event_id
    ORDER BY d.depth, e.event_id
    """  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One report that bears on a meter's power status.

    Attributes
    ----------
    subject : str
        Who reports, such as ``"feeder FD002"`` or ``"meter M1"``.
    says : str
        ``"on"`` or ``"off"``.
    at : aware datetime, UTC
        The time of its newest report.
    source : str
        The provider; ``"system"`` for a status that an old service or the upgrade brought.
    source_event_id : str
        The provider's id of the report.
    """

    subject: str
    says: str
    at: datetime
    source: str
    source_event_id: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a meter has its power status.

    Attributes
    ----------
    meter_number : str
        The meter.
    power_status : str
        ``on``, ``off`` or ``unknown``.
    since : aware datetime or None
        Start of the present run of that status.
    reason : str
        The rule that decided, in a sentence.
    evidence : tuple of Evidence
        The reports considered: the meter's own first, then those of the devices on all its supplies,
        farthest from their sources first.
    outages : tuple of str
        ``event_id`` of the open outages above it, nearest the source first.
    """

    meter_number: str
    power_status: str
    since: datetime | None
    reason: str
    evidence: tuple[Evidence, ...]
    outages: tuple[str, ...]

    def __str__(self) -> str:
        since = f" since {self.since.isoformat()}" if self.since else ""
        lines = [f"Meter {self.meter_number} is {self.power_status}{since}: {self.reason}"]
        lines += [
            f"  {item.at.isoformat()} {item.subject} says {item.says} ({item.source})"
            for item in self.evidence
        ]
        lines += [f"  open outage {code}" for code in self.outages]
        return "\n".join(lines)


def explain_meter(engine: Engine, meter_number: str) -> Explanation:
    """Tell why a meter has its power status, from the reports on record.

    Raises
    ------
    UnknownDeviceError
        There is no such meter.
    """
    with translated_errors(), engine.connect() as connection:
        meter = connection.execute(_METER, {"meter_number": meter_number}).one_or_none()
        if meter is None:
            raise UnknownDeviceError(meter_number, kind="meter")
        own = connection.execute(
            _OWN,
            {
                "meter_no": meter.meter_no,
                "own_power_at": meter.own_power_at,
                "own_power_status": meter.own_power_status,
            },
        ).all()
        devices = connection.execute(_DEVICES, {"meter_no": meter.meter_no}).all()
        outages = connection.execute(_OUTAGES, {"meter_no": meter.meter_no}).all()
    evidence = tuple(
        Evidence(f"meter {meter_number}", row.power_status, row.occurred_at, row.source, row.source_event_id)
        for row in own
    ) + tuple(
        Evidence(
            f"{row.kind.replace('_', ' ')} {row.code}",
            "off" if row.is_dead else "on",
            row.reported_at,
            row.source,
            row.source_event_id,
        )
        for row in devices
    )
    is_foreign = any(row.is_foreign and row.occurred_at == meter.supply_lost_at for row in own)
    reason = _reason(
        meter.power_status,
        own_is_on=meter.own_power_status == "on",
        is_lost=meter.supply_lost_at is not None,
        is_foreign=is_foreign and not any(row.reported_at == meter.supply_lost_at for row in devices),
    )
    return Explanation(
        meter.meter_number,
        meter.power_status,
        meter.last_power_change,
        reason,
        evidence,
        tuple(row.event_id for row in outages),
    )


def _reason(power_status: str, *, own_is_on: bool, is_lost: bool, is_foreign: bool) -> str:
    if power_status == "off" and is_foreign:
        return "an old service set it to off, and no newer report speaks of supply."
    if power_status == "off" and is_lost:
        return "a device above it reports that it is de-energised, and no supply is left."
    if power_status == "off":
        return "the meter itself reported loss of power, and has not reported power since."
    if is_lost and own_is_on:
        return "the meter itself reported power after the device above it reported loss."
    if power_status == "on":
        return "its newest report, or that of a device above it, says that it has power."
    return "nothing that bears on its power has been reported, or another supply may hold it."
