"""Messages per second into the database, durable and audited: ``python -m benchmarks.events.throughput``.

Parsed from bytes, recorded with status, audit and inbox, committed with ``fsync`` on: batches in one process
and in four, single messages one by one, duplicates, and the latency of small batches at half the load. Where
other work shares the machine, look at the processor time of a message in the database and in Python (Linux).
``--meters`` sets the size of the registry, ``--binaries DIR`` takes another PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmarks.database.registry import fill_registry
from benchmarks.database.trip import SETTINGS
from benchmarks.events.messages import MAKERS, give_onus
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer
from oms_topology.service.pipeline import Pipeline

if TYPE_CHECKING:
    from sqlalchemy import URL

_AT_ONCE = 1000
_METERS_EACH = 1000
_WARMED_UP = 200
_BACKENDS = text(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
)
Device = tuple[int, str]


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not how fast")
    parser.add_argument("--meters", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=60_000, help="of each kind, in batches")
    parser.add_argument("--binaries", type=Path, default=None)
    asked = parser.parse_args()
    meters, messages = (2_000, 1_500) if asked.quick else (asked.meters, asked.messages)
    print(json.dumps(measure(meters=meters, messages=messages, binaries=asked.binaries), indent=2))


def measure(*, meters: int, messages: int, binaries: Path | None = None) -> dict[str, Any]:
    """Measure on a fresh embedded server."""
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, binaries=binaries, settings=SETTINGS) as server,
    ):
        server.create_database("ours")
        url = server.url("ours")
        with Database(url) as database:
            database.upgrade()
            fill_registry(database.engine, substations=meters // _METERS_EACH, meters_each=_METERS_EACH)
            devices = give_onus(database.engine)
            with Pipeline(database) as pipeline:
                pipeline.topology  # settles what was inserted  # noqa: B018
                figures = {"meters": meters, "messages": messages} | _one_process(
                    database, pipeline, devices, messages
                )
        figures["onu_four_processes_per_s"] = _four_processes(url, devices, messages)
        return figures


def _messages(source: str, devices: list[Device], count: int, *, first: int) -> list[tuple[str, bytes]]:
    chosen = random.Random(first)
    start = datetime.now(UTC) - timedelta(minutes=30)
    make = MAKERS[source]
    return [
        (
            source,
            make(first + n, chosen.choice(devices), start + timedelta(microseconds=10 * (first % 10**8 + n))),
        )
        for n in range(count)
    ]


def _one_process(
    database: Database, pipeline: Pipeline, devices: list[Device], messages: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    mixed = _messages("onu", devices, messages * 8 // 10, first=4 * 10**6)
    mixed += _messages("kaifa", devices, messages // 10, first=5 * 10**6)
    mixed += _messages("call_center", devices, messages // 10, first=6 * 10**6)
    random.Random(1).shuffle(mixed)
    streams = {
        "onu": _messages("onu", devices, messages, first=10**6),
        "kaifa": _messages("kaifa", devices, messages // 4, first=2 * 10**6),
        "call_center": _messages("call_center", devices, messages // 10, first=3 * 10**6),
        "mixed_80_10_10": mixed,
    }
    for name, stream in streams.items():
        pipeline.handle_batch(
            _messages("onu", devices, 300, first=8 * 10**6 + len(figures) * 1000)
        )  # connects
        in_database, in_python = _database_cpu_s(database), time.process_time()
        figures[f"{name}_per_s"] = round(len(stream) / _take_in(pipeline, stream))
        used_s = {
            "database": _database_cpu_s(database) - in_database,
            "python": time.process_time() - in_python,
        }
        figures[f"{name}_cpu_us"] = {where: round(1e6 * s / len(stream), 1) for where, s in used_s.items()}
    again = streams["onu"][: messages // 2]
    with Pipeline(database) as other:  # which has not seen them, and then has
        figures["onu_duplicates_per_s"] = round(len(again) / _take_in(other, again))
        figures["onu_duplicates_just_seen_per_s"] = round(len(again) / _take_in(other, again))
    for place, source in enumerate(MAKERS):
        single = _messages(source, devices, 150, first=(20 + place) * 10**6)
        figures[f"{source}_one_message_ms"] = round(1000 * statistics.median(_singles(pipeline, single)), 2)
    half = figures["mixed_80_10_10_per_s"] / 2
    figures["p99_ms_at_half_load"] = round(1000 * _latency(pipeline, devices, half), 1)
    return figures


def _database_cpu_s(database: Database) -> float:
    with database.engine.connect() as connection:
        pids = connection.execute(_BACKENDS).scalars().all()
    files = [Path(f"/proc/{pid}/stat") for pid in pids]
    # The 14th and 15th field, counted behind the name in brackets: user's and system's ticks.
    used = [file.read_text().rpartition(")")[2].split()[11:13] for file in files if file.exists()]
    return sum(int(ticks) for pair in used for ticks in pair) / os.sysconf("SC_CLK_TCK")


def _take_in(pipeline: Pipeline, stream: list[tuple[str, bytes]]) -> float:
    began = time.perf_counter()
    for start in range(0, len(stream), 4 * _AT_ONCE):
        receipts = pipeline.handle_batch(stream[start : start + 4 * _AT_ONCE])
        assert all(receipt.accepted for receipt in receipts)
    return time.perf_counter() - began


def _singles(pipeline: Pipeline, stream: list[tuple[str, bytes]]) -> list[float]:
    taken = []
    for source, payload in stream:
        began = time.perf_counter()
        pipeline.handle(source, payload)
        taken.append(time.perf_counter() - began)
    return taken


def _latency(pipeline: Pipeline, devices: list[Device], per_s: float) -> float:
    # Messages come evenly; whatever has come when the writer is free is its next batch.
    stream = _messages("onu", devices, int(per_s * 5), first=40 * 10**6)
    waited: list[float] = []
    began, done = time.perf_counter(), 0
    while done < len(stream):
        come = min(len(stream), int((time.perf_counter() - began) * per_s))
        if come == done:
            time.sleep(0.001)
            continue
        pipeline.handle_batch(stream[done:come])
        now = time.perf_counter() - began
        waited += [now - n / per_s for n in range(done, come)]
        done = come
    return statistics.quantiles(waited, n=100)[98]


def _worker(url: URL, stream: list[tuple[str, bytes]], ready: Any, go: Any) -> None:
    with Database(url) as database, Pipeline(database) as pipeline:
        pipeline.handle_batch(stream[:_WARMED_UP])
        ready.release()
        go.wait()
        _take_in(pipeline, stream[_WARMED_UP:])
        ready.release()  # an interpreter's end is no part of it


def _four_processes(url: URL, devices: list[Device], messages: int) -> int:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    # Dealt by device, as a broker's keys do: one device's messages come to one process.
    streams = [_messages("onu", devices[n::4], messages // 4, first=50 * 10**6 + n * 10**6) for n in range(4)]
    workers = [context.Process(target=_worker, args=(url, stream, ready, go)) for stream in streams]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    began = time.perf_counter()
    go.set()
    for _ in workers:
        ready.acquire()
    seconds = time.perf_counter() - began
    for worker in workers:
        worker.join()
    assert not any(worker.exitcode for worker in workers)
    return round((messages - 4 * _WARMED_UP) / seconds)


if __name__ == "__main__":
    main()
