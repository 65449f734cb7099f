"""The usual message of KAIFA's consumer: one event, under whatever prefixes of names."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, defstruct
from msgspec.json import Decoder
from msgspec.structs import astuple

from oms_topology.events.end_device_events import Meaning, meaning_of_end_device_event
from oms_topology.events.json_text import hash_of_texts
from oms_topology.events.kaifa import ENDED, MAX_KEY
from oms_topology.events.kaifa_records import FLAGS
from oms_topology.events.quick.common import (
    ENCODER,
    NO_ENVELOPE,
    Form,
    Text20,
    Text50,
    Text100,
    opened,
    require_usual,
)
from oms_topology.events.quick.skeletons import as_consumers_json
from oms_topology.model import CommunicationStatus, PowerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oms_topology.events.clock import Clock
    from oms_topology.events.quick.common import Envelope, Quick

__all__ = ["read_kaifa"]

_Text10 = Annotated[str, Meta(min_length=1, max_length=10)]
_Text200 = Annotated[str, Meta(min_length=1, max_length=200)]
_Words = Annotated[str, Meta(min_length=1, max_length=10_000)]
_MOST_PREFIXES = 16
_IS_PREFIX = re.compile(rb"(?:[A-Za-z0-9_.-]+:)?").fullmatch


def _node(prefix: str, /, **types: Any) -> Any:
    # A type for an element whose children bear the prefix, all of them optional.
    fields = [(key, said | None, None) for key, said in types.items()]
    return defstruct(
        "Node", fields, forbid_unknown_fields=True, rename={key: prefix + key for key, _, _ in fields}
    )


def _some(kind: Any) -> Any:
    return kind | list[kind]


def _decoder(user_prefix: str, prefix: str) -> Callable[[bytes], Any]:
    kind = _node(prefix, name=_Words, description=_Words)
    names = _node(prefix, name=_Words, NameType=kind)
    identified = _node(prefix, mRID=Text100, Names=names)
    detail = _node(prefix, name=_Words, value=_Words)
    status = _node(prefix, dateTime=str, reason=_Words, remark=_Words, value=_Words)
    user = _node(user_prefix, UserID=Text100, Organization=Text100)
    header = _node(
        "", verb=Text20, noun=Text50, revision=_Text10, timestamp=str, source=Text100,
        async_reply_flag=Text20, ack_required=Text20, user=user, message_id=Text100, correlation_id=Text100,
        comment=_Words,
    )  # fmt: skip
    event = _node(
        "", event_id=Text100, created_date_time=str, issuer_id=Text100, issuer_tracking_id=Text100,
        reason=_Text200, severity=Text20, user_id=Text100, assets=_some(identified),
        event_details=_some(detail), event_type=_Reference, names=names, status=status,
        usage_point=_some(identified),
    )  # fmt: skip
    message = _node(
        "", message_type=Text50, timestamp=str, header=header, payload=event, metadata=_Metadata,
        original_message=_Original,
    )  # fmt: skip
    return Decoder(message).decode


class _Reference(Struct, forbid_unknown_fields=True, rename={"ref": "@ref"}):
    ref: Text50


class _Metadata(Struct, forbid_unknown_fields=True):
    source: Text100 | None = None
    processed_at: str | None = None


class _Original(Struct, forbid_unknown_fields=True):
    timestamp: str | UnsetType | None = UNSET
    source: Text100 | UnsetType | None = UNSET
    topic: Text100 | UnsetType | None = UNSET
    processed_at: str | UnsetType | None = UNSET


_NO_METADATA, _NO_ORIGINAL = _Metadata(), _Original()


class _Details(Struct):
    message_type: str | None
    event_type_ref: str
    comment: str | None
    correlation_id: str | None
    header_source: str | None
    message_id: str | None
    noun: str | None
    revision: str | None
    verb: str | None
    header_user_id: str | None
    organization: str | None
    event_id: str | None
    issuer_id: str | None
    issuer_tracking_id: str | None
    reason: str | None
    severity: str | None
    user_id: str | None


class _Records(Struct):
    """As :func:`~oms_topology.events.kaifa_records.kaifa_records` gives them."""

    header_timestamp: str | None
    async_reply_flag: bool | None
    ack_required: bool | None
    created_date_time: str
    assets: list[list[str | None]]
    usage_points: list[list[str | None]]
    names: list[list[str | None]]
    details: list[list[str | int]]
    status: list[str | None] | None
    metadata: list[str | None]
    original: list[str | None]


_DECODERS: dict[tuple[bytes, bytes], Callable[[bytes], Any]] = {}
_known_meaning = lru_cache(maxsize=256)(meaning_of_end_device_event)
_Row = list[str | None]


def read_kaifa(payload: bytes, clock: Clock) -> Quick | None:
    """Read a head-end's message, JSON or SOAP, if it has one event and is as usual."""
    unwrapped = _message(payload)
    if unwrapped is None:
        return None
    text, envelope = unwrapped
    message = _decoder_of(text)(text)
    header, event = message.header, message.payload
    if header is None or event is None or event.event_type is None:
        return None
    details, records = _details(message), _records(message, clock)
    assets = [row[0] for row in records.assets if row[0] is not None]
    meaning, key = _meaning_of(details.event_type_ref, event.status), _key(details, assets)
    if meaning is None or key is None:
        return None
    require_usual(_texts_of(details, records, header, event), text)
    sent = header.timestamp or message.timestamp or envelope.timestamp or None
    occurred_at, sent_at = clock.times(event.created_date_time, sent)
    communication = meaning.communication_status
    form = Form(
        source_event_id=key,
        content_hash=_hash(details, records, event, assets),
        device_kind="meter",
        device_code=assets[0],
        power_status=meaning.power_status,
        occurred_at=occurred_at,
        sent_at=sent_at,
        details=details,
        payload=Raw(text),
        communication_status=None if communication is CommunicationStatus.UNKNOWN else communication,
        records=records,
    )
    return ENCODER.encode(form), meaning.power_status, assets[0]


