"""Everything that stands in a database, to the row version, and without what chance and the clock decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

BOOKS = ("migration_run", "migration_step")

_TABLES = (
    "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace IN ('public'::regnamespace, 'oms_topology'::regnamespace) ORDER BY 1, 2"
)
_VERSIONS = (
    "SELECT md5(string_agg(t.xmin::text || t.ctid::text || t::text, '|' ORDER BY t.ctid)) FROM ONLY {} AS t"
)


def row_versions(database: Database) -> dict[str, str | None]:
    """Give one checksum a table over its rows, where they lie and who wrote them; none of the run's books."""
    with database.engine.connect() as connection:
        cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        cursor.execute(_TABLES)
        found: dict[str, str | None] = {}
        for schema, name in cursor.fetchall():
            if name not in BOOKS:
                cursor.execute(sql.SQL(_VERSIONS).format(sql.Identifier(schema, name)))
                found[f"{schema}.{name}"] = cursor.fetchone()[0]
        return found


_REGISTRY = """
    SELECT m.meter_number, m.meter_type, m.status, m.asset_mrid, m.usage_point_mrid, m.onu_id,
           m.onu_serial_no, m.building_id, m.location_lat, m.location_lng,
           s.substation_id, f.feeder_id, d.dp_id, c.customer_id, m.power_status,
           m.communication_status, m.last_power_change, m.last_communication
    FROM oms_meters m
    LEFT JOIN network_substations s ON s.id = m.substation_id
    LEFT JOIN network_feeders f ON f.id = m.feeder_id
    LEFT JOIN network_distribution_points d ON d.id = m.dp_id
    LEFT JOIN oms_customers c ON c.id = m.customer_id
    ORDER BY m.meter_number COLLATE "C"
"""
_LINKS = """
    SELECT l.target_kind, m.meter_number, l.status, l.rule, l.distance_m, l.second_distance_m, l.confidence
    FROM oms_topology.meter_link l JOIN oms_meters m ON m.meter_no = l.meter_no
    ORDER BY l.target_kind, m.meter_number COLLATE "C"
"""
_AUDIT = """
    SELECT m.meter_number, e.event_type, e.source_type, e.previous_status, e.new_status, e.event_timestamp
    FROM oms_meter_status_events e JOIN oms_meters m ON m.id = e.meter_id
    ORDER BY 1, 6, 2, 3, 4, 5
"""
_MAPPINGS = """
    SELECT s.substation_id, m.meter_number, f.feeder_id, x.priority
    FROM network_substation_meters x JOIN network_substations s ON s.id = x.substation_id
    JOIN oms_meters m ON m.id = x.meter_id LEFT JOIN network_feeders f ON f.id = x.feeder_id
    UNION ALL
    SELECT '', m.meter_number, f.feeder_id, x.priority
    FROM network_feeder_meters x JOIN oms_meters m ON m.id = x.meter_id
    JOIN network_feeders f ON f.id = x.feeder_id
    ORDER BY 1, 2, 3
"""

_QUERIES = {"meters": _REGISTRY, "links": _LINKS, "mappings": _MAPPINGS, "audit": _AUDIT}


def registry(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Give what a migration makes, by codes: registry, links, mappings and audit."""
    with database.engine.connect() as connection:
        return {
            name: [tuple(row) for row in connection.exec_driver_sql(query)]
            for name, query in (
                ("meters", _REGISTRY),
                ("links", _LINKS),
                ("mappings", _MAPPINGS),
                ("audit", _AUDIT),
            )
        }
