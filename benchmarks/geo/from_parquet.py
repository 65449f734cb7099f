"""Linking more points than the memory holds, from file to file: ``python -m benchmarks.geo.from_parquet``.

Both files are made first, batch after batch; the linking runs in a process of its own, so that its memory is
known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

_LINK = """
import json, resource, sys, time
from oms_topology.io.parquet_linking import link_parquet
began = time.perf_counter()
counts = link_parquet(*sys.argv[1:4], max_distance_m=500.0)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "counts": counts,
    "wall_s": time.perf_counter() - began,
    "processor_s": usage.ru_utime + usage.ru_stime,
    "largest_mb": usage.ru_maxrss / 1024,
}))
"""
_BATCH = 1_000_000
# A country as large as its targets: 50,000 of them in a town of 33 by 33 km, whatever their number.
_DEG_A_TARGET = 0.33 / 50_000**0.5


def written(path: Path, count: int, side_deg: float, seed: int) -> None:
    """Positions anywhere in a square, in no order."""
    rng = np.random.default_rng(seed)
    schema = pa.schema([("longitude", pa.float64()), ("latitude", pa.float64())])
    with parquet.ParquetWriter(path, schema, compression="none") as writer:
        for begin in range(0, count, _BATCH):
            size = min(_BATCH, count - begin)
            columns = [35.0 + rng.uniform(0, side_deg, size), 30.0 + rng.uniform(0, side_deg, size)]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))


def main() -> None:
    """Print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not how fast")
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--targets", type=int, default=500_000)
    asked = parser.parse_args()
    points, targets = (50_000, 3_000) if asked.quick else (asked.points, asked.targets)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("points.parquet", "targets.parquet", "links.parquet")]
        side_deg = _DEG_A_TARGET * targets**0.5
        written(paths[0], points, side_deg, 1)
        written(paths[1], targets, side_deg, 2)
        command = [sys.executable, "-c", _LINK, *map(str, paths)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{points:,} points, {targets:,} targets: {told['counts']}")
    took = f"{told['wall_s']:.1f} s, processors {told['processor_s']:.1f} s"
    print(f"{took}, {told['largest_mb']:,.0f} MB")


if __name__ == "__main__":
    main()
