"""The demo from end to end: in a process of its own, on the terminal, and when something comes out wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from oms_topology.cli.app import app
from oms_topology.cli.recording import load_recording
from oms_topology.cli.story import Story

if TYPE_CHECKING:
    from pathlib import Path

    from oms_topology.persistence.database import Database

STORY = [
    "database",
    "network",
    "in_service",
    "trip",
    "redelivery",
    "last_gasps",
    "why",
    "restoration",
    "own_reports",
    "books",
]


def test_the_demo_in_a_process_of_its_own_writes_one_json_document() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "oms_topology.cli", "demo", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    told = json.loads(done.stdout)
    chapters = {chapter["name"]: chapter for chapter in told["chapters"]}
    assert (told["ok"], told["kept_in"], list(chapters)) == (True, None, STORY)
    assert chapters["network"]["facts"]["meters"] == 1275
    assert chapters["trip"]["facts"]["receipt"]["offline_meters"] == 475
    assert chapters["redelivery"]["facts"]["receipt"]["duplicate"] is True
    assert len(chapters["restoration"]["facts"]["still_dark"]) == 24
    assert chapters["own_reports"]["facts"]["power"] == {"on": 1275, "off": 0, "unknown": 0}
    assert chapters["books"]["facts"]["outage"]["outage"]["status"] == "restored"


def test_a_kept_demo_can_be_looked_at_and_is_never_written_over(tmp_path: Path) -> None:
    home = tmp_path / "kept"
    first = CliRunner().invoke(app, ["demo", "--sample", "lv_schutterwald", "--path", str(home)])
    assert first.exit_code == 0, first.output
    assert "30 meters dark, 30 customers without power" in first.stdout
    assert "12 meters stay dark" in first.stdout
    listed = CliRunner().invoke(app, ["outages", "list", "--all", "--json", "--database", str(home)])
    assert len(json.loads(listed.stdout)["outages"]) == 1
    second = CliRunner().invoke(app, ["demo", "--path", str(home)])
    assert second.exit_code == 2
    assert "holds meters already" in " ".join(second.stderr.replace("│", " ").split())


def test_what_does_not_come_out_as_it_must_fails_its_check(database: Database) -> None:
    recording = load_recording("lv_schutterwald")
    source, trip = recording["trip"][0]
    later = trip["event"] | {"timestamp": "2025-10-01T08:09:00.000Z"}
    recording["redelivery"] = [(source, trip | {"event": later})]
    recording["own_reports"] = recording["own_reports"][:-1]
    story = Story(database, "lv_schutterwald", recording)
    failed = {check for chapter in story.chapters() for check, passed in chapter.checks.items() if not passed}
    assert failed == {"it says duplicate", "nobody is dark"}


def test_help_and_version_need_no_database() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "oms_topology.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0.1.0"
    helped = CliRunner().invoke(app, ["--help"])
    assert helped.exit_code == 0
    assert all(word in helped.stdout for word in ("demo", "db", "network", "events", "outages", "doctor"))
