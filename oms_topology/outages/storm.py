"""Storm mode: when reports come so fast that detail has to wait, and when that is over.

It is worked out from the set of times at which reports occurred. A rate is *reached* at every instant at
which so many of them lie in the hour (or minute) up to it. A storm begins when the activation rate is
reached. It lasts as long as the lower rate is reached again and again with pauses shorter than
``calm_for``, and ends when such a pause is over: so it cannot flap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from oms_topology.errors import OmsTopologyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["CALM_PACE", "STORM_PACE", "Storm", "StormRules", "StormState", "WorkerPace", "storm_at", "storms"]

_HOUR_US: Final = 3_600_000_000
_MINUTE_US: Final = 60_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class StormRules:
    """When a storm begins and ends.

    Attributes
    ----------
    per_hour : int or None
        Reports in an hour that begin one; None for no such rule.
    per_minute : int or None
        Reports in a minute that begin one too; None for no such rule.
    calm_share : float
        The lower rate that keeps a storm going, as a share of each of the two, above 0 and below 1.
    calm_for : timedelta
        How long the rate has to stay below that until the storm is over, above 0.

    Raises
    ------
    OmsTopologyError
        A value is out of range.
    """

    per_hour: int | None = 100
    per_minute: int | None = 10
    calm_share: float = 0.5
    calm_for: timedelta = timedelta(minutes=30)

    def __post_init__(self) -> None:
        if not 0 < self.calm_share < 1 or self.calm_for <= timedelta():
            raise OmsTopologyError("Wanted are a share between 0 and 1, and a time above 0.")
        if min(self.per_hour or 1, self.per_minute or 1) < 1:
            raise OmsTopologyError("A rate that begins a storm is at least 1.")

    @property
    def memory(self) -> timedelta:
        """How far back reports can bear on whether a storm that goes on is over."""
        return timedelta(hours=1) + self.calm_for


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm; ``ended_at`` is None while the reports known do not show its end."""

    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class StormState:
    """What holds at an instant.

    Attributes
    ----------
    is_active : bool
        Whether there is a storm.
    changed_at : aware datetime or None
        When the present storm began, or the last one ended; None when there was none.
    calm_from : aware datetime or None
        When the storm will be over if nothing more is reported; None without one.
    per_hour : int
        Reports in the hour up to the instant.
    """

    is_active: bool
    changed_at: datetime | None
    calm_from: datetime | None
    per_hour: int


@dataclass(frozen=True, slots=True)
class WorkerPace:
    """How a worker goes about what waits; it decides when and how much at once, never what is concluded.

    Attributes
    ----------
    batch_size : int
        Rows of work taken up in one transaction, at the most: this bounds memory.
    pause : timedelta
        How long to let work gather once all that was taken up is done; none while a full batch waits behind.
    window : timedelta
        How long notifications about one customer are gathered.
    """

    batch_size: int
    pause: timedelta
    window: timedelta


CALM_PACE: Final = WorkerPace(500, timedelta(), timedelta())
STORM_PACE: Final = WorkerPace(2_000, timedelta(seconds=2), timedelta(minutes=60))


def storms(occurred_at: Iterable[datetime], rules: StormRules, *, at: datetime) -> tuple[Storm, ...]:
    """Find the storms that a set of reports shows, up to an instant.

    Parameters
    ----------
    occurred_at : iterable of aware datetime
        When they occurred, in any order; each counts. Those after ``at`` are left out.
    rules : StormRules
        When a storm begins and ends.
    at : aware datetime
        The instant.

    Returns
    -------
    tuple of Storm
        In order of time; between two lies a time without. The last is open when it goes on at ``at``.
        What later instants add to the reports never changes what held before. O(n log n).

    Examples
    --------
    >>> noon = datetime(2025, 10, 1, 12, tzinfo=UTC)
    >>> reports = [noon + timedelta(seconds=20 * n) for n in range(150)]
    >>> [found] = storms(reports, StormRules(per_minute=None), at=noon + timedelta(hours=6))
    >>> found.started_at.time().isoformat(), found.ended_at.time().isoformat()
    ('12:33:00', '14:03:20')
    """
    times, now = _microseconds(occurred_at, at), _microsecond(at)
    return tuple(
        Storm(_time(begin), _time(end) if end <= now else None) for begin, end in _storm_spans(times, rules)
    )


