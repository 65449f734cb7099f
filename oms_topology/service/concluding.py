"""From what was said about a supply tree to its outages as the database shows them."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.model import DeviceKind, PowerStatus, Source
from oms_topology.outages.area import outage_area
from oms_topology.outages.losses import CLOCKS_APART
from oms_topology.outages.rates import ReportKind
from oms_topology.persistence.conclusions import WantedOutage, WantedSource, outage_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from oms_topology.model import DeviceReference, Signal
    from oms_topology.outages.assessment import Support
    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.histories import Course, OutageCourse
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.persistence.evidence import TreeEvidence

__all__ = ["AreaCache", "due_after", "wanted_outages", "withdrawal_reasons"]

_STEP = timedelta(seconds=30)
_MOST_WEIGHT = 999.99


class AreaCache:
    """The areas of outages on one network, each drawn once as long as the same meters are affected."""

    def __init__(self, forest: SupplyForest, *, most: int = 256) -> None:
        self.forest = forest
        self._most = most
        self._areas: dict[tuple[DeviceReference, tuple[str, ...]], dict[str, Any] | None] = {}

    def area(self, outage: OutageCourse) -> dict[str, Any] | None:
        """Give the area of an outage as GeoJSON; None where no position is known."""
        key = outage.device, outage.meter_numbers
        if key not in self._areas:
            if len(self._areas) >= self._most:
                self._areas.pop(next(iter(self._areas)))
            self._areas[key] = outage_area(self.forest, *key)
        return self._areas[key]


def wanted_outages(course: Course, evidence: TreeEvidence, areas: AreaCache) -> list[WantedOutage]:
    """Put a tree's outages in the words of the database, without those that were over when it was quiet."""
    own = _own_reports(evidence)
    return [
        _wanted(place, outage, evidence, areas, own)
        for place, outage in enumerate(course.outages)
        if outage.ended_at is None or outage.ended_at >= evidence.since
    ]


def withdrawal_reasons(course: Course) -> dict[str, str]:
    """Give of each withdrawn hypothesis, by its ``event_id``, why it does not stand."""
    return {outage_code(each.device, each.started_at): each.reason for each in course.superseded}


def due_after(
    signals: Iterable[Signal],
    rates: EvidenceRates,
    at: datetime,
    planned: Iterable[tuple[DeviceReference, datetime, datetime]] = (),
) -> tuple[datetime, datetime] | None:
    """Tell when conclusions may change although nothing more is said.

    Parameters
    ----------
    signals : iterable of Signal
        What was said.
    rates : EvidenceRates
        How long reports may take, and how long they count.
    at : aware datetime
        The instant up to which all is concluded.
    planned : iterable of (DeviceReference, datetime, datetime)
        What is without supply on purpose, from when until when: afterwards all should be back.

    Returns
    -------
    (datetime, datetime) or None
        The earliest time of the reports concerned, and the instant; None where nothing is waited for.

    Examples
    --------
    >>> from oms_topology.events import parse
    >>> from oms_topology.outages.rates import EvidenceRates
    >>> gasp = parse("onu", {"onuId": 1, "type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T08:00:00Z"})
    >>> _, due_at = due_after(gasp, EvidenceRates(), datetime(2025, 10, 1, 8, 4, tzinfo=UTC))
    >>> due_at.isoformat()
    '2025-10-01T08:05:30+00:00'
    """
    waits = {timedelta(0)}
    for each in rates.reports.values():
        waits |= {each.delay, each.valid_for or timedelta(0)}
    times = sorted(signal.occurred_at for signal in signals)
    recent = times[bisect_right(times, at - max(waits)) :]
    nexts = [
        (recent[0], recent[place] + wait)
        for wait in waits
        if (place := bisect_right(recent, at - wait)) < len(recent)
    ]
    overdue = CLOCKS_APART + rates.reports[ReportKind.POWER_UP].delay
    nexts += [
        (begins_at - CLOCKS_APART, ends_at + overdue)
        for _, begins_at, ends_at in planned
        if ends_at + overdue > at and times and begins_at - CLOCKS_APART <= times[-1]
    ]
    if not nexts:
        return None
    return min(first_at for first_at, _ in nexts), min(due_at for _, due_at in nexts) + _STEP


