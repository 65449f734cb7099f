"""Brings a database to the schema that this library works on, and says where it deviates from it.

One transaction under an advisory lock: an upgrade that fails leaves nothing behind, two upgrades at once
run one after the other, and an upgrade of an upgraded database changes nothing.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from oms_topology.errors import SchemaVersionError
from oms_topology.model import Finding, FindingSeverity
from oms_topology.persistence.verify import Deviation, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

__all__ = [
    "Deviation",
    "SetAside",
    "UpgradeReport",
    "current_version",
    "require_version",
    "upgrade",
    "upgrade_sql",
    "verify",
    "wanted_version",
]

# Any constant will do as long as it stays the same in every release.
_ADVISORY_LOCK = 7_305_004_471

_SESSION = """\
SET LOCAL standard_conforming_strings = on;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, public, pg_temp;
SET LOCAL timezone = 'UTC';
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
"""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rows that an upgrade copied to ``oms_topology.set_aside`` before it changed or moved them.

    Attributes
    ----------
    table_name : str
        The table they stood in.
    reason : str
        Why they could not stay as they were.
    row_count : int
        How many.
    """

    table_name: str
    reason: str
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeReport:
    """What an upgrade found and did.

    Attributes
    ----------
    from_version : str or None
        The schema version before; None for a database that was never upgraded.
    to_version : str
        The schema version now, or after a dry run: the one it would have.
    shape : str
        What was found: ``"empty"``, ``"A"``, ``"B"``, ``"C"`` (the deployed shapes), ``"unknown"`` (in
        between; upgraded all the same) or ``"current"`` (nothing to do).
    set_aside : tuple of SetAside
        By table and reason, sorted.
    repairs : tuple of str
        What was put right without touching a row, in words.
    findings : tuple of Finding
        What stays and wants a look, in the order in which it was found.
    dry_run : bool
        Whether all of it was rolled back.
    """

    from_version: str | None
    to_version: str
    shape: str
    set_aside: tuple[SetAside, ...] = ()
    repairs: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    dry_run: bool = False

    @property
    def changed(self) -> bool:
        """Whether the database has another schema version than before.

        Examples
        --------
        >>> UpgradeReport(from_version="0001", to_version="0001", shape="current").changed
        False
        """
        return self.from_version != self.to_version and not self.dry_run


@contextmanager
def _scripts() -> Iterator[ScriptDirectory]:
    with as_file(files("oms_topology.persistence.migrations")) as folder:
        yield ScriptDirectory(str(folder))


def wanted_version() -> str:
    """Name the schema version that this library works on.

    Examples
    --------
    >>> wanted_version() >= "0001"
    True
    """
    with _scripts() as scripts:
        return scripts.get_heads()[0]


def current_version(engine: Engine) -> str | None:
    """Read the schema version of a database.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.

    Returns
    -------
    str or None
        None when it was never upgraded.
    """
    with engine.connect() as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    table = connection.scalar(text("SELECT to_regclass('oms_topology.schema_version')"))
    if table is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM oms_topology.schema_version"))
    return found


def require_version(engine: Engine) -> None:
    """Make sure that a database has the schema version that this library works on.

    Raises
    ------
    SchemaVersionError
        It has another one; the message names the command to run.
    """
    found, wanted = current_version(engine), wanted_version()
    if found != wanted:
        raise SchemaVersionError(found, wanted)


def upgrade(engine: Engine, *, dry_run: bool = False, lock_timeout_s: float = 30.0) -> UpgradeReport:
    """Bring a database to the wanted schema version, in one transaction.

    Works on an empty database and in place on the deployed ones. Rows that the new keys and checks would
    refuse are copied to ``oms_topology.set_aside`` first. The tables are locked against everybody else
    until the end; on a registry of a million meters, mostly rewritten once, that is in the order of a minute.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database; its role must own the tables.
    dry_run : bool
        Do everything, report it, and roll it back. Takes the same locks for the same time.
    lock_timeout_s : float
        How long to wait for a table that another session uses, in seconds. Another upgrade under way is
        waited for without limit.

    Returns
    -------
    UpgradeReport
        What was found and done; shape ``"current"`` and nothing else when there was nothing to do.

    Raises
    ------
    SchemaUpgradeError
        A statement failed, and everything was rolled back; names file and statement.
    ConflictError
        A table stayed locked by another session for too long; try again.
    SchemaVersionError
        The database has a version that this library does not know, a newer one as a rule.
    """
    with _scripts() as scripts, engine.connect() as plain:
        # A snapshot taken before the wait for the lock would hide what the other upgrade did.
        connection = plain.execution_options(isolation_level="READ COMMITTED")
        with connection.begin() as transaction:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            report = _upgrade(connection, scripts, dry_run=dry_run, lock_timeout_s=lock_timeout_s)
            if dry_run:
                transaction.rollback()
    return report


