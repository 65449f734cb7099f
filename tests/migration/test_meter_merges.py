"""One physical meter under several names becomes one row: by which evidence, and how it is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oms_topology.errors import TopologyError
from oms_topology.migration.runner import undo_merge
from tests.migration.small_registry import AMMAN, Registry, after

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

REFERRERS = {
    "network_substation_meters": "meter_id",
    "network_feeder_meters": "meter_id",
    "oms_meter_status_events": "meter_id",
    "scada_event_affected_meters": "meter_id",
    "meters": "oms_meter_id",
    "onu_events": "meter_id",
    "kaifa_event_assets": "meter_id",
    "kaifa_event_usage_points": "meter_id",
    "callcenter_customers": "meter_id",
}  # fmt: skip


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(database)


def merges(registry: Registry) -> list[tuple[Any, ...]]:
    rows = registry.run(
        "SELECT survivor_number, merged_number, rule FROM oms_topology.meter_merge ORDER BY merge_no"
    )
    return [tuple(row) for row in rows]


def test_numbers_that_differ_in_case_and_blanks_are_one_meter(registry: Registry) -> None:
    registry.onu(7)
    registry.onu_meter("m1000 ", 7)
    registry.run("INSERT INTO oms_meters (meter_number) VALUES (' M1000'), ('M1000'), ('M2000')")
    registry.database.migrate_legacy()
    assert registry.numbers() == ["M1000", "M2000"]
    assert merges(registry) == [("M1000", " M1000", "same_number")]
    assert registry.value("SELECT onu_id FROM oms_meters WHERE meter_number = 'M1000'") == 7


def test_an_asset_is_found_by_number_registry_pair_name_or_usage_point(registry: Registry) -> None:
    for number in ("M1001", "M1002", "M1003", "M1004"):
        registry.onu_meter(number)
    registry.run("INSERT INTO oms_meters (meter_number, usage_point_mrid) VALUES ('M1004', 'up_4')")
    registry.run("INSERT INTO oms_smart_meters (meter_number, asset_mrid) VALUES ('M1002', 'asset_2')")
    registry.kaifa("1", " m1001", "up_1")
    registry.kaifa("2", "asset_2", "up_2")
    registry.kaifa("3", "asset_3", "up_3")
    registry.run("UPDATE kaifa_event_assets SET name = 'M1003' WHERE mrid = 'asset_3'")
    registry.kaifa("4", "asset_4", "up_4")
    registry.kaifa("5", "asset_5", "up_5")
    registry.database.migrate_legacy()
    assert registry.numbers() == ["M1001", "M1002", "M1003", "M1004", "asset_5"]
    known = (
        "SELECT meter_number, asset_mrid FROM oms_meters WHERE asset_mrid IS NOT NULL ORDER BY meter_number"
    )
    assert [tuple(row) for row in registry.run(known)] == [
        ("M1001", "m1001"), ("M1002", "asset_2"), ("M1003", "asset_3"), ("M1004", "asset_4"),
        ("asset_5", "asset_5"),
    ]  # fmt: skip
    told = registry.run("SELECT name, rule FROM oms_topology.meter_alias ORDER BY name")
    assert [tuple(row) for row in told] == [
        ("ASSET_2", "registry_pair"), ("ASSET_3", "asset_name"), ("ASSET_4", "usage_point"),
    ]  # fmt: skip


def test_a_row_known_by_its_mrid_is_the_only_meter_of_its_onu(registry: Registry) -> None:
    registry.onu(7)
    registry.onu_meter("M1000", 7)
    registry.database.migrate_legacy()
    registry.run("INSERT INTO oms_meters (meter_number, asset_mrid, onu_id) VALUES ('asset_1', 'asset_1', 7)")
    registry.database.migrate_legacy()
    assert merges(registry) == [("M1000", "asset_1", "onu_association")]
    assert registry.value("SELECT asset_mrid FROM oms_meters") == "asset_1"


def test_a_number_as_somebody_typed_it_is_the_registrys(registry: Registry) -> None:
    registry.onu_meter("M-1000234", at=AMMAN)
    registry.run("INSERT INTO oms_meters (meter_number) VALUES ('m1000.234')")
    registry.call("T1", "M 1000-234", "0790000001")
    registry.database.migrate_legacy()
    assert merges(registry) == [("M-1000234", "m1000.234", "typed_number")]
    assert registry.value("SELECT count(*) FROM callcenter_customers WHERE meter_id IS NOT NULL") == 1


def test_two_meters_of_the_onu_service_are_never_one(registry: Registry) -> None:
    for number in ("M1001", "M1002"):
        registry.onu_meter(number)
    registry.run("INSERT INTO oms_meters (meter_number, asset_mrid) VALUES ('M1001', 'a'), ('M1002', 'a')")
    report = registry.database.migrate_legacy()
    assert registry.numbers() == ["M1001", "M1002"]
    (finding,) = [finding for finding in report.findings if finding.rule == "conflicting_identity"]
    assert finding.ids == ("M1001 = M1002",)


def test_a_merge_moves_everything_and_undoing_it_moves_everything_back(registry: Registry) -> None:
    make_twins(registry)
    before = state(registry)
    registry.run(
        "SELECT oms_topology.merge_meters(ARRAY[a.meter_no], ARRAY[b.meter_no],"
        " ARRAY['asset_mrid'], ARRAY['asset 1'])"
        " FROM oms_meters a, oms_meters b WHERE a.meter_number = 'M1000' AND b.meter_number = 'asset_1'"
    )
    assert registry.numbers() == ["M1000"]
    merged = state(registry)
    assert {owner for table in REFERRERS for owner in merged[table].values()} == {"M1000"}
    # The older row's "off" stays older than the younger row's "on"; now one meter has said both.
    assert registry.status("M1000")[0] == "on"
    assert registry.value("SELECT customer_id IS NOT NULL FROM oms_meters") is True
    assert (
        undo_merge(registry.database.engine, registry.value("SELECT merge_no FROM oms_topology.meter_merge"))
        == "asset_1"
    )
    assert state(registry) == before
    assert registry.status("M1000")[0] == "on"
    assert registry.status("asset_1")[0] == "off"


def test_what_was_taken_back_stays_two_and_is_told(registry: Registry) -> None:
    registry.run("INSERT INTO oms_meters (meter_number, asset_mrid) VALUES ('M1000', 'a1'), ('a1', 'a1')")
    registry.database.migrate_legacy()
    merge_no = registry.value("SELECT merge_no FROM oms_topology.meter_merge")
    undo_merge(registry.database.engine, merge_no)
    report = registry.database.migrate_legacy()
    assert registry.numbers() == ["M1000", "a1"]
    assert "conflicting_identity" in {finding.rule for finding in report.findings}
    with pytest.raises(TopologyError, match=f"no merge {merge_no}"):
        undo_merge(registry.database.engine, merge_no)


def make_twins(registry: Registry) -> None:
    """Make two rows of one meter, each named by something in every table that names meters."""
    registry.substation("S1", AMMAN)
    registry.feeder("F1", "S1")
    registry.customer("C1")
    registry.onu(7)
    registry.run(
        "INSERT INTO oms_meters (meter_number, power_status, last_power_change) VALUES ('M1000',"
        " 'on', :late)",
        late=after(30),
    )
    registry.run(
        "INSERT INTO oms_meters (meter_number, asset_mrid, power_status, last_power_change,"
        " customer_id, substation_id)"
        " SELECT 'asset_1', 'asset_1', 'off', :early, c.id, s.id FROM oms_customers c, network_substations s",
        early=after(0),
    )
    registry.kaifa("1", "asset_1", "up_1")
    registry.call("T1", "asset_1")
    registry.onu_meter("asset_1", 7)
    registry.onu_event("e1", 7, "ONU_LastGaspAlert", after(0))
    for table, column in REFERRERS.items():
        if table in (
            "kaifa_event_assets",
            "kaifa_event_usage_points",
            "callcenter_customers",
            "meters",
            "onu_events",
        ):
            registry.run(
                f"UPDATE {table} SET {column} = (SELECT id FROM oms_meters WHERE meter_number = 'asset_1')"
            )
    registry.run(
        "INSERT INTO network_substation_meters (substation_id, meter_id) SELECT s.id, m.id"
        " FROM network_substations s, oms_meters m"
    )
    registry.run(
        "INSERT INTO network_feeder_meters (feeder_id, meter_id) SELECT f.id, m.id"
        " FROM network_feeders f, oms_meters m WHERE meter_number = 'asset_1'"
    )
    registry.run(
        "INSERT INTO oms_meter_status_events (meter_id, event_type, source_type, previous_status, new_status,"
        " event_timestamp) SELECT id, 'power_' || power_status, 'system', 'unknown', power_status,"
        " last_power_change"
        " FROM oms_meters"
    )
    registry.run(
        "WITH e AS (INSERT INTO scada_events (event_type, substation_id, feeder_id,"
        " main_station_id, alarm_type,"
        " event_timestamp) VALUES ('BreakerTrip', 'S1', 'F1', '1', 'De-energized', :at) RETURNING id)"
        " INSERT INTO scada_event_affected_meters (scada_event_id, meter_id) SELECT e.id, m.id"
        " FROM e, oms_meters m",
        at=after(0),
    )
    registry.run("SELECT oms_topology.settle()")


def state(registry: Registry) -> dict[str, dict[str, Any]]:
    """Tell which meter each row of each table names, and what the registry says of each meter."""
    found: dict[str, dict[str, Any]] = {}
    for table, column in REFERRERS.items():
        rows = registry.run(
            f"SELECT t.id::text, m.meter_number FROM {table} t JOIN oms_meters m ON m.id = t.{column}"
        )
        found[table] = {row[0]: row[1] for row in rows}
    rows = registry.run(
        "SELECT meter_number, id::text, meter_no, customer_id::text, substation_id::text,"
        " asset_mrid, power_status"
        " FROM oms_meters"
    )
    found["oms_meters"] = {row[0]: tuple(row[1:]) for row in rows}
    reports = registry.run(
        "SELECT m.meter_number, r.occurred_at, r.power_status FROM oms_topology.meter_report r"
        " JOIN oms_meters m ON m.meter_no = r.meter_no ORDER BY 1, 2, 3"
    )
    found["meter_report"] = {str(number): tuple(row) for number, row in enumerate(reports)}
    return found
