"""``oms-topology outages``: which there are, how one went, and why a meter is dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from oms_topology.cli.common import (
    DatabaseOption,
    JsonOption,
    clock,
    emit_json,
    opened,
    screen,
    subcommands,
    table,
)
from oms_topology.cli.inferring import infer
from oms_topology.cli.notifying import notify
from oms_topology.persistence.explain import explain_meter
from oms_topology.persistence.records import audit_of, outage_detail, outage_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from oms_topology.persistence.explain import Explanation
    from oms_topology.persistence.records import AuditRow, DarkMeter, OutageDetail, OutageRow

__all__ = ["audit_table", "commands", "dark_table", "outage_table"]

commands = subcommands("Outages: list them, show one, explain a meter.")
commands.command("infer")(infer)
commands.command("notify")(notify)


@commands.command("list")
def list_outages(
    *,
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the outages, newest first; the open ones unless --all."""
    with opened(database) as db:
        outages = outage_rows(db.engine, closed=closed, limit=limit)
    if as_json:
        emit_json({"outages": outages})
    elif outages:
        screen().print(outage_table(outages))
    else:
        screen().print("No outage." if closed else "No open outage.")


def outage_table(outages: list[OutageRow]) -> Table:
    """Make the table of outages that the list and the detail show."""
    rows = [
        (
            outage.event_id,
            outage.status,
            f"{outage.device_kind} {outage.device_code}" if outage.device_code else None,
            outage.affected_customers,
            outage.dark_meters,
            outage.started_at,
            outage.restored_at,
        )
        for outage in outages
    ]
    return table(["outage", "status", "device", "#customers", "#dark now", "from", "until"], rows)


@commands.command()
def show(
    code: Annotated[str, typer.Argument(help="Its readable id or its uuid.")],
    *,
    limit: Annotated[int, typer.Option(min=0, help="Dark meters to show; --json gives all.")] = 20,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an outage: its device, what supports it, how it went, and who is without power now."""
    with opened(database) as db:
        detail = outage_detail(db.engine, code)
    if as_json:
        emit_json(detail)
    else:
        _show_detail(screen(), detail, limit)


def _show_detail(out: Console, detail: OutageDetail, limit: int) -> None:
    out.print(outage_table([detail.outage]))
    out.print("\n[bold]Supported by[/bold]")
    rows = [(source.source, source.source_event_id, source.detected_at) for source in detail.sources]
    out.print(table(["source", "event", "at"], rows))
    out.print("\n[bold]How it went[/bold]")
    steps = [(step.at, step.what, step.status, step.description) for step in detail.timeline]
    out.print(table(["at", "what", "status", ""], steps))
    if detail.dark:
        out.print(f"\n[bold]Without power now[/bold]: {len(detail.dark):,} meters")
        out.print(dark_table(detail.dark[:limit]))


def dark_table(dark: Sequence[DarkMeter]) -> Table:
    """Make the table of meters without power that the detail and the demo show."""
    rows = [
        (row.meter_number, row.customer_id, row.distribution_point, row.feeder, row.since) for row in dark
    ]
    return table(["meter", "customer", "distribution point", "feeder", "dark since"], rows)


@commands.command()
def explain(
    meter_number: Annotated[str, typer.Argument(help="The meter's number.")],
    *,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a meter has its power status: the reports behind it, the outages above it, its audit."""
    with opened(database) as db:
        explanation = explain_meter(db.engine, meter_number)
        audit = audit_of(db.engine, meter_number)
    if as_json:
        emit_json({"explanation": explanation, "audit": audit})
        return
    out = screen()
    show_explanation(out, explanation)
    out.print("\n[bold]Audit[/bold]")
    out.print(audit_table(audit))


def show_explanation(out: Console, explanation: Explanation) -> None:
    """Print why a meter has its status, the way the demo prints it too."""
    since = f" since {clock(explanation.since)}" if explanation.since else ""
    out.print(
        f"Meter {escape(explanation.meter_number)} is [bold]{explanation.power_status}[/bold]{since}:"
        f" {escape(explanation.reason)}"
    )
    rows = [(item.at, item.subject, item.says, item.source) for item in explanation.evidence]
    out.print(table(["at", "who", "says", "source"], rows))
    for code in explanation.outages:
        out.print(f"open outage above it: {escape(code)}")


def audit_table(audit: list[AuditRow]) -> Table:
    """Make the table of a meter's status events."""
    rows = [(row.at, row.what, row.before, row.after, row.source, row.confidence) for row in audit]
    return table(["at", "what", "before", "after", "source", "#confidence"], rows)
