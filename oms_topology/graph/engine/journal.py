"""What was changed, and when: a tuple of plain values a change, made readable when somebody asks."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Done", "Entry", "Journal", "Step", "entry_of"]

Step = tuple[str, int, Any]
"""What changes (see :meth:`~oms_topology.graph.engine.editor.Editor._apply`), the row, and the new value."""
Done = tuple[str, int, Any, Any]
"""The same with the value before."""

_MOST_ENTRIES = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONG_AGO_US = -(1 << 62)


class Entry(NamedTuple):
    """One change as the journal tells it.

    Attributes
    ----------
    version : int
        The version that it made.
    changed_at : datetime
        When, aware, UTC.
    steps : tuple of (what, row, before, after)
        What it did, in order.
    """

    version: int
    changed_at: datetime
    steps: tuple[Done, ...]

    def inverse(self) -> list[Step]:
        """Give the steps that take it back."""
        return [(what, row, before) for what, row, before, _ in reversed(self.steps)]


_Noted = tuple[int, int, tuple[Done, ...], Any]
"""Version, microseconds since 1970, steps, and the noted change that it takes back, if it does."""


class Journal:
    """The latest million changes, oldest first, and which of them still stand.

    Examples
    --------
    >>> journal = Journal()
    >>> journal.note(1, None, (("open", 7, False, True),))
    >>> journal[-1].version, journal[-1].steps, journal[-1].inverse()
    (1, (('open', 7, False, True),), [('open', 7, False)])
    """

    __slots__ = ("_latest_us", "_noted", "_standing")

    def __init__(self) -> None:
        self._noted: deque[_Noted] = deque(maxlen=_MOST_ENTRIES)
        self._standing: deque[_Noted] = deque(maxlen=_MOST_ENTRIES)
        self._latest_us = _LONG_AGO_US

    def note(
        self,
        version: int,
        changed_at: datetime | None,
        steps: tuple[Done, ...],
        undone: _Noted | None = None,
    ) -> None:
        """Add a change; without a time it was made now, and never before the one before it."""
        if changed_at is None:
            at_us = time.time_ns() // 1000
            if at_us < self._latest_us:
                at_us = self._latest_us
        else:
            at_us = (changed_at - _EPOCH) // _MICROSECOND
        self._latest_us = at_us
        noted = (version, at_us, steps, undone)
        self._noted.append(noted)
        if undone is None:
            self._standing.append(noted)

    def pop_standing(self) -> _Noted | None:
        """Take off the latest change that was not taken back yet; None when there is none."""
        return self._standing.pop() if self._standing else None

    def pop(self) -> Entry:
        """Forget the latest change, as if it had not been made; raises IndexError when there is none."""
        noted = self._noted.pop()
        if noted[3] is not None:
            self._standing.append(noted[3])
        elif self._standing:
            self._standing.pop()
        self._latest_us = self._noted[-1][1] if self._noted else _LONG_AGO_US
        return entry_of(noted)

    def __len__(self) -> int:
        return len(self._noted)

    def __getitem__(self, number: int) -> Entry:
        return entry_of(self._noted[number])

    def __reversed__(self) -> Iterator[Entry]:
        return map(entry_of, reversed(self._noted))

    def copy(self) -> Journal:
        """Make a journal that goes on by itself."""
        other = Journal()
        other._noted, other._standing = self._noted.copy(), self._standing.copy()
        other._latest_us = self._latest_us
        return other


def entry_of(noted: _Noted) -> Entry:
    """Make a change as it was noted into one to read."""
    version, at_us, steps, _ = noted
    return Entry(version, _EPOCH + at_us * _MICROSECOND, steps)
