"""The words of all nodes as arrays, which a sweep turns into evidence at one instant after the other."""

from __future__ import annotations

from bisect import bisect_left, insort
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.outages.evidence import OVERDUE, Evidence, bounded
from oms_topology.outages.losses import last_run
from oms_topology.outages.rates import ReportKind
from oms_topology.outages.units import log_ratio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.losses import Word
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.reports import Report

__all__ = ["Marks"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER, _NOT_YET = -(1 << 62), 1 << 62
_NO_NODES = np.empty(0, dtype=np.int32)


def _ticks(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


class Marks:
    """What :func:`~oms_topology.outages.evidence.weigh` makes of all words, from arrays kept in step.

    Parameters
    ----------
    forest : SupplyForest
        The nodes.
    rates : EvidenceRates
        What each kind of report weighs.
    equipped : mapping of ReportKind to collection of str
        The meters that can send a kind of report.
    arrived : mapping of int to datetime, optional
        Since when a node hangs where it does: of losses before that, it could not tell.

    Attributes
    ----------
    loss_weight : int64 array, one per node
        What the losses of each node weigh now; to be written by the owner.
    is_lost : bool array, one per node
        Whether any of them weighs something; likewise.
    """

    def __init__(
        self,
        forest: SupplyForest,
        rates: EvidenceRates,
        equipped: Mapping[ReportKind, Collection[str]],
        arrived: Mapping[int, datetime] | None = None,
    ) -> None:
        nodes = len(forest)
        self._forest, self._rates, self._equipped = forest, rates, equipped
        self.loss_weight = np.zeros(nodes, dtype=np.int64)
        self.is_lost = np.zeros(nodes, dtype=np.bool_)
        self._live_at = np.full(nodes, _NEVER)
        self._answer_at = np.full(nodes, _NEVER)
        self._silent_at = np.full(nodes, _NOT_YET)
        self._has_lost = np.zeros(nodes, dtype=np.bool_)
        self._has = {kind: np.zeros(nodes, dtype=np.bool_) for kind in OVERDUE}
        is_meter = np.arange(nodes) >= forest.devices
        self._may = dict.fromkeys(OVERDUE, is_meter) | {
            kind: self._marked(numbers) for kind, numbers in equipped.items()
        }
        reports = rates.reports
        self._live_weight = np.where(
            is_meter, -reports[ReportKind.POWER_UP].weight, -reports[ReportKind.DEVICE].weight
        )
        self._arrived_at = _arrivals(forest, arrived) if arrived else None
        self._spoken: set[int] = set()
        self._tripped: set[int] = set()
        self._lost_devices: set[int] = set()
        self._loss_times: dict[int, list[datetime]] = {}
        self._since: dict[int, datetime] = {}
        self._changed_trees: set[int] = set()
        self._pause = max(each.delay for each in reports.values())

    def _marked(self, numbers: Collection[str]) -> NDArray[np.bool_]:
        nodes = self._forest.meter_nodes(numbers)
        marked = np.zeros(len(self._forest), dtype=np.bool_)
        marked[nodes[nodes >= 0]] = True
        return marked

    def note(self, node: int, former: Word | None, word: Word) -> None:
        """Replace what a node has said."""
        tree = int(self._forest.tree[node])
        self._changed_trees.add(tree)
        times = self._loss_times.setdefault(tree, [])
        for report in former.losses.values() if former else ():
            del times[bisect_left(times, report.occurred_at)]
        for report in word.losses.values():
            insort(times, report.occurred_at)
        self._live_at[node] = _when(None if word.losses else word.live, _NEVER)
        self._answer_at[node] = _when(word.answer, _NEVER)
        self._silent_at[node] = _when(word.silence, _NOT_YET)
        self._has_lost[node] = bool(word.losses)
        for kind, has in self._has.items():
            has[node] = kind in word.losses
        if node < self._forest.devices:
            self._spoken.add(node)
            _put(self._lost_devices, node, bool(word.losses))
        _put(self._tripped, node, ReportKind.DEVICE in word.losses)

    def fresh_since(self) -> dict[int, datetime]:
        """Give when the present losses of each tree began."""
        for tree in self._changed_trees:
            times = self._loss_times[tree]
            self._since.pop(tree, None)
            if times:
                self._since[tree] = last_run(times, self._pause)
        self._changed_trees.clear()
        return dict(self._since)

    def evidence(self, at: datetime) -> Evidence:
        """Give the evidence at an instant, without the reports behind it; O(n)."""
        reports = self._rates.reports
        since = self.fresh_since()
        fresh = np.full(int(self._forest.tree.max(initial=-1)) + 1, _NOT_YET)
        for tree, time in since.items():
            fresh[tree] = _ticks(time)
        fresh_since = fresh[self._forest.tree]
        is_silent = self._silent_at <= _ticks(at - reports[ReportKind.SILENCE].delay)
        total = self.loss_weight + np.where(self._live_at >= fresh_since, self._live_weight, 0)
        total += (self._answer_at >= fresh_since) * reports[ReportKind.PING].weight_of_absence
        total += is_silent * reports[ReportKind.SILENCE].weight
        absence = self._absence(at, since, is_silent)
        if self._arrived_at is not None:
            absence[self._arrived_at > fresh_since] = 0
        about_device = np.zeros(len(total), dtype=np.int64)
        about_device[list(self._tripped)] = log_ratio(self._rates.own_trip_odds, 1.0)
        return Evidence(
            bounded(total + absence, self._forest.devices, self._rates),
            about_device,
            (),
            (),
            np.flatnonzero(is_silent).astype(np.int32),
            tuple(sorted(self._spoken)),
            absence,
            _NO_NODES,
        )

    def _absence(
        self, at: datetime, since: Mapping[int, datetime], is_silent: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        forest = self._forest
        total = np.zeros(len(forest), dtype=np.int64)
        for kind, has in self._has.items():
            rates = self._rates.reports[kind]
            of_trees = np.zeros(int(forest.tree.max(initial=-1)) + 1, dtype=np.int64)
            for tree, time in since.items():
                passed = (at - time) / rates.delay if rates.delay else 1.0
                share = min(1.0, max(self._rates.share_at_once, passed))
                of_trees[tree] = rates.weight_while_waiting(share)
            total += np.where(self._may[kind] & ~has, of_trees[forest.tree], 0)
        if ReportKind.SILENCE in self._equipped:
            total += self._reachable(is_silent)
        for node in self._lost_devices:
            total[forest.meters_below(node)] = 0
        return total

    def _reachable(self, is_silent: NDArray[np.bool_]) -> NDArray[np.int64]:
        trees = np.isin(self._forest.tree, self._forest.tree[is_silent])
        weight = self._rates.reports[ReportKind.SILENCE].weight_of_absence
        is_missing = self._may[ReportKind.SILENCE] & trees & ~self._has_lost & (self._silent_at == _NOT_YET)
        return np.where(is_missing, weight, 0)


def _arrivals(forest: SupplyForest, arrived: Mapping[int, datetime]) -> NDArray[np.int64]:
    """Give each node's newest arrival, its own or of what is above it."""
    found = np.full(len(forest), _NEVER)
    for node, at in arrived.items():
        below = forest.meters_below(node)
        found[below] = np.maximum(found[below], _ticks(at))
    return found


def _when(report: Report | None, otherwise: int) -> int:
    return otherwise if report is None else _ticks(report.occurred_at)


def _put(nodes: set[int], node: int, is_in: bool) -> None:
    if is_in:
        nodes.add(node)
    else:
        nodes.discard(node)
