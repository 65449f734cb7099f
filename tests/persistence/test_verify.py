"""What ``verify`` says about a database that is not quite as it should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from oms_topology.persistence.schema import verify
from oms_topology.persistence.snapshot import fresh_catalog_text, main
from oms_topology.persistence.verify import expected_catalog

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

CHANGES = {
    "a table is gone": (
        "DROP TABLE scada_raw_messages",
        [("error", "table", "public.scada_raw_messages", "missing")],
    ),
    "a column is gone": (
        "ALTER TABLE onus DROP COLUMN area_fibertech",
        [("error", "column", "public.onus.area_fibertech", "missing")],
    ),
    "a column has another type": (
        "ALTER TABLE onus ALTER COLUMN area_fibertech TYPE text",
        [("error", "column", "public.onus.area_fibertech", "different")],
    ),
    "a column became mandatory": (
        "ALTER TABLE onus ALTER COLUMN area_fibertech SET NOT NULL",
        [("error", "column", "public.onus.area_fibertech", "different")],
    ),
    "a default is gone": (
        "ALTER TABLE oms_customers ALTER COLUMN id DROP DEFAULT",
        [("error", "column", "public.oms_customers.id", "different")],
    ),
    "a foreign key is gone": (
        "ALTER TABLE meters DROP CONSTRAINT meters_onu_id_fkey",
        [("error", "key or check", "public.meters.meters_onu_id_fkey", "missing")],
    ),
    "a foreign key stands twice": (
        "ALTER TABLE scada_event_affected_meters ADD CONSTRAINT fk_scada_affected_event"
        " FOREIGN KEY (scada_event_id) REFERENCES scada_events (id) ON DELETE CASCADE",
        [("warning", "key or check", "public.scada_event_affected_meters.fk_scada_affected_event", "extra")],
    ),
    "a foreign key deletes": (
        "ALTER TABLE meters DROP CONSTRAINT meters_onu_id_fkey, ADD CONSTRAINT meters_onu_id_fkey"
        " FOREIGN KEY (onu_id) REFERENCES onus (id) ON DELETE CASCADE",
        [("error", "key or check", "public.meters.meters_onu_id_fkey", "different")],
    ),
    "a check is gone": (
        "ALTER TABLE oms_meters DROP CONSTRAINT oms_meters_power_status_check",
        [("error", "key or check", "public.oms_meters.oms_meters_power_status_check", "missing")],
    ),
    "a check was never validated": (
        "ALTER TABLE onus DROP CONSTRAINT onus_location_lat_check, ADD CONSTRAINT onus_location_lat_check"
        " CHECK (location_lat BETWEEN -90 AND 90) NOT VALID",
        [("warning", "key or check", "public.onus.onus_location_lat_check", "not validated")],
    ),
    "an index is gone": (
        "DROP INDEX idx_oms_meters_building",
        [("error", "index", "public.oms_meters.idx_oms_meters_building", "missing")],
    ),
    "an index has other columns": (
        "DROP INDEX idx_oms_meters_building; CREATE INDEX idx_oms_meters_building ON oms_meters (meter_type)",
        [("error", "index", "public.oms_meters.idx_oms_meters_building", "different")],
    ),
    "a trigger is off": (
        "ALTER TABLE onus DISABLE TRIGGER onu_onus_updated_at",
        [("error", "trigger", "public.onus.onu_onus_updated_at", "different")],
    ),
    "a trigger was added": (
        "CREATE TRIGGER mine BEFORE UPDATE ON onus FOR EACH ROW EXECUTE FUNCTION onu_update_updated_at()",
        [("warning", "trigger", "public.onus.mine", "extra")],
    ),
    "a view counts otherwise": (
        "CREATE OR REPLACE VIEW oms_meters_with_topology AS SELECT * FROM (SELECT m.id AS meter_id,"
        " m.meter_number, m.meter_type, m.communication_status, m.power_status, m.last_communication,"
        " m.last_power_change, m.location_lat, m.location_lng, c.customer_id, c.phone AS customer_phone,"
        " c.address AS customer_address, s.substation_id, s.name AS substation_name, f.feeder_id,"
        " f.name AS feeder_name, d.dp_id, d.name AS dp_name FROM oms_meters m, oms_customers c,"
        " network_substations s, network_feeders f, network_distribution_points d) AS everything",
        [("error", "view", "public.oms_meters_with_topology", "different")],
    ),
    "a view is gone": (
        "DROP VIEW oms_correlation_summary",
        [("error", "view", "public.oms_correlation_summary", "missing")],
    ),
    "a function lost its search path": (
        "ALTER FUNCTION get_meters_by_feeder(varchar) RESET search_path",
        [("error", "function", "public.get_meters_by_feeder(character varying)", "different")],
    ),
    "a function has another body": (
        "CREATE OR REPLACE FUNCTION haversine_distance_meters("
        "lat1 numeric, lon1 numeric, lat2 numeric, lon2 numeric) RETURNS double precision LANGUAGE sql"
        " AS 'SELECT 0.0::double precision'",
        [
            (
                "error",
                "function",
                "public.haversine_distance_meters(numeric, numeric, numeric, numeric)",
                "different",
            )
        ],
    ),
    "a function has a namesake": (
        "CREATE FUNCTION get_meters_by_feeder(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        [("warning", "function", "public.get_meters_by_feeder(integer)", "extra")],
    ),
    "something of ours is too many": (
        "CREATE TABLE oms_topology.left_over (a integer)",
        [("warning", "table", "oms_topology.left_over", "extra")],
    ),
    "a column of the user's refuses our rows": (
        "ALTER TABLE onus ADD COLUMN mine integer NOT NULL",
        [("error", "column", "public.onus.mine", "extra")],
    ),
    "the user's own things": (
        "CREATE TABLE mine (a integer PRIMARY KEY); CREATE VIEW my_view AS SELECT * FROM oms_meters;"
        " CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
        " CREATE INDEX my_index ON onus (olt_name); ALTER TABLE onus ADD COLUMN my_note text;"
        " CREATE TYPE my_type AS ENUM ('a')",
        [],
    ),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_each_change_is_said_and_nothing_else(database: Database, change: str) -> None:
    statement, expected = CHANGES[change]
    with database.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    found = verify(database.engine)
    assert {(str(one.severity), one.kind, one.name, one.state) for one in found} == set(expected)
    assert all(str(one).startswith(f"{one.severity}: {one.kind} {one.name} is {one.state}") for one in found)


def test_a_difference_names_both_sides(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE onus ALTER COLUMN olt_name TYPE varchar(9)")
    (deviation,) = verify(database.engine)
    assert deviation.expected == "type character varying(200)"
    assert deviation.found == "type character varying(9)"


def test_an_empty_database_lacks_everything(empty_database: Database) -> None:
    found = verify(empty_database.engine)
    expected = expected_catalog()
    assert len(found) == sum(len(section) for section in expected.values())
    assert {one.state for one in found} == {"missing"}


def test_the_shipped_catalog_is_that_of_a_fresh_install(any_version_server: LiveServer) -> None:
    fresh = json.loads(fresh_catalog_text(any_version_server.embedded.url("postgres")))
    hint = "run: python -m oms_topology.persistence.snapshot URL"
    assert fresh == expected_catalog(), hint


def test_the_snapshot_command_wants_one_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_function_pins_its_search_path_or_is_inlined() -> None:
    functions = expected_catalog()["functions"]
    unpinned = {
        name: (function["language"], function["volatility"])
        for name, function in functions.items()
        if not any(setting.startswith("search_path=") for setting in function["settings"])
    }
    # A pinned path keeps the planner from folding an expression into the query that calls it.
    assert {name: kind for name, kind in unpinned.items() if kind != ("sql", "i")} == {}
    assert not any(name.startswith("public.") for name in unpinned)


def test_no_index_is_on_what_every_event_changes() -> None:
    volatile = (
        "power_status",
        "communication_status",
        "last_communication",
        "last_power_change",
        "updated_at",
    )
    indexes = expected_catalog()["tables"]["public.oms_meters"]["indexes"]
    assert indexes
    assert [
        name for name, index in indexes.items() if any(column in index["definition"] for column in volatile)
    ] == []
