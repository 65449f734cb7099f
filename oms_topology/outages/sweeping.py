"""What is blamed at one instant after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.outages.assessing import assessed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from oms_topology.outages.assessing import KnownEquipment
    from oms_topology.outages.evidence import PlannedWindow
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.recovery import Told
    from oms_topology.outages.reports import Report

__all__ = ["Sweep"]


class Sweep:
    """Assesses everything anew at each instant."""

    def __init__(
        self, told: Told, rates: EvidenceRates, equipment: KnownEquipment, planned: Sequence[PlannedWindow]
    ) -> None:
        self._forest, self._rates, self._equipment, self._planned = told.forest, rates, equipment, planned
        self._reports = [report for said in told.of.values() for report in said]
        self._starts: dict[int, datetime] = {}
        self._starts_before: dict[int, datetime] = {}

    def advance(
        self, at: datetime, heard: Sequence[Report], lapsed: Sequence[tuple[datetime, int]]
    ) -> list[int]:
        """Give the nodes that are blamed at the next instant, ascending."""
        del heard, lapsed
        found = assessed(self._reports, self._forest, at, self._rates, self._equipment, planned=self._planned)
        self._starts_before, self._starts = self._starts, found.starts
        return sorted(self._starts)

    def start(self, node: int) -> datetime:
        """Tell when the outage of a node began, by what is known at this instant."""
        return self._starts[node]

    def start_before(self, node: int) -> datetime:
        """Tell the same by what was known at the instant before."""
        return self._starts_before[node]
