"""The whole course of outages: what the signals of an episode tell, from the first to an instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.model import DeviceKind
from oms_topology.outages.assessing import KnownEquipment
from oms_topology.outages.finishing import finished
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.histories import Course, CourseLimits, OutageCourse, Superseded
from oms_topology.outages.instants import instants_of, lapses_of
from oms_topology.outages.losses import CLOCKS_APART
from oms_topology.outages.rates import EvidenceRates
from oms_topology.outages.recovery import Told
from oms_topology.outages.reports import read_reports
from oms_topology.outages.settling import Step
from oms_topology.outages.sweeping import Sweep
from oms_topology.outages.tracking import Stage, Tracks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from oms_topology.graph.topology import Topology
    from oms_topology.model import DeviceReference, Signal
    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.reports import Report
    from oms_topology.outages.tracking import Blame

__all__ = ["Course", "CourseLimits", "OutageCourse", "Superseded", "course_of", "follow"]


def course_of(
    signals: Iterable[Signal],
    forest: SupplyForest | Topology,
    *,
    at: datetime,
    rates: EvidenceRates | None = None,
    equipment: KnownEquipment | None = None,
    limits: CourseLimits | None = None,
    planned: Collection[tuple[DeviceReference, datetime, datetime]] = (),
) -> Course:
    """Tell from signals which outages there were and are, from when until when, and what they became.

    Time is followed as the events happened, not as they came: at each of the instants that
    :func:`~oms_topology.outages.instants.instants_of` chooses, what is concluded is what
    :func:`~oms_topology.outages.assessing.assess` concludes. When blame moves to a device above or
    below, that one is the outage and the former a withdrawn hypothesis, unless the former had failed
    more than five minutes before the one above it. When it moves down because meters that were dark
    report power, the outage goes on in steps until the device itself or most of its meters are back;
    what is still dark then, as long as that is more than a report of power that went missing, is an
    outage of its own, with the start of the one that hid it.

    Parameters
    ----------
    signals : iterable of Signal
        All since everything had power the last time, in any order, repeated or not; those that happened
        after ``at`` are left out.
    forest : SupplyForest or Topology
        What supplies what.
    at : aware datetime
        The instant asked about.
    rates, equipment
        As for :func:`~oms_topology.outages.assessing.assess`.
    limits : CourseLimits, optional
        What is momentary, and how fine time is looked at.
    planned : collection of (DeviceReference, datetime, datetime), optional
        Devices or meters without supply as planned, from when until when: what was lost at or below
        them then is no fault, unless it has not come back afterwards.

    Returns
    -------
    Course
        A function of the set of signals and ``at``.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from oms_topology.events import parse
    >>> from oms_topology.graph.topology import Topology
    >>> net = Topology.from_text("SS1 > F1 > DP1 > M1..M9; F1 > DP2 > M10..M19; SS1 > F2 > DP3 > M20..M29")
    >>> def said(kind, when, *meters):
    ...     return parse("onu", {"type": kind, "timestamp": when, "associatedMeters": list(meters)})
    >>> lost = said("ONU_LastGaspAlert", "2025-10-01T08:02:05Z", "M1", "M3", "M4", "M8")
    >>> back = said("ONU_PowerRestored", "2025-10-01T08:40:00Z", "M1", "M3", "M4")
    >>> found = course_of([*back, *lost], net, at=datetime(2025, 10, 1, 9, tzinfo=UTC))
    >>> outage, = found.outages
    >>> str(outage.device), outage.status.value, outage.ended_at.isoformat(), outage.still_dark
    ('distribution_point DP1', 'restored', '2025-10-01T08:40:00+00:00', ('M8',))
    """
    nodes = forest if isinstance(forest, SupplyForest) else SupplyForest.of(forest)
    rates, equipment, limits = (
        rates or EvidenceRates(),
        equipment or KnownEquipment(),
        limits or CourseLimits(),
    )
    reports, unplaced = read_reports(signals, nodes, onus=equipment.onus)
    windows = _windows(planned, nodes)
    told = Told(_unplanned(reports, nodes, windows, at), nodes)
    tracks = follow(told, Sweep(told, rates, equipment, windows), rates, limits, at)
    outages, superseded = finished(tracks, told, at, limits)
    unplaced.sort(key=lambda each: (each.occurred_at, each.source.value, each.source_event_id))
    return Course(outages, superseded, tuple(unplaced))


def follow(told: Told, blame: Blame, rates: EvidenceRates, limits: CourseLimits, at: datetime) -> Tracks:
    """Follow outages through all instants up to one.

    Parameters
    ----------
    told : Told
        All reports.
    blame : Blame
        Tells what is blamed at each instant; it has seen none yet.
    rates : EvidenceRates
        What reports weigh.
    limits : CourseLimits
        How fine time is looked at.
    at : datetime
        The last instant.

    Returns
    -------
    Tracks
        All outages there were, and what was blamed in vain.
    """
    tracks = Tracks()
    reports = sorted((each for said in told.of.values() for each in said), key=lambda each: each.occurred_at)
    lapses = lapses_of(reports, rates)
    next_report = next_lapse = 0
    for instant in instants_of(reports, told.forest, rates, limits.step, at):
        first, first_lapse = next_report, next_lapse
        while next_report < len(reports) and reports[next_report].occurred_at <= instant:
            next_report += 1
        while next_lapse < len(lapses) and lapses[next_lapse][0] < instant:
            next_lapse += 1
        heard, lapsed = reports[first:next_report], lapses[first_lapse:next_lapse]
        Step(told, tracks, instant, heard, lapsed, blame).run(blame.advance(instant, heard, lapsed))
    for track in tracks.open.values():
        if track.stage is Stage.BLAMED:
            track.conclude(blame.outage(track.node))
    return tracks


def _windows(
    planned: Iterable[tuple[DeviceReference, datetime, datetime]], forest: SupplyForest
) -> list[PlannedWindow]:
    found = []
    for device, begins_at, ends_at in planned:
        node = forest.node(device.kind, device.code) if isinstance(device.kind, DeviceKind) else -1
        if node >= 0:
            found.append((node, begins_at, ends_at))
    return sorted(found)


def _unplanned(
    reports: Iterable[Report], forest: SupplyForest, windows: list[PlannedWindow], at: datetime
) -> list[Report]:
    """Leave out what comes later, and what devices that were switched off as planned said of that."""
    return [
        report
        for report in reports
        if report.occurred_at <= at
        and not (
            report.says_dead
            and report.node < forest.devices
            and any(
                begins_at - CLOCKS_APART <= report.occurred_at <= ends_at
                and forest.is_below(report.node, top)
                for top, begins_at, ends_at in windows
            )
        )
    ]
