"""Every command on a real database, as people and as machines read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from oms_topology import samples
from oms_topology.cli.app import app
from oms_topology.persistence.records import power_counts
from tests.persistence.deployed.shapes import BUILDERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from oms_topology.persistence.database import Database

TRIP = {
    "substationId": "150",
    "feederId": "149",
    "alarmType": "De-energized",
    "timestamp": "2025-10-01T08:02:01.915Z",
}
RESTORATION = TRIP | {"alarmType": "Energized", "timestamp": "2025-10-01T08:31:44.120Z"}


@pytest.fixture
def grid(database: Database) -> Database:
    """An upgraded database with the 91 meters of ieee123, all on feeder 149."""
    database.store_network(samples.load("ieee123"))
    return database


def run(database: Database, *words: str, stdin: str | None = None) -> Result:
    address = database.url.render_as_string(hide_password=False)
    return CliRunner().invoke(app, [*words, "--database", address], input=stdin)


def answer(database: Database, *words: str, exit_code: int = 0, stdin: str | None = None) -> Any:
    result = run(database, *words, "--json", stdin=stdin)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def lines(*messages: object) -> str:
    return "".join(f"{json.dumps(message)}\n" for message in messages)


def test_upgrade_tells_what_it_found_and_the_second_time_does_nothing(empty_database: Database) -> None:
    first = answer(empty_database, "db", "upgrade")
    assert (first["shape"], first["from_version"], first["to_version"]) == ("empty", None, "0001")
    assert answer(empty_database, "db", "upgrade")["shape"] == "current"
    assert "Nothing to do" in run(empty_database, "db", "upgrade").stdout


def test_dry_run_leaves_the_database_as_it_was(empty_database: Database) -> None:
    report = answer(empty_database, "db", "upgrade", "--dry-run")
    assert report["dry_run"] is True
    with empty_database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT to_regclass('public.oms_meters')").scalar() is None


def test_a_deployed_database_is_upgraded_with_a_report(empty_database: Database) -> None:
    BUILDERS["B"](empty_database.engine)
    tried = answer(empty_database, "db", "upgrade", "--dry-run", exit_code=1)
    assert (tried["shape"], tried["dry_run"]) == ("B", True)
    shown = run(empty_database, "db", "upgrade")
    assert shown.exit_code == 0
    for table in {item["table_name"] for item in tried["set_aside"]}:
        assert table in shown.stdout
    for finding in tried["findings"]:
        assert finding["rule"] in shown.stdout
    assert answer(empty_database, "db", "upgrade")["shape"] == "current"


def test_verify_finds_a_dropped_view_and_ends_with_one(database: Database) -> None:
    assert answer(database, "db", "verify")["deviations"] == []
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW public.oms_correlation_summary")
    (deviation,) = answer(database, "db", "verify", exit_code=1)["deviations"]
    assert (deviation["name"], deviation["state"]) == ("public.oms_correlation_summary", "missing")
    shown = run(database, "db", "verify")
    assert (shown.exit_code, "oms_correlation_summary" in shown.stdout) == (1, True)


def test_sql_prints_what_an_upgrade_would_run_and_runs_nothing(
    database_factory: Callable[..., Database],
) -> None:
    empty, done = database_factory(), database_factory(upgraded=True)
    printed = run(empty, "db", "sql").stdout
    assert printed.startswith("BEGIN;")
    assert printed.rstrip().endswith("COMMIT;")
    assert run(empty, "db", "sql", "--offline").stdout == printed
    assert run(done, "db", "sql").stdout.startswith("-- Nothing to do")
    assert answer(empty, "db", "sql")["sql"] == printed


def test_maintain_seals_the_audit_once(grid: Database) -> None:
    answer(grid, "events", "replay", "-", stdin=lines(TRIP))
    assert answer(grid, "db", "maintain", "--min-mib", "0")["indexed_parts"] == 2  # statuses, affected meters
    assert answer(grid, "db", "maintain")["indexed_parts"] == 0


def test_network_of_a_database_is_that_of_the_sample(grid: Database) -> None:
    stored = answer(grid, "network", "info")
    shipped = json.loads(CliRunner().invoke(app, ["network", "info", "-s", "ieee123", "--json"]).stdout)
    assert stored["counts"] == shipped["counts"]
    assert stored["feeders"] == [{"feeder": "149", "meters": 91, "customers": 91}]


def test_downstream_and_impact_answer_as_the_graph_does(grid: Database) -> None:
    net = samples.load("ieee123")
    below = answer(grid, "network", "downstream", "149")
    assert sorted(below["meters"]) == sorted(net.downstream("149"))
    lost = answer(grid, "network", "impact", "49", "65")
    impact = net.impact(["49", "65"])
    assert (lost["lost"], lost["backed_up"]) == (len(impact.lost), len(impact.backed_up))
    assert lost["by_distribution_point"] == impact.by_distribution_point
    assert sorted(lost["lost_meters"]) == sorted(impact.lost)
    shown = run(grid, "network", "downstream", "149", "--limit", "4").stdout
    assert "91 meters" in shown
    assert "87 more" in shown


def test_validation_with_findings_ends_with_one() -> None:
    sound = CliRunner().invoke(app, ["network", "validate", "--sample", "ieee9500"])
    meshed = CliRunner().invoke(app, ["network", "validate", "--sample", "na_lv_secondary_network", "--json"])
    assert sound.exit_code == 0
    assert meshed.exit_code == 1
    assert [finding["rule"] for finding in json.loads(meshed.stdout)["findings"]] == ["loop"]


def test_replay_counts_new_doubled_and_unusable_messages(grid: Database) -> None:
    recording = lines({"source": "scada", "payload": TRIP}, TRIP, RESTORATION) + '\n{"broken\n'
    result = answer(grid, "events", "replay", "-", exit_code=1, stdin=recording)
    assert (result["messages"], result["recorded"], result["duplicates"], result["dead_letters"]) == (
        4,
        2,
        1,
        1,
    )
    assert (result["lost_meters"], result["restored_meters"]) == (91, 91)
    assert [(reason["line"], reason["reason"]) for reason in result["reasons"]] == [(5, "payload: not JSON")]
    assert power_counts(grid.engine) == {"on": 91, "off": 0, "unknown": 0}


def test_replay_of_a_file_again_changes_nothing(grid: Database, tmp_path: Path) -> None:
    recording = tmp_path / "morning.jsonl"
    recording.write_text(lines(TRIP, RESTORATION), encoding="utf-8")
    assert "outages touched" in run(grid, "events", "replay", str(recording)).stdout
    again = answer(grid, "events", "replay", str(recording))
    assert (again["duplicates"], again["recorded"]) == (2, 0)


def test_an_outage_can_be_listed_shown_and_explained(grid: Database) -> None:
    assert run(grid, "outages", "list").stdout.strip() == "No open outage."
    answer(grid, "events", "replay", "-", stdin=lines(TRIP))
    (outage,) = answer(grid, "outages", "list")["outages"]
    assert (outage["device_kind"], outage["device_code"], outage["dark_meters"]) == ("feeder", "149", 91)
    assert outage["started_at"] == "2025-10-01T08:02:01.915000Z"
    detail = answer(grid, "outages", "show", outage["event_id"])
    assert len(detail["dark"]) == outage["affected_customers"] == 91
    assert [source["source"] for source in detail["sources"]] == ["scada"]
    meter = detail["dark"][0]["meter_number"]
    why = answer(grid, "outages", "explain", "--meter", meter)
    assert why["explanation"]["power_status"] == "off"
    assert why["explanation"]["outages"] == [outage["event_id"]]
    assert [row["after"] for row in why["audit"]] == ["off"]
    assert "Without power now: 91 meters" in run(grid, "outages", "show", outage["outage_event_id"]).stdout
    assert "feeder 149" in run(grid, "outages", "explain", "--meter", meter).stdout


def test_a_closed_outage_is_listed_only_when_asked_for(grid: Database) -> None:
    answer(grid, "events", "replay", "-", stdin=lines(TRIP, RESTORATION))
    assert answer(grid, "outages", "list")["outages"] == []
    (outage,) = answer(grid, "outages", "list", "--all")["outages"]
    assert (outage["status"], outage["dark_meters"]) == ("restored", 0)
    assert outage["restored_at"] == "2025-10-01T08:31:44.120000Z"


def test_doctor_names_the_server_and_the_schema_version(
    grid: Database, database_factory: Callable[..., Database]
) -> None:
    facts = answer(grid, "doctor")
    assert facts["schema"] == {"found": "0001", "wanted": "0001"}
    assert facts["database"]["kind"] == "address"
    assert facts["problems"] == []
    behind = answer(database_factory(), "doctor", exit_code=1)
    assert "oms-topology db upgrade" in behind["problems"][0]


def test_codes_with_brackets_are_shown_as_they_are(database: Database) -> None:
    from oms_topology import Topology

    tables = {
        "nodes": {"id": ["S", "F[red]"], "kind": ["source", "bus"]},
        "edges": {"from": ["S"], "to": ["F[red]"], "kind": ["line"]},
        "customers": {"id": ["M[1]"], "node": ["F[red]"]},
    }
    database.store_network(Topology.from_edges(**tables))
    assert "M[1]" in run(database, "network", "downstream", "F[red]").stdout
