"""ONU messages: an optical network unit says that it lost power, has it again, or is out of reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.fields import coordinates_field, event_time, text_field
from oms_topology.events.json_text import content_hash
from oms_topology.model import (
    CommunicationStatus,
    DeviceReference,
    PowerStatus,
    ReporterKind,
    Signal,
    SignalFinding,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["parse_onu"]

_OFF = (PowerStatus.OFF, CommunicationStatus.OFFLINE)
_ON = (PowerStatus.ON, CommunicationStatus.ONLINE)
_NOTHING = (PowerStatus.UNKNOWN, CommunicationStatus.UNKNOWN)
_MEANINGS = {
    "lastgaspalert": _OFF,
    "lastgasp": _OFF,
    "dyinggasp": _OFF,
    "poweroutage": _OFF,
    "powerlost": _OFF,
    "powerrestored": _ON,
    "lossofsignal": (PowerStatus.UNKNOWN, CommunicationStatus.OFFLINE),
    "los": (PowerStatus.UNKNOWN, CommunicationStatus.OFFLINE),
    "offline": (PowerStatus.UNKNOWN, CommunicationStatus.OFFLINE),
    "communicationloss": (PowerStatus.UNKNOWN, CommunicationStatus.OFFLINE),
    "online": (PowerStatus.UNKNOWN, CommunicationStatus.ONLINE),
    "communicationrestored": (PowerStatus.UNKNOWN, CommunicationStatus.ONLINE),
}
_EXACT = {"ONU_LastGaspAlert": _OFF, "ONU_PowerRestored": _ON}
_ADDED_ON_THE_WAY = frozenset({"source", "status"})
_TEXT_FIELDS = (("onu_serial", "onuSerial", 100), ("nms_type", "nmsType", 50))
_ALARM_FIELDS = (
    ("alarm_category", "category", 20),
    ("alarm_type", "alarmType", 20),
    ("parcel_code", "parcel", 50),
    ("serial_number", "serial", 100),
)
_METER_KEYS = ("meterNumber", "meter_number", "meterId", "meter_id", "id")


def parse_onu(
    event: Mapping[str, Any], envelope: Mapping[str, Any], *, received_at: datetime, zone: ZoneInfo
) -> tuple[Signal, ...]:
    """Read an ONU event, out of its envelope.

    Parameters
    ----------
    event, envelope : dict
        As :func:`~oms_topology.events.envelopes.unwrapped` gives them, the body read as JSON.
    received_at : aware datetime
        When it came.
    zone : ZoneInfo
        Zone of naive times.

    Returns
    -------
    tuple of Signal
        One, about the ONU; ``meter_numbers`` are those that the message names behind it.

    Raises
    ------
    SignalParseError
        There is neither ``onuId`` nor ``onuSerial``, no ``type``, or no time.
    """
    troubles: list[SignalFinding | None] = []
    onu_id, trouble = text_field(event, "onuId", 50)
    troubles.append(trouble)
    details: dict[str, Any] = {"onu_id": onu_id}
    for key, name, max_length in _TEXT_FIELDS:
        details[key], trouble = text_field(event, name, max_length)
        if trouble:
            troubles.append(trouble)
    code = onu_id or details["onu_serial"]
    if code is None:
        raise SignalParseError(Source.ONU, "onuId", "missing or not an id, and so is onuSerial")
    power, communication = _meaning(event, details, troubles)
    at = event_time(Source.ONU, event, envelope, received_at=received_at, zone=zone)
    troubles.append(at.finding)
    _add_alarm(event, details, troubles)
    details["latitude"], details["longitude"], trouble = coordinates_field(event, "location")
    troubles.append(trouble)
    meters = _meter_numbers(event.get("associatedMeters"), troubles)
    digest = content_hash(event, _ADDED_ON_THE_WAY)
    return (
        Signal(
            source=Source.ONU,
            source_event_id=text_field(event, "eventId", 100)[0] or f"sha256:{digest}",
            content_hash=digest,
            device=DeviceReference(ReporterKind.ONU, code),
            power_status=power,
            communication_status=communication,
            occurred_at=at.occurred_at,
            received_at=received_at,
            sent_at=at.sent_at,
            time_is_sound=at.is_sound,
            reported_at=at.reported_at,
            meter_numbers=meters,
            details=details,
            payload=event,
            findings=tuple([trouble for trouble in troubles if trouble]),
        ),
    )


def _meaning(
    event: Mapping[str, Any], details: dict[str, Any], troubles: list[SignalFinding | None]
) -> tuple[PowerStatus, CommunicationStatus]:
    name, trouble = text_field(event, "type", 50)
    if name is None:
        raise SignalParseError(Source.ONU, "type", trouble.reason if trouble else "missing")
    details["event_type"] = name
    letters = "".join(filter(str.isalnum, name.lower())) if name not in _EXACT else ""
    meaning = _EXACT.get(name) or _MEANINGS.get(letters.removeprefix("onu"))
    if meaning is None:
        troubles.append(SignalFinding("type", "not a known type; nothing follows from it"))
    return meaning or _NOTHING


def _add_alarm(
    event: Mapping[str, Any], details: dict[str, Any], troubles: list[SignalFinding | None]
) -> None:
    alarm = event.get("alarmData")
    if not isinstance(alarm, dict):
        details.update(dict.fromkeys(("alarm_category", "alarm_type", "parcel_code", "serial_number")))
        if alarm is not None:
            troubles.append(SignalFinding("alarmData", "not an object"))
        return
    for key, name, max_length in _ALARM_FIELDS:
        details[key], trouble = text_field(alarm, name, max_length)
        if trouble:
            troubles.append(SignalFinding(f"alarmData.{name}", trouble.reason))


def _meter_numbers(value: Any, troubles: list[SignalFinding | None]) -> tuple[str, ...]:
    if value is None:
        return ()
    numbers: dict[str, None] = {}
    wrong = 0
    for item in value if isinstance(value, list) else [value]:
        number = _meter_number(item)
        if number is None:
            wrong += 1
        else:
            numbers[number] = None
    if wrong:
        troubles.append(SignalFinding("associatedMeters", f"{wrong} of its entries are no meter numbers"))
    return tuple(numbers)


def _meter_number(item: Any) -> str | None:
    if not isinstance(item, dict):
        return text_field({"": item}, "", 50)[0]
    return next((text for key in _METER_KEYS if (text := text_field(item, key, 50)[0])), None)
