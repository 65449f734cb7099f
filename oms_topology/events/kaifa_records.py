"""What the deployed tables hold of a KAIFA event beside its signal: assets, names, details, envelopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms_topology.events.fields import parse_time
from oms_topology.events.nodes import node_text, objects_of, plain_node

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

__all__ = ["FLAGS", "kaifa_records"]

FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_MAX_MRID = 100


def kaifa_records(event: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """Give the further records of an event, as ``oms_topology.kaifa_records`` gives them.

    Parameters
    ----------
    event : mapping
        The payload of a signal of KAIFA: ``{header, payload, ...}``.
    zone : ZoneInfo
        Zone of naive times.

    Returns
    -------
    dict
        Each text cut to its column; times as ISO 8601 text in UTC. ``assets``, ``usage_points`` and
        ``names`` are rows ``[mRID, name, type of name, its description]``.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> kaifa_records({"payload": {"assets": {"ns2:mRID": "M1"}}}, ZoneInfo("UTC"))["assets"]
    [['M1', None, None, None]]
    """
    header, payload = plain_node(event.get("header")), plain_node(event.get("payload"))
    status, metadata = payload.get("status"), plain_node(event.get("metadata"))
    original = plain_node(event.get("original_message"))
    flag = (node_text(header, "async_reply_flag") or "").lower()
    ack = (node_text(header, "ack_required") or "").lower()
    return {
        "header_timestamp": _time(header, "timestamp", zone),
        "async_reply_flag": FLAGS.get(flag),
        "ack_required": FLAGS.get(ack),
        "created_date_time": _time(payload, "created_date_time", zone),
        "assets": _identified(payload.get("assets")),
        "usage_points": _identified(payload.get("usage_point")),
        "names": [_named({"Names": payload.get("names")})],
        "details": _details(payload.get("event_details")),
        "status": _status(plain_node(status), zone) if isinstance(status, dict) else None,
        "metadata": [_cut(metadata, "source", 100), _time(metadata, "processed_at", zone)],
        "original": [
            _time(original, "timestamp", zone),
            _cut(original, "source", 100),
            _cut(original, "topic", 100),
            _time(original, "processed_at", zone),
        ],
    }


def _time(node: Mapping[str, Any], name: str, zone: ZoneInfo) -> str | None:
    text = node_text(node, name)
    at = parse_time(text, zone) if text else None
    return at.isoformat(timespec="microseconds")[:26] + "Z" if at else None


def _cut(node: Mapping[str, Any], name: str, length: int) -> str | None:
    text = node_text(node, name)
    return text[:length] if text else None


def _identified(node: Any) -> list[list[str | None]]:
    return [_named(plain_node(item)) for item in objects_of(node)]


def _named(item: Mapping[str, Any]) -> list[str | None]:
    names = item.get("Names")
    if isinstance(names, list):
        names = names[0] if names else None
    names = plain_node(names)
    kind = plain_node(names.get("NameType"))
    mrid = node_text(item, "mRID")
    return [
        mrid if mrid and len(mrid) <= _MAX_MRID else None,
        _cut(names, "name", 200),
        _cut(kind, "name", 100),
        node_text(kind, "description"),
    ]


def _details(node: Any) -> list[list[Any]]:
    items = node if isinstance(node, list) else [node]
    rows = []
    for place, item in enumerate(items):
        if isinstance(item, dict):
            plain = plain_node(item)
            name = _cut(plain, "name", 100)
            if name is not None:
                rows.append([name, _cut(plain, "value", 200) or "", place])
    return rows


def _status(status: Mapping[str, Any], zone: ZoneInfo) -> list[str | None]:
    return [
        _time(status, "dateTime", zone),
        _cut(status, "reason", 200),
        node_text(status, "remark"),
        _cut(status, "value", 50),
    ]
