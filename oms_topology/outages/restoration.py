"""How far supply is back after an outage: by whose word, in steps, and who is still dark."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oms_topology.model import OutageStatus
from oms_topology.outages.rates import ReportKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.reports import Report

__all__ = ["Restoration", "restoration_of"]


@dataclass(frozen=True, slots=True)
class Restoration:
    """What the reports since the start of an outage say of its end.

    Attributes
    ----------
    restored_at : aware datetime, UTC, or None
        When supply was back: the device's own report, else when more than half of the meters that had
        reported a loss were heard to have power. None while neither is so.
    by_device : bool
        Whether the device said so itself.
    lost : int
        Meters that reported a loss in this outage.
    heard_again : int
        Meters whose newest word is that they have power.
    still_dark : tuple of str
        Meters whose newest word is their loss, in preorder.
    steps : tuple of (datetime, int)
        When how many meters in all had been heard again, for those of ``heard_again``.
    """

    restored_at: datetime | None
    by_device: bool
    lost: int
    heard_again: int
    still_dark: tuple[str, ...]
    steps: tuple[tuple[datetime, int], ...]

    @property
    def is_verified(self) -> bool:
        """Whether the meters confirm it: some were heard again, and none that lost power is still dark."""
        return self.restored_at is not None and self.heard_again > 0 and not self.still_dark

    @property
    def status(self) -> OutageStatus | None:
        """Where the outage stands by its reports: restored, cleared once verified; None while it is open."""
        if self.restored_at is None:
            return None
        return OutageStatus.CLEARED if self.is_verified else OutageStatus.RESTORED


def restoration_of(
    reports: Iterable[Report], forest: SupplyForest, top: int, *, started_at: datetime, at: datetime
) -> Restoration:
    """Tell how far supply is back at and below a device.

    Parameters
    ----------
    reports : iterable of Report
        As :func:`~oms_topology.outages.reports.read_reports` gives them, in any order; those before the
        start or after the instant are left out.
    forest : SupplyForest
        The nodes.
    top : int
        The node that is blamed.
    started_at : aware datetime
        When the outage began.
    at : aware datetime
        The instant asked about.

    Returns
    -------
    Restoration
        A function of the set of reports. Calls are no word of a meter, and do not count here.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from oms_topology.events import parse
    >>> from oms_topology.graph.topology import Topology
    >>> from oms_topology.outages.reports import read_reports
    >>> from oms_topology.outages.forest import SupplyForest
    >>> forest = SupplyForest.of(Topology.from_text("SS1 > DP1 > M1..M3"))
    >>> gasp = {"type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T08:02:05Z",
    ...         "associatedMeters": ["M1", "M2", "M3"]}
    >>> back = {"type": "ONU_PowerRestored", "timestamp": "2025-10-01T08:40:00Z",
    ...         "associatedMeters": ["M1", "M2"]}
    >>> signals = [signal for said in (gasp, back) for signal in parse("onu", said)]
    >>> found = restoration_of(read_reports(signals, forest)[0], forest, 1,
    ...     started_at=datetime(2025, 10, 1, 8, 2, tzinfo=UTC), at=datetime(2025, 10, 1, 9, tzinfo=UTC))
    >>> found.restored_at.isoformat(), found.still_dark, found.status.value
    ('2025-10-01T08:40:00+00:00', ('M3',), 'restored')
    """
    newest: dict[int, Report] = {}
    lost: set[int] = set()
    first, last = (
        (int(forest.first_meter[top]), int(forest.last_meter[top]))
        if top < forest.devices
        else (top, top + 1)
    )
    for report in sorted(reports, key=lambda each: each.order):
        is_inside = report.node == top or first <= report.node < last
        if not (is_inside and _is_word(report) and started_at <= report.occurred_at <= at):
            continue
        newest[report.node] = report
        if report.says_dead:
            lost.add(report.node)
    return _told(forest, top, newest, lost)


def _is_word(report: Report) -> bool:
    return report.says_dead is not None and report.kind is not ReportKind.CALL


def _told(forest: SupplyForest, top: int, newest: dict[int, Report], lost: set[int]) -> Restoration:
    meters = {node: report for node, report in newest.items() if node >= forest.devices}
    back = sorted(report.occurred_at for report in meters.values() if report.says_dead is False)
    dark = sorted(node for node, report in meters.items() if report.says_dead)
    lost_meters = {node for node in lost if node >= forest.devices}
    again = sorted(meters[node].occurred_at for node in lost_meters if meters[node].says_dead is False)
    own = newest.get(top) if top < forest.devices else None
    restored_at = None
    by_device = own is not None and own.says_dead is False
    if own is not None and by_device:
        restored_at = own.occurred_at
    elif own is None and 2 * len(again) > len(lost_meters):
        restored_at = again[len(lost_meters) // 2]
    counts, total, steps = Counter(back), 0, []
    for time in sorted(counts):
        total += counts[time]
        steps.append((time, total))
    return Restoration(
        restored_at,
        by_device,
        len(lost_meters),
        len(back),
        tuple(forest.reference(node).code for node in dark),
        tuple(steps),
    )
