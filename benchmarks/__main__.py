"""Run all benchmarks one after the other: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import subprocess
import sys

BENCHMARKS = (
    "benchmarks.graph.run",
    "benchmarks.graph.codes",
    "benchmarks.graph.columnar",
    "benchmarks.events.parse",
    "benchmarks.events.throughput",
    "benchmarks.events.storm",
    "benchmarks.outages.accuracy",
    "benchmarks.outages.speed",
    "benchmarks.outages.storm",
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
    quick = ["--quick"] if parser.parse_args().quick else []
    failed = 0
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        failed += bool(subprocess.run([sys.executable, "-m", name, *quick], check=False).returncode)
    return failed


if __name__ == "__main__":
    sys.exit(main())
