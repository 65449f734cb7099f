"""KAIFA events: the event type decides, each asset is its own meter, and odd XML is no ground to lose one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

TABLES = [
    "kaifa_events",
    "kaifa_event_headers",
    "kaifa_event_users",
    "kaifa_event_payloads",
    "kaifa_event_assets",
    "kaifa_event_details",
    "kaifa_event_names",
    "kaifa_event_status",
    "kaifa_event_usage_points",
    "kaifa_event_metadata",
    "kaifa_event_original_messages",
]


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database.engine)


def event(name: str = "kaifa_power_outage", /, **changes: Any) -> dict[str, Any]:
    message = payload(f"{name}.function")
    message["payload"] |= changes
    return message


def with_header(message: dict[str, Any], **changes: object) -> dict[str, Any]:
    message["header"] |= changes
    return message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kaifa_power_outage", "off"),
        ("kaifa_low_severity", "off"),
        ("kaifa_single_detail_as_object", "off"),
        ("kaifa_power_restored.INFERRED", "on"),
    ],
)
def test_the_event_type_decides_and_severity_does_not(grid: Grid, name: str, expected: str) -> None:
    number = grid.kaifa(event(name))
    assert isinstance(number, UUID)
    meter = grid.meter("M90000001")
    assert meter["power_status"] == expected
    assert meter["communication_status"] == ("offline" if expected == "off" else "online")
    assert grid.audit("M90000001") == [("unknown", expected, "kaifa", str(number), "0.90")]
    assert {table: grid.count(table) for table in TABLES if table != "kaifa_event_details"} == {
        table: 1 for table in TABLES if table != "kaifa_event_details"
    }


def test_everything_said_is_stored(grid: Grid) -> None:
    number = grid.kaifa(event())
    assert grid.one("SELECT event_timestamp::text FROM kaifa_events") == "2025-10-01 08:02:24.528+00"
    assert grid.rows(
        "SELECT event_id, verb, noun, async_reply_flag, ack_required, message_id, header_timestamp::text"
        " FROM kaifa_event_headers"
    ) == [
        (
            number,
            "Create",
            "EndDeviceEvents",
            False,
            False,
            "msg_1759305744528_1",
            "2025-10-01 08:02:24.528+00",
        )
    ]
    assert grid.rows("SELECT user_id, organization FROM kaifa_event_users") == [
        ("hes_user", "Example-Utility")
    ]
    assert grid.rows(
        "SELECT event_id_value, severity, event_type_ref, created_date_time::text FROM kaifa_event_payloads"
    ) == [("msg_1759305744528_1_2", "Critical", "PowerOutage", "2025-10-01 08:02:24.528+00")]
    named = (
        "SELECT t.mrid, t.name, t.name_type, m.meter_number FROM {} t JOIN oms_meters m ON m.id = t.meter_id"
    )
    assert grid.rows(named.format("kaifa_event_assets")) == [
        ("M90000001", "Meter 1", "Asset Name", "M90000001")
    ]
    assert grid.rows(named.format("kaifa_event_usage_points")) == [
        ("up_90000001", "Example District", "Usage Point Name", "M90000001")
    ]
    assert grid.rows("SELECT name, value, detail_order FROM kaifa_event_details ORDER BY detail_order") == [
        ("Voltage", "0.00V", 0),
        ("Power", "0.00kW", 1),
    ]
    assert grid.rows("SELECT name, name_type FROM kaifa_event_names") == [("Event 0", "Event Name")]
    assert grid.rows("SELECT value, remark FROM kaifa_event_status") == [("Active", "Example")]
    assert grid.rows("SELECT source FROM kaifa_event_metadata") == [("hes-kaifa-outage-topic",)]
    assert grid.rows("SELECT topic FROM kaifa_event_original_messages") == [("hes-kaifa-outage-topic",)]


def test_redelivery_with_another_consumer_clock_gives_the_same_id(grid: Grid) -> None:
    first = grid.kaifa(event())
    again = event() | {
        "timestamp": "2025-10-01T09:30:00.1",
        "metadata": {"processed_at": "2025-10-01T09:30:00.2"},
    }
    assert grid.kaifa(again) == first
    assert grid.kaifa(json.dumps(again)) == first
    assert [grid.count(table) for table in TABLES] == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1]
    assert len(grid.audit("M90000001")) == 1


@pytest.mark.parametrize("restored_first", [False, True])
def test_order_of_arrival_is_of_no_account(grid: Grid, restored_first: bool) -> None:
    messages = [event(), event("kaifa_power_restored.INFERRED")]
    for message in reversed(messages) if restored_first else messages:
        grid.kaifa(message)
    meter = grid.meter("M90000001")
    assert (meter["power_status"], meter["last_power_change"]) == ("on", "2025-10-01T08:31:50+00:00")
    assert meter["communication_status"] == "online"
    assert [row[1] for row in grid.audit("M90000001")] == ["off", "on"]


@pytest.mark.parametrize(
    ("code", "power", "communication"),
    [
        ("3.26.0.85", "off", "offline"),
        ("3.26.136.216", "on", "online"),
        ("powerrestored", "on", "online"),
        ("3.26.38.150", "unknown", "online"),
        ("3.23.136.47", "unknown", "offline"),
        ("0.31.0.68", "unknown", "online"),
        ("9.9.9.9", "unknown", "unknown"),
    ],
)
def test_standard_event_codes(grid: Grid, code: str, power: str, communication: str) -> None:
    assert grid.kaifa(event(event_type={"@ref": code}))
    meter = grid.meter("M90000001")
    assert (meter["power_status"], meter["communication_status"]) == (power, communication)


def test_an_operator_may_teach_a_code(grid: Grid) -> None:
    assert grid.kaifa(event(event_type={"@ref": "VendorDark"}))
    assert grid.findings() == {"payload.event_type"}
    grid.run(
        "INSERT INTO oms_topology.end_device_event_code VALUES ('VendorDark', 'off', NULL, 'vendor''s own')"
    )
    grid.kaifa(with_header(event(event_type="VendorDark"), message_id="m2"))
    assert grid.statuses()["M90000001"] == "off"


@pytest.mark.parametrize(
    "details",
    [
        None,
        "",
        [],
        {},
        {"ns2:name": "Voltage"},
        [{"ns2:value": "1"}, {"name": "V", "value": {"#text": "0"}}, "x", None],
    ],
)
def test_event_details_in_odd_forms(grid: Grid, details: object) -> None:
    assert grid.kaifa(event(event_details=details))
    assert grid.statuses()["M90000001"] == "off"


def test_empty_strings_are_nothing(grid: Grid) -> None:
    message = event(issuer_id="", user_id="", status="", names="", usage_point="")
    message["header"] = dict.fromkeys(message["header"], "")
    message |= {"metadata": "", "original_message": "", "timestamp": ""}
    assert grid.kaifa(message)
    assert grid.rows("SELECT verb, message_id, async_reply_flag FROM kaifa_event_headers") == [
        ("N/A", None, None)
    ]
    other = event(event_id="another")
    other["header"] = message["header"]
    assert grid.kaifa(other), "a second event without a message id"
    assert grid.count("kaifa_events") == 2


def test_without_any_id_the_content_is_the_key(grid: Grid) -> None:
    def bare(**changes: Any) -> dict[str, Any]:
        return with_header(event(event_id="", **changes), message_id="")

    first = grid.kaifa(bare())
    assert grid.kaifa(bare()) == first
    assert grid.kaifa(bare(created_date_time="2025-10-01T08:05:00Z")) != first


def test_one_key_with_other_content_is_kept_and_flagged(grid: Grid) -> None:
    first = grid.kaifa(event())
    second = grid.kaifa(event(severity="Low"))
    assert first != second
    assert grid.rows("SELECT is_conflicting FROM oms_topology.signal ORDER BY signal_no") == [
        (False,),
        (True,),
    ]
    assert grid.count("kaifa_event_headers WHERE message_id LIKE 'msg_1759305744528_1%%'") == 2


def test_an_event_that_the_deployed_function_stored_is_taken_over(grid: Grid) -> None:
    old = grid.one(
        "INSERT INTO kaifa_events (message_type, event_timestamp)"
        " VALUES ('EndDeviceEvent', now()) RETURNING id"
    )
    grid.rows(
        "INSERT INTO kaifa_event_headers (event_id, verb, noun, header_timestamp, message_id)"
        " VALUES (%s, 'Create', 'EndDeviceEvents', now(), 'msg_1759305744528_1') RETURNING id",
        old,
    )
    grid.rows(
        "INSERT INTO kaifa_event_payloads (event_id, event_id_value)"
        " VALUES (%s, 'msg_1759305744528_1_2') RETURNING id",
        old,
    )
    assert grid.kaifa(event()) == old
    assert grid.count("kaifa_events") == 1
    assert grid.statuses()["M90000001"] == "off"


def test_several_assets_each_are_their_own_meter(grid: Grid) -> None:
    assets = [{"ns2:mRID": "M90000001"}, {"mRID": " m90000002 "}, {"ns9:mRID": "asset_4"}]
    grid.run("UPDATE oms_meters SET asset_mrid = 'asset_4' WHERE meter_number = 'M90000004'")
    grid.kaifa(event(assets=assets))
    assert [grid.statuses()[f"M9000000{n}"] for n in (1, 2, 3, 4)] == ["off", "off", "unknown", "off"]
    assert grid.rows(
        "SELECT m.meter_number FROM kaifa_event_assets a JOIN oms_meters m ON m.id = a.meter_id ORDER BY 1"
    ) == [("M90000001",), ("M90000002",), ("M90000004",)]


def test_a_list_of_events_loses_none(grid: Grid) -> None:
    message = event()
    one = message["payload"]
    message["payload"] = [
        one,
        one | {"event_id": "second", "assets": {"ns2:mRID": "M90000002"}},
        one | {"event_id": "third", "assets": {}, "usage_point": {}},
        one | {"event_id": "fourth", "assets": {"ns2:mRID": "M90000003"}},
    ]
    number = grid.kaifa(message)
    assert grid.rows(
        "SELECT event_id FROM kaifa_event_payloads WHERE event_id_value = 'msg_1759305744528_1_2'"
    ) == [(number,)]
    assert [grid.statuses()[f"M9000000{n}"] for n in (1, 2, 3, 4)] == ["off", "off", "off", "unknown"]
    assert grid.dead_letters() == [("kaifa", "payload.assets")]
    assert grid.kaifa(message) == number


def test_the_asset_goes_before_a_shared_usage_point(grid: Grid) -> None:
    grid.run(
        "UPDATE oms_meters SET asset_mrid = 'asset_' || right(meter_number, 1), usage_point_mrid = 'shared'"
        " WHERE meter_number IN ('M90000001', 'M90000002')"
    )
    shared = {"ns2:mRID": "shared"}
    grid.kaifa(event(assets={"ns2:mRID": "asset_1"}, usage_point=shared))
    assert (grid.statuses()["M90000001"], grid.statuses()["M90000002"]) == ("off", "unknown")
    assert grid.kaifa(event(assets={}, usage_point=shared, event_id="e2")) is None
    assert grid.dead_letters() == [("kaifa", "payload.usage_point")]


def test_the_sole_meter_of_a_usage_point_stands_for_an_unknown_asset(grid: Grid) -> None:
    grid.run("UPDATE oms_meters SET usage_point_mrid = 'up_1' WHERE meter_number = 'M90000001'")
    grid.kaifa(event(assets={"ns2:mRID": "exchanged"}, usage_point={"ns2:mRID": "up_1"}))
    assert grid.statuses()["M90000001"] == "off"
    assert grid.kaifa(event("kaifa_power_restored.INFERRED", assets=None, usage_point={"ns2:mRID": "up_1"}))
    assert grid.statuses()["M90000001"] == "on"
    assert grid.count("oms_topology.provisional_meter") == 0


def test_an_unknown_asset_is_registered_provisionally(grid: Grid) -> None:
    grid.kaifa(event(assets={"ns2:mRID": "asset_1759305744528_7"}))
    meter = grid.meter("asset_1759305744528_7")
    assert (meter["meter_type"], meter["power_status"], meter["asset_mrid"], meter["usage_point_mrid"]) == (
        "kaifa",
        "off",
        "asset_1759305744528_7",
        "up_90000001",
    )
    long = "urn:" + "x" * 90
    grid.kaifa(event(assets={"ns2:mRID": long}, usage_point=None))
    assert grid.one("SELECT length(meter_number) FROM oms_meters WHERE asset_mrid = %s", long) == 64
    grid.kaifa(event("kaifa_power_restored.INFERRED", assets={"ns2:mRID": long}, usage_point=None))
    assert grid.rows("SELECT power_status FROM oms_meters WHERE asset_mrid = %s", long) == [("on",)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"assets": None, "usage_point": None}, "payload.assets"),
        ({"assets": {"ns2:mRID": "x" * 101}, "usage_point": ""}, "payload.assets"),
        ({"assets": None}, "payload.usage_point"),
        ({"event_type": None}, "payload.event_type"),
        ({"event_type": {"@ref": ""}}, "payload.event_type"),
    ],
)
def test_what_cannot_be_used_becomes_a_dead_letter(grid: Grid, changes: dict[str, Any], field: str) -> None:
    assert grid.kaifa(event(**changes)) is None
    assert grid.dead_letters() == [("kaifa", field)]
    assert [grid.count(table) for table in TABLES] == [0] * len(TABLES)
    assert grid.kaifa(event()), "and the next message is unaffected"


def test_no_time_at_all_is_a_dead_letter(grid: Grid) -> None:
    message = with_header(event(created_date_time="", status=None), timestamp="soon") | {"timestamp": None}
    assert grid.kaifa(message) is None
    assert grid.dead_letters() == [("kaifa", "payload.created_date_time")]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (None, "payload"),
        (17, "payload"),
        ({"message_type": "EndDeviceEvent"}, "payload"),
        ({"payload": []}, "payload"),
        (payload("kaifa_power_outage.kafka"), "body"),
    ],
    ids=["null", "number", "no payload", "no event", "XML unread"],
)
def test_what_is_no_event_becomes_a_dead_letter(grid: Grid, message: object, field: str) -> None:
    assert grid.kaifa(message) is None
    assert grid.dead_letters() == [("kaifa", field)]


def test_over_long_text_is_set_aside(grid: Grid) -> None:
    message = with_header(event(reason="r" * 201, severity="s" * 21), verb="v" * 21, message_id="m" * 101)
    assert grid.kaifa(message)
    assert grid.findings() == {"reason", "severity", "verb", "message_id"}
    assert grid.statuses()["M90000001"] == "off"


def test_storing_first_and_syncing_later_syncs(grid: Grid) -> None:
    number = grid.call("insert_kaifa_event_from_json", event())
    assert grid.statuses()["M90000001"] == "unknown"
    assert grid.kaifa(event()) == number
    assert grid.statuses()["M90000001"] == "off"


def test_one_event_delivered_many_times_at_once_counts_once(grid: Grid) -> None:
    message = event(assets={"ns2:mRID": "nobody knows"})
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(grid.kaifa, [message] * 16))
    assert len(numbers) == 1
    assert grid.count("kaifa_events") == 1
    assert len(grid.audit("nobody knows")) == 1
