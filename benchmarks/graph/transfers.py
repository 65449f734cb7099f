"""Second supplies: the outage of a feeder of 1,000 meters of which 100 can be fed from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.graph.measuring import agree, asked_each, fresh
from oms_topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.graph.case import Case

__all__ = ["measure"]

_BATCH = 500


def measure(case: Case) -> None:
    """Measure one network made by ``with_transfers``."""
    case.report.begin("Feeder of 1,000 meters, 100 of them with a second supply", case.meters)
    _check(case, case.net)
    net, report, meters = case.net, case.report, case.meters
    batches = [fresh(case.codes("feeder", _BATCH, seed)) for seed in range(case.rounds + 1)]

    def counted(code: str) -> None:
        impact = net.impact(code)
        len(impact.lost)
        len(impact.backed_up)

    def listed(code: str) -> None:
        impact = net.impact(code)
        _ = impact.lost.meter_numbers

    def customers(code: str) -> None:
        _ = net.impact(code).customers

    report.time("impact", meters, asked_each(net.impact, batches), "us", goal="10 us")
    report.time("impact, counts of lost and backed up", meters, asked_each(counted, batches), "us")
    report.time("impact, numbers of the lost", meters, asked_each(listed, batches), "us")
    report.time("impact, customers", meters, asked_each(customers, batches), "us")
    _switched(case)
    hand = [case.nodes("feeder", _BATCH // 10, seed) for seed in range(case.few + 1)]
    way = _by_igraph(case)
    report.time(
        "impact, counts of lost and backed up",
        meters,
        asked_each(way, hand),
        "us",
        who="igraph and a set of those with a second supply",
    )


def _by_igraph(case: Case) -> Callable[[int], tuple[int, int]]:
    graph = case.peers.igraph
    second = set((case.columns.alternate_meter + case.tree.devices).tolist())

    def way(node: int) -> tuple[int, int]:
        below = graph.subcomponent(node, mode="out")
        held = sum(each in second for each in below)
        return sum(each >= case.tree.devices for each in below) - held, held

    return way


def _check(case: Case, net: Topology) -> None:
    """Hold the impact of some feeders against plain arrays."""
    own = case.tree.above(case.columns.meter_device, "feeder")
    has_second = np.zeros(len(own), dtype=np.bool_)
    has_second[case.columns.alternate_meter] = True
    way = _by_igraph(case)
    for code, node in zip(case.codes("feeder", 5), case.nodes("feeder", 5), strict=True):
        impact = net.impact(code)
        agree(f"lost with {code}", np.sort(impact.lost.rows), np.flatnonzero((own == node) & ~has_second))
        agree(
            f"backed up with {code}",
            np.sort(impact.backed_up.rows),
            np.flatnonzero((own == node) & has_second),
        )
        agree(f"counts with {code}", way(node), (len(impact.lost), len(impact.backed_up)))


def _switched(case: Case) -> None:
    """Open and close the feeder's breaker for good: its 100 meters go over, and come back."""
    net = Topology.from_columns(case.columns)
    code = case.codes("feeder", 1)[0]
    before = len(net.energised)
    net.open(f"CB{code[2:]}")
    agree("supplied meters after the outage", len(net.energised), before - 900)
    net.close(f"CB{code[2:]}")
    agree("supplied meters after it", len(net.energised), before)

    def there_and_back(switch: str) -> None:
        net.open(switch)
        net.close(switch)

    batches = [[f"CB{each[2:]}" for each in case.codes("feeder", 10, seed)] for seed in range(case.few + 1)]
    timing = asked_each(there_and_back, batches).divided(2)
    case.report.time("open or close its breaker, 100 meters change feeder", case.meters, timing, "us")
