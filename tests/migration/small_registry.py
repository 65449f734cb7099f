"""Rows of the providers' tables by a few words each, for tests that need a handful of meters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

AMMAN = (35.93, 31.95)
AQABA = (35.00, 29.53)
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


def after(minutes: float) -> datetime:
    """Give an instant some minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def near(place: tuple[float, float], east_m: float = 0.0, north_m: float = 0.0) -> tuple[float, float]:
    """Give a place some metres away, at the latitude of Amman."""
    return place[0] + east_m / 94_600, place[1] + north_m / 110_900


class Registry:
    """A database that is filled row by row, and asked for what became of them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def run(self, sql: str, **values: Any) -> list[Any]:
        """Run a statement in a transaction of its own; the rows it gives."""
        with self.database.engine.begin() as connection:
            done = connection.execute(text(sql), values)
            return list(done) if done.returns_rows else []

    def value(self, sql: str, **values: Any) -> Any:
        """Give the one value of a query."""
        ((found,),) = self.run(sql, **values)
        return found

    def substation(self, code: str, at: tuple[float, float] | None = None) -> None:
        self.run(
            "INSERT INTO network_substations (substation_id, name, location_lng, location_lat)"
            " VALUES (:code, :code, :x, :y)", code=code, x=at and at[0], y=at and at[1],
        )  # fmt: skip

    def feeder(self, code: str, substation: str, at: tuple[float, float] | None = None) -> None:
        self.run(
            "INSERT INTO network_feeders (feeder_id, substation_id, name, location_lng, location_lat)"
            " SELECT :code, id, :code, :x, :y FROM network_substations WHERE substation_id = :substation",
            code=code, substation=substation, x=at and at[0], y=at and at[1],
        )  # fmt: skip

    def point(
        self, code: str, feeder: str, at: tuple[float, float] | None = None, building: str | None = None
    ) -> None:
        self.run(
            "INSERT INTO network_distribution_points"
            " (dp_id, feeder_id, name, building_id, location_lng, location_lat)"
            " SELECT :code, id, :code, :building, :x, :y FROM network_feeders WHERE feeder_id = :feeder",
            code=code, feeder=feeder, building=building, x=at and at[0], y=at and at[1],
        )  # fmt: skip

    def onu(self, no: int, *, has_power: bool | None = None, at: datetime | None = None) -> None:
        self.run(
            "INSERT INTO onus (id, onu_serial_no, onu_power_flag, onu_power_flag_date)"
            " VALUES (:no, 'SN' || :no, :power, :at)", no=no, power=has_power, at=at,
        )  # fmt: skip

    def onu_meter(
        self,
        number: str,
        onu: int | None = None,
        at: tuple[float, float] | None = None,
        building: str | None = None,
    ) -> None:
        self.run(
            "INSERT INTO meters (meter_id, onu_id, building_id, location_lng, location_lat)"
            " VALUES (:number, :onu, :building, :x, :y)",
            number=number, onu=onu, building=building, x=at and at[0], y=at and at[1],
        )  # fmt: skip

    def onu_event(self, key: str, onu: int, kind: str, at: datetime) -> None:
        self.run(
            "INSERT INTO onu_events (event_id, onu_id, event_type, timestamp, raw_payload)"
            " VALUES (:key, :onu, :kind, :at, CAST('{}' AS jsonb))", key=key, onu=onu, kind=kind, at=at,
        )  # fmt: skip

    def kaifa(
        self,
        key: str,
        asset: str | None,
        point: str | None = None,
        *,
        kind: str = "PowerOutage",
        at: datetime = NOON,
    ) -> None:
        self.run(
            """
            WITH event AS (
                INSERT INTO kaifa_events (message_type, event_timestamp, created_at)
                VALUES ('EndDeviceEvent', :at, :at) RETURNING id
            ), header AS (
                INSERT INTO kaifa_event_headers (event_id, verb, noun, header_timestamp, message_id)
                SELECT id, 'created', 'EndDeviceEvents', :at, 'msg_' || :key FROM event
            ), payload AS (
                INSERT INTO kaifa_event_payloads
                    (event_id, event_id_value, created_date_time, severity, event_type_ref)
                SELECT id, 'msg_' || :key, :at, 'Critical', :kind FROM event RETURNING id
            ), asset AS (
                INSERT INTO kaifa_event_assets (payload_id, mrid)
                SELECT id, CAST(:asset AS text) FROM payload WHERE CAST(:asset AS text) IS NOT NULL
            )
            INSERT INTO kaifa_event_usage_points (payload_id, mrid)
            SELECT id, CAST(:point AS text) FROM payload WHERE CAST(:point AS text) IS NOT NULL
            """,
            key=key, asset=asset, point=point, kind=kind, at=at,
        )  # fmt: skip

    def call(self, key: str, number: str, phone: str | None = None) -> None:
        self.run(
            "WITH ticket AS (INSERT INTO callcenter_tickets (external_ticket_id, intake_timestamp)"
            " VALUES (:key, :at) RETURNING id)"
            " INSERT INTO callcenter_customers (ticket_id, meter_number, phone) SELECT id,"
            " :number, :phone FROM ticket",
            key=key, number=number, phone=phone, at=NOON,
        )  # fmt: skip

    def customer(
        self,
        code: str,
        *,
        phone: str | None = None,
        building: str | None = None,
        at: tuple[float, float] | None = None,
    ) -> None:
        self.run(
            "INSERT INTO oms_customers (customer_id, phone, building_id, location_lng, location_lat)"
            " VALUES (:code, :phone, :building, :x, :y)",
            code=code, phone=phone, building=building, x=at and at[0], y=at and at[1],
        )  # fmt: skip

    def link(self, number: str, kind: str) -> Any:
        """Give a meter's row of ``oms_topology.meter_link`` of one kind; None where there is none."""
        found = self.run(
            "SELECT l.status, l.rule, l.distance_m, l.second_distance_m, l.confidence"
            " FROM oms_topology.meter_link l JOIN oms_meters m ON m.meter_no = l.meter_no"
            " WHERE m.meter_number = :number AND l.target_kind = :kind", number=number, kind=kind,
        )  # fmt: skip
        return found[0] if found else None

    def placed(self, number: str) -> tuple[str | None, str | None, str | None, str | None]:
        """Give the codes of a meter's substation, feeder, distribution point and customer."""
        (row,) = self.run(
            "SELECT s.substation_id, f.feeder_id, d.dp_id, c.customer_id FROM oms_meters m"
            " LEFT JOIN network_substations s ON s.id = m.substation_id"
            " LEFT JOIN network_feeders f ON f.id = m.feeder_id"
            " LEFT JOIN network_distribution_points d ON d.id = m.dp_id"
            " LEFT JOIN oms_customers c ON c.id = m.customer_id WHERE m.meter_number = :number",
            number=number,
        )  # fmt: skip
        return tuple(row)  # type: ignore[return-value]

    def status(self, number: str) -> tuple[str | None, str | None]:
        """Give a meter's power and communication status."""
        (row,) = self.run(
            "SELECT power_status, communication_status FROM oms_meters WHERE meter_number = :number",
            number=number,
        )
        return tuple(row)  # type: ignore[return-value]

    def audit(self, number: str) -> list[tuple[str, str, str | None, str]]:
        """Give a meter's audit: event type, source, previous and new status, in event-time order."""
        rows = self.run(
            "SELECT e.event_type, e.source_type, e.previous_status, e.new_status FROM"
            " oms_meter_status_events e"
            " JOIN oms_meters m ON m.id = e.meter_id WHERE m.meter_number = :number"
            " ORDER BY e.event_timestamp, e.event_type", number=number,
        )  # fmt: skip
        return [tuple(row) for row in rows]

    def numbers(self) -> list[str]:
        """Give the numbers of all active meters, sorted."""
        return [row[0] for row in self.run(
            "SELECT meter_number FROM oms_meters WHERE status = 'active' ORDER BY meter_number COLLATE \"C\""
        )]  # fmt: skip
