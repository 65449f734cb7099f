"""Calls that come together leave the tickets that they leave one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_topology import Pipeline
from tests.acceptance.scada_grid import Grid, at
from tests.persistence.contract_functions import payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database

TABLES = {
    "tickets": "SELECT external_ticket_id, intake_id, oms_event_id, status, source FROM callcenter_tickets",
    "history": """SELECT t.external_ticket_id, h.status, h.note
                  FROM callcenter_ticket_status_history h JOIN callcenter_tickets t ON t.id = h.ticket_id""",
    "callers": """SELECT t.external_ticket_id, c.meter_number, c.phone, m.meter_number
                  FROM callcenter_customers c JOIN callcenter_tickets t ON t.id = c.ticket_id
                  LEFT JOIN oms_meters m ON m.id = c.meter_id""",
    "messages": """SELECT t.external_ticket_id, r.raw_payload::text FROM callcenter_raw_messages r
                   JOIN callcenter_tickets t ON t.id = r.ticket_id""",
    "signals": """SELECT s.source_event_id, s.is_conflicting, t.external_ticket_id,
                         s.result ->> 'meter_linked'
                  FROM oms_topology.signal s JOIN callcenter_tickets t
                       ON t.id::text = s.record_id AND t.id::text = s.result ->> 'ticket_id'""",
}


def _call(number: str, meter: str | None, status: str | None, intake: dict[str, str]) -> dict[str, Any]:
    message = payload("callcenter_ticket.function") | {"ticketId": number, "status": status}
    message["customer"] = message["customer"] | {"meterNumber": meter}
    return message | {"intake": intake}


CALLS = st.builds(
    _call,
    st.sampled_from(["TC-1", "TC-2", "TC-3", "TC-4"]),
    st.sampled_from(["M1", "m 2", "NEW1", None]),
    st.sampled_from(["Registered", "Crew Assigned", "Restored", None]),
    # Never both: who loses one id to another ticket may then lose the other too, or not.
    st.sampled_from([{"intakeId": "IN-1"}, {"intakeId": "IN-2"}, {"omsEventId": "OMS-1"}, {}]),
)


def _left_by(database: Database, batches: list[list[dict[str, Any]]]) -> dict[str, list[str]]:
    grid = Grid(database)
    with Pipeline(database) as pipeline:
        for batch in batches:
            receipts = pipeline.handle_batch([("call_center", call) for call in batch], received_at=at(9))
            assert all(receipt.accepted for receipt in receipts)
    left = {name: sorted(str(row) for row in grid.rows(sql)) for name, sql in TABLES.items()}
    database.close()  # the next example has databases of its own
    return left


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls=st.lists(CALLS, min_size=1, max_size=8), cut=st.integers(1, 8))
def test_calls_together_leave_what_they_leave_one_by_one(
    database_factory: Callable[..., Database], calls: list[dict[str, Any]], cut: int
) -> None:
    calls.sort(key=lambda call: str(call["ticketId"]))  # as a batch takes them
    together = [calls[place : place + cut] for place in range(0, len(calls), cut)]
    one_by_one = _left_by(database_factory(upgraded=True), [[call] for call in calls])
    assert _left_by(database_factory(upgraded=True), together) == one_by_one
