"""The usual message of SCADA."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder

from oms_topology.events.json_text import EXACTLY
from oms_topology.events.quick.common import (
    ENCODER,
    Form,
    Place,
    Text64,
    Text100,
    decimals_text,
    opened,
    require_usual,
)
from oms_topology.events.scada import is_severity, power_status_of_alarm

if TYPE_CHECKING:
    from oms_topology.events.clock import Clock
    from oms_topology.events.quick.common import Quick

__all__ = ["read_scada"]

_Text16 = Annotated[str, Meta(min_length=1, max_length=16)]
_Text32 = Annotated[str, Meta(min_length=1, max_length=32)]
_Reason = Annotated[str, Meta(min_length=1, max_length=2000)]
_MAX_SOURCE = 128
_MAX_VOLTAGE = 999_999_999
_sha256 = hashlib.sha256
_spaced = msgspec.json.format
_meaning = lru_cache(maxsize=256)(power_status_of_alarm)


class _Event(Struct, forbid_unknown_fields=True):
    """An event, its fields in the order of canonical text: by length, then by letters."""

    source: str | UnsetType | None = UNSET
    reason: _Reason | UnsetType | None = UNSET
    eventId: Text100 | UnsetType | None = UNSET  # noqa: N815
    voltage: Any = UNSET
    feederId: Text64 | UnsetType | None = UNSET  # noqa: N815
    severity: _Text16 | UnsetType | None = UNSET
    switchId: Text64 | UnsetType | None = UNSET  # noqa: N815
    alarmType: _Text32 | UnsetType | None = UNSET  # noqa: N815
    eventType: Text64 | UnsetType | None = UNSET  # noqa: N815
    timestamp: str | UnsetType = UNSET
    coordinates: Place | UnsetType | None = UNSET
    substationId: Text64 | UnsetType | None = UNSET  # noqa: N815
    mainStationId: Text64 | UnsetType | None = UNSET  # noqa: N815


class _Details(Struct):
    event_type: str | None
    alarm_type: str | None
    main_station_id: str | None
    severity: str | None
    reason: str | None
    voltage: str | None
    latitude: str | None
    longitude: str | None
    source: str | None
    substation_code: str | None
    feeder_code: str | None


_decode = Decoder(_Event, float_hook=EXACTLY.create_decimal).decode


def read_scada(payload: bytes, clock: Clock) -> Quick | None:
    """Read a message of SCADA if it is as usual."""
    if b'"request"' in payload or b'"body"' in payload:
        return None  # no wrapping of theirs
    raw, envelope = opened(payload)
    event = _decode(raw)
    alarm = event.alarmType or event.eventType
    if not alarm or not event.timestamp:
        return None
    details = _details(event, (envelope.source if event.source is UNSET else event.source) or None, payload)
    event.source = UNSET  # a consumer copies it in: it is not hashed
    kind, code = _device(event)
    occurred_at, sent_at = clock.times(event.timestamp, envelope.sent)
    digest = _sha256(_spaced(ENCODER.encode(event), indent=0)).hexdigest()
    power = _meaning(alarm)
    form = Form(
        source_event_id=event.eventId or f"sha256:{digest}",
        content_hash=digest,
        device_kind=kind,
        device_code=code,
        power_status=power,
        occurred_at=occurred_at,
        sent_at=sent_at,
        details=details,
        message=Raw(payload),
    )
    return ENCODER.encode(form), power, code


def _device(event: _Event) -> tuple[str, str]:
    if event.switchId:
        return "switch", event.switchId
    if event.feederId:
        return "feeder", event.feederId
    if event.substationId:
        return "substation", event.substationId
    raise ValueError("no device")


def _details(event: _Event, source: str | None, payload: bytes) -> _Details:
    texts = [
        event.eventType or None, event.alarmType or None, event.mainStationId or None, event.severity or None,
        event.reason or None, source, event.substationId or None, event.feederId or None,
        event.switchId or None, event.eventId or None,
    ]  # fmt: skip
    require_usual(texts, payload)
    severity = texts[3]
    if (severity and not is_severity(severity)) or (source and len(source) > _MAX_SOURCE):
        raise ValueError("what the parser reports as a finding")
    latitude, longitude = event.coordinates.texts() if event.coordinates else (None, None)
    return _Details(
        texts[0], texts[1], texts[2], severity, texts[4], _volts(event.voltage), latitude, longitude,
        source, texts[6], texts[7],
    )  # fmt: skip


def _volts(voltage: Any) -> str | None:
    if voltage is None or voltage is UNSET:
        return None
    text = decimals_text(voltage, 3)
    if not 0 <= voltage < _MAX_VOLTAGE:
        raise ValueError("not a number of volts")
    return text
