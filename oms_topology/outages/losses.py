"""What each node's own reports say at an instant, and what its losses weigh."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oms_topology.outages.rates import ReportKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.reports import Report

__all__ = [
    "CLOCKS_APART",
    "LossWeights",
    "PlannedWindow",
    "StandingReport",
    "Word",
    "last_run",
    "weigh_others",
    "word_of",
]

PlannedWindow = tuple[int, datetime, datetime]
"""A node that is without supply as planned, from when, and until when."""

CLOCKS_APART = timedelta(minutes=5)
"""How far the clocks of devices and meters may differ."""

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


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


@dataclass(slots=True)
class Word:
    """What is known of one node from its own reports.

    Attributes
    ----------
    live : Report or None
        The newest that it has power.
    losses : dict of ReportKind to Report
        Its losses since then that still count, the first of each kind.
    told : list of Report
        All that it said about power.
    silence, answer : Report or None
        The first that it cannot be reached, if it was not since; the newest that it was, if it lost
        nothing since.
    """

    live: Report | None = None
    losses: dict[ReportKind, Report] = field(default_factory=dict)
    told: list[Report] = field(default_factory=list)
    silence: Report | None = None
    answer: Report | None = None


def word_of(reports: Iterable[Report], rates: EvidenceRates, at: datetime) -> Word:
    """Sift one node's reports: its losses since it last said that it has power, the first of each kind."""
    word = Word()
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


def weigh_others(
    word: Word, rates: EvidenceRates, at: datetime, since: datetime | None, *, is_meter: bool
) -> list[StandingReport]:
    """Weigh what a node said beside its losses.

    Parameters
    ----------
    word : Word
        What it said.
    rates : EvidenceRates
        What each kind weighs.
    at : datetime
        The instant.
    since : datetime or None
        When the present losses of its tree began: older words of power tell nothing of them.
    is_meter : bool
        Whether it is a meter.
    """
    found = []
    if word.live and not word.losses and since and word.live.occurred_at >= since:
        kind = ReportKind.POWER_UP if is_meter else ReportKind.DEVICE
        found.append(StandingReport(word.live, -rates.reports[kind].weight))
    if word.answer and since and word.answer.occurred_at >= since:
        found.append(StandingReport(word.answer, rates.reports[ReportKind.PING].weight_of_absence))
    silence = rates.reports[ReportKind.SILENCE]
    if word.silence and at - word.silence.occurred_at >= silence.delay:
        found.append(StandingReport(word.silence, silence.weight))
    return found


class LossWeights:
    """Weighs the losses of one node after the other at an instant.

    Parameters
    ----------
    forest : SupplyForest
        The nodes.
    rates : EvidenceRates
        What each kind weighs.
    explained : sequence of (int, datetime, datetime)
        Between which times a node was without supply, as planned or by an outage that is over.
    """

    def __init__(
        self, forest: SupplyForest, rates: EvidenceRates, explained: Sequence[PlannedWindow]
    ) -> None:
        self._forest, self._rates = forest, rates
        self._explained: defaultdict[int, list[PlannedWindow]] = defaultdict(list)
        for window in explained:
            self.explain(window)
        self._at = _NEVER
        self._live_devices: dict[int, tuple[datetime, datetime]] = {}
        self._restored: dict[int, tuple[datetime, datetime] | None] = {}

    def explain(self, window: PlannedWindow) -> None:
        """Take what meters lost at and below a node between two times as explained."""
        self._explained[window[0]].append(window)

    def forget(self, window: PlannedWindow) -> None:
        """Take back one explanation."""
        self._explained[window[0]].remove(window)

    def move_to(self, at: datetime, words: Mapping[int, Word] | None = None) -> None:
        """Go to another instant; with the words of all nodes where those of devices have changed."""
        self._at = at
        if words is not None:
            self._restored = {}
            self._live_devices = {
                node: _restored(word)
                for node, word in words.items()
                if node < self._forest.devices and word.live and not word.losses
            }

    def standing(self, node: int, word: Word) -> list[StandingReport]:
        """Weigh the losses of a node, by kind."""
        return self.growing(node, word)[0]

    def growing(self, node: int, word: Word) -> tuple[list[StandingReport], bool]:
        """Weigh the losses of a node, by kind; and tell whether that changes with time alone."""
        found: list[StandingReport] = []
        grows = False
        if not word.losses:
            return found, grows
        restored = self._restored_above(node)
        is_meter = node >= self._forest.devices
        losses = word.losses.items()
        for kind, report in losses if len(losses) == 1 else sorted(losses):
            is_explained = is_meter and restored and restored[0] <= report.occurred_at < restored[1]
            explained_until = self._explained_until(node, report.occurred_at)
            weight = 0 if is_explained or explained_until > _NEVER else self._rates.reports[kind].weight
            # One silence, one weight: that no power-up has come since goes with the first of its losses.
            if is_meter and kind is not ReportKind.CALL and not found:
                back_at = max(explained_until, restored[1] if restored else _NEVER)
                since = max(report.occurred_at, back_at)
                weight += self._no_power_up(since)
                grows = self._at - since < self._rates.reports[ReportKind.POWER_UP].delay
            found.append(StandingReport(report, weight))
        return found, grows

    def _explained_until(self, node: int, lost_at: datetime) -> datetime:
        """Find until when a meter's loss at a time was explained; never where it was not."""
        until = _NEVER
        if self._explained and node >= self._forest.devices:
            for above in self._forest.path(node):
                for _, begins_at, ends_at in self._explained.get(above, ()):
                    if begins_at - CLOCKS_APART <= lost_at <= ends_at:
                        until = max(until, ends_at)
        return until

    def _no_power_up(self, since: datetime) -> int:
        """Weigh that a meter which lost power has not reported it back."""
        power_up = self._rates.reports[ReportKind.POWER_UP]
        passed = (self._at - since) / power_up.delay if power_up.delay else 1.0
        return -power_up.weight_while_waiting(min(1.0, passed))

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


def _restored(word: Word) -> tuple[datetime, datetime]:
    """Give since when a device that has supply again had none, and until when; clocks may differ."""
    began, ended, lost_at = _NEVER, _NEVER, _NEVER
    for report in word.told:
        if report.says_dead:
            lost_at = report.occurred_at - CLOCKS_APART if lost_at == _NEVER else lost_at
        elif lost_at != _NEVER or ended == _NEVER:
            began, ended, lost_at = lost_at, report.occurred_at, _NEVER
    return began, ended


def last_run(times: Sequence[datetime], pause: timedelta) -> datetime:
    """Give the start of the last run of ascending times with no longer pause in it."""
    at = len(times) - 1
    while at > 0 and times[at] - times[at - 1] <= pause:
        at -= 1
    return times[at]
