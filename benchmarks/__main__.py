"""Run all benchmarks one after the other: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

BENCHMARKS = (
    "benchmarks.graph.run",
    "benchmarks.graph.codes",
    "benchmarks.graph.columnar",
    "benchmarks.events.parse",
    "benchmarks.events.throughput",
    "benchmarks.events.storm",
    "benchmarks.outages.accuracy",
    "benchmarks.outages.course",
    "benchmarks.outages.speed",
    "benchmarks.outages.storm",
    "benchmarks.outages.storm_database",
    "benchmarks.outages.worker",
    "benchmarks.geo.nearest",
    "benchmarks.geo.lines",
    "benchmarks.geo.from_parquet",
    "benchmarks.geo.exactness",
    "benchmarks.geo.calibration",
    "benchmarks.geo.accuracy",
    "benchmarks.geo.capacity",
    "benchmarks.geo.dask",
    "benchmarks.migration.run",
    "benchmarks.database.trip",
    "benchmarks.database.floor",
    "benchmarks.database.growth",
    "benchmarks.database.load",
    "benchmarks.database.feed",
    "benchmarks.database.embedded_start",
)


def main() -> int:
    """Run each in a process of its own; the exit code is the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that they run, not what they say")
    quick = parser.parse_args().quick
    # What is measured runs alone; what only has to run shares the machine.
    with ThreadPoolExecutor(os.cpu_count() if quick else 1) as at_once:
        runs = [at_once.submit(_run, name, quick) for name in BENCHMARKS]
        return sum(run.result() for run in as_completed(runs))


def _run(name: str, quick: bool) -> bool:
    """Run one; whether it failed. What runs beside others shows what it said in one piece, at its end."""
    command = [sys.executable, "-m", name, *(["--quick"] if quick else [])]
    if not quick:
        print(f"== {name}", flush=True)
        return subprocess.run(command, check=False).returncode != 0
    began = time.monotonic()
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(
        f"== {name}: {time.monotonic() - began:.0f} s, exit code {done.returncode}\n{done.stdout}", flush=True
    )
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
