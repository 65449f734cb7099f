"""At which instants a course of outages is looked at: a function of the set of reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from oms_topology.outages.rates import ReportKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.reports import Report

__all__ = ["instants_of", "lapses_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OVERDUE = (ReportKind.LAST_GASP, ReportKind.ONU_LOSS, ReportKind.CALL, ReportKind.POWER_UP)


def instants_of(
    reports: Iterable[Report], forest: SupplyForest, rates: EvidenceRates, step: timedelta, at: datetime
) -> list[datetime]:
    """Choose the instants at which something may be concluded that was not before.

    These are the times of the reports, those of one step of the clock taken together; a device's own
    report, and one of power next to one of a loss, stand alone, so that nothing that came and went
    within a step is missed. Then when what did not come is overdue, and when a report has lapsed,
    both at the end of their step; and the instant asked about.

    Parameters
    ----------
    reports : iterable of Report
        In any order.
    forest : SupplyForest
        Their nodes.
    rates : EvidenceRates
        How long reports may take and how long they count.
    step : timedelta
        How long a step is; steps begin at 1970-01-01.
    at : datetime
        The instant asked about; what comes later is left out.

    Returns
    -------
    list of datetime
        Ascending, each once, the last one ``at``. O(n log n).
    """
    heard = sorted((report for report in reports if report.occurred_at <= at), key=lambda r: r.occurred_at)
    found = {at, *_times_of(heard, forest, step)}
    for report in heard:
        found.update(_next_step(report.occurred_at + wait, step) for wait in _waits(report, rates))
    return sorted(instant for instant in found if instant <= at)


def _next_step(time: datetime, step: timedelta) -> datetime:
    return _EPOCH + ((time - _EPOCH) // step + 1) * step


def _times_of(heard: list[Report], forest: SupplyForest, step: timedelta) -> list[datetime]:
    """Give the last time of each run of reports that may be taken together."""
    found: list[datetime] = []
    said: dict[int, bool] = {}
    last: datetime | None = None
    for time, together in groupby(heard, key=lambda report: report.occurred_at):
        group = list(together)
        stands_alone = any(report.node < forest.devices for report in group)
        if last is not None and (
            stands_alone or (time - _EPOCH) // step != (last - _EPOCH) // step or _turns(group, forest, said)
        ):
            found.append(last)
            said = {}
        for report in group:
            said[int(forest.parent[report.node])] = bool(report.says_dead)
        last = time
        if stands_alone:
            found.append(time)
            said, last = {}, None
    return found if last is None else [*found, last]


def _turns(group: list[Report], forest: SupplyForest, said: dict[int, bool]) -> bool:
    """Tell whether a report says the opposite of one before it below the same device."""
    return any(
        said.get(int(forest.parent[report.node]), bool(report.says_dead)) is not bool(report.says_dead)
        for report in group
    )


def _waits(report: Report, rates: EvidenceRates) -> list[timedelta]:
    """Give after which times a report makes others overdue, counts in full, or no longer counts."""
    if report.says_dead is False:
        return [rates.reports[ReportKind.POWER_UP].delay]
    if report.says_dead is None:
        return [] if report.is_reached else [rates.reports[ReportKind.SILENCE].delay]
    waits = [rates.reports[kind].delay for kind in _OVERDUE]
    valid_for = rates.reports[report.kind].valid_for
    return waits if valid_for is None else [*waits, valid_for]


def lapses_of(reports: Iterable[Report], rates: EvidenceRates) -> list[tuple[datetime, int]]:
    """Give when reports of loss cease to count, and their nodes, ascending."""
    found = []
    for report in reports:
        valid_for = rates.reports[report.kind].valid_for
        if report.says_dead and valid_for is not None:
            found.append((report.occurred_at + valid_for, report.node))
    return sorted(found)
