"""What the deployed link script and its like do to the mappings, done to ours: weaknesses [99] to [110]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb
from sqlalchemy.exc import DBAPIError

from tests.properties.test_topology_image import UNEQUAL

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

# As apply_topology_connections.py sends them, but for the distance, which is measured on the plane here.
LINK_NEAREST = """
    INSERT INTO network_substation_meters (substation_id, meter_id, priority)
    SELECT DISTINCT ON (m.id) s.id, m.id, 2
    FROM oms_meters m CROSS JOIN network_substations s
    WHERE m.location_lat IS NOT NULL
    ORDER BY m.id, (s.location_lat - m.location_lat) ^ 2 + (s.location_lng - m.location_lng) ^ 2
    ON CONFLICT (substation_id, meter_id) DO NOTHING
"""
LINK_THE_REST_TO_ALL = """
    INSERT INTO network_substation_meters (substation_id, meter_id, priority)
    SELECT s.id, m.id, 3
    FROM oms_meters m CROSS JOIN network_substations s
    WHERE m.location_lat IS NULL
      AND NOT EXISTS (SELECT FROM network_substation_meters x WHERE x.meter_id = m.id)
    ON CONFLICT (substation_id, meter_id) DO NOTHING
"""
M1, M2, F3, SS3 = (f"md5('{code}')::uuid" for code in ("M1", "M2", "F3", "SS3"))
GRID = """
    INSERT INTO network_substations (id, substation_id, name, location_lat, location_lng)
    SELECT md5('SS' || n)::uuid, 'SS' || n, 'Station', 31 + n / 10.0, 36 FROM generate_series(1, 6) n;
    INSERT INTO network_feeders (id, feeder_id, substation_id, name)
    SELECT md5('F' || n)::uuid, 'F' || n, md5('SS' || n)::uuid, 'Feeder' FROM generate_series(1, 6) n;
    INSERT INTO oms_meters (id, meter_number, feeder_id, location_lat, location_lng, power_status, status)
    VALUES (md5('M1')::uuid, 'M1', md5('F1')::uuid, 31.6, 36, 'on', 'active'),
           (md5('M2')::uuid, 'M2', NULL, 31.2, 36, 'off', 'active'),
           (md5('M3')::uuid, 'M3', NULL, NULL, NULL, NULL, 'active'),
           (md5('M4')::uuid, 'M4', NULL, NULL, NULL, 'on', 'inactive'),
           (md5('M5')::uuid, 'M5', md5('F2')::uuid, NULL, NULL, 'on', 'inactive');
"""


@pytest.fixture
def grid(database: Database) -> Database:
    """Six substations, a feeder each; M1 on F1 though nearest to SS6, M2 at SS2, M3 and M4 nowhere."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(GRID)
    return database


def run(database: Database, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with database.engine.begin() as connection:
        result = connection.exec_driver_sql(statement, parameters)
        return [tuple(row) for row in result] if result.returns_rows else []


def mappings(database: Database) -> list[tuple[Any, ...]]:
    return run(
        database,
        "SELECT m.meter_number, s.substation_id, f.feeder_id, x.priority FROM network_substation_meters x"
        " JOIN oms_meters m ON m.id = x.meter_id JOIN network_substations s ON s.id = x.substation_id"
        " LEFT JOIN network_feeders f ON f.id = x.feeder_id ORDER BY 1, 2",
    )


def trip(database: Database, substation: str) -> int:
    payload = {
        "eventType": "MV_AlarmLossOfVoltage",
        "alarmType": "De-energized",
        "substationId": substation,
        "feederId": None,
        "timestamp": "2025-10-01T12:00:00Z",
    }
    run(database, "SELECT oms_topology.settle()")
    ((answer,),) = run(database, "SELECT insert_scada_event_with_meter_check(%s)", Jsonb(payload))
    return int(answer["total_meters"])


def test_w99_what_the_script_maps_to_all_substations_is_used_by_none(grid: Database) -> None:
    for _ in range(2):
        run(grid, LINK_THE_REST_TO_ALL)
    assert [row for row in mappings(grid) if row[0] in ("M3", "M4")] == []
    quarantined = run(
        grid,
        "SELECT m.meter_number, count(*), min(q.row ->> 'priority') FROM oms_topology.quarantined_mapping q"
        " JOIN oms_meters m ON m.id = q.meter_id WHERE q.reason = 'fan_out' GROUP BY 1 ORDER BY 1",
    )
    assert quarantined == [("M3", 6, "3"), ("M4", 6, "3")]
    assert trip(grid, "SS4") == 0
    assert run(grid, "SELECT sum(total_meters) FROM network_substations_with_meters") == [(1,)]


def test_w101_the_script_leaves_a_meter_in_one_place_for_all_who_ask(grid: Database) -> None:
    run(grid, LINK_NEAREST)
    assert [row[:3] for row in mappings(grid)] == [
        ("M1", "SS1", "F1"),
        ("M2", "SS2", None),
        ("M5", "SS2", "F2"),
    ]
    seen = run(grid, "SELECT meter_number, substation_id FROM oms_meters_with_topology ORDER BY 1")
    assert seen == [("M1", "SS1"), ("M2", "SS2"), ("M3", None)]
    for substation, meters in (("SS1", ["M1"]), ("SS2", ["M2"]), ("SS6", [])):
        asked = run(grid, "SELECT meter_number FROM get_meters_by_substation(%s)", substation)
        assert [number for (number,) in asked] == meters
        assert trip(grid, substation) == len(meters)
    # That M1 was mapped to the nearest is not forgotten.
    told = run(grid, "SELECT reason, \"row\" ->> 'priority' FROM oms_topology.quarantined_mapping")
    assert told == [("against_feeder", "2")]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (f"UPDATE oms_meters SET feeder_id = {F3} WHERE id = {M1}", ("M1", "SS3", "F3", 2)),
        (
            f"UPDATE network_substation_meters SET substation_id = {SS3}, feeder_id = {F3}"
            f" WHERE meter_id = {M1}",
            ("M1", "SS3", "F3", 2),
        ),
        (f"UPDATE network_feeder_meters SET feeder_id = {F3} WHERE meter_id = {M1}", ("M1", "SS3", "F3", 2)),
        # A substation alone does not take a meter from its feeder; nor does a mapping that is deleted.
        (f"UPDATE oms_meters SET substation_id = {SS3} WHERE id = {M1}", ("M1", "SS1", "F1", 2)),
        ("DELETE FROM network_feeder_meters", ("M1", "SS1", "F1", 2)),
        ("DELETE FROM network_substation_meters", ("M1", "SS1", "F1", 4)),
        (f"UPDATE network_feeders SET substation_id = {SS3} WHERE feeder_id = 'F1'", ("M1", "SS3", "F1", 2)),
        (
            f"INSERT INTO network_feeder_meters (feeder_id, meter_id) VALUES ({F3}, {M2})",
            ("M2", "SS3", "F3", 4),
        ),
    ],
)  # fmt: skip
def test_w102_whichever_side_is_written_all_say_the_same(
    grid: Database, statement: str, expected: tuple[Any, ...]
) -> None:
    run(grid, "UPDATE network_substation_meters SET priority = 2 WHERE meter_id = md5('M1')::uuid")
    run(grid, statement)
    assert run(grid, UNEQUAL.replace("%", "%%")) == []
    assert expected in mappings(grid)
    meter, substation, feeder, _ = expected
    assert run(
        grid,
        "SELECT substation_id, feeder_id FROM oms_meters_with_topology WHERE meter_number = %s",
        meter,
    ) == [(substation, feeder)]
    assert run(grid, "SELECT meter_number FROM get_meters_by_feeder(%s)", feeder) == [(meter,)]


