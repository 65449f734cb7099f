"""Outages over time as values: from when until when each stood, and which suspicions were withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from oms_topology.model import OutageStatus

if TYPE_CHECKING:
    from datetime import datetime

    from oms_topology.model import DeviceReference, Signal
    from oms_topology.outages.assessment import Alternative, Support

__all__ = ["Course", "CourseLimits", "OutageCourse", "Superseded"]


@dataclass(frozen=True, slots=True)
class CourseLimits:
    """Where a course draws its lines.

    Attributes
    ----------
    momentary : timedelta
        An interruption that is over within this time is momentary.
    step : timedelta
        How fine time is looked at: reports of one such step are taken together unless some say that
        power was lost and others, near them, that it is there.

    Raises
    ------
    ValueError
        A step of no length.
    """

    momentary: timedelta = timedelta(minutes=5)
    step: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        if self.step <= timedelta(0):
            raise ValueError(f"A step must be longer than nothing, got {self.step}.")


@dataclass(frozen=True, slots=True)
class OutageCourse:
    """One outage from its start to its end, or to the instant asked about.

    Attributes
    ----------
    device : DeviceReference
        The blamed device: it, or the branch that feeds it.
    switch : str or None
        Code of the switch in that branch.
    started_at : aware datetime, UTC
        The device's own report, else the first report of the losses that belong together; for what
        was dark below another outage when that one ended, the start of that one.
    ended_at : aware datetime, UTC, or None
        When supply was back; None while it is not.
    verified_at : aware datetime, UTC, or None
        When every meter that lost power had been heard to have it again.
    posterior, dead_posterior : float
        Probability that the device failed, and that it had no power: at the instant asked about while it
        is blamed, else when it was blamed last.
    meter_numbers : tuple of str
        Meters supplied by it when it was blamed last, in preorder; then those that had been given
        another feed before it was over.
    customers, critical_customers : int
        Distinct customers of these meters, and those of criticality 1.
    severity : str
        ``critical``, ``high``, ``medium`` or ``low``, by customers.
    substation, feeder, distribution_point : str or None
        Codes of the nearest device of each kind at or above it.
    supports : tuple of Support
        Reports about it and everything below at that moment, the oldest first.
    absence_nats : float
        What the reports that did not come add to these.
    alternatives : tuple of Alternative
        Other devices that could have been the cause, the most probable first.
    reasons : tuple of str
        Why, and how it ended or what it waits for: one sentence each.
    still_dark : tuple of str
        Meters that reported a loss in it and nothing of power since, in preorder.
    steps : tuple of (datetime, int)
        When how many meters in all had power again.
    surfaced_from : tuple of (DeviceReference, datetime) or None
        Device and start of the outage below which it lay hidden until that one ended.
    momentary_limit : timedelta
        Up to how long an interruption is momentary.
    """

    device: DeviceReference
    switch: str | None
    started_at: datetime
    ended_at: datetime | None
    verified_at: datetime | None
    posterior: float
    dead_posterior: float
    meter_numbers: tuple[str, ...]
    customers: int
    critical_customers: int
    severity: str
    substation: str | None
    feeder: str | None
    distribution_point: str | None
    supports: tuple[Support, ...]
    absence_nats: float
    alternatives: tuple[Alternative, ...]
    reasons: tuple[str, ...]
    still_dark: tuple[str, ...]
    steps: tuple[tuple[datetime, int], ...]
    surfaced_from: tuple[DeviceReference, datetime] | None = None
    momentary_limit: timedelta = timedelta(minutes=5)

    @property
    def status(self) -> OutageStatus:
        """Where it stands by the evidence alone: detected, restored, or cleared once verified."""
        if self.ended_at is None:
            return OutageStatus.DETECTED
        return OutageStatus.CLEARED if self.verified_at else OutageStatus.RESTORED

    @property
    def is_momentary(self) -> bool:
        """Whether supply was back within the limit."""
        return self.ended_at is not None and self.ended_at - self.started_at <= self.momentary_limit

    @property
    def confidence_score(self) -> Decimal:
        """The posterior as the database shows it: two digits, rounded down."""
        return Decimal(repr(self.posterior)).quantize(Decimal("0.01"), rounding=ROUND_DOWN)


@dataclass(frozen=True, slots=True)
class Superseded:
    """A device that was blamed for a while, until later events told that it was another or none.

    Attributes
    ----------
    device : DeviceReference
        The device.
    started_at : aware datetime, UTC
        When that outage would have begun.
    stood_from, withdrawn_at : aware datetime, UTC
        Between which instants it was blamed.
    into : tuple of (DeviceReference, datetime) or None
        Device and start of the outage that took its place; None where there is none.
    reason : str
        Why it was withdrawn.
    """

    device: DeviceReference
    started_at: datetime
    stood_from: datetime
    withdrawn_at: datetime
    into: tuple[DeviceReference, datetime] | None
    reason: str


@dataclass(frozen=True, slots=True)
class Course:
    """Everything that a set of signals tells of outages, from the first to the instant asked about.

    Attributes
    ----------
    outages : tuple of OutageCourse
        Open and over, by start, then from the source down; no two have both device and start in
        common.
    superseded : tuple of Superseded
        What was withdrawn, in the same order; none has device and start in common with an outage.
    unplaced : tuple of Signal
        Signals about nothing that this network knows, by time.
    """

    outages: tuple[OutageCourse, ...]
    superseded: tuple[Superseded, ...]
    unplaced: tuple[Signal, ...]
