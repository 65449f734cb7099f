"""Linking on two workers of Dask beside one process: ``python -m benchmarks.geo.dask [--large]``."""

from __future__ import annotations

import argparse
import logging
import time

import numpy as np
import psutil
from distributed import LocalCluster

import oms_topology as omt
from benchmarks.geo.nearest import LIMIT_M, town
from oms_topology.io.distributed import link_distributed


def compare(points: int, targets: int, rows_a_part: int) -> bool:
    """Print both times; tell whether both answers are the same bytes."""
    place = town(points, targets, 7)
    began, worked = time.perf_counter(), time.process_time()
    alone = omt.link_nearest(place.points, place.targets, max_distance_m=LIMIT_M)
    alone_s, alone_worked_s = time.perf_counter() - began, time.process_time() - worked
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        host="127.0.0.1",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        workers = [psutil.Process(nanny.pid) for nanny in cluster.workers.values()]
        before = [worker.cpu_times().user for worker in workers]
        began, worked = time.perf_counter(), time.process_time()
        together = link_distributed(
            place.points,
            place.targets,
            scheduler=cluster.scheduler_address,
            max_distance_m=LIMIT_M,
            rows_a_part=rows_a_part,
        )
        together_s, sender_s = time.perf_counter() - began, time.process_time() - worked
        used = zip(workers, before, strict=True)
        told = [(worker.cpu_times().user - user, worker.memory_info().rss / 1e6) for worker, user in used]
    columns = ("target", "distance_m", "second_distance_m", "status")
    same = all(np.array_equal(getattr(alone, c), getattr(together, c), equal_nan=True) for c in columns)
    each = ", ".join(f"{seconds:.1f} s and {size:.0f} MB" for seconds, size in told)
    print(f"{points:,} points, {targets:,} targets, {rows_a_part:,} points a part")
    print(f"  one process {alone_s:.2f} s (processor {alone_worked_s:.2f} s)")
    print(f"  two workers {together_s:.2f} s (processor: sender {sender_s:.2f} s; workers {each})")
    print(f"  the answers are {'the same bytes' if same else 'DIFFERENT'}")
    return same


def main() -> int:
    """Compare; 1 if the answers differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not how fast")
    parser.add_argument("--large", action="store_true", help="ten million points, 500,000 targets")
    asked = parser.parse_args()
    if asked.quick:
        return 0 if compare(20_000, 1_000, 3_000) else 1
    return 0 if compare(*((10_000_000, 500_000) if asked.large else (1_000_000, 50_000)), 250_000) else 1


if __name__ == "__main__":
    raise SystemExit(main())
