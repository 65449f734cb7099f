"""What the quick readers share: the types of usual values, wrappings, and the form they fill."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder, Encoder

from oms_topology.events.fields import rounded_text
from oms_topology.model import PowerStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    Quick = tuple[bytes, PowerStatus, str]
    """One signal: its parsed form as JSON, what it says of power, and the code of its device."""

__all__ = [
    "ENCODER",
    "NO_ENVELOPE",
    "Envelope",
    "Form",
    "Intake",
    "Place",
    "Quick",
    "Text20",
    "Text50",
    "Text64",
    "Text100",
    "Whole",
    "decimals_text",
    "opened",
    "require_usual",
]

Text20 = Annotated[str, Meta(min_length=1, max_length=20)]
Text50 = Annotated[str, Meta(min_length=1, max_length=50)]
Text64 = Annotated[str, Meta(min_length=1, max_length=64)]
Text100 = Annotated[str, Meta(min_length=1, max_length=100)]
Whole = Annotated[int, Meta(ge=0, le=2**53)]

_MOST_DIGITS = 20
ENCODER = Encoder(decimal_format="number")


class Form(Struct):
    """The parsed form, as :func:`~oms_topology.events.parsed_form.parsed_form` gives it."""

    source_event_id: str
    content_hash: str
    device_kind: str
    device_code: str
    power_status: PowerStatus
    occurred_at: str
    sent_at: str | None
    details: Struct
    payload: Raw | Struct | UnsetType = UNSET
    message: Raw | UnsetType = UNSET
    communication_status: str | UnsetType | None = UNSET
    records: Struct | UnsetType = UNSET
    time_is_sound: bool = True
    findings: tuple[()] = ()


class Intake(Struct, forbid_unknown_fields=True):
    """What a call center's intake adds to a ticket."""

    intakeId: Text64 | None = None  # noqa: N815
    omsEventId: Text64 | None = None  # noqa: N815


class Envelope(Struct, forbid_unknown_fields=True):
    """What a consumer or an outbox wraps around a message."""

    timestamp: str | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    event_type: str | None = None
    event: Raw | UnsetType = UNSET
    request: Raw | UnsetType = UNSET
    topic: str | UnsetType | None = UNSET
    received_at: str | None = None
    processed_at: str | UnsetType | None = UNSET
    intake: Intake | None = None
    kafka_partition: Whole | None = None
    kafka_offset: Whole | None = None

    @property
    def sent(self) -> str | None:
        """Its time, from the first of its three names that has one."""
        for text in (self.timestamp, self.received_at, self.processed_at):
            if text:
                return text
        return None


class _Request(Struct, forbid_unknown_fields=True):
    body: str
    method: str | None = None
    uri: str | None = None
    path: str | None = None
    remote_addr: str | None = None
    user_agent: str | None = None
    content_type: str | None = None
    content_length: Whole | None = None
    headers: dict[str, str] | None = None


_read_envelope = Decoder(Envelope).decode
_read_request = Decoder(_Request).decode
NO_ENVELOPE = Envelope()


class Place(Struct, forbid_unknown_fields=True):
    """A pair of degrees; decode with ``float_hook``, so that every digit is kept."""

    lat: Any
    lng: Any

    def texts(self) -> tuple[str, str]:
        """Latitude and longitude with six decimals.

        Raises
        ------
        ValueError
            Not a place on earth, or one that means unknown.
        """
        latitude, longitude = self.lat, self.lng
        texts = decimals_text(latitude, 6), decimals_text(longitude, 6)
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180) or not (latitude or longitude):
            raise ValueError("not a place")
        return texts


def decimals_text(number: Any, digits: int) -> str:
    """Round half away from zero, as PostgreSQL rounds a ``numeric``.

    Raises
    ------
    ValueError
        It is no number, or one that PostgreSQL would write otherwise than it came.

    Examples
    --------
    >>> decimals_text(Decimal("31.9454"), 6), decimals_text(0, 3)
    ('31.945400', '0.000')
    """
    text = str(number)
    if (
        type(number) not in (int, Decimal)
        or len(text) > _MOST_DIGITS
        or "E" in text
        or (text[0] == "-" and not number)
    ):
        raise ValueError("not a usual number")
    whole, _, fraction = text.partition(".")
    return (
        f"{whole}.{fraction.ljust(digits, '0')}" if len(fraction) <= digits else rounded_text(number, digits)
    )


def opened(payload: bytes) -> tuple[bytes, Envelope]:
    """Give the event that a message wraps, as it stands there, and the envelope.

    A key that only looks like a wrapping fails here or in the reader of the event, and so is not usual.
    """
    event = payload
    envelope = NO_ENVELOPE
    if b'"event"' in payload or b'"request"' in payload:
        envelope = _read_envelope(payload)
        if isinstance(envelope.event, Raw) is isinstance(envelope.request, Raw):
            raise ValueError("wrapped twice, or not at all")
        event = bytes(envelope.event or envelope.request)  # type: ignore[arg-type]
    if b'"body"' in payload:
        event = _read_request(event).body.encode()
    return event, envelope


def require_usual(texts: Iterable[str | None], message: bytes) -> None:
    """Refuse texts with blanks around them; None is none.

    Parameters
    ----------
    texts : iterable of str or None
        At least one that is not empty.
    message : bytes
        The JSON they were read from: blanks but the space itself come by escapes.

    Raises
    ------
    ValueError
        One of them is such a text.

    Examples
    --------
    >>> require_usual(["Storm", "1 Example Street", None], b'["Storm", "1 Example Street", null]')
    >>> require_usual(["Storm "], b'["Storm "]')
    Traceback (most recent call last):
    ...
    ValueError: not a usual text
    """
    joined = "|".join(filter(None, texts))
    has_blanks = " " in joined and (joined[0] == " " or joined[-1] == " " or " |" in joined or "| " in joined)
    if has_blanks or (b"\\" in message and not joined.isprintable()):
        raise ValueError("not a usual text")
