"""Calls: evidence and tickets, never a status; nothing of the caller leaves the call center's tables."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

FORMS = ("callcenter_ticket.function", "callcenter_intake.kafka", "callcenter_ticket_via_gateway.kafka")
REQUIRED = "Missing required fields: ticketId, timestamp, customer"


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database.engine)


def call(number: object = "M90000001", **changes: object) -> dict[str, Any]:
    message = payload("callcenter_ticket.function")
    message["customer"]["meterNumber"] = number
    return message | changes


@pytest.mark.parametrize("form", FORMS)
def test_every_form_opens_a_ticket_with_its_notes(grid: Grid, form: str) -> None:
    ticket = grid.ticket(payload(form))
    assert isinstance(ticket, UUID)
    assert grid.rows(
        "SELECT t.id, t.external_ticket_id, t.status, t.intake_timestamp::text, c.phone, c.address, c.notes,"
        " m.meter_number"
        " FROM callcenter_tickets t JOIN callcenter_customers c ON c.ticket_id = t.id"
        " JOIN oms_meters m ON m.id = c.meter_id"
    ) == [
        (
            ticket,
            "TC_1759305791516",
            "Registered",
            "2025-10-01 08:03:11.516+00",
            "+962-7-0000-0001",
            "1 Example Street, Amman",
            "No power since 11:00",
            "M90000001",
        )
    ]
    assert grid.rows("SELECT status, note FROM callcenter_ticket_status_history") == [
        ("Registered", "Intake created")
    ]
    assert grid.rows("SELECT raw_payload FROM callcenter_raw_messages WHERE ticket_id = %s", ticket) == [
        (payload(form),)
    ]


def test_a_call_changes_no_status_and_writes_no_status_event(grid: Grid) -> None:
    grid.ticket(call())
    assert set(grid.statuses().values()) == {"unknown"}
    assert grid.count("oms_meter_status_events") == 0
    assert grid.rows("SELECT source, power_status, device_code FROM oms_topology.signal") == [
        ("call_center", "off", "M90000001")
    ]


def test_redelivery_in_every_form_is_one_ticket(grid: Grid) -> None:
    tickets = {grid.ticket(payload(form)) for form in FORMS * 2}
    assert len(tickets) == 1
    assert grid.ticket(json.dumps(call())) in tickets
    assert (grid.count("callcenter_tickets"), grid.count("callcenter_customers")) == (1, 1)
    assert grid.rows("SELECT is_conflicting FROM oms_topology.signal") == [(False,)]


def test_a_ticket_with_other_content_stays_one_ticket(grid: Grid) -> None:
    first = grid.ticket(call())
    assert grid.ticket(call("M90000002")) == first
    assert grid.ticket(call(status="Crew Assigned", timestamp="2025-10-01T08:04:00Z")) == first
    assert grid.ticket(call(status="Registered", timestamp="2025-10-01T08:05:00Z")) == first
    assert grid.rows("SELECT status FROM callcenter_tickets") == [("Crew Assigned",)]
    assert grid.rows(
        "SELECT m.meter_number FROM callcenter_customers c JOIN oms_meters m ON m.id = c.meter_id ORDER BY 1"
    ) == [("M90000001",), ("M90000002",)]
    assert grid.count("oms_topology.signal WHERE is_conflicting") == 3


def test_a_ticket_that_the_deployed_function_stored_is_found_again(grid: Grid) -> None:
    old = grid.one(
        "INSERT INTO callcenter_tickets (external_ticket_id, intake_timestamp)"
        " VALUES ('TC_1759305791516', now()) RETURNING id"
    )
    assert grid.ticket(call()) == old


def test_colliding_intake_ids_lose_no_call(grid: Grid) -> None:
    tickets = [grid.ticket(call(ticketId=f"TC_{n}")) for n in range(5)]
    assert len(set(tickets)) == 5
    assert grid.rows("SELECT count(*), count(intake_id), count(oms_event_id) FROM callcenter_tickets") == [
        (5, 1, 1)
    ]
    other = call(ticketId="TC_9", intake={"intakeId": "new", "omsEventId": "evt_TC_600"})
    assert grid.rows(
        "SELECT intake_id, oms_event_id FROM callcenter_tickets WHERE id = %s", grid.ticket(other)
    ) == [("new", None)]


@pytest.mark.parametrize("number", [" m90000001 ", "M90000001\n"])
def test_untidy_numbers_are_linked(grid: Grid, number: str) -> None:
    grid.ticket(call(number))
    assert grid.one(
        "SELECT m.meter_number FROM callcenter_customers c JOIN oms_meters m ON m.id = c.meter_id"
    ) == ("M90000001")


def test_an_unknown_number_is_registered_provisionally(grid: Grid) -> None:
    grid.ticket(call(" K-404 "))
    meter = grid.meter("K-404")
    assert (meter["power_status"], meter["communication_status"]) == ("unknown", "unknown")
    assert grid.count("oms_topology.provisional_meter") == 1
    assert grid.count("callcenter_customers WHERE meter_id IS NOT NULL") == 1


@pytest.mark.parametrize("number", ["", "  ", None, {}, "m" * 65])
def test_a_call_without_a_usable_number_is_a_ticket(grid: Grid, number: object) -> None:
    assert grid.ticket(call(number))
    assert grid.rows("SELECT meter_number, meter_id FROM callcenter_customers") == [(None, None)]
    assert grid.count("oms_topology.provisional_meter") == 0


def test_notes_in_both_places_are_both_kept(grid: Grid) -> None:
    grid.ticket(call(notes="Neighbours too"))
    assert grid.one("SELECT notes FROM callcenter_customers") == "No power since 11:00\nNeighbours too"


@pytest.mark.parametrize("missing", ["ticketId", "timestamp", "customer"])
@pytest.mark.parametrize(
    "entry", ["insert_callcenter_ticket_from_json", "insert_callcenter_ticket_from_json_with_meter_link"]
)
def test_missing_fields_raise_the_deployed_text(grid: Grid, missing: str, entry: str) -> None:
    for message in (
        {key: value for key, value in call().items() if key != missing},
        call() | {missing: None},
    ):
        with pytest.raises(DBAPIError) as caught:
            grid.call(entry, message)
        assert caught.value.orig is not None
        assert caught.value.orig.diag.message_primary == REQUIRED  # type: ignore[attr-defined]


@pytest.mark.parametrize("message", [None, [], 3])
def test_what_is_no_object_raises_the_deployed_text(grid: Grid, message: object) -> None:
    with pytest.raises(DBAPIError, match=REQUIRED):
        grid.ticket(message)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (call(timestamp="now"), "timestamp"),
        (call(timestamp=17), "timestamp"),
        (call(customer="somebody"), "customer"),
        ("{broken", "body"),
        (call(notes="x" * 1_100_000), "payload"),
    ],
    ids=["no time", "number as time", "text as customer", "broken", "large"],
)
def test_what_cannot_be_used_becomes_a_dead_letter(grid: Grid, message: object, field: str) -> None:
    assert grid.ticket(message) is None
    assert grid.dead_letters() == [("call_center", field)]
    assert (grid.count("callcenter_tickets"), grid.count("oms_topology.signal")) == (0, 0)


def test_an_empty_ticket_id_goes_by_the_content(grid: Grid) -> None:
    first = grid.ticket(call(ticketId=""))
    assert grid.ticket(call(ticketId="")) == first
    assert grid.ticket(call("M90000002", ticketId="")) != first
    assert grid.ticket(call(ticketId="t" * 65)) is not None


def test_wrong_decoration_is_set_aside(grid: Grid) -> None:
    message = call(status="Lost", source="s" * 65)
    message["customer"] |= {"phone": "0" * 33, "address": ["x"]}
    assert grid.ticket(message)
    assert grid.findings() == {"status", "source", "phone", "address"}
    assert grid.rows("SELECT status, source FROM callcenter_tickets") == [("Registered", "call-center")]


def test_personal_data_stays_in_the_call_centers_tables(grid: Grid) -> None:
    grid.ticket(call() | {"contact": {"phone": "+962-7-0000-0001"}})
    grid.ticket(payload("callcenter_ticket_via_gateway.kafka"))
    for table in ("oms_topology.signal", "oms_meter_status_events", "oms_meters", "oms_event_timeline"):
        told = json.dumps(grid.rows(f"SELECT to_jsonb(t) FROM {table} t"))
        assert "962-7" not in told, table
        assert "Example Street" not in told, table


def test_storing_first_and_linking_later_links(grid: Grid) -> None:
    ticket = grid.call("insert_callcenter_ticket_from_json", call("K-404"))
    assert grid.rows("SELECT meter_id FROM callcenter_customers") == [(None,)]
    assert grid.count("oms_topology.provisional_meter") == 0
    assert grid.ticket(call("K-404")) == ticket
    assert grid.count("callcenter_customers WHERE meter_id IS NOT NULL") == 1


def test_sync_links_all_that_became_known_in_one_go(grid: Grid) -> None:
    grid.run(
        "INSERT INTO callcenter_tickets (external_ticket_id, intake_timestamp) VALUES ('T', now());"
        " INSERT INTO callcenter_customers (ticket_id, meter_number)"
        " SELECT t.id, n.number FROM callcenter_tickets t,"
        " unnest(ARRAY['M90000001', ' m90000002', 'K404', '', NULL]) AS n (number)"
    )
    sync = "SELECT * FROM sync_callcenter_tickets_to_meters()"
    assert grid.rows(sync) == [(3, 2, 1)]
    assert grid.rows(sync) == [(1, 0, 1)]
    grid.run("INSERT INTO oms_meters (meter_number) VALUES ('K404')")
    assert grid.rows(sync) == [(1, 1, 0)]
    assert grid.rows(sync) == [(0, 0, 0)]


def test_one_ticket_delivered_many_times_at_once_is_one(grid: Grid) -> None:
    messages = [call("K-404", timestamp=f"2025-10-01T08:0{n % 4}:00Z") for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        tickets = set(pool.map(grid.ticket, messages))
    assert len(tickets) == 1
    assert (grid.count("callcenter_tickets"), grid.count("oms_topology.signal")) == (1, 4)
    assert grid.count("oms_meters WHERE meter_number = 'K-404'") == 1
