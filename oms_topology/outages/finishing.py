"""From tracks to the values of a course: what each outage was at its height, and how far it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.outages.assessing import assessed
from oms_topology.outages.histories import OutageCourse, Superseded
from oms_topology.outages.recovery import recovery_of
from oms_topology.outages.tracking import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from oms_topology.model import DeviceReference
    from oms_topology.outages.assessing import KnownEquipment
    from oms_topology.outages.assessment import ConcludedOutage
    from oms_topology.outages.evidence import PlannedWindow
    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.histories import CourseLimits
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.recovery import Recovery, Told
    from oms_topology.outages.tracking import Track

__all__ = ["finished"]

Finished = tuple[tuple[OutageCourse, ...], tuple[Superseded, ...]]


def finished(
    tracks: Sequence[Track],
    told: Told,
    at: datetime,
    rates: EvidenceRates,
    equipment: KnownEquipment,
    limits: CourseLimits,
    planned: Sequence[PlannedWindow],
) -> Finished:
    """Put followed tracks into words and numbers.

    Parameters
    ----------
    tracks : sequence of Track
        In the order in which they opened.
    told : Told
        All reports up to ``at``.
    at, rates, equipment, limits, planned
        As for :func:`~oms_topology.outages.course.course_of`.

    Returns
    -------
    tuple of OutageCourse, tuple of Superseded
        As :class:`~oms_topology.outages.histories.Course` has them.
    """
    writer = _Writer(told, at, rates, equipment, limits, planned)
    kept = {(track.node, track.started_at): track for track in tracks if track.stage is not Stage.WITHDRAWN}
    outages = [writer.outage(track, kept.values()) for _, track in sorted(kept.items(), key=_by_start)]
    withdrawn = {(track.node, track.started_at): track for track in tracks if track.stage is Stage.WITHDRAWN}
    superseded = [
        _superseded(track, told.forest)
        for key, track in sorted(withdrawn.items(), key=_by_start)
        if key not in kept
    ]
    return tuple(outages), tuple(superseded)


def _by_start(item: tuple[tuple[int, datetime], Track]) -> tuple[datetime, int]:
    return item[0][1], item[0][0]


def _superseded(track: Track, forest: SupplyForest) -> Superseded:
    if track.closed_at is None:
        raise ValueError("A track that was withdrawn has the time of that.")
    return Superseded(
        forest.reference(track.node),
        track.started_at,
        track.stood_from,
        track.closed_at,
        _named(track.into, forest),
        track.reason,
    )


def _named(track: Track | None, forest: SupplyForest) -> tuple[DeviceReference, datetime] | None:
    return None if track is None else (forest.reference(track.node), track.started_at)


class _Writer:
    """Writes outages; those that were blamed last at one instant share the work for it."""

    def __init__(
        self,
        told: Told,
        at: datetime,
        rates: EvidenceRates,
        equipment: KnownEquipment,
        limits: CourseLimits,
        planned: Sequence[PlannedWindow],
    ) -> None:
        self._told, self._at, self._limits = told, at, limits
        self._rates, self._equipment, self._planned = rates, equipment, planned
        self._reports = [report for said in told.of.values() for report in said]
        self._found: dict[datetime, dict[DeviceReference, ConcludedOutage]] = {}

    def _concluded(self, track: Track) -> ConcludedOutage:
        instant = track.blamed_at
        if instant not in self._found:
            found = assessed(
                self._reports,
                self._told.forest,
                instant,
                self._rates,
                self._equipment,
                planned=self._planned,
            )
            self._found[instant] = {outage.device: outage for outage in found.outages}
        return self._found[instant][self._told.forest.reference(track.node)]

    def outage(self, track: Track, kept: Iterable[Track]) -> OutageCourse:
        forest, concluded = self._told.forest, self._concluded(track)
        next_start = min(
            (
                each.started_at
                for each in kept
                if each.node == track.node and each.stood_from > track.blamed_at
            ),
            default=None,
        )
        recovery, ended_at = self._recovery(track, next_start or self._at)
        return OutageCourse(
            device=concluded.device,
            switch=concluded.switch,
            started_at=track.started_at,
            ended_at=ended_at,
            verified_at=recovery.verified_at(ended_at) if ended_at else None,
            posterior=concluded.posterior,
            dead_posterior=concluded.dead_posterior,
            meter_numbers=concluded.meter_numbers,
            customers=concluded.customers,
            critical_customers=concluded.critical_customers,
            severity=concluded.severity,
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
            momentary_limit=self._limits.momentary,
        )

    def _recovery(self, track: Track, until: datetime) -> tuple[Recovery, datetime | None]:
        """Tell how far an outage is over; a device that told its loss itself also tells its end."""
        ended_at = track.closed_at if track.stage is Stage.ENDED else None
        told, node, start = self._told, track.node, track.started_at
        found = recovery_of(told, node, started_at=start, at=until, ended_at=ended_at)
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
    return [track.reason] if track.reason else []
