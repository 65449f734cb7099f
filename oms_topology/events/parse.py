"""The first hop of a datum: a provider's message becomes signals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from oms_topology.errors import SignalParseError
from oms_topology.events.json_text import MAX_PAYLOAD_BYTES, read_json
from oms_topology.events.scada import parse_scada
from oms_topology.model import Signal, Source

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
        return _storable(read_json(payload))
    except ValueError:
        raise SignalParseError(source, "payload", "not JSON") from None
    except RecursionError:
        raise SignalParseError(source, "payload", "nested too deeply") from None


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
        ``"scada"``.
    payload : bytes, str or dict
        The message as it came, or decoded already.
    received_at : aware datetime, optional
        When it came; now when left out.
    zone : ZoneInfo
        The zone of the source's naive times.

    Returns
    -------
    tuple of Signal
        What the message says, in its order; one for SCADA.

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
    if source != Source.SCADA:
        raise SignalParseError(source, "source", "no parser for this source; known: scada")
    message = decode(source, payload)
    return (parse_scada(message, received_at=received_at or datetime.now(UTC), zone=zone),)
