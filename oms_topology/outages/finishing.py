"""From tracks to the values of a course: what each outage was at its height, and how far it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.outages.affected import affected_by
from oms_topology.outages.histories import OutageCourse, Superseded
from oms_topology.outages.recovery import recovery_of
from oms_topology.outages.settling import BY_DEVICE
from oms_topology.outages.tracking import Stage

if TYPE_CHECKING:
    from datetime import datetime

    from oms_topology.model import DeviceReference
    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.histories import CourseLimits
    from oms_topology.outages.recovery import Recovery, Told
    from oms_topology.outages.tracking import Track, Tracks

__all__ = ["finished"]

Finished = tuple[tuple[OutageCourse, ...], tuple[Superseded, ...]]


def finished(tracks: Tracks, told: Told, at: datetime, limits: CourseLimits) -> Finished:
    """Put followed tracks into words and numbers.

    Parameters
    ----------
    tracks : Tracks
        All that were followed up to ``at``.
    told : Told
        All reports up to then.
    at, limits
        As for :func:`~oms_topology.outages.course.course_of`.

    Returns
    -------
    tuple of OutageCourse, tuple of Superseded
        As :class:`~oms_topology.outages.histories.Course` has them.
    """
    kept = {
        (track.place, track.started_at): track for track in tracks.every if track.stage is not Stage.WITHDRAWN
    }
    next_start = _next_starts(list(kept.values()), at)
    outages = [
        _outage(track, told, next_start[track], limits) for _, track in sorted(kept.items(), key=_by_start)
    ]
    withdrawn = {
        (track.place, track.started_at): track for track in tracks.every if track.stage is Stage.WITHDRAWN
    }
    superseded = [
        _superseded(track, told.forest)
        for key, track in sorted(withdrawn.items(), key=_by_start)
        if key not in kept
    ]
    return tuple(outages), tuple(superseded)


def _by_start(item: tuple[tuple[tuple[int, str], datetime], Track]) -> tuple[datetime, tuple[int, str]]:
    return item[0][1], item[0][0]


def _superseded(track: Track, forest: SupplyForest) -> Superseded:
    if track.closed_at is None:
        raise ValueError("A track that was withdrawn has the time of that.")
    return Superseded(
        _device(track, forest),
        track.started_at,
        track.stood_from,
        track.closed_at,
        _named(track.into, forest),
        track.reason,
    )


def _device(track: Track, forest: SupplyForest) -> DeviceReference:
    return track.gone or forest.reference(track.node)


def _named(track: Track | None, forest: SupplyForest) -> tuple[DeviceReference, datetime] | None:
    return None if track is None else (_device(track, forest), track.started_at)


def _next_starts(tracks: list[Track], at: datetime) -> dict[Track, datetime]:
    """Give for each track when the next outage of the same device began, or the last instant."""
    until, next_start = {}, dict.fromkeys((track.place for track in tracks), at)
    for track in sorted(tracks, key=lambda each: each.started_at, reverse=True):
        until[track] = next_start[track.place]
        next_start[track.place] = track.started_at
    return until


def _outage(track: Track, told: Told, until: datetime, limits: CourseLimits) -> OutageCourse:
    forest, concluded = told.forest, track.concluded
    if concluded is None:
        raise ValueError("A track that was followed to the end has been concluded.")
    recovery, ended_at = _recovery(track, told, until)
    affected = affected_by(forest, (*concluded.meter_numbers, *track.left)) if track.left else concluded
    return OutageCourse(
        device=concluded.device,
        switch=concluded.switch,
        started_at=track.started_at,
        ended_at=ended_at,
        verified_at=recovery.verified_at(ended_at) if ended_at else None,
        posterior=concluded.posterior,
        dead_posterior=concluded.dead_posterior,
        meter_numbers=affected.meter_numbers,
        customers=affected.customers,
        critical_customers=affected.critical_customers,
        severity=affected.severity,
        substation=concluded.substation,
        feeder=concluded.feeder,
        distribution_point=concluded.distribution_point,
        supports=concluded.supports,
        absence_nats=concluded.absence_nats,
        alternatives=concluded.alternatives,
        reasons=(*concluded.reasons, *_later(track, recovery)),
        still_dark=tuple(forest.reference(node).code for node in recovery.dark),
        steps=recovery.steps,
        surfaced_from=_named(track.surfaced_from, forest),
        momentary_limit=limits.momentary,
    )


def _recovery(track: Track, told: Told, until: datetime) -> tuple[Recovery, datetime | None]:
    """Tell how far an outage is over; a device that told its loss itself also tells its end."""
    ended_at = track.closed_at if track.stage is Stage.ENDED else None
    found = recovery_of(
        told, track.node, started_at=track.started_at, at=until, ended_at=ended_at, left=track.left
    )
    if ended_at and found.own_lost and found.own_back_at:
        ended_at = found.own_back_at
    return found, ended_at


def _later(track: Track, recovery: Recovery) -> list[str]:
    """Say how it went on after it was blamed last."""
    if track.stage is Stage.PARTLY_BACK:
        back = len(recovery.lost) - len(recovery.dark)
        return [f"{back} of {len(recovery.lost)} meters that reported the loss have power again."]
    if track.stage is Stage.HIDDEN:
        return ["A device above it has lost supply as well since."]
    if track.stage is Stage.ENDED and recovery.own_lost and recovery.own_back_at:
        return [BY_DEVICE]
    return [track.reason] if track.reason else []