def _meaning_of(kind: str, status: Any) -> Meaning | None:
    meaning = _known_meaning(kind)
    is_off = meaning is not None and meaning.power_status is PowerStatus.OFF
    if is_off and status is not None and status.value and status.value.lower() in ENDED:
        return None
    return meaning


def _key(details: _Details, assets: list[str]) -> str | None:
    message, event = details.message_id or "", details.event_id or ""
    key = f"{message}|{event}|{','.join(assets)}"
    return key if assets and (message or event) and len(key) <= MAX_KEY else None


def _hash(details: _Details, records: _Records, event: Any, assets: list[str]) -> str:
    points = [row[0] for row in records.usage_points if row[0] is not None]
    return hash_of_texts(
        [
            event.created_date_time,
            details.event_type_ref,
            event.status.value if event.status else None,
            *(details.message_id, details.event_id, details.severity, details.reason),
            *(str(len(assets)), *assets, str(len(points)), *points),
            *[text for detail in _listed(event.event_details) for text in (detail.name, detail.value)],
        ]
    )


def _message(payload: bytes) -> tuple[bytes, Envelope] | None:
    # Without wrappings, and as the consumer writes it.
    text, envelope = payload, NO_ENVELOPE
    if payload[:15] == b'{"message_type"':
        return payload, envelope  # not wrapped, or not usual
    if payload[:1] != b"<":
        text, envelope = opened(payload)
    if text[:1] != b"<":
        return text, envelope
    written = as_consumers_json(text)
    if written is None:
        return None
    original = ENCODER.encode(
        _Original(envelope.timestamp, envelope.source, envelope.topic, envelope.processed_at)
    )
    if original != b"{}":
        written = written[:-1] + b',"original_message":' + original + b"}"
    return written, envelope


def _decoder_of(text: bytes) -> Callable[[bytes], Any]:
    prefixes = _prefix_of(text, b'UserID"'), _prefix_of(text, b'mRID"')
    decode = _DECODERS.get(prefixes)
    if decode is None:
        if len(_DECODERS) >= _MOST_PREFIXES or not all(map(_IS_PREFIX, prefixes)):
            raise ValueError("not a usual prefix")
        decode = _DECODERS[prefixes] = _decoder(*(prefix.decode() for prefix in prefixes))
    return decode


def _prefix_of(text: bytes, key: bytes) -> bytes:
    place = text.find(key)
    return text[text.rfind(b'"', 0, place) + 1 : place] if place > 0 else b""


def _listed(node: Any) -> list[Any]:
    if node is None:
        return []
    return node if type(node) is list else [node]


def _details(message: Any) -> _Details:
    header, event = message.header, message.payload
    kind = event.event_type if isinstance(event.event_type, str) else event.event_type.ref
    user = header.user
    return _Details(
        message.message_type, kind, header.comment, header.correlation_id, header.source, header.message_id,
        header.noun, header.revision, header.verb, user and user.UserID, user and user.Organization,
        event.event_id, event.issuer_id, event.issuer_tracking_id, event.reason, event.severity,
        event.user_id,
    )  # fmt: skip


def _records(message: Any, clock: Clock) -> _Records:
    header, event = message.header, message.payload
    status, metadata = event.status, message.metadata or _NO_METADATA
    original = message.original_message or _NO_ORIGINAL
    created = clock.written(event.created_date_time)
    if created is None:
        raise ValueError("not a time")
    return _Records(
        clock.written(header.timestamp),
        FLAGS.get((header.async_reply_flag or "").lower()),
        FLAGS.get((header.ack_required or "").lower()),
        created,
        [_row(node.mRID, node.Names) for node in _listed(event.assets)],
        [_row(node.mRID, node.Names) for node in _listed(event.usage_point)],
        [_row(None, event.names)],
        [
            [detail.name[:100], detail.value[:200] if detail.value else "", place]
            for place, detail in enumerate(_listed(event.event_details))
            if detail.name
        ],
        status
        and [clock.written(status.dateTime), _cut(status.reason, 200), status.remark, _cut(status.value, 50)],
        [metadata.source, clock.written(metadata.processed_at)],
        [
            clock.written(original.timestamp or None),
            original.source or None,
            original.topic or None,
            clock.written(original.processed_at or None),
        ],
    )


def _row(mrid: str | None, names: Any) -> _Row:
    if names is None:
        return [mrid, None, None, None]
    kind = names.NameType
    if kind is None:
        return [mrid, _cut(names.name, 200), None, None]
    return [mrid, _cut(names.name, 200), _cut(kind.name, 100), kind.description]


def _cut(text: str | None, length: int) -> str | None:
    return text[:length] if text else None


def _texts_of(details: _Details, records: _Records, header: Any, event: Any) -> Iterable[str | None]:
    return (
        event.created_date_time, header.async_reply_flag, header.ack_required,
        *astuple(details), *records.metadata, *records.original, *(records.status or ()),
        *chain.from_iterable(records.assets), *chain.from_iterable(records.usage_points), *records.names[0],
        *[text for detail in _listed(event.event_details) for text in (detail.name, detail.value)],
    )  # fmt: skip