def storm_at(
    occurred_at: Iterable[datetime], rules: StormRules, *, at: datetime, active_since: datetime | None = None
) -> StormState:
    """Tell whether there is a storm at an instant.

    Parameters
    ----------
    occurred_at, rules, at
        As :func:`storms` has them.
    active_since : aware datetime, optional
        A storm that began then was still on when it was last looked at, whoever began it. It lasts at least
        ``calm_for``, and reports older than ``rules.memory`` are not needed.

    Examples
    --------
    >>> noon = datetime(2025, 10, 1, 12, tzinfo=UTC)
    >>> reports = [noon + timedelta(seconds=5 * n) for n in range(12)]
    >>> storm_at(reports, StormRules(), at=noon + timedelta(minutes=1)).is_active
    True
    >>> storm_at(reports, StormRules(), at=noon + timedelta(minutes=32)).is_active
    False
    """
    times, now = _microseconds(occurred_at, at), _microsecond(at)
    per_hour = int((times > now - _HOUR_US).sum())
    if active_since is None:
        spans = _storm_spans(times, rules)
        begin, end = spans[-1] if spans else (None, None)
    else:
        begin = _microsecond(active_since)
        least = begin + rules.calm_for // _MICROSECOND
        end = max([least, *(end for _, end in _busy_spans(times, rules))])
    if begin is None or end is None:
        return StormState(False, None, None, per_hour)
    if end <= now:
        return StormState(False, _time(end), None, per_hour)
    return StormState(True, _time(begin), _time(end), per_hour)


def _storm_spans(times: NDArray[np.int64], rules: StormRules) -> list[tuple[int, int]]:
    begins = np.sort(_reached(times, rules, share=1.0)[0])
    spans = []
    for start, end in _busy_spans(times, rules):
        first = int(np.searchsorted(begins, start))
        if first < len(begins) and begins[first] < end:
            spans.append((int(begins[first]), end))
    return spans


def _busy_spans(times: NDArray[np.int64], rules: StormRules) -> list[tuple[int, int]]:
    """Give the spans in which a storm, once begun, goes on."""
    starts, ends = _reached(times, rules, share=rules.calm_share)
    return _merged(starts, ends + rules.calm_for // _MICROSECOND)


def _microseconds(occurred_at: Iterable[datetime], at: datetime) -> NDArray[np.int64]:
    times = [_microsecond(each) for each in occurred_at if each <= at]
    return np.sort(np.array(times, dtype=np.int64))


def _reached(
    times: NDArray[np.int64], rules: StormRules, *, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the spans in which a rate is reached: from the last of so many to a window past the first."""
    starts, ends = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for rate, window in ((rules.per_hour, _HOUR_US), (rules.per_minute, _MINUTE_US)):
        if rate is not None:
            count = max(1, math.ceil(rate * share))
            first, last = times[: max(0, len(times) - count + 1)], times[count - 1 :]
            dense = last - first < window
            starts.append(last[dense])
            ends.append(first[dense] + window)
    return np.concatenate(starts), np.concatenate(ends)


def _merged(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Merge spans that meet or overlap."""
    if not len(starts):
        return []
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    is_new = np.concatenate([[True], starts[1:] > ends[:-1]])
    last = np.append(np.flatnonzero(is_new)[1:] - 1, len(starts) - 1)
    return list(zip(starts[is_new].tolist(), ends[last].tolist(), strict=True))


def _microsecond(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _time(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
