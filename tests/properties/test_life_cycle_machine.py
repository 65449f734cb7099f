"""Reports in any order, interleaved with what people decide: the rule table holds at every step.

The machine's own model knows the reports and the decisions only. From them it draws which outages stand, from
when until when; what people ended is the end of an interval.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
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

from oms_topology import Topology
from tests.acceptance.scada_grid import NETWORK, at, event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.servers import LiveServer

EXAMPLES, STEPS = (1500, 40) if os.environ.get("HYPOTHESIS_PROFILE") == "long" else (15, 14)
ABOVE = {"SS1": (), "F1": ("SS1",), "DP1": ("F1", "SS1"), "DP2": ("F1", "SS1")}
NAMES: dict[str, dict[str, Any]] = {
    "SS1": {}, "F1": {"feeder": "F1"}, "DP1": {"switch": "SW1"}, "DP2": {"switch": "SW2"},
}  # fmt: skip
OPEN = ("detected", "confirmed", "in_progress")
ALLOWED = {
    "detected": {"confirm", "assign", "restore", "cancel"},
    "confirmed": {"assign", "restore", "cancel"},
    "in_progress": {"assign", "restore", "cancel"},
    "restored": {"cancel"},
    "cancelled": set(),
}
NOTHING_NEW = {("confirmed", "confirm"), ("cancelled", "cancel")}
FOREVER = at(10**6)

devices = st.sampled_from(list(ABOVE))
minutes = st.integers(0, 30)


@dataclass(frozen=True)
class Row:
    """An outage as the database shows it."""

    outage: str
    device: str
    status: str
    event_type: str
    started_at: datetime
    ended_at: datetime | None
    is_supported: bool


class LifeCycle(RuleBasedStateMachine):
    """Reports and people, on one database in one transaction that is rolled back in the end."""

    connection: ClassVar[psycopg.Connection[Any]]

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[tuple[str, int], bool] = {}
        self.ends: dict[str, set[int]] = {}
        self.requests: list[tuple[str, str, int, str]] = []

    def teardown(self) -> None:
        self.connection.rollback()

    @rule(device=devices, minute=minutes, is_dead=st.sampled_from([True, True, False]))
    def report(self, device: str, minute: int, is_dead: bool) -> None:
        if self.said.setdefault((device, minute), is_dead) is not is_dead:
            return
        before = {row.outage: row for row in self.rows()}
        message = event(**NAMES[device], minute=minute, alarm="De-energized" if is_dead else "Energized")
        self.connection.execute("SELECT insert_scada_event_with_meter_check(%s)", (json.dumps(message),))
        for row in self.rows():
            was = before.get(row.outage)
            if was and was.status in ("confirmed", "in_progress"):
                assert row.status in (was.status, "in_progress", "restored")
            if was and was.status == "cancelled":
                assert row.status == "cancelled"
            if was and was.status == "restored" and row.status in OPEN:
                assert "restore" not in self.decided(row)

    @precondition(lambda self: self.rows())
    @rule(
        data=st.data(),
        action=st.sampled_from(["confirm", "assign", "restore", "cancel"]),
        later=st.integers(1, 12),
    )
    def decide(self, data: st.DataObject, action: str, later: int) -> None:
        row = data.draw(st.sampled_from(self.rows()))
        minute = round((row.started_at - at(0)).total_seconds() / 60) + later
        request = f"r{len(self.requests)}"
        ended_then = row.status in {"restored", "cleared"} and row.ended_at == at(minute)
        is_so = (row.status, action) in NOTHING_NEW or (action == "restore" and ended_then)
        if action not in ALLOWED[row.status] and not is_so:
            before = self.rows()
            with pytest.raises(
                psycopg.Error, match=f"is {row.status.replace('_', ' ')}; {action} is not possible"
            ) as no:
                self.ask(row.outage, action, minute, request)
            assert no.value.sqlstate == "OMT02"
            assert self.rows() == before
            return
        is_new = self.ask(row.outage, action, minute, request)
        assert is_new is not is_so
        if is_new:
            self.requests.append((row.outage, action, minute, request))
            if action in ("restore", "cancel") and row.is_supported:
                ended = minute if row.ended_at is None else round((row.ended_at - at(0)).total_seconds() / 60)
                self.ends.setdefault(row.device, set()).add(ended)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def decide_again(self, data: st.DataObject) -> None:
        before = self.rows()
        assert not self.ask(*data.draw(st.sampled_from(self.requests)))
        assert self.rows() == before

    @invariant()
    def the_outages_are_those_that_reports_and_people_support(self) -> None:
        found = sorted((r.device, r.started_at, r.ended_at or FOREVER) for r in self.rows() if r.is_supported)
        assert found == self.wanted()

    @invariant()
    def every_status_follows_from_evidence_and_decisions(self) -> None:
        for row in self.rows():
            assert row.status == self.status_of(row), row
            if row.status != "cancelled":
                is_short = row.ended_at is not None and (row.ended_at - row.started_at).total_seconds() <= 300
                if row.is_supported:
                    assert row.event_type == ("momentary_interruption" if is_short else "outage")

    @invariant()
    def no_decision_and_no_crew_is_lost(self) -> None:
        kept = self.connection.execute(
            """
            SELECT x.request_id FROM oms_topology.outage_decision x
            JOIN oms_outage_events e ON e.id = x.outage_event_id ORDER BY x.decision_no
            """
        ).fetchall()
        assert [row[0] for row in kept] == [request for *_, request in self.requests]
        crews = self.connection.execute("SELECT count(*) FROM oms_crew_assignments").fetchone()
        assert crews == (sum(action == "assign" for _, action, _, _ in self.requests),)

    def ask(self, outage: str, action: str, minute: int, request: str) -> bool:
        crew = {"crew_id": request, "assignment_type": "repair"} if action == "assign" else {}
        with self.connection.transaction():
            found = self.connection.execute(
                "SELECT (oms_topology.decide(%s, %s, 'OP7', 'why', %s, %s, %s)).is_new",
                (action, outage, at(minute), request, json.dumps(crew)),
            ).fetchone()
        assert found is not None
        return bool(found[0])

    def rows(self) -> list[Row]:
        found = self.connection.execute(
            """
            SELECT e.id::text, d.code, e.status, e.event_type, o.started_at, o.ended_at,
                   NOT EXISTS (SELECT FROM oms_event_timeline t
                               WHERE t.outage_event_id = e.id AND t.event_type = 'unsupported')
            FROM oms_outage_events e JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
            JOIN oms_topology.device d ON d.device_no = o.device_no ORDER BY o.started_at, d.code
            """
        )
        return [Row(*row) for row in found]

    def decided(self, row: Row) -> set[str]:
        """What people decided about an outage, of what was said of its own device."""
        found = self.connection.execute(
            """
            SELECT x.action
            FROM oms_topology.outage_decision x JOIN oms_topology.device d ON d.device_no = x.device_no
            WHERE x.outage_event_id = %s AND (d.code = %s OR x.action IN ('confirm', 'assign'))
            """,
            (row.outage, row.device),
        )
        return {action for (action,) in found}

    def status_of(self, row: Row) -> str:
        decided = self.decided(row)
        if "cancel" in decided:
            return "cancelled"
        if "restore" in decided or (row.is_supported and row.ended_at is not None):
            return "restored"
        return "in_progress" if "assign" in decided else "confirmed" if "confirm" in decided else "detected"

    def wanted(self) -> list[tuple[str, datetime, datetime]]:
        dead = {device: self.dead_intervals(device) for device in ABOVE}
        return sorted(
            (device, at(start), FOREVER if end is None else at(end))
            for device, intervals in dead.items()
            for start, end in intervals
            if any(
                not self.is_covered(dead, device, instant)
                for instant in self.instants(dead, device, start, end)
            )
        )

    def dead_intervals(self, device: str) -> list[tuple[int, int | None]]:
        turns = dict.fromkeys(self.ends.get(device, ()), False)
        turns |= {minute: is_dead for (of, minute), is_dead in self.said.items() if of == device}
        found: list[tuple[int, int | None]] = []
        since: int | None = None
        for minute, is_dead in sorted(turns.items()):
            if is_dead and since is None:
                since = minute
            elif not is_dead and since is not None:
                found.append((since, minute))
                since = None
        return found if since is None else [*found, (since, None)]

    @staticmethod
    def instants(
        dead: dict[str, list[tuple[int, int | None]]], device: str, start: int, end: int | None
    ) -> Iterator[int]:
        """The start of an interval, and where a cover of it ends."""
        yield start
        for upper in ABOVE[device]:
            for _, upper_end in dead[upper]:
                if upper_end is not None and start <= upper_end and (end is None or upper_end < end):
                    yield upper_end

    @staticmethod
    def is_covered(dead: dict[str, list[tuple[int, int | None]]], device: str, instant: int) -> bool:
        return any(
            start <= instant and (end is None or end > instant)
            for upper in ABOVE[device]
            for start, end in dead[upper]
        )


@pytest.fixture(scope="module")
def connection(pg_server: LiveServer) -> Iterator[psycopg.Connection[Any]]:
    database = pg_server.create(upgraded=True)
    database.store_network(Topology.from_text(NETWORK))
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, options="-c timezone=UTC") as opened:
        yield opened
    pg_server.drop(database)


def test_evidence_and_people_move_outages_by_the_rule_table(connection: psycopg.Connection[Any]) -> None:
    LifeCycle.connection = connection
    run_state_machine_as_test(
        LifeCycle,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
