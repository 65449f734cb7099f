"""What the deployed SCADA path gets wrong, line by line [14-36], and what ours does instead."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from oms_topology import Pipeline, Topology
from tests.acceptance.scada_grid import NOON, Grid, at, event, payload_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

F1_METERS = ["M1", "M2", "M3", "M4", "M5"]


@pytest.fixture
def plain(database: Database) -> Grid:
    """A network without alternate supplies: every meter below a dead feeder is off."""
    return Grid(database, "SS1 > F1 > DP1 > M1..M10; SS1 > F2 > DP2 > M11..M50; SS2 > F3 > DP3 > M51..M60")


# -- 14: the alarms that the real source sends


@pytest.mark.parametrize("form", ["kafka", "function"])
@pytest.mark.parametrize("door", ["pipeline", "sql"])
def test_w14_real_events_are_checked_in_every_recorded_form(database: Database, form: str, door: str) -> None:
    grid = Grid(database, "")
    grid.rows("INSERT INTO network_substations (substation_id, name) VALUES ('4A00000Z901', 'North')")
    grid.rows(
        "INSERT INTO network_feeders (feeder_id, substation_id, name)"
        " SELECT 'F00Z901', id, 'F' FROM network_substations"
    )
    grid.rows(
        "INSERT INTO oms_meters (meter_number, feeder_id) SELECT 'M' || n, f.id"
        " FROM generate_series(1, 3) n, network_feeders f"
    )
    lost = grid.door(door)(payload_file(f"scada_loss_of_voltage.{form}"))
    assert (lost.total_meters, lost.offline_meters, lost.affected_customers) == (3, 3, 3)
    assert grid.off() == ["M1", "M2", "M3"]
    back = grid.door(door)(payload_file(f"scada_restoration.{form}"))
    assert (back.restored_meters, back.outage_event_id) == (3, lost.outage_event_id)
    assert grid.off() == []
    assert [status for _, status, *_ in grid.outages()] == ["restored"]


@pytest.mark.parametrize(
    "alarm", ["De-energized", "DE-ENERGISED", "fault", "Breaker_Trip", "power failure", "outage"]
)
def test_w14_every_alarm_of_loss_is_one_in_any_spelling(grid: Grid, handle: Any, alarm: str) -> None:
    receipt = handle(event(feeder="F2", alarm=alarm))
    assert receipt.offline_meters == 2
    assert grid.off() == ["M6", "M7"]


def test_w14_an_alarm_that_says_nothing_of_supply_is_kept_and_checks_nothing(grid: Grid, handle: Any) -> None:
    receipt = handle(event(feeder="F2", alarm="Door open", eventType="Intrusion"))
    assert receipt.accepted
    assert receipt.source_record_id is not None
    assert grid.off() == []
    assert grid.counts("scada_events", "oms_outage_events", "oms_meter_status_events") == {
        "scada_events": 1,
        "oms_outage_events": 0,
        "oms_meter_status_events": 0,
    }


def test_w14_the_documented_result_keys_are_kept(grid: Grid) -> None:
    checked = grid.answer(event(feeder="F2"))
    assert set(payload_file("scada_function_result_checked")) <= set(checked)
    assert checked["meters_checked"] is True
    unchecked = grid.answer(event(feeder="F2", alarm="Door open"))
    assert set(payload_file("scada_function_result_unchecked")) <= set(unchecked)
    assert (unchecked["meters_checked"], unchecked["reason"]) == (False, "Non-critical alarm type")


# -- 15: a feeder event concerns that feeder


def test_w15_a_feeder_event_concerns_the_meters_of_that_feeder_only(plain: Grid) -> None:
    receipt = plain.through_sql(event(feeder="F1"))
    assert (receipt.total_meters, receipt.offline_meters) == (10, 10)
    assert plain.off() == sorted(f"M{n}" for n in range(1, 11))
    other = plain.through_pipeline(event(feeder="F2", minute=1))
    assert other.offline_meters == 40
    assert len(plain.off()) == 50


def test_w15_a_missing_feeder_means_the_whole_substation(grid: Grid, handle: Any) -> None:
    receipt = handle(event())
    assert receipt.total_meters == 7
    assert grid.off() == ["M2", "M3", "M5", "M6", "M7"]  # M1 and M4 may be held by F3


def test_w15_a_switch_concerns_what_hangs_below_it(grid: Grid, handle: Any) -> None:
    assert handle(event(feeder="F1", switch="SW1")).total_meters == 3
    assert grid.off() == ["M2", "M3"]


# -- 16: evidence, not silence; and later evidence counts


def test_w16_meters_heard_just_before_the_trip_lose_supply_with_their_feeder(grid: Grid, handle: Any) -> None:
    grid.say(["M6", "M7"], "on", -2)
    receipt = handle(event(feeder="F2"))
    assert (receipt.offline_meters, receipt.unknown_meters) == (2, 0)
    assert grid.off() == ["M6", "M7"]


def test_w16_last_gasps_after_the_event_count_where_the_event_left_doubt(grid: Grid, handle: Any) -> None:
    doubtful = handle(event(feeder="F1"))
    assert (doubtful.offline_meters, doubtful.unknown_meters) == (3, 2)
    grid.say(["M1"], "off", 0.1)
    assert grid.off() == ["M1", "M2", "M3", "M5"]


# -- 17: meters that were never heard


def test_w17_a_meter_never_heard_is_off_by_what_its_feeder_says_and_by_nothing_else(
    grid: Grid, handle: Any
) -> None:
    assert set(grid.power().values()) == {"unknown"}
    handle(event(feeder="F2"))
    assert {m for m, power in grid.power().items() if power == "off"} == {"M6", "M7"}
    assert grid.value("SELECT count(*) FROM oms_meters WHERE communication_status <> 'unknown'") == 0
    assert [row[2:4] for row in grid.audit("M6")] == [("unknown", "off")]


def test_w17_a_never_heard_meter_with_another_supply_is_unknown_not_off(grid: Grid, handle: Any) -> None:
    receipt = handle(event(feeder="F1"))
    assert grid.power()["M1"] == "unknown"
    assert receipt.unknown_meters == 2
    assert grid.audit("M1") == []


# -- 18: clocks


def test_w18_an_event_stamped_ahead_of_its_envelope_counts_at_the_envelope(grid: Grid, handle: Any) -> None:
    message = {
        "event": event(feeder="F2", minute=180),
        "timestamp": at(1).isoformat(),
        "source": "SCADA-Simulator",
    }
    receipt = handle(message)
    assert receipt.offline_meters == 2
    assert grid.value("SELECT event_timestamp FROM scada_events") == at(1)
    assert grid.value("SELECT last_power_change FROM oms_meters WHERE meter_number = 'M6'") == at(1)
    assert grid.value("SELECT findings -> 0 ->> 'field' FROM oms_topology.signal") == "timestamp"


def test_w18_a_naive_time_is_read_in_the_zone_of_its_source(grid: Grid, handle: Any) -> None:
    grid.rows("UPDATE oms_topology.source_setting SET time_zone = 'Asia/Amman' WHERE source = 'scada'")
    handle(event(feeder="F2", timestamp="2025-10-01T15:00:00"))
    assert grid.value("SELECT event_timestamp FROM scada_events") == NOON  # Amman is three hours ahead


def test_w18_a_time_hours_ahead_without_an_envelope_never_beats_a_sound_one(grid: Grid, handle: Any) -> None:
    handle(event(feeder="F2", timestamp="2199-01-01T00:00:00Z"))
    assert grid.off() == ["M6", "M7"]
    handle(event(feeder="F2", minute=1, alarm="Energized"))
    assert grid.off() == []


# -- 19: late events


def test_w19_a_late_event_is_judged_by_what_held_then_and_spoils_nothing_now(grid: Grid, handle: Any) -> None:
    handle(event(feeder="F2", minute=10, alarm="Energized"))
    handle(event(feeder="F2", minute=0))
    assert grid.power()["M6"] == "on"
    assert grid.outages() == [("F2", "restored", at(0), at(10))]
    assert grid.value("SELECT last_power_change FROM oms_meters WHERE meter_number = 'M6'") == at(10)
    history = grid.rows(
        "SELECT event_timestamp, new_status FROM oms_topology.meter_power_history h"
        " JOIN oms_meters m ON m.id = h.meter_id WHERE m.meter_number = 'M6' ORDER BY 1"
    )
    assert history == [(at(0), "off"), (at(10), "on")]


# -- 20: deliveries


@pytest.mark.parametrize("doors", [("sql", "sql", "sql"), ("pipeline",) * 3, ("sql", "pipeline", "sql")])
def test_w20_three_deliveries_are_one_event(grid: Grid, doors: tuple[str, ...]) -> None:
    first, *others = [grid.door(door)(event(feeder="F2")) for door in doors]
    assert not first.duplicate
    assert all(other.duplicate for other in others)
    assert {other.outage_event_id for other in others} == {first.outage_event_id}
    assert grid.counts(
        "scada_events", "scada_raw_messages", "oms_outage_events", "oms_meter_status_events"
    ) == {
        "scada_events": 1,
        "scada_raw_messages": 1,
        "oms_outage_events": 1,
        "oms_meter_status_events": 2,
    }
    assert grid.column("SELECT affected_customers_count FROM oms_outage_events") == [2]


def test_w20_the_forms_of_one_event_are_one_event(database: Database) -> None:
    grid = Grid(database, "SS1 > F00Z901 > M1")
    forms = ["scada_loss_of_voltage.kafka", "scada_loss_of_voltage.function", "scada_outbox_record"]
    receipts = [grid.through_sql(payload_file(form)) for form in forms]
    assert [receipt.duplicate for receipt in receipts] == [False, True, True]


def test_w20_a_second_trip_under_an_open_outage_joins_it(grid: Grid, handle: Any) -> None:
    upper = handle(event())
    lower = handle(event(feeder="F2", minute=1))
    assert lower.outage_event_id == upper.outage_event_id
    assert len(grid.outages()) == 1
    assert grid.value("SELECT count(*) FROM oms_event_sources") == 2


def test_w20_one_id_with_other_content_is_a_second_signal_and_flagged(grid: Grid, handle: Any) -> None:
    handle(event(feeder="F2", eventId="E1"))
    assert not handle(event(feeder="F2", eventId="E1", minute=3, alarm="Energized")).duplicate
    assert grid.column("SELECT is_conflicting FROM oms_topology.signal ORDER BY signal_no") == [False, True]
    assert grid.off() == []


# -- 21, 22: many at once


def at_once(
    grid: Grid, messages: list[dict[str, Any]], *, through_pipeline: bool = False
) -> list[dict[str, Any]]:
    """Deliver messages at one instant, each on a connection of its own."""
    start = Barrier(len(messages))

    def deliver(message: dict[str, Any]) -> dict[str, Any]:
        if through_pipeline:
            with Pipeline(grid.database) as pipeline:
                start.wait(30)
                receipt = pipeline.handle("scada", message)
                return {"duplicate": receipt.duplicate, "outage_event_id": receipt.outage_event_id}
        with grid.database.engine.begin() as connection:
            connection.execute(text("SELECT 1"))
            start.wait(30)
            found = connection.execute(
                text("SELECT insert_scada_event_with_meter_check(CAST(:m AS jsonb))"),
                {"m": json.dumps(message)},
            ).scalar_one()
            return dict(found)

    with ThreadPoolExecutor(len(messages)) as pool:
        return list(pool.map(deliver, messages))


@pytest.mark.parametrize("through_pipeline", [False, True])
def test_w21_concurrent_events_make_one_outage_and_true_previous_statuses(
    database: Database, through_pipeline: bool
) -> None:
    grid = Grid(database, "SS1 > F1 > DP1 > M1..M200")
    grid.say([f"M{n}" for n in range(1, 201)], "on", -5)
    messages = [event(feeder="F1", minute=n, reason=f"report {n}") for n in range(4)]
    answers = at_once(grid, messages, through_pipeline=through_pipeline)
    assert [answer["duplicate"] for answer in answers] == [False] * 4
    assert len({answer["outage_event_id"] for answer in answers}) == 1
    assert [(code, status) for code, status, *_ in grid.outages()] == [("F1", "detected")]
    changes = grid.rows(
        "SELECT meter_id, count(*) FILTER (WHERE previous_status = 'on') FROM oms_meter_status_events"
        " WHERE source_type = 'scada' GROUP BY meter_id"
    )
    assert len(changes) == 200
    # An earlier report that comes later may add the true start; only the first row found the meter on.
    assert {count for _, count in changes} == {1}
    history = grid.column("SELECT count(*) FROM oms_topology.meter_power_history GROUP BY meter_id")
    assert set(history) == {2}


def test_w21_one_message_delivered_by_many_at_once_is_recorded_once(grid: Grid) -> None:
    answers = at_once(grid, [event(feeder="F2")] * 6)
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 5
    assert grid.value("SELECT count(*) FROM scada_events") == 1
    assert grid.value("SELECT count(*) FROM oms_meter_status_events") == 2


def test_w22_sweeps_over_meters_of_two_substations_neither_deadlock_nor_double(database: Database) -> None:
    grid = Grid(
        database,
        "SS1 > F1 > DP1 > M1..M60; SS2 > F2 > DP2 > M61..M120; F2 ~> M1..M60; F1 ~> M61..M120",
    )
    for round_no in range(6):
        minute = round_no * 10
        alarm = "De-energized" if round_no % 2 == 0 else "Energized"
        answers = at_once(
            grid,
            [
                event(feeder="F1", minute=minute, alarm=alarm),
                event(feeder="F2", substation="SS2", minute=minute + 1, alarm=alarm),
                event(substation="SS1", minute=minute + 2, alarm=alarm),
                event(substation="SS2", minute=minute + 3, alarm=alarm),
            ],
        )
        assert [answer.get("dead_letter_id") for answer in answers] == [None] * 4
        expected = "off" if alarm == "De-energized" else "on"
        assert set(grid.power().values()) == {expected}
    assert grid.value("SELECT count(*) FROM oms_outage_events WHERE status = 'detected'") == 0
    # off and on again, three times, for every meter
    assert set(grid.column("SELECT count(*) FROM oms_topology.meter_power_history GROUP BY meter_id")) == {6}


def test_w22_a_deadlock_with_an_old_service_is_told_as_transient_and_leaves_nothing(grid: Grid) -> None:
    from oms_topology.errors import ConflictError

    with grid.database.engine.connect() as held, Pipeline(grid.database) as pipeline:
        held.execute(text("UPDATE oms_meters SET building_id = 'B' WHERE meter_number = 'M7'"))
        pipeline._store._driver().execute("SET lock_timeout = '200ms'")
        with pytest.raises(ConflictError) as caught:
            pipeline.handle("scada", event(feeder="F2"))
        held.rollback()
        assert caught.value.is_transient
        assert grid.counts("scada_events", "oms_outage_events") == {"scada_events": 0, "oms_outage_events": 0}
        assert pipeline.handle("scada", event(feeder="F2")).offline_meters == 2


# -- 23: own reports newer than the trip


def test_w23_a_meters_own_report_of_power_newer_than_the_trip_survives_it(grid: Grid, handle: Any) -> None:
    grid.say(["M6"], "on", 5)
    receipt = handle(event(feeder="F2", minute=0))
    assert (receipt.offline_meters, receipt.online_meters) == (1, 1)
    assert grid.power()["M6"] == "on"
    assert grid.power()["M7"] == "off"


def test_w23_reports_of_power_during_sweeps_are_never_lost(database: Database) -> None:
    grid = Grid(database, "SS1 > F1 > DP1 > M1..M100")
    start = Barrier(2)

    def sweep() -> None:
        start.wait(30)
        grid.through_sql(event(feeder="F1"))

    def restore() -> None:
        start.wait(30)
        for number in range(1, 41):
            grid.say([f"M{number}"], "on", 1)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(sweep), pool.submit(restore)]:
            done.result()
    assert len(grid.off()) == 60
    assert not set(grid.off()) & {f"M{number}" for number in range(1, 41)}


# -- 24, 25: audit and last change


def test_w24_off_to_off_writes_nothing(plain: Grid) -> None:
    for minute in range(20):
        plain.through_sql(event(feeder="F1", minute=minute))
    assert plain.value("SELECT count(*) FROM oms_meter_status_events") == 10
    assert plain.value("SELECT count(*) FROM oms_meter_status_events WHERE previous_status = new_status") == 0
    assert plain.value("SELECT count(*) FROM scada_events") == 20


def test_w25_last_power_change_is_the_start_of_the_present_run(grid: Grid, handle: Any) -> None:
    since = "SELECT last_power_change FROM oms_meters WHERE meter_number = 'M6'"
    handle(event(feeder="F2", minute=0))
    handle(event(feeder="F2", minute=5))
    assert grid.value(since) == at(0)
    handle(event(feeder="F2", minute=9, alarm="Energized"))
    assert grid.value(since) == at(9)


# -- 26: customers


def test_w26_customers_are_counted_as_customers(grid: Grid, handle: Any) -> None:
    grid.rows("INSERT INTO oms_customers (customer_id) VALUES ('C1'), ('C2')")
    for customer, meters in (("C1", ["M2", "M3"]), ("C2", ["M5"])):
        grid.rows(
            "UPDATE oms_meters SET customer_id = (SELECT id FROM oms_customers WHERE customer_id = :c)"
            " WHERE meter_number = ANY (:m)",
            c=customer, m=meters,
        )  # fmt: skip
    receipt = handle(event())
    assert receipt.offline_meters == 5  # C1 with two, C2, and M6 and M7 with no customer known
    assert receipt.affected_customers == 4
    assert grid.column("SELECT affected_customers_count FROM oms_outage_events") == [4]


# -- 27, 28: what was checked, and what could not be


def test_w27_a_checked_event_that_finds_nobody_off_looks_checked(grid: Grid, handle: Any) -> None:
    handle(event(feeder="F2", alarm="Energized"))
    checked_at, count = grid.rows("SELECT meters_checked_at, affected_meter_count FROM scada_events")[0]
    assert checked_at is not None
    assert count == 0
    handle(event(feeder="F2", minute=1))
    assert grid.value("SELECT affected_meter_count FROM scada_events WHERE alarm_type = 'De-energized'") == 2


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (event(substation="SS99"), "substationId"),
        (event(feeder="F99"), "feederId"),
        (event(feeder="F1", switch="SW99"), "switchId"),
        (event(feeder="M1"), "feederId"),
        (event(substation="F1"), "substationId"),
    ],
)
def test_w28_an_unknown_code_is_kept_with_its_reason_and_never_widens(
    grid: Grid, handle: Any, message: dict[str, Any], field: str
) -> None:
    receipt = handle(message)
    assert not receipt.accepted
    assert field in str(receipt.dead_letter_reason)
    assert grid.off() == []
    assert grid.rows("SELECT source, field FROM oms_topology.dead_letter") == [("scada", field)]


def test_w28_a_device_that_feeds_nobody_is_an_outage_all_the_same(database: Database) -> None:
    grid = Grid(database, "SS1 > F1")
    receipt = grid.through_sql(event(feeder="F1"))
    assert (receipt.total_meters, receipt.affected_customers) == (0, 0)
    assert grid.outages() == [("F1", "detected", at(0), None)]


def test_w28_the_old_two_step_check_tells_what_it_does_not_know(grid: Grid) -> None:
    grid.rows(
        "INSERT INTO scada_events (event_type, substation_id, feeder_id, main_station_id, alarm_type,"
        " event_timestamp, voltage) VALUES ('trip', 'SS1', 'F99', '1', 'fault', :at, 0)",
        at=at(0),
    )
    event_id = grid.value("SELECT id FROM scada_events")
    found = grid.rows(
        "SELECT * FROM process_scada_event_meters(:id, 'SS1', 'F99', :at)", id=event_id, at=at(0)
    )
    assert found == [(0, 0, 0, 0, None)]
    assert grid.column("SELECT field FROM oms_topology.dead_letter") == ["feederId"]
    known = grid.rows(
        "SELECT * FROM process_scada_event_meters(:id, 'SS1', 'F2', :at)", id=event_id, at=at(0)
    )
    assert known[0][:4] == (2, 2, 0, 0)
    again = grid.rows(
        "SELECT * FROM process_scada_event_meters(:id, 'SS1', 'F2', :at)", id=event_id, at=at(0)
    )
    assert again == known
    assert grid.value("SELECT count(*) FROM oms_outage_events") == 1


def test_w28_an_event_inserted_alone_is_checked_when_it_comes_again(grid: Grid) -> None:
    event_id = grid.value(
        "SELECT insert_scada_event_from_json(CAST(:m AS jsonb))", m=json.dumps(event(feeder="F2"))
    )
    assert grid.off() == []
    answer = grid.answer(event(feeder="F2"))
    assert answer["scada_event_id"] == str(event_id)
    assert grid.off() == ["M6", "M7"]


# -- 29, 30, 31: severity, missing and impossible fields


@pytest.mark.parametrize(
    ("said", "kept"), [("Critical", "critical"), ("HIGH", "high"), ("Medium", "medium"), (None, "high")]
)
def test_w29_severities_of_outages_are_lower_case(
    grid: Grid, handle: Any, said: str | None, kept: str
) -> None:
    handle(event(feeder="F2", severity=said))
    assert grid.column("SELECT severity FROM oms_outage_events") == [kept]
    assert grid.column("SELECT severity FROM scada_events") == [said]


def test_w30_the_documented_payload_without_main_station_is_taken(database: Database) -> None:
    grid = Grid(database, "SS1 > F00Z901 > M1..M2")
    receipt = grid.through_sql(payload_file("scada_doc_example_missing_mainStationId.function"))
    assert receipt.offline_meters == 2
    assert grid.column("SELECT main_station_id FROM scada_events") == ["N/A"]


def test_w30_feeder_and_decoration_may_be_missing(grid: Grid, handle: Any) -> None:
    receipt = handle({"substationId": "SS2", "alarmType": "fault", "timestamp": at(0).isoformat()})
    assert receipt.offline_meters == 2
    row = grid.rows("SELECT event_type, feeder_id, main_station_id, voltage, severity FROM scada_events")
    assert row == [("N/A", "N/A", "N/A", None, None)]


@pytest.mark.parametrize(
    ("decoration", "field", "column"),
    [
        ({"severity": "c" * 17}, "severity", "severity"),
        ({"severity": "gigantic"}, "severity", "severity"),
        ({"reason": "r" * 2001}, "reason", "reason"),
        ({"coordinates": {"lat": 99.5, "lng": 35.9}}, "coordinates", "latitude"),
        ({"coordinates": {"lat": "31.9", "lng": "35.9"}}, "coordinates", "latitude"),
        ({"coordinates": [31.9, 35.9]}, "coordinates", "latitude"),
        ({"coordinates": {"lat": 10**40, "lng": 0}}, "coordinates", "latitude"),
        ({"voltage": -1}, "voltage", "voltage"),
        ({"voltage": "11 kV"}, "voltage", "voltage"),
        ({"voltage": 1e15}, "voltage", "voltage"),
        ({"mainStationId": "8" * 65}, "mainStationId", "main_station_id"),
        ({"eventType": {"nested": True}}, "eventType", "event_type"),
    ],
)
def test_w31_what_does_not_fit_is_set_aside_and_the_trip_counts(
    grid: Grid, handle: Any, decoration: dict[str, Any], field: str, column: str
) -> None:
    assert handle(event(feeder="F2") | decoration).offline_meters == 2
    assert grid.value(f"SELECT {column} FROM scada_events") in (None, "N/A")
    assert field in grid.column("SELECT jsonb_array_elements(findings) ->> 'field' FROM oms_topology.signal")
    assert grid.value("SELECT payload FROM oms_topology.signal")[field] == decoration[field]


def test_w31_an_alarm_too_long_for_its_column_is_read_whole_and_kept_whole(grid: Grid, handle: Any) -> None:
    alarm = "MV_AlarmLossOfVoltage of the second kind"
    assert handle(event(feeder="F2", alarm=alarm)).accepted
    assert grid.off() == []  # it is no alarm of the list, and is not cut until it looks like one
    assert grid.column("SELECT alarm_type FROM scada_events") == ["N/A"]
    assert grid.value("SELECT payload ->> 'alarmType' FROM oms_topology.signal") == alarm


def test_w31_swapped_coordinates_are_noticed_by_the_place_of_the_device(grid: Grid, handle: Any) -> None:
    grid.rows("UPDATE network_feeders SET location_lat = 31.95, location_lng = 35.93 WHERE feeder_id = 'F2'")
    handle(event(feeder="F2", coordinates={"lat": 35.9327, "lng": 31.9512}))
    assert grid.rows("SELECT latitude, longitude FROM scada_events") == [(None, None)]
    assert grid.column("SELECT findings -> 0 ->> 'reason' FROM oms_topology.signal") == [
        "latitude and longitude look swapped"
    ]
    handle(event(feeder="F2", minute=1, coordinates={"lat": 31.9512, "lng": 35.9327}))
    assert [
        float(v) for v in grid.rows("SELECT latitude, longitude FROM scada_events WHERE latitude > 0")[0]
    ] == [
        31.9512,
        35.9327,
    ]


# -- 32: restoration


def test_w32_energised_restores_closes_and_writes_true_audit_rows(grid: Grid, handle: Any) -> None:
    lost = handle(event(feeder="F2", minute=0))
    back = handle(event(feeder="F2", minute=30, alarm="Energized"))
    assert (back.restored_meters, back.outage_event_id) == (2, lost.outage_event_id)
    assert grid.outages() == [("F2", "restored", at(0), at(30))]
    assert grid.audit("M6") == [
        ("power_off", "scada", "unknown", "off", at(0)),
        ("power_on", "scada", "off", "on", at(30)),
    ]
    assert grid.column("SELECT event_type FROM oms_event_timeline ORDER BY timestamp") == [
        "detected",
        "restored",
    ]


def test_w32_what_the_upper_outage_covered_stands_for_itself_after_it(grid: Grid, handle: Any) -> None:
    handle(event(minute=0))
    handle(event(feeder="F1", minute=1))
    handle(event(minute=2, alarm="Energized"))
    assert grid.off() == ["M2", "M3", "M5"]
    assert grid.outages() == [("SS1", "restored", at(0), at(2)), ("F1", "detected", at(1), None)]
    handle(event(feeder="F1", minute=3, alarm="Energized"))
    assert grid.off() == []


def test_w32_a_meter_that_reported_its_own_loss_stays_off_until_it_reports_power(
    grid: Grid, handle: Any
) -> None:
    grid.say(["M6"], "off", 0)
    handle(event(feeder="F2", minute=1))
    back = handle(event(feeder="F2", minute=2, alarm="Energized"))
    assert back.restored_meters == 1
    assert grid.off() == ["M6"]
    grid.say(["M6"], "on", 3)
    assert grid.off() == []


# -- 33, 34: cost


@pytest.fixture(scope="module")
def large_registry(pg_server: LiveServer) -> Iterator[Database]:
    database = pg_server.create(upgraded=True)
    grid = Grid(database, "SS1 > F1 > DP1; SS1 > F2 > DP2; SS2 > F3 > DP3")
    for dp, prefix, count in (("DP1", "MA", 40), ("DP2", "MB", 1000), ("DP3", "MC", 20_000)):
        grid.rows(
            "INSERT INTO oms_meters (meter_number, dp_id, feeder_id) SELECT :p || n, d.id, d.feeder_id"
            " FROM generate_series(1, :n) n, network_distribution_points d WHERE d.dp_id = :dp",
            p=prefix, n=count, dp=dp,
        )  # fmt: skip
    grid.rows("SELECT oms_topology.settle()")
    grid.rows("ANALYZE")
    database.close()
    yield database
    pg_server.drop(database)


@pytest.fixture
def large(pg_server: LiveServer, large_registry: Database) -> Iterator[Grid]:
    database = pg_server.create(like=large_registry)
    yield Grid(database, network="")
    pg_server.drop(database)


def cost(grid: Grid, message: dict[str, Any]) -> dict[str, Any]:
    """What one event reads and writes, as PostgreSQL itself counts it, in a session of its own."""
    grid.database.engine.dispose()
    with grid.database.engine.connect() as connection:
        connection.execute(text("SET track_functions = 'all'"))
        connection.execute(
            text("SELECT insert_scada_event_with_meter_check(CAST(:m AS jsonb))"), {"m": json.dumps(message)}
        )
        tables = {
            row.relname: row
            for row in connection.execute(
                text(
                    "SELECT relname, seq_tup_read, COALESCE(idx_tup_fetch, 0) AS idx_tup_fetch, n_tup_ins,"
                    " n_tup_upd FROM pg_stat_xact_user_tables"
                )
            )
        }
        calls = connection.execute(text("SELECT sum(calls) FROM pg_stat_xact_user_functions")).scalar_one()
        connection.rollback()
    return {"tables": tables, "calls": calls}


@pytest.mark.parametrize("alarm", ["De-energized", "Energized"])
def test_w33_rows_read_are_in_proportion_to_the_answer(large: Grid, alarm: str) -> None:
    if alarm == "Energized":
        large.through_sql(event(feeder="F1"))
    tables = cost(large, event(feeder="F1", minute=1, alarm=alarm))["tables"]
    meters = tables["oms_meters"]
    assert meters.seq_tup_read == 0
    assert 40 <= meters.idx_tup_fetch <= 5 * 40
    for mapping in ("network_feeder_meters", "network_substation_meters"):
        assert mapping not in tables or tables[mapping].seq_tup_read + tables[mapping].idx_tup_fetch == 0


def test_w33_the_plan_of_the_meters_below_a_device_uses_the_supply_index(large: Grid) -> None:
    plan = "\n".join(
        large.column(
            "EXPLAIN SELECT m.meter_no FROM oms_meters m JOIN oms_topology.device d ON d.code = 'F1'"
            " AND m.segment_no = d.segment_no AND m.position_no BETWEEN d.position_no AND d.last_position_no"
        )
    )
    assert "oms_meters_supply_idx" in plan
    assert "Seq Scan on oms_meters" not in plan


def test_w34_one_set_based_write_whatever_the_number_of_meters(large: Grid) -> None:
    few = cost(large, event(feeder="F1"))
    many = cost(large, event(feeder="F2"))
    assert many["calls"] == few["calls"]
    for number, counted in ((40, few), (1000, many)):
        assert counted["tables"]["oms_meters"].n_tup_upd == number
        assert counted["tables"]["meter_status_event"].n_tup_ins == number
        assert counted["tables"]["oms_outage_events"].n_tup_ins == 1


# -- 35, 36: failure, and trace


def test_w35_a_meter_that_cannot_be_written_fails_the_event_whole_and_it_can_be_sent_again(
    grid: Grid,
) -> None:
    from oms_topology.errors import StoreError

    grid.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END $$"
    )
    grid.rows(
        "CREATE TRIGGER refuse BEFORE UPDATE ON oms_meters FOR EACH ROW WHEN (OLD.meter_number = 'M7')"
        " EXECUTE FUNCTION refuse()"
    )
    before = grid.everything()
    with pytest.raises(StoreError) as caught:
        grid.through_pipeline(event(feeder="F2"))
    assert caught.value.sqlstate == "XX000"
    assert grid.everything() == before
    grid.rows("DROP TRIGGER refuse ON oms_meters")
    assert grid.through_pipeline(event(feeder="F2")).offline_meters == 2


def test_w35_a_value_the_tables_refuse_is_kept_as_a_dead_letter_to_be_replayed(
    grid: Grid, handle: Any
) -> None:
    grid.rows("ALTER TABLE scada_events ADD CONSTRAINT narrow CHECK (reason <> 'Storm')")
    refused = handle(event(feeder="F2", reason="Storm"))
    assert not refused.accepted
    assert grid.off() == []
    assert handle(event(feeder="F3", substation="SS2")).offline_meters == 2
    grid.rows("ALTER TABLE scada_events DROP CONSTRAINT narrow")
    with Pipeline(grid.database) as pipeline:
        assert pipeline.replay(int(str(refused.dead_letter_id))).offline_meters == 2
    assert grid.off() == ["M6", "M7", "M8", "M9"]


def test_w36_every_message_leaves_a_trace(grid: Grid, handle: Any) -> None:
    handle(event(feeder="F2"))
    handle(event(feeder="F99"))
    handle({"nonsense": True})
    handle(event(feeder="F2", alarm="Door open"))
    raw = grid.column("SELECT raw_payload FROM scada_raw_messages ORDER BY raw_payload ->> 'alarmType'")
    letters = grid.column(
        "SELECT convert_from(payload, 'UTF8') FROM oms_topology.dead_letter ORDER BY dead_letter_no"
    )
    assert raw == [event(feeder="F2"), event(feeder="F2", alarm="Door open")]
    assert [json.loads(letter) for letter in letters] == [event(feeder="F99"), {"nonsense": True}]


def test_topology_after_storing_is_what_was_stored(grid: Grid) -> None:
    net = Topology.from_postgres(grid.database)
    assert sorted(net.downstream("F1")) == F1_METERS
