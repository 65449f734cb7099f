"""What the reports about a meter come to, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oms_topology.model.kinds import CommunicationStatus, PowerStatus

if TYPE_CHECKING:
    from datetime import datetime

    from oms_topology.model.kinds import Source
    from oms_topology.model.signal import DeviceReference

__all__ = ["MeterStatus", "StatusReport"]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What remains of a signal once only its word about power and communication counts.

    Attributes
    ----------
    source : Source
        Who reported.
    source_event_id, content_hash : str
        Which event it was, and what it said: together with ``source`` what makes it one report.
    device : DeviceReference
        Who was spoken of.
    occurred_at, received_at : aware datetime, UTC
        When it happened, and when it came.
    time_is_sound : bool
        False when it counts at its receipt for want of a possible time.
    power_status, communication_status
        What it said; unknown where it said nothing.
    """

    source: Source
    source_event_id: str
    content_hash: str
    device: DeviceReference
    occurred_at: datetime
    received_at: datetime
    time_is_sound: bool
    power_status: PowerStatus
    communication_status: CommunicationStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterStatus:
    """What a set of reports says of one meter.

    Attributes
    ----------
    power_status : PowerStatus
        Whether it has supply.
    last_power_change : aware datetime, UTC, or None
        Start of the present run of equal power status; None when it was never known.
    power_report : StatusReport or None
        The report that decides it: the meter's own, an older service's, or that of a device above.
    communication_status : CommunicationStatus
        Whether it can be reached.
    last_communication : aware datetime, UTC, or None
        Time of the newest report about reaching it that counts.
    last_communication_change : aware datetime, UTC, or None
        Start of the present run of equal communication status.
    communication_report : StatusReport or None
        The report that decides it.
    """

    power_status: PowerStatus = PowerStatus.UNKNOWN
    last_power_change: datetime | None = None
    power_report: StatusReport | None = None
    communication_status: CommunicationStatus = CommunicationStatus.UNKNOWN
    last_communication: datetime | None = None
    last_communication_change: datetime | None = None
    communication_report: StatusReport | None = None

    @property
    def last_status_change(self) -> datetime | None:
        """Start of the newer of the two present runs; None when nothing was ever known."""
        known = [at for at in (self.last_power_change, self.last_communication_change) if at is not None]
        return max(known, default=None)
