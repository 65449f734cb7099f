"""The closed vocabularies: what a device is, what a status can be, who reports."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CommunicationStatus", "DeviceKind", "OutageStatus", "PowerStatus", "ReporterKind", "Source"]


class DeviceKind(StrEnum):
    """What a node of the network is (IEC CIM words); a switch is an edge with a code of its own.

    Examples
    --------
    >>> DeviceKind("feeder").value
    'feeder'
    """

    SUBSTATION = "substation"
    FEEDER = "feeder"
    SECTION = "section"
    SWITCH = "switch"
    DISTRIBUTION_POINT = "distribution_point"
    METER = "meter"


class ReporterKind(StrEnum):
    """Who a signal is about when that is no node of the network.

    Examples
    --------
    >>> ReporterKind("onu").value
    'onu'
    """

    ONU = "onu"
    CALLER = "caller"


class PowerStatus(StrEnum):
    """Whether a meter has supply; says nothing about whether it can be reached."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class CommunicationStatus(StrEnum):
    """Whether a meter can be reached; says nothing about whether it has supply."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class OutageStatus(StrEnum):
    """Where an outage stands in its life (IEC 61968-3); the first three are open."""

    DETECTED = "detected"
    CONFIRMED = "confirmed"
    IN_PROGRESS = "in_progress"
    RESTORED = "restored"
    CLEARED = "cleared"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether customers are still without supply.

        Examples
        --------
        >>> OutageStatus.DETECTED.is_open, OutageStatus.RESTORED.is_open
        (True, False)
        """
        return self in (OutageStatus.DETECTED, OutageStatus.CONFIRMED, OutageStatus.IN_PROGRESS)


class Source(StrEnum):
    """Who reports: the four providers, and ``system`` for a plain UPDATE by an old service."""

    SCADA = "scada"
    ONU = "onu"
    KAIFA = "kaifa"
    CALL_CENTER = "call_center"
    SYSTEM = "system"
