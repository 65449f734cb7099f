"""Which of the devices blamed one instant after the other are one outage."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from oms_topology.model import DeviceReference
    from oms_topology.outages.assessment import ConcludedOutage
    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.phases import Change
    from oms_topology.outages.reports import Report

__all__ = ["Blame", "Stage", "Track", "Tracks"]


_GONE = "It is no longer part of the network."


class Blame(Protocol):
    """What is blamed at an instant, and was at the one before it."""

    def advance(
        self, at: datetime, heard: Sequence[Report], lapsed: Sequence[tuple[datetime, int]]
    ) -> list[int]:
        """Move on to an instant; give the nodes that are blamed then by more than silence, ascending."""

    def explain(self, windows: Sequence[PlannedWindow]) -> list[int]:
        """Take what was lost at and below nodes between two times as explained; give what is blamed then."""

    def forget(self, window: PlannedWindow) -> None:
        """Take an explanation back, from the next instant on."""

    def start(self, node: int) -> datetime:
        """Tell when the outage of a node began, by what is known at this instant."""

    def outage(self, node: int) -> ConcludedOutage:
        """Tell everything about the outage of a node that is blamed at this instant."""

    def outage_before(self, node: int) -> ConcludedOutage:
        """Tell the same by what was known at the instant before, when the node was blamed."""


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
    concluded : ConcludedOutage or None
        What it was when it was blamed last; None as long as it is blamed.
    explains : (int, datetime, datetime) or None
        Between which times what was lost below it is explained, once it has ended.
    surfaced_from : Track or None
        The outage below which it lay hidden.
    into : Track or None
        The one that took its place.
    reason : str
        Why it was withdrawn, or how it ended.
    left : dict of str to datetime or None
        Meters that had no supply by it, or had had none, and that another device feeds since; and when
        that gave them supply again.
    gone : DeviceReference or None
        The device, once it is in no network any more; the node is -1 then.
    """

    node: int
    own_start: datetime
    stood_from: datetime
    blamed_at: datetime
    stage: Stage = Stage.BLAMED
    closed_at: datetime | None = None
    hidden_at: datetime | None = None
    concluded: ConcludedOutage | None = None
    explains: PlannedWindow | None = None
    surfaced_from: Track | None = None
    into: Track | None = None
    reason: str = ""
    left: dict[str, datetime | None] = field(default_factory=dict)
    gone: DeviceReference | None = None

    @property
    def place(self) -> tuple[int, str]:
        """What it is the outage of, to sort and to compare by."""
        return self.node, str(self.gone or "")

    @property
    def started_at(self) -> datetime:
        """When it began: with the outage that hid it, if one did."""
        return self.surfaced_from.started_at if self.surfaced_from else self.own_start

    def close(self, stage: Stage, at: datetime, reason: str) -> None:
        """End or withdraw it."""
        self.stage, self.closed_at, self.reason = stage, at, reason

    def conclude(self, concluded: ConcludedOutage) -> None:
        """Keep what it was when it was blamed last."""
        self.concluded, self.own_start = concluded, concluded.started_at


class Tracks:
    """All tracks of a course, open or not."""

    def __init__(self) -> None:
        self.every: list[Track] = []
        self.open: dict[int, Track] = {}
        self._ended: dict[int, list[Track]] = {}

    def begin(self, track: Track) -> None:
        """Add a track."""
        self.every.append(track)
        self.open[track.node] = track

    def end(self, track: Track, at: datetime, reason: str) -> None:
        """End a track that is open."""
        track.close(Stage.ENDED, at, reason)
        del self.open[track.node]
        self._ended.setdefault(track.node, []).append(track)

    def withdraw(self, track: Track, at: datetime, reason: str) -> None:
        """Withdraw a track that is open."""
        track.close(Stage.WITHDRAWN, at, reason)
        del self.open[track.node]

    def reopen(self, track: Track) -> None:
        """Open a track that had ended."""
        track.stage, track.closed_at, track.reason = Stage.BLAMED, None, ""
        track.concluded = track.explains = None
        self._ended[track.node].remove(track)
        self.open[track.node] = track

    def rehang(self, change: Change) -> None:
        """Go over to the nodes of the next network; an outage of what is not in it any more has ended."""
        for track in self.every:
            if track.gone is None:
                _rehang(track, change)
        self.open = {track.node: track for track in self.open.values() if track.gone is None}
        ended = [each for tracks in self._ended.values() for each in tracks if each.gone is None]
        self._ended = {}
        for track in ended:
            self._ended.setdefault(track.node, []).append(track)

    def ended_above(self, path: Sequence[int]) -> list[Track]:
        """Give the tracks that ended at one of some nodes, the latest first."""
        found = [track for node in path for track in self._ended.get(node, ())]
        return sorted(found, key=lambda track: (track.closed_at, track.node), reverse=True)


def _rehang(track: Track, change: Change) -> None:
    old, new = track.node, change.node(track.node)
    if track.stage is not Stage.WITHDRAWN:
        for number in change.left(old):
            track.left.setdefault(number, change.at if track.stage.is_open else None)
    track.node = new
    if new < 0:
        track.gone, track.explains = change.old.reference(old), None
        if track.stage.is_open:
            track.close(Stage.ENDED, change.at, _GONE)
    elif track.explains is not None:
        track.explains = new, *track.explains[1:]
