"""Validation of large networks: clean, and with troubles of every kind; the counts must be those put in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.graph.measuring import Timing, agree, timed
from benchmarks.graph.networks import city, with_breakers
from benchmarks.graph.troubled import troubled
from oms_topology import Topology

if TYPE_CHECKING:
    from benchmarks.graph.reporting import Report
    from oms_topology.model import Finding, NetworkColumns

__all__ = ["measure"]

_LEAST = 10_000
_SHARE = 200
_GOAL_AT = 1_000_000


def measure(report: Report, meters: int, rounds: int) -> None:
    """Measure one size: reading and checking, and checking alone."""
    if meters < _LEAST:
        report.skip(f"validation of {meters:,} meters", f"{_LEAST:,} are the fewest that hold every trouble")
        return
    report.begin("Validation", meters)
    _one(report, "clean", meters, with_breakers(city(meters)), {}, rounds)
    bad = troubled(meters, meters // _SHARE)
    _one(report, f"every kind of trouble once for {_SHARE} meters", meters, bad.columns, bad.counts, rounds)


def _one(
    report: Report, what: str, meters: int, columns: NetworkColumns, expected: dict[str, int], rounds: int
) -> None:
    found: list[Finding] = []
    nets: list[Topology] = []

    def read_and_check() -> None:
        nets[:] = [Topology.from_columns(columns)]
        found[:] = nets[0].validate()

    goal = "2 s" if meters == _GOAL_AT else ""
    timing = timed(read_and_check, rounds, warm=False)
    report.time(f"read and validate, {what}", meters, timing, "ms", goal=goal)
    agree(f"findings, {what}", {each.rule: each.count for each in found}, expected)
    agree(f"most ids, {what}", max((len(each.ids) for each in found), default=0) <= 100, True)
    timing = _after_changes(nets[0], expected, rounds)
    report.time(f"validate after a change, {what}", meters, timing, "ms", goal=goal)


def _after_changes(net: Topology, expected: dict[str, int], rounds: int) -> Timing:
    """Switch something now, so that nothing is known any more; the normal state stays what it was."""
    taken = []
    for switch in net.switches[-rounds:]:
        (net.close if net.is_open(switch) else net.open)(switch)
        taken.append(timed(net.validate, 1, warm=False).median_s)
        agree("findings after a change", {each.rule: each.count for each in net.validate()}, expected)
    return Timing.of(taken)
