"""SCADA messages: a breaker or feeder says that it is de-energised, or energised again.

The SQL function ``oms_topology.parse_scada`` reads the same forms to the same signal, for services
in other languages; ``tests/acceptance`` holds the two together.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.fields import coordinates_field, event_time, rounded_text, text_field
from oms_topology.events.json_text import MAX_PAYLOAD_BYTES, canonical_text, content_hash, is_too_deep
from oms_topology.model import DeviceKind, DeviceReference, PowerStatus, Signal, SignalFinding, Source
from oms_topology.model.signal import frozen_signal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["is_severity", "parse_scada", "power_status_of_alarm"]

_DE_ENERGISED = frozenset(
    {
        "de-energized",
        "deenergized",
        "de-energised",
        "deenergised",
        "fault",
        "breaker-trip",
        "power-failure",
        "outage",
        "mv-alarmlossofvoltage",
    }
)
_ENERGISED = frozenset({"energized", "energised", "mv-alarmrestoration"})
_SEVERITIES = frozenset({"low", "medium", "high", "critical"})
_DEVICE_FIELDS = (
    ("switchId", DeviceKind.SWITCH),
    ("feederId", DeviceKind.FEEDER),
    ("substationId", DeviceKind.SUBSTATION),
)
_TEXT_FIELDS = (
    ("event_type", "eventType", 64),
    ("alarm_type", "alarmType", 32),
    ("main_station_id", "mainStationId", 64),
    ("severity", "severity", 16),
    ("reason", "reason", 2000),
)
_MAX_VOLTAGE = 999_999_999
# ASCII only: other alphabets have letters that turn into ASCII ones, by rules that databases do not share.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_ALARM_LETTERS = _LOWER | str.maketrans("_ ", "--")


def power_status_of_alarm(alarm: str) -> PowerStatus:
    """Tell what an alarm says of supply at the device and below; an unknown one says nothing.

    Examples
    --------
    >>> power_status_of_alarm("De-energized").value, power_status_of_alarm("door open").value
    ('off', 'unknown')
    """
    name = alarm.translate(_ALARM_LETTERS)
    if name in _DE_ENERGISED:
        return PowerStatus.OFF
    return PowerStatus.ON if name in _ENERGISED else PowerStatus.UNKNOWN


def is_severity(text: str) -> bool:
    """Tell whether a text is low, medium, high or critical, in capitals or not."""
    return text.translate(_LOWER) in _SEVERITIES


def parse_scada(message: Any, *, received_at: datetime, zone: ZoneInfo) -> Signal:
    """Read a SCADA message: bare event, Kafka envelope or outbox record.

    Parameters
    ----------
    message : dict
        As :func:`~oms_topology.events.json_text.read_json` gives it.
    received_at : aware datetime
        When it came.
    zone : ZoneInfo
        Zone of naive times.

    Returns
    -------
    Signal
        What does not fit is None in ``details``, named in ``findings``, and kept in ``payload``.

    Raises
    ------
    SignalParseError
        There is no device, no type or alarm, or no time; or the message is no object or too large.
    """
    if not isinstance(message, dict):
        raise SignalParseError(Source.SCADA, "payload", "not a JSON object")
    if is_too_deep(message):
        raise SignalParseError(Source.SCADA, "payload", "nested too deeply")
    if len(canonical_text(message).encode()) > MAX_PAYLOAD_BYTES:
        raise SignalParseError(Source.SCADA, "payload", "larger than 1 MiB")
    wrapped = isinstance(message.get("event"), dict)
    event: dict[str, Any] = message["event"] if wrapped else message
    envelope = {key: value for key, value in message.items() if key != "event"} if wrapped else {}

    codes = _device_codes(event)
    kind, code = next((kind, codes[name]) for name, kind in _DEVICE_FIELDS if codes[name])
    occurred_at, sent_at, is_sound, reported_at, troubles = event_time(
        Source.SCADA, event, envelope, received_at=received_at, zone=zone
    )
    alarm = text_field(event, "alarmType", 1000, []) or text_field(event, "eventType", 1000, [])
    if alarm is None:
        raise SignalParseError(Source.SCADA, "alarmType", "missing, and so is eventType")
    details = _details(event, envelope, troubles)
    details["substation_code"] = codes["substationId"] or None
    details["feeder_code"] = codes["feederId"] or None
    digest = content_hash(event)
    return frozen_signal(
        source=Source.SCADA,
        source_event_id=text_field(event, "eventId", 100, []) or f"sha256:{digest}",
        content_hash=digest,
        device=DeviceReference(kind, code),
        power_status=power_status_of_alarm(alarm),
        occurred_at=occurred_at,
        received_at=received_at,
        sent_at=sent_at,
        time_is_sound=is_sound,
        reported_at=reported_at,
        details=details,
        payload=event,
        findings=tuple(troubles),
    )


def _device_codes(event: Mapping[str, Any]) -> dict[str, str]:
    troubles: list[SignalFinding] = []
    codes = {name: text_field(event, name, 64, troubles) or "" for name, _ in _DEVICE_FIELDS}
    for trouble in troubles:
        raise SignalParseError(Source.SCADA, trouble.field, trouble.reason)
    if not any(codes.values()):
        raise SignalParseError(Source.SCADA, "substationId", "missing, and so are feederId and switchId")
    return codes


def _details(
    event: Mapping[str, Any], envelope: Mapping[str, Any], troubles: list[SignalFinding]
) -> dict[str, str | None]:
    details: dict[str, str | None] = {}
    for key, name, max_length in _TEXT_FIELDS:
        said = details[key] = text_field(event, name, max_length, troubles)
        if key == "severity" and said and not is_severity(said):
            details[key] = None
            troubles.append(SignalFinding("severity", "not low, medium, high or critical"))
    details["voltage"] = _voltage(event.get("voltage"), troubles)
    details["latitude"], details["longitude"] = coordinates_field(event, "coordinates", troubles)
    details["source"] = text_field(event if "source" in event else envelope, "source", 128, troubles)
    return details


def _voltage(value: Any, troubles: list[SignalFinding]) -> str | None:
    if value is None:
        return None
    if isinstance(value, (bool, str, list, dict)) or not 0 <= value < _MAX_VOLTAGE:
        troubles.append(SignalFinding("voltage", "not a number of volts"))
        return None
    return rounded_text(value, 3)
