"""What a provider said, as a value: the first thing a message becomes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, cast

from oms_topology.model.kinds import CommunicationStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from oms_topology.model.kinds import DeviceKind, PowerStatus, ReporterKind, Source

__all__ = ["DeviceReference", "Signal", "SignalFinding"]


@dataclass(frozen=True, slots=True)
class DeviceReference:
    """The device a signal speaks of, by kind and code; an ONU or a caller has a kind of its own.

    Examples
    --------
    >>> from oms_topology.model import DeviceKind
    >>> str(DeviceReference(DeviceKind.FEEDER, "FD002"))
    'feeder FD002'
    """

    kind: DeviceKind | ReporterKind
    code: str

    def __str__(self) -> str:
        return f"{self.kind} {self.code}"


@dataclass(frozen=True, slots=True)
class SignalFinding:
    """Something wrong in a message that does not stop it from counting.

    Attributes
    ----------
    field : str
        The field that was set aside or doubted.
    reason : str
        Why, without any personal data.
    """

    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What was said: by whom, about which device, when it happened and when it came.

    Attributes
    ----------
    source : Source
        The provider.
    source_event_id : str
        The provider's own id, or ``sha256:`` and the hash of the event where it gives none.
    content_hash : str
        Hash of the event object, so that one id with two contents is noticed.
    device : DeviceReference
        The device that the signal is about.
    power_status : PowerStatus
        What it says about supply at and below the device; unknown when it says nothing.
    occurred_at, received_at : aware datetime, UTC
        When it happened by the device's clock (corrected where impossible) and when it came.
    sent_at : aware datetime, UTC, or None
        The envelope's time.
    time_is_sound : bool
        False when ``occurred_at`` had to be replaced; such a signal never beats a sound one.
    details : mapping of str to a plain value
        The provider's other fields, cleaned: what does not fit is None here. A call's hold personal
        data, so neither these nor the payload are shown by ``repr``.
    payload : mapping
        The event as it came.
    findings : tuple of SignalFinding
        What was set aside, and why.
    communication_status : CommunicationStatus
        What it says about reaching the device; unknown when it says nothing. Never follows from, nor
        leads to, anything about power but in the way the provider's event says it.
    meter_numbers : tuple of str
        Meters that the message itself names behind the device, in its order, each once.
    is_evidence_only : bool
        True for a customer's call: it weighs in conclusions, and changes no status.
    reported_at : aware datetime, UTC, or None
        What the device's own clock said, where ``occurred_at`` had to be another time.
    """

    source: Source
    source_event_id: str
    content_hash: str
    device: DeviceReference
    power_status: PowerStatus
    occurred_at: datetime
    received_at: datetime
    sent_at: datetime | None = None
    time_is_sound: bool = True
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    findings: tuple[SignalFinding, ...] = ()
    communication_status: CommunicationStatus = CommunicationStatus.UNKNOWN
    meter_numbers: tuple[str, ...] = ()
    is_evidence_only: bool = False
    reported_at: datetime | None = None


_Unfrozen = make_dataclass("_Unfrozen", [(said.name, said.type) for said in fields(Signal)], slots=True)


def frozen_signal(
    *,
    source: Source,
    source_event_id: str,
    content_hash: str,
    device: DeviceReference,
    power_status: PowerStatus,
    occurred_at: datetime,
    received_at: datetime,
    sent_at: datetime | None,
    time_is_sound: bool,
    details: Mapping[str, Any],
    payload: Mapping[str, Any],
    findings: tuple[SignalFinding, ...],
    communication_status: CommunicationStatus = CommunicationStatus.UNKNOWN,
    meter_numbers: tuple[str, ...] = (),
    is_evidence_only: bool = False,
    reported_at: datetime | None = None,
) -> Signal:
    """Make a signal at a third of the cost of its constructor: filled while it can be, then frozen."""
    signal = _Unfrozen(
        source, source_event_id, content_hash, device, power_status, occurred_at, received_at, sent_at,
        time_is_sound, details, payload, findings, communication_status, meter_numbers, is_evidence_only,
        reported_at,
    )  # fmt: skip
    signal.__class__ = Signal
    return cast("Signal", signal)
