"""The wrappings of a message: Kafka envelope, gateway request with the message as text, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.json_text import MAX_DEPTH, MAX_PAYLOAD_BYTES, canonical_text, is_too_deep

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["checked_message", "unwrapped"]

_SURELY_SMALL = 10_000


def checked_message(source: str, message: Any, payload: object = None) -> dict[str, Any]:
    """Refuse what is no object, nested too deeply or too large.

    ``payload`` is the text it was read from: a short one with few brackets can be neither.

    Raises
    ------
    SignalParseError
        The message is one of these.
    """
    if not isinstance(message, dict):
        raise SignalParseError(source, "payload", "not a JSON object")
    if not _has_few_brackets(payload) and is_too_deep(message):
        raise SignalParseError(source, "payload", "nested too deeply")
    if not isinstance(payload, (bytes, str)) or len(payload) > _SURELY_SMALL:
        size = len(canonical_text(message).encode("utf-8", "surrogatepass"))
        if size > MAX_PAYLOAD_BYTES:
            raise SignalParseError(source, "payload", "larger than 1 MiB")
    return message


def _has_few_brackets(payload: object) -> bool:
    if isinstance(payload, bytes):
        return payload.count(b"{") + payload.count(b"[") < MAX_DEPTH
    return isinstance(payload, str) and payload.count("{") + payload.count("[") < MAX_DEPTH


def unwrapped(message: dict[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Give what a message wraps, and the envelope; a gateway's request gives its body, text or object.

    Examples
    --------
    >>> unwrapped({"event": {"type": "x"}, "source": "s"})[0]
    {'type': 'x'}
    >>> unwrapped({"request": {"method": "POST", "body": "{}"}})[0]
    '{}'
    """
    inner: Any = message.get("event")
    if not isinstance(inner, dict):
        inner = message.get("request")
    if not isinstance(inner, dict):
        if "body" in message and "method" in message:
            return message["body"], {}
        return message, {}
    if "body" in inner and ("method" in inner or "headers" in inner or len(inner) == 1):
        return inner["body"], message
    return inner, message
