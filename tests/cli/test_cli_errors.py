"""What goes wrong ends as one line on the standard error and the exit code for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from oms_topology.cli.app import app
from oms_topology.cli.common import exit_code
from oms_topology.errors import (
    ConflictError,
    MissingExtraError,
    SchemaUpgradeError,
    SchemaVersionError,
    UnknownDeviceError,
    ValidationError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from oms_topology.errors import OmsTopologyError
    from oms_topology.persistence.database import Database

NOBODY = "postgresql://dispatcher:hunter2@127.0.0.1:1/oms"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["network", "info", "-s", "atlantis"], 2, "no sample network 'atlantis'"),
        (["network", "downstream", "nowhere", "-s", "ieee123"], 2, "'nowhere'"),
        (["demo", "--sample", "ieee123"], 2, "no recorded messages for 'ieee123'"),
        (["outages", "list", "-d", NOBODY], 3, "cannot be reached"),
        (["events", "replay", "-", "-d", NOBODY], 3, "cannot be reached"),
        (["db", "upgrade", "-d", NOBODY], 3, "cannot be reached"),
        (["network", "info", "-d", "host=127.0.0.1 port=1 dbname=oms"], 3, "cannot be reached"),
    ],
)
def test_an_error_is_one_line_without_a_traceback(words: list[str], code: int, says: str) -> None:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["network", "downstream"],
        ["network", "info", "--state", "sideways"],
        ["outages", "list", "-d", "mysql://dispatcher:hunter2@db/oms"],
        ["outages", "list", "-d", "postgresql://dispatcher:hunter2@db:none/oms"],
        ["outages", "list", "-d", "nonsense=1"],
        ["events", "replay", "/no/such/file.jsonl"],
    ],
)
def test_wrong_usage_ends_with_two_and_hides_passwords(words: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, words, env={"XDG_DATA_HOME": str(tmp_path)})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_was_never_made_is_not_made_by_asking(tmp_path: Path) -> None:
    home = tmp_path / "grid"
    result = CliRunner().invoke(app, ["outages", "list", "--database", str(home)])
    assert result.exit_code == 3
    assert f"oms-topology db upgrade --database {home}" in result.stderr
    assert not home.exists()


def test_a_database_of_another_schema_version_names_the_command(empty_database: Database) -> None:
    address = empty_database.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(app, ["outages", "list", "--database", address])
    assert result.exit_code == 3
    assert "oms-topology db upgrade" in result.stderr


def test_a_statement_that_the_server_refuses_is_told_in_its_words(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER VIEW oms_topology.outage_blame RENAME TO elsewhere")
    address = database.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(app, ["outages", "list", "--database", address])
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error: The database refused: relation")
    assert "42P01" in result.stderr


def test_doctor_reports_what_it_cannot_reach() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"], env={"OMS_TOPOLOGY_DSN": NOBODY})
    facts = json.loads(result.stdout)
    assert result.exit_code == 3
    assert facts["unavailable"] is True
    assert facts["database"]["why"] == "OMS_TOPOLOGY_DSN names it"
    assert "hunter2" not in result.stdout


def test_doctor_without_any_database_is_well(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"], env={"XDG_DATA_HOME": str(tmp_path)})
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["problems"]) == (0, [])
    assert facts["database"]["directory"] == str(tmp_path / "oms_topology")
    assert facts["binaries"]["origin"] in ("wheel", "system")
    assert not (tmp_path / "oms_topology").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConflictError("busy"), 3),
        (SchemaVersionError(None, "0001"), 3),
        (MissingExtraError("Frames", "frames"), 3),
        (UnknownDeviceError("FD9"), 2),
        (ValidationError([]), 1),
        (SchemaUpgradeError("rolled back"), 1),
    ],
)
def test_exit_codes_follow_the_kind_of_error(error: OmsTopologyError, code: int) -> None:
    assert exit_code(error) == code
