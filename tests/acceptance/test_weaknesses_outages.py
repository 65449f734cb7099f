"""Each weakness [69] to [84] of the deployed correlation and outages, met on a real database.

Beside these: tests/persistence/test_contract_functions_correlate.py tries the same function's edges, and
tests/acceptance/test_weaknesses_scada.py the outages of devices that report themselves.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import DBAPIError

from oms_topology.service.pipeline import Pipeline
from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

CALL = "SELECT oms_correlate_events(%s, %s, %s, %s::timestamptz, %s::numeric, %s::numeric)"
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)
SPOT = (31.9512, 35.9327)
OUTSIDE = (33.2, 37.4)
DEGREE_M = 111_195


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database.engine)


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def correlate(
    grid: Grid,
    source: str,
    key: str,
    minutes: float = 0,
    place: tuple[float | None, float | None] = (None, None),
    event_type: str = "outage",
) -> Any:
    return grid.one(CALL, event_type, source, key, after(minutes), *place)


def trip(
    grid: Grid, minutes: float = 0, alarm: str = "De-energized", feeder: str = "F00Z901"
) -> dict[str, Any]:
    message = payload("scada_loss_of_voltage.function") | {
        "substationId": "4A00000Z901",
        "feederId": feeder,
        "alarmType": alarm,
        "timestamp": iso(after(minutes)),
    }
    with Pipeline(grid.engine) as pipe:
        pipe.handle("scada", message)
    found: dict[str, Any] = grid.one(
        "SELECT to_jsonb(e) FROM scada_events e WHERE event_timestamp = %s AND alarm_type = %s",
        after(minutes),
        alarm,
    )
    return found


def gasp(grid: Grid, meter: int, minutes: float, kind: str = "ONU_LastGaspAlert") -> str:
    key = f"onu_{meter}_{minutes}_{kind}"
    message = payload("onu_last_gasp.function") | {
        "eventId": key,
        "onuId": 9_100_100 + meter,
        "onuSerial": f"S{meter}",
        "type": kind,
        "timestamp": iso(after(minutes)),
        "associatedMeters": [f"M9000000{meter}"],
        "location": None,
    }
    assert grid.onu(message)
    return key


def ticket(grid: Grid, meter: int, minutes: float) -> str:
    message = payload("callcenter_ticket.function") | {
        "ticketId": f"TC-{meter}-{minutes}",
        "timestamp": iso(after(minutes)),
        "customer": {"meterNumber": f"M9000000{meter}", "phone": "+962790000000"},
    }
    return f"cc_{grid.ticket(message)}"


def outages(grid: Grid) -> list[dict[str, Any]]:
    return [row for (row,) in grid.rows("SELECT to_jsonb(e) FROM oms_outage_events e ORDER BY event_id")]


def timeline(grid: Grid) -> list[str]:
    return [
        row
        for (row,) in grid.rows("SELECT event_type FROM oms_event_timeline ORDER BY timestamp, event_type")
    ]


def test_w69_reports_of_all_kinds_without_any_position_are_one_outage(grid: Grid) -> None:
    keys = [("onu", gasp(grid, 1, 0)), ("call_center", ticket(grid, 2, 0.5)), ("onu", gasp(grid, 3, 0.7))]
    found = {correlate(grid, source, key, 0.5) for source, key in keys}
    assert len(found) == 1
    [outage] = outages(grid)
    assert float(outage["event_latitude"]) == pytest.approx(SPOT[0])


def test_w70_a_trip_and_its_correlate_call_are_one_outage_with_place_and_customers(grid: Grid) -> None:
    event = trip(grid)
    found = correlate(grid, "scada", f"scada_{event['id']}")
    [outage] = outages(grid)
    assert (str(found), outage["affected_customers_count"]) == (outage["id"], 4)
    assert outage["feeder_id"] is not None
    assert grid.count("oms_event_sources") == 1


def test_w71_the_same_ticket_six_times_raises_nothing(grid: Grid) -> None:
    key = ticket(grid, 1, 0)
    assert len({correlate(grid, "call_center", key) for _ in range(6)}) == 1
    assert float(outages(grid)[0]["confidence_score"]) == 0.2
    assert timeline(grid) == ["detected"]


def test_w72_weights_thresholds_and_the_storm_row_are_read(grid: Grid) -> None:
    scores = []
    for number, source in enumerate(("scada", "kaifa", "onu", "call_center")):
        found = correlate(grid, source, f"lone_{number}", place=(10.0 + number, 20.0))
        scores.append(
            grid.rows(
                "SELECT e.confidence_score::float, s.correlation_weight::float FROM oms_outage_events e"
                " JOIN oms_event_sources s ON s.outage_event_id = e.id WHERE e.id = %s",
                found,
            )[0]
        )
    assert scores == [(0.5, 1.0), (0.4, 0.8), (0.3, 0.6), (0.2, 0.4)]
    grid.run("UPDATE oms_correlation_rules SET weight_call_center = 0.1 WHERE rule_name LIKE 'Storm%%'")
    grid.run("UPDATE oms_storm_mode_config SET is_active = true")
    found = correlate(grid, "call_center", "in_storm", place=(40.0, 20.0))
    assert (
        grid.one("SELECT correlation_weight::float FROM oms_event_sources WHERE outage_event_id = %s", found)
        == 0.1
    )


def test_w73_reports_at_one_spot_every_twenty_minutes_are_one_outage(grid: Grid) -> None:
    found = {correlate(grid, "onu", f"o{minutes}", minutes, OUTSIDE) for minutes in range(0, 241, 20)}
    assert len(found) == 1


@pytest.mark.parametrize("place", [OUTSIDE, (None, None)], ids=["position", "network"])
def test_w74_events_at_once_are_one_outage(grid: Grid, place: tuple[float | None, float | None]) -> None:
    keys = (
        [gasp(grid, meter, 0) for meter in (1, 2, 3)]
        if place == (None, None)
        else [f"o{n}" for n in range(8)]
    )
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda key: correlate(grid, "onu", key, 0, place), keys * 3))
    assert len(found) == 1
    assert grid.count("oms_outage_events") == 1
    assert grid.count("oms_event_sources") == len(keys)


@pytest.mark.parametrize("event_type", ["outage", "restoration"])
def test_w75_a_restoration_opens_nothing_and_raises_nothing(grid: Grid, event_type: str) -> None:
    lost = correlate(grid, "onu", gasp(grid, 1, 0))
    before = outages(grid)[0]["confidence_score"]
    back = gasp(grid, 1, 20, kind="ONU_PowerRestored")
    assert correlate(grid, "onu", back, 20, event_type=event_type) == lost
    [outage] = outages(grid)
    assert outage["confidence_score"] == before
    assert timeline(grid) == ["detected", "restoration_reported"]
    alone = gasp(grid, 5, 30, kind="ONU_PowerRestored")
    assert correlate(grid, "onu", alone, 30, event_type=event_type) is None


def test_w76_a_report_of_supply_closes_its_outage(grid: Grid) -> None:
    trip(grid)
    trip(grid, 45, alarm="Energized")
    [outage] = outages(grid)
    assert outage["status"] == "restored"
    assert datetime.fromisoformat(outage["actual_restoration_time"]) == after(45)
    assert timeline(grid) == ["detected", "restored"]


def test_w77_the_nearest_outage_wins_and_only_those_in_the_box_are_measured(grid: Grid) -> None:
    near = correlate(grid, "onu", "near", 0, OUTSIDE)
    newer = correlate(grid, "onu", "newer", 10, (OUTSIDE[0] + 1_500 / DEGREE_M, OUTSIDE[1]))
    assert near != newer
    between = (OUTSIDE[0] + 600 / DEGREE_M, OUTSIDE[1])
    assert correlate(grid, "call_center", "c", 12, between) == near
    # A measure that would fail is not even taken of what lies outside the box.
    grid.run(
        "CREATE OR REPLACE FUNCTION haversine_distance_meters(lat1 numeric, lon1 numeric,"
        " lat2 numeric, lon2 numeric) RETURNS double precision LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE 'measured'; END $$"
    )
    assert correlate(grid, "onu", "far", 12, (-30.0, 100.0)) not in (near, newer)


def test_w77_what_is_read_does_not_grow_with_the_outages_that_are_open_elsewhere(grid: Grid) -> None:
    grid.run(
        "INSERT INTO oms_outage_events (event_id, event_type, status, severity, confidence_score,"
        " event_latitude, event_longitude, first_detected_at)"
        " SELECT 'E' || n, 'outage', 'detected', 'medium', 0.5,"
        " -60 + n * 0.02, 10, '2025-10-01T12:00Z' FROM generate_series(1, 5000) n;"
        " INSERT INTO oms_event_sources (outage_event_id, source_type, source_event_id, source_table,"
        " detected_at) SELECT id, 'onu', event_id, 'source_events', first_detected_at FROM oms_outage_events;"
        " ANALYZE oms_outage_events; ANALYZE oms_event_sources"
    )
    scope = "ROW(NULL, NULL, 'off', NULL, NULL, NULL, 20.0001, 10)::oms_topology.correlation_scope"
    question = f"oms_topology.nearby_outage('outage', {scope}, '2025-10-01T12:10Z', '30 minutes', 1000)"
    assert grid.one(f"SELECT event_id FROM oms_outage_events WHERE id = {question}") == "E4000"
    [plan] = grid.one(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT {question}")
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 500


def test_w78_each_source_is_in_the_timeline_and_in_what_the_outage_says(grid: Grid) -> None:
    states = set()
    for number, order in enumerate(permutations((1, 2, 3))):
        grid.run("DELETE FROM oms_outage_events")
        for meter in order:
            correlate(grid, "onu", gasp(grid, meter, number * 600), number * 600)
        [outage] = outages(grid)
        assert sorted(timeline(grid)) == ["detected", "updated", "updated"]
        assert outage["dp_id"] == grid.one(
            "SELECT id::text FROM network_distribution_points WHERE dp_id = 'DP1'"
        )
        states.add((outage["affected_customers_count"], outage["severity"], outage["confidence_score"]))
    assert states == {(3, "medium", 0.65)}
    correlate(grid, "call_center", ticket(grid, 2, 9000), 9000)
    correlate(grid, "onu", gasp(grid, 1, 9000), 9000)
    last = max(outages(grid), key=lambda each: each["first_detected_at"])
    assert (last["affected_customers_count"], last["severity"]) == (2, "medium")


def test_w78_more_reports_make_it_graver_and_find_the_place(grid: Grid) -> None:
    place = SPOT
    found = {
        correlate(grid, source, key, 0, place)
        for source, key in (
            ("scada", "s"),
            ("kaifa", "k"),
            ("onu", "o"),
            ("call_center", "c"),
            ("onu", gasp(grid, 1, 0)),
        )
    }
    assert len(found) == 1
    [outage] = outages(grid)
    assert (outage["severity"], outage["affected_customers_count"]) == ("high", 1)
    assert outage["feeder_id"] is not None


@pytest.mark.parametrize("source", ["martian", "", "SCADA"])
def test_w79_an_unknown_source_is_kept_aside(grid: Grid, source: str) -> None:
    assert correlate(grid, source, "x", 0, SPOT) is None
    assert grid.rows("SELECT source, field FROM oms_topology.dead_letter") == [("system", "source_type")]
    assert grid.count("oms_outage_events") == 0


def test_w79_yesterday_is_no_time_of_an_event(grid: Grid) -> None:
    message = payload("onu_last_gasp.function") | {"timestamp": "yesterday"}
    grid.onu(message)
    assert grid.one("SELECT field FROM oms_topology.dead_letter") == "timestamp"


def test_w79_an_outage_has_a_known_severity_and_status(grid: Grid) -> None:
    correlate(grid, "onu", "o", 0, SPOT)
    for column in ("severity", "status"):
        with pytest.raises(DBAPIError, match="check"):
            grid.run(f"UPDATE oms_outage_events SET {column} = 'banana'")


def test_w80_one_event_has_one_id_in_all_tables(grid: Grid) -> None:
    event = trip(grid)
    correlate(grid, "scada", f"scada_{event['id']}")
    call = ticket(grid, 5, 1)
    correlate(grid, "call_center", call, 1)
    correlate(grid, "onu", gasp(grid, 5, 1), 1)
    told = {
        "scada": "SELECT count(*) FROM oms_event_sources s JOIN scada_events e"
        " ON e.id::text = s.source_event_id WHERE s.source_table = 'scada_events'",
        "call_center": "SELECT count(*) FROM oms_event_sources s JOIN callcenter_tickets e"
        " ON e.id::text = s.source_event_id WHERE s.source_table = 'callcenter_tickets'",
        "onu": "SELECT count(*) FROM oms_event_sources s JOIN onu_events e ON e.event_id = s.source_event_id"
        " WHERE s.source_table = 'onu_events'",
    }
    assert {source: grid.one(query) for source, query in told.items()} == dict.fromkeys(told, 1)
    assert grid.count("oms_event_sources") == 3


def test_w81_the_same_reports_have_the_same_ids_in_any_database(database_factory: Any) -> None:
    ids = []
    for _ in range(2):
        grid = Grid(database_factory(upgraded=True).engine)
        trip(grid)
        correlate(grid, "onu", "o", 0, OUTSIDE)
        ids.append([outage["event_id"] for outage in outages(grid)])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_w82_distance_is_a_number_wherever_on_earth(grid: Grid) -> None:
    draw = random.Random(82)
    pairs = []
    for _ in range(20_000):
        latitude, longitude = draw.uniform(-90, 90), draw.uniform(-180, 180)
        noise = 10 ** draw.uniform(-9, -5)
        opposite = longitude - 180 if longitude > 0 else longitude + 180
        pairs.append((latitude, longitude, -latitude + draw.uniform(-noise, noise), opposite))
    with grid.engine.begin() as connection:
        lowest, highest, count = connection.exec_driver_sql(
            "SELECT min(d), max(d), count(d) FROM (SELECT haversine_distance_meters(a::numeric, b::numeric,"
            " c::numeric, e::numeric) AS d"
            " FROM unnest(%s::float8[], %s::float8[], %s::float8[], %s::float8[]) AS p (a, b, c, e)) x",
            tuple(list(column) for column in zip(*pairs, strict=True)),
        ).one()
    half_round = 6_371_000 * 3.141592653589793
    assert count == 20_000
    assert half_round * 0.999 < lowest <= highest <= half_round * (1 + 1e-12)
    assert (
        grid.one(
            "SELECT proparallel::text FROM pg_proc WHERE oid ="
            " 'haversine_distance_meters(numeric,numeric,numeric,numeric)'::regprocedure"
        )
        == "s"
    )


def test_w83_an_outage_says_when_it_was_last_changed_whoever_did_it(grid: Grid) -> None:
    found = correlate(grid, "onu", "o", 0, SPOT)
    query = "SELECT last_updated_at FROM oms_outage_events WHERE id = %s"
    before = grid.one(query, found)
    grid.run("UPDATE oms_outage_events SET root_cause = 'Cable'")
    assert grid.one(query, found) > before
    grid.run("UPDATE oms_outage_events SET last_updated_at = '2025-10-01Z'")
    assert grid.one(query, found) == datetime(2025, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "column", "code"),
    [
        ("network_distribution_points", "dp_id", "DP1"),
        ("network_feeders", "feeder_id", "F00Z901"),
        ("network_substations", "substation_id", "4A00000Z901"),
    ],
)
def test_w84_a_place_with_an_outage_can_be_taken_out_and_the_outage_stays(
    grid: Grid, table: str, column: str, code: str
) -> None:
    correlate(grid, "onu", gasp(grid, 1, 0))
    trip(grid, 1)
    before = outages(grid)
    with grid.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = %s", (code,))
    left = outages(grid)
    assert [each["event_id"] for each in left] == [each["event_id"] for each in before]
    assert all(each[column] is None for each in left)
    assert grid.count("oms_meters") == 5
    noted = grid.one(
        "SELECT count(*) FROM oms_event_timeline"
        " WHERE description LIKE '%%registry%%' AND metadata ->> 'table' = %s",
        table,
    )
    assert noted == sum(each[column] is not None for each in before) > 0
