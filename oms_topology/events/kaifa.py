"""KAIFA messages: the head-end passes on what meters report, as SOAP or as a consumer's JSON of it.

Each ``EndDeviceEvent`` becomes one signal, of the same form whichever way it came: that which the consumer
gives to the SQL door, where ``oms_topology.parse_kaifa`` reads the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.end_device_events import Meaning, meaning_of_end_device_event
from oms_topology.events.fields import event_time
from oms_topology.events.json_text import hash_of_texts
from oms_topology.events.nodes import inner_node, local_name, node_text, objects_of, plain_node
from oms_topology.model import (
    CommunicationStatus,
    DeviceKind,
    DeviceReference,
    PowerStatus,
    Signal,
    SignalFinding,
    Source,
)
from oms_topology.model.signal import frozen_signal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["ENDED", "MAX_KEY", "events_of", "parse_kaifa"]

_NOTHING = Meaning(PowerStatus.UNKNOWN, CommunicationStatus.UNKNOWN, "unknown")
ENDED = frozenset({"inactive", "cleared", "closed", "cancelled", "canceled", "resolved"})
_HEADER_FIELDS = (
    ("comment", "comment", 10_000),
    ("correlation_id", "correlation_id", 100),
    ("header_source", "source", 100),
    ("message_id", "message_id", 100),
    ("noun", "noun", 50),
    ("revision", "revision", 10),
    ("verb", "verb", 20),
)
_USER_FIELDS = (("header_user_id", "UserID", 100), ("organization", "Organization", 100))
_EVENT_FIELDS = (
    ("event_id", "event_id", 100),
    ("issuer_id", "issuer_id", 100),
    ("issuer_tracking_id", "issuer_tracking_id", 100),
    ("reason", "reason", 200),
    ("severity", "severity", 20),
    ("user_id", "user_id", 100),
)
_MAX_MRID = 100
MAX_KEY = 400
_MAX_NESTING = 8
_HEADER_NAMES = {
    "Verb": "verb",
    "Noun": "noun",
    "Revision": "revision",
    "Timestamp": "timestamp",
    "Source": "source",
    "AsyncReplyFlag": "async_reply_flag",
    "AckRequired": "ack_required",
    "User": "user",
    "MessageID": "message_id",
    "CorrelationID": "correlation_id",
    "Comment": "comment",
}
_EVENT_NAMES = {
    "mRID": "event_id",
    "createdDateTime": "created_date_time",
    "issuerID": "issuer_id",
    "issuerTrackingID": "issuer_tracking_id",
    "userID": "user_id",
    "Assets": "assets",
    "Asset": "assets",
    "EndDeviceEventDetails": "event_details",
    "EndDeviceEventType": "event_type",
    "eventType": "event_type",
    "Names": "names",
    "UsagePoint": "usage_point",
}
_ORIGINAL = ("timestamp", "source", "topic", "processed_at")


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
        One for each event, in the message's order, about its first asset; ``meter_numbers`` are the
        mRIDs of all its assets. Events that cannot be used are named in the findings of the first
        signal, as long as there is one.

    Raises
    ------
    SignalParseError
        No event of the message has a device, a type and a time.
    """
    events = events_of(message, envelope)
    if not events:
        raise SignalParseError(Source.KAIFA, "payload", "missing or not an object")
    signals: list[Signal] = []
    troubles: list[tuple[int, SignalParseError]] = []
    for number, event in enumerate(events, 1):
        try:
            signals.append(_signal(event, envelope, received_at, zone))
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


