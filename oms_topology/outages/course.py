"""The whole course of outages: what the signals of an episode tell, from the first to an instant."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from oms_topology.model import DeviceKind
from oms_topology.outages.assessing import KnownEquipment
from oms_topology.outages.finishing import finished
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.histories import Course, CourseLimits, OutageCourse, Superseded
from oms_topology.outages.instants import instants_of, lapses_of
from oms_topology.outages.losses import CLOCKS_APART
from oms_topology.outages.phases import Carried, Change
from oms_topology.outages.rates import EvidenceRates
from oms_topology.outages.recovery import Told
from oms_topology.outages.reports import read_reports
from oms_topology.outages.settling import Step
from oms_topology.outages.sweeping import Sweep
from oms_topology.outages.switched_off import with_switched_off
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
    former: Iterable[tuple[datetime, SupplyForest | Topology]] = (),
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
        What supplies what; what open switches leave without supply hangs where it normally does.
    at : aware datetime
        The instant asked about.
    rates, equipment
        As for :func:`~oms_topology.outages.assessing.assess`.
    limits : CourseLimits, optional
        What is momentary, and how fine time is looked at.
    planned : collection of (DeviceReference, datetime, datetime), optional
        Devices or meters without supply as planned, from when until when: what was lost at or below
        them then is no fault, unless it has not come back afterwards.
    former : iterable of (datetime, SupplyForest or Topology), optional
        What supplied what before, and until when: each report is judged on the network of its time. An
        outage goes on with its device into the next network. Meters that another device feeds then count
        as supplied again, and what they had said before that is not held against their new feed. What
        was said before any network knew who said it is judged on the first that does. Each network costs
        a pass over the reports up to its end.

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
    rates, equipment, limits = (
        rates or EvidenceRates(),
        equipment or KnownEquipment(),
        limits or CourseLimits(),
    )
    signals = tuple(signals)
    tracks, carried = Tracks(), Carried()
    unplaced: list[Signal] | None = None
    windows: list[PlannedWindow] = []
    before: SupplyForest | None = None
    since: datetime | None = None
    for until, nodes in _networks(former, forest, at):
        if before is not None and since is not None:
            change = Change.between(since, before, nodes)
            carried = carried.over(change, windows, tracks)
            tracks.rehang(change)
        reports, homeless = read_reports(signals, nodes, onus=equipment.onus)
        so_far = None if unplaced is None else {id(signal) for signal in unplaced}
        unplaced = [signal for signal in homeless if so_far is None or id(signal) in so_far]
        if before is None and until < at and not any(report.occurred_at <= until for report in reports):
            continue
        windows = [*_windows(planned, nodes), *carried.planned]
        told = Told(_unplanned(reports, nodes, windows, until), nodes, carried.arrived)
        ended = [track.explains for track in tracks.every if track.explains is not None]
        sweep = Sweep(told, rates, equipment, [*windows, *carried.explained, *ended])
        follow(told, sweep, rates, limits, until, tracks=tracks, since=since)
        before, since = nodes, until
    outages, superseded = finished(tracks, told, at, limits)
    unplaced = sorted(
        unplaced or (), key=lambda each: (each.occurred_at, each.source.value, each.source_event_id)
    )
    return Course(outages, superseded, tuple(unplaced))


def _networks(
    former: Iterable[tuple[datetime, SupplyForest | Topology]],
    present: SupplyForest | Topology,
    at: datetime,
) -> list[tuple[datetime, SupplyForest]]:
    """Give the networks in the order in which they stood, each with the instant up to which it did."""
    earlier = sorted(((until, each) for until, each in former), key=lambda item: item[0])
    stood = [(until, each) for until, each in earlier if until < at]
    last = next((each for until, each in earlier if until >= at), present)
    return [(until, _forest(each)) for until, each in (*stood, (at, last))]


def _forest(network: SupplyForest | Topology) -> SupplyForest:
    return network if isinstance(network, SupplyForest) else SupplyForest.of(with_switched_off(network))


def follow(
    told: Told,
    blame: Blame,
    rates: EvidenceRates,
    limits: CourseLimits,
    at: datetime,
    *,
    tracks: Tracks | None = None,
    since: datetime | None = None,
) -> Tracks:
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
    tracks : Tracks, optional
        Outages so far, to be followed further: changed in place.
    since : datetime, optional
        The instant that they were followed up to.

    Returns
    -------
    Tracks
        All outages there were, and what was blamed in vain.
    """
    tracks = Tracks() if tracks is None else tracks
    reports = sorted((each for said in told.of.values() for each in said), key=lambda each: each.occurred_at)
    lapses = lapses_of(reports, rates)
    next_report = next_lapse = 0
    instants = instants_of(reports, told.forest, rates, limits.step, at)
    if since is not None:
        instants = [since, *instants[bisect_right(instants, since) :]]
    for instant in instants:
        first, first_lapse = next_report, next_lapse
        while next_report < len(reports) and reports[next_report].occurred_at <= instant:
            next_report += 1
        while next_lapse < len(lapses) and lapses[next_lapse][0] < instant:
            next_lapse += 1
        heard, lapsed = reports[first:next_report], lapses[first_lapse:next_lapse]
        blamed = blame.advance(instant, heard, lapsed)
        if instant == since:  # all of this was new at an instant before
            heard, lapsed = [], []
        Step(told, tracks, instant, heard, lapsed, blame).run(blamed)
    for track in tracks.open.values():
        if track.stage is Stage.BLAMED and track.concluded is None:
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
