"""ONU, KAIFA and the call center: what Python reads and what SQL reads is the same, field by field."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from oms_topology.errors import SignalParseError
from oms_topology.events import parse
from oms_topology.events.call_center import tidy_meter_number
from oms_topology.events.end_device_events import _meanings
from oms_topology.events.json_text import canonical_text, hash_of_texts
from oms_topology.events.kaifa_records import kaifa_records
from oms_topology.events.parsed_form import parsed_form
from tests.acceptance.scada_grid import at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.model import CommunicationStatus, PowerStatus
    from tests.servers import LiveServer

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
MANY = settings(
    max_examples=4000 if LONG else 200,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
RECEIVED = at(60)
PAYLOADS = Path(__file__).parents[1] / "payloads"
BY_SQL = {
    "onu": "SELECT oms_topology.parse_onu(%s::jsonb, %s)",
    "call_center": "SELECT oms_topology.parse_call(%s::jsonb, %s)",
    # As record_kaifa takes a message apart.
    "kaifa": """
        SELECT CASE WHEN u.error IS NOT NULL THEN jsonb_build_object('error', u.error) ELSE COALESCE(
            (SELECT jsonb_agg(CASE WHEN p.form ? 'error' THEN p.form
                              ELSE (oms_topology.with_kaifa_records(ARRAY[p.form]))[1] END ORDER BY l.place)
             FROM oms_topology.xml_list(u.event -> 'payload') l
             CROSS JOIN LATERAL (SELECT u.event || jsonb_build_object('payload', l.item) AS event) e
             CROSS JOIN LATERAL (SELECT oms_topology.parse_kaifa(
                 e.event, oms_topology.without_prefixes(e.event), u.envelope, m.at) AS form) p),
            '{"error": {"field": "payload", "reason": "missing or not an object"}}') END
        FROM (SELECT %s::jsonb AS message, %s::timestamptz AS at) m
        CROSS JOIN LATERAL oms_topology.unwrap(m.message) u
    """,
}


@pytest.fixture(scope="module")
def connection(pg_server: LiveServer) -> Iterator[psycopg.Connection[Any]]:
    database = pg_server.create(upgraded=True)
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, options="-c timezone=UTC", autocommit=True) as opened:
        yield opened
    pg_server.drop(database)


def read_by_python(source: str, message: str) -> Any:
    try:
        signals = parse(source, message, received_at=RECEIVED)
    except SignalParseError as error:
        return {"error": {"field": error.field, "reason": error.reason}}
    forms = [parsed_form(signal) for signal in signals]
    if source == "kaifa":
        for form, signal in zip(forms, signals, strict=True):
            form["records"] = kaifa_records(signal.payload, ZoneInfo("UTC"))
    return json.loads(canonical_text(forms), parse_float=Decimal) if source == "kaifa" else as_json(forms[0])


def as_json(value: Any) -> Any:
    return json.loads(canonical_text(value), parse_float=Decimal)


def read_by_sql(connection: psycopg.Connection[Any], source: str, message: str) -> Any:
    row = connection.execute(f"SELECT ({BY_SQL[source]})::text", (message, RECEIVED)).fetchone()
    assert row is not None
    return None if row[0] is None else json.loads(row[0], parse_float=Decimal)


def assert_alike(connection: psycopg.Connection[Any], source: str, message: Any) -> Any:
    written = canonical_text(message)
    by_python, by_sql = read_by_python(source, written), read_by_sql(connection, source, written)
    if source == "call_center" and by_sql is None:
        # The deployed text is raised; Python can do without a ticket number, and with the envelope's time.
        return None
    if source == "kaifa" and isinstance(by_sql, list):
        by_python, by_sql = of_usable_events(by_python, by_sql)
    assert by_python == by_sql
    return by_python


def of_usable_events(by_python: Any, by_sql: list[Any]) -> tuple[Any, Any]:
    # SQL keeps each event that it cannot use by itself; Python names them with the first that it can.
    usable = [form for form in by_sql if "error" not in form]
    if not usable:
        return by_python, by_sql[0]
    told = [finding for finding in by_python[0]["findings"] if finding["field"].startswith("EndDeviceEvent ")]
    assert [finding["reason"] for finding in told] == [
        form["error"]["reason"] for form in by_sql if "error" in form
    ]
    by_python[0]["findings"] = [finding for finding in by_python[0]["findings"] if finding not in told]
    return by_python, usable


FORMS = [
    (name.split("_")[0].replace("callcenter", "call_center"), name)
    for name in sorted(path.name for path in PAYLOADS.glob("*.json"))
    if name.startswith(("onu", "callcenter", "kaifa")) and name != "kaifa_power_outage.kafka.json"
]


@pytest.mark.parametrize(("source", "name"), FORMS)
def test_every_recorded_form(connection: psycopg.Connection[Any], source: str, name: str) -> None:
    read = assert_alike(connection, source, json.loads((PAYLOADS / name).read_bytes()))
    assert "error" not in read
    assert len(FORMS) == 12


def test_soap_becomes_what_the_consumer_makes_of_it(connection: psycopg.Connection[Any]) -> None:
    by_sql = read_by_sql(connection, "kaifa", (PAYLOADS / "kaifa_power_outage.function.json").read_text())
    for name in ("kaifa_power_outage.soap.xml", "kaifa_power_outage.kafka.json"):
        by_python = read_by_python("kaifa", (PAYLOADS / name).read_text())
        for key in by_sql[0].keys() - {"payload", "records"}:
            assert by_python[0][key] == by_sql[0][key], key
        # What wrapped it is not the event's.
        envelopes = {"metadata": [None, None], "original": [None] * 4}
        assert by_python[0]["records"] | envelopes == by_sql[0]["records"] | envelopes
        # What is stored of it in the deployed tables: the same, but for the prefixes inside.
        row = connection.execute(
            "SELECT oms_topology.without_prefixes(%s::jsonb), oms_topology.without_prefixes(%s::jsonb)",
            (json.dumps(by_python[0]["payload"]), json.dumps(by_sql[0]["payload"])),
        ).fetchone()
        assert row is not None
        assert all(row[0][part] == row[1][part] for part in ("header", "payload", "message_type"))


texts = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
    | st.sampled_from(" \t\v\f\n\r'\"<\\:\u0660\uff11\u200b-"),
    max_size=12,
)
numbers = (
    st.integers(-(10**12), 10**12)
    | st.decimals(-(10**10), 10**10, allow_nan=False, allow_infinity=False)
    | st.sampled_from([Decimal("0.50"), Decimal("-0.0"), Decimal("1E+3"), Decimal("5e-7")])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
times = st.sampled_from(
    ["2025-10-01T12:03:00", "2025-10-01T15:07:00.5+03:00", "2025-10-01T12:04:00Z", "1999-12-31T23:59:59Z",
     "2003-01-01T00:00:00Z", "2069-01-01T00:00:00Z", "yesterday", "", None, 12]
) | values  # fmt: skip
typed = st.sampled_from(
    ["M90000001", " m 9000-0001 ", "#M1", "", "  ", "m" * 65, "\u0661\u0662\u0663\u0664", 7, None]
)
identity = typed | texts | values


def fields(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=strategies)


onu_events = fields(
    eventId=st.just("E1") | texts | values,
    type=st.sampled_from(["ONU_LastGaspAlert", "onu power-restored", "ONU_LOS", "Reboot", "t" * 60])
    | values,
    onuId=st.sampled_from([7, "007", "x", 2**31, "2147483647", 7.5, Decimal("1E+3"), None]) | values,
    onuSerial=texts | values,
    timestamp=times,
    nmsType=st.just("FiberTech") | st.just("n" * 51) | values,
    location=fields(lat=numbers | st.sampled_from(["", " 31.5 ", "+1", True, 31.9454]), lng=numbers | texts)
    | values,
    associatedMeters=st.lists(
        identity | fields(meterNumber=identity, meterId=identity, id=identity), max_size=4
    ) | values,
    alarmData=fields(category=texts, alarmType=values, parcel=texts, serial=st.just("s" * 101) | texts)
    | values,
    status=values,
)  # fmt: skip
calls = fields(
    ticketId=st.just("TC_1") | texts | st.just("t" * 65) | values,
    timestamp=times,
    customer=fields(phone=texts | values, meterNumber=identity, address=texts | values, notes=texts | values)
    | values,
    notes=texts | values,
    status=st.sampled_from(["Registered", "Crew Assigned", "Lost"]) | values,
    source=values,
    intake=fields(intakeId=values, omsEventId=texts) | values,
).map(lambda event: {"ticketId": "TC_2", "timestamp": "2025-10-01T12:03:00Z", "customer": {}} | event)
prefixes = st.sampled_from(["", "", "ns2:", "a.b-c:"])


@st.composite
def prefixed(draw: st.DrawFn, **strategies: st.SearchStrategy[Any]) -> dict[str, Any]:
    node = draw(fields(**strategies))
    return {draw(prefixes) + key: value for key, value in node.items()}


mrids = prefixed(mRID=identity | st.just({"#text": " M2 "}), Names=values)
event_types = st.sampled_from(
    [
        "PowerOutage",
        "3.26.0.85",
        "3.26.136.66",
        "Power Restored",
        "Tamper",
        "POWEROUTAGE",
        "3.23.136.47",
        "",
        "x" * 60,
    ]
)
kaifa_payloads = fields(
    event_id=st.just("E1") | values,
    created_date_time=times,
    severity=st.sampled_from(["Critical", "s" * 21]) | values,
    reason=texts | st.just("r" * 201) | values,
    issuer_id=values,
    event_type=st.fixed_dictionaries({"@ref": event_types | values})
    | event_types
    | st.lists(event_types, max_size=2)
    | values,
    assets=mrids | st.lists(mrids, max_size=3) | values,
    usage_point=mrids | st.lists(mrids, max_size=2) | values,
    event_details=st.lists(prefixed(name=texts, value=values) | values, max_size=3) | values,
    status=prefixed(value=st.sampled_from(["Active", "Inactive", "CLEARED"]) | values, dateTime=times)
    | values,
)
kaifa_messages = fields(
    message_type=st.just("EndDeviceEvent") | values,
    timestamp=times,
    header=fields(
        message_id=st.just("m1") | st.just("m" * 101) | values,
        timestamp=times,
        verb=values,
        comment=values,
        user=prefixed(UserID=values, Organization=texts) | values,
    ) | values,
    payload=kaifa_payloads | kaifa_payloads | st.lists(kaifa_payloads, max_size=3) | values,
)  # fmt: skip


@st.composite
def wrapped(draw: st.DrawFn, events: st.SearchStrategy[Any]) -> Any:
    event = draw(events)
    for _ in range(draw(st.integers(0, 3))):
        how = draw(st.sampled_from(["event", "request", "body", "text"]))
        if how == "text":
            event = canonical_text(event)
        else:
            event = {how: event, **draw(fields(timestamp=times, source=values, intake=values, method=texts))}
    return event


@MANY
@given(wrapped(onu_events))
def test_onu_messages(connection: psycopg.Connection[Any], message: Any) -> None:
    assert_alike(connection, "onu", message)


@MANY
@given(wrapped(calls))
def test_calls(connection: psycopg.Connection[Any], message: Any) -> None:
    assert_alike(connection, "call_center", message)


@MANY
@given(wrapped(kaifa_messages))
def test_kaifa_messages(connection: psycopg.Connection[Any], message: Any) -> None:
    assert_alike(connection, "kaifa", message)


@MANY
@given(texts | st.text(st.sampled_from("mM1234567890 -_#\u0669\uff26\u00a0\u200d"), max_size=14))
@example("\u2066M-12.34\u2069")
def test_numbers_are_tidied_alike(connection: psycopg.Connection[Any], said: str) -> None:
    row = connection.execute("SELECT oms_topology.tidy_meter_number(%s)", (said,)).fetchone()
    assert row == (tidy_meter_number(said) or None,)


@MANY
@given(st.lists(st.none() | texts, min_size=1, max_size=5))
def test_texts_are_hashed_alike(connection: psycopg.Connection[Any], said: list[str | None]) -> None:
    row = connection.execute("SELECT oms_topology.content_hash(%s::text[])", (said,)).fetchone()
    assert row == (hash_of_texts(said),)


def test_event_codes_mean_the_same(connection: psycopg.Connection[Any]) -> None:
    def said(status: PowerStatus | CommunicationStatus) -> str | None:
        return None if status.value == "unknown" else status.value

    by_sql = connection.execute(
        "SELECT lower(code), power_status, communication_status FROM oms_topology.end_device_event_code"
    ).fetchall()
    by_python = {
        (code.lower(), said(meaning.power_status), said(meaning.communication_status))
        for code, meaning in _meanings().items()
    }
    assert set(by_sql) == by_python


@pytest.mark.parametrize("levels", [10, 61, 62, 63, 64, 200])
@pytest.mark.parametrize("source", ["onu", "call_center", "kaifa"])
def test_what_is_nested_too_deeply_is_refused(
    connection: psycopg.Connection[Any], source: str, levels: int
) -> None:
    deep: Any = 0
    for _ in range(levels):
        deep = {"a": deep} if levels % 2 else [deep]
    customer = {"ticketId": "T", "customer": {}, "timestamp": "2025-10-01T12:03:00Z", "type": "x", "onuId": 1}
    payload = {
        "payload": {"assets": {"mRID": "M1"}, "event_type": "PowerOutage"},
        "timestamp": "2025-10-01T12:03:00Z",
    }
    for message in (
        customer | payload | {"extra": deep},
        {"body": json.dumps(customer | payload | {"extra": deep})},
    ):
        read = assert_alike(connection, source, message)
        assert ("error" in read) is (levels >= 63)
