"""The storm: a million last gasps in random order, every one three times, into one database.

Run as ``python -m benchmarks.events.storm [--quick] [--gasps 1000000] [--processes 2]``. A fifth comes half
an hour late, one in a hundred has a clock that is off by up to four hours, one in a hundred is hopeless
(broken JSON), and every substation trips and comes back meanwhile. The copies are dealt to the processes at
random, so that two often hold the same message at once. Afterwards the database is compared with what the set
of messages says: each message once, each meter's status, each dead letter with its reason and deliveries.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmarks.database.registry import fill_registry, substation_code
from benchmarks.database.trip import SETTINGS
from benchmarks.events.messages import give_onus, onu_message
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer
from oms_topology.service.pipeline import Pipeline

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_COPIES = 3
_AT_ONCE = 4000
_METERS_EACH = 10_000
_RECEIVED_AFTER = timedelta(hours=1)
_HOPELESS, _WRONG_CLOCK, _LATE = 0.01, 0.01, 0.2


def main() -> None:
    """Print what the storm took and whether the database holds what it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small storm: that it runs, not how fast")
    parser.add_argument("--gasps", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--binaries", type=Path, default=None)
    asked = parser.parse_args()
    gasps = 3_000 if asked.quick else asked.gasps
    print(json.dumps(measure(gasps=gasps, processes=asked.processes, binaries=asked.binaries), indent=2))


def measure(*, gasps: int, processes: int, binaries: Path | None = None) -> dict[str, Any]:
    """Let the storm pass over a fresh embedded server, one meter for each gasp."""
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, binaries=binaries, settings=SETTINGS) as server,
    ):
        server.create_database("ours")
        url = server.url("ours")
        with Database(url) as database:
            database.upgrade()
            each = min(_METERS_EACH, gasps)
            substations = gasps // each
            fill_registry(database.engine, substations=substations, meters_each=each)
            devices = give_onus(database.engine)
            with Pipeline(database) as pipeline:
                pipeline.topology  # settles what was inserted: no part of the storm  # noqa: B018
            started_at = datetime.now(UTC).replace(microsecond=0) - _RECEIVED_AFTER
            streams, expected = _deal(devices, substations, started_at, processes, Path(folder))
            seconds, memory = _pass_over(url, streams, started_at + _RECEIVED_AFTER)
            return {
                "gasps": gasps,
                "deliveries": expected["deliveries"],
                "processes": processes,
                "seconds": round(seconds, 1),
                "deliveries_per_s": round(expected["deliveries"] / seconds),
                "largest_process_mb": memory,
                "wrong": _compare(database.engine, expected),
            }


def _deal(
    devices: list[tuple[int, str]], substations: int, started_at: datetime, processes: int, folder: Path
) -> tuple[list[Path], dict[str, Any]]:
    # Written to files, so that no process holds the storm in memory.
    chance = random.Random(7)
    chosen = devices.copy()
    chance.shuffle(chosen)
    deliveries: list[tuple[float, str, bytes]] = []
    hopeless = unsound = 0
    for key, device in enumerate(chosen):
        happened_s = chance.uniform(0, 1200)
        clock_s = chance.uniform(-4 * 3600, 4 * 3600) if chance.random() < _WRONG_CLOCK else 0.0
        if chance.random() < _HOPELESS:
            payload = b'{"event": {"eventId": "onu-%d", "type": "ONU_LastGasp' % key
            hopeless += 1
        else:
            at = started_at + timedelta(seconds=happened_s + clock_s)
            # A time ahead of its receipt counts at receipt, and never against what the registry knows.
            unsound += at > started_at + _RECEIVED_AFTER + timedelta(minutes=5)
            payload = onu_message(key, device, at)
        late_s = 1800.0 if chance.random() < _LATE else 0.0
        deliveries += [(late_s + chance.uniform(0, 1200), "onu", payload) for _ in range(_COPIES)]
    for number in range(substations):
        for kind, minute in (("De-energized", 5), ("Energized", 15)):
            event = {
                "eventId": f"{kind}-{number}",
                "eventType": kind,
                "alarmType": kind,
                "substationId": substation_code(number),
                "timestamp": (started_at + timedelta(minutes=minute)).isoformat(),
            }
            deliveries += [
                (minute * 60 + chance.uniform(0, 60), "scada", json.dumps(event).encode())
                for _ in range(_COPIES)
            ]
    deliveries.sort(key=lambda delivery: delivery[0])
    paths = [folder / f"stream-{number}" for number in range(processes)]
    files = [path.open("wb") for path in paths]
    for _, source, payload in deliveries:
        chance.choice(files).write(source.encode() + b" " + payload + b"\n")
    for file in files:
        file.close()
    return paths, {
        "deliveries": len(deliveries),
        "signals": len(devices) - hopeless,
        "trips": 2 * substations,
        "hopeless": hopeless,
        "unsound": unsound,
    }


def _pass_over(url: URL, streams: list[Path], received_at: datetime) -> tuple[float, int]:
    context = multiprocessing.get_context("spawn")
    largest = context.Value("q", 0)
    workers = [
        context.Process(target=_take_in, args=(url, stream, received_at, largest)) for stream in streams
    ]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not any(worker.exitcode for worker in workers)
    return time.perf_counter() - began, largest.value


def _take_in(url: URL, stream: Path, received_at: datetime, largest: Any) -> None:
    with Database(url) as database, Pipeline(database) as pipeline, stream.open("rb") as lines:
        batch: list[tuple[str, bytes]] = []
        for line in lines:
            source, _, payload = line.rstrip(b"\n").partition(b" ")
            batch.append((source.decode(), payload))
            if len(batch) == _AT_ONCE:
                pipeline.handle_batch(batch, received_at=received_at)
                batch.clear()
        pipeline.handle_batch(batch, received_at=received_at)
    with largest.get_lock():
        largest.value = max(largest.value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def _compare(engine: Engine, expected: dict[str, Any]) -> dict[str, Any]:
    asked = {
        "onu signals": ("SELECT count(*) FROM oms_topology.signal WHERE source = 'onu'", expected["signals"]),
        "onu events": ("SELECT count(*) FROM onu_events", expected["signals"]),
        "reports": (
            "SELECT count(*) FROM oms_topology.meter_report WHERE source = 'onu'",
            expected["signals"],
        ),
        "device reports": (
            "SELECT count(*) FROM oms_topology.signal WHERE source = 'scada'",
            expected["trips"],
        ),
        "dead letters": (
            "SELECT count(*) FROM oms_topology.dead_letter WHERE field = 'payload' AND reason = 'not JSON'",
            expected["hopeless"],
        ),
        "deliveries of dead letters": (
            "SELECT COALESCE(sum(deliveries), 0) FROM oms_topology.dead_letter",
            _COPIES * expected["hopeless"],
        ),
        "meters off": (
            "SELECT count(*) FROM oms_meters WHERE power_status = 'off'",
            expected["signals"] - expected["unsound"],
        ),
        "open outages": (
            "SELECT count(*) FROM oms_topology.outage_device WHERE ended_at IS NULL",
            0,
        ),
    }
    with engine.connect() as connection:
        found = {name: int(connection.execute(text(sql)).scalar_one()) for name, (sql, _) in asked.items()}
    return {
        name: {"found": found[name], "expected": wanted}
        for name, (_, wanted) in asked.items()
        if found[name] != wanted
    }


if __name__ == "__main__":
    main()
