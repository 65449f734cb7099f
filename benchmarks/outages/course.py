"""The course of a storm in one substation: ``python -m benchmarks.outages.course [--quick]``.

Devices fail over an hour; last gasps, ONUs and calls tell of it, most come back, some of them in steps or
below a device that is still dark. Processor time of one core, best of some rounds; and how often each
true outage was concluded.
"""

from __future__ import annotations

import argparse
import gc
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.outages.speed import make_forest
from benchmarks.outages.storm import HEARD, KINDS, START, levels_of, signal_of, topology_of
from oms_topology.model import PowerStatus, Source
from oms_topology.outages.course import course_of
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.rates import EvidenceRates, ReportKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.model import Signal
    from oms_topology.outages.histories import Course

SPAN_S = 3600.0


@dataclass(frozen=True)
class Fault:
    """One device that fails at a time and is back at another, in seconds."""

    node: int
    began_s: float
    back_s: float


def draw_faults(level: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[Fault]:
    share = {1: 0.02, 2: 0.3, 3: 0.68}
    depths = rng.choice(list(share), size=count, p=list(share.values()))
    nodes = {depth: rng.permutation(np.flatnonzero(level == depth)).tolist() for depth in share}
    return [
        Fault(nodes[int(depth)].pop(), float(began), float(began + rng.uniform(600, 5400)))
        for depth, began in zip(depths, rng.uniform(0, SPAN_S, count), strict=True)
    ]


def draw_signals(
    parent: NDArray[np.int32], level: NDArray[np.int64], faults: list[Fault], rng: np.random.Generator
) -> list[Signal]:
    """Draw what each meter says of each time without power, by the default rates."""
    failing: dict[int, list[Fault]] = {}
    for fault in faults:
        failing.setdefault(fault.node, []).append(fault)
    signals = []
    for meter in np.flatnonzero(level == len(KINDS) - 1).tolist():
        for began_s, back_s in dark_times(meter, parent, failing):
            signals += said_of(meter, began_s, back_s, rng)
    return signals


def dark_times(
    meter: int, parent: NDArray[np.int32], failing: dict[int, list[Fault]]
) -> list[tuple[float, float]]:
    """Give when a meter had no power: the faults at and above it, those that overlap as one."""
    node, spans = meter, []
    while node >= 0:
        spans += [(fault.began_s, fault.back_s) for fault in failing.get(node, ())]
        node = int(parent[node])
    joined: list[tuple[float, float]] = []
    for began_s, back_s in sorted(spans):
        if joined and began_s <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], back_s)
        else:
            joined.append((began_s, back_s))
    return joined


def said_of(meter: int, began_s: float, back_s: float, rng: np.random.Generator) -> list[Signal]:
    rates, signals = EvidenceRates().reports, []
    for source, kind in HEARD:
        if rng.random() < rates[kind].detection:
            late = rates[kind].delay.total_seconds() if kind is ReportKind.CALL else 10.0
            lost_s = min(began_s + rng.random() * late, back_s - 1.0)
            signals.append(signal_of(source, meter, lost_s))
    if rng.random() < rates[ReportKind.POWER_UP].detection:
        signals.append(signal_of(Source.KAIFA, meter, back_s + rng.random() * 10.0, PowerStatus.ON))
    return signals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few meters: that it runs, not what it says")
    parser.add_argument("--meters", type=int, default=5000)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    meters, count, rounds = (800, 6, 1) if given.quick else (given.meters, given.faults, given.rounds)
    rng = np.random.default_rng(7)
    parent = make_forest(meters, rng)
    level = levels_of(parent)
    forest = SupplyForest.of(topology_of(parent, level))
    faults = draw_faults(level, count, rng)
    signals = draw_signals(parent, level, faults, rng)
    for at_s, name in ((SPAN_S / 2, "in the midst"), (4 * SPAN_S, "when it is over")):
        report(forest, signals, faults, at_s, name, rounds)


def report(
    forest: SupplyForest, signals: list[Signal], faults: list[Fault], at_s: float, name: str, rounds: int
) -> None:
    at = START + timedelta(seconds=at_s)
    times = []
    found = course_of(signals, forest, at=at)
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        course_of(signals, forest, at=at)
        times.append(time.process_time() - began)
    heard = sum(signal.occurred_at <= at for signal in signals)
    meters = len(forest) - forest.devices
    print(f"{name}: {meters} meters, {heard} reports, {min(times):.2f} s of processor time")
    print(f"  {score(found, [fault for fault in faults if fault.began_s < at_s])}")


def score(found: Course, faults: list[Fault]) -> str:
    """Say how many outages were concluded of devices that failed, at about the time they did."""
    true = {f"D{fault.node}": fault for fault in faults}
    right = {
        outage.device.code
        for outage in found.outages
        if (fault := true.get(outage.device.code))
        and abs((outage.started_at - START).total_seconds() - fault.began_s) < 1800.0
    }
    concluded = len(found.outages)
    return (
        f"{len(true)} faults, {concluded} outages ({concluded / max(1, len(true)):.2f} each), "
        f"{len(right)} of them right, {sum(each.ended_at is not None for each in found.outages)} over; "
        f"{len(found.superseded)} hypotheses withdrawn"
    )


if __name__ == "__main__":
    main()
