"""Two doors, one effect: the pipeline and the SQL function leave the same rows and read the same signal."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from oms_topology import Pipeline, Topology
from oms_topology.errors import SignalParseError
from oms_topology.events import parse
from oms_topology.events.json_text import canonical_text, content_hash, read_json
from oms_topology.events.parsed_form import parsed_form
from tests.acceptance.scada_grid import NETWORK, Grid, at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
MANY = settings(
    max_examples=3000 if LONG else 150,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
RECEIVED = at(60)

# -- streams of events through both doors, every row compared

instants = st.one_of(
    st.integers(0, 20).map(lambda n: at(n).isoformat()),
    st.sampled_from([
        "2025-10-01T12:03:00", "2025-10-01T15:07:00.5+03:00", "2025-10-01 12:04Z", "1999-12-31T23:59:59Z",
        "2199-01-01T00:00:00Z", "yesterday", "", None, 12,
    ]),
)  # fmt: skip
alarms = st.sampled_from(
    [
        "De-energized",
        "Energized",
        "De-energized",
        "Energized",
        "fault",
        "MV_AlarmRestoration",
        "Door open",
        None,
        7,
    ]
)
codes = {
    "switchId": st.sampled_from([None, None, None, "SW1", "SW2", "SW3", "SW99"]),
    "feederId": st.sampled_from([None, "F1", "F2", "F3", "F99", " F1 ", "", 5, ["F1"]]),
    "substationId": st.sampled_from(["SS1", "SS1", "SS2", "SS99", None, ""]),
}
decorations = st.fixed_dictionaries(
    {},
    optional={
        "eventId": st.sampled_from(["E1", "E2", ""]),
        "voltage": st.sampled_from([0, 11000, 0.5, -1, "0", None, 1e12]),
        "severity": st.sampled_from(["Critical", "high", "huge", "x" * 20, 1]),
        "reason": st.sampled_from(
            ["Storm", "  ", "'; DROP TABLE oms_meters; --", "<b>", "\u202etxt", "r" * 2001]
        ),
        "mainStationId": st.sampled_from(["82001", 82001, "8" * 70]),
        "coordinates": st.sampled_from(
            [{"lat": 31.95, "lng": 35.93}, {"lat": 0, "lng": 0}, {"lat": 200, "lng": 1}, [1, 2], "here"]
        ),
        "source": st.sampled_from(["SCADA-Simulator", {"a": 1}]),
    },
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    event = {name: draw(strategy) for name, strategy in codes.items()}
    event |= {"alarmType": draw(alarms), "timestamp": draw(instants), **draw(decorations)}
    event = {key: value for key, value in event.items() if value is not None or draw(st.booleans())}
    if draw(st.booleans()):
        return event
    return {
        "event": event,
        "timestamp": draw(instants),
        "source": "SCADA-Simulator",
        "topic": "scada-outage-topic",
    }


@pytest.fixture(scope="module")
def doors(pg_server: LiveServer) -> Iterator[tuple[Callable[[], Database], Callable[[Database], None]]]:
    made: list[Database] = []

    def make() -> Database:
        made.append(pg_server.create(upgraded=True))
        made[-1].store_network(Topology.from_text(NETWORK))
        return made[-1]

    yield make, pg_server.drop
    for database in made:
        pg_server.drop(database)


@settings(
    max_examples=150 if LONG else 10, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.lists(messages(), min_size=1, max_size=12).flatmap(
    lambda made: st.permutations(made + made[: len(made) // 3])
))  # fmt: skip
def test_both_doors_leave_the_same_rows(
    doors: tuple[Callable[[], Database], Callable[[Database], None]], stream: list[dict[str, Any]]
) -> None:
    make, drop = doors
    first, second = make(), make()
    try:
        with Pipeline(first) as pipeline:
            by_pipeline = [
                pipeline.handle("scada", json.dumps(message), received_at=RECEIVED) for message in stream
            ]
        by_sql = [insert_by_sql(second, message) for message in stream]
        assert all_rows(first) == all_rows(second)
        for receipt, answer in zip(by_pipeline, by_sql, strict=True):
            assert receipt.accepted is (answer.get("dead_letter_id") is None)
            assert receipt.duplicate is answer["duplicate"]
            for name in (
                "total_meters",
                "offline_meters",
                "online_meters",
                "unknown_meters",
                "restored_meters",
            ):
                assert getattr(receipt, name) == answer.get(name, 0)
            assert len(receipt.outage_event_ids) == len(answer.get("outage_event_ids") or ())
    finally:
        drop(first)
        drop(second)


def insert_by_sql(database: Database, message: dict[str, Any]) -> dict[str, Any]:
    # The public function, but for the clock: both doors are told the same time of receipt.
    with database.engine.begin() as connection:
        body = connection.execute(
            text("SELECT prosrc FROM pg_proc WHERE proname = 'insert_scada_event_with_meter_check'")
        ).scalar_one()
        assert " ".join(body.split()) == (
            "SELECT oms_topology.record_scada(oms_topology.parse_scada(json_data, now()), json_data, now())"
        )
        found = connection.execute(
            text(
                "SELECT oms_topology.record_scada(oms_topology.parse_scada(m, r), m, r)"
                " FROM (SELECT CAST(:m AS jsonb) AS m, CAST(:r AS timestamptz) AS r) x"
            ),
            {"m": json.dumps(message), "r": RECEIVED},
        ).scalar_one()
    return dict(found)


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CLOCKS = {
    "created_at", "updated_at", "last_updated_at", "checked_at", "meters_checked_at", "changed_at",
    "revised_at", "received_at", "registered_at", "upgraded_at", "sealed_at", "replayed_at", "logged_at",
    "transaction_id", "queued_at",
}  # fmt: skip


def all_rows(database: Database) -> dict[str, list[str]]:
    """Every row of every table without random ids and clocks of writing; links stay by what they point to."""
    grid = Grid(database, "")
    names = dict(
        grid.rows(
            """
            SELECT id::text, 'meter ' || meter_number FROM oms_meters
            UNION ALL SELECT id::text, 'substation ' || substation_id FROM network_substations
            UNION ALL SELECT id::text, 'feeder ' || feeder_id FROM network_feeders
            UNION ALL SELECT id::text, 'point ' || dp_id FROM network_distribution_points
            UNION ALL SELECT id::text, 'outage ' || event_id FROM oms_outage_events
            UNION ALL SELECT outage_event_id::text, 'withdrawn outage ' || (outage ->> 'event_id')
                      FROM oms_topology.outage_revision
            UNION ALL SELECT record_id, min('event ' || source_event_id || ' ' || content_hash)
                      FROM oms_topology.signal WHERE record_id IS NOT NULL GROUP BY record_id
            """
        )  # type: ignore[arg-type]
    )
    tables = grid.column(
        """
        SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('public', 'oms_topology') AND c.relkind = 'r' ORDER BY 1
        """
    )
    return {
        table: sorted(
            told(row, names, table) for row in grid.column(f"SELECT to_jsonb(t) FROM ONLY {table} t")
        )
        for table in tables
    }


def told(row: dict[str, Any], names: dict[str, str], table: str) -> str:
    kept = {key: value for key, value in row.items() if key not in _CLOCKS}
    if table.endswith(("dead_letter",)):
        # The function's caller has only the JSON's values; the pipeline keeps the bytes.
        kept["payload"] = json.loads(bytes.fromhex(row["payload"].removeprefix("\\x")))
        del kept["payload_hash"]
    text_of = json.dumps(without_clocks(kept), sort_keys=True)
    return _UUID.sub(lambda found: names.get(found.group(), "random id"), text_of)


def without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_clocks(item) for key, item in value.items() if key not in _CLOCKS}
    return [without_clocks(item) for item in value] if isinstance(value, list) else value


# -- the two parsers


@pytest.fixture(scope="module")
def connection(pg_server: LiveServer) -> Iterator[psycopg.Connection[Any]]:
    database = pg_server.create(upgraded=True)
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, options="-c timezone=UTC", autocommit=True) as opened:
        yield opened
    pg_server.drop(database)


texts = st.text(
    st.one_of(
        st.characters(exclude_characters="\x00", exclude_categories=["Cs"]),
        st.sampled_from(" \t\v\f\n\rv\u212a\u017f\u0130'\"<\\"),
    ),
    max_size=12,
)
numbers = st.one_of(
    st.integers(-(10**25), 10**25),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20),
    st.sampled_from(
        [
            Decimal("0E-7"),
            Decimal("1.50"),
            Decimal("-0.0"),
            Decimal("1E+30"),
            Decimal("5e-7"),
            Decimal("0.0000005"),
        ]
    ),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
times = st.one_of(
    instants,
    values,
    st.builds(
        "{}{}{}{}".format,
        st.dates(date(1000, 1, 1), date(2999, 12, 28)).map(date.isoformat),
        st.sampled_from(["T", " ", "t", "  "]),
        st.sampled_from(
            ["12:00", "23:59:59", "24:00:00", "00:00:60", "01:02:03.123456789", "02:30:00,5", "7:00"]
        ),
        st.sampled_from(["", "Z", "z", "+03:00", "-0330", "+14:59", "+15:00", "+3", " Z"]),
    ),
    st.sampled_from(
        [
            "\u0662\u0660\u0662\u0665-10-01T12:00:00Z",
            "2025-02-30T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "\v2025-10-01T12:00Z\v",
        ]
    ),
)
spellings = st.one_of(
    alarms,
    values,
    st.sampled_from(["brea\u212aer_trip", "OUTAGE", " fault ", "ENERG\u0130ZED", "v", "de_energized"]),
    st.sampled_from(["Power Failure", "f" * 1001]),
)


fields: dict[str, st.SearchStrategy[Any]] = {
    "switchId": st.one_of(texts, values),
    "feederId": st.one_of(st.just("F1"), values, texts.map(lambda t: t * 8)),
    "substationId": st.one_of(st.just("SS1"), st.just("v1v"), texts, values),
    "alarmType": spellings,
    "eventType": spellings,
    "timestamp": times,
    "voltage": st.one_of(numbers, values, st.sampled_from([999999999, Decimal("999999998.9999")])),
    "severity": st.one_of(st.sampled_from(["CRITICAL", "hIgh", "\u217cow", "v"]), texts, values),
    "reason": st.one_of(texts, values),
    "mainStationId": st.one_of(texts, numbers),
    "eventId": st.one_of(texts, values),
    "coordinates": st.one_of(
        values,
        st.fixed_dictionaries({"lat": numbers, "lng": numbers}),
        st.fixed_dictionaries({"lat": st.decimals(-90, 90), "lng": st.decimals(-180, 180)}),
    ),
    "source": values,
    "extra": values,
}


@st.composite
def hostile(draw: st.DrawFn) -> Any:
    if draw(st.integers(0, 20)) == 0:
        return draw(values)
    event = {name: draw(strategy) for name, strategy in fields.items() if draw(st.integers(0, 9)) < 6}
    if draw(st.booleans()):
        return event
    envelope = {
        name: draw(times) for name in ("timestamp", "received_at", "processed_at") if draw(st.booleans())
    }
    return {"event": event, **envelope, "source": draw(values)}


def read_by_python(message: str, zone: str = "UTC") -> dict[str, Any]:
    try:
        (signal,) = parse("scada", message, received_at=RECEIVED, zone=ZoneInfo(zone))
    except SignalParseError as error:
        return {"error": {"field": error.field, "reason": error.reason}}
    return parsed_form(signal)


def read_by_sql(connection: psycopg.Connection[Any], message: str) -> dict[str, Any]:
    row = connection.execute("SELECT oms_topology.parse_scada(%s::jsonb, %s)", (message, RECEIVED)).fetchone()
    assert row is not None
    return dict(row[0])


@MANY
@given(hostile())
def test_both_parsers_read_the_same_signal_or_the_same_error(
    connection: psycopg.Connection[Any], message: Any
) -> None:
    written = canonical_text(message)
    assert read_by_python(written) == read_by_sql(connection, written)


@pytest.mark.parametrize("levels", [10, 62, 63, 64, 200])
def test_both_parsers_refuse_what_is_nested_too_deeply(
    connection: psycopg.Connection[Any], levels: int
) -> None:
    deep: Any = 0
    for _ in range(levels):
        deep = {"a": deep} if levels % 2 else [deep]
    message = json.dumps(
        {"feederId": "F1", "alarmType": "fault", "timestamp": at(0).isoformat(), "reason": deep}
    )
    read = read_by_python(message)
    assert read == read_by_sql(connection, message)
    assert ("error" in read) is (levels >= 63)


def test_both_parsers_refuse_what_is_larger_than_a_mebibyte(connection: psycopg.Connection[Any]) -> None:
    message = json.dumps({"feederId": "F1", "alarmType": "fault", "reason": "r" * 1024 * 1024})
    expected = {"error": {"field": "payload", "reason": "larger than 1 MiB"}}
    assert read_by_python(message) == expected
    assert read_by_sql(connection, message) == expected


@pytest.mark.parametrize("zone", ["UTC", "Asia/Amman", "America/St_Johns", "Europe/Berlin"])
def test_naive_times_mean_the_same_instant_also_where_clocks_change(pg_server: LiveServer, zone: str) -> None:
    database = pg_server.create(upgraded=True)
    grid = Grid(database, "")
    grid.rows("UPDATE oms_topology.source_setting SET time_zone = :z WHERE source = 'scada'", z=zone)
    days = ["2021-03-26", "2021-10-29", "2024-03-31", "2024-10-27", "2021-03-14", "2021-11-07", "2025-07-01"]
    stamps = [f"{day}T{hour:02d}:{minute}:00" for day in days for hour in range(5) for minute in ("00", "30")]
    try:
        for stamp in stamps:
            message = json.dumps({"feederId": "F1", "alarmType": "fault", "timestamp": stamp})
            by_sql = grid.value(
                "SELECT oms_topology.parse_scada(CAST(:m AS jsonb), :r) ->> 'occurred_at'",
                m=message,
                r=RECEIVED,
            )
            assert (stamp, read_by_python(message, zone)["occurred_at"]) == (stamp, by_sql)
    finally:
        pg_server.drop(database)


@MANY
@given(values)
def test_canonical_text_is_what_postgresql_writes(connection: psycopg.Connection[Any], value: Any) -> None:
    written = canonical_text(value)
    row = connection.execute("SELECT %s::jsonb::text", (written,)).fetchone()
    assert row == (written,)
    assert canonical_text(read_json(written)) == written


json_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@MANY
@given(st.lists(json_numbers, min_size=1, max_size=5))
def test_numbers_keep_the_digits_that_postgresql_keeps(
    connection: psycopg.Connection[Any], numbers: list[str]
) -> None:
    message = f"[{', '.join(numbers)}]"
    row = connection.execute("SELECT %s::jsonb::text", (message,)).fetchone()
    assert row == (canonical_text(read_json(message)),)


@MANY
@given(st.dictionaries(texts, values, max_size=6))
def test_content_hash_is_what_the_database_computes(
    connection: psycopg.Connection[Any], event: dict[str, Any]
) -> None:
    row = connection.execute(
        "SELECT encode(sha256(convert_to((%s::jsonb - 'source')::text, 'UTF8')), 'hex')",
        (canonical_text(event),),
    ).fetchone()
    assert row == (content_hash(event),)
    assert content_hash(dict(reversed(event.items()))) == content_hash(event)


def test_the_time_of_receipt_defaults_to_now() -> None:
    (signal,) = parse("scada", {"feederId": "F1", "alarmType": "fault", "timestamp": "2025-10-01T12:00:00Z"})
    assert abs((datetime.now(UTC) - signal.received_at).total_seconds()) < 60
