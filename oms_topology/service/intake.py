"""The first hop for many messages of one provider: read, and made ready to be recorded together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oms_topology.errors import SignalParseError
from oms_topology.events import parse
from oms_topology.events.json_text import json_text
from oms_topology.events.kaifa_records import kaifa_records
from oms_topology.events.parse import decode
from oms_topology.model import PowerStatus, Receipt, Source
from oms_topology.persistence.parsed_form import parsed_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from oms_topology.model import Signal

__all__ = ["Intake", "Payload", "read_messages", "receipt_of"]

Payload = bytes | str | dict[str, Any]

_WITH_MESSAGE = frozenset({Source.SCADA, Source.CALL_CENTER})


@dataclass(slots=True)
class Intake:
    """What messages of one provider say, and which could not be read.

    Attributes
    ----------
    source : str
        The provider.
    received_at : aware datetime
        When they came.
    size : int
        How many messages there are.
    signals : list of Signal
        In the order of the messages; a message may have several.
    parsed : str
        JSON array of the parsed form of each signal, as the database takes it.
    owners : list of int
        Of each signal the place of its message.
    raws : list of bytes
        Of each signal its message, byte for byte.
    refused : list of (int, SignalParseError, bytes)
        Messages that cannot be used: place, error, and the message byte for byte.
    """

    source: str
    received_at: datetime
    size: int = 0
    signals: list[Signal] = field(default_factory=list)
    parsed: str = "[]"
    owners: list[int] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    refused: list[tuple[int, SignalParseError, bytes]] = field(default_factory=list)

    def receipts(
        self, results: Sequence[dict[str, Any]], dead_letter_ids: Sequence[int]
    ) -> tuple[Receipt, ...]:
        """Tell of each message what became of it, in their order.

        Parameters
        ----------
        results : sequence of dict
            Of each signal, from the database.
        dead_letter_ids : sequence of int
            Of each refused message.
        """
        told: list[Receipt | None] = [None] * self.size
        for (place, error, _), number in zip(self.refused, dead_letter_ids, strict=True):
            told[place] = Receipt(dead_letter_id=number, dead_letter_reason=f"{error.field}: {error.reason}")
        for place, signal, result in zip(self.owners, self.signals, results, strict=True):
            receipt = receipt_of(signal.source, result, signal.power_status)
            earlier = told[place]
            told[place] = receipt if earlier is None else _together(earlier, receipt)
        return tuple(receipt for receipt in told if receipt is not None)


def read_messages(
    source: str, payloads: Iterable[Payload], *, received_at: datetime, zone: ZoneInfo
) -> Intake:
    """Read messages of one provider; what cannot be used is told beside them and stops none.

    Parameters
    ----------
    source : str
        The provider.
    payloads : iterable of bytes, str or dict
        The messages.
    received_at : aware datetime
        When they came.
    zone : ZoneInfo
        Zone of naive times.
    """
    intake = Intake(source, received_at)
    forms: list[dict[str, Any]] = []
    for place, payload in enumerate(payloads):
        intake.size += 1
        raw = raw_bytes(payload)
        try:
            signals = parse(source, payload, received_at=received_at, zone=zone)
        except SignalParseError as error:
            intake.refused.append((place, error, raw))
            continue
        for signal in signals:
            form = parsed_form(signal)
            if source == Source.KAIFA:
                form["records"] = kaifa_records(signal.payload, zone)
            elif source in _WITH_MESSAGE:
                form["message"] = decode(source, payload)
            intake.signals.append(signal)
            forms.append(form)
            intake.owners.append(place)
            intake.raws.append(raw)
    intake.parsed = json_text(forms)
    return intake


def raw_bytes(payload: Payload) -> bytes:
    """Give a message byte for byte, or as near to it as its form allows."""
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogatepass")
    try:
        text = json.dumps(payload, default=str, skipkeys=True)
    except (ValueError, RecursionError):  # it holds itself, or is nested beyond reason
        text = f"<{type(payload).__name__} that JSON cannot hold>"
    return text.encode("utf-8", "surrogatepass")


def receipt_of(
    source: str, result: dict[str, Any], power_status: PowerStatus = PowerStatus.UNKNOWN
) -> Receipt:
    """Read what the database tells of one signal.

    Parameters
    ----------
    source : str
        The provider.
    result : dict
        As ``oms_topology.record_messages`` gives it.
    power_status : PowerStatus
        What the signal says; of meters themselves it tells how their numbers are to be read.
    """
    if result.get("dead_letter_id"):
        return Receipt(dead_letter_id=result["dead_letter_id"], dead_letter_reason=result["reason"])
    if source == Source.SCADA:
        counts: dict[str, Any] = {name: result.get(name) or 0 for name in _COUNTS}
        return Receipt(
            **counts,
            outage_event_id=result.get("outage_event_id"),
            outage_event_ids=tuple(result.get("outage_event_ids") or ()),
            duplicate=bool(result.get("duplicate")),
            source_record_id=result.get("scada_event_id"),
        )
    meters = result.get("total_meters") or 0
    record_id = next((result[name] for name in _RECORD_IDS if result.get(name)), None)
    return Receipt(
        total_meters=meters,
        # What a meter says of itself it says of itself alone: no walk, no outage.
        offline_meters=meters if power_status is PowerStatus.OFF else 0,
        online_meters=meters if power_status is PowerStatus.ON else 0,
        unknown_meters=meters if power_status is PowerStatus.UNKNOWN else 0,
        duplicate=bool(result.get("duplicate")),
        source_record_id=None if record_id is None else str(record_id),
    )


_COUNTS = (
    "total_meters",
    "offline_meters",
    "online_meters",
    "unknown_meters",
    "affected_customers",
    "restored_meters",
)
_RECORD_IDS = ("onu_event_id", "kaifa_event_id", "ticket_id")


def _together(one: Receipt, other: Receipt) -> Receipt:
    counts: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in _COUNTS}
    return Receipt(
        **counts,
        duplicate=one.duplicate and other.duplicate,
        dead_letter_id=one.dead_letter_id or other.dead_letter_id,
        dead_letter_reason=one.dead_letter_reason or other.dead_letter_reason,
        source_record_id=one.source_record_id or other.source_record_id,
    )
