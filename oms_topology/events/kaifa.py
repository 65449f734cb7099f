"""KAIFA messages: the head-end passes on what meters report, as SOAP or as a consumer's JSON of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.end_device_events import Meaning, meaning_of_end_device_event
from oms_topology.events.fields import event_time, text_field
from oms_topology.events.json_text import content_hash
from oms_topology.model import (
    CommunicationStatus,
    DeviceKind,
    DeviceReference,
    PowerStatus,
    Signal,
    SignalFinding,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["parse_kaifa"]

_NOTHING = Meaning(PowerStatus.UNKNOWN, CommunicationStatus.UNKNOWN, "unknown")
_ENDED = frozenset({"inactive", "cleared", "closed", "cancelled", "canceled", "resolved"})
_TYPE_KEYS = ("event_type", "EndDeviceEventType", "eventType")
_DETAIL_KEYS = ("event_details", "EndDeviceEventDetails")
_TEXT_FIELDS = (
    ("event_mrid", ("event_id", "mRID"), 100),
    ("severity", ("severity",), 32),
    ("reason", ("reason",), 2000),
    ("issuer_id", ("issuer_id", "issuerID"), 100),
    ("issuer_tracking_id", ("issuer_tracking_id", "issuerTrackingID"), 100),
)
_MAX_EVENT_DEPTH = 8


def parse_kaifa(
    message: Mapping[str, Any], envelope: Mapping[str, Any], *, received_at: datetime, zone: ZoneInfo
) -> tuple[Signal, ...]:
    """Read a head-end's message: SOAP as :func:`~oms_topology.events.soap.read_xml` gives it, or JSON.

    Parameters
    ----------
    message, envelope : dict
        Without wrappings; prefixes of keys do not count.
    received_at : aware datetime
        When it came.
    zone : ZoneInfo
        Zone of naive times.

    Returns
    -------
    tuple of Signal
        One for each asset of each event, in the message's order. Events that cannot be used are named
        in the findings of the first signal, as long as there is one.

    Raises
    ------
    SignalParseError
        No event of the message has a device, a type and a time.
    """
    header, events = _parts(message)
    if not events:
        raise SignalParseError(Source.KAIFA, "payload", "no EndDeviceEvent")
    if not envelope:
        original = message.get("original_message")
        envelope = original if isinstance(original, dict) else message
    signals: list[Signal] = []
    troubles: list[tuple[int, SignalParseError]] = []
    for number, event in enumerate(events, 1):
        try:
            signals += _signals(header, event, envelope, received_at, zone)
        except SignalParseError as error:
            troubles.append((number, error))
    if not signals:
        raise troubles[0][1]
    if troubles:
        signals[0] = _with_troubles(signals[0], troubles)
    return tuple(signals)


def _with_troubles(signal: Signal, troubles: list[tuple[int, SignalParseError]]) -> Signal:
    told = tuple(
        SignalFinding(f"EndDeviceEvent {number}: {error.field}", error.reason) for number, error in troubles
    )
    return replace(signal, findings=signal.findings + told)


def _pick(place: Any, *names: str) -> Any:
    if not isinstance(place, dict):
        return None
    for name in names:
        if name in place:
            return place[name]
    return next((place[key] for key in place if ":" in key and key.rpartition(":")[2] in names), None)


def _parts(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Any]]:
    place: Any = message
    for name in ("Envelope", "Body", "EventMessage"):
        inner = _pick(place, name)
        place = inner if isinstance(inner, dict) else place
    header = _pick(place, "header", "Header")
    payload = _pick(place, "payload", "Payload")
    if payload is None:
        payload = place
    return header if isinstance(header, dict) else {}, list(_events(payload, _MAX_EVENT_DEPTH))


def _events(place: Any, depth: int) -> Iterator[Any]:
    if isinstance(place, list) and depth:
        for item in place:
            yield from _events(item, depth - 1)
    elif isinstance(place, dict) and depth:
        inner = _pick(place, "EndDeviceEvents", "EndDeviceEvent")
        if inner is not None:
            yield from _events(inner, depth - 1)
        elif _pick(place, *_TYPE_KEYS, "assets", "Assets", "Asset", "usage_point", "UsagePoint") is not None:
            yield place


def _text(place: Any, names: tuple[str, ...], max_length: int) -> tuple[str | None, SignalFinding | None]:
    value = _pick(place, *names)
    if type(value) is str and 0 < len(value) <= max_length and value[0] > " " and value[-1] > " ":
        return value, None
    if isinstance(value, dict) and "#text" in value:
        value = value["#text"]
    return text_field({names[0]: value}, names[0], max_length)


def _signals(
    header: Mapping[str, Any],
    event: Mapping[str, Any],
    envelope: Mapping[str, Any],
    received_at: datetime,
    zone: ZoneInfo,
) -> list[Signal]:
    details, troubles = _details(header, event)
    meaning = _meaning(details, troubles)
    created = _pick(event, "created_date_time", "createdDateTime")
    if not created:
        created = _pick(_pick(event, "status"), "dateTime") or _pick(header, "timestamp", "Timestamp")
    at = event_time(Source.KAIFA, {"timestamp": created}, envelope, received_at=received_at, zone=zone)
    if at.finding:
        troubles.append(at.finding)
    signals = []
    assets: list[str | None] = [*_mrids(_pick(event, "assets", "Assets", "Asset"), "assets.mRID", troubles)]
    for asset in assets or [None]:
        code = asset or details["usage_point_mrid"]
        if code is None:
            raise SignalParseError(Source.KAIFA, "assets.mRID", "missing, and so is that of the usage point")
        said = details | {"asset_mrid": asset}
        digest = content_hash([created, *map(said.get, _HASHED), _measured(event)])
        ids = (said["message_id"], said["event_mrid"], asset)
        signals.append(
            Signal(
                source=Source.KAIFA,
                source_event_id="/".join(map(str, ids)) if all(ids) else f"sha256:{digest}",
                content_hash=digest,
                device=DeviceReference(DeviceKind.METER, code),
                power_status=meaning.power_status,
                communication_status=meaning.communication_status,
                occurred_at=at.occurred_at,
                received_at=received_at,
                sent_at=at.sent_at,
                time_is_sound=at.is_sound,
                reported_at=at.reported_at,
                details=said,
                payload={"header": header, "payload": event},
                findings=tuple(troubles),
            )
        )
    return signals


_HASHED = (
    "message_id",
    "event_mrid",
    "asset_mrid",
    "usage_point_mrid",
    "event_type",
    "status",
    "severity",
    "reason",
)


def _details(
    header: Mapping[str, Any], event: Mapping[str, Any]
) -> tuple[dict[str, Any], list[SignalFinding]]:
    details: dict[str, Any] = {}
    troubles: list[SignalFinding] = []
    for key, names, max_length in _TEXT_FIELDS:
        details[key], trouble = _text(event, names, max_length)
        if trouble:
            troubles.append(trouble)
    details["message_id"], trouble = _text(header, ("message_id", "MessageID"), 100)
    if trouble:
        troubles.append(trouble)
    details["event_type"] = _type(_pick(event, *_TYPE_KEYS))
    status = _pick(event, "status")
    details["status"], trouble = _text(status, ("value",), 64)
    if trouble:
        troubles.append(SignalFinding("status.value", trouble.reason))
    points = _mrids(_pick(event, "usage_point", "UsagePoint"), "usage_point.mRID", troubles)
    details["usage_point_mrid"] = points[0] if points else None
    return details, troubles


def _type(value: Any) -> str:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[key] for key in ("@ref", "ref", "#text", "value") if value.get(key)), None)
    text, trouble = text_field({"": value}, "", 200)
    if text is None:
        raise SignalParseError(Source.KAIFA, "event_type", trouble.reason if trouble else "missing")
    return text


def _meaning(details: dict[str, Any], troubles: list[SignalFinding]) -> Meaning:
    meaning = meaning_of_end_device_event(details["event_type"])
    details["meaning"] = meaning.words if meaning else None
    if meaning is None:
        troubles.append(SignalFinding("event_type", "not a known type or code; nothing follows from it"))
        return _NOTHING
    if meaning.power_status is PowerStatus.OFF and (details["status"] or "").lower() in _ENDED:
        troubles.append(SignalFinding("status", "an outage that is over or void; nothing follows from it"))
        return _NOTHING
    return meaning


def _mrids(places: Any, field: str, troubles: list[SignalFinding]) -> list[str]:
    mrids: dict[str, None] = {}
    for place in places if isinstance(places, list) else [places]:
        value, trouble = _text(place, ("mRID",), 100)
        if trouble:
            troubles.append(SignalFinding(field, trouble.reason))
        if value:
            mrids[value] = None
    return list(mrids)


def _measured(event: Mapping[str, Any]) -> list[list[Any]]:
    measured = _pick(event, *_DETAIL_KEYS)
    return [
        [_pick(item, "name"), _pick(item, "value")]
        for item in (measured if isinstance(measured, list) else [measured])
        if isinstance(item, dict)
    ]
