"""A small network in a real database, and the two doors by which SCADA messages reach it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import text

from oms_topology import Pipeline, Receipt, Topology
from oms_topology.service.intake import receipt_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oms_topology.persistence.database import Database

__all__ = ["NETWORK", "NOON", "Grid", "at", "event", "payload_file"]

# Two substations; M1 and M4 can be fed from the other one too.
#
#   SS1 -+- F1 -+-[SW1]- DP1 - M1 M2 M3        SS2 - F3 - DP4 - M8 M9
#        |      +-[SW2]- DP2 - M4 M5                 F3 ~> M1, M4
#        +- F2 ---[SW3]- DP3 - M6 M7
NETWORK = """
SS1 > F1; F1 >SW1> DP1 > M1..M3; F1 >SW2> DP2 > M4..M5
SS1 > F2; F2 >SW3> DP3 > M6..M7
SS2 > F3; F3 > DP4 > M8..M9
F3 ~> M1, M4
"""
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)
_PAYLOADS = Path(__file__).parents[1] / "payloads"


def at(minutes: float) -> datetime:
    """Give the instant so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def event(
    *,
    feeder: str | None = None,
    switch: str | None = None,
    substation: str | None = "SS1",
    minute: float = 0,
    alarm: str = "De-energized",
    **more: Any,
) -> dict[str, Any]:
    """Make a bare SCADA event; what is None is left out."""
    made = {
        "eventType": "MV_AlarmLossOfVoltage" if alarm == "De-energized" else "MV_AlarmRestoration",
        "substationId": substation,
        "feederId": feeder,
        "switchId": switch,
        "mainStationId": "82001",
        "alarmType": alarm,
        "timestamp": at(minute).isoformat().replace("+00:00", "Z"),
        "voltage": 0 if alarm == "De-energized" else 11000,
        "severity": "High",
        "reason": "Protection Trip",
    }
    return {key: value for key, value in (made | more).items() if value is not None}


def payload_file(name: str) -> dict[str, Any]:
    """Give one of the recorded SCADA messages."""
    loaded: dict[str, Any] = json.loads((_PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


class Grid:
    """A database with a network, asked in the tests' words."""

    def __init__(self, database: Database, network: str = NETWORK) -> None:
        self.database = database
        if network:
            database.store_network(Topology.from_text(network))

    def through_pipeline(self, payload: bytes | str | dict[str, Any]) -> Receipt:
        with Pipeline(self.database) as pipeline:
            return pipeline.handle("scada", payload)

    def through_sql(self, payload: dict[str, Any]) -> Receipt:
        return receipt_of("scada", self.answer(payload))

    def answer(self, payload: dict[str, Any]) -> dict[str, Any]:
        found = self.value(
            "SELECT public.insert_scada_event_with_meter_check(CAST(:message AS jsonb))",
            message=json.dumps(payload),
        )
        assert isinstance(found, dict)
        return found

    def door(self, name: str) -> Callable[[dict[str, Any]], Receipt]:
        return {"pipeline": self.through_pipeline, "sql": self.through_sql}[name]

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self.database.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    def value(self, statement: str, **parameters: Any) -> Any:
        found = self.rows(statement, **parameters)
        return found[0][0] if found else None

    def column(self, statement: str, **parameters: Any) -> list[Any]:
        return [row[0] for row in self.rows(statement, **parameters)]

    def off(self) -> list[str]:
        return self.column(
            "SELECT meter_number FROM oms_meters WHERE power_status = 'off' ORDER BY meter_number"
        )

    def power(self) -> dict[str, str]:
        return dict(self.rows("SELECT meter_number, power_status FROM oms_meters"))  # type: ignore[arg-type]

    def audit(self, meter: str) -> list[tuple[Any, ...]]:
        """Power rows of a meter in commit order: type, source, previous, new, when."""
        return self.rows(
            """
            SELECT e.event_type, e.source_type, e.previous_status, e.new_status, e.event_timestamp
            FROM oms_meter_status_events e JOIN oms_meters m ON m.id = e.meter_id
            WHERE m.meter_number = :meter AND e.event_type IN ('power_on', 'power_off')
            ORDER BY e.created_at, e.id
            """,
            meter=meter,
        )

    def outages(self) -> list[tuple[Any, ...]]:
        """Device, status, start and end of each outage, by its start."""
        return self.rows(
            """
            SELECT d.code, e.status, e.first_detected_at, e.actual_restoration_time
            FROM oms_outage_events e
            JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
            JOIN oms_topology.device d ON d.device_no = o.device_no
            ORDER BY e.first_detected_at, d.code
            """
        )

    def counts(self, *tables: str) -> dict[str, int]:
        return {table: self.value(f"SELECT count(*) FROM {table}") for table in tables}

    def everything(self) -> dict[str, list[str]]:
        """Every row of every table, as text: what a refused message may not change."""
        tables = self.column(
            """
            SELECT n.nspname || '.' || quote_ident(c.relname)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('public', 'oms_topology') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            """
        )
        return {
            table: self.column(f"SELECT t::text FROM ONLY {table} t ORDER BY 1")
            if not table.startswith("public.kaifa")
            else self.column(f"SELECT t::text FROM {table} t ORDER BY 1")
            for table in tables
        }

    def say(
        self, meters: Iterable[str], power: str, minute: float, *, source: str = "onu", event_id: str = ""
    ) -> None:
        """Let meters report their own power, as the ONU and KAIFA paths do."""
        with self.database.engine.begin() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            say(driver, list(meters), power, at(minute), source=source, event_id=event_id)


def say(
    connection: psycopg.Connection[Any],
    meters: list[str],
    power: str,
    when: datetime,
    *,
    source: str = "onu",
    event_id: str = "",
) -> None:
    """Record one signal of meters about their own power."""
    key = event_id or f"{source}-{meters[0]}-{len(meters)}-{power}-{when.timestamp()}"
    row = connection.execute(
        """
        INSERT INTO oms_topology.signal
            (source, source_event_id, content_hash, device_kind, power_status, occurred_at, received_at,
             payload)
        VALUES (%s, %s, 'given', 'meter', %s, %s, now(), '{}') RETURNING signal_no
        """,
        (source, key, power, when),
    ).fetchone()
    assert row is not None
    connection.execute(
        """
        SELECT oms_topology.record_meter_reports(
            array_agg(%s::bigint), array_agg(meter_no), '{}', '{}')
        FROM oms_meters WHERE meter_number = ANY (%s)
        """,
        (row[0], meters),
    )
