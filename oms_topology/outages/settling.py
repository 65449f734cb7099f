"""What becomes of outages from one instant to the next: they go on, end, surface, or were another device."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from oms_topology.outages.losses import CLOCKS_APART
from oms_topology.outages.recovery import recovery_of
from oms_topology.outages.tracking import Stage, Track

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.recovery import Recovery, Told
    from oms_topology.outages.reports import Report
    from oms_topology.outages.tracking import Blame, Tracks

__all__ = ["BY_DEVICE", "Step"]

_SHOWS_WITHIN = timedelta(minutes=15)
BY_DEVICE = "The device itself reported that supply is back."
"""How an outage ended whose device said so."""

_BY_METERS = "Most of the meters that had lost power were heard to have it again."
_LAPSED = "Its reports have lapsed, and nobody said that supply is back."
_MOVED_UP = "{} explains more of what was reported."
_MOVED_DOWN = "What was reported since, and what was not, leaves {}."
_NOT_BORNE_OUT = "What was reported since, and what was not, leaves nothing to blame."


class Step:
    """One instant of a course.

    Parameters
    ----------
    told : Told
        All reports.
    tracks : Tracks
        The outages so far; changed in place.
    at : datetime
        The instant.
    heard : sequence of Report
        What was said since the instant before.
    lapsed : sequence of (datetime, int)
        Nodes whose reports ceased to count since then, and when.
    blame : Blame
        What is blamed.
    """

    def __init__(
        self,
        told: Told,
        tracks: Tracks,
        at: datetime,
        heard: Sequence[Report],
        lapsed: Sequence[tuple[datetime, int]],
        blame: Blame,
    ) -> None:
        self._told, self._forest, self._tracks = told, told.forest, tracks
        self._at, self._blame, self._lapsed = at, blame, lapsed
        self._powered = {
            node for r in heard if r.says_dead is False or r.is_reached for node in self._forest.path(r.node)
        }
        self._recoveries: dict[int, Recovery] = {}
        self._blamed: frozenset[int] = frozenset()
        self._new: dict[int, datetime] = {}
        self._replaced: list[tuple[Track, int]] = []

    def run(self, blamed: Sequence[int]) -> None:
        """Bring all tracks to this instant.

        Parameters
        ----------
        blamed : sequence of int
            The nodes that are blamed; none hangs below another. What outages that end explain is
            taken out first.
        """
        self._blamed = frozenset(blamed)
        while ended := self._end_what_is_back():
            self._blamed = frozenset(self._blame.explain(ended))
        opened = self._tracks.open
        self._new = {node: self._blame.start(node) for node in sorted(self._blamed - opened.keys())}
        for track in self._gone():
            self._settle(track)
        for node in self._blamed & opened.keys():
            opened[node].stage, opened[node].blamed_at = Stage.BLAMED, self._at
            opened[node].concluded = None
        for node, start in self._new.items():
            if not self._is_part_of_what_comes_back(node, start):
                self._begin(node, start)
        for track, node in self._replaced:
            track.into = opened.get(node)

    def _gone(self) -> list[Track]:
        """Give the open outages whose device is not blamed now, from the source down, dated anew."""
        opened = self._tracks.open
        return [opened[node] for node in sorted(opened.keys() - self._blamed)]

    def _end_what_is_back(self) -> list[PlannedWindow]:
        """End what is over, and give what that explains."""
        ended = []
        for track in self._gone():
            if self._blamed_above(track.node) is not None:
                continue
            told = self._recovery(track)
            ended_at = told.ended_at or told.ended_at_by_any_word
            if ended_at is not None:
                by_device = told.own_back_at is not None
                self._tracks.end(track, ended_at, BY_DEVICE if by_device else _BY_METERS)
                track.explains = track.node, track.started_at, ended_at
                ended.append(track.explains)
        return ended

    def _recovery(self, track: Track) -> Recovery:
        if track.node not in self._recoveries:
            self._date(track)
            self._recoveries[track.node] = recovery_of(
                self._told, track.node, started_at=track.started_at, at=self._at, left=track.left
            )
        return self._recoveries[track.node]

    def _date(self, track: Track) -> None:
        """Date an outage by what was known when its device was blamed last."""
        # What was blamed last on a former network has been concluded on that one.
        if track.stage is Stage.BLAMED and track.blamed_at < self._at and track.concluded is None:
            track.conclude(self._blame.outage_before(track.node))

    def _blamed_above(self, node: int) -> int | None:
        return next((above for above in self._forest.path(node) if above in self._blamed), None)

    def _settle(self, track: Track) -> None:
        """Decide what became of an outage that is not blamed and has not ended."""
        upper = self._blamed_above(track.node)
        if upper is not None:
            self._date(track)
            self._give_way(track, upper)
            return
        told = self._recovery(track)
        below = [node for node in self._blamed if self._forest.is_below(node, track.node)]
        lapsed = [time for time, node in self._lapsed if self._forest.is_below(node, track.node)]
        lower = [node for node in below if node in self._new]
        if told.own_lost or track.node in self._powered:
            track.stage = Stage.PARTLY_BACK
        elif lapsed and not below:
            self._tracks.end(track, max(lapsed), _LAPSED)
        elif track.stage is Stage.PARTLY_BACK or self._may_show_again(track):
            return
        elif lower:
            self._replace(track, min(lower, key=lambda node: (self._new[node], node)), _MOVED_DOWN)
        else:
            self._tracks.withdraw(track, self._at, _NOT_BORNE_OUT)

    def _give_way(self, track: Track, upper: int) -> None:
        """Let a device above take over, unless this one had failed long before that."""
        opened = self._tracks.open
        start = opened[upper].started_at if upper in opened else self._new[upper]
        if track.started_at >= start - CLOCKS_APART:
            self._replace(track, upper, _MOVED_UP)
        else:
            track.stage, track.hidden_at = Stage.HIDDEN, self._at

    def _may_show_again(self, track: Track) -> bool:
        """Tell whether an outage that was hidden may still show, now that the upper one is over."""
        hidden_at = track.hidden_at if track.stage is Stage.HIDDEN else None
        return hidden_at is not None and self._at - hidden_at <= _SHOWS_WITHIN

    def _replace(self, track: Track, node: int, reason: str) -> None:
        self._tracks.withdraw(track, self._at, reason.format(self._forest.reference(node)))
        self._replaced.append((track, node))

    def _is_part_of_what_comes_back(self, node: int, start: datetime) -> bool:
        """Tell whether a node is what is still dark of an outage above it that is over only in part."""
        opened = self._tracks.open
        above = [opened[each] for each in self._forest.path(node) if each in opened]
        return any(track.stage is Stage.PARTLY_BACK and self._was_dark(node, start, track) for track in above)

    def _was_dark(self, node: int, start: datetime, upper: Track) -> bool:
        """Tell whether a node had no power through an outage above it, or of it."""
        if start < upper.started_at - CLOCKS_APART:
            return False
        if upper.closed_at is not None and start > upper.closed_at:
            return False
        return not self._told.has_power_word(node, upper.started_at, start)

    def _begin(self, node: int, start: datetime) -> None:
        """Open an outage, or again one that had seemed over, or let one surface."""
        for over in self._tracks.ended_above(self._forest.path(node)):
            is_same = over.node == node
            if is_same and (over.own_start == start or self._was_dark(node, start, over)):
                self._reopen(over)
                return
            if not is_same and self._was_dark(node, start, over):
                self._tracks.begin(Track(node, start, self._at, self._at, surfaced_from=over))
                return
        self._tracks.begin(Track(node, start, self._at, self._at))

    def _reopen(self, track: Track) -> None:
        if track.explains is not None:
            self._blame.forget(track.explains)
        self._tracks.reopen(track)
        track.blamed_at = self._at
