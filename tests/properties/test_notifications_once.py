"""Random reports, late ones, withdrawals, storms, crashes: nobody is told twice, and nobody forgotten.

``OMS_TOPOLOGY_TEST_NOTIFICATIONS=500`` is a long run.
"""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from oms_topology.persistence.notifications import Outbox, Postponement, mark_delivered
from tests.acceptance.scada_grid import Grid, at, event
from tests.service.town import CUSTOMERS, Town

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

EXAMPLES = int(os.environ.get("OMS_TOPOLOGY_TEST_NOTIFICATIONS", "6"))
STEPS = 25
HOLD = timedelta(minutes=5)
LEASE = timedelta(minutes=10)
DEVICES: list[dict[str, Any]] = [
    {"substation": "SS1"},
    {"feeder": "F1"},
    {"feeder": "F2"},
    {"substation": "SS2", "feeder": "F3"},
    {"feeder": "F1", "switch": "SW1"},
    {"feeder": "F1", "switch": "SW2"},
]


class Customers(RuleBasedStateMachine):
    """What a gateway that knows doubles by their id has taken to each customer."""

    make: Callable[[], Database]
    drop: Callable[[Database], None]

    def __init__(self) -> None:
        super().__init__()
        self.database = type(self).make()
        self.grid = Grid(self.database, network="")
        self.outbox = Outbox(self.database.engine)
        self.minute = 60.0
        self.received: dict[UUID, tuple[UUID, str]] = {}
        self.tells: dict[UUID, set[UUID]] = defaultdict(set)
        self.said: list[tuple[UUID, str, UUID, UUID, datetime, int]] = []
        self.payloads: list[dict[str, Any]] = []

    def teardown(self) -> None:
        try:
            self.settle_down()
        finally:
            type(self).drop(self.database)

    # What happens in the network

    @rule(device=st.sampled_from(DEVICES), ago=st.sampled_from([0, 0, 0, 1, 7, 30, 55]), dead=st.booleans())
    def device_reports(self, device: dict[str, Any], ago: int, dead: bool) -> None:
        self.minute += 0.25
        payload = event(minute=self.minute - ago, alarm="De-energized" if dead else "Energized", **device)
        self.payloads.append(payload)
        self.grid.through_sql(payload)

    @rule(meters=st.sets(st.sampled_from(sorted(CUSTOMERS)), min_size=1, max_size=3),
          ago=st.sampled_from([0, 0, 3, 40]), power=st.sampled_from(["on", "on", "off"]))  # fmt: skip
    def meters_report(self, meters: set[str], ago: int, power: str) -> None:
        self.minute += 0.25
        self.grid.say(sorted(meters), power, self.minute - ago, event_id=uuid4().hex)

    @precondition(lambda self: self.payloads)
    @rule(data=st.data())
    def redelivered(self, data: st.DataObject) -> None:
        self.grid.through_sql(data.draw(st.sampled_from(self.payloads)))

    @rule(minutes=st.sampled_from([1, 4, 6, 20, 70]))
    def time_passes(self, minutes: int) -> None:
        self.minute += minutes

    # What people and other services do

    @rule()
    def storm_begins_or_ends(self) -> None:
        self.grid.rows("UPDATE oms_storm_mode_config SET is_active = NOT is_active")

    @rule()
    def crew_assigned(self) -> None:
        self.grid.rows(
            "INSERT INTO oms_crew_assignments (outage_event_id, crew_id, assignment_type)"
            " SELECT id, 'CREW-1', 'primary' FROM oms_outage_events WHERE status = 'detected'"
            " ORDER BY id LIMIT 1"
        )

    @rule()
    def cancelled(self) -> None:
        self.grid.rows(
            "UPDATE oms_outage_events SET status = 'cancelled' WHERE id ="
            " (SELECT id FROM oms_outage_events WHERE status = 'detected' ORDER BY event_id DESC LIMIT 1)"
        )

    # Who fills, and who sends

    @rule(fillers=st.integers(1, 3))
    def fill(self, fillers: int) -> None:
        before = self.notes()
        now = at(self.minute)
        with ThreadPoolExecutor(fillers) as pool:
            list(pool.map(lambda _: self.outbox.queue(now, most_outages=2), range(fillers)))
        self.note_what_is_new(before)

    @rule(fate=st.sampled_from(["settled", "settled", "delivered", "crashed", "refused", "no answer"]))
    def send(self, fate: str) -> None:
        now = at(self.minute)
        claim = self.outbox.claim("sms", most=3, lease=LEASE, at=now)
        ids = [each.message_id for each in claim.messages]
        if fate != "refused":
            for each in claim.messages:
                self.receive(each.message_id, each.customer_id, each.kind)
        if fate == "delivered":
            for each in ids:
                assert mark_delivered(self.database.engine, each, now)
        if fate in ("settled", "delivered"):
            assert self.outbox.settle(claim, ids, at=now) == (len(ids) if fate == "settled" else 0)
        elif fate != "crashed":
            later = [Postponement(each, now, fate, fate == "no answer") for each in ids]
            assert self.outbox.postpone(claim, later) == len(ids)

    def receive(self, message: UUID, customer: UUID, kind: str) -> None:
        if message in self.received:
            assert self.received[message] == (customer, kind)
            return
        if kind != "outage_detected":
            self.knew_of_the_outage(message, customer)
        self.received[message] = customer, kind

    def knew_of_the_outage(self, message: UUID, customer: UUID) -> None:
        notes = self.notes()
        outages = {
            outage for (outage, whom, _), (by, _) in notes.items() if by == message and whom == customer
        }
        assert outages
        for outage in outages:
            first, _ = notes[outage, customer, "outage_detected"]
            assert self.received.get(first) == (customer, "outage_detected")

    # What must hold

    def notes(self) -> dict[tuple[UUID, UUID, str], tuple[UUID, bool]]:
        rows = self.grid.rows(
            "SELECT outage_event_id, customer_id, kind, message_id, is_inherited"
            " FROM oms_topology.notification"
        )
        return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}

    def note_what_is_new(self, before: dict[tuple[UUID, UUID, str], tuple[UUID, bool]]) -> None:
        """Check what was queued just now, and keep what it says of which outage, as that then stood."""
        outages = {
            row[0]: row
            for row in self.grid.rows(
                """
                SELECT e.id, e.status, e.event_type, e.first_detected_at, o.device_no
                FROM oms_outage_events e JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
                """
            )
        }
        for (outage, customer, kind), (message, is_inherited) in self.notes().items():
            if (outage, customer, kind) in before or is_inherited:
                continue
            _, status, event_type, started_at, device = outages[outage]
            if kind != "restored":
                assert status in ("detected", "confirmed", "in_progress")
                assert event_type == "outage"
                assert started_at < at(self.minute) - HOLD
            self.not_told_of_this_darkness(customer, kind, started_at, device)
            self.tells[message].add(outage)
            self.said.append((customer, kind, message, outage, at(self.minute), device))

    def not_told_of_this_darkness(self, customer: UUID, kind: str, started_at: datetime, device: int) -> None:
        """What was told since of an outage that is withdrawn now, above or below, was the same darkness."""
        for whom, what, message, outage, queued_at, other in self.said:
            if (
                (whom, what) != (customer, kind)
                or message not in self.received
                or outage not in self.withdrawn()
            ):
                continue
            assert queued_at < started_at or not self.is_on_one_path(device, other)

    def withdrawn(self) -> set[UUID]:
        return set(self.grid.column("SELECT outage_event_id FROM oms_topology.outage_revision"))

    def is_on_one_path(self, device: int, other: int) -> bool:
        above = "SELECT array_agg(device_no) FROM oms_topology.devices_above(:device)"
        return device in self.grid.value(above, device=other) or other in self.grid.value(
            above, device=device
        )

    @invariant()
    def nobody_was_told_twice(self) -> None:
        told: dict[tuple[UUID, str, UUID], UUID] = {}
        for message, (customer, kind) in self.received.items():
            for outage in self.tells[message]:
                first = told.setdefault((customer, kind, outage), message)
                assert first == message, "two messages of one outage and kind"

    @invariant()
    def the_outbox_and_its_notes_agree(self) -> None:
        alone = self.grid.value(
            """
            SELECT count(*) FROM oms_topology.notification_delivery d
            WHERE NOT EXISTS (SELECT FROM oms_topology.notification n WHERE n.message_id = d.message_id)
            """
        )
        assert alone == 0
        doubles = self.grid.value(
            """
            SELECT count(*) FROM (
                SELECT FROM oms_customer_notifications WHERE status = 'pending'
                GROUP BY outage_event_id, customer_id, notification_type HAVING count(*) > 1) d
            """
        )
        assert doubles == 0

    def settle_down(self) -> None:
        """Let everything be sent; then everybody concerned must know."""
        self.grid.rows("UPDATE oms_storm_mode_config SET is_active = false")
        for _ in range(5):
            self.minute += 15
            self.fill(1)
            while self.grid.value(
                "SELECT count(*) FROM oms_topology.notification_delivery"
                " WHERE next_attempt_at <= :now AND COALESCE(claimed_until, '-infinity') <= :now",
                now=at(self.minute),
            ):
                self.send("settled")
        self.nobody_was_told_twice()
        self.nobody_was_forgotten()
        self.the_end_was_told()

    def nobody_was_forgotten(self) -> None:
        """Who is without power below an outage that may be told of knows of one such outage."""
        rows = self.grid.rows(
            """
            SELECT m.meter_number, m.customer_id, array_agg(e.id)
            FROM oms_meters m
            JOIN oms_topology.device d ON d.segment_no = m.segment_no
                AND m.position_no BETWEEN d.position_no AND d.last_position_no
            JOIN oms_topology.outage_device o ON o.device_no = d.device_no
            JOIN oms_outage_events e ON e.id = o.outage_event_id
            WHERE m.power_status = 'off' AND NOT m.has_alternates AND m.customer_id IS NOT NULL
              AND e.status IN ('detected', 'confirmed', 'in_progress')
            GROUP BY m.meter_number, m.customer_id
            """
        )
        knows = {(whom, outage) for (outage, whom, kind) in self.notes() if kind == "outage_detected"}
        for meter, customer, outages in rows:
            assert all((customer, outage) in knows for outage in outages), meter

    def the_end_was_told(self) -> None:
        """Who was told of an outage that is over, and has power at each meter, knows that it is over."""
        rows = self.grid.rows(
            """
            SELECT n.outage_event_id, n.customer_id
            FROM oms_topology.notification n
            JOIN oms_outage_events e ON e.id = n.outage_event_id
            WHERE n.kind = 'outage_detected' AND e.status IN ('restored', 'cleared')
              AND NOT EXISTS (SELECT FROM oms_meters m
                              WHERE m.customer_id = n.customer_id AND m.power_status = 'off')
              AND NOT EXISTS (SELECT FROM oms_outage_events o
                              WHERE o.status IN ('detected', 'confirmed', 'in_progress'))
            """
        )
        notes = self.notes()
        for outage, customer in rows:
            assert (outage, customer, "restored") in notes


@pytest.mark.slow
def test_nobody_is_told_twice_and_nobody_is_forgotten(pg_server: LiveServer) -> None:
    prepared = pg_server.create(upgraded=True)
    Town(prepared).rows("UPDATE oms_topology.notification_channel SET burst = 1e6, per_minute = 1e6")
    prepared.engine.dispose()

    class Machine(Customers):
        make = staticmethod(lambda: pg_server.create(like=prepared))
        drop = staticmethod(pg_server.drop)

    few = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Machine, settings=few)
    finally:
        pg_server.drop(prepared)
