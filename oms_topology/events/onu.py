"""ONU messages: an optical network unit says that it lost power, has it again, or is out of reach.

The SQL function ``oms_topology.parse_onu`` reads the same forms to the same signal.
"""

from __future__ import annotations

import re
import string
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.fields import BLANKS, coordinates_field, event_time, text_field, whole_text
from oms_topology.events.json_text import hash_of_texts, number_text
from oms_topology.model import (
    CommunicationStatus,
    DeviceKind,
    DeviceReference,
    PowerStatus,
    ReporterKind,
    Signal,
    SignalFinding,
    Source,
)
from oms_topology.model.signal import frozen_signal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["meaning_of_onu_event", "parse_onu"]

_OFF = (PowerStatus.OFF, CommunicationStatus.OFFLINE)
_ON = (PowerStatus.ON, CommunicationStatus.ONLINE)
_LOST = (PowerStatus.UNKNOWN, CommunicationStatus.OFFLINE)
_REACHED = (PowerStatus.UNKNOWN, CommunicationStatus.ONLINE)
_NOTHING = (PowerStatus.UNKNOWN, CommunicationStatus.UNKNOWN)
_MEANINGS = {
    "lastgaspalert": _OFF,
    "lastgasp": _OFF,
    "dyinggasp": _OFF,
    "poweroutage": _OFF,
    "powerlost": _OFF,
    "powerrestored": _ON,
    "lossofsignal": _LOST,
    "los": _LOST,
    "offline": _LOST,
    "communicationloss": _LOST,
    "online": _REACHED,
    "communicationrestored": _REACHED,
}
_EXACT = {"ONU_LastGaspAlert": _OFF, "ONU_PowerRestored": _ON}
_EVENT_FIELDS = (
    ("event_id", "eventId", 100),
    ("event_type", "type", 50),
    ("onu_id", "onuId", 100),
    ("onu_serial_no", "onuSerial", 100),
    ("nms_type", "nmsType", 50),
)
_ALARM_FIELDS = (
    ("alarm_category", "category", 20),
    ("alarm_type", "alarmType", 20),
    ("parcel_code", "parcel", 50),
    ("serial_number", "serial", 100),
)
_METER_KEYS = ("meterNumber", "meter_number", "meterId", "meter_id", "id")
_MAX_ONU_ID = 2**31 - 1
_ONU_ID = re.compile(r"[0-9]{1,10}")
_DEGREES = re.compile(r"[+-]?[0-9]{1,10}(\.[0-9]{1,30})?")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NO_LETTERS = re.compile("[^a-z0-9]")


def meaning_of_onu_event(kind: str) -> tuple[PowerStatus, CommunicationStatus] | None:
    """Tell what an ONU's type of event says of power and of communication; None for one that nobody knows.

    Examples
    --------
    >>> power, communication = meaning_of_onu_event("ONU_LastGaspAlert")
    >>> power.value, communication.value, meaning_of_onu_event("Rebooted")
    ('off', 'offline', None)
    """
    known = _EXACT.get(kind)
    if known is not None:
        return known
    return _MEANINGS.get(_NO_LETTERS.sub("", kind.translate(_LOWER)).removeprefix("onu"))


def parse_onu(
    event: Mapping[str, Any], envelope: Mapping[str, Any], *, received_at: datetime, zone: ZoneInfo
) -> tuple[Signal, ...]:
    """Read an ONU event, out of its envelope.

    Parameters
    ----------
    event, envelope : dict
        As :func:`~oms_topology.events.envelopes.unwrapped` gives them.
    received_at : aware datetime
        When it came.
    zone : ZoneInfo
        Zone of naive times.

    Returns
    -------
    tuple of Signal
        One, about the ONU, or about the first meter it lists where it names no ONU;
        ``meter_numbers`` are those that the message names behind it.

    Raises
    ------
    SignalParseError
        There is no ``type``, no time, or neither ``onuId``, ``onuSerial`` nor a meter.
    """
    kind = text_field(event, "type", 1000, [])
    if kind is None:
        raise SignalParseError(Source.ONU, "type", "missing or not a text")
    occurred_at, sent_at, is_sound, reported_at, troubles = event_time(
        Source.ONU, event, envelope, received_at=received_at, zone=zone
    )
    latitude, longitude = _place(event, troubles)
    meters = _meter_numbers(event.get("associatedMeters"), troubles)
    details = _details(event, kind, troubles)
    details["latitude"] = latitude
    details["longitude"] = longitude
    meaning = meaning_of_onu_event(kind)
    if meaning is None:
        meaning = _NOTHING
        troubles.append(SignalFinding("type", "not a known type; nothing follows from it"))
    said = event.get("timestamp")
    # An id that is too long to be the key still tells events apart.
    digest = hash_of_texts(
        [
            details["event_id"] or whole_text(event, "eventId"),
            kind,
            said if type(said) is str else None,
            *[details[key] for key in _HASHED],
            *meters,
        ]
    )
    return (
        frozen_signal(
            source=Source.ONU,
            source_event_id=details["event_id"] or f"sha256:{digest}",
            content_hash=digest,
            device=_device(details, meters),
            power_status=meaning[0],
            communication_status=meaning[1],
            occurred_at=occurred_at,
            received_at=received_at,
            sent_at=sent_at,
            time_is_sound=is_sound,
            reported_at=reported_at,
            meter_numbers=meters,
            details=details,
            payload=event,
            findings=tuple(troubles),
        ),
    )


