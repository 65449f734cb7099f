"""A storm replayed through the database: ``python -m benchmarks.outages.storm_database [--quick]``.

The storm of :mod:`benchmarks.outages.storm`, as the messages of three providers, three copies of each, in
random order: one process takes them in while another concludes outages, both into one database. When the dust
has settled, the outages are compared with what had failed, and all customers are told, twice. ``--meters N``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import text

from benchmarks.database.trip import SETTINGS
from benchmarks.events.messages import call_message, give_onus, kaifa_message, onu_message
from benchmarks.outages.speed import make_forest
from benchmarks.outages.storm import KINDS, START, draw_failures, draw_signals, levels_of, topology_of
from oms_topology import Database, OutageWorker, Pipeline
from oms_topology.model import PowerStatus, Source
from oms_topology.persistence.embedded import EmbeddedServer
from oms_topology.persistence.notifications import Outbox

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from sqlalchemy import URL, Engine

    from oms_topology.model import Signal

_COPIES = 3
_AT_ONCE = 4000
_POWER_UP = "3.26.0.216"
_SETTLED = timedelta(hours=2)
_CUSTOMERS = (
    """INSERT INTO oms_customers (customer_id, phone, address)
       SELECT 'C' || meter_no, meter_no::text, 'none' FROM oms_meters""",
    """UPDATE oms_meters m SET customer_id = c.id
       FROM oms_customers c WHERE c.customer_id = 'C' || m.meter_no""",
)
_OUTAGES = """
    SELECT b.code FROM oms_outage_events e JOIN oms_topology.outage_blame b ON b.outage_event_id = e.id
    WHERE e.status = 'detected'
"""
_WAITING = """
    SELECT (SELECT count(*) FROM oms_topology.inference_work)
           + (SELECT count(*) FROM oms_topology.inference_due WHERE due_at <= now())
"""


def main() -> None:
    """Print what the storm took and what it left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few meters: that it runs, not what it says")
    parser.add_argument("--meters", type=int, default=1_400_000)
    asked = parser.parse_args()
    print(json.dumps(measure(4_000 if asked.quick else asked.meters), indent=2))


def measure(count: int) -> dict[str, Any]:
    """Let the storm pass over a network of so many meters in a fresh embedded server."""
    chance = np.random.default_rng(6)
    parent = make_forest(count, chance)
    level = levels_of(parent)
    dead, truth = draw_failures(parent, level, chance)
    meters = np.flatnonzero(level == len(KINDS) - 1)
    signals = draw_signals(meters, dead[meters], chance)
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, settings=SETTINGS) as server,
    ):
        server.create_database("ours")
        url = server.url("ours")
        with Database(url) as database:
            database.upgrade()
            database.store_network(topology_of(parent, level))
            devices = {number: (meter_no, number) for meter_no, number in give_onus(database.engine)}
            with database.engine.begin() as connection:
                for statement in _CUSTOMERS:
                    connection.execute(text(statement))
            began_at = datetime.now(UTC) - _SETTLED
            messages = [_message(key, each, devices, began_at) for key, each in enumerate(signals)]
            order = chance.permutation(np.arange(_COPIES * len(messages)) % len(messages))
            seconds = _pass_over(url, [messages[at] for at in order])
            return {
                "meters": len(meters),
                "out": int(dead[meters].sum()),
                "messages": len(order),
                "distinct": len(messages),
                **seconds,
                **_outcome(database.engine, truth),
            }


def _message(
    key: int, signal: Signal, devices: dict[str, tuple[int, str]], began_at: datetime
) -> tuple[str, bytes]:
    device = devices[signal.device.code]
    at, has_power = began_at + (signal.occurred_at - START), signal.power_status is PowerStatus.ON
    if signal.source is Source.KAIFA:
        return "kaifa", kaifa_message(key, device, at, code=_POWER_UP if has_power else None)
    if signal.source is Source.ONU:
        kind = "ONU_PowerRestored" if has_power else "ONU_LastGaspAlert"
        return "onu", onu_message(key, device, at, kind=kind)
    return "call_center", call_message(key, device, at)


def _pass_over(url: URL, messages: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Take the messages in while a worker concludes; give how long until all was in, and concluded."""
    context = multiprocessing.get_context("spawn")
    stop, largest = context.Event(), context.Value("q", 0)
    worker = context.Process(target=_conclude, args=(url, stop, largest))
    worker.start()
    began = time.perf_counter()
    with Database(url) as database, Pipeline(database) as pipeline:
        for first in range(0, len(messages), _AT_ONCE):
            pipeline.handle_batch(messages[first : first + _AT_ONCE])
        taken_in_s = time.perf_counter() - began
        with database.engine.connect() as connection:
            while connection.execute(text(_WAITING)).scalar_one():
                connection.rollback()
                time.sleep(0.1)
    concluded_s = time.perf_counter() - began
    stop.set()
    worker.join()
    assert worker.exitcode == 0
    return {
        "taken_in_s": round(taken_in_s, 1),
        "concluded_s": round(concluded_s, 1),
        "worker_mb": largest.value,
    }


def _conclude(url: URL, stop: Event, largest: Any) -> None:
    with OutageWorker(str(url.render_as_string(hide_password=False))) as worker:
        worker.run(stop)  # type: ignore[arg-type]
    largest.value = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _outcome(engine: Engine, truth: set[str]) -> dict[str, Any]:
    with engine.connect() as connection:
        blamed = connection.execute(text(_OUTAGES)).scalars().all()
    began = time.perf_counter()
    told = Outbox(engine).queue()
    told_s = time.perf_counter() - began
    with engine.connect() as connection:
        customers = connection.execute(
            text("SELECT count(DISTINCT (customer_id, notification_type)) FROM oms_customer_notifications")
        ).scalar_one()
    return {
        "true_outages": len(truth),
        "tickets": len(blamed),
        "tickets_per_true_outage": round(len(blamed) / len(truth), 3),
        "right": len(truth & set(blamed)),
        "messages_to_customers": told,
        "customers_told": customers,
        "told_again": Outbox(engine).queue(),
        "told_s": round(told_s, 1),
    }


if __name__ == "__main__":
    main()
