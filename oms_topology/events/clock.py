"""How the times of many messages that came together are read, and written as the database takes them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from oms_topology.events.fields import CLOCK_SLACK, EARLIEST, parse_time

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["Clock"]

_from_iso = datetime.fromisoformat
# What stands at every third place of a usual time, from the first hyphen on.
_MARKS = frozenset({"--T::.", "--T::Z", "--T::"})
_MOST_FRACTION_DIGITS = 9
_DIGITS = 6
_MOST_KNOWN = 64


class Clock:
    """When messages came, and how their times are read; one for a batch.

    Parameters
    ----------
    received_at : aware datetime, UTC
        When they came.
    zone : ZoneInfo
        Zone of naive times.
    """

    __slots__ = ("_is_utc", "_known", "_latest", "_zone")

    def __init__(self, received_at: datetime, zone: ZoneInfo) -> None:
        self._latest = received_at + CLOCK_SLACK
        self._zone = zone
        self._is_utc = zone.key == "UTC"
        # A message says one time in several places.
        self._known: dict[str, tuple[datetime, str]] = {}

    def moment(self, text: str) -> tuple[datetime, str]:
        """Read a time, and write it in UTC with six digits.

        Raises
        ------
        ValueError
            It is no time.
        """
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[text] = self._plain_moment(text) or self._any_moment(text)
        return known

    def _plain_moment(self, text: str) -> tuple[datetime, str] | None:
        if text.endswith("+00:00"):
            text = text[:-6] + "Z"
        if text[4:20:3] not in _MARKS or not "1" <= text < "3" or "T24" in text:
            return None
        is_utc = text[-1] == "Z"
        digits = len(text) - (21 if is_utc else 20)
        if (
            digits > _MOST_FRACTION_DIGITS
            or (digits < 1 and text[19:20] == ".")
            or not (is_utc or self._is_utc)
        ):
            return None
        try:
            # A text that says where it is does not end twice.
            at = _from_iso(text if is_utc else text + "Z")
        except ValueError:
            return None
        if digits < 1:
            return at, text[:19] + ".000000Z"
        return at, text[:26] + "Z" if digits >= _DIGITS else text[: 20 + digits].ljust(26, "0") + "Z"

    def _any_moment(self, text: str) -> tuple[datetime, str]:
        at = parse_time(text, self._zone)
        if at is None:
            raise ValueError("not a time")
        return at, at.isoformat(timespec="microseconds")[:26] + "Z"

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
