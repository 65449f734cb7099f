"""``oms-topology migrate`` from end to end: plan, dry run, run, page, undoing a merge, exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from oms_topology.cli.app import app
from tests.dirty_town.filling import fill_town

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from oms_topology.persistence.database import Database

runner = CliRunner()


@pytest.fixture
def town(empty_database: Database) -> Database:
    fill_town(empty_database.engine, n_meters=120)
    empty_database.upgrade()
    return empty_database


def run(database: Database, *words: str) -> Result:
    address = database.url.render_as_string(hide_password=False)
    return runner.invoke(app, ["migrate", *words, "--database", address])


def as_json(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def count(database: Database, table: str) -> int:
    with database.engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_a_dry_run_tells_what_the_run_then_does(town: Database, tmp_path: Path) -> None:
    before = count(town, "oms_meters")
    foretold = run(town, "--dry-run", "--json")
    assert foretold.exit_code == 0
    assert count(town, "oms_meters") == before
    page = tmp_path / "report.html"
    done = run(town, "--json", "--report", str(page))
    assert done.exit_code == 0, done.stderr
    assert as_json(done)["steps"][0]["counts"] == as_json(foretold)["steps"][0]["counts"]
    assert as_json(done)["totals"] == as_json(foretold)["totals"]
    assert "<html" in page.read_text(encoding="utf-8")
    assert count(town, "oms_meters") > before


def test_people_read_the_steps_the_totals_and_what_wants_a_look(town: Database) -> None:
    shown = run(town).stdout
    assert "ONU meters" in shown
    assert "linked to a substation" in shown
    assert "Wants a look" in shown
    assert "success" in shown


def test_a_merge_is_taken_back_once(town: Database) -> None:
    run(town)
    with town.engine.connect() as connection:
        merge_no, number = connection.exec_driver_sql(
            "SELECT merge_no, merged_number FROM oms_topology.meter_merge ORDER BY 1 LIMIT 1"
        ).one()
    undone = run(town, "--undo-merge", str(merge_no), "--json")
    assert as_json(undone) == {"merge_no": merge_no, "meter_number": number}
    again = run(town, "--undo-merge", str(merge_no))
    assert again.exit_code == 2
    assert f"no merge {merge_no}" in again.stderr


def test_too_few_substations_in_reach_are_told_by_the_exit_code(town: Database) -> None:
    result = run(
        town, "--dry-run", "--substation-m", "1", "--distribution-point-m", "1", "--feeder-m", "1", "--json"
    )
    assert result.exit_code == 1
    assert as_json(result)["is_success"] is False


def test_the_plan_needs_no_database() -> None:
    shown = runner.invoke(app, ["migrate", "--plan"])
    assert shown.exit_code == 0
    assert "Historical events" in shown.stdout
