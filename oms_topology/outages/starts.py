"""When an outage began, by everything that was ever said about what it took down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime, timedelta

    from oms_topology.outages.reports import Report

__all__ = ["start_of"]


class _Run:
    """Losses that belong together, in order of time."""

    def __init__(self) -> None:
        self.losses: list[Report] = []
        self._lost: set[int] = set()
        self._most = 0
        self._is_back = False

    def takes(self, report: Report, pause: timedelta) -> bool:
        """Tell whether a further loss belongs here: no long pause, nor most of the meters back since."""
        is_over = self._is_back and 2 * len(self._lost) <= self._most
        return not is_over and report.occurred_at - self.losses[-1].occurred_at <= pause

    def add(self, report: Report) -> None:
        self.losses.append(report)
        self._lost.add(report.node)
        self._most = max(self._most, len(self._lost))

    def restore(self, node: int, top: int) -> None:
        """Take note that a node has power; where it is the blamed device, all below has."""
        if node == top:
            self._lost.clear()
            self._is_back = True
        elif node in self._lost:
            self._lost.remove(node)
            self._is_back = True


def start_of(told: Iterable[Report], standing: Collection[Report], top: int, pause: timedelta) -> datetime:
    """Find when the outage of a device began.

    Losses are one run until a long pause or until at least half of what was lost has power again. The
    outage began with the run that has the most losses which still stand: so a meter that was dark
    before, or one that is back already, does not move the start.

    Parameters
    ----------
    told : iterable of Report
        All that was said about power at and below the device, at least one of them a loss.
    standing : collection of Report
        The losses that still count.
    top : int
        The device's node.
    pause : timedelta
        How far apart losses of one run may be.

    Returns
    -------
    aware datetime
        Of equal runs the first one's. O(n log n) in the reports.
    """
    runs: list[_Run] = []
    for report in sorted(told, key=lambda each: (each.occurred_at, each.says_dead is False, *each.order[2:])):
        if report.says_dead is not False:
            if not runs or not runs[-1].takes(report, pause):
                runs.append(_Run())
            runs[-1].add(report)
        elif runs:
            runs[-1].restore(report.node, top)
    best = max(runs, key=lambda run: sum(loss in standing for loss in run.losses))
    return best.losses[0].occurred_at
