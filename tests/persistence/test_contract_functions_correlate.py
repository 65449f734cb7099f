"""oms_correlate_events: one outage a cause, whoever reports it, however often and in whatever order."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

CALL = "SELECT oms_correlate_events(%s, %s, %s, %s::timestamptz, %s::numeric, %s::numeric, %s, %s)"
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)
PLACE = (31.9512, 35.9327)
METRE = 1 / 111_195  # degrees of latitude


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database.engine)


def correlate(
    grid: Grid,
    source: str | None,
    key: str | None,
    minutes: float = 0,
    place: tuple[float | None, float | None] = PLACE,
    *,
    event_type: str | None = "outage",
    window: int | None = 30,
    radius: int | None = 1000,
) -> Any:
    at = NOON + timedelta(minutes=minutes)
    return grid.one(CALL, event_type, source, key, at, place[0], place[1], window, radius)


def north(metres: float) -> tuple[float, float]:
    return (PLACE[0] + metres * METRE, PLACE[1])


def confidence(grid: Grid, outage: object) -> str:
    score: str = grid.one("SELECT confidence_score::text FROM oms_outage_events WHERE id = %s", outage)
    return score


def test_signature_is_the_deployed_one(grid: Grid) -> None:
    assert grid.one(
        "SELECT pg_get_function_arguments('public.oms_correlate_events(varchar, varchar, varchar,"
        " timestamptz, numeric, numeric, integer, integer)'::regprocedure)"
    ) == (
        "p_event_type character varying, p_source_type character varying,"
        " p_source_event_id character varying,"
        " p_timestamp timestamp with time zone, p_latitude numeric, p_longitude numeric,"
        " p_correlation_window_minutes integer DEFAULT 30, p_spatial_radius_meters integer DEFAULT 1000"
    )
    request = payload("oms_api_correlate_request")
    assert grid.one(
        "SELECT oms_correlate_events(%s, %s, %s, %s, %s::numeric, %s::numeric)",
        *(
            request[k]
            for k in ("event_type", "source_type", "source_event_id", "timestamp", "latitude", "longitude")
        ),
    )


def test_a_first_report_opens_an_outage(grid: Grid) -> None:
    outage = correlate(grid, "onu", "onu_1")
    [row] = grid.rows(
        "SELECT id, event_type, status, severity, confidence_score::text, first_detected_at,"
        " event_latitude::text, affected_customers_count FROM oms_outage_events"
    )
    assert row == (outage, "outage", "detected", "medium", "0.30", NOON, "31.95120000", 0)
    assert grid.one("SELECT event_id ~ '^OMS_1759320000_[0-9a-f]{8}$' FROM oms_outage_events")
    assert grid.rows("SELECT event_type, status, source FROM oms_event_timeline") == [
        ("detected", "detected", "onu")
    ]
    assert grid.rows(
        "SELECT outage_event_id, source_type, source_event_id, source_table, correlation_weight::text"
        " FROM oms_event_sources"
    ) == [(outage, "onu", "onu_1", "source_events", "0.60")]


def test_a_duplicate_changes_nothing(grid: Grid) -> None:
    outages = {correlate(grid, "call_center", "cc_1") for _ in range(6)}
    assert len(outages) == 1
    assert confidence(grid, outages.pop()) == "0.20"
    assert (grid.count("oms_event_sources"), grid.count("oms_event_timeline")) == (1, 1)


def test_a_duplicate_is_found_however_late_and_wherever(grid: Grid) -> None:
    outage = correlate(grid, "onu", "onu_1")
    grid.run("UPDATE oms_outage_events SET status = 'restored'")
    assert correlate(grid, "onu", "onu_1", 600, north(50_000)) == outage


def test_weights_make_the_confidence_in_any_order(grid: Grid) -> None:
    reports = [("scada", "s"), ("kaifa", "k"), ("onu", "o"), ("call_center", "c")]
    scores = set()
    for number, order in enumerate(permutations(reports)):
        place = (10.0 + number, 20.0)
        outages = {correlate(grid, source, f"{key}{number}", place=place) for source, key in order}
        assert len(outages) == 1
        scores.add(confidence(grid, outages.pop()))
    assert scores == {"0.83"}  # 1 - 0.5 * 0.6 * 0.7 * 0.8 = 0.832, rounded down


def test_an_operators_weights_count(grid: Grid) -> None:
    grid.run(
        "UPDATE oms_correlation_rules SET weight_call_center = 0.9"
        " WHERE rule_name = 'Standard Outage Detection'"
    )
    assert confidence(grid, correlate(grid, "call_center", "c1")) == "0.45"
    grid.run(
        "UPDATE oms_storm_mode_config SET is_active = true;"
        " UPDATE oms_correlation_rules SET weight_call_center = 0.1 WHERE rule_name = 'Storm Mode Detection'"
    )
    assert confidence(grid, correlate(grid, "call_center", "c2", place=north(5000))) == "0.05"


@pytest.mark.parametrize(
    ("minutes", "metres", "joins"),
    [(30, 0, True), (-30, 0, True), (30.1, 0, False), (-30.1, 0, False), (0, 999, True), (0, 1001, False)],
)
def test_window_and_radius_are_inclusive(grid: Grid, minutes: float, metres: float, joins: bool) -> None:
    first = correlate(grid, "onu", "a")
    assert (correlate(grid, "onu", "b", minutes, north(metres)) == first) is joins


def test_a_long_outage_does_not_split(grid: Grid) -> None:
    assert len({correlate(grid, "onu", f"o{minutes}", minutes) for minutes in (0, 20, 40, 60, 90)}) == 1


def test_an_earlier_report_moves_the_start(grid: Grid) -> None:
    correlate(grid, "onu", "a")
    correlate(grid, "onu", "b", -10)
    assert grid.one("SELECT first_detected_at FROM oms_outage_events") == NOON - timedelta(minutes=10)


def test_the_nearest_wins_not_the_newest(grid: Grid) -> None:
    near = correlate(grid, "onu", "near", 0, north(300))
    far = correlate(grid, "onu", "far", 1, north(1500))
    assert near != far
    assert correlate(grid, "onu", "x", 2, north(700)) == near
    assert correlate(grid, "onu", "y", 2, north(1200)) == far


@pytest.mark.parametrize(
    ("a", "b", "radius", "joins"),
    [
        ((0.5, 179.9999), (0.5, -179.9999), 1000, True),
        ((89.9999, 10.0), (89.9999, -170.0), 1000, True),
        ((10.0, 20.0), (10.0, -160.0), 20_000_000, True),
        ((60.0, 20.0), (60.0, 20.017), 1000, True),
        ((60.0, 20.0), (60.0, 20.019), 1000, False),
    ],
)
def test_distance_on_the_globe(
    grid: Grid, a: tuple[float, float], b: tuple[float, float], radius: int, joins: bool
) -> None:
    assert (
        correlate(grid, "onu", "a", place=a) == correlate(grid, "onu", "b", place=b, radius=radius)
    ) is joins


def test_closed_outages_and_other_types_are_not_joined(grid: Grid) -> None:
    outage = correlate(grid, "onu", "a")
    assert correlate(grid, "onu", "b", event_type="planned_outage") != outage
    grid.run("UPDATE oms_outage_events SET status = 'restored'")
    assert correlate(grid, "onu", "c") != outage


@pytest.mark.parametrize("place", [(None, None), (0, 0), (91.0, 10.0), (10.0, 181.0), (10.0, None)])
def test_without_a_place_nothing_known_is_its_own_outage(
    grid: Grid, place: tuple[float | None, float | None]
) -> None:
    first = correlate(grid, "kaifa", "a", place=place)
    assert correlate(grid, "kaifa", "b", place=place) != first
    assert correlate(grid, "kaifa", "a", place=place) == first
    assert grid.rows("SELECT DISTINCT event_latitude, event_longitude FROM oms_outage_events") == [
        (None, None)
    ]


def test_four_sources_in_one_minute_are_one_outage(grid: Grid) -> None:
    trip = grid.call("insert_scada_event_with_meter_check", payload("scada_loss_of_voltage.function"))
    gasp = payload("onu_last_gasp.function")
    grid.onu(gasp)
    outage = payload("kaifa_power_outage.function")
    grid.kaifa(outage)
    ticket = grid.ticket(payload("callcenter_ticket.function"))
    at = datetime(2025, 10, 1, 8, 3, tzinfo=UTC)
    reported = [
        ("scada", f"scada_{trip['scada_event_id']}", None, None),
        ("onu", gasp["eventId"], gasp["location"]["lat"], gasp["location"]["lng"]),
        ("kaifa", outage["payload"]["event_id"], None, None),
        ("call_center", f"cc_{ticket}", None, None),
    ]
    found = {
        str(grid.one(CALL, "outage", s, key, at, lat, lng, 30, 1000)) for s, key, lat, lng in reported * 2
    }
    assert found == {trip["outage_event_id"]}
    assert grid.count("oms_outage_events") == 1
    assert grid.rows("SELECT source_type, source_table FROM oms_event_sources ORDER BY 1") == [
        ("call_center", "callcenter_tickets"),
        ("kaifa", "kaifa_events"),
        ("onu", "onu_events"),
        ("scada", "scada_events"),
    ]
    assert confidence(grid, trip["outage_event_id"]) == "0.96"  # 1 - 0.1 * 0.6 * 0.7 * 0.8 = 0.9664


def test_reports_of_one_distribution_point_are_one_outage_without_any_position(grid: Grid) -> None:
    grid.run("UPDATE network_distribution_points SET location_lat = NULL, location_lng = NULL")
    one = payload("kaifa_power_outage.function")
    other = payload("kaifa_power_outage.function")
    other["payload"] |= {"event_id": "other", "assets": {"ns2:mRID": "M90000002"}}
    apart = payload("kaifa_power_outage.function")
    apart["payload"] |= {"event_id": "apart", "assets": {"ns2:mRID": "M90000005"}}
    for message in (one, other, apart):
        grid.kaifa(message)
    none = (None, None)
    first = correlate(grid, "kaifa", one["payload"]["event_id"], place=none)
    assert correlate(grid, "kaifa", "other", 5, place=none) == first
    assert correlate(grid, "kaifa", "apart", 5, place=none) != first
    assert grid.rows(
        "SELECT d.dp_id, f.feeder_id, s.substation_id, e.affected_customers_count FROM oms_outage_events e"
        " JOIN network_distribution_points d ON d.id = e.dp_id JOIN network_feeders f ON f.id = e.feeder_id"
        " JOIN network_substations s ON s.id = e.substation_id WHERE e.id = %s",
        first,
    ) == [("DP1", "F00Z901", "4A00000Z901", 2)]


def test_the_network_goes_before_distance(grid: Grid) -> None:
    grid.run("UPDATE network_distribution_points SET location_lat = 31.9513, location_lng = 35.9327")
    trip = grid.call("insert_scada_event_with_meter_check", payload("scada_loss_of_voltage.function"))
    message = payload("kaifa_power_outage.function")
    message["payload"]["assets"] = {"ns2:mRID": "M90000005"}
    grid.kaifa(message)
    outage = grid.one(
        CALL, "outage", "kaifa", message["payload"]["event_id"], "2025-10-01T08:02:24Z", None, None, 30, 1000
    )
    assert str(outage) != trip["outage_event_id"], "M90000005 hangs on another feeder"


def test_a_restoration_is_never_an_outage(grid: Grid) -> None:
    grid.onu(payload("onu_last_gasp.function"))
    grid.onu(payload("onu_power_restored.function"))
    restored = payload("onu_power_restored.function")["eventId"]
    at = "2025-10-01T08:31:45Z"
    assert grid.one(CALL, "outage", "onu", restored, at, 31.9454, 35.9284, 30, 1000) is None
    gasp = payload("onu_last_gasp.function")["eventId"]
    outage = grid.one(CALL, "outage", "onu", gasp, "2025-10-01T08:02:05Z", 31.9454, 35.9284, 30, 1000)
    before = confidence(grid, outage)
    for _ in range(2):
        assert grid.one(CALL, "outage", "onu", restored, at, 31.9454, 35.9284, 30, 1000) == outage
    assert confidence(grid, outage) == before
    assert grid.rows("SELECT event_type FROM oms_event_timeline ORDER BY timestamp") == [
        ("detected",),
        ("restoration_reported",),
    ]
    assert correlate(grid, "scada", "unknown", 100, event_type="restoration") is None
    assert grid.count("oms_outage_events") == 1


def test_an_energized_breaker_names_the_outage_that_it_closed(grid: Grid) -> None:
    trip = grid.call("insert_scada_event_with_meter_check", payload("scada_loss_of_voltage.function"))
    back = grid.call("insert_scada_event_with_meter_check", payload("scada_restoration.function"))
    key = f"scada_{back['scada_event_id']}"
    found = grid.one(CALL, "outage", "scada", key, "2025-10-01T08:31:44Z", None, None, 30, 1000)
    assert str(found) == trip["outage_event_id"]
    assert grid.rows("SELECT status, confidence_score::text FROM oms_outage_events") == [("restored", "0.90")]


@pytest.mark.parametrize(
    ("source", "key", "event_type", "field"),
    [
        ("martian", "a", "outage", "source_type"),
        (None, "a", "outage", "source_type"),
        ("onu", "", "outage", "source_event_id"),
        ("onu", None, "outage", "source_event_id"),
        ("onu", "k" * 101, "outage", "source_event_id"),
        ("onu", "a", " ", "event_type"),
        ("onu", "a", "e" * 51, "event_type"),
    ],
)
def test_an_illegal_request_becomes_a_dead_letter(
    grid: Grid, source: str | None, key: str | None, event_type: str, field: str
) -> None:
    assert correlate(grid, source, key, event_type=event_type) is None
    assert grid.dead_letters() == [("onu" if source == "onu" else "system", field)]
    assert grid.count("oms_outage_events") == 0


def test_times_missing_and_impossible(grid: Grid) -> None:
    assert grid.one(CALL, "outage", "onu", "a", None, *PLACE, 30, 1000) is None
    assert grid.dead_letters() == [("onu", "timestamp")]
    for number, at in enumerate(("2999-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "infinity", "-infinity")):
        assert grid.one(CALL, "outage", "onu", f"b{number}", at, *PLACE, 30, 1000)
    assert grid.rows("SELECT count(*), max(first_detected_at) <= now() FROM oms_outage_events") == [(1, True)]


@pytest.mark.parametrize("odd", [None, 0, -5])
def test_a_window_that_is_none_is_the_rules(grid: Grid, odd: int | None) -> None:
    first = correlate(grid, "onu", "a")
    assert correlate(grid, "onu", "b", 29, north(900), window=odd, radius=odd) == first
    assert correlate(grid, "onu", "c", 29, north(2200), window=odd, radius=odd) != first


def test_many_at_one_spot_at_once_are_one_outage(grid: Grid) -> None:
    def report(number: int) -> Any:
        return correlate(grid, "onu", f"o{number}", number / 60, north(number * 20))

    with ThreadPoolExecutor(8) as pool:
        outages = set(pool.map(report, range(24)))
    assert len(outages) == 1
    assert grid.count("oms_event_sources") == 24


def test_one_source_many_times_at_once_is_one(grid: Grid) -> None:
    with ThreadPoolExecutor(8) as pool:
        outages = set(pool.map(lambda _: correlate(grid, "kaifa", "k", place=(None, None)), range(16)))
    assert len(outages) == 1
    assert (grid.count("oms_outage_events"), grid.count("oms_event_sources")) == (1, 1)


def test_wide_and_narrow_searches_at_once_do_not_double(grid: Grid) -> None:
    def report(number: int) -> Any:
        return correlate(grid, "onu", f"o{number}", radius=1000 if number % 2 else 50_000)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(report, range(16)))) == 1


def test_an_unknown_scada_id_goes_by_its_place(grid: Grid) -> None:
    first = correlate(grid, "scada", f"scada_{uuid.uuid4()}")
    assert correlate(grid, "onu", "o") == first
    assert confidence(grid, first) == "0.65"  # 1 - 0.5 * 0.7
