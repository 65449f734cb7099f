"""What the signals of the four providers weigh at an instant: which still stand, and what silence adds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.outages.rates import ReportKind
from oms_topology.outages.units import UNITS_PER_NAT, log_ratio

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.reports import Report

__all__ = ["Evidence", "PlannedWindow", "StandingReport", "weigh"]

PlannedWindow = tuple[int, datetime, datetime]
"""A node that is without supply as planned, from when, and until when."""

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_CLOCKS_APART = timedelta(minutes=5)
_MOST_OF_DEVICE = 20 * UNITS_PER_NAT
_ABSENT = (ReportKind.LAST_GASP, ReportKind.ONU_LOSS, ReportKind.CALL)


@dataclass(frozen=True, slots=True)
class StandingReport:
    """A report that counts at the instant asked about.

    Attributes
    ----------
    report : Report
        The report.
    weight : int
        Its log-likelihood ratio, "no power" against "power", in 1/1024 nat.
    """

    report: Report
    weight: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that bears on the nodes of a forest at an instant.

    Attributes
    ----------
    about_power : int64 array, one per node
        Log-likelihood ratio of "no power" against "power", in 1/1024 nat, bounded.
    about_device : int64 array, one per node
        The same of "it failed itself" against "it did not".
    standing : tuple of StandingReport
        The reports behind them, by node, then by time.
    told : tuple of Report
        All that was said about power up to the instant, standing or not, by node, then by time: by this
        one tells when an outage began.
    silent : int32 array
        Nodes that cannot be reached, for longer than their reports may take.
    spoken : tuple of int
        Device nodes that reported themselves, ascending.
    absence : int64 array, one per node
        What the reports that did not come add to ``about_power``.
    heard_again : int32 array
        Meters whose own newest word is that they have power.
    """

    about_power: NDArray[np.int64]
    about_device: NDArray[np.int64]
    standing: tuple[StandingReport, ...]
    told: tuple[Report, ...]
    silent: NDArray[np.int32]
    spoken: tuple[int, ...]
    absence: NDArray[np.int64]
    heard_again: NDArray[np.int32]

    @property
    def losses(self) -> list[Report]:
        """The standing reports of loss that are more than silence."""
        return [
            each.report
            for each in self.standing
            if each.weight > 0 and each.report.kind is not ReportKind.SILENCE
        ]


@dataclass(slots=True)
class _Word:
    """What is known of one node from its own reports."""

    live: Report | None = None
    losses: dict[ReportKind, Report] = field(default_factory=dict)
    told: list[Report] = field(default_factory=list)
    silence: Report | None = None
    answer: Report | None = None


def _word_of(reports: list[Report], rates: EvidenceRates, at: datetime) -> _Word:
    """Sift one node's reports: its losses since it last said that it has power, the first of each kind."""
    word = _Word()
    for report in sorted(reports, key=lambda each: each.order):
        if report.says_dead is not None:
            word.told.append(report)
        if report.says_dead is False:
            word.live, word.losses = report, {}
        elif report.says_dead:
            valid_for = rates.reports[report.kind].valid_for
            if valid_for is None or at - report.occurred_at <= valid_for:
                word.losses.setdefault(report.kind, report)
                word.answer = None
        if report.is_reached:
            word.silence, word.answer = None, report if report.says_dead is None else None
        elif report.is_reached is False and report.says_dead is None and word.silence is None:
            word.silence = report
    return word


def weigh(
    reports: Iterable[Report],
    forest: SupplyForest,
    rates: EvidenceRates,
    at: datetime,
    *,
    equipped: Mapping[ReportKind, Collection[str]] | None = None,
    planned: Sequence[PlannedWindow] = (),
) -> Evidence:
    """Weigh what was heard by an instant, and what was not.

    A meter's report of loss stands until its own newer report of power; a call for its hours. That a
    node cannot be reached counts after the delay of such reports, that it was reached since the losses
    began like the answer to a ping. Several reports of one kind from one
    node count once. That a meter which reported a loss has not reported power since adds to it; when a
    device above it reported supply after the loss, only that counts. Reports of loss that did not come
    speak for power, in every tree in which some did, by the share that should have come by now, but not
    below a device that reports its own loss.

    Parameters
    ----------
    reports : iterable of Report
        In any order; those after ``at`` are left out.
    forest : SupplyForest
        Their nodes.
    rates : EvidenceRates
        What each kind weighs.
    at : aware datetime
        The instant.
    equipped : mapping of ReportKind to collection of str, optional
        The meters that can send a kind of report, by number; for a kind that is left out the rates
        are those over all meters.
    planned : sequence of (int, datetime, datetime)
        Between which times a node was without supply as planned: what a meter at or below it lost then is
        explained, and only that it has not reported power since the end counts.

    Returns
    -------
    Evidence
        A function of the set of reports and of ``at``. Time grows with the reports and the nodes.
    """
    of_node: defaultdict[int, list[Report]] = defaultdict(list)
    for report in reports:
        if report.occurred_at <= at:
            of_node[report.node].append(report)
    words = {node: _word_of(of_node[node], rates, at) for node in sorted(of_node)}
    return _Weighing(forest, rates, at, words, planned).evidence(equipped or {})


