"""The deployed side of every ratio does what the deployed database does, its faults included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb
from sqlalchemy.exc import DBAPIError

from benchmarks.database.deployed.install import install_clean

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

TRIP = {
    "eventType": "breaker_trip",
    "substationId": "SS1",
    "feederId": "F1",
    "mainStationId": "82001",
    "alarmType": "breaker_trip",
    "timestamp": "2024-05-01T10:00:00Z",
    "voltage": 0,
    "severity": "Critical",
    "reason": "Protection Trip",
    "coordinates": {"lat": 31.95, "lng": 35.93},
}


@pytest.fixture
def deployed(empty_database: Database) -> Database:
    install_clean(empty_database.engine)
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql(
            """
            INSERT INTO network_substations (id, substation_id, name) VALUES (md5('SS1')::uuid, 'SS1', 'One');
            INSERT INTO network_feeders (id, feeder_id, substation_id, name)
            SELECT md5('F' || n)::uuid, 'F' || n, md5('SS1')::uuid, 'Feeder' FROM generate_series(1, 2) AS n;
            INSERT INTO oms_meters (id, meter_number, power_status, communication_status, last_communication,
                                    onu_id, asset_mrid)
            SELECT md5('M' || n)::uuid, 'M' || n, 'on', 'online',
                   CASE WHEN n <= 6 THEN '2024-05-01T09:00:00Z'::timestamptz ELSE '2024-05-01T09:59:00Z' END,
                   n, 'asset_' || n
            FROM generate_series(1, 10) AS n;
            INSERT INTO network_substation_meters (substation_id, meter_id)
            SELECT md5('SS1')::uuid, id FROM oms_meters;
            INSERT INTO network_feeder_meters (feeder_id, meter_id)
            SELECT md5('F' || (1 + mod(onu_id, 2)))::uuid, id FROM oms_meters;
            """
        )
    return empty_database


def call(database: Database, query: str, *parameters: Any) -> Any:
    with database.engine.begin() as connection:
        return connection.exec_driver_sql(query, parameters).scalar_one()


def test_all_objects_of_the_contract_stand(deployed: Database) -> None:
    tables = call(
        deployed,
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition",
    )
    secondary = call(
        deployed,
        "SELECT count(*) FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indrelid"
        " WHERE c.relnamespace = 'public'::regnamespace AND NOT x.indisprimary AND NOT c.relispartition",
    )
    assert (tables, secondary) == (38, 128)


def test_a_trip_takes_the_whole_substation_and_each_delivery_makes_an_outage(deployed: Database) -> None:
    query = "SELECT insert_scada_event_with_meter_check(%s)"
    first = call(deployed, query, Jsonb(TRIP))
    assert {
        key: first[key] for key in ("meters_checked", "total_meters", "offline_meters", "online_meters")
    } == {
        "meters_checked": True,
        "total_meters": 10,
        "offline_meters": 6,
        "online_meters": 4,
    }
    second = call(deployed, query, Jsonb(TRIP))
    assert second["outage_event_id"] != first["outage_event_id"]
    assert call(deployed, "SELECT count(*) FROM oms_meter_status_events") == 12
    assert call(deployed, "SELECT min(severity) FROM oms_outage_events") == "Critical"
    real = call(deployed, query, Jsonb({**TRIP, "alarmType": "De-energized"}))
    assert real["reason"] == "Non-critical alarm type"


def test_the_other_entry_points_store_what_they_are_given(deployed: Database) -> None:
    gasp = {"eventId": "e1", "type": "ONU_LastGaspAlert", "onuId": "7", "timestamp": "2024-05-01T10:00:00Z"}
    call(deployed, "SELECT insert_onu_event_from_json_with_meter_sync(%s)", Jsonb(gasp))
    assert call(deployed, "SELECT power_status FROM oms_meters WHERE onu_id = 7") == "off"
    kaifa = {
        "message_type": "EndDeviceEvent",
        "timestamp": "2024-05-01T10:00:00Z",
        "header": {"verb": "created", "noun": "EndDeviceEvents", "timestamp": "2024-05-01T10:00:00Z"},
        "payload": {"severity": "critical", "assets": {"ns2:mRID": "asset_8"}, "event_details": []},
    }
    call(deployed, "SELECT insert_kaifa_event_from_json_with_meter_sync(%s)", Jsonb(kaifa))
    assert call(deployed, "SELECT power_status FROM oms_meters WHERE asset_mrid = 'asset_8'") == "off"
    ticket = {"ticketId": "TC_1", "timestamp": "2024-05-01T10:00:00Z", "customer": {"meterNumber": "M9"}}
    call(deployed, "SELECT insert_callcenter_ticket_from_json_with_meter_link(%s)", Jsonb(ticket))
    assert call(deployed, "SELECT count(*) FROM callcenter_customers WHERE meter_id = md5('M9')::uuid") == 1
    with pytest.raises(DBAPIError, match="Missing required fields: ticketId, timestamp, customer"):
        call(
            deployed,
            "SELECT insert_callcenter_ticket_from_json_with_meter_link(%s)",
            Jsonb({"ticketId": "x"}),
        )
    assert call(deployed, "SELECT tickets_processed FROM sync_callcenter_tickets_to_meters()") == 0
    call(deployed, "SELECT update_meter_status('M1', 'banana', 'power_off', 'system')")
    assert call(deployed, "SELECT power_status FROM oms_meters WHERE meter_number = 'M1'") == "banana"
    report = "SELECT oms_correlate_events('outage', 'onu', %s, '2024-05-01T10:00:00Z', 31.95, 35.93)::text"
    assert call(deployed, report, "a") == call(deployed, report, "b")
    assert call(deployed, "SELECT confidence_score::text FROM oms_active_outages") == "0.60"