def _upgrade(
    connection: Connection, scripts: ScriptDirectory, *, dry_run: bool, lock_timeout_s: float
) -> UpgradeReport:
    found, wanted = _version(connection), wanted_version()
    known = {revision.revision for revision in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise SchemaVersionError(found, wanted)
    if found == wanted:
        return UpgradeReport(from_version=found, to_version=wanted, shape="current", dry_run=dry_run)
    connection.execute(
        text("SELECT set_config('lock_timeout', :timeout, true)"),
        {"timeout": f"{round(lock_timeout_s * 1000)}ms"},
    )
    connection.exec_driver_sql(_SESSION)
    seen = _books(connection)
    _run_revisions(scripts, MigrationContext.configure(connection, opts=_version_table()), found)
    return _report(connection, seen, from_version=found, to_version=wanted, dry_run=dry_run)


def _version_table() -> dict[str, str]:
    return {"version_table": "schema_version", "version_table_schema": "oms_topology"}


def _run_revisions(scripts: ScriptDirectory, context: MigrationContext, found: str | None) -> None:
    revisions = list(scripts.iterate_revisions("head", found or "base"))
    with Operations.context(context):
        for revision in reversed(revisions):
            revision.module.upgrade()
            context.stamp(scripts, revision.revision)


def _books(connection: Connection) -> tuple[int, int]:
    """Last number in each of the two books, so that a report shows this upgrade only."""
    if connection.scalar(text("SELECT to_regclass('oms_topology.upgrade_report')")) is None:
        return 0, 0
    row = connection.execute(
        text(
            "SELECT (SELECT coalesce(max(set_aside_no), 0) FROM oms_topology.set_aside),"
            " (SELECT coalesce(max(report_no), 0) FROM oms_topology.upgrade_report)"
        )
    ).one()
    return row[0], row[1]


def _report(
    connection: Connection, seen: tuple[int, int], *, from_version: str | None, to_version: str, dry_run: bool
) -> UpgradeReport:
    moved = connection.execute(
        text(
            "SELECT table_name, reason, count(*) FROM oms_topology.set_aside WHERE set_aside_no > :seen"
            " GROUP BY table_name, reason ORDER BY table_name, reason"
        ),
        {"seen": seen[0]},
    )
    told = connection.execute(
        text(
            "SELECT rule, severity, message, remedy, ids, row_count FROM oms_topology.upgrade_report"
            " WHERE report_no > :seen ORDER BY report_no"
        ),
        {"seen": seen[1]},
    ).all()
    return UpgradeReport(
        from_version=from_version,
        to_version=to_version,
        shape=next((row.message for row in told if row.rule == "shape"), "current"),
        set_aside=tuple(SetAside(*row) for row in moved),
        repairs=tuple(row.message for row in told if row.severity == "note" and row.rule != "shape"),
        findings=tuple(_finding(*row) for row in told if row.severity != "note"),
        dry_run=dry_run,
    )


def _finding(rule: str, severity: str, message: str, remedy: str, ids: list[str], count: int) -> Finding:
    level = FindingSeverity.ERROR if severity == "error" else FindingSeverity.WARNING
    return Finding(rule, level, message, remedy, tuple(ids), count)


def upgrade_sql(engine: Engine | None = None) -> str:
    """Print what an upgrade would run, as one script for psql.

    Parameters
    ----------
    engine : sqlalchemy.Engine, optional
        The database whose version to start from; without it, one that was never upgraded.

    Returns
    -------
    str
        A script with its own BEGIN and COMMIT, to be run with ``psql -v ON_ERROR_STOP=1``; comments only
        when there is nothing to do.

    Examples
    --------
    >>> print(upgrade_sql()[:6])
    BEGIN;
    """
    found = None if engine is None else current_version(engine)
    if found == wanted_version():
        return f"-- Nothing to do: the schema version is {found}.\n"
    output = io.StringIO()
    options = {**_version_table(), "as_sql": True, "output_buffer": output, "starting_rev": found}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    output.write(
        f"BEGIN;\n\nSELECT pg_advisory_xact_lock({_ADVISORY_LOCK});\nSET LOCAL lock_timeout = '30s';\n"
    )
    output.write(f"{_SESSION}\n")
    with _scripts() as scripts:
        _run_revisions(scripts, context, found)
    output.write("COMMIT;\n")
    return output.getvalue()
