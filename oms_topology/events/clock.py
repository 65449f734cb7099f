"""How the times of many messages that came together are read, and written as the database takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oms_topology.events.fields import CLOCK_SLACK, EARLIEST, parse_time

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["Clock"]

_from_iso = datetime.fromisoformat
# What stands at every third place of a usual time, from the first hyphen on.
_MARKS = frozenset({"--T::.", "--T::Z", "--T::"})
_MOST_FRACTION_DIGITS = 9


class Clock:
    """When messages came, and how their times are read; one for a batch.

    Parameters
    ----------
    received_at : aware datetime, UTC
        When they came.
    zone : ZoneInfo
        Zone of naive times.
    """

    __slots__ = ("_is_utc", "_latest", "_zone")

    def __init__(self, received_at: datetime, zone: ZoneInfo) -> None:
        self._latest = received_at + CLOCK_SLACK
        self._zone = zone
        self._is_utc = zone.key == "UTC"

    def moment(self, text: str) -> tuple[datetime, str]:
        """Read a time, and write it in UTC with six digits.

        Raises
        ------
        ValueError
            It is no time.
        """
        marks = text[4:20:3]
        if marks in _MARKS and "1" <= text < "3":
            is_utc = text[-1] == "Z"
            digits = text[20:-1] if is_utc else text[20:]
            plain = _from_iso(text)
            if (
                (is_utc or (self._is_utc and plain.tzinfo is None))
                and len(digits) <= _MOST_FRACTION_DIGITS
                and (digits or marks != "--T::.")
                and "T24" not in text
            ):
                at = plain if is_utc else plain.replace(tzinfo=UTC)
                return at, f"{text[:19]}.{digits[:6]:0<6}Z"
        read = parse_time(text, self._zone)
        if read is None:
            raise ValueError("not a time")
        return read, read.isoformat(timespec="microseconds")[:26] + "Z"

    def written(self, text: str | None) -> str | None:
        """Write a time in UTC with six digits; None for none.

        Raises
        ------
        ValueError
            It is no time.
        """
        return None if text is None else self.moment(text)[1]

    def times(self, said: str, sent: str | None) -> tuple[str, str | None]:
        """Write when an event happened and when it was sent, where both are possible.

        Raises
        ------
        ValueError
            One of them is not.
        """
        latest, sent_text = self._latest, None
        if sent is not None:
            sent_at, sent_text = self.moment(sent)
            if not EARLIEST <= sent_at <= latest:
                raise ValueError("not a possible time")
            latest = sent_at + CLOCK_SLACK
        said_at, said_text = self.moment(said)
        if not EARLIEST <= said_at <= latest:
            raise ValueError("not a possible time")
        return said_text, sent_text
