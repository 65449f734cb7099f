"""From a report in the database to its conclusion: the worker of outages on substations of several sizes.

``python -m benchmarks.outages.worker`` for 1,000 and 5,000 meters; ``--quick`` for a small one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from oms_topology import Database, OutageWorker, Pipeline, Topology

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "measured"]

_BEGAN = datetime(2025, 10, 1, 8, tzinfo=UTC)


def network(meters: int) -> Topology:
    """Make two substations with so many meters each, twenty at a point and ten points at a feeder."""
    lines = []
    for substation in range(2):
        for point in range(max(1, meters // 20)):
            first = substation * meters + point * 20 + 1
            feeder = f"F{substation}_{point // 10}"
            lines.append(f"SS{substation} > {feeder} > P{substation}_{point} > M{first}..M{first + 19}")
    return Topology.from_text("; ".join(lines))


def gasp(meter: int, second: float) -> tuple[str, dict[str, object]]:
    """Make one meter's last gasp."""
    at = (_BEGAN + timedelta(seconds=second)).isoformat()
    said = {"eventId": f"{meter} {second}", "onuId": meter, "type": "ONU_LastGaspAlert", "timestamp": at,
            "associatedMeters": [f"M{meter}"]}  # fmt: skip
    return "onu", said


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Give wall and processor seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def one_size(meters: int, reports: int, dark: int) -> None:
    """Tell how long one further report takes, when so many meters of the substation are dark already."""
    with tempfile.TemporaryDirectory() as home, Database.embedded(home) as database:
        database.upgrade()
        database.store_network(network(meters))
        now = _BEGAN + timedelta(hours=2)
        with Pipeline(database) as pipeline, OutageWorker(database, clock=lambda: now) as worker:
            pipeline.handle_batch([gasp(meter, 1 + meter / 1000) for meter in range(1, dark + 1)])
            first = measured(worker.drain)
            recorded, concluded, cpu = [], [], []
            for place in range(reports):
                meter = dark + 1 + place
                recorded.append(measured(lambda meter=meter: pipeline.handle(*gasp(meter, 60)))[0])
                times = measured(worker.drain)
                concluded.append(times[0])
                cpu.append(times[1])
    print(
        f"{meters:>7,} meters, {dark:>5,} dark: all at once {first[0] * 1e3:.0f} ms; one more recorded in "
        f"{np.median(recorded) * 1e3:.1f} ms, concluded in {np.median(concluded) * 1e3:.1f} ms "
        f"(p99 {np.percentile(concluded, 99) * 1e3:.1f} ms, of it {np.median(cpu) * 1e3:.1f} ms in Python)"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args(arguments).quick
    for meters, dark in [(200, 10)] if quick else [(1_000, 10), (1_000, 500), (5_000, 10), (5_000, 1_000)]:
        one_size(meters, 5 if quick else 60, dark)


if __name__ == "__main__":
    main()
