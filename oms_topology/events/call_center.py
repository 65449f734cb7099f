"""Call-center tickets: a customer says that there is no power. Evidence only, which changes no status.

Phone, address and name stay in the payload: neither details nor findings nor errors repeat them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events.fields import event_time, text_field
from oms_topology.events.json_text import content_hash
from oms_topology.model import (
    DeviceKind,
    DeviceReference,
    PowerStatus,
    ReporterKind,
    Signal,
    SignalFinding,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["parse_call_center", "tidy_meter_number"]

_TIDY = re.compile(r"[A-Z0-9]+")
_LETTERS_THEN_DIGITS = re.compile(r"[A-Z]{0,4}[0-9]{4,}")
_SEPARATORS = str.maketrans("", "", "-_./#:")
_SAID = frozenset({"ticketId", "timestamp", "customer", "notes"})


def tidy_meter_number(text: str) -> str:
    """Write a meter number that somebody typed as the registry writes them.

    Blanks and invisible characters go, letters become capitals, digits of any script ASCII ones;
    separators go where letters and digits are what remains.

    Examples
    --------
    >>> tidy_meter_number(" m 9000-0001"), tidy_meter_number("#M90000001"), tidy_meter_number("A-B-7")
    ('M90000001', 'M90000001', 'A-B-7')
    """
    if _TIDY.fullmatch(text):
        return text
    plain = "".join(map(_plain_character, unicodedata.normalize("NFKC", text))).upper()
    joined = plain.translate(_SEPARATORS)
    return joined if _LETTERS_THEN_DIGITS.fullmatch(joined) else plain


def _plain_character(character: str) -> str:
    if character.isascii() and character > " ":
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Pd":
        return "-"
    return "" if category[0] in "ZC" else character


def parse_call_center(
    event: Mapping[str, Any], envelope: Mapping[str, Any], *, received_at: datetime, zone: ZoneInfo
) -> tuple[Signal, ...]:
    """Read a ticket, out of its envelope.

    Parameters
    ----------
    event, envelope : dict
        As :func:`~oms_topology.events.envelopes.unwrapped` gives them, the body read as JSON.
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
    at = event_time(Source.CALL_CENTER, event, envelope, received_at=received_at, zone=zone)
    digest = content_hash({name: event[name] for name in _SAID if name in event})
    details, troubles = _details(event, envelope, customer)
    key = details["ticket_id"] or f"sha256:{digest}"
    said = details["meter_number"]
    # What is left of blanks and marks alone is no number.
    number = tidy_meter_number(said) if said else ""
    if not number:
        troubles.append(
            SignalFinding("customer.meterNumber", "missing or not a number; known by ticket only")
        )
    device = (
        DeviceReference(DeviceKind.METER, number) if number else DeviceReference(ReporterKind.CALLER, key)
    )
    return (
        Signal(
            source=Source.CALL_CENTER,
            source_event_id=key,
            content_hash=digest,
            device=device,
            power_status=PowerStatus.OFF,
            is_evidence_only=True,
            occurred_at=at.occurred_at,
            received_at=received_at,
            sent_at=at.sent_at,
            time_is_sound=at.is_sound,
            reported_at=at.reported_at,
            meter_numbers=(number,) if number else (),
            details=details,
            payload=event,
            findings=(*((at.finding,) if at.finding else ()), *troubles),
        ),
    )


def _details(
    event: Mapping[str, Any], envelope: Mapping[str, Any], customer: Mapping[str, Any]
) -> tuple[dict[str, Any], list[SignalFinding]]:
    troubles: list[SignalFinding] = []
    intake = event["intake"] if "intake" in event else envelope.get("intake")
    if not isinstance(intake, dict):
        if intake is not None:
            troubles.append(SignalFinding("intake", "not an object"))
        intake = {}
    notes_at = customer if customer.get("notes") else event
    wanted = (
        ("ticket_id", event, "ticketId", 64),
        ("meter_number", customer, "meterNumber", 64),
        ("notes", notes_at, "notes", 10_000),
        ("intake_id", intake, "intakeId", 64),
        ("oms_event_id", intake, "omsEventId", 64),
        ("source", event if "source" in event else envelope, "source", 64),
    )
    details: dict[str, Any] = {}
    for key, place, name, max_length in wanted:
        details[key], trouble = text_field(place, name, max_length)
        if trouble:
            troubles.append(trouble)
    return details, troubles
