"""A storm replayed from parsed signals, without a database: ``python -m benchmarks.outages.storm [--quick]``.

Nearly half of the meters lose power; their last gasps, ONUs and calls come several times each, in no
order, a fifth of them late, and are assessed once when the dust has settled.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.outages.speed import make_forest
from oms_topology.graph.topology import Topology
from oms_topology.model import (
    CommunicationStatus,
    DeviceKind,
    DeviceReference,
    NetworkColumns,
    PowerStatus,
    Source,
)
from oms_topology.model.signal import frozen_signal
from oms_topology.outages.assessing import assess
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.rates import EvidenceRates, ReportKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.model import Signal

KINDS = (
    DeviceKind.SUBSTATION,
    DeviceKind.FEEDER,
    DeviceKind.SECTION,
    DeviceKind.DISTRIBUTION_POINT,
    DeviceKind.METER,
)
START = datetime(2025, 10, 1, 8, 0, tzinfo=UTC)
SETTLED = timedelta(hours=1)
FAILED_SHARES = {1: 0.42, 2: 0.05, 3: 0.02}
HEARD = (
    (Source.KAIFA, ReportKind.LAST_GASP),
    (Source.ONU, ReportKind.ONU_LOSS),
    (Source.CALL_CENTER, ReportKind.CALL),
)


def levels_of(parent: NDArray[np.int32]) -> NDArray[np.int64]:
    level = np.zeros(len(parent), dtype=np.int64)
    for _ in range(len(KINDS) - 1):
        level = np.where(parent >= 0, level[parent] + 1, 0)
    return level


def topology_of(parent: NDArray[np.int32], level: NDArray[np.int64]) -> Topology:
    is_meter = level == len(KINDS) - 1
    devices, meters = np.flatnonzero(~is_meter), np.flatnonzero(is_meter)
    row = np.full(len(parent), -1, dtype=np.int32)
    row[devices] = np.arange(len(devices))
    fed = devices[parent[devices] >= 0]
    return Topology.from_columns(
        NetworkColumns(
            device_kind=np.array([KINDS[each].value for each in level[devices]], dtype=object),
            device_code=np.array([f"D{node}" for node in devices], dtype=object),
            device_is_source=parent[devices] < 0,
            branch_from=row[parent[fed]],
            branch_to=row[fed],
            meter_number=np.array([f"M{node}" for node in meters], dtype=object),
            meter_device=row[parent[meters]],
        )
    )


def draw_failures(
    parent: NDArray[np.int32], level: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], set[str]]:
    """Give which nodes are dead, and the codes of the uppermost failed devices."""
    failed = np.zeros(len(parent), dtype=np.bool_)
    for depth, share in FAILED_SHARES.items():
        nodes = np.flatnonzero(level == depth)
        failed[rng.choice(nodes, int(len(nodes) * share), replace=False)] = True
    dead = failed.copy()
    for depth in range(1, len(KINDS)):
        nodes = np.flatnonzero(level == depth)
        dead[nodes] |= dead[parent[nodes]]
    top = np.flatnonzero(failed & ~dead[np.maximum(parent, 0)])
    return dead, {f"D{node}" for node in top.tolist()}


def signal_of(source: Source, meter: int, delay_s: float, power: PowerStatus = PowerStatus.OFF) -> Signal:
    number = f"M{meter}"
    return frozen_signal(
        source=source,
        source_event_id=f"{source.value}-{meter}-{power.value}",
        content_hash=number,
        device=DeviceReference(DeviceKind.METER, number),
        power_status=power,
        communication_status=CommunicationStatus.UNKNOWN,
        occurred_at=START + timedelta(seconds=delay_s),
        received_at=START + SETTLED,
        sent_at=None,
        time_is_sound=True,
        reported_at=None,
        details={},
        payload={},
        findings=(),
        meter_numbers=(number,),
        is_evidence_only=source is Source.CALL_CENTER,
    )


def draw_signals(
    meters: NDArray[np.int64], is_dead: NDArray[np.bool_], rng: np.random.Generator
) -> list[Signal]:
    """Draw each meter's reports by the default rates; a fifth has a clock that is minutes off.

    Meters that reported a loss and have power say so as often as the rates have it.
    """
    signals = []
    back = EvidenceRates().reports[ReportKind.POWER_UP]
    has_power = dict(zip(meters.tolist(), (~is_dead).tolist(), strict=True))
    for source, kind in HEARD:
        rates = EvidenceRates().reports[kind]
        heard = meters[rng.random(len(meters)) < np.where(is_dead, rates.detection, rates.false_alarm)]
        delays = rng.random(len(heard)) * 120
        delays[rng.random(len(heard)) < 0.2] += 600
        signals += [signal_of(source, *each) for each in zip(heard.tolist(), delays.tolist(), strict=True)]
        if kind is not ReportKind.CALL:
            alive = [meter for meter in heard.tolist() if has_power[meter] and rng.random() < back.detection]
            signals += [signal_of(source, meter, 1800.0, PowerStatus.ON) for meter in alive]
    return signals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few meters: that it runs, not what it says")
    parser.add_argument("--meters", type=int, default=1_400_000)
    parser.add_argument("--messages", type=int, default=5_000_000)
    given = parser.parse_args()
    count, messages = (20_000, 50_000) if given.quick else (given.meters, given.messages)
    rng = np.random.default_rng(6)
    parent = make_forest(count, rng)
    level = levels_of(parent)
    forest = SupplyForest.of(topology_of(parent, level))
    dead, truth = draw_failures(parent, level, rng)
    meters = np.flatnonzero(level == len(KINDS) - 1)
    signals = draw_signals(meters, dead[meters], rng)
    order = rng.permutation(np.arange(max(messages, len(signals))) % len(signals))
    gc.collect()
    gc.freeze()
    began = time.process_time()
    found = assess((signals[at] for at in order), forest, at=START + SETTLED)
    took = time.process_time() - began
    blamed = {outage.device.code for outage in found.outages}
    out = int(dead[meters].sum())
    print(f"{len(meters)} meters, {out} out, {len(order)} messages, {len(signals)} of them distinct")
    print(
        f"{took:.1f} s of processor time, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )
    print(
        f"{len(truth)} true outages, {len(blamed)} concluded ({len(blamed) / len(truth):.3f} each), "
        f"{len(truth & blamed)} of them right; meters whose supply is concluded wrongly: "
        f"{int((found.dead_probabilities()[1].round() != _truth(forest, dead)).sum())}"
    )


def _truth(forest: SupplyForest, dead: NDArray[np.bool_]) -> NDArray[np.bool_]:
    numbers = forest.index.network.columns.meter_number[forest.meter_rows]
    return dead[[int(number[1:]) for number in numbers]]


if __name__ == "__main__":
    main()
