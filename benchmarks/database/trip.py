"""One SCADA trip, committed with full audit and durable: ours against the deployed function.

Run as ``python -m benchmarks.database.trip [--quick] [--substations 300] [--big 100000]``. Both sides
hold the same registry on the same server (fsync on), each in a database of its own; rounds alternate.
The deployed side is the contract's schema with all its indexes, keys and functions
(``benchmarks/database/deployed``).
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmarks.database.deployed.install import install_clean
from benchmarks.database.registry import BIG_SUBSTATION, fill_registry, substation_code
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer
from oms_topology.service.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

__all__ = ["SETTINGS", "main", "measure", "messages", "vacuum"]

SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
# Room for both databases, so that neither is pushed out while the other one is timed.
_ROOMY = SETTINGS | {"shared_buffers": "3GB"}
_METERS_EACH = 1000
_BIG_ROUNDS = 5
_RESTORED_DEPLOYED = """
    UPDATE oms_meters m SET power_status = 'on'
    FROM network_substations s WHERE s.substation_id = :code AND m.substation_id = s.id
"""
_RESTORED_OURS = """
    SELECT insert_scada_event_with_meter_check(jsonb_build_object(
        'eventType', 'Energized', 'alarmType', 'Energized', 'substationId', CAST(:code AS text),
        'timestamp', CAST(:at AS timestamptz)))
"""


def measure(
    *, substations: int = 300, rounds: int = 15, big: int = 100_000, binaries: Path | None = None
) -> dict[str, Any]:
    """Measure trips of 1,000 meters, and of ``big`` meters, on both sides in turn.

    Returns
    -------
    dict
        Medians in milliseconds, their ratios, and what the figures stand for.
    """
    with (
        tempfile.TemporaryDirectory(prefix="oms_topology_bench-") as folder,
        EmbeddedServer.start(folder, binaries=binaries, settings=_ROOMY) as server,
    ):
        server.create_database("deployed")
        server.create_database("ours")
        with Database(server.url("deployed")) as deployed, Database(server.url("ours")) as ours:
            version = {"postgresql": _version(ours.engine)}
            return version | _compare(deployed, ours, substations, rounds, big)


def _version(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("SHOW server_version").scalar_one())


def _compare(deployed: Database, ours: Database, substations: int, rounds: int, big: int) -> dict[str, Any]:
    install_clean(deployed.engine)
    ours.upgrade()
    for database in (deployed, ours):
        fill_registry(database.engine, substations=substations, meters_each=_METERS_EACH, big=big)
    with Pipeline(ours) as pipeline, deployed.engine.connect() as connection:
        pipeline.topology  # settles what was inserted  # noqa: B018
        vacuum(ours.engine)
        sides: dict[str, Callable[[dict[str, Any]], int]] = {
            "deployed": lambda message: _call_deployed(connection, message),
            "ours": lambda message: pipeline.handle("scada", message).offline_meters,
        }
        small = _alternate(
            sides, ours.engine, [substation_code(n) for n in range(rounds + 2)], _METERS_EACH, skipped=2
        )
        large = _alternate_big(sides, (deployed.engine, ours.engine), big) if big else {}
    return {
        "registry_meters": substations * _METERS_EACH + big,
        "trip_1000": _figures(small),
        "rounds": rounds,
        **({f"trip_{big}": _figures(large)} if big else {}),
    }


def vacuum(engine: Engine) -> None:
    """Vacuum, analyze and checkpoint, as a server at rest would have."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    _rest(engine)


def _rest(engine: Engine) -> None:
    # What one side has written must not be written out while the other one is timed.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CHECKPOINT")


def _call_deployed(connection: Any, message: dict[str, Any]) -> int:
    # The deployed table wants a feeder, and its function then takes the whole substation all the same.
    named = message | {"feederId": message["substationId"] + "F1"}
    statement = text("SELECT insert_scada_event_with_meter_check(CAST(:message AS jsonb))")
    answer = connection.execute(statement, {"message": json.dumps(named)}).scalar_one()
    connection.commit()
    return int(answer["offline_meters"])


def _alternate(
    sides: dict[str, Callable[[dict[str, Any]], int]],
    server: Engine,
    codes: list[str],
    meters: int,
    *,
    skipped: int = 0,
) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in sides}
    gc.disable()
    try:
        for code, message in zip(codes, messages(codes), strict=True):
            for name, handle in sides.items():
                _rest(server)
                began = time.perf_counter()
                offline = handle(message)
                taken[name].append(1000 * (time.perf_counter() - began))
                if offline != meters:
                    raise RuntimeError(f"{name}: {offline} of {meters} meters of {code} went off")
            gc.collect()
    finally:
        gc.enable()
    # The first calls plan their statements; nobody's figure.
    return {name: values[skipped:] for name, values in taken.items()}


def _alternate_big(
    sides: dict[str, Callable[[dict[str, Any]], int]], engines: tuple[Engine, Engine], meters: int
) -> dict[str, list[float]]:
    """Trip one large substation again and again; in between, untimed, it gets its power back and rests."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(_BIG_ROUNDS + 1):
        once = _alternate(sides, engines[0], [BIG_SUBSTATION], meters)
        for name, values in once.items():
            taken[name].extend(values)
        for engine, restored in zip(engines, (_RESTORED_DEPLOYED, _RESTORED_OURS), strict=True):
            with engine.begin() as connection:
                connection.execute(text(restored), {"code": BIG_SUBSTATION, "at": datetime.now(UTC)})
            vacuum(engine)
    return {name: values[1:] for name, values in taken.items()}


def messages(codes: list[str]) -> Iterator[dict[str, Any]]:
    """Give a trip of each substation, each a millisecond after the one before."""
    start = datetime.now(UTC)
    for number, code in enumerate(codes):
        yield {
            "eventType": "breaker_trip",
            "substationId": code,
            "mainStationId": "82001",
            "alarmType": "fault",
            "timestamp": (start + timedelta(milliseconds=number)).isoformat(),
            "voltage": 0,
            "severity": "High",
        }


def _figures(taken: dict[str, list[float]]) -> dict[str, float]:
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "deployed_ms": round(medians["deployed"], 2),
        "ours_ms": round(medians["ours"], 2),
        "times_faster": round(medians["deployed"] / medians["ours"], 1),
        "ours_min_ms": round(min(taken["ours"]), 2),
        "deployed_min_ms": round(min(taken["deployed"]), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small registry and few rounds")
    parser.add_argument("--substations", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--big", type=int, default=100_000)
    parser.add_argument("--binaries", type=Path, help="another PostgreSQL's bin directory")
    asked = parser.parse_args()
    if asked.quick:
        result = measure(substations=12, rounds=5, big=0, binaries=asked.binaries)
    else:
        result = measure(
            substations=asked.substations, rounds=asked.rounds, big=asked.big, binaries=asked.binaries
        )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
