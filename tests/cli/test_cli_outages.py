"""The commands by which people read outages and decide about them, on a real database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from oms_topology.cli.app import app
from tests.acceptance.scada_grid import Grid, at, event

if TYPE_CHECKING:
    from click.testing import Result

    from oms_topology.persistence.database import Database

BY = ("--operator", "OP7")


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


def run(grid: Grid, *words: str) -> Result:
    address = grid.database.url.render_as_string(hide_password=False)
    return CliRunner().invoke(app, ["outages", *words, "--database", address])


def answer(grid: Grid, *words: str) -> Any:
    result = run(grid, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def trip(grid: Grid, minute: float = 0, **more: Any) -> str:
    """Report a loss; give the readable id of its outage."""
    found = grid.through_sql(event(minute=minute, **{"feeder": "F1"} | more)).outage_event_id
    code = grid.value("SELECT event_id FROM oms_outage_events WHERE id = CAST(:id AS uuid)", id=found)
    return str(code)


def test_an_outage_is_led_to_its_end_by_commands(grid: Grid) -> None:
    code = trip(grid)
    assert answer(grid, "confirm", code, *BY, "--reason", "Seen.") == {
        "outage_event_id": str(grid.value("SELECT id FROM oms_outage_events")),
        "event_id": code,
        "status": "confirmed",
        "is_new": True,
    }
    assert run(grid, "assign", code, "CREW-4", *BY).stdout == f"Outage {code} is in progress.\n"
    again = run(grid, "assign", code, "CREW-4", *BY).stdout
    assert again == f"Outage {code} is in progress. Nothing was changed: it was so already.\n"
    estimated = answer(grid, "estimate", code, "--until", "2025-10-01T14:00:00Z", *BY)
    assert estimated["is_new"]
    assert "expected" in run(grid, "list").stdout
    (listed,) = answer(grid, "list")["outages"]
    assert (listed["estimated_at"], listed["estimate_basis"]) == (
        "2025-10-01T14:00:00Z",
        "a person's estimate",
    )
    assert answer(grid, "restore", code, *BY, "--at", "2025-10-01T12:30:00")["status"] == "restored"
    assert answer(grid, "list") == {"outages": []}
    (closed,) = answer(grid, "list", "--all")["outages"]
    assert (closed["status"], closed["restored_at"]) == ("restored", "2025-10-01T12:30:00Z")
    shown = run(grid, "explain", code).stdout
    assert "What people decided" in shown
    assert "Crew CREW-4 assigned (repair) by OP7." in shown


def test_what_cannot_be_done_ends_as_one_line_with_two(grid: Grid) -> None:
    code = trip(grid)
    assert answer(grid, "cancel", code, *BY, "--reason", "A test.")["status"] == "cancelled"
    for words, says in (
        (("confirm", code, *BY), f"Outage {code} is cancelled; confirm is not possible then, but nothing."),
        (("confirm", "OMS_1", *BY), "No outage has the code 'OMS_1'."),
        (("explain", "OMS_1"), "No outage has the code 'OMS_1'."),
        (("show", "OMS_1"), "No outage has the code 'OMS_1'."),
        (
            ("plan", "F9", *BY, "--from", "2025-10-01", "--until", "2025-10-02"),
            "No device has the code 'F9'.",
        ),
    ):
        result = run(grid, *words)
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {says}\n")
    for usage in (("cancel", code, *BY), ("confirm", code), ("explain",), ("explain", code, "--meter", "M1"),
                  ("restore", code, *BY, "--at", "noon"), ("estimate", code, *BY)):  # fmt: skip
        assert run(grid, *usage).exit_code == 2


def test_critical_customers_stand_first(grid: Grid) -> None:
    critical, other = trip(grid, 0), trip(grid, 10, feeder="F2")
    assert [outage["event_id"] for outage in answer(grid, "list")["outages"]] == [other, critical]
    grid.rows(
        "UPDATE network_substation_meters SET priority = 1 WHERE meter_id IN"
        " (SELECT id FROM oms_meters WHERE meter_number = 'M2')"
    )
    listed = answer(grid, "list")["outages"]
    assert [(outage["event_id"], outage["critical_meters"]) for outage in listed] == [
        (critical, 1),
        (other, 0),
    ]


def test_a_withdrawn_outage_is_explained_with_what_took_its_place(grid: Grid) -> None:
    lower = trip(grid, 12, feeder=None, switch="SW1")
    answer(grid, "confirm", lower, *BY)
    upper = trip(grid, 10)
    why = answer(grid, "explain", lower)["explanation"]
    assert [gone["event_id"] for gone in why["asked"]] == [lower]
    assert why["detail"]["outage"]["event_id"] == upper
    assert [gone["event_id"] for gone in why["superseded"]] == [lower]
    assert [(decision["action"], decision["operator_id"]) for decision in why["decisions"]] == [
        ("confirm", "OP7")
    ]
    assert why["rule"].startswith("A device that reports itself")
    assert {(source["source"], source["weight"]) for source in why["detail"]["sources"]} == {("scada", 1.0)}
    shown = run(grid, "explain", lower).stdout
    assert f"{lower}, from 2025-10-01 12:12:00, was withdrawn" in shown
    assert "It took the place of" in shown
    assert "takes over what people decided" in shown.lower()


def test_a_restored_outage_shows_who_is_still_dark(grid: Grid) -> None:
    code = trip(grid, 0)
    grid.value(
        "SELECT insert_onu_event_from_json_with_meter_sync(CAST(:message AS jsonb))",
        message=json.dumps({"onuId": 7, "type": "ONU_LastGaspAlert", "timestamp": at(1).isoformat(),
                            "associatedMeters": ["M2"]}),
    )  # fmt: skip
    trip(grid, 20, alarm="Energized")
    assert [row["meter_number"] for row in answer(grid, "show", code)["still_dark"]] == ["M2"]
    assert "Still dark by their own word: 1 meters" in run(grid, "show", code).stdout


def test_planning_and_estimating_from_history(grid: Grid) -> None:
    times = ("--from", "2025-10-01T12:00:00Z", "--until", "2025-10-01T14:00:00Z")
    assert "Planned: number 1." in run(grid, "plan", "F1", *times, *BY).stdout
    assert answer(grid, "plan", "F1", *times, *BY) == {"planned_no": 1, "is_new": False, "retyped": 0}
    trip(grid, 5)
    assert "detected (planned)" in run(grid, "list").stdout
    assert answer(grid, "estimate") == {"changed": 0}
    assert "0 outages" in run(grid, "estimate").stdout
