"""How long the embedded PostgreSQL takes to start, and a test to get a database of its own.

Run as ``python -m benchmarks.database.embedded_start [--quick]``. Prints medians in milliseconds, as JSON;
servers are durable (fsync on) except the one of the test databases, which is the tests' own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer, find_binaries
from tests.servers import live_server

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "measure"]


def measure(*, quick: bool = False) -> dict[str, float | str]:
    """Measure everything; ``quick`` takes fewer rounds.

    Returns
    -------
    dict
        Medians in milliseconds by name, and the server's version.
    """
    rounds = 3 if quick else 15
    with tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder:
        base = Path(folder)
        return {
            "postgresql": find_binaries().version,
            "cold_start_ms": _median(rounds, lambda i: _until_first_answer(base / f"cold{i}")),
            "warm_start_ms": _median(rounds, lambda i: _until_first_answer(base / "cold0")),
            "join_ms": _joining(base / "cold0", rounds),
            "stop_ms": _median(rounds, lambda i: _stopping(base / "cold0")),
            "test_database_ms": _test_databases(4 * rounds),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    print(json.dumps(measure(quick=parser.parse_args().quick), indent=2))


def _median(rounds: int, once: Callable[[int], float]) -> float:
    return round(1000 * statistics.median([once(number) for number in range(rounds)]), 1)


def _until_first_answer(path: Path) -> float:
    began = time.perf_counter()
    with Database.embedded(path) as database, database.engine.connect() as connection:
        connection.exec_driver_sql("select 1")
        return time.perf_counter() - began


def _joining(path: Path, rounds: int) -> float:
    def once(_: int) -> float:
        began = time.perf_counter()
        with EmbeddedServer.start(path):
            return time.perf_counter() - began

    with EmbeddedServer.start(path):
        return _median(rounds, once)


def _stopping(path: Path) -> float:
    server = EmbeddedServer.start(path)
    began = time.perf_counter()
    server.stop()
    return time.perf_counter() - began


def _test_databases(rounds: int) -> float:
    def once(_: int) -> float:
        began = time.perf_counter()
        database = server.create(upgraded=True)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("select 1")
            duration_s = time.perf_counter() - began
        server.drop(database)
        return duration_s

    with contextmanager(live_server)() as server:
        server.drop(server.create(upgraded=True))  # makes the template
        return _median(rounds, once)


if __name__ == "__main__":
    main()
