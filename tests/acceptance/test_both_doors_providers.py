"""ONU, KAIFA and the call center: SQL door, pipeline one by one and in one batch leave the same rows."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_topology import Pipeline, Topology
from tests.acceptance.scada_grid import NETWORK, Grid, at
from tests.acceptance.test_both_doors import all_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
RECEIVED = at(60)
REGISTRY = (
    "UPDATE oms_meters SET onu_id = 1 WHERE meter_number IN ('M1', 'M2')",
    "UPDATE oms_meters SET onu_id = 2 WHERE meter_number = 'M3'",
    "UPDATE oms_meters SET asset_mrid = 'A1', usage_point_mrid = 'P1' WHERE meter_number = 'M1'",
    "UPDATE oms_meters SET usage_point_mrid = 'P4' WHERE meter_number = 'M4'",
    "INSERT INTO onus (id, onu_serial_no) VALUES (2, 'S2')",
)
# The public functions, but for the clock: all are told the same time of receipt.
DOORS = {
    "onu": "SELECT oms_topology.record_onu(CAST(:m AS jsonb), CAST(:r AS timestamptz), true)",
    "kaifa": "SELECT oms_topology.record_kaifa(CAST(:m AS jsonb), CAST(:r AS timestamptz), true)",
    "call_center": "SELECT oms_topology.accept_call(CAST(:m AS jsonb), true, CAST(:r AS timestamptz))",
}
PUBLIC = {
    "insert_onu_event_from_json_with_meter_sync": "SELECT oms_topology.record_onu(json_data, now(), true)",
    "insert_kaifa_event_from_json_with_meter_sync": (
        "SELECT oms_topology.record_kaifa(json_data, now(), true)"
    ),
    "insert_callcenter_ticket_from_json_with_meter_link": (
        "SELECT oms_topology.accept_call(json_data, true, now())"
    ),
}

numbers = st.sampled_from(["M1", "M3", "M4", " m4 ", "X1", "X-2", "M-90000001"])
times = st.one_of(
    st.integers(0, 12).map(lambda minute: at(minute).isoformat()),
    st.sampled_from(
        ["2025-10-01T12:03:00", "1999-12-31T23:59:59Z", "2199-01-01T00:00:00Z", "yesterday", "", None]
    ),
)
texts = st.sampled_from(["Storm", "", "r" * 201, "'; DROP TABLE oms_meters; --", None, 7, {"a": 1}])


def told_once(event: dict[str, Any]) -> dict[str, Any]:
    # Where two claim a serial, or one names it alone, the first comer decides; in a batch nobody is.
    is_own = event.get("onuSerial") != "S9" or event["onuId"] in (3, "003")
    return event if is_own else event | {"onuSerial": "S0" if event["onuId"] in ("ONU-2", None) else ""}


onu_events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["ONU_LastGaspAlert", "ONU_PowerRestored", "ONU_LOS", "Reboot", None]),
        "timestamp": times,
        "onuId": st.sampled_from([1, "2", "003", 3, "ONU-2", None]),
    },
    optional={
        "eventId": st.sampled_from(["E1", "E2", "", "e" * 101]),
        "onuSerial": st.sampled_from(["", "S2", "S9"]),
        "associatedMeters": st.lists(numbers | st.just({"meterNumber": "X1"}), max_size=3),
        "location": st.sampled_from([{"lat": "31.9", "lng": 35.9}, {"lat": 200}, "here"]),
        "nmsType": texts,
        "alarmData": st.sampled_from([{"category": "fault", "serial": "S2"}, {"category": {}}, "none"]),
    },
).map(told_once)
assets = st.lists(
    st.sampled_from(["A1", "M2", "m4", "X1", "E7", "u" * 90, ""]).map(lambda mrid: {"ns2:mRID": mrid}),
    max_size=2,
)
kaifa_payloads = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["PowerOutage", {"@ref": "3.26.136.216"}, "3.23.136.47", "9.9", ""]),
        "created_date_time": times,
        "assets": assets | assets.map(lambda listed: listed[0] if listed else None),
    },
    optional={
        "event_id": st.sampled_from(["E1", "E2", ""]),
        "usage_point": st.sampled_from(["P1", "P4", "P9"]).map(lambda mrid: {"mRID": mrid}),
        "severity": st.sampled_from(["Critical", "low", "s" * 21]),
        "reason": texts,
        "status": st.sampled_from([{"value": "Active"}, {"value": "Inactive"}, ""]),
        "event_details": st.sampled_from(
            [{"name": "V", "value": "0"}, [{"name": "V"}, {"name": "P", "value": "1"}], ""]
        ),
    },
)
kaifa_events = st.fixed_dictionaries(
    {"message_type": st.just("EndDeviceEvent"), "payload": kaifa_payloads},
    optional={
        "header": st.fixed_dictionaries(
            {"message_id": st.sampled_from(["m1", "m2", "", "m" * 101]), "timestamp": times},
            optional={"verb": texts},
        ),
        "metadata": st.sampled_from([{"source": "topic", "processed_at": at(13).isoformat()}, ""]),
    },
)
calls = st.fixed_dictionaries(
    {
        "ticketId": st.sampled_from(["T1", "T2", "T3", "", "t" * 65]),
        "timestamp": times.filter(lambda time: time is not None),
        "customer": st.fixed_dictionaries(
            {"meterNumber": numbers | st.none()},
            optional={"phone": st.just("+962-7-0000-0001"), "address": texts, "notes": texts},
        )
        | st.just("somebody"),
    },
    optional={
        "notes": texts,
        "status": st.sampled_from(["Registered", "In Progress", "Restored", "Lost"]),
        "intake": st.fixed_dictionaries(
            {"intakeId": st.sampled_from(["I1", "I2"]), "omsEventId": st.just("O1")}
        ),
    },
)
events = {"onu": onu_events, "kaifa": kaifa_events, "call_center": calls}


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Messages of the three, provider by provider as a batch takes them, some of them twice."""
    stream = []
    for source, event in events.items():
        made = draw(st.lists(event, max_size=6))
        again = draw(st.lists(st.sampled_from(made), max_size=3)) if made else []
        stream += [(source, message) for message in draw(st.permutations([*made, *again]))]
    return stream


