"""``oms-topology db``: upgrade, verify, print and maintain the schema."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from oms_topology.cli.common import (
    FINDINGS,
    DatabaseOption,
    JsonOption,
    emit_json,
    opened,
    screen,
    subcommands,
    table,
)
from oms_topology.persistence.schema import upgrade_sql
from oms_topology.persistence.store import Store

if TYPE_CHECKING:
    from oms_topology.persistence.schema import Deviation, UpgradeReport

__all__ = ["commands"]

commands = subcommands("The database: upgrade it, check it, print the SQL, keep it in shape.")

_MEBIBYTE = 1024 * 1024


@commands.command()
def upgrade(
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Do all of it, report, roll it back; 1 if anything is found."),
    ] = False,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a database to this version: an empty one, or in place a deployed one. All of it, or nothing."""
    with opened(database, any_version=True, create=True) as db:
        report = db.upgrade(dry_run=dry_run)
    if as_json:
        emit_json(report)
    else:
        _show_report(report)
    if dry_run and (report.findings or report.set_aside):
        raise typer.Exit(FINDINGS)


def _show_report(report: UpgradeReport) -> None:
    out = screen()
    if report.shape == "current":
        out.print(f"Nothing to do: the schema version is {report.to_version}.")
        return
    verb = "would become" if report.dry_run else "is now"
    before = report.from_version or "none"
    out.print(
        f"[bold]Schema {verb} {report.to_version}[/bold] (was: {before}; found: shape {report.shape})"
        + (" - rolled back, nothing was changed" if report.dry_run else "")
    )
    for repair in report.repairs:
        out.print(f"  repaired  {escape(repair)}")
    if report.set_aside:
        rows = [(item.table_name, item.row_count, item.reason) for item in report.set_aside]
        out.print("\nCopied to oms_topology.set_aside first:")
        out.print(table(["table", "#rows", "because"], rows))
    if report.findings:
        out.print("\nStays as it is, and wants a look:")
        for finding in report.findings:
            out.print(f"  {escape(str(finding))}")


@commands.command()
def verify(*, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Say in what a database deviates from the schema of this version; 1 if in anything."""
    with opened(database, any_version=True) as db:
        deviations = db.verify()
    if as_json:
        emit_json({"deviations": deviations})
    else:
        _show_deviations(deviations)
    if deviations:
        raise typer.Exit(FINDINGS)


def _show_deviations(deviations: list[Deviation]) -> None:
    out = screen()
    if not deviations:
        out.print("The schema is as it should be.")
        return
    rows = [(item.severity.value, item.kind, item.name, item.state) for item in deviations]
    out.print(table(["severity", "what", "name", "is"], rows))
    out.print(f"\n{len(deviations)} deviations; oms-topology db upgrade repairs a deployed database.")


@commands.command()
def sql(
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no database: the script for one never upgraded.")
    ] = False,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the SQL that an upgrade would run, for psql -v ON_ERROR_STOP=1; runs nothing."""
    if offline:
        script = upgrade_sql()
    else:
        with opened(database, any_version=True, create=True) as db:
            script = db.upgrade_sql()
    if as_json:
        emit_json({"sql": script})
    else:
        sys.stdout.write(script)


@commands.command()
def maintain(
    *,
    min_mib: Annotated[
        int, typer.Option(min=0, help="Seal the open part of the audit once it holds so much, in MiB.")
    ] = 32,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Seal and index what the audit has gathered; readers and writers go on meanwhile."""
    with opened(database) as db:
        indexed = Store(db.engine).maintain(min_bytes=min_mib * _MEBIBYTE)
    if as_json:
        emit_json({"indexed_parts": indexed})
    else:
        screen().print(f"Parts of the audit sealed and indexed: {indexed}")
