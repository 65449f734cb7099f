"""The parsed form: a signal as the fields that the SQL functions ``oms_topology.parse_*`` give.

Both doors meet here: what Python has read goes into the same set-based write as what SQL has read.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from oms_topology.model import CommunicationStatus, Source

if TYPE_CHECKING:
    from datetime import datetime

    from oms_topology.model import Signal

__all__ = ["parsed_form"]


def parsed_form(signal: Signal) -> dict[str, Any]:
    """Give a signal as the fields that ``oms_topology.parse_*`` gives for the same message.

    Parameters
    ----------
    signal : Signal
        Of any provider.

    Returns
    -------
    dict
        Values that JSON has (a payload may hold :class:`decimal.Decimal`); times as ISO 8601 text in UTC
        with six digits. ``payload`` is what the inbox keeps: the event, of a call only ticket, time and
        meter number; SCADA's is left to the message itself. A call's ``details`` hold phone and
        address, which the call center's own tables need: never log them.

    Examples
    --------
    >>> from oms_topology.events import parse
    >>> signal, = parse("onu", {"onuId": 7, "type": "ONU_PowerRestored", "timestamp": "2025-10-01T08:31:45Z"})
    >>> form = parsed_form(signal)
    >>> form["device_code"], form["power_status"], form["communication_status"], form["occurred_at"]
    ('7', 'on', 'online', '2025-10-01T08:31:45.000000Z')
    """
    form: dict[str, Any] = {
        "source_event_id": signal.source_event_id,
        "content_hash": signal.content_hash,
        "device_kind": signal.device.kind.value,
        "device_code": signal.device.code,
        "power_status": signal.power_status.value,
        "occurred_at": _time_text(signal.occurred_at),
        "sent_at": _time_text(signal.sent_at),
        "time_is_sound": signal.time_is_sound,
        "details": dict(signal.details),
        "findings": [{"field": finding.field, "reason": finding.reason} for finding in signal.findings],
    }
    source = signal.source
    if source is Source.SCADA:
        return form
    form["payload"] = signal.payload
    if source is Source.CALL_CENTER:
        form["payload"] = {
            "ticketId": signal.details["ticket_id"],
            "timestamp": signal.payload.get("timestamp"),
            "meterNumber": signal.details["meter_number"],
        }
        return form
    known = signal.communication_status
    form["communication_status"] = None if known is CommunicationStatus.UNKNOWN else known.value
    if source is Source.ONU:
        form["details"]["meter_numbers"] = list(signal.meter_numbers)
    return form


def _time_text(at: datetime | None) -> str | None:
    # Most times are in UTC already, and isoformat is several times as fast as strftime.
    if at is None:
        return None
    text = (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(timespec="microseconds")
    return text[:26] + "Z"
