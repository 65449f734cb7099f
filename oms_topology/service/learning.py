"""Learns from the outages of the past how far each kind of report can be trusted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oms_topology.graph.topology import Topology
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.learning import LearnedRate, RateTally, learn_rates, tally_outage
from oms_topology.outages.rates import EvidenceRates, ReportKind
from oms_topology.outages.reports import read_reports
from oms_topology.persistence.closed_outages import read_closed_outages, write_rates
from oms_topology.persistence.database import Database, translated_errors
from oms_topology.persistence.evidence import read_evidence, read_rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from oms_topology.persistence.closed_outages import ClosedOutage

__all__ = ["Learned", "learn_from_history"]


@dataclass(frozen=True, slots=True)
class Learned:
    """What the past has taught.

    Attributes
    ----------
    outages : int
        From how many.
    rates : EvidenceRates
        As they should be set.
    report : mapping of ReportKind to (LearnedRate, LearnedRate)
        Of each kind of report that was looked at, how often it comes when there is no power (detection),
        and when there is (false alarm).
    """

    outages: int
    rates: EvidenceRates
    report: Mapping[ReportKind, tuple[LearnedRate, LearnedRate]]


def learn_from_history(
    database: Database,
    *,
    at: datetime | None = None,
    days: int = 365,
    least_confidence: float = 0.9,
    most_outages: int = 1000,
    write: bool = False,
) -> Learned:
    """Learn how far reports can be trusted from the outages that are over and whose cause is sure.

    Parameters
    ----------
    database : Database
        With its outages.
    at : aware datetime, optional
        Now, when left out.
    days : int
        How far back to look.
    least_confidence : float
        How probable the cause must be, unless people confirmed it.
    most_outages : int
        The newest so many.
    write : bool
        Set the rates too: workers weigh by them from their next tree on.

    Returns
    -------
    Learned
        The same whenever it is asked again: what was believed before is the usual rates, not those
        learned last time. Delays, priors and other kinds of report stay as they are set.

    Raises
    ------
    StoreUnavailableError, ConflictError
        The database cannot be reached, or another transaction was in the way; try again.

    Notes
    -----
    Grows with what was said about the trees concerned since their first outage; one tree at a time is held
    in memory.
    """
    now = at or datetime.now(UTC)
    with translated_errors(), database.engine.connect() as connection:
        closed = read_closed_outages(
            connection,
            since=now - timedelta(days=days),
            least_confidence=least_confidence,
            most=most_outages,
        )
        present = EvidenceRates.from_mapping(read_rates(connection))
        tallies = _tallies(connection, Topology.from_postgres(database), closed) if closed else {}
    rates, report = learn_rates(_as_usual(present), tallies)
    if write:
        with translated_errors(), database.engine.begin() as connection:
            write_rates(connection, rates.to_mapping())
    return Learned(len(closed), rates, report)


def _as_usual(present: EvidenceRates) -> EvidenceRates:
    """Give the present rates with the usual detection and false alarms."""
    usual = EvidenceRates().reports
    return present.with_reports(
        {
            kind: type(each)(usual[kind].detection, usual[kind].false_alarm, each.delay, each.valid_for)
            for kind, each in present.reports.items()
        }
    )


def _tallies(
    connection: Connection, topology: Topology, closed: Iterable[ClosedOutage]
) -> dict[ReportKind, RateTally]:
    trees: dict[int, list[ClosedOutage]] = defaultdict(list)
    for outage in closed:
        trees[outage.segment_no].append(outage)
    forest, total = SupplyForest.of(topology), defaultdict[ReportKind, RateTally](RateTally)
    for segment_no in sorted(trees):
        first_at = min(outage.started_at for outage in trees[segment_no])
        # Learnt from on the network of today, each tree by itself.
        evidence = read_evidence(connection, segment_no, first_at, version=0, at=first_at)
        if evidence is None:
            continue
        reports, _ = read_reports(evidence.signals, forest)
        for outage in trees[segment_no]:
            node = forest.node(outage.device.kind, outage.device.code)  # type: ignore[arg-type]
            if node < 0:
                continue
            for kind, tally in tally_outage(
                reports, forest, node, (outage.started_at, outage.ended_at)
            ).items():
                total[kind] += tally
    return dict(total)
