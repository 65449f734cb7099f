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
    SELECT m.id, m.meter_number, m.power_status, m.last_power_change, m.segment_no, m.position_no,
           m.own_power_status, m.own_power_at, m.supply_lost_at, m.supply_live_at
    FROM public.oms_meters m WHERE m.meter_number = :meter_number
    """
)
_DEVICES = text(
    """
    SELECT d.kind, d.code, s.is_dead, s.reported_at, s.since, g.source, g.source_event_id, g.record_id
    FROM oms_topology.device_state s
    JOIN oms_topology.device d ON d.device_no = s.device_no
    JOIN oms_topology.signal g ON g.signal_no = s.signal_no
    WHERE s.segment_no = :segment_no AND :position_no BETWEEN s.position_no AND s.last_position_no
    ORDER BY s.depth DESC
    """
)
_OUTAGES = text(
    """
    SELECT e.event_id
    FROM oms_topology.outage_device o
    JOIN oms_topology.device d ON d.device_no = o.device_no
    JOIN public.oms_outage_events e ON e.id = o.outage_event_id
    WHERE o.ended_at IS NULL AND d.segment_no = :segment_no
      AND :position_no BETWEEN d.position_no AND d.last_position_no
    ORDER BY d.depth
    """
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
        The provider.
    source_event_id : str
        The provider's id of the report; ``""`` when it was known before the first signal.
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
        The reports considered: the meter's own first, then its devices, nearest first.
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
        place = {"segment_no": meter.segment_no, "position_no": meter.position_no}
        devices = connection.execute(_DEVICES, place).all()
        outages = tuple(connection.execute(_OUTAGES, place).scalars())
    evidence = tuple(
        Evidence(
            f"{row.kind.replace('_', ' ')} {row.code}",
            "off" if row.is_dead else "on",
            row.reported_at,
            row.source,
            row.source_event_id,
        )
        for row in devices
    )
    if meter.own_power_at is not None and meter.own_power_status is not None:
        own = Evidence(f"meter {meter_number}", meter.own_power_status, meter.own_power_at, "meter", "")
        evidence = (own, *evidence)
    reason = _reason(meter.power_status, meter.own_power_status, meter.own_power_at, meter.supply_lost_at)
    return Explanation(
        meter.meter_number, meter.power_status, meter.last_power_change, reason, evidence, outages
    )


def _reason(
    power_status: str, own_status: str | None, own_at: datetime | None, lost_at: datetime | None
) -> str:
    if lost_at is not None and power_status == "off":
        return "a device above it reports that it is de-energised, and no supply is left."
    if power_status == "off":
        return "the meter itself reported loss of power, and has not reported power since."
    if lost_at is not None and own_status == "on" and own_at is not None:
        return "the meter itself reported power after the device above it reported loss."
    if power_status == "on":
        return "its newest report, or that of a device above it, says that it has power."
    return "nothing that bears on its power has been reported."
