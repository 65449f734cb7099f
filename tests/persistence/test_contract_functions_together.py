"""All doors together: on every server version, and with the messages in any order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database

DOORS = {
    "scada": "insert_scada_event_with_meter_check",
    "onu": "insert_onu_event_from_json_with_meter_sync",
    "kaifa": "insert_kaifa_event_from_json_with_meter_sync",
    "callcenter": "insert_callcenter_ticket_from_json_with_meter_link",
}
RECORDED = (
    "scada_loss_of_voltage.function",
    "onu_last_gasp.kafka",
    "kaifa_power_outage.function",
    "kaifa_single_detail_as_object.function",
    "callcenter_ticket_via_gateway.kafka",
    "kaifa_low_severity.function",
    "scada_restoration.kafka",
    "onu_power_restored.function",
    "kaifa_power_restored.INFERRED.function",
)


def test_the_recorded_day_on_every_version(any_version_factory: Callable[..., Database]) -> None:
    grid = Grid(any_version_factory(upgraded=True).engine)
    for form in RECORDED:
        assert grid.call(DOORS[form.split("_")[0]], payload(form)) is not None
    assert set(grid.statuses().values()) == {"on", "unknown"}
    assert grid.statuses()["M90000005"] == "unknown"
    assert [row[:3] for row in grid.audit("M90000001")] == [
        ("unknown", "off", "scada"),
        ("off", "on", "onu"),
    ]
    request = payload("oms_api_correlate_request")
    keys = ("event_type", "source_type", "source_event_id", "timestamp", "latitude", "longitude")
    call = "SELECT oms_correlate_events(%s, %s, %s, %s, %s::numeric, %s::numeric)"
    assert grid.one(call, *(request[key] for key in keys))
    assert grid.one("SELECT update_meter_status('M90000005', 'off', 'power_off', 'system')")
    assert grid.rows("SELECT * FROM sync_callcenter_tickets_to_meters()") == [(0, 0, 0)]
    assert grid.one("SELECT migrated_events FROM migrate_and_correlate_events()") == 5
    assert {row[1] for row in grid.rows("SELECT * FROM validate_migrated_data()")} == {"PASS"}
    assert grid.dead_letters() == []


def mixed_messages() -> list[tuple[str, Any]]:
    """Trips, gasps and reports of the same meters, criss-cross within the hour, two of them unusable."""

    def at(minute: int) -> str:
        return f"2025-10-01T08:{minute:02}:00Z"

    def kaifa(minute: int, meter: int, ref: str) -> dict[str, Any]:
        message = payload("kaifa_power_outage.function")
        message["header"] |= {"message_id": f"m{minute}", "timestamp": at(minute)}
        message["payload"] |= {
            "event_id": f"e{minute}",
            "created_date_time": at(minute),
            "assets": {"ns2:mRID": f"M9000000{meter}"},
            "event_type": {"@ref": ref},
        }
        return message

    gasp, restored = payload("onu_last_gasp.function"), payload("onu_power_restored.function")
    trip, back = payload("scada_loss_of_voltage.function"), payload("scada_restoration.function")
    return [
        ("scada", trip | {"timestamp": at(5)}),
        ("onu", gasp | {"eventId": "g6", "timestamp": at(6)}),
        ("kaifa", kaifa(7, 4, "PowerOutage")),
        ("callcenter", payload("callcenter_ticket.function") | {"timestamp": at(8)}),
        ("scada", back | {"timestamp": at(20)}),
        ("onu", restored | {"eventId": "r22", "timestamp": at(22)}),
        ("kaifa", kaifa(25, 4, "PowerRestored")),
        ("kaifa", kaifa(30, 1, "3.26.136.47")),
        ("onu", gasp | {"eventId": "g40", "timestamp": at(40)}),
        ("kaifa", kaifa(45, 2, "3.26.136.216")),
        ("onu", gasp | {"eventId": "odd", "timestamp": "1970-01-01T00:00:00Z"}),
        ("kaifa", kaifa(50, 5, "") | {"payload": {}}),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_known_in_the_end_does_not_depend_on_the_order(
    database_factory: Callable[..., Database], seed: int
) -> None:
    messages = mixed_messages()
    shuffled = messages + random.Random(seed).sample(messages, 5)
    random.Random(seed).shuffle(shuffled)
    assert known_after(database_factory, shuffled) == known_after(database_factory, messages)


def known_after(database_factory: Callable[..., Database], messages: list[tuple[str, Any]]) -> Any:
    grid = Grid(database_factory(upgraded=True).engine)
    for door, message in messages:
        grid.call(DOORS[door], message)
    return (
        grid.rows(
            "SELECT meter_number, power_status, last_power_change, communication_status, last_communication"
            " FROM oms_meters WHERE meter_number LIKE 'M9%%' ORDER BY 1"
        ),
        grid.rows(
            "SELECT m.meter_number, h.event_timestamp, h.previous_status, h.new_status, h.source_type"
            " FROM oms_topology.meter_power_history h JOIN oms_meters m ON m.id = h.meter_id"
            " WHERE h.event_timestamp < '2025-10-02' ORDER BY 1, 2"
        ),
        grid.rows(
            "SELECT source, source_event_id, power_status, is_conflicting FROM oms_topology.signal"
            " WHERE time_is_sound ORDER BY 1, 2"
        ),
    )


def test_blanks_are_trimmed_and_letters_are_not(any_version_factory: Callable[..., Database]) -> None:
    # E'\v' is a letter before PostgreSQL 16.
    grid = Grid(any_version_factory(upgraded=True).engine)
    assert grid.rows(
        "SELECT value FROM oms_topology.text_field(%s::jsonb, 'x', 9)", '{"x": "\\u000b\\t vav \\n"}'
    ) == [("vav",)]
    assert grid.one("SELECT oms_topology.parse_time(%s, 'UTC') IS NULL", "v2025-10-01T08:00:00Z")
    gasp = payload("onu_last_gasp.function") | {"associatedMeters": [" v1 "]}
    assert grid.call(DOORS["onu"], gasp)
    assert grid.meter("v1")["power_status"] == "off"
    kaifa = payload("kaifa_power_outage.function")
    kaifa["payload"]["assets"]["ns2:mRID"] = "v2v"
    assert grid.call(DOORS["kaifa"], kaifa)
    assert grid.meter("v2v")["power_status"] == "off"
