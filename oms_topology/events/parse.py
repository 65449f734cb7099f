"""The first hop of a datum: a provider's message becomes signals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard
from zoneinfo import ZoneInfo

from oms_topology.errors import SignalParseError
from oms_topology.events.call_center import parse_call_center
from oms_topology.events.envelopes import checked_message, unwrapped
from oms_topology.events.json_text import MAX_PAYLOAD_BYTES, read_json
from oms_topology.events.kaifa import parse_kaifa
from oms_topology.events.onu import parse_onu
from oms_topology.events.scada import parse_scada
from oms_topology.events.soap import read_xml
from oms_topology.model import Signal, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["decode", "parse"]

_UTC = ZoneInfo("UTC")
_TOO_LARGE = 10**300


def decode(source: str, payload: bytes | str | dict[str, Any]) -> Any:
    """Turn a payload into JSON values, with text that no database can hold made harmless.

    Raises
    ------
    SignalParseError
        The payload is too large, nested too deeply, or not JSON.
    """
    try:
        if not isinstance(payload, (bytes, str)):
            return _storable(payload)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise SignalParseError(source, "payload", "larger than 1 MiB")
        value = read_json(payload)
        # Without escapes, JSON text holds neither NUL nor lone surrogates.
        escaped = (
            b"\\u" in payload if isinstance(payload, bytes) else "\\u" in payload or not _encodable(payload)
        )
        return _storable(value) if escaped else value
    except ValueError:
        raise SignalParseError(source, "payload", "not JSON") from None
    except RecursionError:
        raise SignalParseError(source, "payload", "nested too deeply") from None


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(value: Any) -> Any:
    # PostgreSQL has neither NUL nor lone surrogates in text; the reader sees where one was.
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    if value is None or isinstance(value, bool) or _is_json_number(value):
        return value
    raise ValueError("not a value that JSON has")


def _is_json_number(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and (not value or -300 < value.adjusted() < 300)
    return isinstance(value, (int, float)) and -_TOO_LARGE < value < _TOO_LARGE


def parse(
    source: str,
    payload: bytes | str | dict[str, Any],
    *,
    received_at: datetime | None = None,
    zone: ZoneInfo = _UTC,
) -> tuple[Signal, ...]:
    """Read one message of a provider, in any of its forms; pure and without I/O.

    Parameters
    ----------
    source : str
        ``"scada"``, ``"onu"``, ``"kaifa"`` or ``"call_center"``.
    payload : bytes, str or dict
        The message as it came, or decoded already; KAIFA's may be the SOAP text itself.
    received_at : aware datetime, optional
        When it came; now when left out.
    zone : ZoneInfo
        The zone of the source's naive times.

    Returns
    -------
    tuple of Signal
        What the message says, in its order; one but for KAIFA, where each event has one.

    Raises
    ------
    SignalParseError
        The message cannot be used at all; says which field and why.

    Examples
    --------
    >>> signal, = parse("scada", '{"feederId": "FD002", "alarmType": "Energized",'
    ...                          ' "timestamp": "2025-10-01T08:31:44.120Z"}')
    >>> str(signal.device), signal.power_status.value
    ('feeder FD002', 'on')
    """
    if source == Source.SCADA:
        message = decode(source, payload)
        return (parse_scada(message, received_at=received_at or datetime.now(UTC), zone=zone),)
    reader = _READERS.get(source)
    if reader is None:
        raise SignalParseError(
            source, "source", "no parser for this source; known: scada, onu, kaifa, call_center"
        )
    event, envelope = _opened(source, payload)
    return reader(event, envelope, received_at=received_at or datetime.now(UTC), zone=zone)


_READERS: dict[str, Callable[..., tuple[Signal, ...]]] = {
    Source.ONU: parse_onu,
    Source.KAIFA: parse_kaifa,
    Source.CALL_CENTER: parse_call_center,
}


def _opened(source: str, payload: bytes | str | dict[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    if source == Source.KAIFA and _is_xml(payload):
        return read_xml(source, payload), {}
    message = checked_message(source, decode(source, payload), payload)
    return unwrapped(source, message, partial(_read_wrapped, source))


def _read_wrapped(source: str, text: str) -> Any:
    if source == Source.KAIFA and _is_xml(text):
        return read_xml(source, text)
    try:
        return checked_message(source, decode(source, text), text)
    except SignalParseError as error:
        if error.reason == "not JSON":
            raise SignalParseError(source, "body", error.reason) from None
        raise


def _is_xml(payload: object) -> TypeGuard[bytes | str]:
    if isinstance(payload, bytes):
        return payload[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
    return isinstance(payload, str) and payload[:64].lstrip("\ufeff \t\r\n")[:1] == "<"
