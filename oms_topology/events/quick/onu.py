"""The usual message of an ONU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, Struct
from msgspec.json import Decoder

from oms_topology.events.json_text import EXACTLY, hash_of_texts
from oms_topology.events.onu import meaning_of_onu_event
from oms_topology.events.quick.common import (
    ENCODER,
    Form,
    Place,
    Text20,
    Text50,
    Text64,
    Text100,
    opened,
    require_usual,
)
from oms_topology.model import CommunicationStatus

if TYPE_CHECKING:
    from oms_topology.events.clock import Clock
    from oms_topology.events.quick.common import Quick

__all__ = ["read_onu"]

_MAX_ONU_ID = 2**31 - 1


class _Alarm(Struct, forbid_unknown_fields=True):
    category: Text20 | None = None
    alarmType: Text20 | None = None  # noqa: N815
    parcel: Text50 | None = None
    serial: Text100 | None = None


class _Event(Struct, forbid_unknown_fields=True):
    type: Text50
    timestamp: str
    eventId: Text100 | None = None  # noqa: N815
    onuId: int | Text20 | None = None  # noqa: N815
    onuSerial: Text100 | None = None  # noqa: N815
    location: Place | None = None
    associatedMeters: list[Text64] | None = None  # noqa: N815
    nmsType: Text50 | None = None  # noqa: N815
    alarmData: _Alarm | None = None  # noqa: N815
    status: str | None = None


class _Details(Struct):
    event_id: str | None
    event_type: str
    onu_id: str | None
    onu_serial_no: str | None
    nms_type: str | None
    alarm_category: str | None
    alarm_type: str | None
    parcel_code: str | None
    serial_number: str | None
    latitude: str | None
    longitude: str | None
    meter_numbers: list[str]


_decode = Decoder(_Event, float_hook=EXACTLY.create_decimal).decode
_NO_ALARM = _Alarm()


def read_onu(payload: bytes, clock: Clock) -> Quick | None:
    """Read an ONU's message if it is as usual."""
    raw, envelope = opened(payload)
    event = _decode(raw)
    meaning = meaning_of_onu_event(event.type)
    if meaning is None:
        return None
    details = _details(event)
    occurred_at, sent_at = clock.times(event.timestamp, envelope.sent)
    meters = details.meter_numbers
    hashed = [
        event.eventId, event.type, event.timestamp, details.onu_id, event.onuSerial, event.nmsType,
        details.alarm_category, details.alarm_type, details.parcel_code, details.serial_number,
        details.latitude, details.longitude, *meters,
    ]  # fmt: skip
    require_usual(hashed, raw)
    digest = hash_of_texts(hashed)
    code = details.onu_id or event.onuSerial
    if not code and not meters:
        return None
    power, communication = meaning
    form = Form(
        source_event_id=event.eventId or f"sha256:{digest}",
        content_hash=digest,
        device_kind="onu" if code else "meter",
        device_code=code or meters[0],
        power_status=power,
        occurred_at=occurred_at,
        sent_at=sent_at,
        details=details,
        payload=Raw(raw),
        communication_status=None if communication is CommunicationStatus.UNKNOWN else communication,
    )
    return ENCODER.encode(form), power, form.device_code


def _details(event: _Event) -> _Details:
    alarm, location, meters = event.alarmData or _NO_ALARM, event.location, event.associatedMeters or []
    if len(meters) > 1:
        meters = list(dict.fromkeys(meters))
    latitude, longitude = (None, None) if location is None else location.texts()
    return _Details(
        event.eventId,
        event.type,
        _onu_id(event.onuId),
        event.onuSerial,
        event.nmsType,
        alarm.category,
        alarm.alarmType,
        alarm.parcel,
        alarm.serial,
        latitude,
        longitude,
        meters,
    )


def _onu_id(said: int | str | None) -> str | None:
    text = said if said is None else str(said)
    if text is not None and not (
        text.isascii() and text.isdecimal() and int(text) <= _MAX_ONU_ID and (text[0] != "0" or text == "0")
    ):
        raise ValueError("not an id of an ONU")
    return text
