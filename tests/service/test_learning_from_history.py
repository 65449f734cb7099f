"""Rates learned from the outages of a real database: counted by hand, written, and weighed by afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from oms_topology import Pipeline
from oms_topology.cli.app import app
from oms_topology.outages.learning import RateTally, learned_report
from oms_topology.outages.rates import EvidenceRates, ReportKind
from oms_topology.persistence.evidence import read_rates
from oms_topology.service.learning import learn_from_history
from tests.acceptance.scada_grid import Grid, at, event

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

TOWN = "SS1 > F1; F1 > DP1 > M1..M9; F1 > DP2 > M10..M19; SS1 > F2; F2 > DP3 > M20..M29"


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database, TOWN)


def gasp(grid: Grid, minute: float, *meters: int) -> None:
    with Pipeline(grid.database) as pipeline:
        for meter in meters:
            said = {
                "eventId": f"{meter} {minute}", "onuId": meter, "type": "ONU_LastGaspAlert",
                "timestamp": at(minute).isoformat(), "associatedMeters": [f"M{meter}"],
            }  # fmt: skip
            assert pipeline.handle("onu", said).accepted


def outage(grid: Grid, begins: float, ends: float) -> None:
    assert grid.through_sql(event(minute=begins, feeder="F1")).outage_event_id
    grid.through_sql(event(minute=ends, feeder="F1", alarm="Energized"))


def test_what_is_learned_is_what_was_counted(grid: Grid) -> None:
    outage(grid, 0, 60)
    gasp(grid, 1, 1, 2, 12, 25)  # three of 19 without power, one of 10 with it
    outage(grid, 200, 203)  # momentary: no word of it
    gasp(grid, 201, 3)
    outage(grid, 500, 600)  # nobody gasped
    learned = learn_from_history(grid.database, at=at(1000))
    assert learned.outages == 2
    usual = EvidenceRates().reports[ReportKind.ONU_LOSS]
    assert learned.report[ReportKind.ONU_LOSS] == learned_report(usual, RateTally(38, 3, 20, 1))
    assert learned.rates.reports[ReportKind.ONU_LOSS].detection < usual.detection


def test_learning_again_from_the_same_changes_nothing(grid: Grid) -> None:
    outage(grid, 0, 60)
    gasp(grid, 1, 1, 2)
    first = learn_from_history(grid.database, at=at(1000), write=True)
    with grid.database.engine.connect() as connection:
        assert EvidenceRates.from_mapping(read_rates(connection)) == first.rates
    assert learn_from_history(grid.database, at=at(1000)) == first


def test_nothing_is_learned_from_what_is_open_or_unsure(grid: Grid) -> None:
    assert grid.through_sql(event(minute=0, feeder="F1")).outage_event_id
    outage(grid, -500, -400)
    assert learn_from_history(grid.database, at=at(10), least_confidence=0.95).report == {}
    assert learn_from_history(grid.database, at=at(10)).outages == 1


def test_the_command_tells_and_sets_the_rates(grid: Grid) -> None:
    outage(grid, 0, 60)
    url = grid.database.url.render_as_string(hide_password=False)
    runner = CliRunner()
    told = runner.invoke(app, ["outages", "learn", "--days", "3650", "--database", url])
    assert told.exit_code == 0, told.output
    assert "onu_loss" in told.output
    assert "From 1 closed outages." in told.output
    said = runner.invoke(app, ["outages", "learn", "--days", "3650", "--write", "--json", "--database", url])
    found = json.loads(said.output)
    assert found["written"]
    assert found["report"]["onu_loss"]["detection"]["seen"] == 19
    with grid.database.engine.connect() as connection:
        assert read_rates(connection) == found["rates"]
