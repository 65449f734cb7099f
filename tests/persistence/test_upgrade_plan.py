"""The SQL files as text: cut into statements, printed for psql, complete."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_topology.persistence.plan import split_statements, sql_files
from oms_topology.persistence.schema import current_version, upgrade_sql, verify, wanted_version
from tests.persistence.deployed.rows import all_rows
from tests.persistence.deployed.shapes import build_shape_b
from tests.servers import missing

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

PIECES = st.sampled_from(
    [
        "SELECT 1",
        "'a;b'",
        "'it''s;'",
        r"E'back\';slash'",
        '"a;name"',
        "$$ body; 'x $$",
        "$tag$ inner $$ ; $$ $tag$",
        "/* a; /* nested; */ comment; */",
        "-- a line; comment\n",
        "a$b$c",
        "1",
        "\n",
        "::text",
    ]
)


@given(st.lists(st.lists(PIECES, min_size=1, max_size=6), max_size=5))
def test_statements_are_cut_where_they_end_and_nowhere_else(statements: list[list[str]]) -> None:
    texts = [" ".join(["SELECT", *pieces]) for pieces in statements]
    whole = ";\n".join([*texts, ""])
    cut = [statement.text for statement in split_statements(whole)]
    assert cut == [f"{text};".strip() for text in texts]


@pytest.mark.parametrize(
    "text", ["", "  \n", "-- nothing\n", "/* nothing; at /* all */ */", "-- no line break"]
)
def test_comments_alone_are_no_statement(text: str) -> None:
    assert list(split_statements(text)) == []


def test_a_last_statement_needs_no_semicolon_and_lines_are_counted() -> None:
    text = "-- first\n\nSELECT 1;\n/* second */ SELECT\n 2"
    assert [(one.line, one.text) for one in split_statements(text)] == [
        (3, "-- first\n\nSELECT 1;"),
        (4, "/* second */ SELECT\n 2"),
    ]


def test_an_unclosed_quote_or_body_runs_to_the_end() -> None:
    assert [one.text for one in split_statements("DO $$ BEGIN; END; ")] == ["DO $$ BEGIN; END;"]
    assert [one.text for one in split_statements("/* open; SELECT 1;")] == []


def test_the_files_are_plain_sql_in_order() -> None:
    files = sql_files("0001")
    assert [file.name for file in files] == sorted(file.name for file in files)
    for file in files:
        assert not re.search(r"^\\", file.text, re.MULTILINE), (
            "psql backslash commands do not run from Python"
        )
        assert not re.search(r"^\s*(BEGIN|COMMIT|ROLLBACK)\s*;", file.text, re.MULTILINE)
    assert sql_files("no such revision") == ()


def test_the_printed_script_upgrades_as_the_library_does(empty_database: Database) -> None:
    build_shape_b(empty_database.engine)
    script = upgrade_sql(empty_database.engine)
    with empty_database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.connection.driver_connection.execute(script, prepare=False)  # type: ignore[union-attr]
    assert current_version(empty_database.engine) == wanted_version()
    assert verify(empty_database.engine) == []
    assert upgrade_sql(empty_database.engine).startswith("-- Nothing to do")


def test_the_printed_script_runs_in_psql_and_rolls_back_when_it_fails(
    empty_database: Database, tmp_path: Path
) -> None:
    psql = _psql()
    build_shape_b(empty_database.engine)
    rows = all_rows(empty_database.engine)
    good, bad = tmp_path / "good.sql", tmp_path / "bad.sql"
    good.write_text(upgrade_sql(), encoding="utf-8")
    bad.write_text(
        good.read_text(encoding="utf-8").replace("COMMIT;", "SELECT 1 / 0;\nCOMMIT;"), encoding="utf-8"
    )
    url = empty_database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]
    failed = subprocess.run([*command, str(bad)], capture_output=True, text=True, check=False)
    assert failed.returncode == 3
    assert "division by zero" in failed.stderr
    assert current_version(empty_database.engine) is None
    assert all_rows(empty_database.engine) == rows
    subprocess.run([*command, str(good)], capture_output=True, text=True, check=True)
    assert verify(empty_database.engine) == []


def _psql() -> str:
    found = shutil.which("psql") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/psql")), None)
    # Debian's wrapper is there even where no client is that it could start.
    if found is None or subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
        missing("psql")
    return str(found)
