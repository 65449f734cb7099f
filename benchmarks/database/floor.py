"""What PostgreSQL itself asks for a trip of many meters: the parts of its cost, each measured alone.

Run as ``python -m benchmarks.database.floor [--quick] [--meters 100000] [--binaries DIR]``. The rows of
one large substation are copied to a table like ``oms_meters``, with its indexes and checks but without
any trigger or foreign key; then it gets the foreign keys, and then one ``BEFORE UPDATE`` trigger, as the
contract wants it, that has nothing to do. Every statement is committed (fsync on), each after a vacuum
and a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmarks.database.registry import BIG_SUBSTATION, fill_registry
from benchmarks.database.trip import SETTINGS
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["main", "measure"]

_COPIED = """
    CREATE SCHEMA floor;
    CREATE TABLE floor.meter (LIKE public.oms_meters INCLUDING ALL) WITH (fillfactor = 40);
    INSERT INTO floor.meter OVERRIDING SYSTEM VALUE
        SELECT m.* FROM public.oms_meters m JOIN public.network_substations s ON s.id = m.substation_id
        WHERE s.substation_id = '{code}' ORDER BY m.segment_no, m.position_no, m.meter_no;
    CREATE TABLE floor.audit (LIKE public.oms_meter_status_events);
    CREATE TABLE floor.affected (LIKE public.scada_event_affected_meters);
    ANALYZE floor.meter;
"""
_KEYED = """
    DO $$
    DECLARE
        key record;
    BEGIN
        FOR key IN SELECT oid, conrelid, pg_get_constraintdef(oid) AS definition FROM pg_constraint
                   WHERE contype = 'f' AND conrelid = 'public.oms_meters'::regclass LOOP
            EXECUTE 'ALTER TABLE floor.meter ADD ' || key.definition;
        END LOOP;
        FOR key IN SELECT oid FROM pg_constraint
                   WHERE contype = 'f' AND conparentid = 0 AND confrelid = 'public.oms_meters'::regclass LOOP
            EXECUTE 'CREATE TABLE floor.referrer_' || key.oid
                || ' (meter_id uuid REFERENCES floor.meter (id))';
        END LOOP;
    END $$
"""
_TRIGGERED = """
    CREATE TRIGGER meter_updated_at BEFORE UPDATE ON floor.meter
        FOR EACH ROW WHEN (OLD.updated_at IS NOT DISTINCT FROM NEW.updated_at)
        EXECUTE FUNCTION public.oms_update_updated_at()
"""
_RESTORED = """
    UPDATE floor.meter SET power_status = 'on', supply_lost_at = NULL, updated_at = clock_timestamp()
"""
_UPDATED = """
    UPDATE floor.meter
    SET previous_power_status = power_status, power_status = 'off', supply_lost_at = now(),
        last_power_change = now(), last_status_change = now(), power_signal_no = 1,
        updated_at = clock_timestamp()
"""
_AUDITED = """
    INSERT INTO floor.audit
        (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
         event_timestamp, confidence_score, created_at)
    SELECT id, id, 'power_off', 'scada', '00000000-0000-4000-8000-000000000000', 'on', 'off',
           now(), 0.90, now()
    FROM floor.meter
"""
_LISTED = """
    INSERT INTO floor.affected
        (id, scada_event_id, meter_id, meter_status_before, meter_status_after, checked_at)
    SELECT id, '00000000-0000-4000-8000-000000000000', id, 'on', 'off', now() FROM floor.meter
"""


def measure(*, meters: int = 100_000, rounds: int = 5, binaries: Path | None = None) -> dict[str, Any]:
    """Measure each part of the cost alone, in milliseconds.

    Returns
    -------
    dict
        Median and minimum of: the ``UPDATE`` of as many rows, the same with the contract's foreign keys,
        with its trigger as well, and the two inserts of the audit.
    """
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, binaries=binaries, settings=SETTINGS) as server,
    ):
        server.create_database("ours")
        with Database(server.url("ours")) as database:
            database.upgrade()
            fill_registry(database.engine, substations=4, meters_each=1000, big=meters)
            return {"meters": meters, "rounds": rounds, "parts": _parts(database.engine, rounds)}


def _parts(engine: Engine, rounds: int) -> dict[str, dict[str, float]]:
    parts = {}
    for name, prepared, statement in (
        ("update", _COPIED.format(code=BIG_SUBSTATION), _UPDATED),
        ("update_with_foreign_keys", _KEYED, _UPDATED),
        ("update_with_foreign_keys_and_trigger", _TRIGGERED, _UPDATED),
        ("insert_audit", "SELECT 1", _AUDITED),
        ("insert_affected", "SELECT 1", _LISTED),
    ):
        with engine.begin() as connection:
            connection.exec_driver_sql(prepared)
        parts[name] = _timed(engine, statement, rounds)
    return parts


def _timed(engine: Engine, statement: str, rounds: int) -> dict[str, float]:
    taken = []
    for _ in range(rounds + 1):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for step in (_RESTORED, "VACUUM floor.meter", "CHECKPOINT"):
                connection.exec_driver_sql(step)
        with engine.connect() as connection:
            began = time.perf_counter()
            connection.execute(text(statement))
            connection.commit()
            taken.append(1000 * (time.perf_counter() - began))
    # The first one makes the files.
    return {"median_ms": round(statistics.median(taken[1:]), 1), "min_ms": round(min(taken[1:]), 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few meters and rounds")
    parser.add_argument("--meters", type=int, default=100_000)
    parser.add_argument("--binaries", type=Path, help="another PostgreSQL's bin directory")
    asked = parser.parse_args()
    if asked.quick:
        result = measure(meters=2000, rounds=2, binaries=asked.binaries)
    else:
        result = measure(meters=asked.meters, binaries=asked.binaries)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
