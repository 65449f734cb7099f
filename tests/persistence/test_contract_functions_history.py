"""Correlating what an old installation left behind: the right events, once, in the order they happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

# Rows as the deployed services stored them: none passed through the library.
HISTORY = """
INSERT INTO scada_events (event_type, substation_id, main_station_id, feeder_id, alarm_type, event_timestamp,
                          voltage, latitude, longitude)
SELECT e.type, '4A00000Z901', '1', e.feeder, e.alarm, e.at::timestamptz, 0, e.lat, e.lng
FROM (VALUES ('MV_AlarmLossOfVoltage', 'F00Z901', 'De-energized', '2024-05-01T10:00Z', 31.9512, 35.9327),
             ('MV_AlarmRestoration', 'F00Z901', 'Energized', '2024-05-01T11:00Z', 31.9512, 35.9327),
             ('BreakerTrip', 'F00Z902', 'n', '2024-05-02T10:00Z', 32.5, 36.5),
             ('Telemetry', 'F00Z902', 'n', '2024-05-02T10:00Z', 32.5, 36.5)
     ) AS e (type, feeder, alarm, at, lat, lng);
INSERT INTO onus (id) VALUES (9100001);
INSERT INTO onu_events (event_id, onu_id, event_type, timestamp, location_lat, location_lng, raw_payload)
VALUES ('onu_1', 9100001, 'ONU_LastGaspAlert', '2024-05-01T10:00:30Z', 31.9454, 35.9284, '{}'),
       ('onu_2', 9100001, 'ONU_PowerRestored', '2024-05-01T11:00:30Z', 31.9454, 35.9284, '{}');
WITH said AS (
    INSERT INTO kaifa_events (message_type, event_timestamp)
    VALUES ('EndDeviceEvent', '2024-05-01T10:01Z'), ('EndDeviceEvent', '2024-05-01T10:02Z'),
           ('LastGasp', '2024-05-03T10:00Z')
    RETURNING id, message_type, event_timestamp
), payload AS (
    INSERT INTO kaifa_event_payloads (event_id, event_id_value, severity, event_type_ref)
    SELECT id, 'p' || row_number() OVER (ORDER BY event_timestamp), 'Critical',
           CASE WHEN message_type = 'LastGasp' THEN NULL
                WHEN event_timestamp = '2024-05-01T10:01Z' THEN 'PowerOutage' ELSE 'PowerRestored' END
    FROM said RETURNING id, event_id, event_type_ref
), asset AS (
    INSERT INTO kaifa_event_assets (payload_id, mrid, meter_id)
    SELECT p.id, m.meter_number, m.id FROM payload p, oms_meters m WHERE m.meter_number = 'M90000001'
)
INSERT INTO kaifa_event_status (payload_id, value)
SELECT id, 'offline' FROM payload WHERE event_type_ref IS NULL;
INSERT INTO callcenter_tickets (external_ticket_id, status, intake_timestamp)
VALUES ('T1', 'Registered', '2024-05-01T10:05Z'), ('T2', 'Restored', '2024-05-01T10:05Z');
INSERT INTO callcenter_customers (ticket_id, meter_number, meter_id)
SELECT t.id, m.meter_number, m.id FROM callcenter_tickets t, oms_meters m WHERE m.meter_number = 'M90000002';
"""


@pytest.fixture
def grid(database: Database) -> Grid:
    made = Grid(database.engine)
    made.run(HISTORY)
    return made


def test_history_is_correlated_once(grid: Grid) -> None:
    migrate = "SELECT * FROM migrate_and_correlate_events()"
    assert grid.rows(migrate) == [(6, 3, 2, 2, 1, 1)]
    outages = grid.rows("SELECT to_jsonb(e) FROM oms_outage_events e ORDER BY id")
    assert grid.rows(migrate) == [(0, 0, 0, 0, 0, 0)]
    assert grid.rows("SELECT to_jsonb(e) FROM oms_outage_events e ORDER BY id") == outages
    assert grid.rows(
        "SELECT e.first_detected_at::date::text, string_agg(s.source_type, ' ' ORDER BY s.detected_at)"
        " FROM oms_outage_events e JOIN oms_event_sources s ON s.outage_event_id = e.id"
        " GROUP BY e.id ORDER BY 1"
    ) == [("2024-05-01", "scada onu kaifa call_center"), ("2024-05-02", "scada"), ("2024-05-03", "kaifa")]


def test_result_columns_are_the_deployed_ones(grid: Grid) -> None:
    with grid.engine.begin() as connection:
        migrated = connection.exec_driver_sql("SELECT * FROM migrate_and_correlate_events()")
        assert " ".join(migrated.keys()) == (
            "migrated_events correlated_outages scada_events kaifa_events onu_events call_center_events"
        )
        checked = connection.exec_driver_sql("SELECT * FROM validate_migrated_data()")
        assert " ".join(checked.keys()) == "validation_check status count_value message"
        assert list(connection.exec_driver_sql("SELECT * FROM oms_migration_summary").keys()) == [
            "component",
            "count",
            "detail",
        ]


def test_validation_tells_what_is_left_and_what_is_wrong(grid: Grid) -> None:
    def checks() -> dict[str, tuple[str, int]]:
        rows = grid.rows("SELECT validation_check, status, count_value FROM validate_migrated_data()")
        return {name: (status, count) for name, status, count in rows}

    assert checks()["uncorrelated_events"] == ("WARNING", 6)
    grid.rows("SELECT * FROM migrate_and_correlate_events()")
    assert {status for status, _ in checks().values()} == {"PASS"}
    grid.run(
        "INSERT INTO oms_event_sources"
        " (outage_event_id, source_type, source_event_id, source_table, detected_at)"
        " SELECT e.id, 'onu', 'onu_1', 'onu_events', now() FROM oms_outage_events e ON CONFLICT DO NOTHING;"
        " INSERT INTO oms_meters (meter_number) VALUES ('nowhere');"
        " INSERT INTO oms_outage_events (event_id, event_type, first_detected_at, confidence_score)"
        " VALUES ('bare', 'outage', now(), NULL);"
        " UPDATE callcenter_customers SET meter_id = NULL"
    )
    assert checks() == {
        "uncorrelated_events": ("PASS", 0),
        "outages_without_source": ("WARNING", 1),
        "outages_without_timeline": ("WARNING", 1),
        "sources_in_several_outages": ("FAIL", 1),
        "confidence_out_of_range": ("FAIL", 1),
        "callers_without_meter": ("WARNING", 2),
        "meters_without_supply": ("WARNING", 1),
    }


def test_summary_counts_what_there_is(grid: Grid) -> None:
    grid.rows("SELECT * FROM migrate_and_correlate_events()")
    summary = {
        name: (count, detail) for name, count, detail in grid.rows("SELECT * FROM oms_migration_summary")
    }
    assert summary["Outage Events"] == (3, "3 open")
    assert summary["Meters"] == (5, "5 active")
    assert summary["Event Sources"] == (6, "3 outages with sources")


def test_what_the_library_recorded_itself_is_not_correlated_again(database: Database) -> None:
    grid = Grid(database.engine)
    grid.call("insert_scada_event_with_meter_check", payload("scada_loss_of_voltage.function"))
    assert grid.rows("SELECT * FROM migrate_and_correlate_events()") == [(0, 0, 0, 0, 0, 0)]
    assert grid.count("oms_outage_events") == 1
