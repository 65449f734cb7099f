"""What the signals of the four providers weigh at an instant: which still stand, and what silence adds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.outages.losses import LossWeights, last_run, weigh_others, word_of
from oms_topology.outages.rates import ReportKind
from oms_topology.outages.units import UNITS_PER_NAT, log_ratio

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from numpy.typing import NDArray

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.losses import PlannedWindow, StandingReport, Word
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.reports import Report

__all__ = ["OVERDUE", "Evidence", "bounded", "weigh"]

_MOST_OF_DEVICE = 20 * UNITS_PER_NAT
OVERDUE = (ReportKind.LAST_GASP, ReportKind.ONU_LOSS, ReportKind.CALL)
"""Kinds of report whose not coming speaks for power."""


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


def weigh(
    reports: Iterable[Report],
    forest: SupplyForest,
    rates: EvidenceRates,
    at: datetime,
    *,
    equipped: Mapping[ReportKind, Collection[str]] | None = None,
    explained: Sequence[PlannedWindow] = (),
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
    explained : sequence of (int, datetime, datetime)
        Between which times a node was without supply, as planned or by an outage that is over: what a
        meter at or below it lost then is explained, and only that it has not reported power since the
        end counts.

    Returns
    -------
    Evidence
        A function of the set of reports and of ``at``. Time grows with the reports and the nodes.
    """
    of_node: defaultdict[int, list[Report]] = defaultdict(list)
    for report in reports:
        if report.occurred_at <= at:
            of_node[report.node].append(report)
    words = {node: word_of(of_node[node], rates, at) for node in sorted(of_node)}
    return _Weighing(forest, rates, at, words, explained).evidence(equipped or {})


class _Weighing:
    """One pass over the words of all nodes."""

    def __init__(
        self,
        forest: SupplyForest,
        rates: EvidenceRates,
        at: datetime,
        words: dict[int, Word],
        explained: Sequence[PlannedWindow] = (),
    ) -> None:
        self._forest, self._rates, self._at, self._words = forest, rates, at, words
        self._losses = LossWeights(forest, rates, explained)
        self._losses.move_to(at, words)
        self._fresh_since = self._starts()

    def evidence(self, equipped: Mapping[ReportKind, Collection[str]]) -> Evidence:
        forest = self._forest
        standing = [each for node, word in self._words.items() for each in self._standing(node, word)]
        total = np.zeros(len(forest), dtype=np.int64)
        for each in standing:
            total[each.report.node] += each.weight
        absence = self._absence(equipped)
        return Evidence(
            bounded(total + absence, self._forest.devices, self._rates),
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

    def _own_trips(self) -> NDArray[np.int64]:
        weights = np.zeros(len(self._forest), dtype=np.int64)
        tripped = [node for node, word in self._words.items() if ReportKind.DEVICE in word.losses]
        weights[tripped] = log_ratio(self._rates.own_trip_odds, 1.0)
        return weights

    def _standing(self, node: int, word: Word) -> list[StandingReport]:
        since = self._fresh_since.get(int(self._forest.tree[node]))
        is_meter = node >= self._forest.devices
        others = weigh_others(word, self._rates, self._at, since, is_meter=is_meter)
        return self._losses.standing(node, word) + others

    def _is_silent(self, word: Word) -> bool:
        delay = self._rates.reports[ReportKind.SILENCE].delay
        return bool(word.silence and self._at - word.silence.occurred_at >= delay)

    def _starts(self) -> dict[int, datetime]:
        """Find when the present losses of each tree began: their last run without too long a pause."""
        pause = max(rates.delay for rates in self._rates.reports.values())
        times: defaultdict[int, list[datetime]] = defaultdict(list)
        for node, word in self._words.items():
            times[int(self._forest.tree[node])] += [report.occurred_at for report in word.losses.values()]
        return {tree: last_run(sorted(found), pause) for tree, found in times.items() if found}

    def _share(self, since: datetime, delay: timedelta) -> float:
        """Share of all reports of an event that should have come by now."""
        passed = (self._at - since) / delay if delay else 1.0
        return min(1.0, max(self._rates.share_at_once, passed))

    def _absence(self, equipped: Mapping[ReportKind, Collection[str]]) -> NDArray[np.int64]:
        forest = self._forest
        is_meter = np.arange(len(forest)) >= forest.devices
        total = np.zeros(len(forest), dtype=np.int64)
        for kind in OVERDUE:
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


def bounded(total: NDArray[np.int64], devices: int, rates: EvidenceRates) -> NDArray[np.int64]:
    """Keep in bounds, in place, what the reports of one node may weigh; the first nodes are devices."""
    most = rates.most_per_node
    total[devices:] = np.clip(total[devices:], -most, most)
    total[:devices] = np.clip(total[:devices], -_MOST_OF_DEVICE, _MOST_OF_DEVICE)
    return total
