"""Call-center tickets: a customer says that there is no power. Evidence only, which changes no status.

Phone, address and notes are in ``details`` and ``payload``, for the call center's own tables; findings,
errors and ``repr`` never repeat them. The SQL function ``oms_topology.parse_call`` reads the same.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.fields import event_time, text_field, whole_text
from oms_topology.events.json_text import hash_of_texts
from oms_topology.model import (
    DeviceKind,
    DeviceReference,
    PowerStatus,
    ReporterKind,
    Signal,
    SignalFinding,
    Source,
)
from oms_topology.model.signal import frozen_signal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["STATUSES", "parse_call_center", "tidy_meter_number"]

_TIDY = re.compile(r"[A-Z0-9]+")
_LETTERS_THEN_DIGITS = re.compile(r"[A-Z]{0,4}[0-9]{4,}")
_SEPARATORS = str.maketrans("", "", "-_./#:")
# Explicit tables, since databases and Python differ in what Unicode they know.
_OTHER_DIGITS = (0x660, 0x6F0, 0xFF10)  # Arabic-Indic, Extended Arabic-Indic, fullwidth
_INVISIBLE = (
    "\x00-\x20\x7f-\xa0\xad\u061c\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u2066-\u206f\u3000\ufeff"
)
_BLANK = re.compile(f"[{_INVISIBLE}]")
_PLAIN = (
    {zero + digit: str(digit) for zero in _OTHER_DIGITS for digit in range(10)}
    | dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D], "-")
    | {0xFF21 + place: letter for place, letter in enumerate(string.ascii_uppercase)}
    | {0xFF41 + place: letter for place, letter in enumerate(string.ascii_uppercase)}
    | str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
)
_FIELDS = (
    ("ticket_id", "event", "ticketId", 64),
    ("intake_id", "intake", "intakeId", 64),
    ("oms_event_id", "intake", "omsEventId", 64),
    ("source", "sender", "source", 64),
    ("status", "event", "status", 32),
    ("phone", "customer", "phone", 32),
    ("meter_number", "customer", "meterNumber", 64),
    ("address", "customer", "address", 10_000),
    ("notes", "customer", "notes", 10_000),
    ("more_notes", "event", "notes", 10_000),
)
STATUSES = frozenset({"Registered", "Crew Assigned", "In Progress", "Partially Restored", "Restored"})
_HASHED = ("phone", "meter_number", "address", "notes")


def tidy_meter_number(text: str) -> str:
    """Write a meter number that somebody typed as the registry writes them.

    Blanks and invisible characters go, letters become capitals, Arabic and fullwidth digits ASCII ones;
    separators go where letters and digits are what remains.

    Examples
    --------
    >>> tidy_meter_number(" m 9000-0001"), tidy_meter_number("#M90000001"), tidy_meter_number("A-B-7")
    ('M90000001', 'M90000001', 'A-B-7')
    """
    if _TIDY.fullmatch(text):
        return text
    plain = _BLANK.sub("", text).translate(_PLAIN)
    joined = plain.translate(_SEPARATORS)
    return joined if _LETTERS_THEN_DIGITS.fullmatch(joined) else plain


def parse_call_center(
    event: Mapping[str, Any], envelope: Mapping[str, Any], *, received_at: datetime, zone: ZoneInfo
) -> tuple[Signal, ...]:
    """Read a ticket, out of its envelope.

    Parameters
    ----------
    event, envelope : dict
        As :func:`~oms_topology.events.envelopes.unwrapped` gives them.
    received_at : aware datetime
        When it came.
    zone : ZoneInfo
        Zone of naive times.

    Returns
    -------
    tuple of Signal
        One, with ``is_evidence_only``: about the meter, or about the caller (by ticket) when no meter
        number is given.

    Raises
    ------
    SignalParseError
        There is no ``customer``, or no time.
    """
    customer = event.get("customer")
    if not isinstance(customer, dict):
        reason = "missing" if customer is None else "not an object"
        raise SignalParseError(Source.CALL_CENTER, "customer", reason)
    occurred_at, sent_at, is_sound, reported_at, clock_troubles = event_time(
        Source.CALL_CENTER, event, envelope, received_at=received_at, zone=zone
    )
    troubles: list[SignalFinding] = []
    details = _details(event, envelope, customer, troubles)
    said = event.get("timestamp")
    digest = hash_of_texts(
        [
            said if type(said) is str else None,
            details["ticket_id"] or whole_text(event, "ticketId"),
            *[details[key] for key in _HASHED],
        ]
    )
    key = details["ticket_id"] = details["ticket_id"] or f"sha256:{digest[:57]}"
    number = details["meter_number"]
    return (
        frozen_signal(
            source=Source.CALL_CENTER,
            source_event_id=key,
            content_hash=digest,
            device=DeviceReference(*((DeviceKind.METER, number) if number else (ReporterKind.CALLER, key))),
            power_status=PowerStatus.OFF,
            is_evidence_only=True,
            occurred_at=occurred_at,
            received_at=received_at,
            sent_at=sent_at,
            time_is_sound=is_sound,
            reported_at=reported_at,
            meter_numbers=(number,) if number else (),
            details=details,
            payload=event,
            findings=(*troubles, *clock_troubles),
        ),
    )


def _details(
    event: Mapping[str, Any],
    envelope: Mapping[str, Any],
    customer: Mapping[str, Any],
    troubles: list[SignalFinding],
) -> dict[str, Any]:
    places: dict[str, Mapping[str, Any]] = {
        "event": event,
        "customer": customer,
        "intake": _intake(event, envelope, troubles),
        "sender": event if "source" in event else envelope,
    }
    details: dict[str, Any] = {
        key: text_field(places[place], name, max_length, troubles) for key, place, name, max_length in _FIELDS
    }
    if details["status"] and details["status"] not in STATUSES:
        troubles.append(SignalFinding("status", "not a status of a ticket"))
        details["status"] = None
    # What is left of blanks and marks alone is no number.
    details["meter_number"] = tidy_meter_number(details["meter_number"] or "") or None
    if details["meter_number"] is None:
        troubles.append(SignalFinding("meterNumber", "missing or not a number; known by ticket only"))
    more = details["more_notes"]
    if more and more != details["notes"]:
        details["notes"] = f"{details['notes']}\n{more}" if details["notes"] else more
    return details


def _intake(
    event: Mapping[str, Any], envelope: Mapping[str, Any], troubles: list[SignalFinding]
) -> Mapping[str, Any]:
    intake = event["intake"] if "intake" in event else envelope.get("intake")
    if isinstance(intake, dict):
        return intake
    if intake is not None:
        troubles.append(SignalFinding("intake", "not an object"))
    return {}
