"""What one trip of 1,000 meters costs as the registry grows: ours alone, 300,000 and 10 million meters.

Run as ``python -m benchmarks.database.growth [--quick] [--sizes 300000 10000000]``. Each size gets a
server of its own; rows are inserted with their place in the preorder, and indexed afterwards.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmarks.database.registry import substation_code
from benchmarks.database.trip import SETTINGS, messages, vacuum
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer
from oms_topology.service.pipeline import Pipeline

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["main", "measure"]

_METERS_EACH = 1000
_FEEDERS = 10
_NETWORK = (
    """INSERT INTO network_substations (substation_id, name)
       SELECT 'SS' || lpad(s::text, 5, '0'), 'substation' FROM generate_series(0, :substations - 1) s""",
    """INSERT INTO network_feeders (feeder_id, substation_id, name)
       SELECT s.substation_id || 'F' || f, s.id, 'feeder'
       FROM network_substations s, generate_series(1, :feeders) f""",
    "SELECT oms_topology.settle()",
    """INSERT INTO oms_meters (meter_number, substation_id, feeder_id, location_lat, location_lng,
                               power_status, communication_status, last_communication, device_no,
                               segment_no, position_no, supply_is_stale)
       SELECT f.feeder_id || 'M' || g, f.substation_id, f.id, 31.9 + g * 1e-6, 35.9 + g * 1e-6,
              'on', 'online', now() - interval '1 hour', d.device_no, d.segment_no, d.position_no, false
       FROM network_feeders f
       JOIN oms_topology.device d ON d.kind = 'feeder' AND d.record_id = f.id,
            generate_series(1, :meters_a_feeder) g
       ORDER BY f.feeder_id, g""",
)


def measure(*, sizes: tuple[int, ...] = (300_000, 10_000_000), rounds: int = 21) -> dict[str, Any]:
    """Measure the same trip in registries of several sizes.

    Returns
    -------
    dict
        Medians in milliseconds by size, and the largest over the smallest.
    """
    figures = {str(size): _trips(size, rounds) for size in sizes}
    medians = [figure["trip_1000_ms"] for figure in figures.values()]
    return {"registry_meters": figures, "growth": round(medians[-1] / medians[0], 2)}


def _trips(size: int, rounds: int) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, settings=SETTINGS) as server,
    ):
        server.create_database("ours")
        with Database(server.url("ours")) as database:
            database.upgrade()
            _fill(database.engine, size)
            vacuum(database.engine)
            with Pipeline(database) as pipeline:
                return _measured(pipeline, size // _METERS_EACH, rounds)


def _fill(engine: Engine, size: int) -> None:
    values = {
        "substations": size // _METERS_EACH,
        "feeders": _FEEDERS,
        "meters_a_feeder": _METERS_EACH // _FEEDERS,
    }
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
        # A registry without mappings: nothing here is about them.
        connection.exec_driver_sql("SET LOCAL oms_topology.keeps_mappings = 'on'")
        indexes = connection.exec_driver_sql(
            "SELECT 'DROP INDEX public.' || quote_ident(indexname), indexdef FROM pg_indexes"
            " WHERE schemaname = 'public' AND tablename = 'oms_meters'"
            " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = indexname)"
        ).all()
        for drop, _ in indexes:
            connection.exec_driver_sql(drop)
        for step in _NETWORK:
            connection.execute(text(step), values)
        for _, create in indexes:
            connection.exec_driver_sql(create)


def _measured(pipeline: Pipeline, substations: int, rounds: int) -> dict[str, float]:
    # Spread over the whole registry, so that no page has been touched before.
    codes = [substation_code(number * substations // (rounds + 2)) for number in range(rounds + 2)]
    taken = []
    gc.disable()
    for code, message in zip(codes, messages(codes), strict=True):
        began = time.perf_counter()
        receipt = pipeline.handle("scada", message)
        taken.append(1000 * (time.perf_counter() - began))
        if receipt.offline_meters != _METERS_EACH:
            raise RuntimeError(f"{receipt.offline_meters} meters of {code} went off")
    gc.enable()
    return {"trip_1000_ms": round(statistics.median(taken[2:]), 2), "min_ms": round(min(taken[2:]), 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small registries")
    parser.add_argument("--sizes", type=int, nargs="+", default=[300_000, 10_000_000])
    asked = parser.parse_args()
    sizes = (30_000, 60_000) if asked.quick else tuple(asked.sizes)
    print(json.dumps(measure(sizes=sizes, rounds=5 if asked.quick else 21), indent=2))


if __name__ == "__main__":
    main()
