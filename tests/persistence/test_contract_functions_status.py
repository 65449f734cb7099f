"""update_meter_status and the meters of a distribution point, as older services call them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from tests.persistence.contract_functions import Grid

if TYPE_CHECKING:
    from uuid import UUID

    from oms_topology.persistence.database import Database

CALL = "SELECT update_meter_status(%s, %s, %s, %s, %s, %s, %s::jsonb)"


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database.engine)


def report(
    grid: Grid,
    number: str,
    status: str | None,
    at: str,
    source: str = "onu",
    key: str | None = None,
    metadata: object = None,
    event_type: str | None = None,
) -> UUID | None:
    kind = event_type or {"on": "power_on", "off": "power_off"}.get(status or "", "communication_lost")
    row: UUID | None = grid.one(CALL, number, status, kind, source, key, at, json.dumps(metadata))
    return row


def test_signature_is_the_deployed_one(grid: Grid) -> None:
    assert grid.one(
        "SELECT pg_get_function_arguments(to_regprocedure("
        "'public.update_meter_status(varchar, varchar, varchar, varchar, varchar, timestamptz, jsonb)'))"
    ) == (
        "p_meter_number character varying, p_new_status character varying, p_event_type character varying,"
        " p_source_type character varying,"
        " p_source_event_id character varying DEFAULT NULL::character varying,"
        " p_event_timestamp timestamp with time zone DEFAULT now(), p_metadata jsonb DEFAULT NULL::jsonb"
    )
    assert grid.one(
        "SELECT update_meter_status(p_meter_number => 'M90000001', p_new_status => 'off',"
        " p_event_type => 'power_off', p_source_type => 'system')"
    )


def test_writes_the_status_and_an_audit_row_with_the_true_previous_status(grid: Grid) -> None:
    first = report(grid, "M90000001", "off", "2025-10-01T08:00:00Z", key="E1", metadata={"by": "test"})
    second = report(grid, "M90000001", "on", "2025-10-01T09:00:00Z", key="E2")
    assert grid.audit("M90000001") == [
        ("unknown", "off", "onu", "E1", "0.85"),
        ("off", "on", "onu", "E2", "0.85"),
    ]
    assert grid.rows("SELECT id FROM oms_meter_status_events ORDER BY event_timestamp") == [
        (first,),
        (second,),
    ]
    assert grid.one("SELECT metadata FROM oms_meter_status_events WHERE id = %s", first) == {"by": "test"}
    meter = grid.meter("M90000001")
    assert (meter["power_status"], meter["last_power_change"]) == ("on", "2025-10-01T09:00:00+00:00")
    assert meter["communication_status"] == "unknown"


def test_unknown_meter_raises_the_deployed_text(grid: Grid) -> None:
    with pytest.raises(DBAPIError) as caught:
        report(grid, "M404", "off", "2025-10-01T08:00:00Z")
    assert caught.value.orig is not None
    assert caught.value.orig.diag.message_primary == "Meter not found: M404"  # type: ignore[attr-defined]


def test_numbers_are_found_in_spite_of_blanks_and_case(grid: Grid) -> None:
    assert report(grid, " m90000001\t", "off", "2025-10-01T08:00:00Z")
    assert grid.statuses()["M90000001"] == "off"


def test_an_exact_number_goes_before_one_that_differs_in_case(grid: Grid) -> None:
    grid.run("INSERT INTO oms_meters (meter_number) VALUES ('m90000001')")
    report(grid, "m90000001", "off", "2025-10-01T08:00:00Z")
    assert (grid.statuses()["m90000001"], grid.statuses()["M90000001"]) == ("off", "unknown")


def test_a_stale_report_does_not_overwrite_a_newer_one(grid: Grid) -> None:
    newer = report(grid, "M90000001", "on", "2025-10-01T09:00:00Z", key="E2")
    older = report(grid, "M90000001", "off", "2025-10-01T08:00:00Z", key="E1")
    assert grid.statuses()["M90000001"] == "on"
    assert grid.meter("M90000001")["last_power_change"] == "2025-10-01T09:00:00+00:00"
    assert older is not None
    assert older != newer
    assert [row[1] for row in grid.audit("M90000001")] == ["off", "on"]


def test_redelivery_gives_the_same_row_and_changes_nothing(grid: Grid) -> None:
    ids = {report(grid, "M90000001", "off", "2025-10-01T08:00:00Z", key="E1") for _ in range(3)}
    assert len(ids) == 1
    assert len(grid.audit("M90000001")) == 1
    assert grid.count("oms_topology.signal") == 1


def test_one_event_id_for_two_meters_is_no_duplicate_and_no_conflict(grid: Grid) -> None:
    for number in ("M90000001", "M90000002"):
        assert report(grid, number, "off", "2025-10-01T08:00:00Z", key="E1")
    assert [grid.statuses()[number] for number in ("M90000001", "M90000002")] == ["off", "off"]
    assert grid.rows("SELECT is_conflicting FROM oms_topology.signal") == [(False,), (False,)]


def test_a_repeated_status_writes_no_row_and_names_the_one_that_stands(grid: Grid) -> None:
    first = report(grid, "M90000001", "off", "2025-10-01T08:00:00Z", key="E1")
    assert report(grid, "M90000001", "off", "2025-10-01T08:05:00Z", key="E2") == first
    assert len(grid.audit("M90000001")) == 1


def test_communication_is_not_power(grid: Grid) -> None:
    report(grid, "M90000001", "on", "2025-10-01T08:00:00Z", key="E1")
    grid.one(CALL, "M90000001", "online", "communication_restored", "onu", "E2", "2025-10-01T08:00:00Z", None)
    lost = report(grid, "M90000001", "offline", "2025-10-01T08:05:00Z", key="E3")
    meter = grid.meter("M90000001")
    assert (meter["power_status"], meter["communication_status"]) == ("on", "offline")
    assert (
        grid.one("SELECT event_type FROM oms_meter_status_events WHERE id = %s", lost) == "communication_lost"
    )


@pytest.mark.parametrize(
    ("status", "event_type", "source", "key", "field"),
    [
        ("banana", "power_off", "onu", None, "new_status"),
        (None, "power_off", "onu", None, "new_status"),
        ("on", "power_off", "onu", None, "new_status"),
        ("offline", "power_off", "onu", None, "new_status"),
        ("off", "outage", "onu", None, "event_type"),
        ("off", None, "onu", None, "event_type"),
        ("off", "power_off", "martian", None, "source_type"),
        ("off", "power_off", "onu", "x" * 101, "source_event_id"),
    ],
)
def test_an_illegal_request_becomes_a_dead_letter(
    grid: Grid, status: str | None, event_type: str | None, source: str, key: str | None, field: str
) -> None:
    at = "2025-10-01T08:00:00Z"
    assert grid.one(CALL, "M90000001", status, event_type, source, key, at, None) is None
    assert grid.dead_letters() == [("system" if source == "martian" else source, field)]
    assert grid.statuses()["M90000001"] == "unknown"
    assert grid.count("oms_meter_status_events") == 0


def test_a_call_is_evidence_only(grid: Grid) -> None:
    assert report(grid, "M90000001", "off", "2025-10-01T08:00:00Z", source="call_center", key="T1") is None
    assert grid.statuses()["M90000001"] == "unknown"
    assert grid.count("oms_meter_status_events") == 0
    assert grid.rows("SELECT source, power_status FROM oms_topology.signal") == [("call_center", "off")]


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "infinity", "-infinity"])
def test_an_impossible_time_counts_at_receipt_and_is_flagged(grid: Grid, at: str) -> None:
    assert report(grid, "M90000001", "off", at, key="E1")
    assert grid.rows(
        "SELECT time_is_sound, occurred_at = received_at, findings -> 0 ->> 'field' FROM oms_topology.signal"
    ) == [(False, True, "event_timestamp")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_impossible_time_never_beats_a_sound_one(grid: Grid, order: tuple[int, int]) -> None:
    reports = [("off", "1970-01-01T00:00:00Z", "E1"), ("on", "2025-10-01T08:00:00Z", "E2")]
    for place in order:
        status, at, key = reports[place]
        report(grid, "M90000001", status, at, key=key)
    assert grid.statuses()["M90000001"] == "on"


def test_personal_data_does_not_reach_the_audit(grid: Grid) -> None:
    said = {"ticket_id": "T1", "customer_phone": "+962-7-0000-0001", "address": "1 Example Street"}
    report(grid, "M90000001", "off", "2025-10-01T08:00:00Z", key="E1", metadata=said)
    assert grid.rows("SELECT metadata FROM oms_meter_status_events") == [({"ticket_id": "T1"},)]
    assert grid.count("oms_topology.signal WHERE payload::text LIKE '%%962-7%%'") == 0


def test_runs_whatever_the_callers_search_path_is(grid: Grid) -> None:
    with grid.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE SCHEMA trap; CREATE TABLE trap.oms_meters (x int); SET search_path = trap"
        )
        row = connection.exec_driver_sql(
            "SELECT public.update_meter_status('M90000001', 'off', 'power_off', 'system')"
        ).scalar_one()
    assert row


def test_meters_of_a_distribution_point(grid: Grid) -> None:
    grid.run("UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M90000002'")
    query = "SELECT meter_number FROM get_meters_by_distribution_point(%s)"
    assert grid.rows(query, "DP1") == [("M90000001",), ("M90000003",)]
    assert grid.rows(query, "DP404") == []
    with grid.engine.begin() as connection:
        columns = connection.exec_driver_sql("SELECT * FROM get_meters_by_distribution_point('DP1')").keys()
        sibling = connection.exec_driver_sql("SELECT * FROM get_meters_by_substation('SS1')").keys()
    assert list(columns) == list(sibling)
