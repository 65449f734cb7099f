"""Statements that old services go on sending after the upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import DBAPIError

from oms_topology.persistence.schema import upgrade
from tests.persistence.deployed.shapes import build_shape_a

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database


@pytest.fixture
def upgraded(any_version_database: Database) -> Database:
    build_shape_a(any_version_database.engine)
    upgrade(any_version_database.engine)
    return any_version_database


def execute(database: Database, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with database.engine.begin() as connection:
        result = connection.exec_driver_sql(statement, parameters)
        return [tuple(row) for row in result] if result.returns_rows else []


def test_old_services_go_on_writing(upgraded: Database) -> None:
    """One database for all of them: they follow one another in life too."""
    _meters_are_upserted(upgraded)
    _updates_are_stamped_once(upgraded)
    _provider_rows_hang_on_meters(upgraded)
    _illegal_values_are_refused(upgraded)
    _a_deleted_parent_behaves_as_before(upgraded)
    _truncate_cascades(upgraded)


def _meters_are_upserted(database: Database) -> None:
    upsert = (
        "INSERT INTO oms_meters (meter_number, meter_type, onu_id, location_lat)"
        " VALUES (%s, 'smart', %s, 31.9)"
        " ON CONFLICT (meter_number) DO UPDATE SET onu_id = EXCLUDED.onu_id,"
        " location_lat = COALESCE(oms_meters.location_lat, EXCLUDED.location_lat) RETURNING id::text, onu_id"
    )
    first = execute(database, upsert, "NEW-1", 7)
    second = execute(database, upsert, "NEW-1", 8)
    assert first[0][0] == second[0][0]
    assert second[0][1] == 8
    defaults = execute(
        database,
        "SELECT power_status, communication_status, status FROM oms_meters WHERE meter_number = 'NEW-1'",
    )
    assert defaults == [("unknown", "unknown", "active")]


def _updates_are_stamped_once(database: Database) -> None:
    (before,) = execute(database, "SELECT updated_at, now() FROM oms_meters WHERE meter_number = 'M00000003'")
    execute(database, "UPDATE oms_meters SET power_status = 'on' WHERE meter_number = 'M00000003'")
    (after,) = execute(
        database, "SELECT power_status, updated_at FROM oms_meters WHERE meter_number = 'M00000003'"
    )
    assert after[0] == "on"
    assert before[0] < before[1] < after[1]
    given = "2030-01-01 00:00:00+00"
    (kept,) = execute(
        database,
        "UPDATE oms_meters SET updated_at = %s WHERE meter_number = 'M00000003'"
        " RETURNING updated_at = %s::timestamptz",
        given,
        given,
    )
    assert kept == (True,)
    (stamped,) = execute(
        database,
        "UPDATE network_substations SET name = 'x', updated_at = %s WHERE substation_id = 'SS001'"
        " RETURNING updated_at = now()",
        given,
    )
    assert stamped == (True,)
    (event,) = execute(database, "SELECT id FROM kaifa_events LIMIT 1")
    (stamped,) = execute(
        database,
        "UPDATE kaifa_events SET message_type = 'x' WHERE id = %s RETURNING updated_at = now()",
        event[0],
    )
    assert stamped == (True,)


def _provider_rows_hang_on_meters(database: Database) -> None:
    execute(
        database,
        "INSERT INTO onu_events (event_id, onu_id, event_type, timestamp, raw_payload, meter_id)"
        " SELECT 'onu_new', 3230316, 'ONU_PowerRestored', now(), '{}', id FROM oms_meters"
        " WHERE meter_number = 'M00000003'",
    )
    execute(
        database,
        "INSERT INTO oms_meter_status_events (meter_id, event_type, source_type, new_status, event_timestamp)"
        " SELECT id, 'power_on', 'onu', 'on', now() FROM oms_meters WHERE meter_number = 'M00000003'",
    )
    with pytest.raises(DBAPIError, match="onu_events_meter_id_fkey"):
        execute(
            database,
            "UPDATE onu_events SET meter_id = gen_random_uuid() WHERE event_id = 'onu_new'",
        )


def _illegal_values_are_refused(database: Database) -> None:
    for statement, check in (
        ("UPDATE oms_meters SET power_status = 'banana'", "power_status_check"),
        ("UPDATE network_substations SET location_lat = 91", "network_substations_location_lat_check"),
        ("UPDATE oms_outage_events SET status = 'lost'", "oms_outage_events_status_check"),
    ):
        with pytest.raises(DBAPIError, match=check):
            execute(database, statement)


def _a_deleted_parent_behaves_as_before(database: Database) -> None:
    execute(database, "DELETE FROM oms_customers WHERE customer_id = 'CUST_40'")
    (left,) = execute(database, "SELECT customer_id FROM oms_meters WHERE meter_number = 'M00000040'")
    assert left == (None,)
    execute(database, "DELETE FROM kaifa_events WHERE id = md5('KE1')::uuid")
    (assets,) = execute(database, "SELECT count(*) FROM kaifa_event_assets WHERE mrid = 'asset_1'")
    assert assets == (0,)


def _truncate_cascades(database: Database) -> None:
    execute(database, "TRUNCATE oms_meters CASCADE")
    (left,) = execute(
        database,
        "SELECT (SELECT count(*) FROM oms_meters) + (SELECT count(*) FROM network_substation_meters)"
        " + (SELECT count(*) FROM network_feeder_meters)",
    )
    assert left == (0,)
    execute(database, "INSERT INTO oms_meters (meter_number) VALUES ('AFTER')")
    (after,) = execute(database, "SELECT count(*) FROM oms_meters")
    assert after == (1,)
