"""The change feed: how soon a reader has caught up with a million changed meters, and what other ways lose.

Run as ``python -m benchmarks.database.feed [--quick] [--meters 1000000]``. The peers: psycopg reading all
statuses as rows, for the time; a reader that asks for ``change_no > the greatest seen``, for what it loses
beside writers whose transactions overlap.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from oms_topology import Topology
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer
from oms_topology.persistence.feed import ChangeFeed
from oms_topology.service.following import followed

__all__ = ["main", "measure"]

_SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
_WRITERS = 8
_NETWORK = (
    "INSERT INTO network_substations (substation_id, name)"
    " SELECT 'SS' || n, '' FROM generate_series(1, 50) n",
    "INSERT INTO network_feeders (feeder_id, substation_id, name) SELECT 'F' || f, s.id, ''"
    " FROM generate_series(1, 500) f JOIN network_substations s ON s.substation_id = 'SS' || 1 + f % 50",
    "INSERT INTO oms_meters (meter_number, feeder_id) SELECT 'M' || g, f.id FROM generate_series(1, %s) g"
    " JOIN network_feeders f ON f.feeder_id = 'F' || 1 + g %% 500",
    "SELECT oms_topology.settle()",
)
_CHANGED = (
    "SELECT oms_topology.log_status_change(array_agg(meter_no)) FROM oms_meters"
    " WHERE meter_no > %s AND meter_no <= %s"
)
_SAVED = "INSERT INTO oms_topology.change (kind, meter_nos) VALUES ('status', ARRAY[%s])"
_ROWS = "SELECT meter_number, power_status, communication_status FROM oms_meters"
_BY_NUMBER = "SELECT change_no, meter_nos FROM oms_topology.change WHERE change_no > %s ORDER BY change_no"


def measure(*, meters: int, rounds: int, transactions: int) -> dict[str, Any]:
    """Measure on a durable server of its own.

    Returns
    -------
    dict
        Medians in milliseconds, and how many changes each way of reading lost.
    """
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, settings=_SETTINGS) as server,
    ):
        server.create_database("oms")
        with Database(server.url("oms")) as database:
            database.upgrade()
            with psycopg.connect(server.conninfo("oms"), autocommit=True) as connection:
                # A registry without mappings: nothing here is about them.
                connection.execute("SET oms_topology.keeps_mappings = 'on'")
                for statement in _NETWORK:
                    connection.execute(statement, (meters,) if "%s)" in statement else None)
                connection.execute("VACUUM ANALYZE")
                return {
                    "meters": meters,
                    "catching_up": _catching_up(database, connection, meters, rounds),
                    "following": _following(database, connection, rounds),
                    "changes_lost": _lost(database, server.conninfo("oms"), transactions),
                }


def _catching_up(
    database: Database, connection: psycopg.Connection[Any], meters: int, rounds: int
) -> dict[str, float]:
    taken: dict[str, list[float]] = {
        "all_changed_ms": [],
        "thousand_changed_ms": [],
        "idle_ms": [],
        "psycopg_rows_ms": [],
    }
    with ChangeFeed(database) as feed:
        feed.poll()
        for _ in range(rounds):
            for first in range(0, meters, 1000):
                connection.execute(_CHANGED, (first, first + 1000))
            taken["all_changed_ms"].append(_timed(lambda: len(feed.poll().meters), meters))
            connection.execute(_CHANGED, (0, 1000))
            taken["thousand_changed_ms"].append(_timed(lambda: len(feed.poll().meters), 1000))
            taken["idle_ms"].append(_timed(lambda: len(feed.poll().meters), 0))
            taken["psycopg_rows_ms"].append(_timed(lambda: len(connection.execute(_ROWS).fetchall()), meters))
    return {name: round(statistics.median(values), 2) for name, values in taken.items()}


def _following(database: Database, connection: psycopg.Connection[Any], rounds: int) -> dict[str, float]:
    began = time.perf_counter()
    net = Topology.from_postgres(database)
    taken: dict[str, list[float]] = {"loading_ms": [1000 * (time.perf_counter() - began)], "ten_moved_ms": []}
    for number in range(rounds + 1):
        connection.execute(
            "UPDATE oms_meters SET feeder_id = (SELECT id FROM network_feeders WHERE feeder_id = %s)"
            " WHERE meter_no BETWEEN 1 AND 10",
            (f"F{20 + number}",),
        )
        connection.execute("SELECT oms_topology.settle()")
        began = time.perf_counter()
        net, changes = followed(database, net)
        if number:  # the first one loads what the others find loaded
            taken["ten_moved_ms"].append(1000 * (time.perf_counter() - began))
        if changes is None or len(changes.meters_now) != 10:
            raise RuntimeError("The network was loaded anew.")
    return {name: round(statistics.median(values), 2) for name, values in taken.items()}


def _timed(poll: Any, expected: int) -> float:
    began = time.perf_counter()
    found = poll()
    taken = 1000 * (time.perf_counter() - began)
    if found != expected:
        raise RuntimeError(f"{found} meters instead of {expected}")
    return taken


def _lost(database: Database, conninfo: str, transactions: int) -> dict[str, int]:
    """Count the changes that nobody was told of, read by snapshot and by the greatest number seen."""
    is_over = threading.Event()
    with ThreadPoolExecutor(_WRITERS + 2) as pool:
        readers = {
            "by_snapshot": pool.submit(_told_by_snapshot, database, is_over),
            "by_number": pool.submit(_told_by_number, conninfo, is_over),
        }
        time.sleep(0.2)
        writers = [pool.submit(_write, conninfo, writer, transactions) for writer in range(_WRITERS)]
        written: set[int] = set().union(*(writer.result() for writer in writers))
        is_over.set()
        lost = {name: len(written - reader.result()) for name, reader in readers.items()}
    return {"written": len(written), **lost}


def _write(conninfo: str, writer: int, transactions: int) -> set[int]:
    draw, written = random.Random(writer), set()
    with psycopg.connect(conninfo) as connection:
        for number in range(transactions):
            written.add(2_000_000 + writer * transactions + number)
            connection.execute(_SAVED, (2_000_000 + writer * transactions + number,))
            time.sleep(draw.choice([0, 0, 0.001, 0.005]))
            connection.commit()
    return written


def _told_by_snapshot(database: Database, is_over: threading.Event) -> set[int]:
    told: set[int] = set()
    with ChangeFeed(database) as feed:
        feed.poll()
        while not is_over.is_set():
            feed.wait(0.05)
            told.update(feed.poll().meters.gone.tolist())  # numbers that no meter has
        told.update(feed.poll().meters.gone.tolist())
    return told


def _told_by_number(conninfo: str, is_over: threading.Event) -> set[int]:
    told: set[int] = set()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        ((greatest,),) = connection.execute(
            "SELECT COALESCE(max(change_no), 0) FROM oms_topology.change"
        ).fetchall()
        for is_last in iter(is_over.is_set, None):
            for number, meter_nos in connection.execute(_BY_NUMBER, (greatest,)).fetchall():
                greatest = number
                told.update(meter_nos)
            if is_last:
                return told
            time.sleep(0.002)
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small registry and few rounds")
    parser.add_argument("--meters", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    sizes = (20_000, 2, 20) if asked.quick else (asked.meters, asked.rounds, 500)
    print(json.dumps(measure(meters=sizes[0], rounds=sizes[1], transactions=sizes[2]), indent=1))


if __name__ == "__main__":
    main()