def events_of(message: Mapping[str, Any], envelope: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give each event of a message as the consumer's ``{message_type, header, payload, ...}``."""
    payload = message.get("payload")
    if isinstance(payload, (dict, list)) and not _holds_end_device_events(payload):
        return [{**message, "payload": event} for event in objects_of(payload)]
    place: Any = message
    for name in ("Envelope", "Body", "EventMessage"):
        place = inner_node(place, name) or place
    header = _renamed(inner_node(place, "Header") or inner_node(place, "header") or {}, _HEADER_NAMES)
    top = {"message_type": "EndDeviceEvent", "header": header}
    original = {name: envelope[name] for name in _ORIGINAL if name in envelope}
    if original:
        top["original_message"] = original
    payload = inner_node(place, "Payload") or inner_node(place, "payload") or place
    return [{**top, "payload": _renamed(event, _EVENT_NAMES)} for event in _end_device_events(payload)]


def _holds_end_device_events(payload: Any) -> bool:
    return isinstance(payload, dict) and any(
        local_name(key) in ("EndDeviceEvents", "EndDeviceEvent") for key in payload
    )


def _renamed(node: Any, names: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {}
    new_name = names.get
    return {new_name(local, local): value for local, value in plain_node(node).items()}


def _end_device_events(place: Any, depth: int = _MAX_NESTING) -> Iterator[Mapping[str, Any]]:
    for node in objects_of(place) if depth else ():
        inner = inner_node(node, "EndDeviceEvents") or inner_node(node, "EndDeviceEvent")
        if inner is not None:
            yield from _end_device_events(inner, depth - 1)
        elif not _MARKS.isdisjoint(map(local_name, node)):
            yield node


_MARKS = frozenset(
    {"EndDeviceEventType", "eventType", "event_type", "Assets", "Asset", "assets", "UsagePoint"}
)


def _mrids(node: Any) -> list[str]:
    mrids = [node_text(plain_node(item), "mRID") for item in objects_of(node)]
    return [mrid for mrid in mrids if mrid and len(mrid) <= _MAX_MRID]


def _type(payload: Mapping[str, Any]) -> str | None:
    node = payload.get("event_type")
    if isinstance(node, dict):
        return node_text(node, "@ref") or node_text(node, "ref") or node_text(payload, "event_type")
    return node_text(payload, "event_type")


def _measured(payload: Mapping[str, Any]) -> list[str | None]:
    nodes = [plain_node(item) for item in objects_of(payload.get("event_details"))]
    return [node_text(node, name) for node in nodes for name in ("name", "value")]


# -- one event


def _signal(
    event: dict[str, Any], envelope: Mapping[str, Any], received_at: datetime, zone: ZoneInfo
) -> Signal:
    header, payload = plain_node(event.get("header")), plain_node(event["payload"])
    assets, points = _mrids(payload.get("assets")), _mrids(payload.get("usage_point"))
    kind = _type(payload)
    if not assets and not points:
        reason = "no mRID of an asset, and none of a usage point"
        raise SignalParseError(Source.KAIFA, "payload.assets", reason)
    if kind is None:
        raise SignalParseError(Source.KAIFA, "payload.event_type", "missing")
    status = plain_node(payload.get("status"))
    created = node_text(payload, "created_date_time") or node_text(status, "dateTime")
    clocks = (node_text(header, "timestamp"), node_text(event, "timestamp"), envelope.get("timestamp"))
    occurred_at, sent_at, is_sound, reported_at, clock_troubles = _event_time(
        created, clocks, received_at, zone
    )
    troubles: list[SignalFinding] = []
    details = _details(event, header, payload, kind, troubles)
    state = node_text(status, "value")
    meaning = _meaning(kind, state, troubles)
    troubles += clock_troubles
    digest = hash_of_texts(
        [
            *(created, kind, state, node_text(header, "message_id"), node_text(payload, "event_id")),
            *(details["severity"], details["reason"]),
            *(str(len(assets)), *assets),
            *(str(len(points)), *points),
            *_measured(payload),
        ]
    )
    return frozen_signal(
        source=Source.KAIFA,
        source_event_id=_key(details, assets, digest),
        content_hash=digest,
        device=DeviceReference(DeviceKind.METER, (assets or points)[0]),
        power_status=meaning.power_status,
        communication_status=meaning.communication_status,
        occurred_at=occurred_at,
        received_at=received_at,
        sent_at=sent_at,
        time_is_sound=is_sound,
        reported_at=reported_at,
        meter_numbers=tuple(dict.fromkeys(assets)),
        details=details,
        payload=event,
        findings=tuple(troubles),
    )


def _event_time(
    created: str | None, clocks: tuple[Any, Any, Any], received_at: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime | None, bool, datetime | None, list[SignalFinding]]:
    # The consumer's own clock is no device's: it only bounds what the device says.
    envelope = dict(zip(("timestamp", "received_at", "processed_at"), clocks, strict=True))
    try:
        return event_time(Source.KAIFA, {"timestamp": created}, envelope, received_at=received_at, zone=zone)
    except SignalParseError as error:
        raise SignalParseError(Source.KAIFA, "payload.created_date_time", error.reason) from None


def _key(details: Mapping[str, str | None], assets: list[str], digest: str) -> str:
    message, event = details["message_id"], details["event_id"]
    if message is None and event is None:
        return f"sha256:{digest}"
    key = f"{message or ''}|{event or ''}" + (f"|{','.join(assets)}" if assets else "")
    return key if len(key) <= MAX_KEY else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _details(
    event: Mapping[str, Any],
    header: Mapping[str, Any],
    payload: Mapping[str, Any],
    kind: str,
    troubles: list[SignalFinding],
) -> dict[str, Any]:
    details: dict[str, Any] = {"message_type": node_text(event, "message_type"), "event_type_ref": kind}
    for place, fields in (
        (header, _HEADER_FIELDS),
        (plain_node(header.get("user")), _USER_FIELDS),
        (payload, _EVENT_FIELDS),
    ):
        for key, name, _ in fields:
            details[key] = node_text(place, name)
    for key, max_length in _LENGTHS:
        said = details[key]
        if said and len(said) > max_length:
            details[key] = None
            troubles.append(SignalFinding(key, f"longer than {max_length} characters"))
    return details


_LENGTHS = tuple(
    sorted(
        [("message_type", 50), ("event_type_ref", 50)]
        + [(key, longest) for key, _, longest in _HEADER_FIELDS + _USER_FIELDS + _EVENT_FIELDS]
    )
)


def _meaning(kind: str, state: str | None, troubles: list[SignalFinding]) -> Meaning:
    meaning = meaning_of_end_device_event(kind)
    if meaning is None:
        reason = "not a known event type; says nothing of power"
        troubles.append(SignalFinding("payload.event_type", reason))
        return _NOTHING
    if meaning.power_status is PowerStatus.OFF and state and state.lower() in ENDED:
        reason = "an outage that is over or void; nothing follows from it"
        troubles.append(SignalFinding("payload.status", reason))
        return _NOTHING
    return meaning