def wrapped(message: Any) -> Any:
    return {"event": message, "timestamp": at(14).isoformat(), "source": "gateway"}


@pytest.fixture(scope="module")
def server(pg_server: LiveServer) -> Iterator[Doors]:
    doors = Doors(pg_server)
    yield doors
    doors.close()


class Doors:
    """Three databases with the same network."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._made: list[Database] = []

    def fresh(self) -> Grid:
        self._made.append(self._server.create(upgraded=True))
        self._made[-1].store_network(Topology.from_text(NETWORK))
        grid = Grid(self._made[-1], "")
        for statement in REGISTRY:
            grid.rows(statement)
        return grid

    def close(self) -> None:
        while self._made:
            self._server.drop(self._made.pop())


def test_the_public_functions_are_those_compared_here(database: Database) -> None:
    grid = Grid(database, "")
    for name, body in PUBLIC.items():
        assert (
            " ".join(grid.value("SELECT prosrc FROM pg_proc WHERE proname = :name", name=name).split())
            == body
        )


@settings(max_examples=150 if LONG else 12, deadline=None, suppress_health_check=list(HealthCheck))
@given(streams(), st.booleans())
def test_all_doors_leave_the_same_rows(
    server: Doors, stream: list[tuple[str, Any]], is_wrapped: bool
) -> None:
    if is_wrapped:
        stream = [(source, wrapped(message)) for source, message in stream]
    # The order of keys tells messages apart only where they cannot be read.
    written = [(source, json.dumps(message, sort_keys=True)) for source, message in stream]
    by_sql, one_by_one, at_once = server.fresh(), server.fresh(), server.fresh()
    try:
        for source, message in written:
            by_sql.rows(DOORS[source], m=message, r=RECEIVED)
        with Pipeline(one_by_one.database) as pipeline:
            single = [pipeline.handle(*message, received_at=RECEIVED) for message in written]
        with Pipeline(at_once.database) as pipeline:
            batched = pipeline.handle_batch(written, received_at=RECEIVED)
        assert differences(rows_of(by_sql), rows_of(one_by_one)) == {}
        assert differences(settled(by_sql), settled(at_once)) == {}
        assert [(r.accepted, r.duplicate) for r in single] == [(r.accepted, r.duplicate) for r in batched]
    finally:
        server.close()


_TOLD_APART = re.compile(r"#[0-9a-f]{16}(?=\")")


def rows_of(grid: Grid) -> dict[str, list[str]]:
    """Every row, but for the random end of a repeated message id, and what a dead letter was wrapped in."""
    rows: dict[str, list[str]] = {}
    for table, found in all_rows(grid.database).items():
        if table == "oms_topology.inference_work":  # one row a statement: what is said in them is compared
            found = sorted({place for row in found for place in _places(json.loads(row))})
        whole = re.sub(r"_p\d+$", "", table)  # which partition a row is in hangs on its random id
        rows[whole] = sorted([*rows.get(whole, []), *(_TOLD_APART.sub("", row) for row in found)])
    letters = [json.loads(row) for row in rows.pop("oms_topology.dead_letter")]
    for letter in letters:
        if letter["source"] == "kaifa":  # the SQL door keeps each event by itself
            del letter["payload"]
    rows["letters"] = sorted(json.dumps(letter) for letter in letters)
    return rows


def _places(row: dict[str, Any]) -> list[str]:
    return [f"{name} {number}" for name in ("signal_nos", "meter_nos") for number in row[name]]


def differences(
    one: dict[str, list[str]], other: dict[str, list[str]]
) -> dict[str, tuple[list[str], list[str]]]:
    """By table what only the one has, and what only the other has."""
    found = {}
    for table in one.keys() | other.keys():
        mine, theirs = Counter(one.get(table, ())), Counter(other.get(table, ()))
        if mine != theirs:
            found[table] = (sorted((mine - theirs).elements()), sorted((theirs - mine).elements()))
    return found


# Numbers given in order of arrival, and what tells of that order.
_ARRIVAL = {
    "signal_no", "power_signal_no", "previous_power_status", "is_conflicting", "dead_letter_no", "change_no",
    "onu_event_id", "intake_id", "oms_event_id",
    "total_meters",
}  # fmt: skip
_NO_METER = {"field": "onuId", "reason": "no meter is known at this ONU"}
_JOURNALS = {
    "oms_topology.change",
    "oms_topology.topology_change",
    "oms_topology.topology_before",
    "oms_topology.meter_status_event",
    "oms_topology.meter_report",
    "oms_topology.inference_work",
}


def settled(grid: Grid) -> dict[str, list[str]]:
    """Every row as it is when the order of arrival is forgotten; of the audit what truly held."""
    grid.rows("SELECT oms_topology.settle()")  # new meters find their place with the next report
    meters: dict[int, str] = dict(grid.rows("SELECT meter_no, meter_number FROM oms_meters"))
    kept = {
        table: sorted(json.dumps(without_arrival(json.loads(row), meters), sort_keys=True) for row in found)
        for table, found in rows_of(grid).items()
        if table not in _JOURNALS
    }
    kept["onu_events"] = [re.sub(r'"(id|meter_id)": [^,}]+', "", row) for row in kept["onu_events"]]
    for view in ("meter_power_history", "meter_communication_history"):
        kept[view] = grid.column(
            "SELECT concat_ws(' ', m.meter_number, h.event_timestamp, h.previous_status, h.new_status)"
            f" FROM oms_topology.{view} h JOIN oms_meters m ON m.id = h.meter_id ORDER BY 1"
        )
    return kept


def without_arrival(value: Any, meters: Mapping[int, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: meters.get(item) if key == "meter_no" else without_arrival(item, meters)
            for key, item in value.items()
            if key not in _ARRIVAL
        }
    if isinstance(value, list):
        return [without_arrival(item, meters) for item in value if item != _NO_METER] or None
    return value
