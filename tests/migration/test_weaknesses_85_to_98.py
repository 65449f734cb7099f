"""What the deployed migration gets wrong: one test for each weakness from 85 to 98."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from tests.migration.small_registry import AMMAN, AQABA, Registry, after, near

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(database)


def rules_of(registry: Registry) -> set[str]:
    return {finding.rule for finding in registry.database.migrate_legacy().findings}


def test_w85_the_promised_limits_are_applied(registry: Registry) -> None:
    registry.substation("AQ1", AQABA)
    registry.onu_meter("M1000", at=AMMAN)
    registry.database.migrate_legacy()
    assert registry.placed("M1000")[0] is None
    assert registry.link("M1000", "substation").status == "too_far"
    registry.substation("AM1", near(AMMAN, north_m=4_900))
    registry.feeder("AF1", "AM1", near(AMMAN, north_m=2_100))
    registry.database.migrate_legacy()
    assert registry.placed("M1000")[:2] == ("AM1", None)
    assert registry.link("M1000", "substation").distance_m == pytest.approx(4_900, rel=0.01)
    assert registry.link("M1000", "feeder").status == "too_far"
    registry.feeder("AF2", "AM1", near(AMMAN, north_m=1_900))
    registry.database.migrate_legacy()
    assert registry.placed("M1000")[:2] == ("AM1", "AF2")


def test_w86_the_first_run_links(registry: Registry) -> None:
    registry.substation("AM1", AMMAN)
    registry.onu_meter("M1000", at=AMMAN)
    assert registry.database.migrate_legacy().totals.with_substation == 1


def test_w87_no_sample_is_inserted_and_a_feeder_stays_with_its_substation(registry: Registry) -> None:
    registry.substation("AM1", AMMAN)
    registry.substation("AQ1", AQABA)
    registry.feeder("FD001", "AQ1", AQABA)
    registry.onu_meter("M1000", at=AMMAN)
    registry.database.migrate_legacy()
    assert registry.run("SELECT substation_id FROM network_substations ORDER BY 1") == [("AM1",), ("AQ1",)]
    assert registry.run("SELECT feeder_id FROM network_feeders") == [("FD001",)]
    assert registry.placed("M1000")[:2] == ("AM1", None)


def test_w88_one_asset_with_two_usage_points_is_one_meter_and_stops_no_other(registry: Registry) -> None:
    registry.kaifa("1", "asset_1", "up_1", at=after(0))
    registry.kaifa("2", "asset_1", "up_2", at=after(5))
    registry.kaifa("3", "asset_2", "up_3")
    registry.database.migrate_legacy()
    assert registry.numbers() == ["asset_1", "asset_2"]
    assert registry.value("SELECT usage_point_mrid FROM oms_meters WHERE meter_number = 'asset_1'") == "up_2"
    assert (
        registry.value("SELECT count(DISTINCT meter_id) FROM kaifa_event_usage_points WHERE mrid < 'up_3'")
        == 1
    )


def test_w89_a_long_mrid_is_registered_reported_and_found_again(registry: Registry) -> None:
    long = "urn:uuid:" + "x" * 91
    registry.kaifa("1", long, "up_1", at=after(0))
    registry.kaifa("2", "asset_2")
    assert "mrid_too_long" in rules_of(registry)
    registry.kaifa("3", long, "up_1", kind="PowerRestored", at=after(9))
    registry.database.migrate_legacy()
    assert registry.value("SELECT count(*) FROM oms_meters WHERE asset_mrid = :mrid", mrid=long) == 1
    assert (
        registry.value(
            "SELECT count(DISTINCT meter_id) FROM kaifa_event_assets WHERE mrid = :mrid", mrid=long
        )
        == 1
    )
    assert (
        registry.value("SELECT length(meter_number) FROM oms_meters WHERE asset_mrid = :mrid", mrid=long)
        == 64
    )


def test_w90_history_is_recorded_once_and_not_beside_what_was_recorded_live(registry: Registry) -> None:
    registry.onu(7)
    registry.onu_meter("M1000", 7)
    registry.onu_event("e1", 7, "ONU_LastGaspAlert", after(0))
    registry.onu_event("e2", 7, "ONU_PowerRestored", after(5))
    registry.kaifa("k1", "M1000", at=after(9))
    for _ in range(3):
        registry.database.migrate_legacy()
    power = [row for row in registry.audit("M1000") if row[0].startswith("power")]
    assert power == [
        ("power_off", "onu", "unknown", "off"),
        ("power_on", "onu", "off", "on"),
        ("power_off", "kaifa", "on", "off"),
    ]  # fmt: skip


def test_w90_an_event_that_an_old_service_put_into_the_audit_is_not_told_again(registry: Registry) -> None:
    registry.onu(7)
    registry.onu_meter("M1000", 7)
    registry.run(
        "INSERT INTO oms_meters (meter_number, onu_id, power_status, last_power_change)"
        " VALUES ('M1000', 7, 'off', :at)",
        at=after(0),
    )
    registry.run(
        "INSERT INTO oms_meter_status_events (meter_id, event_type, source_type,"
        " source_event_id, previous_status,"
        " new_status, event_timestamp, confidence_score)"
        " SELECT id, 'power_off', 'onu', 'e1', 'on', 'off', :at, 0.85 FROM oms_meters, generate_series(1, 3)",
        at=after(0),
    )  # fmt: skip
    registry.onu_event("e1", 7, "ONU_LastGaspAlert", after(0))
    registry.database.migrate_legacy()
    assert [row[0] for row in registry.audit("M1000")].count("power_off") == 3
    assert registry.status("M1000")[0] == "off"


def test_w91_source_ids_that_are_no_uuid_stop_nothing(registry: Registry) -> None:
    registry.run(
        "WITH o AS (INSERT INTO oms_outage_events (event_id, event_type, status, severity, first_detected_at)"
        " VALUES ('OMS_1', 'outage', 'detected', 'high', :at) RETURNING id)"
        " INSERT INTO oms_event_sources (outage_event_id, source_type, source_event_id,"
        " source_table, detected_at)"
        " SELECT id, 'kaifa', 'msg_1759305744528_1', 'kaifa_events', :at FROM o", at=after(0),
    )  # fmt: skip
    registry.customer("C1", at=AMMAN)
    registry.onu_meter("M1000", at=near(AMMAN, east_m=5))
    registry.kaifa("1759305744528_1", "M1000")
    registry.database.migrate_legacy()
    assert registry.placed("M1000")[3] == "C1"
    assert registry.status("M1000")[0] == "off"


def test_w92_what_the_onu_service_knows_now_is_in_the_registry(registry: Registry) -> None:
    registry.onu(7, has_power=True, at=after(0))
    registry.onu_meter("M1000", 7, building="B1")
    registry.database.migrate_legacy()
    assert registry.status("M1000") == ("on", "online")
    registry.run("UPDATE onus SET onu_power_flag = false, onu_power_flag_date = :at", at=after(60))
    registry.run(
        "UPDATE meters SET building_id = 'B2', location_lng = :x, location_lat = :y", x=AMMAN[0], y=AMMAN[1]
    )
    registry.database.migrate_legacy()
    assert registry.status("M1000") == ("off", "offline")
    row = registry.run("SELECT building_id, last_communication, location_lng FROM oms_meters")[0]
    assert (row[0], row[1], float(row[2])) == ("B2", after(60), AMMAN[0])


def test_w92_an_old_state_never_overwrites_a_newer_live_status(registry: Registry) -> None:
    registry.onu(7, has_power=False, at=after(0))
    registry.onu_meter("M1000", 7)
    registry.onu_event("e1", 7, "ONU_LastGaspAlert", after(-5))
    registry.run("INSERT INTO oms_meters (meter_number) VALUES ('M1000')")
    registry.run(
        "SELECT update_meter_status('M1000', 'on', 'power_on', 'kaifa', 'k9', CAST(:at AS timestamptz))",
        at=after(9),
    )
    registry.database.migrate_legacy()
    assert registry.status("M1000")[0] == "on"
    assert registry.value("SELECT last_power_change FROM oms_meters") == after(9)


def test_w93_a_building_of_many_customers_gives_none_of_them_to_a_meter(registry: Registry) -> None:
    for number in range(20):
        registry.customer(f"C{number:02}", building="TOWER")
    registry.customer("HOUSE", building=" villa ")
    for number, building in (("M1001", "TOWER"), ("M1002", "TOWER"), ("M1003", "Villa")):
        registry.onu_meter(number, building=building)
    registry.database.migrate_legacy()
    assert [registry.placed(number)[3] for number in ("M1001", "M1002", "M1003")] == [None, None, "HOUSE"]


def test_w94_phones_are_compared_by_their_digits_and_only_where_they_are_ones_own(registry: Registry) -> None:
    registry.customer("C1", phone="0790000001")
    registry.customer("C2", phone="+962 79 000 0002")
    registry.customer("C3", phone="079-000-0002")
    for number in range(1, 9):
        registry.onu_meter(f"M100{number}")
    registry.call("T1", "M1001", "00962 79-000 00 01")
    registry.call("T2", "M1002", "0790000002")
    registry.call("T3", "M1003", "0791234567")
    registry.call("T4", "M1003", "+962791234567")
    for number in range(4, 9):
        registry.call(f"T{number + 1}", f"M100{number}", "065555555")
    report = registry.database.migrate_legacy()
    assert registry.placed("M1001")[3] == "C1"
    assert (registry.placed("M1002")[3], registry.link("M1002", "customer").status) == (None, "ambiguous")
    caller = registry.placed("M1003")[3]
    assert caller is not None
    assert caller.startswith("CALLER_")
    assert "791234567" not in caller
    assert registry.placed("M1004")[3] is None
    assert {link.target_kind: link.by_rule for link in report.links}["customer"] == {"phone": 2}


def test_w95_two_rows_for_one_asset_become_one_and_the_winner_is_told(registry: Registry) -> None:
    registry.onu_meter("M1000")
    registry.run(
        "INSERT INTO oms_meters (meter_number, asset_mrid) VALUES ('M1000', 'asset_9'),"
        " ('asset_9', 'asset_9')"
    )
    registry.kaifa("1", "asset_9", "up_9")
    registry.database.migrate_legacy()
    assert registry.numbers() == ["M1000"]
    assert registry.run(
        "SELECT survivor_number, merged_number, rule, evidence FROM oms_topology.meter_merge"
    ) == [("M1000", "asset_9", "asset_mrid", "asset ASSET_9")]
    assert (
        registry.value("SELECT count(*) FROM kaifa_event_assets a JOIN oms_meters m ON m.id = a.meter_id")
        == 1
    )


def test_w96_an_onu_event_concerns_every_meter_of_the_onu(registry: Registry) -> None:
    registry.onu(7)
    for number in ("M1003", "M1001", "M1002"):
        registry.onu_meter(number, 7)
    registry.onu_event("e1", 7, "ONU_LastGaspAlert", after(0))
    registry.database.migrate_legacy()
    assert [registry.status(number) for number in ("M1001", "M1002", "M1003")] == [("off", "offline")] * 3
    linked = "SELECT m.meter_number FROM onu_events e JOIN oms_meters m ON m.id = e.meter_id"
    assert registry.value(linked) == "M1001"


def test_w97_the_work_is_done_by_sets_and_no_pair_of_all_with_all(registry: Registry) -> None:
    statements: list[str] = []
    event.listen(registry.database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    asked = []
    for count in (30, 300):
        for number in range(count):
            registry.onu_meter(f"M{count}{number:04}", at=near(AMMAN, east_m=number * 7.0, north_m=count))
        for number in range(count // 10):
            registry.substation(f"S{count}{number:04}", near(AMMAN, east_m=number * 70.0, north_m=count))
        statements.clear()
        registry.database.migrate_legacy()
        asked.append(len(statements))
    assert asked[0] == asked[1]
    nested = [sql for sql in statements if "CROSS JOIN public." in sql or "CROSS JOIN network_" in sql]
    assert nested == []


def test_w98_ties_go_to_the_lower_code_and_impossible_places_to_nobody(registry: Registry) -> None:
    for code in ("S2", "S1", "S3"):
        registry.substation(code, near(AMMAN, north_m=100))
    places = {"M1000": AMMAN, "M1001": (0.0, 0.0), "M1002": (AMMAN[1], AMMAN[0]), "M1003": None}
    for number, place in places.items():
        registry.onu_meter(number, at=place)
    for step in range(200):  # the swap is told by where all others are
        registry.onu_meter(f"N{step:04}", at=near(AMMAN, east_m=step))
    rules = rules_of(registry)
    assert {"position_swapped", "position_unusable"} <= rules
    assert [registry.placed(number)[0] for number in places] == ["S1", None, None, None]
    statuses = [registry.link(number, "substation").status for number in places]
    assert statuses == ["linked", "null_island", "suspected_swap", "no_position"]
    assert registry.link("M1000", "substation").confidence < 0.6


def test_a_message_that_comes_again_live_after_the_migration_is_known(registry: Registry) -> None:
    message = (
        '{"eventId": "e1", "onuId": 7, "type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T12:00:00Z"}'
    )
    registry.onu(7)
    registry.onu_meter("M1000", 7)
    registry.run(
        "INSERT INTO onu_events (event_id, onu_id, event_type, timestamp, raw_payload)"
        " VALUES ('e1', 7, 'ONU_LastGaspAlert', '2025-10-01T12:00:00Z', CAST(:message AS jsonb))",
        message=message,
    )  # fmt: skip
    registry.database.migrate_legacy()
    before = registry.audit("M1000")
    registry.run(
        "SELECT insert_onu_event_from_json_with_meter_sync(CAST(:message AS jsonb))", message=message
    )
    assert registry.audit("M1000") == before
    assert registry.value("SELECT count(*) FROM onu_events") == 1
