"""A course by assessing everything anew at each instant: the reference for the sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.outages.assessing import assessed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from oms_topology.outages.assessing import KnownEquipment
    from oms_topology.outages.assessment import ConcludedOutage
    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.recovery import Told
    from oms_topology.outages.reports import Report


class Stepwise:
    """Takes the place of the sweep."""

    def __init__(
        self, told: Told, rates: EvidenceRates, equipment: KnownEquipment, planned: Sequence[PlannedWindow]
    ) -> None:
        self._forest, self._rates, self._equipment = told.forest, rates, equipment
        self._explained = list(planned)
        self._reports = [report for said in told.of.values() for report in said]
        self._found: dict[int, ConcludedOutage] = {}
        self._found_before: dict[int, ConcludedOutage] = {}

    def advance(
        self, at: datetime, heard: Sequence[Report], lapsed: Sequence[tuple[datetime, int]]
    ) -> list[int]:
        del heard, lapsed
        self._at, self._found_before = at, self._found
        return self._assess()

    def explain(self, windows: Sequence[PlannedWindow]) -> list[int]:
        self._explained += windows
        return self._assess()

    def forget(self, window: PlannedWindow) -> None:
        self._explained.remove(window)

    def start(self, node: int) -> datetime:
        return self._found[node].started_at

    def outage(self, node: int) -> ConcludedOutage:
        return self._found[node]

    def outage_before(self, node: int) -> ConcludedOutage:
        return self._found_before[node]

    def _assess(self) -> list[int]:
        found = assessed(
            self._reports, self._forest, self._at, self._rates, self._equipment, explained=self._explained
        )
        self._found = found.outage_at
        return sorted(self._found)
