"""ONU events: one terminal speaks for all its meters, in any order and any wrapping."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

ON_THE_ONU = ("M90000001", "M90000002", "M90000003")


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database.engine)


def gasp(**changes: object) -> dict[str, Any]:
    return payload("onu_last_gasp.function") | changes


def restored(**changes: object) -> dict[str, Any]:
    return payload("onu_power_restored.function") | changes


@pytest.mark.parametrize(
    "form", ["onu_last_gasp.function", "onu_last_gasp.kafka", "onu_last_gasp_via_gateway.kafka"]
)
def test_a_last_gasp_in_every_form_reaches_all_meters(grid: Grid, form: str) -> None:
    number = grid.onu(payload(form))
    assert isinstance(number, int)
    statuses = grid.statuses()
    assert [statuses[meter] for meter in ON_THE_ONU] == ["off", "off", "off"]
    assert statuses["M90000004"] == "unknown"
    [row] = grid.rows(
        "SELECT e.id, e.onu_id, e.event_type, e.alarm_category, e.parcel_code, e.location_lat::text,"
        " m.meter_number"
        " FROM onu_events e JOIN oms_meters m ON m.id = e.meter_id"
    )
    assert row == (number, 9100001, "ONU_LastGaspAlert", "fault", "09990000001", "31.94540000", "M90000001")
    meter = grid.meter("M90000002")
    assert (meter["communication_status"], meter["last_communication"]) == (
        "offline",
        "2025-10-01T08:02:05+00:00",
    )
    assert meter["last_power_change"] == "2025-10-01T08:02:05+00:00"


def test_the_audit_tells_the_true_previous_status_with_the_event_id(grid: Grid) -> None:
    grid.onu(gasp())
    grid.onu(restored())
    for meter in ON_THE_ONU:
        assert grid.audit(meter) == [
            ("unknown", "off", "onu", "onu_1759305725000_a1b2c3", "0.85"),
            ("off", "on", "onu", "onu_1759307505000_d4e5f6", "0.85"),
        ]


def test_redelivery_in_another_wrapping_gives_the_same_id(grid: Grid) -> None:
    forms = ("onu_last_gasp.function", "onu_last_gasp.kafka", "onu_last_gasp.function")
    assert len({grid.onu(payload(form)) for form in forms}) == 1
    assert grid.onu(json.dumps(payload("onu_last_gasp.kafka"))) == grid.onu(gasp())
    assert (grid.count("onu_events"), grid.count("oms_topology.signal")) == (1, 1)
    assert len(grid.audit("M90000001")) == 1


def test_a_redelivery_after_the_restoration_switches_nothing_off(grid: Grid) -> None:
    for message in (gasp(), restored(), gasp()):
        grid.onu(message)
    assert grid.statuses()["M90000001"] == "on"


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_status_does_not_depend_on_the_order_of_arrival(grid: Grid, order: tuple[int, ...]) -> None:
    messages = [
        gasp(),
        restored(),
        gasp(eventId="g2", timestamp="2025-10-01T08:40:00Z"),
        restored(eventId="r2", timestamp="2025-10-01T08:55:00Z"),
    ]
    for place in order:
        grid.onu(messages[place])
    meter = grid.meter("M90000001")
    assert (meter["power_status"], meter["last_power_change"]) == ("on", "2025-10-01T08:55:00+00:00")
    assert meter["communication_status"] == "online"
    assert grid.rows("SELECT onu_power_flag, onu_power_flag_date::text FROM onus WHERE id = 9100001") == [
        (True, "2025-10-01 08:55:00+00")
    ]
    changes = grid.rows(
        "SELECT h.new_status FROM oms_topology.meter_power_history h JOIN oms_meters m ON m.id = h.meter_id"
        " WHERE m.meter_number = 'M90000001' ORDER BY h.event_timestamp"
    )
    assert [status for (status,) in changes] == ["off", "on", "off", "on"]


def test_a_late_last_gasp_does_not_undo_the_restoration(grid: Grid) -> None:
    grid.onu(restored())
    grid.onu(gasp())
    meter = grid.meter("M90000001")
    assert (meter["power_status"], meter["last_power_change"]) == ("on", "2025-10-01T08:31:45+00:00")
    assert [row[1] for row in grid.audit("M90000001")] == ["off", "on"]


def test_an_unknown_meter_is_registered_provisionally(grid: Grid) -> None:
    grid.onu(gasp(associatedMeters=[" M777 ", "m777", "M90000002"]))
    meter = grid.meter("M777")
    assert (meter["onu_id"], meter["power_status"], meter["status"]) == (9100001, "off", "active")
    assert (meter["location_lat"], meter["location_lng"]) == (31.9454, 35.9284)
    assert grid.rows(
        "SELECT m.meter_number FROM oms_topology.provisional_meter p"
        " JOIN oms_meters m ON m.meter_no = p.meter_no"
    ) == [("M777",)]


def test_meters_of_the_older_registry_count_too(grid: Grid) -> None:
    grid.run(
        "INSERT INTO onus (id, onu_serial_no) VALUES (7, 'S7');"
        " INSERT INTO meters (meter_id, onu_id) VALUES ('M888', 7);"
        " INSERT INTO meters (meter_id, onu_id, oms_meter_id)"
        " SELECT 'other name', 7, id FROM oms_meters WHERE meter_number = 'M90000004'"
    )
    grid.onu(gasp(onuId=7, associatedMeters=[]))
    statuses = grid.statuses()
    assert (statuses["M888"], statuses["M90000004"], statuses["M90000001"]) == ("off", "off", "unknown")


@pytest.mark.parametrize(
    ("meters", "found"),
    [
        ("M90000005", {"M90000005"}),
        (
            [90000005, {"meterNumber": "m90000005"}, {"meterId": "M90000004"}],
            {"90000005", "M90000005", "M90000004"},
        ),
        ([None, [], True, {"x": 1}, "", "y" * 65], set()),
        (None, set()),
        ("", set()),
        (17.5, {"17.5"}),
    ],
)
def test_associated_meters_in_odd_forms(grid: Grid, meters: object, found: set[str]) -> None:
    assert grid.onu(gasp(onuId=55, onuSerial=None, associatedMeters=meters))
    assert {number for number, status in grid.statuses().items() if status == "off"} == found


def test_an_inactive_meter_on_the_onu_is_left_out(grid: Grid) -> None:
    grid.run("UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M90000003'")
    grid.onu(gasp(associatedMeters=[]))
    assert (grid.statuses()["M90000001"], grid.statuses()["M90000003"]) == ("off", "unknown")


def test_serial_numbers_never_lose_an_event(grid: Grid) -> None:
    assert grid.onu(gasp())
    assert grid.onu(gasp(eventId="b", onuId=2)), "a replaced device with a known serial"
    assert grid.onu(gasp(eventId="c", onuId=3, onuSerial=""))
    assert grid.onu(gasp(eventId="d", onuId=4, onuSerial=""))
    assert grid.rows("SELECT id, onu_serial_no FROM onus ORDER BY id") == [
        (2, None),
        (3, None),
        (4, None),
        (9100001, "48575443AB12CD34"),
    ]


def test_an_odd_onu_id_is_found_by_its_serial(grid: Grid) -> None:
    grid.onu(restored())
    assert grid.onu(
        gasp(eventId="x", timestamp="2025-10-01T09:00:00Z", onuId="ONU-9100001", associatedMeters=[])
    )
    assert grid.statuses()["M90000003"] == "off"
    assert "onuId" in grid.findings()


def test_another_type_of_event_is_stored_and_says_nothing_of_power(grid: Grid) -> None:
    assert grid.onu(gasp(type="ONU_HighTemperature"))
    assert grid.statuses()["M90000001"] == "unknown"
    assert grid.rows("SELECT onu_power_flag FROM onus") == [(None,)]
    assert grid.count("oms_meter_status_events") == 0


def test_one_id_with_other_content_is_kept_beside_the_first(grid: Grid) -> None:
    first = grid.onu(gasp())
    second = grid.onu(gasp(timestamp="2025-10-01T08:12:05Z"))
    assert first != second
    assert grid.onu(gasp(timestamp="2025-10-01T08:12:05Z")) == second
    assert grid.rows("SELECT is_conflicting FROM oms_topology.signal ORDER BY signal_no") == [
        (False,),
        (True,),
    ]
    [(plain,), (marked,)] = grid.rows("SELECT event_id FROM onu_events ORDER BY id")
    assert plain == "onu_1759305725000_a1b2c3"
    assert marked.startswith("onu_1759305725000_a1b2c3#")


def test_events_without_an_id_go_by_their_content(grid: Grid) -> None:
    first = grid.onu(gasp(eventId=""))
    assert grid.onu(gasp(eventId="")) == first
    assert grid.onu(gasp(eventId="", timestamp="2025-10-01T08:03:00Z")) != first
    assert grid.onu(gasp(eventId="z" * 101)) not in (None, first)


def test_an_event_that_the_deployed_function_stored_is_taken_over(grid: Grid) -> None:
    grid.run("INSERT INTO onus (id) VALUES (9100001)")
    old = grid.one(
        "INSERT INTO onu_events (event_id, onu_id, event_type, timestamp, raw_payload)"
        " VALUES (%s, 9100001, 'ONU_LastGaspAlert', '2025-10-01T08:02:05Z', %s::jsonb) RETURNING id",
        gasp()["eventId"],
        json.dumps(gasp()),
    )
    assert grid.onu(gasp()) == old
    assert grid.count("onu_events") == 1
    assert grid.statuses()["M90000001"] == "off"


def test_storing_first_and_syncing_later_syncs(grid: Grid) -> None:
    number = grid.call("insert_onu_event_from_json", gasp())
    assert grid.statuses()["M90000001"] == "unknown"
    assert grid.onu(gasp()) == number
    assert grid.statuses()["M90000001"] == "off"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": None}, "type"),
        ({"type": ["ONU_LastGaspAlert"]}, "type"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"onuId": None, "onuSerial": "", "associatedMeters": []}, "onuId"),
        ({"onuId": {}, "onuSerial": None, "associatedMeters": None}, "onuId"),
        ({"onuId": 99999999999, "onuSerial": "nobody", "associatedMeters": []}, "onuSerial"),
    ],
)
def test_what_cannot_be_used_becomes_a_dead_letter(grid: Grid, changes: dict[str, Any], field: str) -> None:
    assert grid.onu(gasp(**changes)) is None
    assert grid.dead_letters() == [("onu", field)]
    assert grid.count("onu_events") == 0
    assert grid.onu(gasp()), "and the next message is unaffected"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (None, "payload"),
        ([], "payload"),
        ("{broken", "body"),
        ({"event": {"method": "POST", "body": "<xml/>"}}, "body"),
        (gasp(status="x" * 1_100_000), "payload"),
        ("[" * 100_000, "body"),
    ],
    ids=["null", "list", "broken", "xml", "large", "deep"],
)
def test_what_is_no_message_becomes_a_dead_letter(grid: Grid, message: object, field: str) -> None:
    assert grid.onu(message) is None
    assert grid.onu(message) is None
    assert grid.dead_letters() == [("onu", field)]
    assert grid.one("SELECT deliveries FROM oms_topology.dead_letter") == 2


def test_wrong_decoration_is_set_aside_and_the_event_counts(grid: Grid) -> None:
    odd = gasp(
        location={"lat": "131.9", "lng": ""},
        nmsType="n" * 51,
        alarmData={"category": {}, "parcel": "p" * 51, "alarmType": "a" * 21},
    )
    assert grid.onu(odd)
    assert grid.statuses()["M90000001"] == "off"
    assert grid.findings() == {"location", "nmsType", "category", "parcel", "alarmType"}


@pytest.mark.parametrize("place", [{"lat": "", "lng": ""}, {"lat": None}, None, {}])
def test_an_empty_place_is_no_finding(grid: Grid, place: object) -> None:
    assert grid.onu(gasp(location=place))
    assert grid.findings() == set()


def test_a_place_as_text_is_read(grid: Grid) -> None:
    grid.onu(gasp(location={"lat": " 31.9454", "lng": "35.9284"}))
    assert grid.rows("SELECT location_lat::text, location_lng::text FROM onu_events") == [
        ("31.94540000", "35.92840000")
    ]


def test_naive_times_are_read_in_the_zone_of_their_source(grid: Grid) -> None:
    grid.run("UPDATE oms_topology.source_setting SET time_zone = 'Asia/Amman' WHERE source = 'onu'")
    grid.onu(gasp(timestamp="2025-10-01T11:02:05"))
    assert grid.meter("M90000001")["last_power_change"] == "2025-10-01T08:02:05+00:00"


def test_devices_and_meters_agree_with_scada(grid: Grid) -> None:
    grid.call("insert_scada_event_with_meter_check", payload("scada_loss_of_voltage.function"))
    grid.onu(gasp())
    grid.call("insert_scada_event_with_meter_check", payload("scada_restoration.function"))
    assert grid.statuses()["M90000001"] == "off", "the meter's own word holds until its own word"
    assert grid.statuses()["M90000004"] == "on"
    grid.onu(restored())
    assert grid.statuses()["M90000001"] == "on"


def test_one_event_delivered_many_times_at_once_counts_once(grid: Grid) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(grid.onu, [gasp() for _ in range(16)]))
    assert len(numbers) == 1
    assert None not in numbers
    assert (grid.count("onu_events"), grid.count("oms_topology.signal")) == (1, 1)
    assert [len(grid.audit(meter)) for meter in ON_THE_ONU] == [1, 1, 1]


def test_different_onus_at_once_with_scada_neither_fail_nor_differ(grid: Grid) -> None:
    trip = payload("scada_loss_of_voltage.function")
    messages = [
        gasp(eventId=f"e{n}", onuId=9100001 + n % 3, timestamp=f"2025-10-01T08:{n:02}:00Z") for n in range(24)
    ]

    def deliver(place: int) -> None:
        if place % 6 == 0:
            grid.call(
                "insert_scada_event_with_meter_check", trip | {"timestamp": f"2025-10-01T07:{place:02}:00Z"}
            )
        grid.onu(messages[place])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, range(24)))
    assert set(grid.statuses().values()) == {"off", "unknown"}
    assert grid.count("onu_events") == 24