def test_w102_an_old_service_may_add_the_mapping_itself(grid: Database) -> None:
    """Without ON CONFLICT, as it could before somebody else added it; and again after a clean-up."""
    insert = (
        "INSERT INTO network_feeder_meters (feeder_id, meter_id) VALUES (md5('F1')::uuid, md5('M1')::uuid)"
    )
    for _ in range(2):
        run(grid, insert)
        assert run(
            grid, "SELECT priority, is_derived FROM network_feeder_meters WHERE meter_id = md5('M1')::uuid"
        ) == [(2, False)]
        with pytest.raises(DBAPIError, match="network_feeder_meters_feeder_id_meter_id_key"):
            run(grid, insert)
        run(grid, "DELETE FROM network_feeder_meters")


def test_w103_priority_is_one_scale_and_stays_with_the_meter(grid: Database) -> None:
    for wrong in (0, 5, 9):
        with pytest.raises(DBAPIError, match="network_substation_meters_priority_check"):
            run(grid, "UPDATE network_substation_meters SET priority = %s", wrong)
    # What nobody called critical is not, whatever the column's default says.
    assert [row[3] for row in mappings(grid)] == [4, 4]
    run(grid, "UPDATE network_substation_meters SET priority = 1 WHERE meter_id = md5('M1')::uuid")
    run(grid, "UPDATE oms_meters SET feeder_id = md5('F4')::uuid WHERE meter_number = 'M1'")
    assert mappings(grid)[0] == ("M1", "SS4", "F4", 1)
    ((critical,),) = run(grid, "SELECT count(*) FROM network_substation_meters WHERE priority = 1")
    assert critical == 1


def test_w104_the_total_is_the_sum_of_its_parts(grid: Database) -> None:
    run(grid, LINK_NEAREST)
    run(grid, "UPDATE oms_meters SET feeder_id = md5('F2')::uuid WHERE meter_number IN ('M3', 'M4')")
    for view, device in (("network_substations_with_meters", "SS2"), ("network_feeders_with_meters", "F2")):
        code = "substation_id" if device == "SS2" else "feeder_id"
        ((total, online, offline, unknown),) = run(
            grid,
            "SELECT total_meters, online_meters, offline_meters, unknown_meters"
            f" FROM {view} WHERE {code} = %s",
            device,
        )
        assert total == online + offline + unknown
        assert total == {"SS2": 2, "F2": 1}[device]
        assert unknown == 1


def test_w110_what_was_written_down_outlives_an_emptied_registry(grid: Database) -> None:
    assert trip(grid, "SS1") == 1
    written = "SELECT meter_id::text, new_status FROM oms_meter_status_events"
    before = run(grid, written)
    assert before
    run(grid, "TRUNCATE oms_customers, network_substations CASCADE")
    assert run(grid, "SELECT count(*) FROM oms_meters") == [(0,)]
    assert run(grid, written) == before
