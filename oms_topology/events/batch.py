"""Many messages of one provider at once: each becomes what the database takes, as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.clock import Clock
from oms_topology.events.json_text import json_text
from oms_topology.events.kaifa_records import kaifa_records
from oms_topology.events.parse import decode, parse
from oms_topology.events.parsed_form import parsed_form
from oms_topology.model import PowerStatus, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from oms_topology.model import Signal

try:  # an optional accelerator; the answers are the same without it
    from oms_topology.events.quick import READERS
except ImportError:
    READERS = {}

__all__ = ["ParsedMessages", "parse_many"]

Payload = bytes | str | dict[str, Any]

_WITH_MESSAGE = frozenset({Source.SCADA, Source.CALL_CENTER})
# Well below what the parsers' own bounds refuse.
_MOST_QUICK_BYTES = 10_000


@dataclass(slots=True)
class ParsedMessages:
    """What messages of one provider say, and which could not be read.

    Attributes
    ----------
    forms : list of bytes
        The parsed form of each signal as JSON, in the order of the messages; a message may have several.
    power_statuses : list of PowerStatus
        Of each signal what it says of power.
    owners : list of int
        Of each signal the place of its message.
    device_codes : list of str
        Of each signal the device that it is about.
    refused : list of (int, SignalParseError)
        Messages that cannot be used: place and error.
    size : int
        How many messages there are.
    """

    forms: list[bytes] = field(default_factory=list)
    power_statuses: list[PowerStatus] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    device_codes: list[str] = field(default_factory=list)
    refused: list[tuple[int, SignalParseError]] = field(default_factory=list)
    size: int = 0

    @property
    def json(self) -> str:
        """All forms as one JSON array."""
        if not self.forms:
            return "[]"
        # The brackets go to the ends of the list: the whole is written once.
        pieces = self.forms.copy()
        pieces[0] = b"[" + pieces[0]
        pieces[-1] += b"]"
        return b",".join(pieces).decode()

    def chosen(self, places: Sequence[int]) -> ParsedMessages:
        """Give some of the messages, in the order of their places, as if there were no others."""
        new_places = {place: new for new, place in enumerate(places)}
        kept = [n for n, owner in enumerate(self.owners) if owner in new_places]
        return ParsedMessages(
            forms=[self.forms[n] for n in kept],
            power_statuses=[self.power_statuses[n] for n in kept],
            owners=[new_places[self.owners[n]] for n in kept],
            device_codes=[self.device_codes[n] for n in kept],
            refused=[(new_places[place], error) for place, error in self.refused if place in new_places],
            size=len(places),
        )


def parse_many(
    source: str, payloads: Iterable[Payload], *, received_at: datetime, zone: ZoneInfo
) -> ParsedMessages:
    """Read messages of one provider; what cannot be used is told beside them and stops none.

    Parameters
    ----------
    source : str
        ``"scada"``, ``"onu"``, ``"kaifa"`` or ``"call_center"``.
    payloads : iterable of bytes, str or dict
        The messages, in any of their forms.
    received_at : aware datetime
        When they came.
    zone : ZoneInfo
        The zone of the source's naive times.

    Returns
    -------
    ParsedMessages
        What :func:`~oms_topology.events.parse`, then :func:`~oms_topology.events.parsed_form.parsed_form`
        give for each message.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from zoneinfo import ZoneInfo
    >>> gasp = b'{"onuId": 7, "type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T08:02:05Z"}'
    >>> at = datetime(2025, 10, 2, tzinfo=UTC)
    >>> parsed = parse_many("onu", [gasp, b"{"], received_at=at, zone=ZoneInfo("UTC"))
    >>> [status.value for status in parsed.power_statuses], parsed.owners
    (['off'], [0])
    >>> [(place, error.reason) for place, error in parsed.refused]
    [(1, 'not JSON')]
    """
    parsed = ParsedMessages()
    read, clock = READERS.get(source), Clock(received_at, zone)
    forms, statuses, owners, codes = parsed.forms, parsed.power_statuses, parsed.owners, parsed.device_codes
    for place, payload in enumerate(payloads):
        parsed.size += 1
        found = _read_quickly(read, payload, clock)
        if found is not None:
            forms.append(found[0])
            statuses.append(found[1])
            codes.append(found[2])
            owners.append(place)
            continue
        try:
            signals = parse(source, payload, received_at=received_at, zone=zone)
        except SignalParseError as error:
            parsed.refused.append((place, error))
            continue
        for signal in signals:
            forms.append(json_text(_form(signal, payload, zone)).encode())
            statuses.append(signal.power_status)
            codes.append(signal.device.code)
            owners.append(place)
    return parsed


def _form(signal: Signal, payload: Payload, zone: ZoneInfo) -> dict[str, Any]:
    form = parsed_form(signal)
    if signal.source is Source.KAIFA:
        form["records"] = kaifa_records(signal.payload, zone)
    elif signal.source in _WITH_MESSAGE:
        form["message"] = decode(signal.source, payload)
    return form


def _read_quickly(
    read: Callable[[bytes, Clock], tuple[bytes, PowerStatus, str] | None] | None,
    payload: Payload,
    clock: Clock,
) -> tuple[bytes, PowerStatus, str] | None:
    try:
        text = payload.encode() if isinstance(payload, str) else payload
        # Escapes may hold what no database can: the parser looks at each.
        if (
            read is None
            or type(text) is not bytes
            or len(text) > _MOST_QUICK_BYTES
            or (b"\\" in text and b"\\u" in text)
        ):
            return None
        return read(text, clock)
    except (ValueError, ArithmeticError, RecursionError):
        return None
