"""Whatever comes in: put aside whole or counted with findings, never half-written, never in the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from oms_topology import Pipeline, Topology
from oms_topology.errors import (
    ConflictError,
    OmsTopologyError,
    StoreError,
    StoreUnavailableError,
    UnknownDeadLetterError,
)
from tests.acceptance.scada_grid import NETWORK, Grid, at, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import LiveServer

EFFECTS = (
    "scada_events",
    "scada_raw_messages",
    "oms_outage_events",
    "oms_event_sources",
    "oms_event_timeline",
    "oms_meter_status_events",
    "scada_event_affected_meters",
    "oms_topology.signal",
    "oms_topology.device_state",
)
NOTHING = dict.fromkeys(EFFECTS, 0)


class Itself(dict[str, Any]):
    """A dictionary that contains itself."""

    def __init__(self) -> None:
        super().__init__()
        self["me"] = self


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


UNREADABLE: dict[str, Any] = {
    "broken": b'{"feederId": "F2", "alarmType"',
    "empty": b"",
    "blank": b"   ",
    "not UTF-8": b'{"feederId": "\xff\xfe"}',
    "bytes of UTF-16": '{"feederId": "F2"}'.encode("utf-16"),
    "NaN": b'{"feederId": "F2", "alarmType": "fault", "voltage": NaN}',
    "infinity": b'{"voltage": -Infinity}',
    "two documents": b'{"feederId": "F2"} {"feederId": "F3"}',
    "raw NUL": b'{"feederId": "F2\x00"}',
    "huge exponent": b'{"voltage": 1e999999999999999999999999}',
    "huge number": b'{"voltage": 1e400}',
    "endless digits": b'{"voltage": ' + b"9" * 5000 + b"}",
    "deep": nested(100_000).encode(),
    "not so deep": f'{{"feederId": "F2", "extra": {nested(900)}}}'.encode(),
    "a list": b'[{"feederId": "F2"}]',
    "a text": b'"De-energized"',
    "a number": b"42",
    "null": b"null",
    "XML": b"<event><feederId>F2</feederId></event>",
    "lone surrogate": '{"feederId": "\ud800"',
    "none": None,
    "int": 7,
    "list": [1, 2],
    "infinite float": {"feederId": "F2", "alarmType": "fault", "voltage": float("inf")},
    "decimal NaN": {"feederId": "F2", "alarmType": "fault", "voltage": Decimal("sNaN")},
    "tiny decimal": {"feederId": "F2", "alarmType": "fault", "voltage": Decimal("1e-50000")},
    "huge int": {"feederId": "F2", "alarmType": "fault", "voltage": 10**5000},
    "a datetime": {"feederId": "F2", "alarmType": "fault", "timestamp": datetime(2025, 10, 1, tzinfo=UTC)},
    "a set": {"feederId": {"F2"}},
    "itself": Itself(),
    "odd keys": {(1, 2): {b"x": None}},
}


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_put_aside_and_the_next_message_counts(grid: Grid, payload: Any) -> None:
    with Pipeline(grid.database) as pipeline:
        receipt = pipeline.handle("scada", payload)
        assert not receipt.accepted
        assert receipt.dead_letter_reason
        assert grid.counts(*EFFECTS) == NOTHING
        kept = grid.rows("SELECT dead_letter_no, source, payload, received_at FROM oms_topology.dead_letter")
        assert [row[:2] for row in kept] == [(receipt.dead_letter_id, "scada")]
        if isinstance(payload, bytes):
            assert bytes(kept[0][2]) == payload
        assert pipeline.handle("scada", event(feeder="F2")).offline_meters == 2


def test_ten_megabytes_are_put_aside_byte_for_byte(grid: Grid) -> None:
    payload = json.dumps(event(feeder="F2", reason="r" * 10_000_000)).encode()
    receipt = grid.through_pipeline(payload)
    assert receipt.dead_letter_reason == "payload: larger than 1 MiB"
    assert bytes(grid.value("SELECT payload FROM oms_topology.dead_letter")) == payload
    answer = grid.answer(json.loads(payload))
    assert answer["reason"] == "Dead letter: payload: larger than 1 MiB"
    assert grid.counts(*EFFECTS) == NOTHING


def test_a_message_for_an_unknown_feeder_is_kept_byte_for_byte_and_replayable(grid: Grid) -> None:
    payload = b' {"feederId" :"F77",  "alarmType":"fault", "timestamp": "2025-10-01T12:00:00Z", "n": 1e2} '
    with Pipeline(grid.database) as pipeline:
        refused = pipeline.handle("scada", payload)
        assert refused.dead_letter_id is not None
        assert bytes(grid.value("SELECT payload FROM oms_topology.dead_letter")) == payload
        assert not pipeline.replay(refused.dead_letter_id).accepted
        assert grid.value("SELECT replayed_at FROM oms_topology.dead_letter") is None
        grid.rows(
            "INSERT INTO network_feeders (feeder_id, substation_id, name)"
            " SELECT 'F77', id, 'new' FROM network_substations WHERE substation_id = 'SS1'"
        )
        grid.rows(
            "INSERT INTO oms_meters (meter_number, feeder_id)"
            " SELECT 'M77', id FROM network_feeders WHERE feeder_id = 'F77'"
        )
        taken = pipeline.replay(refused.dead_letter_id)
        assert (taken.accepted, taken.offline_meters) == (True, 1)
        assert grid.value("SELECT replayed_at FROM oms_topology.dead_letter") is not None
        assert pipeline.replay(refused.dead_letter_id).duplicate
    assert grid.value("SELECT count(*) FROM oms_topology.dead_letter") == 1


def test_the_sql_door_replays_too(grid: Grid) -> None:
    refused = grid.answer(event(feeder="F77"))
    grid.rows(
        "INSERT INTO network_feeders (feeder_id, substation_id, name)"
        " SELECT 'F77', id, 'new' FROM network_substations WHERE substation_id = 'SS1'"
    )
    answer = grid.value("SELECT oms_topology.replay_dead_letter(:no)", no=refused["dead_letter_id"])
    assert answer["meters_checked"] is True
    assert grid.value("SELECT replayed_at FROM oms_topology.dead_letter") is not None
    missing = grid.value("SELECT oms_topology.replay_dead_letter(0)")
    assert missing == {"reason": "No such dead letter of source scada."}


def test_a_dead_letter_that_does_not_exist_is_an_error_of_the_tree(grid: Grid) -> None:
    with (
        Pipeline(grid.database) as pipeline,
        pytest.raises(UnknownDeadLetterError, match="no dead letter 99"),
    ):
        pipeline.replay(99)


def test_a_dead_letter_that_comes_again_is_counted_not_doubled(grid: Grid, handle: Any) -> None:
    numbers = {handle(event(feeder="F77")).dead_letter_id for _ in range(3)}
    assert len(numbers) == 1
    assert grid.column("SELECT deliveries FROM oms_topology.dead_letter") == [3]


@pytest.mark.parametrize(
    "text", ["\x00", "\x00abc", "a\ud800b", "\udfff", "\U0001f4a5", "\u202e", "<script>alert(1)</script>",
             "'; DROP TABLE oms_meters; --", "%s %(x)s {} \\x00", "\\u0000"],
)  # fmt: skip
def test_hostile_texts_are_kept_as_text(grid: Grid, text: str) -> None:
    payload = json.dumps(event(feeder="F2", reason=text, mainStationId=text))
    assert grid.through_pipeline(payload.encode()).offline_meters == 2
    kept = grid.value("SELECT reason FROM scada_events")
    assert kept == text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    hostile = grid.through_pipeline(json.dumps(event(feeder=text + "F2", minute=1)))
    assert not hostile.accepted
    assert len(grid.power()) == 9


@pytest.mark.parametrize(
    ("missing", "field"),
    [
        ({"substationId": None, "feederId": None}, "substationId"),
        ({"alarmType": None, "eventType": None}, "alarmType"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": "soon"}, "timestamp"),
        ({"timestamp": 1759320121}, "timestamp"),
        ({"feederId": ["F2"]}, "feederId"),
        ({"feederId": {"id": "F2"}}, "feederId"),
        ({"feederId": True}, "feederId"),
        ({"feederId": "F" * 65}, "feederId"),
        ({"switchId": []}, "switchId"),
        ({"substationId": False}, "substationId"),
        ({"alarmType": ["fault"], "eventType": {}}, "alarmType"),
    ],
)
def test_what_cannot_be_used_names_its_field(
    grid: Grid, handle: Any, missing: dict[str, Any], field: str
) -> None:
    receipt = handle(event(feeder="F2") | missing)
    assert f"{field}: " in str(receipt.dead_letter_reason)
    assert grid.rows("SELECT source, field FROM oms_topology.dead_letter") == [("scada", field)]
    assert grid.counts(*EFFECTS) == NOTHING


@pytest.mark.parametrize(
    ("stamp", "is_sound"),
    [
        ("2025-10-01T12:00:00", True),
        ("2025-10-01 12:00", True),
        ("1970-01-01T00:00:00Z", False),
        ("1066-10-14T12:00:00Z", False),
        ("2199-12-31T23:59:59Z", False),
        ("2999-12-31T23:59:59+00:00", False),
    ],
)
def test_odd_times_count_and_are_told(grid: Grid, handle: Any, stamp: str, is_sound: bool) -> None:
    assert handle(event(feeder="F2", timestamp=stamp)).offline_meters == 2
    sound, findings = grid.rows("SELECT time_is_sound, findings FROM oms_topology.signal")[0]
    assert sound is is_sound
    assert (findings is None) is is_sound
    assert grid.value("SELECT event_timestamp <= now() FROM scada_events")


@pytest.fixture(scope="module")
def hammered(pg_server: LiveServer) -> Iterator[tuple[Grid, Pipeline]]:
    database = pg_server.create(upgraded=True)
    grid = Grid(database, "")
    database.store_network(Topology.from_text(NETWORK))
    with Pipeline(database) as pipeline:
        yield grid, pipeline
    pg_server.drop(database)


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=20)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=3),
    ),
    max_leaves=10,
)
names = ("switchId", "feederId", "substationId", "alarmType", "eventType", "timestamp", "voltage", "severity",
         "reason", "coordinates", "eventId", "source", "event")  # fmt: skip
likely = st.sampled_from(["F2", "SS1", "De-energized", "Energized", "2025-10-01T12:00:00Z", "", 0])
odd_events = st.dictionaries(st.sampled_from(names), st.one_of(likely, anything), max_size=9)


@settings(
    max_examples=200, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    st.one_of(
        anything,
        odd_events,
        odd_events.map(repr),
        st.binary(max_size=60),
        odd_events.map(lambda e: {"event": e}),
    )
)
def test_nothing_that_comes_raises_or_is_lost(hammered: tuple[Grid, Pipeline], payload: Any) -> None:
    grid, pipeline = hammered
    before = grid.value(TRACES)
    receipt = pipeline.handle("scada", payload)
    assert receipt.accepted is (receipt.dead_letter_id is None)
    assert grid.value(TRACES) == before + 1 or receipt.duplicate


TRACES = (
    "SELECT (SELECT count(*) FROM scada_events)"
    " + (SELECT COALESCE(sum(deliveries), 0) FROM oms_topology.dead_letter)"
)


# -- faults in the middle


@pytest.mark.parametrize(
    ("table", "sqlstate", "error"),
    [
        ("oms_outage_events", "XX000", StoreError),
        ("oms_event_timeline", "XX000", StoreError),
        ("scada_events", "40P01", ConflictError),
        ("oms_topology.device_state", "57P01", StoreUnavailableError),
        ("oms_outage_events", "53300", StoreUnavailableError),
    ],
)
def test_a_fault_in_the_middle_leaves_nothing_and_the_message_can_be_sent_again(
    grid: Grid, table: str, sqlstate: str, error: type[OmsTopologyError]
) -> None:
    fault(grid, table, sqlstate)
    before = grid.everything()
    with Pipeline(grid.database) as pipeline:
        with pytest.raises(error) as caught:
            pipeline.handle("scada", event(feeder="F2"))
        assert caught.value.is_transient is (error is not StoreError)
        assert "Protection Trip" not in str(caught.value)
        assert grid.everything() == before
        with pytest.raises(DBAPIError):
            grid.through_sql(event(feeder="F2"))
        assert grid.everything() == before
        grid.rows(f"DROP TRIGGER fault ON {table}")
        assert pipeline.handle("scada", event(feeder="F2")).offline_meters == 2


def fault(grid: Grid, table: str, sqlstate: str) -> None:
    grid.rows(
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'fault in %', TG_TABLE_NAME USING ERRCODE = '{sqlstate}'; END $$"
    )
    grid.rows(f"CREATE TRIGGER fault BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fault()")


@pytest.mark.parametrize("sqlstate", ["22003", "23514", "23505"])
def test_what_the_data_themselves_forbid_is_a_dead_letter_and_nothing_else(
    grid: Grid, handle: Any, sqlstate: str
) -> None:
    fault(grid, "oms_outage_events", sqlstate)
    receipt = handle(event(feeder="F2"))
    assert sqlstate in str(receipt.dead_letter_reason)
    assert grid.counts(*EFFECTS) == NOTHING
    assert set(grid.power().values()) == {"unknown"}
    assert handle(event(feeder="F3", substation="SS2", alarm="Energized")).accepted


def test_a_connection_cut_in_the_middle_is_transient_and_the_next_call_works(grid: Grid) -> None:
    with Pipeline(grid.database) as pipeline:
        pipeline.handle("scada", event(feeder="F3", substation="SS2"))
        grid.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with pytest.raises(StoreUnavailableError):
            pipeline.handle("scada", event(feeder="F2"))
        assert pipeline.handle("scada", event(feeder="F2")).offline_meters == 2


def test_a_database_that_goes_away_is_told_within_the_error_tree(pg_server: LiveServer) -> None:
    database = pg_server.create(upgraded=True)
    Grid(database)
    with Pipeline(database) as pipeline:
        pipeline.handle("scada", event(feeder="F2"))
        pg_server.drop(database)
        for _ in range(2):  # the first call loses its connection, the second finds no database
            with pytest.raises(OmsTopologyError):
                pipeline.handle("scada", event(feeder="F2", minute=1))


def test_a_late_fault_rolls_back_meters_audit_and_signal_together(grid: Grid) -> None:
    grid.through_sql(event(feeder="F2"))
    fault(grid, "oms_event_timeline", "XX000")
    before = grid.everything()
    with pytest.raises(DBAPIError) as caught:
        grid.through_sql(event(feeder="F2", minute=5, alarm="Energized"))
    assert isinstance(caught.value.orig, psycopg.errors.InternalError_)
    assert grid.everything() == before
    grid.rows("DROP TRIGGER fault ON oms_event_timeline")
    assert grid.through_sql(event(feeder="F2", minute=5, alarm="Energized")).restored_meters == 2
    assert grid.outages() == [("F2", "restored", at(0), at(5))]