class _Weighing:
    """One pass over the words of all nodes."""

    def __init__(
        self,
        forest: SupplyForest,
        rates: EvidenceRates,
        at: datetime,
        words: dict[int, _Word],
        planned: Sequence[PlannedWindow] = (),
    ) -> None:
        self._forest, self._rates, self._at, self._words = forest, rates, at, words
        self._planned = planned
        self._live_devices = {
            node: _restored(word)
            for node, word in words.items()
            if node < forest.devices and word.live and not word.losses
        }
        self._restored: dict[int, tuple[datetime, datetime] | None] = {}
        self._fresh_since = self._starts()

    def evidence(self, equipped: Mapping[ReportKind, Collection[str]]) -> Evidence:
        forest = self._forest
        standing = [each for node, word in self._words.items() for each in self._standing(node, word)]
        total = np.zeros(len(forest), dtype=np.int64)
        for each in standing:
            total[each.report.node] += each.weight
        absence = self._absence(equipped)
        return Evidence(
            self._bounded(total + absence),
            self._own_trips(),
            tuple(standing),
            tuple(report for word in self._words.values() for report in word.told),
            np.array([node for node, word in self._words.items() if self._is_silent(word)], dtype=np.int32),
            tuple(node for node in self._words if node < forest.devices),
            absence,
            np.array(
                [
                    n
                    for n, word in self._words.items()
                    if word.live and not word.losses and n >= forest.devices
                ],
                dtype=np.int32,
            ),
        )

    def _bounded(self, total: NDArray[np.int64]) -> NDArray[np.int64]:
        devices, most = self._forest.devices, self._rates.most_per_node
        total[devices:] = np.clip(total[devices:], -most, most)
        total[:devices] = np.clip(total[:devices], -_MOST_OF_DEVICE, _MOST_OF_DEVICE)
        return total

    def _own_trips(self) -> NDArray[np.int64]:
        weights = np.zeros(len(self._forest), dtype=np.int64)
        tripped = [node for node, word in self._words.items() if ReportKind.DEVICE in word.losses]
        weights[tripped] = log_ratio(self._rates.own_trip_odds, 1.0)
        return weights

    def _standing(self, node: int, word: _Word) -> list[StandingReport]:
        rates = self._rates.reports
        restored = self._restored_above(node)
        is_meter = node >= self._forest.devices
        found: list[StandingReport] = []
        for kind, report in sorted(word.losses.items()):
            is_explained = is_meter and restored and restored[0] <= report.occurred_at < restored[1]
            planned_until = self._planned_until(node, report.occurred_at)
            weight = 0 if is_explained or planned_until > _NEVER else rates[kind].weight
            # One silence, one weight: that no power-up has come since goes with the first of its losses.
            if is_meter and kind is not ReportKind.CALL and not found:
                back_at = max(planned_until, restored[1] if restored else _NEVER)
                weight += self._no_power_up(max(report.occurred_at, back_at))
            found.append(StandingReport(report, weight))
        if word.live and not word.losses and self._still_tells(node, word.live):
            kind = ReportKind.DEVICE if node < self._forest.devices else ReportKind.POWER_UP
            found.append(StandingReport(word.live, -rates[kind].weight))
        if word.answer and self._still_tells(node, word.answer):
            found.append(StandingReport(word.answer, rates[ReportKind.PING].weight_of_absence))
        if word.silence and self._is_silent(word):
            found.append(StandingReport(word.silence, rates[ReportKind.SILENCE].weight))
        return found

    def _planned_until(self, node: int, lost_at: datetime) -> datetime:
        """Find until when a loss at a time was planned; never where it was not."""
        until = _NEVER
        for top, begins, ends in self._planned:
            if begins - _CLOCKS_APART <= lost_at <= ends and self._forest.is_below(node, top):
                until = max(until, ends)
        return until

    def _no_power_up(self, since: datetime) -> int:
        """Weigh that a meter which lost power has not reported it back."""
        power_up = self._rates.reports[ReportKind.POWER_UP]
        passed = (self._at - since) / power_up.delay if power_up.delay else 1.0
        return -power_up.weight_while_waiting(min(1.0, passed))

    def _is_silent(self, word: _Word) -> bool:
        delay = self._rates.reports[ReportKind.SILENCE].delay
        return bool(word.silence and self._at - word.silence.occurred_at >= delay)

    def _still_tells(self, node: int, live: Report) -> bool:
        """Tell whether a report of power is newer than where the present losses of its tree began."""
        since = self._fresh_since.get(int(self._forest.tree[node]))
        return since is not None and live.occurred_at >= since

    def _restored_above(self, node: int) -> tuple[datetime, datetime] | None:
        """Find between which times the device above a node that came back last had no supply."""
        if not self._live_devices:
            return None
        device = node if node < self._forest.devices else int(self._forest.parent[node])
        if device not in self._restored:
            times = (self._live_devices.get(each) for each in self._forest.path(device))
            found = [time for time in times if time]
            self._restored[device] = max(found, key=lambda time: time[::-1]) if found else None
        return self._restored[device]

    def _starts(self) -> dict[int, datetime]:
        """Find when the present losses of each tree began: their last run without too long a pause."""
        pause = max(rates.delay for rates in self._rates.reports.values())
        times: defaultdict[int, list[datetime]] = defaultdict(list)
        for node, word in self._words.items():
            times[int(self._forest.tree[node])] += [report.occurred_at for report in word.losses.values()]
        return {tree: _last_run(found, pause) for tree, found in times.items() if found}

    def _share(self, since: datetime, delay: timedelta) -> float:
        """Share of all reports of an event that should have come by now."""
        passed = (self._at - since) / delay if delay else 1.0
        return min(1.0, max(self._rates.share_at_once, passed))

    def _absence(self, equipped: Mapping[ReportKind, Collection[str]]) -> NDArray[np.int64]:
        forest = self._forest
        is_meter = np.arange(len(forest)) >= forest.devices
        total = np.zeros(len(forest), dtype=np.int64)
        for kind in _ABSENT:
            of_trees = np.zeros(int(forest.tree.max(initial=-1)) + 1, dtype=np.int64)
            rates = self._rates.reports[kind]
            for tree, since in self._fresh_since.items():
                of_trees[tree] = rates.weight_while_waiting(self._share(since, rates.delay))
            may = self._marked(equipped[kind]) if kind in equipped else is_meter
            missing = np.where(may, of_trees[forest.tree], 0)
            missing[[node for node, word in self._words.items() if kind in word.losses]] = 0
            total += missing
        if ReportKind.SILENCE in equipped:
            total += self._reachable(self._marked(equipped[ReportKind.SILENCE]))
        for node, word in self._words.items():
            # What a device says of itself needs no meter to confirm it.
            if node < forest.devices and word.losses:
                total[forest.meters_below(node)] = 0
        return total

    def _marked(self, numbers: Collection[str]) -> NDArray[np.bool_]:
        nodes = self._forest.meter_nodes(numbers)
        marked = np.zeros(len(self._forest), dtype=np.bool_)
        marked[nodes[nodes >= 0]] = True
        return marked

    def _reachable(self, is_watched: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Weigh that watched meters did not fall silent, in trees where others did."""
        silent = [node for node, word in self._words.items() if self._is_silent(word)]
        trees = np.isin(self._forest.tree, self._forest.tree[silent])
        weight = self._rates.reports[ReportKind.SILENCE].weight_of_absence
        missing = np.where(is_watched & trees, weight, 0)
        missing[[node for node, word in self._words.items() if word.losses or word.silence]] = 0
        return missing


def _restored(word: _Word) -> tuple[datetime, datetime]:
    """Give since when a device that has supply again had none, and until when; clocks may differ."""
    began, ended, lost_at = _NEVER, _NEVER, _NEVER
    for report in word.told:
        if report.says_dead:
            lost_at = report.occurred_at - _CLOCKS_APART if lost_at == _NEVER else lost_at
        elif lost_at != _NEVER or ended == _NEVER:
            began, ended, lost_at = lost_at, report.occurred_at, _NEVER
    return began, ended


def _last_run(times: list[datetime], pause: timedelta) -> datetime:
    """Give the start of the last run of times in which none is further from the next than a pause."""
    ordered = sorted(times, reverse=True)
    start = ordered[0]
    for time in ordered[1:]:
        if start - time > pause:
            break
        start = time
    return start
