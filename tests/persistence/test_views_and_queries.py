"""The deployed views and queries: what they count, that they add up, and what they read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

VIEW_COLUMNS = {
    "network_substations_with_meters": "id substation_id name location_lat location_lng status total_meters"
    " online_meters offline_meters unknown_meters comm_offline_meters",
    "network_feeders_with_meters": "id feeder_id name substation_id substation_code substation_name"
    " location_lat location_lng status total_meters online_meters offline_meters unknown_meters",
    "oms_meters_with_topology": "meter_id meter_number meter_type communication_status power_status"
    " last_communication last_power_change location_lat location_lng customer_id customer_phone"
    " customer_address substation_id substation_name feeder_id feeder_name dp_id dp_name",
    "oms_active_outages": "id event_id event_type status severity confidence_score affected_customers_count"
    " first_detected_at estimated_restoration_time substation_name feeder_name dp_name source_count"
    " source_types",
    "oms_correlation_summary": "outage_event_id event_id status confidence_score total_sources scada_sources"
    " kaifa_sources onu_sources call_center_sources first_source_detected last_source_detected",
}


@pytest.fixture
def grid(database: Database) -> Database:
    """Two substations, a feeder each; SS1 has on, off, unknown, unset, inactive and unmapped meters."""
    return fill(database)


def fill(database: Database) -> Database:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            """
            INSERT INTO network_substations (id, substation_id, name) VALUES
                (md5('SS1')::uuid, 'SS1', 'One'), (md5('SS2')::uuid, 'SS2', 'Two');
            INSERT INTO network_feeders (id, feeder_id, substation_id, name) VALUES
                (md5('F1')::uuid, 'F1', md5('SS1')::uuid, 'Feeder 1'),
                (md5('F2')::uuid, 'F2', md5('SS2')::uuid, 'Feeder 2');
            INSERT INTO network_distribution_points (id, dp_id, feeder_id, name) VALUES
                (md5('DP1')::uuid, 'DP1', md5('F1')::uuid, 'Pillar');
            INSERT INTO oms_customers (id, customer_id, phone, address) VALUES
                (md5('C1')::uuid, 'C1', '079', 'Street');
            INSERT INTO oms_meters (id, meter_number, power_status, communication_status, status, customer_id,
                                    substation_id, feeder_id, dp_id) VALUES
                (md5('M1')::uuid, 'M1', 'on', 'online', 'active', md5('C1')::uuid, md5('SS1')::uuid,
                 md5('F1')::uuid, md5('DP1')::uuid),
                (md5('M2')::uuid, 'M2', 'off', 'offline', 'active', NULL, NULL, NULL, NULL),
                (md5('M3')::uuid, 'M3', 'unknown', 'unknown', 'active', NULL, NULL, NULL, NULL),
                (md5('M4')::uuid, 'M4', NULL, NULL, 'active', NULL, NULL, NULL, NULL),
                (md5('M5')::uuid, 'M5', 'on', 'offline', 'inactive', NULL, NULL, NULL, NULL),
                (md5('M6')::uuid, 'M6', 'on', 'online', 'active', NULL, NULL, NULL, NULL);
            INSERT INTO network_substation_meters (substation_id, meter_id)
            SELECT md5('SS1')::uuid, md5('M' || n)::uuid FROM generate_series(1, 5) AS n;
            INSERT INTO network_feeder_meters (feeder_id, meter_id)
            SELECT md5('F1')::uuid, md5('M' || n)::uuid FROM generate_series(1, 5) AS n;
            """
        )
    return database


def rows(database: Database, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query, parameters)]


@pytest.mark.parametrize("view", list(VIEW_COLUMNS))
def test_the_columns_of_the_views_are_those_of_the_contract(database: Database, view: str) -> None:
    found = rows(
        database,
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        view,
    )
    assert [name for (name,) in found] == VIEW_COLUMNS[view].split()


def test_substations_count_active_meters_each_in_one_bucket(grid: Database) -> None:
    counted = "total_meters, online_meters, offline_meters, unknown_meters"
    assert rows(
        grid,
        f"SELECT substation_id, {counted}, comm_offline_meters FROM network_substations_with_meters"
        " ORDER BY substation_id",
    ) == [("SS1", 4, 1, 1, 2, 1), ("SS2", 0, 0, 0, 0, 0)]
    assert rows(
        grid, f"SELECT feeder_id, substation_code, {counted} FROM network_feeders_with_meters ORDER BY 1"
    ) == [("F1", "SS1", 4, 1, 1, 2), ("F2", "SS2", 0, 0, 0, 0)]


def test_meters_with_topology_shows_the_codes_of_active_meters(grid: Database) -> None:
    found = rows(
        grid,
        "SELECT meter_number, customer_id, customer_phone, substation_id, feeder_id, dp_id, dp_name"
        " FROM oms_meters_with_topology ORDER BY 1",
    )
    assert [row[0] for row in found] == ["M1", "M2", "M3", "M4", "M6"]
    assert found[0] == ("M1", "C1", "079", "SS1", "F1", "DP1", "Pillar")
    # M2 stands in the mappings alone; the registry has followed them.
    assert found[1][1:] == (None, None, "SS1", "F1", None, None)
    assert found[4][1:] == (None,) * 6


def test_outages_show_their_sources(grid: Database) -> None:
    with grid.engine.begin() as connection:
        connection.exec_driver_sql(
            """
            INSERT INTO oms_outage_events (
                id, event_id, event_type, status, first_detected_at, substation_id) VALUES
                (md5('O1')::uuid, 'O1', 'outage', 'confirmed', '2024-05-01Z', md5('SS1')::uuid),
                (md5('O2')::uuid, 'O2', 'outage', 'cleared', '2024-05-01Z', NULL),
                (md5('O3')::uuid, 'O3', 'outage', 'detected', '2024-05-01Z', NULL);
            INSERT INTO oms_event_sources (
                outage_event_id, source_type, source_event_id, source_table, detected_at) VALUES
                (md5('O1')::uuid, 'scada', 'a', 't', '2024-05-01 08:00Z'),
                (md5('O1')::uuid, 'onu', 'b', 't', '2024-05-01 08:01Z'),
                (md5('O1')::uuid, 'onu', 'c', 't', '2024-05-01 08:02Z'),
                (md5('O2')::uuid, 'kaifa', 'd', 't', '2024-05-01 08:03Z');
            """
        )
    assert rows(
        grid,
        "SELECT event_id, substation_name, source_count, source_types FROM oms_active_outages ORDER BY 1",
    ) == [("O1", "One", 3, "onu, scada"), ("O3", None, 0, None)]
    assert rows(
        grid,
        "SELECT event_id, total_sources, scada_sources, kaifa_sources, onu_sources, call_center_sources,"
        " last_source_detected - first_source_detected = interval '2 minutes'"
        " FROM oms_correlation_summary ORDER BY 1",
    ) == [("O1", 3, 1, 0, 2, 0, True), ("O2", 1, 0, 1, 0, 0, False), ("O3", 0, 0, 0, 0, 0, None)]


def test_meters_of_a_device_are_the_mapped_active_ones(grid: Database) -> None:
    for function, code in (("get_meters_by_substation", "SS1"), ("get_meters_by_feeder", "F1")):
        found = rows(grid, f"SELECT meter_number, power_status, customer_id::text FROM {function}(%s)", code)
        assert [row[:2] for row in found] == [("M1", "on"), ("M2", "off"), ("M3", "unknown"), ("M4", None)]
        assert rows(grid, f"SELECT * FROM {function}(%s)", "no such code") == []


@pytest.fixture(scope="module")
def registry(pg_server: LiveServer) -> Iterator[Database]:
    """The grid in a registry of 20,000 further meters under 200 substations; to be read only."""
    database = fill(pg_server.create(upgraded=True))
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            """
            INSERT INTO network_substations (id, substation_id, name)
            SELECT md5('S' || n)::uuid, 'S' || n, 'S' FROM generate_series(1, 200) AS n;
            INSERT INTO network_feeders (id, feeder_id, substation_id, name)
            SELECT md5('FD' || n)::uuid, 'FD' || n, md5('S' || n)::uuid, 'F'
            FROM generate_series(1, 200) AS n;
            SET LOCAL oms_topology.keeps_mappings = 'on';
            INSERT INTO oms_meters (id, meter_number, power_status, substation_id, feeder_id)
            SELECT md5('R' || n)::uuid, 'R' || n, 'on', md5('S' || (1 + mod(n, 200)))::uuid,
                   md5('FD' || (1 + mod(n, 200)))::uuid
            FROM generate_series(1, 20000) AS n;
            INSERT INTO network_substation_meters (substation_id, meter_id)
            SELECT md5('S' || (1 + mod(n, 200)))::uuid, md5('R' || n)::uuid
            FROM generate_series(1, 20000) AS n;
            INSERT INTO network_feeder_meters (feeder_id, meter_id)
            SELECT md5('FD' || (1 + mod(n, 200)))::uuid, md5('R' || n)::uuid
            FROM generate_series(1, 20000) AS n;
            ANALYZE;
            """
        )
    yield database
    pg_server.drop(database)


def scanned_whole(connection: Connection, query: str) -> set[str]:
    """Tables that the plan reads from end to end."""
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {query}").scalar_one()
    found: set[str] = set()
    pending = [node["Plan"] for node in (json.loads(plan) if isinstance(plan, str) else plan)]
    while pending:
        node = pending.pop()
        pending.extend(node.get("Plans", ()))
        if node["Node Type"] == "Seq Scan":
            found.add(node["Relation Name"])
    return found


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM network_substations_with_meters WHERE substation_id = 'S7'",
        "SELECT * FROM network_substations_with_meters WHERE id = md5('S7')::uuid",
        "SELECT * FROM network_feeders_with_meters WHERE feeder_id = 'FD7'",
        "SELECT * FROM network_feeders_with_meters WHERE substation_code = 'S7'",
        "SELECT * FROM oms_meters_with_topology WHERE meter_number = 'R7'",
        "SELECT * FROM oms_correlation_summary WHERE event_id = 'O1'",
        "SELECT m.* FROM network_substations s JOIN network_substation_meters sm ON sm.substation_id = s.id"
        " JOIN oms_meters m ON m.id = sm.meter_id WHERE s.substation_id = 'S7'",
    ],
)
def test_one_device_is_read_without_the_registry(registry: Database, query: str) -> None:
    with registry.engine.connect() as connection:
        whole = scanned_whole(connection, query)
    big = {"oms_meters", "network_substation_meters", "network_feeder_meters"}
    assert whole & big == set()


def test_the_whole_view_counts_every_mapping_once(registry: Database) -> None:
    assert rows(
        registry, "SELECT sum(total_meters), sum(online_meters) FROM network_substations_with_meters"
    ) == [(20_004, 20_001)]


def distance(database: Database, *degrees: float | None) -> float | None:
    query = "SELECT haversine_distance_meters(%s::numeric, %s::numeric, %s::numeric, %s::numeric)"
    (row,) = rows(database, query, *degrees)
    found: float | None = row[0]
    return found


def test_distances_are_those_of_the_sphere(database: Database) -> None:
    assert distance(database, 31.9539, 35.9106, 32.0731, 36.0880) == pytest.approx(21_341.104, abs=0.001)
    assert distance(database, 10, 20, 10, 20) == 0
    assert distance(database, 90, 0, -90, 0) == pytest.approx(math.pi * 6_371_000)
    for missing in range(4):
        assert distance(database, *[None if place == missing else 1.0 for place in range(4)]) is None


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    latitude=st.decimals(-90, 90, places=8),
    longitude=st.decimals(-180, 180, places=8),
    nudge=st.integers(-3, 3),
)
def test_antipodes_are_half_the_way_round_and_no_error(
    database: Database, latitude: Any, longitude: Any, nudge: int
) -> None:
    opposite = float(longitude) - math.copysign(180, longitude) + nudge * 1e-8
    found = distance(database, latitude, longitude, -latitude, opposite)
    assert found == pytest.approx(math.pi * 6_371_000, rel=1e-6)
