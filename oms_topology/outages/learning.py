"""Rates learned from closed outages: what was expected, what came, and how sure that makes us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.outages.rates import EvidenceRates, ReportKind, ReportRates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.reports import Report

__all__ = ["LearnedRate", "RateTally", "learn_rates", "learned_report", "tally_outage"]

_LEAST, _MOST = 1e-6, 1.0 - 1e-6


@dataclass(frozen=True, slots=True)
class RateTally:
    """How often one kind of report came in closed outages.

    Attributes
    ----------
    dead, heard_dead : int
        Meters that were without power, one per outage and meter, and those of them that were heard.
    alive, heard_alive : int
        Meters that had power, one per episode and meter, and those of them that were heard.

    Examples
    --------
    >>> RateTally(10, 7, 1000, 1) + RateTally(20, 13, 1000, 0)
    RateTally(dead=30, heard_dead=20, alive=2000, heard_alive=1)
    """

    dead: int = 0
    heard_dead: int = 0
    alive: int = 0
    heard_alive: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.heard_dead <= self.dead and 0 <= self.heard_alive <= self.alive):
            raise ValueError(f"More was heard than there was to hear: {self!r}.")

    def __add__(self, other: RateTally) -> RateTally:
        return RateTally(
            self.dead + other.dead,
            self.heard_dead + other.heard_dead,
            self.alive + other.alive,
            self.heard_alive + other.heard_alive,
        )


@dataclass(frozen=True, slots=True)
class LearnedRate:
    """One rate as it was believed, and as it is after what was seen.

    Attributes
    ----------
    before, after : float
        The rate; the mean of its Beta distribution.
    seen : int
        How many cases changed it.
    deviation : float
        Standard deviation of what is believed now.
    """

    before: float
    after: float
    seen: int
    deviation: float


def tally_outage(
    reports: Iterable[Report],
    forest: SupplyForest,
    failed: int,
    period: tuple[datetime, datetime],
    *,
    equipped: Mapping[ReportKind, Collection[str]] | None = None,
) -> dict[ReportKind, RateTally]:
    """Count what was heard in a closed outage, when it is known what had failed.

    Parameters
    ----------
    reports : iterable of Report
        As :func:`~oms_topology.outages.reports.read_reports` gives them.
    forest : SupplyForest
        The nodes. Meters of the same tree that are not below the failed node count as having had power.
    failed : int
        The node that had failed.
    period : (start, end) of aware datetime
        Reports of loss count from the start on and before the end.
    equipped : mapping of ReportKind to collection of str, optional
        The meters that can send a kind of report; all, for a kind that is left out.

    Returns
    -------
    dict of ReportKind to RateTally
        For last gasps, ONU losses and calls; each meter counts once. Add up those of many outages.

    Examples
    --------
    >>> from datetime import UTC, datetime, timedelta
    >>> from oms_topology.events import parse
    >>> from oms_topology.graph.topology import Topology
    >>> from oms_topology.outages.reports import read_reports
    >>> from oms_topology.outages.forest import SupplyForest
    >>> forest = SupplyForest.of(Topology.from_text("SS1 > DP1 > M1..M4; SS1 > DP2 > M5..M9"))
    >>> gasp = {"type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T08:02:05Z",
    ...         "associatedMeters": ["M2", "M3"]}
    >>> reports, _ = read_reports(parse("onu", gasp), forest)
    >>> start = datetime(2025, 10, 1, 8, 2, tzinfo=UTC)
    >>> tallies = tally_outage(reports, forest, 1, (start, start + timedelta(hours=1)))
    >>> tallies[ReportKind.ONU_LOSS]
    RateTally(dead=4, heard_dead=2, alive=5, heard_alive=0)
    """
    start, end = period
    meters = np.arange(forest.devices, len(forest))
    meters = meters[forest.tree[meters] == forest.tree[failed]]
    is_dead = np.isin(meters, forest.meters_below(failed))
    heard = [report for report in reports if report.says_dead and start <= report.occurred_at < end]
    tallies = {}
    for kind in (ReportKind.LAST_GASP, ReportKind.ONU_LOSS, ReportKind.CALL):
        came = np.isin(meters, [report.node for report in heard if report.kind is kind])
        may = np.ones(len(meters), dtype=np.bool_)
        if equipped and kind in equipped:
            may = np.isin(meters, forest.meter_nodes(equipped[kind]))
        counts = (may & is_dead, may & is_dead & came, may & ~is_dead, may & ~is_dead & came)
        tallies[kind] = RateTally(*(int(each.sum()) for each in counts))
    return tallies


def _learned(before: float, heard: int, cases: int, cases_before: float) -> LearnedRate:
    ones, zeros = before * cases_before + heard, (1.0 - before) * cases_before + cases - heard
    total = ones + zeros
    deviation = (ones * zeros / (total * total * (total + 1.0))) ** 0.5
    return LearnedRate(before, min(max(ones / total, _LEAST), _MOST), cases, deviation)


def learned_report(
    rates: ReportRates, tally: RateTally, *, dead_before: float = 100.0, alive_before: float = 20_000.0
) -> tuple[LearnedRate, LearnedRate]:
    """Learn the detection and the false-alarm rate of one kind of report.

    Parameters
    ----------
    rates : ReportRates
        What is believed so far.
    tally : RateTally
        What was seen.
    dead_before, alive_before : float
        How many cases the present belief is worth.

    Returns
    -------
    tuple of LearnedRate
        Detection, false alarm.

    Examples
    --------
    >>> detection, false_alarm = learned_report(ReportRates(0.8, 1e-4), RateTally(900, 360, 0, 0))
    >>> round(detection.after, 3), detection.seen, false_alarm.after
    (0.44, 900, 0.0001)
    """
    return (
        _learned(rates.detection, tally.heard_dead, tally.dead, dead_before),
        _learned(rates.false_alarm, tally.heard_alive, tally.alive, alive_before),
    )


def learn_rates(
    rates: EvidenceRates, tallies: Mapping[ReportKind, RateTally]
) -> tuple[EvidenceRates, dict[ReportKind, tuple[LearnedRate, LearnedRate]]]:
    """Learn from closed outages how reliable each kind of report is.

    Parameters
    ----------
    rates : EvidenceRates
        What is believed so far: the prior, worth 100 meters without power and 20,000 with.
    tallies : mapping of ReportKind to RateTally
        What was seen, by kind of report; kinds that are left out keep their rates.

    Returns
    -------
    rates : EvidenceRates
        The same with learned rates. A kind that turned out to be heard no more often without power
        than with it keeps its former rates.
    report : dict of ReportKind to (detection, false alarm)
        What was learned, to be shown.

    Examples
    --------
    >>> from oms_topology.outages.rates import ReportKind
    >>> rates, report = learn_rates(EvidenceRates(), {ReportKind.CALL: RateTally(900, 18, 50_000, 5)})
    >>> round(rates.reports[ReportKind.CALL].detection, 3)
    0.024
    """
    learned, report = {}, {}
    for kind, tally in tallies.items():
        former = rates.reports[kind]
        detection, false_alarm = report[kind] = learned_report(former, tally)
        if false_alarm.after < detection.after:
            learned[kind] = ReportRates(detection.after, false_alarm.after, former.delay, former.valid_for)
    return rates.with_reports(learned), report