_HASHED = (
    "onu_id",
    "onu_serial_no",
    "nms_type",
    "alarm_category",
    "alarm_type",
    "parcel_code",
    "serial_number",
    "latitude",
    "longitude",
)


def _details(event: Mapping[str, Any], kind: str, troubles: list[SignalFinding]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    _add_texts(details, event, _EVENT_FIELDS, troubles)
    alarm = event.get("alarmData")
    if not isinstance(alarm, dict):
        if alarm is not None:
            troubles.append(SignalFinding("alarmData", "not an object"))
        alarm = {}
    _add_texts(details, alarm, _ALARM_FIELDS, troubles)
    details["onu_id"] = _onu_id(details["onu_id"], troubles)
    details["event_type"] = details["event_type"] or kind[:50]
    return details


def _add_texts(
    details: dict[str, Any],
    node: Mapping[str, Any],
    fields: tuple[tuple[str, str, int], ...],
    troubles: list[SignalFinding],
) -> None:
    for key, name, max_length in fields:
        value = node.get(name)
        # Nearly every text is as it should be; the rest is for the general rule.
        if type(value) is str and 0 < len(value) <= max_length and value[0] > " " < value[-1]:
            details[key] = value
        else:
            details[key] = None if value is None else text_field(node, name, max_length, troubles)


def _onu_id(text: str | None, troubles: list[SignalFinding]) -> str | None:
    if text is None:
        return None
    if _ONU_ID.fullmatch(text) and int(text) <= _MAX_ONU_ID:
        return str(int(text))
    troubles.append(SignalFinding("onuId", "not an id of an ONU"))
    return None


def _device(details: Mapping[str, str | None], meters: tuple[str, ...]) -> DeviceReference:
    code = details["onu_id"] or details["onu_serial_no"]
    if code:
        return DeviceReference(ReporterKind.ONU, code)
    if meters:
        return DeviceReference(DeviceKind.METER, meters[0])
    reason = "missing or unusable, and neither onuSerial nor associatedMeters names a device"
    raise SignalParseError(Source.ONU, "onuId", reason)


def _place(event: Mapping[str, Any], troubles: list[SignalFinding]) -> tuple[str | None, str | None]:
    place = event.get("location")
    if not isinstance(place, dict) or type(place.get("lat")) is type(place.get("lng")) is Decimal:
        return coordinates_field(event, "location", troubles)
    numbers = {name: _degrees(place.get(name)) for name in ("lat", "lng")}
    if any(number is not None for number in numbers.values()):
        return coordinates_field({"location": numbers}, "location", troubles)
    return None, None


def _degrees(value: Any) -> Any:
    # Some systems write numbers as text, and an empty text for nothing.
    if not isinstance(value, str):
        return value
    text = value.strip(BLANKS)
    return (Decimal(text) if _DEGREES.fullmatch(text) else value) if text else None


def _meter_numbers(value: Any, troubles: list[SignalFinding]) -> tuple[str, ...]:
    if not value and (value is None or value == []):
        return ()
    said = [_meter_number(item) for item in (value if isinstance(value, list) else [value])]
    if None in said:
        troubles.append(SignalFinding("associatedMeters", "holds what is not a meter number"))
    return tuple(dict.fromkeys(filter(None, said)))


def _meter_number(item: Any) -> str | None:
    if isinstance(item, dict):
        return next((text for key in _METER_KEYS if (text := _meter_number_text(item.get(key)))), None)
    return _meter_number_text(item)


def _meter_number_text(item: Any) -> str | None:
    if isinstance(item, (int, float, Decimal)) and not isinstance(item, bool):
        item = number_text(item)
    text = item.strip(BLANKS) if isinstance(item, str) else ""
    return text if 0 < len(text) <= 64 else None
