"""Messages that a pipeline has recorded lately: a second delivery costs a look, and is not read again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from oms_topology.model import Receipt, Source

if TYPE_CHECKING:
    from oms_topology.service.intake import Payload

__all__ = ["RecentMessages"]

# Of a breaker's message the counts are asked anew.
_PERSONS = {str(source): source.encode() for source in (Source.ONU, Source.KAIFA, Source.CALL_CENTER)}


class RecentMessages:
    """The latest messages by what they are byte for byte, each with what a further delivery is told.

    Parameters
    ----------
    capacity : int
        How many at most, some 400 bytes each; the oldest go first. The inbox knows them all the same.

    Examples
    --------
    >>> recent = RecentMessages(capacity=1)
    >>> one, other = (RecentMessages.key_of("onu", text) for text in (b"{}", b"[]"))
    >>> recent.remember(one, Receipt(total_meters=2))
    >>> recent.recall(one)
    Receipt(total_meters=2, ..., duplicate=True, ...)
    >>> recent.remember(other, Receipt())
    >>> recent.recall(one) is None
    True
    """

    def __init__(self, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._receipts: dict[bytes, Receipt] = {}

    @staticmethod
    def key_of(source: str, payload: Payload) -> bytes | None:
        """Give what a message is known by; None for one without bytes, and for a breaker's."""
        person = _PERSONS.get(source)
        if person is None or isinstance(payload, dict):
            return None
        text = payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, person=person).digest()

    def recall(self, key: bytes | None) -> Receipt | None:
        """Give what a further delivery of a recorded message is told; None for any other."""
        receipt = None if key is None else self._receipts.get(key)
        if receipt is not None and not receipt.duplicate and key is not None:
            receipt = self._receipts[key] = replace(receipt, duplicate=True)
        return receipt

    def remember(self, key: bytes | None, receipt: Receipt) -> None:
        """Keep what became of a message, once it is recorded; dead letters are not kept."""
        if key is None or receipt.dead_letter_id is not None:
            return
        while len(self._receipts) >= self._capacity:
            del self._receipts[next(iter(self._receipts))]
        self._receipts[key] = receipt
