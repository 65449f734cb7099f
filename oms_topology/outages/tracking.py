"""Which of the devices blamed one instant after the other are one outage, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from oms_topology.outages.recovery import CLOCKS_APART, recovery_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from oms_topology.outages.recovery import Told
    from oms_topology.outages.reports import Report

__all__ = ["Blame", "Stage", "Track", "Tracker"]


class Blame(Protocol):
    """What is blamed at an instant, and was at the one before it."""

    def start(self, node: int) -> datetime:
        """Tell when the outage of a node began, by what is known at this instant."""

    def start_before(self, node: int) -> datetime:
        """Tell the same by what was known at the instant before."""


class Stage(Enum):
    """Where a track stands."""

    BLAMED = auto()
    PARTLY_BACK = auto()
    HIDDEN = auto()
    ENDED = auto()
    WITHDRAWN = auto()

    @property
    def is_open(self) -> bool:
        """Whether customers are still without supply by it."""
        return self in (Stage.BLAMED, Stage.PARTLY_BACK, Stage.HIDDEN)


@dataclass(eq=False, slots=True)
class Track:
    """One device's outage as it is followed.

    Attributes
    ----------
    node : int
        The device.
    own_start : datetime
        When it began by the reports at and below the device.
    stood_from, blamed_at : datetime
        The first and the last instant at which it was blamed.
    stage : Stage
        Where it stands.
    closed_at : datetime or None
        When supply was back, or when it was withdrawn.
    hidden_at : datetime or None
        The last instant at which a device above it was blamed instead.
    surfaced_from : Track or None
        The outage below which it lay hidden.
    into : Track or None
        The one that took its place.
    reason : str
        Why it was withdrawn, or how it ended.
    """

    node: int
    own_start: datetime
    stood_from: datetime
    blamed_at: datetime
    stage: Stage = Stage.BLAMED
    closed_at: datetime | None = None
    hidden_at: datetime | None = None
    surfaced_from: Track | None = None
    into: Track | None = None
    reason: str = ""

    @property
    def started_at(self) -> datetime:
        """When it began: with the outage that hid it, if one did."""
        return self.surfaced_from.started_at if self.surfaced_from else self.own_start

    def close(self, stage: Stage, at: datetime, reason: str) -> None:
        """End or withdraw it."""
        self.stage, self.closed_at, self.reason = stage, at, reason


class Tracker:
    """Follows outages through the instants of a course.

    Parameters
    ----------
    told : Told
        All reports of the course.
    """

    def __init__(self, told: Told) -> None:
        self.tracks: list[Track] = []
        self._told, self._forest = told, told.forest
        self._open: dict[int, Track] = {}
        self._blamed: frozenset[int] = frozenset()

    def take(
        self,
        at: datetime,
        blamed: Sequence[int],
        heard: Iterable[Report],
        lapsed: Sequence[tuple[datetime, int]],
        blame: Blame,
    ) -> None:
        """Move on to an instant.

        Parameters
        ----------
        at : datetime
            Later than the one before.
        blamed : sequence of int
            The blamed nodes, ascending; none hangs below another.
        heard : iterable of Report
            What was said since the instant before.
        lapsed : sequence of (datetime, int)
            Nodes whose reports ceased to count since then, and when.
        blame : Blame
            Tells when outages began.
        """
        touched = set()
        for node in (*(report.node for report in heard), *(node for _, node in lapsed)):
            touched.update(self._forest.path(node))
        now = frozenset(blamed)
        has_changed, self._blamed = now != self._blamed, now
        for track in self._open.values():
            if track.node in now:
                track.stage, track.blamed_at = Stage.BLAMED, at
        waiting = {node for node in self._open.keys() - now if self._open[node].stage is Stage.HIDDEN}
        if not has_changed and not waiting and not (touched & (self._open.keys() - now)):
            return
        _Step(self._told, self.tracks, self._open, now, at, heard, lapsed, blame).run(touched, has_changed)

    def finish(self, blame: Blame) -> None:
        """Date what is blamed at the last instant by all that was known then."""
        for track in self._open.values():
            if track.stage is Stage.BLAMED:
                track.own_start = blame.start(track.node)


class _Step:
    """One instant at which something changed."""

    def __init__(
        self,
        told: Told,
        tracks: list[Track],
        opened: dict[int, Track],
        blamed: frozenset[int],
        at: datetime,
        heard: Iterable[Report],
        lapsed: Sequence[tuple[datetime, int]],
        blame: Blame,
    ) -> None:
        self._told, self._forest, self._tracks, self._open = told, told.forest, tracks, opened
        self._blamed, self._at, self._blame, self._lapsed = blamed, at, blame, lapsed
        self._powered = {
            node for r in heard if r.says_dead is False or r.is_reached for node in self._forest.path(r.node)
        }
        self._new = {node: blame.start(node) for node in sorted(blamed - opened.keys())}
        self._replaced: list[tuple[Track, int]] = []

    def run(self, touched: set[int], has_changed: bool) -> None:
        gone = [self._open[node] for node in sorted(self._open.keys() - self._blamed)]
        for track in gone:
            if track.stage is Stage.BLAMED:
                track.own_start = self._blame.start_before(track.node)
        for track in gone:
            if has_changed or track.node in touched or track.stage is Stage.HIDDEN:
                self._settle(track)
        for node, start in self._new.items():
            if not any(
                self._open[above].stage is Stage.PARTLY_BACK
                and self._was_dark(node, start, self._open[above])
                for above in self._forest.path(node)
                if above in self._open
            ):
                self._begin(node, start)
        for track, node in self._replaced:
            track.into = self._open.get(node)

    def _settle(self, track: Track) -> None:
        """Decide what became of an outage whose device is not blamed now."""
        upper = next((node for node in self._forest.path(track.node) if node in self._blamed), None)
        if upper is not None:
            self._give_way(track, upper)
            return
        told = recovery_of(self._told, track.node, started_at=track.started_at, at=self._at)
        ended_at = told.ended_at or told.ended_at_by_any_word
        lower = [node for node in self._new if self._forest.is_below(node, track.node)]
        lapsed = [time for time, node in self._lapsed if self._forest.is_below(node, track.node)]
        if ended_at is not None:
            by_device = told.own_back_at is not None
            self._close(track, Stage.ENDED, ended_at, _BY_DEVICE if by_device else _BY_METERS)
        elif told.own_lost or track.node in self._powered:
            track.stage = Stage.PARTLY_BACK
        elif lapsed and not any(self._forest.is_below(node, track.node) for node in self._blamed):
            self._close(track, Stage.ENDED, max(lapsed), _LAPSED)
        elif track.stage is Stage.PARTLY_BACK or self._may_show_again(track):
            return
        elif lower:
            self._replace(track, min(lower, key=lambda node: (self._new[node], node)), _MOVED_DOWN)
        else:
            self._close(track, Stage.WITHDRAWN, self._at, _NOT_BORNE_OUT)

    def _give_way(self, track: Track, upper: int) -> None:
        """Let a device above take over, unless this one had failed long before that."""
        start = self._open[upper].started_at if upper in self._open else self._new[upper]
        if track.started_at >= start - CLOCKS_APART:
            self._replace(track, upper, _MOVED_UP)
        else:
            track.stage, track.hidden_at = Stage.HIDDEN, self._at

    def _may_show_again(self, track: Track) -> bool:
        """Tell whether an outage that was hidden may still show, now that the upper one is over."""
        hidden_at = track.hidden_at if track.stage is Stage.HIDDEN else None
        return hidden_at is not None and self._at - hidden_at <= _SHOWS_WITHIN

    def _replace(self, track: Track, node: int, reason: str) -> None:
        self._close(track, Stage.WITHDRAWN, self._at, reason.format(self._forest.reference(node)))
        self._replaced.append((track, node))

    def _close(self, track: Track, stage: Stage, at: datetime, reason: str) -> None:
        track.close(stage, at, reason)
        del self._open[track.node]

    def _was_dark(self, node: int, start: datetime, upper: Track) -> bool:
        """Tell whether a node had no power through an outage above it, or of it."""
        if start < upper.started_at - CLOCKS_APART:
            return False
        if upper.closed_at is not None and start > upper.closed_at:
            return False
        return not self._told.has_power_word(node, upper.started_at, start)

    def _begin(self, node: int, start: datetime) -> None:
        """Open an outage, or again one that had seemed over, or let one surface."""
        above = self._forest.path(node)
        over = [track for track in self._tracks if track.stage is Stage.ENDED and track.node in above]
        over.sort(key=lambda track: (track.closed_at, track.node), reverse=True)
        for track in over:
            is_same = track.node == node
            if (is_same and track.own_start == start) or self._was_dark(node, start, track):
                if not is_same:
                    self._open[node] = Track(node, start, self._at, self._at, surfaced_from=track)
                    self._tracks.append(self._open[node])
                    return
                track.stage, track.closed_at, track.blamed_at = Stage.BLAMED, None, self._at
                self._open[node] = track
                return
        self._open[node] = Track(node, start, self._at, self._at)
        self._tracks.append(self._open[node])


_SHOWS_WITHIN = timedelta(minutes=15)
_BY_DEVICE = "The device itself reported that supply is back."
_BY_METERS = "Most of the meters that had lost power were heard to have it again."
_LAPSED = "Its reports have lapsed, and nobody said that supply is back."
_MOVED_UP = "{} explains more of what was reported."
_MOVED_DOWN = "What was reported since, and what was not, leaves {}."
_NOT_BORNE_OUT = "The reports that should have followed did not come."
