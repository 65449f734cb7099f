"""Single fields of a message: texts, times and places, each with what was wrong with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, TypeGuard

from oms_topology.errors import SignalParseError
from oms_topology.events.json_text import MAX_PAYLOAD_BYTES, number_text
from oms_topology.model import SignalFinding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

__all__ = ["coordinates_field", "event_time", "parse_time", "text_field", "whole_text"]

BLANKS = " \t\n\r\f\v"
CLOCK_SLACK = timedelta(minutes=5)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_ISO_8601 = re.compile(
    r"([12][0-9]{3})-([0-9]{2})-([0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9])"
    r"(?::([0-5][0-9])(?:[.,]([0-9]{1,9}))?)?(?:([Zz])|([+-])(0[0-9]|1[0-4]):?([0-5][0-9])?)?"
)

_is_plain_time = re.compile(
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?Z?"
).fullmatch


def text_field(
    event: Mapping[str, Any], name: str, max_length: int, troubles: list[SignalFinding], label: str = ""
) -> str | None:
    """Read a field as trimmed text; a number counts as its digits, an empty text as missing.

    Parameters
    ----------
    event : mapping
        Where the field stands.
    name, max_length : str, int
        The field, and the longest text that it may hold, in characters.
    troubles : list of SignalFinding
        What was wrong is appended here, under ``label`` where one is given.

    Returns
    -------
    str or None
        None when it is missing, of another type or too long.

    Examples
    --------
    >>> troubles = []
    >>> text_field({"reason": " Storm "}, "reason", 10, troubles), text_field({"a": []}, "a", 9, troubles)
    ('Storm', None)
    >>> troubles
    [SignalFinding(field='a', reason='not a text')]
    """
    value = event.get(name)
    if type(value) is str and 0 < len(value) <= max_length and value[0] > " " and value[-1] > " ":
        return value
    if value is None:
        return None
    if isinstance(value, (bool, list, dict)):
        troubles.append(SignalFinding(label or name, "not a text"))
        return None
    text = (value if isinstance(value, str) else number_text(value)).strip(BLANKS)
    if len(text) > max_length:
        troubles.append(SignalFinding(label or name, f"longer than {max_length} characters"))
        return None
    return text or None


def whole_text(event: Mapping[str, Any], name: str) -> str | None:
    """Read a field as trimmed text of any length; None for what is none."""
    return text_field(event, name, MAX_PAYLOAD_BYTES, [])


def parse_time(text: str, zone: ZoneInfo) -> datetime | None:
    """Read a time in ISO 8601; naive ones in ``zone``; digits finer than a microsecond are cut off.

    A naive time that the zone's clocks show twice, or never, is the later of its two readings.

    Returns
    -------
    aware datetime, UTC, or None
        None for anything that is not such a time.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> parse_time("2025-10-01T11:02:01.915+03:00", ZoneInfo("UTC")).isoformat()
    '2025-10-01T08:02:01.915000+00:00'
    """
    if _is_plain_time(text):  # the usual form goes the short way
        try:
            plain = datetime.fromisoformat(text)
        except ValueError:
            return None
        return plain if plain.tzinfo is UTC else _of_zone(plain, zone)
    match = _ISO_8601.fullmatch(text.strip(BLANKS))
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, utc, sign, offset_hours, offset_minutes = match.groups()
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        naive = datetime(  # noqa: DTZ001
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), microsecond
        )
    except ValueError:
        return None
    if utc:
        return naive.replace(tzinfo=UTC)
    if sign:
        offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes or 0))
        return (naive - offset if sign == "+" else naive + offset).replace(tzinfo=UTC)
    return _of_zone(naive, zone)


def _of_zone(naive: datetime, zone: ZoneInfo) -> datetime:
    if zone.key == "UTC":
        return naive.replace(tzinfo=UTC)
    # Where clocks change, both readings of it are possible; PostgreSQL takes the later instant.
    return max(naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def event_time(
    source: str,
    event: Mapping[str, Any],
    envelope: Mapping[str, Any],
    *,
    received_at: datetime,
    zone: ZoneInfo,
) -> tuple[datetime, datetime | None, bool, datetime | None, list[SignalFinding]]:
    """Decide when an event happened, from its own time, its envelope's and the receipt.

    An event more than 5 minutes ahead of its envelope counts at the envelope's time; an impossible
    one (before 2000, or ahead of receipt without an envelope) at receipt, and is not sound.

    Returns
    -------
    tuple
        ``occurred_at``, ``sent_at``, whether the time is sound, what the device's clock said where
        another time counts, and what was wrong.

    Raises
    ------
    SignalParseError
        Neither the event nor its envelope gives a time.
    """
    sent_at = _sent_at(envelope, received_at, zone)
    raw = event.get("timestamp")
    said = parse_time(raw, zone) if isinstance(raw, str) else None
    if said is None:
        if sent_at is None:
            missing = raw is None or raw == ""
            reason = (
                "missing, and no envelope gives a time"
                if missing
                else "not a time, and no envelope gives one"
            )
            raise SignalParseError(source, "timestamp", reason)
        finding = SignalFinding("timestamp", "missing or not a time; the envelope's time counts")
        return sent_at, sent_at, True, None, [finding]
    if said < EARLIEST:
        finding = SignalFinding("timestamp", "before the year 2000; counts at receipt")
        return received_at, sent_at, False, said, [finding]
    if said <= (sent_at or received_at) + CLOCK_SLACK:
        return said, sent_at, True, None, []
    if sent_at is None:
        finding = SignalFinding("timestamp", "more than 5 minutes ahead of receipt; counts at receipt")
        return received_at, None, False, said, [finding]
    reason = "more than 5 minutes ahead of the envelope; the envelope's time counts"
    return sent_at, sent_at, True, said, [SignalFinding("timestamp", reason)]


def _sent_at(envelope: Mapping[str, Any], received_at: datetime, zone: ZoneInfo) -> datetime | None:
    for name in ("timestamp", "received_at", "processed_at"):
        raw = envelope.get(name)
        at = parse_time(raw, zone) if isinstance(raw, str) else None
        if at is not None and EARLIEST <= at <= received_at + CLOCK_SLACK:
            return at
    return None


def coordinates_field(
    event: Mapping[str, Any], name: str, troubles: list[SignalFinding]
) -> tuple[str | None, str | None]:
    """Read the field ``name`` of the form ``{lat, lng}``, in degrees.

    Returns
    -------
    tuple
        Latitude and longitude as text with six decimals, or None twice; what was wrong is appended to
        ``troubles``.

    Examples
    --------
    >>> coordinates_field({"coordinates": {"lat": 31.9512, "lng": 35.9327}}, "coordinates", [])
    ('31.951200', '35.932700')
    """
    place = event.get(name)
    if place is None:
        return None, None
    latitude, longitude = (place.get("lat"), place.get("lng")) if isinstance(place, dict) else (None, None)
    if not _is_number(latitude) or not _is_number(longitude):
        troubles.append(SignalFinding(name, "not a pair of numbers lat and lng"))
    elif not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        troubles.append(SignalFinding(name, "out of range"))
    elif latitude == 0 and longitude == 0:
        troubles.append(SignalFinding(name, "zero, which means unknown"))
    else:
        return rounded_text(latitude, 6), rounded_text(longitude, 6)
    return None, None


def _is_number(value: object) -> TypeGuard[float | Decimal]:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def rounded_text(value: float | Decimal, digits: int) -> str:
    """Round half away from zero, as PostgreSQL rounds a ``numeric``.

    Examples
    --------
    >>> rounded_text(Decimal("0.0005"), 3), rounded_text(31.9454, 6)
    ('0.001', '31.945400')
    """
    text = repr(value) if isinstance(value, float) else str(value)
    whole, _, fraction = text.partition(".")
    if 0 < len(fraction) <= digits and text[0] != "-" and "e" not in text and "E" not in text:
        return f"{whole}.{fraction:0<{digits}}"
    exact = Decimal(text).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return number_text(exact)
