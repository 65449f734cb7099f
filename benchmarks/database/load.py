"""The network from the tables into columns: ours against the server's own COPY of the same columns.

Run as ``python -m benchmarks.database.load [--quick] [--meters 1000000]``. Also times what stores it.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.database.trip import SETTINGS
from benchmarks.graph.networks import city
from oms_topology import Topology
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "measure"]

# The columns that load_network reads, as rows, to nowhere: the server's own limit.
_COPY = """
    COPY (SELECT m.meter_number, c.customer_id, m.meter_no, m.device_no, m.location_lng, m.location_lat
          FROM public.oms_meters m LEFT JOIN public.oms_customers c ON c.id = m.customer_id
          WHERE COALESCE(m.status, 'active') = 'active') TO '/dev/null' (FORMAT binary)
"""
_ROWS = """
    SELECT m.meter_number, c.customer_id, m.meter_no, m.device_no,
           m.location_lng::float8, m.location_lat::float8
    FROM public.oms_meters m LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    WHERE COALESCE(m.status, 'active') = 'active'
"""


def measure(*, meters: int = 1_000_000, rounds: int = 5) -> dict[str, Any]:
    """Store a synthetic city, then load it several ways.

    Returns
    -------
    dict
        Medians in seconds and ratios to the server's COPY.
    """
    network = Topology.from_columns(city(meters))
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, settings=SETTINGS) as server,
    ):
        server.create_database("ours")
        with Database(server.url("ours")) as database:
            database.upgrade()
            began = time.perf_counter()
            database.store_network(network)
            stored_s = time.perf_counter() - began
            with psycopg.connect(server.conninfo("ours"), autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                copy_s = _median(rounds, lambda: connection.execute(_COPY))
                rows_s = _median(min(rounds, 2), lambda: connection.execute(_ROWS).fetchall())
            load_s = _median(rounds, database.load_network)
    return {
        "meters": meters,
        "store_s": round(stored_s, 2),
        "server_copy_s": round(copy_s, 3),
        "psycopg_rows_s": round(rows_s, 3),
        "load_network_s": round(load_s, 3),
        "times_server_copy": round(load_s / copy_s, 2),
    }


def _median(rounds: int, work: Callable[[], object]) -> float:
    work()
    taken = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
        gc.enable()
    return statistics.median(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 meters")
    parser.add_argument("--meters", type=int, default=1_000_000)
    asked = parser.parse_args()
    result = measure(meters=20_000, rounds=3) if asked.quick else measure(meters=asked.meters)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
