"""The first hop for many messages of one provider: read, and made ready to be recorded together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from oms_topology.events import parse_many
from oms_topology.model import PowerStatus, Receipt, Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from oms_topology.events import ParsedMessages
    from oms_topology.model import StreamPosition
    from oms_topology.persistence.store import Store

__all__ = ["Intake", "Payload", "read_divided", "read_messages", "receipt_of"]

Payload = bytes | str | dict[str, Any]


@dataclass(slots=True)
class Intake:
    """What messages of one provider say, and which could not be read.

    Attributes
    ----------
    source : str
        The provider.
    received_at : aware datetime
        When they came.
    messages : ParsedMessages
        The signals, and what cannot be used.
    raws : list of bytes
        The messages, byte for byte.
    """

    source: str
    received_at: datetime
    messages: ParsedMessages
    raws: list[bytes]

    def recorded_by(self, store: Store, positions: Sequence[StreamPosition] = ()) -> tuple[Receipt, ...]:
        """Record the messages, and with them how far their streams have been read.

        Parameters
        ----------
        store : Store
            Where to.
        positions : sequence of StreamPosition
            Recorded in the same transaction.

        Raises
        ------
        StoreUnavailableError, ConflictError, StoreError
            Nothing was recorded.
        """
        messages, raws = self.messages, self.raws
        results, dead_letter_ids = store.record(
            self.source,
            messages.json,
            [raws[place] for place in messages.owners],
            received_at=self.received_at,
            refused=[(error.field, error.reason, raws[place]) for place, error in messages.refused],
            positions=positions,
        )
        return self.receipts(results, dead_letter_ids)

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
        messages = self.messages
        told: list[Receipt | None] = [None] * messages.size
        for (place, error), number in zip(messages.refused, dead_letter_ids, strict=True):
            told[place] = Receipt(dead_letter_id=number, dead_letter_reason=f"{error.field}: {error.reason}")
        for place, status, result in zip(messages.owners, messages.power_statuses, results, strict=True):
            receipt = receipt_of(self.source, result, status)
            earlier = told[place]
            told[place] = receipt if earlier is None else _together(earlier, receipt)
        return tuple(receipt for receipt in told if receipt is not None)


def read_messages(
    source: str, payloads: Sequence[Payload], *, received_at: datetime, zone: ZoneInfo
) -> Intake:
    """Read messages of one provider; what cannot be used is told beside them and stops none.

    Parameters
    ----------
    source : str
        The provider.
    payloads : sequence of bytes, str or dict
        The messages.
    received_at : aware datetime
        When they came.
    zone : ZoneInfo
        Zone of naive times.
    """
    messages = parse_many(source, payloads, received_at=received_at, zone=zone)
    return Intake(source, received_at, messages, [raw_bytes(payload) for payload in payloads])


def read_divided(
    source: str, payloads: Sequence[Payload], *, received_at: datetime, zone: ZoneInfo, count: int
) -> list[tuple[list[int], Intake]]:
    """Read messages of one provider and divide them: what is said of one device stays together.

    Parameters
    ----------
    source, payloads, received_at, zone
        As :func:`read_messages` takes them.
    count : int
        How many parts at most.

    Returns
    -------
    list of (list of int, Intake)
        Of each part the places of its messages, in their order, and what they say. None is empty. A message
        about several devices goes with its first, one that cannot be used with the first part.
    """
    whole = read_messages(source, payloads, received_at=received_at, zone=zone)
    if count == 1:
        return [(list(range(len(payloads))), whole)]
    part_of = [0] * len(payloads)
    messages = whole.messages
    for place, code in zip(reversed(messages.owners), reversed(messages.device_codes), strict=True):
        # Of several processes the same parts, so that only these wait for one another.
        part_of[place] = crc32(code.encode()) % count
    parts: list[list[int]] = [[] for _ in range(count)]
    for place, part in enumerate(part_of):
        parts[part].append(place)
    return [
        (
            places,
            Intake(source, received_at, messages.chosen(places), [whole.raws[place] for place in places]),
        )
        for places in parts
        if places
    ]


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