def _wanted(
    place: int,
    outage: OutageCourse,
    evidence: TreeEvidence,
    areas: AreaCache,
    own: dict[tuple[DeviceReference, datetime], str],
) -> WantedOutage:
    device, surfaced = outage.device, outage.surfaced_from
    longitude, latitude = _position(outage, areas.forest)
    return WantedOutage(
        place=place,
        kind=device.kind.value,
        code=device.code,
        started_at=outage.started_at.isoformat(),
        ended_at=_iso(outage.ended_at),
        verified_at=_iso(outage.verified_at),
        own_record_id=own.get((device, outage.started_at)),
        posterior=outage.posterior,
        dead_posterior=outage.dead_posterior,
        customers=outage.customers,
        severity=outage.severity,
        root_cause=_root_cause(outage),
        description=" ".join(outage.reasons),
        area=areas.area(outage),
        latitude=latitude,
        longitude=longitude,
        supports=_sources(outage.supports, evidence),
        alternatives=[
            {"kind": other.device.kind.value, "code": other.device.code, "posterior": other.posterior}
            for other in outage.alternatives
        ],
        reasons=list(outage.reasons),
        still_dark=list(outage.still_dark),
        steps=[{"at": at.isoformat(), "meters": meters} for at, meters in outage.steps],
        surfaced_kind=surfaced[0].kind.value if surfaced else None,
        surfaced_code=surfaced[0].code if surfaced else None,
        surfaced_at=_iso(surfaced[1]) if surfaced else None,
    )


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _root_cause(outage: OutageCourse) -> str:
    if outage.device.kind is DeviceKind.METER:
        return f"Meter {outage.device.code}, or the line to it, has failed"
    name = str(outage.device).replace("_", " ")
    switch = f" with switch {outage.switch}" if outage.switch else ""
    return f"{name[0].upper()}{name[1:]}, or the branch that feeds it{switch}, has failed"


def _sources(supports: Sequence[Support], evidence: TreeEvidence) -> list[WantedSource]:
    """Sum up the reports that speak for an outage by message: one may be about many meters."""
    found: dict[tuple[str, str], WantedSource] = {}
    for support in supports:
        row = evidence.rows.get((support.source.value, support.source_event_id))
        if support.weight_nats <= 0 or row is None:
            continue
        at = support.occurred_at.astimezone(UTC).isoformat()
        key = support.source.value, row.record_id
        if key not in found:
            found[key] = WantedSource(
                source_type=key[0], id=key[1], source_table=row.table, weight=0.0, at=at
            )
        found[key]["weight"] += support.weight_nats
        found[key]["at"] = min(found[key]["at"], at)
    for source in found.values():
        source["weight"] = round(min(source["weight"], _MOST_WEIGHT), 2)
    return [found[key] for key in sorted(found)]


def _own_reports(evidence: TreeEvidence) -> dict[tuple[DeviceReference, datetime], str]:
    """Give, by device and time, the rows of the reports in which devices say that they are dead."""
    return {
        (said.device, said.occurred_at): evidence.rows[said.source.value, said.source_event_id].record_id
        for said in evidence.signals
        if said.source is Source.SCADA and said.power_status is PowerStatus.OFF
    }


def _position(outage: OutageCourse, forest: SupplyForest) -> tuple[float | None, float | None]:
    """Give longitude and latitude of the blamed device, else the middle of the meters; None where unknown."""
    columns, device = forest.index.network.columns, outage.device
    node = forest.node(device.kind, device.code) if isinstance(device.kind, DeviceKind) else -1
    if 0 <= node < forest.devices:
        row = forest.device_rows[node]
        place = np.array([columns.device_longitude[row], columns.device_latitude[row]])
        if np.isfinite(place).all():
            return float(place[0]), float(place[1])
    rows = forest.index.network.names.meters.rows(list(outage.meter_numbers))
    rows = rows[rows >= 0]
    places = np.stack((columns.meter_longitude[rows], columns.meter_latitude[rows]), axis=1)
    places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        return None, None
    middle = places.mean(axis=0)
    return float(middle[0]), float(middle[1])
