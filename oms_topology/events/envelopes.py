"""The wrappings of a message: Kafka envelope, gateway request with the message as text, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.json_text import MAX_DEPTH, MAX_PAYLOAD_BYTES, canonical_text, is_too_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["checked_message", "unwrapped"]

_SURELY_SMALL = 10_000
_MAX_LAYERS = 6


def checked_message(source: str, message: Any, payload: object = None) -> Any:
    """Refuse what is nested too deeply or too large.

    ``payload`` is the text it was read from: a short one with few brackets can be neither.

    Raises
    ------
    SignalParseError
        The message is one of these.
    """
    if not isinstance(payload, (bytes, str)) or len(payload) > _SURELY_SMALL:
        size = len(canonical_text(message).encode("utf-8", "surrogatepass"))
        if size > MAX_PAYLOAD_BYTES:
            raise SignalParseError(source, "payload", "larger than 1 MiB")
    if not _has_few_brackets(payload) and is_too_deep(message):
        raise SignalParseError(source, "payload", "nested too deeply")
    return message


def _has_few_brackets(payload: object) -> bool:
    if isinstance(payload, bytes):
        return payload.count(b"{") + payload.count(b"[") < MAX_DEPTH
    return isinstance(payload, str) and payload.count("{") + payload.count("[") < MAX_DEPTH


def unwrapped(
    source: str, message: Any, read: Callable[[str], Any]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Give the event that a message wraps, however often, and the envelope; the outermost one's fields win.

    The envelope is the wrapping as it stands, with what it wraps.

    Parameters
    ----------
    source : str
        The provider, for errors.
    message : object
        What came, decoded.
    read : callable
        Reads a wrapped text.

    Raises
    ------
    SignalParseError
        What is wrapped is no object, or is wrapped more than five times.

    Examples
    --------
    >>> import json
    >>> message = {"event": {"method": "POST", "body": '{"type": "x"}'}, "source": "s"}
    >>> event, envelope = unwrapped("onu", message, json.loads)
    >>> event, envelope["source"]
    ({'type': 'x'}, 's')
    """
    envelope: dict[str, Any] = {}
    event = message
    for _ in range(_MAX_LAYERS):
        if isinstance(event, str):
            event = read(event)
            continue
        if not isinstance(event, dict):
            raise SignalParseError(source, "payload", "not a JSON object")
        if isinstance(event.get("event"), (dict, str)):
            wrapping = "event"
        elif isinstance(event.get("request"), dict):
            wrapping = "request"
        elif isinstance(event.get("body"), (dict, str)):
            event = event["body"]
            continue
        else:
            return event, envelope
        envelope = {**event, **envelope} if envelope else event
        event = event[wrapping]
    raise SignalParseError(source, "payload", "wrapped too deep")
