"""The usual ticket of a call center."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder

from oms_topology.events.call_center import STATUSES, tidy_meter_number
from oms_topology.events.json_text import hash_of_texts
from oms_topology.events.quick.common import ENCODER, Form, Intake, Text64, opened, require_usual
from oms_topology.model import PowerStatus

if TYPE_CHECKING:
    from oms_topology.events.clock import Clock
    from oms_topology.events.quick.common import Envelope, Quick

__all__ = ["read_ticket"]

_Text32 = Annotated[str, Meta(min_length=1, max_length=32)]
_Words = Annotated[str, Meta(min_length=1, max_length=10_000)]
_MAX_SOURCE = 64
_NO_INTAKE = Intake()


class _Customer(Struct, forbid_unknown_fields=True):
    meterNumber: Text64  # noqa: N815
    phone: _Text32 | None = None
    address: _Words | None = None
    notes: _Words | None = None


class _Event(Struct, forbid_unknown_fields=True):
    ticketId: Text64  # noqa: N815
    timestamp: str
    customer: _Customer
    status: _Text32 | None = None
    source: str | UnsetType | None = UNSET
    intake: Intake | UnsetType | None = UNSET
    notes: _Words | None = None


class _Details(Struct):
    ticket_id: str
    intake_id: str | None
    oms_event_id: str | None
    source: str | None
    status: str | None
    phone: str | None
    meter_number: str
    address: str | None
    notes: str | None
    more_notes: str | None


class _Kept(Struct):
    ticketId: str  # noqa: N815
    timestamp: str
    meterNumber: str  # noqa: N815


_decode = Decoder(_Event).decode


def read_ticket(payload: bytes, clock: Clock) -> Quick | None:
    """Read a ticket if it is as usual."""
    raw, envelope = opened(payload)
    event = _decode(raw)
    details = _details(event, envelope, payload)
    number = details.meter_number
    if not number or (event.status is not None and event.status not in STATUSES):
        return None
    occurred_at, sent_at = clock.times(event.timestamp, envelope.sent)
    digest = hash_of_texts(
        [event.timestamp, event.ticketId, details.phone, number, details.address, details.notes]
    )
    form = Form(
        source_event_id=event.ticketId,
        content_hash=digest,
        device_kind="meter",
        device_code=number,
        power_status=PowerStatus.OFF,
        occurred_at=occurred_at,
        sent_at=sent_at,
        details=details,
        payload=_Kept(event.ticketId, event.timestamp, number),
        message=Raw(payload),
    )
    return ENCODER.encode(form), PowerStatus.OFF, number


def _details(event: _Event, envelope: Envelope, payload: bytes) -> _Details:
    customer = event.customer
    intake = (envelope.intake if event.intake is UNSET else event.intake) or _NO_INTAKE
    source = (envelope.source if event.source is UNSET else event.source) or None
    texts = [
        event.ticketId, intake.intakeId, intake.omsEventId, source, event.status, customer.phone,
        customer.meterNumber, customer.address, customer.notes, event.notes,
    ]  # fmt: skip
    require_usual(texts, payload)
    if source is not None and len(source) > _MAX_SOURCE:
        raise ValueError("the source is too long")
    notes, more = customer.notes, event.notes
    if more is not None and more != notes:
        notes = more if notes is None else f"{notes}\n{more}"
    return _Details(
        event.ticketId,
        intake.intakeId,
        intake.omsEventId,
        source,
        event.status,
        customer.phone,
        tidy_meter_number(customer.meterNumber),
        customer.address,
        notes,
        more,
    )
