"""What became of a message, as a value."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Receipt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the database recorded for one message; committed when you hold it.

    Attributes
    ----------
    total_meters : int
        Meters below the device, supplied by it now.
    offline_meters : int
        Those concluded to be without supply.
    online_meters : int
        Those with own evidence of power newer than the event.
    unknown_meters : int
        The rest: for instance meters that an alternate supply may hold up.
    affected_customers : int
        Distinct customers of the offline meters; a meter without a customer counts as one.
    restored_meters : int
        Meters that this message brought back.
    outage_event_id : str or None
        The outage of the device named by the event (uuid text).
    outage_event_ids : tuple of str
        All outages touched, in the order of their start.
    duplicate : bool
        Whether the message was known already; then nothing was changed.
    dead_letter_id : int or None
        Where the message was put aside when it could not be used.
    dead_letter_reason : str or None
        Why it was put aside.
    source_record_id : str or None
        Id of the provider's row, for SCADA ``scada_events.id``.

    Examples
    --------
    >>> Receipt(total_meters=3, offline_meters=3).accepted
    True
    """

    total_meters: int = 0
    offline_meters: int = 0
    online_meters: int = 0
    unknown_meters: int = 0
    affected_customers: int = 0
    restored_meters: int = 0
    outage_event_id: str | None = None
    outage_event_ids: tuple[str, ...] = ()
    duplicate: bool = False
    dead_letter_id: int | None = None
    dead_letter_reason: str | None = None
    source_record_id: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the message was usable (a duplicate is)."""
        return self.dead_letter_id is None
